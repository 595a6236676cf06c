"""The pages in docs/: examples run, keys, options and files exist, links lead somewhere."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
import torch
import typer

sys.path.insert(0, str(Path(__file__).parent))  # examples.py, whatever pytest's import mode

from examples import ROOT, blocks, carry_out, prose

from rivergrad import registry

DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.glob("*.md"))]
by_name = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


@pytest.fixture
def _as_found() -> Iterator[None]:
    """A run sets how torch computes in its process, and an example registers a scheme: put both back."""
    threads, deterministic = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    with registry.forgetting():
        yield
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(deterministic)


@pytest.mark.usefixtures("_as_found")
def test_python_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    carry_out(DOCS / "api.md")  # the page asserts what it says
    assert sorted(path.name for path in tmp_path.iterdir()) == ["small.csv", "small.nc"]


@pytest.mark.usefixtures("_as_found")
def test_tutorial(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    printed = carry_out(DOCS / "tutorial.md")
    commands = ["validate", "run", "status", "export", "apply", "route"]
    assert [line.split()[1] for line in printed] == commands
    lines = printed["rivergrad run basin.yaml"].splitlines()
    assert lines[-1] == "runs/basin"
    assert "report: runs/basin/report.html" in lines
    (maps,) = (line for line in lines if line.startswith("maps: "))
    assert all(Path(name).is_file() for name in maps.removeprefix("maps: ").split(", "))
    assert {"identifiability.png", "uncertainty.png"} <= {
        path.name for path in Path("runs/basin/maps").iterdir()
    }
    page = Path("runs/basin/report.html").read_text(encoding="utf-8")
    assert "Choose a heading to sort, a name for the hydrograph." in page
    assert Path("runs/basin/maps/hydrographs.png").is_file()

    # gauges came without reach ids: each is on the reach that it is named after
    gauges = pd.read_csv("runs/basin/gauges.csv")
    assert gauges["gauge"].tolist() == [f"G{reach - 100}" for reach in gauges["reach_id"]]
    assert len(gauges) == 12
    assert set(gauges["how"]) == {"area"}
    screening = pd.read_csv("runs/basin/screening.csv")
    found = screening[["gauge", "what", "action"]].to_numpy().tolist()
    assert found == [["G24", "unit error", "dropped"]]
    summary = json.loads(Path("runs/basin/run.json").read_text(encoding="utf-8"))["summary"]
    assert {split: row["gauges"] for split, row in summary["medians"].items()} == {"train": 11, "time": 11}
    assert summary["uncertainty"]["left_out"] == pytest.approx(0, abs=0.1)  # exact, as the page says

    # held-out gauges in held-out time: the one in cubic feet scores nothing whatever the estimate
    unseen = pd.read_csv("runs/basin/folds.csv").query("split == 'gauge_time' and gauge != 'G24'")
    assert len(unseen) == 11
    assert (unseen["nse"] > unseen["nse_uniform"]).sum() >= 10
    medians = unseen.median(numeric_only=True)
    assert medians["nse"] > medians[["nse_unrouted", "nse_default", "nse_uniform"]].max() + 0.03

    exported = pd.read_csv("celerity.csv")
    assert len(exported) == 60
    assert {"reach_id", "celerity", "diffusivity", "k", "x", "lat", "lon", "informed"} <= set(
        exported.columns
    )
    assert {"celerity_lower", "celerity_upper", "celerity_log_sd", "identifiability"} <= set(exported.columns)
    assert not {"celerity_true"} & set(exported.columns)
    assert (exported["celerity_lower"] < exported["celerity"]).all()
    assert (exported["celerity"] < exported["celerity_upper"]).all()
    assert (exported.loc[exported["informed"] == 0, "identifiability"] < 1e-6).all()
    assert (exported["identifiability"] > 0.5).sum() > 20
    inside = [line for line in capsys.readouterr().out.splitlines() if line.endswith("within their interval")]
    assert 75 <= int(inside[0].partition("%")[0]) <= 99  # 60 reaches: 90 % within two standard errors or so
    assert pd.read_csv("elsewhere_parameters.csv").columns.tolist()[:3] == [
        "reach_id",
        "celerity",
        "diffusivity",
    ]
    assert Path("discharge.nc").is_file()


@pytest.mark.usefixtures("_as_found")
def test_end_to_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    printed = carry_out(DOCS / "end_to_end.md")
    assert [line.split()[1] for line in printed] == ["validate", "run", "apply"]
    assert Path("q.nc").is_file()
    assert all(
        word in printed["rivergrad run basin.yaml"] for word in ("lumped", "two-step", "held-out gauges")
    )
    summary = json.loads(Path("runs/basin/run.json").read_text(encoding="utf-8"))["summary"]
    assert [stage["name"] for stage in summary["stages"]] == ["lumped", "two_step", "joint", "rivers"]
    # the estimate is ahead of both where it was trained, and where it saw neither gauge nor time
    for split in ("time", "gauge_time"):
        medians = summary["medians"][split]
        assert medians["nse_estimate"] > max(medians["nse_lumped"], medians["nse_two_step"]) + 0.02
    assert {"runoff_model.safetensors", "runoff_model.json", "runoff.zarr"} <= {
        path.name for path in Path("runs/basin").iterdir()
    }


def test_what_a_run_leaves_is_what_formats_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from rivergrad.rundir.contents import ITEMS

    table = (DOCS / "run_directory.md").read_text(encoding="utf-8").split("## What a run leaves")[1]
    named = {
        name for row in re.findall(r"^\| (`.*?) \|", table, re.MULTILINE) for name in row.split("`")[1::2]
    }
    assert {name.rstrip("/") for name in named} == set(ITEMS)


@pytest.mark.parametrize(
    "page", [page for page in PAGES if page.name != "api.md"], ids=lambda page: page.name
)
def test_workflow_keys_exist(page: Path) -> None:
    """On the page about Python, `network.order` is an attribute."""
    from rivergrad.config.load import _keys
    from rivergrad.config.schema import Workflow

    keys = {name for name, _ in _keys(Workflow)}
    sections = {key.partition(".")[0] for key in keys if "." in key}
    named = re.findall(r"`([a-z_]+(?:\.[a-z_]+)+)`", prose(page))
    wrong = [
        key for key in named if key.partition(".")[0] in sections and key not in keys and not _is_file(key)
    ]
    assert not wrong
    if page.name == "estimation.md":
        assert len([key for key in named if key in keys]) > 10


def _is_file(text: str) -> bool:
    return text.endswith((".nc", ".zarr", ".csv", ".html", ".json", ".yaml", ".parquet"))


@by_name
def test_links_lead_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)]+)\)", prose(page)):
        assert "://" not in target, f"{target}: a link that no test can follow"
        name, _, anchor = target.partition("#")
        there = (page.parent / name) if name else page
        assert there.is_file(), target
        if there.suffix == ".png":
            continue
        headings = re.findall(r"^#+ (.*)$", there.read_text(encoding="utf-8"), re.MULTILINE)
        anchors = {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}
        assert not anchor or anchor in anchors, target
    assert len(text.splitlines()) <= 160


@by_name
def test_yaml_blocks_are_valid_workflows(page: Path, tmp_path: Path) -> None:
    from rivergrad.config.load import load_workflow

    for block in blocks(page):
        if block.language == "yaml":
            path = tmp_path / "w.yaml"
            path.write_text(block.text, encoding="utf-8")
            assert load_workflow(path).name == "basin"


def test_every_option_is_on_the_page_of_commands() -> None:
    from rivergrad.cli import app

    page = (DOCS / "cli.md").read_text(encoding="utf-8")
    group = typer.main.get_command(app)
    options = [option for parameter in group.params for option in parameter.opts]
    there = {"--help", *(option for option in options if option[:2] == "--")}
    for name, command in group.commands.items():  # type: ignore[attr-defined]
        assert f"rivergrad {name}" in page
        there |= {option for parameter in command.params for option in parameter.opts if option[:2] == "--"}
    assert set(re.findall(r"--[a-z][a-z-]*", page)) == there


def test_schemes_are_all_on_the_page_of_concepts() -> None:
    from rivergrad.routing import schemes

    text = (DOCS / "concepts.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `(\w+)` \| (.*?) \|", text, re.MULTILINE))
    for name in schemes.BUILT_IN:
        assert tuple(re.findall(r"`(\w+)`", rows[name])) == schemes.get(name).parameter_names
    assert set(rows) == set(schemes.BUILT_IN)


def test_priors_on_the_page_are_those_of_the_code() -> None:
    from rivergrad.model.priors import PRIORS

    text = (DOCS / "estimation.md").read_text(encoding="utf-8")
    rows = {name: [cell.strip() for cell in cells.split("|")] for name, cells in re.findall(
        r"^\| (\w+) \| (\S+ to [^\n]*) \|$", text, re.MULTILINE)}  # fmt: skip
    assert set(rows) == set(PRIORS)
    for name, known in PRIORS.items():
        unit = {"m s-1": " m/s", "m2 s-1": " m²/s", "1": ""}[known.units]
        assert rows[name] == [
            f"{known.lower:g} to {known.upper:g}{unit}", f"{known.median:g}", f"{known.sd:g}",
        ]  # fmt: skip


def test_ways_a_fit_ends_and_models_are_on_the_page_of_estimation() -> None:
    from rivergrad import registry
    from rivergrad.run.fit import REASONS

    text = (DOCS / "estimation.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^- `([\w ]+)`:", text.split("**When it ends.**")[1], re.MULTILINE)) >= set(
        REASONS.values()
    )
    models = text.split("| model | has | for |")[1].split("\n\n")[0]
    assert tuple(re.findall(r"^\| `(\w+)` \|", models, re.MULTILINE)) == registry.names("parameter_model")


def parameter_columns() -> set[str]:
    """Names of columns of parameters.zarr that run_directory.md has."""
    table = (
        (DOCS / "run_directory.md").read_text(encoding="utf-8").split("| column of `parameters.zarr` | |")[1]
    )
    rows = re.findall(r"^\| (`.*?) \|", table.split("\n\n")[0], re.MULTILINE)
    return {name for row in rows for name in row.split("`")[1::2]}
