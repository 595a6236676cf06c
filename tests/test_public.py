"""The public surface: its names, what help says of them, its types, and that importing it costs nothing."""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))  # examples.py, whatever pytest's import mode

from examples import ROOT, blocks

import rivergrad as rg

NAMES = [name for name in dir(rg) if not name.startswith("_")]
PARTS = (
    "rivergrad.routing.schemes",
    "rivergrad.runoff",
    "rivergrad.report.fields",
    "rivergrad.report.panels",
    "rivergrad.inference.loss",
)
"""Where people who write parts of their own find what to build on."""
LEFT = ("rivergrad.world", "rivergrad.run.runoffmodel")
"""What examples are made of, and the model of a finished run: these have no public name."""
SCRIPT = """
from pathlib import Path

import numpy as np
import rivergrad as rg

network = rg.read_network("network.csv")
runoff = rg.open_runoff(Path("runoff.nc"), network)
discharge = rg.simulate(network, runoff, {"k": 9000.0, "x": 0.2}, routing_step="1h", reaches=[1, 2])
total: float = float(discharge.sum())
found = rg.scores(discharge, np.ones_like(discharge))["nse"]
try:
    workflow = rg.load_workflow("w.yaml", ["estimate.steps=5"])
except rg.InputError as error:
    print(error.key, error.where, error.found, error.expected, error.advice)
    raise
folder: Path = rg.run_workflow(workflow)
run = rg.open_run(folder)
median = run.parameters["celerity"].median()
series = run.hydrographs["estimate"].sel(gauge="A").to_series()


@rg.register("loss", "mean_absolute")
def mean_absolute(pairs: object) -> object:
    return pairs


router: rg.Router = rg.Router(network, "muskingum", forcing_step=86400, routing_step=3600)
"""


def test_the_names() -> None:
    assert len(NAMES) == 23
    assert set(NAMES) >= {
        *(
            "route",
            "Router",
            "RiverNetwork",
            "InputError",
            "open_runoff",
            "read_network",
            "read_observations",
        ),
        *(
            "read_parameters",
            "write_parameters",
            "open_forcings",
            "load_workflow",
            "Workflow",
            "run_workflow",
        ),
        *("open_run", "simulate", "scores", "register"),
    }
    for name in NAMES:
        assert getattr(rg, name) is not None
    with pytest.raises(AttributeError):
        rg.nothing  # type: ignore[attr-defined]  # noqa: B018


@pytest.mark.parametrize("name", NAMES)
def test_help_says_arguments_errors_and_an_example(name: str) -> None:
    text = inspect.getdoc(getattr(rg, name)) or ""
    assert ">>> " in text, "an example"
    if name == "Workflow":  # a schema: each field has its sentence
        return
    assert "Args:" in text or "Attributes:" in text
    assert "Raises:" in text or name == "InputError"
    assert "**Arguments" not in text


def test_importing_it_imports_neither_torch_nor_pandas() -> None:
    code = (
        "import rivergrad, sys; print([m for m in ('torch', 'pandas', 'xarray', 'dask') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    "command",
    [
        ["--version"],
        ["schema"],
        ["validate", "workflows/demo.yaml"],
        ["status", "RUN"],
        ["--help"],
        ["route", "--help"],
    ],
    ids=lambda command: command[0],
)
def test_quick_commands_do_not_import_torch(tmp_path: Path, command: list[str]) -> None:
    run = tmp_path / "run"
    run.mkdir()
    (run / "run.json").write_text('{"name": "x", "status": "done"}')
    words = [str(run) if word == "RUN" else word for word in command]
    code = f"""
import sys
from rivergrad.cli.app import app
try:
    app({words!r})
except SystemExit as ended:
    assert ended.code in (0, None), ended.code
sys.stderr.write(str([m for m in ("torch", "dask", "distributed") if m in sys.modules]))
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr.endswith("[]"), done.stderr[-300:]


@pytest.mark.slow
def test_types_of_a_users_script(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(SCRIPT)
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--ignore-missing-imports", "--config-file=",
         "--follow-imports=silent", "--cache-dir", str(tmp_path / "cache"), "script.py"],
        cwd=tmp_path, capture_output=True, text=True, check=False, timeout=280,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout


def test_docs_and_examples_import_nothing_else() -> None:
    texts = [(path, path.read_text(encoding="utf-8")) for path in sorted((ROOT / "examples").glob("*.py"))]
    for page in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]:
        texts += [(page, block.text) for block in blocks(page) if block.language == "python"]
    found = []
    for path, text in texts:
        for node in ast.walk(ast.parse(text)):
            names = [one.name for one in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            for name in names:
                ours = name.partition(".")[0] in ("rivergrad", "rivercut")
                if ours and name != "rivergrad" and name not in (*PARTS, *LEFT):
                    found.append(f"{path.name}: {name}")
    assert found == []


def test_scores() -> None:
    observed = np.array([[1.0, 2.0], [3.0, 2.0], [5.0, 2.0]])
    found = rg.scores(observed * 1.1, observed)
    assert set(found) == {"nse", "kge", "log_nse", "bias"}
    np.testing.assert_allclose(found["bias"], [0.1, 0.1])
    assert np.isnan(found["nse"][1])
    with pytest.raises(rg.InputError, match="expected \\(time, gauge\\)"):
        rg.scores([1.0], [1.0])


def test_simulate_in_memory_and_to_a_file(tmp_path: Path) -> None:
    network = rg.RiverNetwork.from_ids([1, 2, 3], [3, 3, -1], length=[9e3, 7e3, 12e3])
    days = np.arange("2001-01-01", "2001-02-01", dtype="datetime64[D]").astype("datetime64[ns]")
    rg.write_runoff(tmp_path / "r.nc", network.reach_id, days, np.ones((31, 3)))
    runoff = rg.open_runoff(tmp_path / "r.nc", network)
    given = {"k": 9000.0, "x": np.full(3, 0.2)}
    discharge = rg.simulate(network, runoff, given, reaches=[3], dtype="float64")
    assert discharge.shape == (31, 1)
    assert discharge[-1, 0] == pytest.approx(3.0, rel=1e-6)
    out = tmp_path / "q.nc"
    assert rg.simulate(network, runoff, given, routing_step=3600.0, output=out).shape == (0, 3)
    assert out.is_file()
    with pytest.raises(rg.InputError, match="routing_step"):
        rg.simulate(network, runoff, given, routing_step=0.0)
    with pytest.raises(rg.InputError, match="7"):
        rg.simulate(network, runoff, given, reaches=[7])


def test_a_folder_that_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(rg.InputError, match=r"run\.json"):
        rg.open_run(tmp_path)
