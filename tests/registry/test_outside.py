"""Parts of other people: one new file, named by import path or registered in Python, and no other source line."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from rivergrad import registry
from rivergrad.config.load import load_workflow
from rivergrad.errors import InputError

PARTS = Path(__file__).parent / "outside_parts.py"
WORLD: dict[str, Any] = {
    "name": "outside",
    "seed": 3,
    "output": "run",
    "world": {
        "spec": {"seed": 3, "reaches": 60, "reach_length": 50000.0, "years": 1, "gauge_fraction": 0.15}
    },
    "time": {"routing_step": "1d", "warmup": "30d", "train": ["2001-01-01", "2001-12-30"]},
    "compute": {"kind": "serial"},
    "partition": {"parts": 2, "block_reaches": 10, "spread": True},
    "estimate": {"steps": 8, "window": "90d", "evaluate_every": 2, "checkpoint_every": 2, "uniform_grid": 3},
    "uncertainty": {"enabled": False},
    "report": {"hydrographs": 1},
}


def rivergrad(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """A command as a job starts it: nothing of the current directory is importable by itself."""
    return subprocess.run(
        [sys.executable, "-P", "-m", "rivergrad.cli", *arguments],
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
    )


def write(folder: Path, module: str, **sections: dict[str, Any]) -> Path:
    """A workflow in a folder of its own, with the user's module beside it."""
    place = folder / "workflows"
    place.mkdir(parents=True)
    shutil.copy(PARTS, place / f"{module}.py")
    data = {**WORLD}
    for name, keys in sections.items():
        data[name] = {**data.get(name, {}), **keys}
    path = place / "w.yaml"
    path.write_text(yaml.safe_dump(data))
    return path


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_scheme_a_loss_an_optimiser_and_a_panel_by_import_path_through_validate_run_resume_and_report(
    tmp_path: Path,
) -> None:
    mine = {
        "scheme": {"name": "my_parts:HalfLater", "options": {"late": 3}},
        "estimate": {
            "loss": {"nse": 0.5, "my_parts:mean_absolute": 0.5},
            "method": "my_parts:SignDescent",
        },
        "report": {"panels": ["my_parts:loss_by_step"]},
    }
    found = {}
    for case in ("whole", "killed"):
        folder = tmp_path / case
        path = write(folder, "my_parts", **mine)
        checked = rivergrad(folder, "validate", str(path))
        assert checked.returncode == 0, checked.stderr
        assert "my_parts:HalfLater" in checked.stdout
        if case == "killed":
            killed = rivergrad(folder, "run", str(path), DIE_AT_CHECKPOINTS_IN="run/checkpoints")
            assert killed.returncode == -9
            assert len(list((folder / "run" / "checkpoints").glob("*.npz"))) == 2
        done = rivergrad(folder, "run", str(path))
        assert done.returncode == 0, done.stderr
        (folder / "elsewhere").mkdir()
        again = rivergrad(folder / "elsewhere", "report" if case == "whole" else "evaluate", "../run")
        assert again.returncode == 0, again.stderr
        assert "How my loss fell." in (folder / "run" / "report.html").read_text()
        assert (folder / "run" / "maps" / "panel-loss_by_step.png").is_file()
        assert yaml.safe_load((folder / "run" / "config.yaml").read_text())["scheme"]["options"] == {
            "late": 3
        }
        found[case] = pd.read_csv(folder / "run" / "history.csv")["loss"].to_numpy()
    np.testing.assert_array_equal(found["killed"], found["whole"])
    assert np.isfinite(found["whole"][1:]).all()


@pytest.mark.distributed
@pytest.mark.timeout(900)
@pytest.mark.parametrize("way", ["import path", "registered in Python"])
def test_workers_know_the_parts_of_their_run(tmp_path: Path, way: str) -> None:
    named = "my_parts" if way == "import path" else ""
    names = {
        "scheme": {"name": "my_parts:HalfLater" if named else "half_later"},
        "estimate": {"loss": "my_parts:mean_absolute" if named else "mae"},
        "compute": {"kind": "local", "workers": 2},
    }
    path = write(tmp_path, "my_parts", **names)
    if named:
        done = rivergrad(tmp_path, "run", str(path))
    else:
        script = tmp_path / "workflows" / "mine.py"
        script.write_text(
            "import rivergrad as rg, my_parts\n"
            "def mae(pairs):\n"
            "    return my_parts.mean_absolute(pairs)\n"
            "if __name__ == '__main__':\n"
            "    rg.register('scheme', 'half_later', my_parts.HalfLater)\n"
            "    rg.register('loss', 'mae', mae)\n"
            f"    rg.run_workflow(rg.load_workflow({str(path)!r}))\n"
        )
        done = subprocess.run(
            [sys.executable, str(script)],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
            timeout=280,
        )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "run" / "report.html").is_file()


def test_route_takes_an_import_path(tmp_path: Path) -> None:
    shutil.copy(PARTS, tmp_path / "my_parts.py")
    (tmp_path / "net.csv").write_text("reach_id,downstream_id,length_m\n1,2,1000\n2,-1,1000\n")
    times = pd.date_range("2001-01-01", periods=4, freq="D").strftime("%Y-%m-%d")
    rows = "".join(f"{time},{4.0 * (i == 0)},0\n" for i, time in enumerate(times))
    (tmp_path / "runoff.csv").write_text("time,1,2\n" + rows)
    route = (
        "route",
        "--network",
        "net.csv",
        "--runoff",
        "runoff.csv",
        "--routing-step",
        "1d",
        "--output",
        "q.nc",
    )
    done = rivergrad(tmp_path, *route, "--scheme", "my_parts:HalfLater", "--engine", "reference")
    assert done.returncode == 0, done.stderr
    import xarray as xr

    with xr.open_dataset(tmp_path / "q.nc") as found:
        discharge = found["discharge"].transpose("time", ...).to_numpy()
    np.testing.assert_allclose(discharge[:, 0], [2, 0, 2, 0], atol=1e-6)
    np.testing.assert_allclose(discharge[:, 1], [1, 0, 2, 0], atol=1e-6)


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("scheme.name=nowhere:Mine", "scheme nowhere:Mine: module nowhere can't be imported"),
        ("scheme.name=my_parts:Missing", "module my_parts has no Missing"),
        ("scheme.name=my_parts:NOT_A_PART", "expected a rivergrad.routing.schemes.Scheme, found int"),
        (
            "scheme.name=my_parts:raises_at_once",
            "expected a rivergrad.routing.schemes.Scheme, found function",
        ),
        ("scheme.name=my_broken:X", "module my_broken can't be imported: a fault of the user's"),
        (
            "scheme.name=muskingam",
            "expected one of pure_lag, linear_storage, nash_cascade, muskingum, hayami",
        ),
        ("scheme={name: my_parts:HalfLater, options: {later: 3}}", "expected one of: late"),
        ("scheme={name: muskingum, options: {n: 3}}", "found options n with muskingum"),
        ("scheme.name=/etc/passwd:x", "not known"),
        (
            "scheme.name=os:system",
            "expected a rivergrad.routing.schemes.Scheme, found builtin_function_or_method",
        ),
        ("estimate.loss=my_parts:NOT_A_PART", "expected a function of pairs"),
        ("estimate.loss={my_parts:Missing: 1.0}", "module my_parts has no Missing"),
        ("compute.kind=my_parts:NOT_A_PART", "expected a function start(options, ground), found int"),
        ("estimate.method=my_parts:NOT_A_PART", "expected a class like"),
        ("estimate.method=my_parts:HalfLater", "a class without step, rest, state, restore"),
        ("estimate.method=adm", "did you mean adam"),
        ("report.panels=[my_parts:NOT_A_PART]", "expected a function of a page"),
        ("report.panels=[skill]", "found panel skill, which every report has"),
        ("report.panels=[skil]", "expected one of celerity"),
        ("compute.kind=locale", "expected one of serial, local, cuda, slurm, mpi"),
        (
            "parameters.spreading={initial: 0.1, bounds: [0, 0.2]}",
            "found parameters.spreading with scheme my_parts:HalfLater; expected none",
        ),
    ],
)
def test_what_is_no_part_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, setting: str, said: str
) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(registry, "_folders", [])
    for name in ("my_parts", "my_broken"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    path = write(tmp_path, "my_parts", scheme={"name": "my_parts:HalfLater"})
    (tmp_path / "workflows" / "my_broken.py").write_text('raise RuntimeError("a fault of the user\'s")\n')
    with pytest.raises(InputError) as caught:
        load_workflow(path, [setting])
    text = str(caught.value)
    assert said in text
    assert text.startswith((f"--set {setting[:90]}", str(path)))
    assert len(text) < 300 + len(str(path))


def test_nothing_of_the_folder_is_imported_unless_the_workflow_names_it(tmp_path: Path) -> None:
    path = write(tmp_path, "my_parts")
    for place in (tmp_path, path.parent):
        for name in ("torch", "json", "random", "my_parts", "cupy"):
            (place / f"{name}.py").write_text(
                "open('imported', 'w').close()\nraise RuntimeError('imported')\n"
            )
    done = rivergrad(tmp_path, "validate", str(path))
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "imported").exists()
