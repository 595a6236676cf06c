"""A run removes and overwrites what runs wrote, and nothing else, whatever lies where it is to write."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import xarray as xr
import yaml
from small_river import River, call, contents, the_line

MISTAKE = ("--set", "parameters.trend=[nope]")
"""Noticed only once the input was read."""


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> River:
    """A finished run. Tests copy it."""
    river = River(tmp_path_factory.mktemp("done") / "river").write()
    before = Path.cwd()
    os.chdir(river.folder)
    try:
        code, said = call("run", "w.yaml")
        assert code == 0, said
    finally:
        os.chdir(before)
    return river


@pytest.fixture
def new(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> River:
    """The files alone."""
    river = River(tmp_path / "river").write()
    monkeypatch.chdir(river.folder)
    return river


@pytest.fixture
def old(done: River, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> River:
    """A finished run of the test's own."""
    river = done.copied(tmp_path / "copied")
    monkeypatch.chdir(river.folder)
    return river


def links(path: Path, to: str) -> None:
    path.symlink_to(to)


def store(path: Path) -> None:
    path.mkdir()
    (path / "zarr.json").write_text("{}")
    (path / "mine").write_text("mine")


def folder(path: Path) -> None:
    path.mkdir()
    (path / "mine").write_text("mine")


LAYOUTS: dict[str, Callable[[River], Any]] = {
    "output is the folder of the files": lambda r: r.workflow(output="."),
    "and by another spelling": lambda r: r.workflow(output="../river/./"),
    "and by a link": lambda r: (links(r.folder.parent / "l", "river"), r.workflow(output="../l")),
    "output above the files": lambda r: r.workflow(output=".."),
    "output is the network": lambda r: r.workflow(output="n.csv"),
    "output is the runoff": lambda r: r.workflow(output="r.nc"),
    "output below a file": lambda r: r.workflow(output="r.nc/run"),
    "output is the workflow": lambda r: r.workflow(output="w.yaml"),
    "output in a store": lambda r: (
        store(r.folder / "s.zarr"),
        r.workflow(output="s.zarr/run", runoff={"path": "s.zarr"}),
    ),
    "output is a store": lambda r: (
        store(r.folder / "s.zarr"),
        r.workflow(output="s.zarr", runoff={"path": "s.zarr"}),
    ),
    "output is any store": lambda r: (store(r.folder / "s.zarr"), r.workflow(output="s.zarr")),
    "a folder with maps": lambda r: (folder(r.folder / "run"), folder(r.folder / "run/maps")),
    "a folder with a file": lambda r: folder(r.folder / "run"),
    "a folder with a hidden file": lambda r: (
        (r.folder / "run").mkdir(),
        (r.folder / "run/.mine").write_text("mine"),
    ),
    "a folder with a lock": lambda r: ((r.folder / "run").mkdir(), (r.folder / "run/.lock").write_text("mine")),
    "a folder with a linked lock": lambda r: ((r.folder / "run").mkdir(), links(r.folder / "run/.lock", "../n.csv")),
    "a folder with a record": lambda r: (
        (r.folder / "run").mkdir(),
        (r.folder / "run/written.jsonl").write_text("mine"),
    ),
    "a folder with a linked record": lambda r: (
        (r.folder / "run").mkdir(),
        links(r.folder / "run/written.jsonl", "../n.csv"),
    ),
    "a folder with a config": lambda r: (
        (r.folder / "run").mkdir(),
        (r.folder / "run/config.yaml").write_text("mine: 1"),
        (r.folder / "run/run.json").write_text('{"name": 1, "status": "done"}'),
    ),
    "a folder with the network": lambda r: (
        (r.folder / "run").mkdir(),
        shutil.copy(r.folder / "n.csv", r.folder / "run/network.csv"),
        r.workflow(network={"path": "run/network.csv"}),
    ),
    "a file": lambda r: (r.folder / "run").write_text("mine"),
    "a link to a file": lambda r: links(r.folder / "run", "n.csv"),
    "a link to a folder": lambda r: (folder(r.folder / "other"), links(r.folder / "run", "other")),
    "a link to nothing": lambda r: links(r.folder / "run", "nothing"),
    "the workflow in output": lambda r: (
        (r.folder / "run").mkdir(),
        shutil.move(r.folder / "w.yaml", r.folder / "run/w.yaml"),
        links(r.folder / "w.yaml", "run/w.yaml"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("words", [(), ("--fresh",), MISTAKE, ("--fresh", *MISTAKE)], ids=" ".join)
@pytest.mark.parametrize("what", LAYOUTS)
def test_what_is_no_run_directory_is_refused(new: River, what: str, words: tuple[str, ...]) -> None:
    LAYOUTS[what](new)
    before = contents(new.folder.parent)
    code, said = call("estimate", "w.yaml", *words)
    assert code == 2, said
    the_line(said)
    assert contents(new.folder.parent) == before


NAMES = (
    *("config.yaml", "run.json", "metrics.csv", "history.csv", "hydrographs.nc", "report.html", "log.txt"),
    *("baselines.json", "inputs.json", "gauges.csv", "screening.csv", "maps/skill.png", "network.zarr"),
    *("parameters.zarr", "partition.zarr", "checkpoints"),
)
ABSENT = (
    "discharge.nc",
    "world",
    "twin",
    "folds",
    "folds.csv",
    "workers",
    "runoff.zarr",
    "dask-report.html",
    ".folds.lock",
)


def gone(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()


@pytest.mark.parametrize("name", NAMES)
def test_something_of_the_users_under_a_name_of_ours(old: River, name: str) -> None:
    """Put there in the place of what a run wrote: as a file, a folder or a link."""
    path = old.run_dir / name
    for put in (
        lambda: path.write_text("mine"),
        lambda: folder(path),
        lambda: links(path, str(old.folder / "n.csv")),
        lambda: links(path, str(old.folder)),
    ):
        gone(path) if path.exists() and not path.is_symlink() else path.unlink(missing_ok=True)
        put()
        before = contents(old.folder)
        for words in (("estimate", "w.yaml", "--fresh"), ("estimate", "w.yaml", "--fresh", *MISTAKE)):
            code, said = call(*words)
            if name == "checkpoints" and path.is_dir() and not path.is_symlink():
                assert (path / "mine").read_text() == "mine"  # a folder of theirs, where runs put theirs too
                continue
            assert code == 2, said
            the_line(said)
            assert contents(old.folder) == before


@pytest.mark.parametrize("name", ABSENT)
def test_something_of_the_users_under_a_name_that_runs_may_write(old: River, name: str) -> None:
    folder(old.run_dir / name)
    before = contents(old.folder)
    for words in (("estimate", "w.yaml"), ("estimate", "w.yaml", "--fresh")):
        code, said = call(*words)
        assert code == 2, said
        assert name in the_line(said)
        assert contents(old.folder) == before


def test_files_of_the_users_among_ours_stay(old: River) -> None:
    mine = [
        *("notes.txt", "maps/mine.png", "checkpoints/mine.txt", "checkpoints/step-best.npz", "own/data.nc"),
        *("checkpoints/other/step-000002.npz", "maps/sub/celerity.png"),
    ]
    for name in mine:
        (old.run_dir / name).parent.mkdir(parents=True, exist_ok=True)
        (old.run_dir / name).write_text("mine")
    links(old.run_dir / "elsewhere", str(old.folder / "n.csv"))
    code, said = call("estimate", "w.yaml", "--fresh", *MISTAKE)
    assert code == 2
    assert "nope" in the_line(said)
    left = {name for name, what in contents(old.run_dir).items() if what != "folder"}
    assert left == {*mine, "elsewhere", "written.jsonl"}  # the folders that stay are still known
    assert (old.folder / "n.csv").stat().st_size > 0
    assert all((old.run_dir / name).read_text() == "mine" for name in mine)


@pytest.mark.parametrize("name", ["maps", "checkpoints"])
def test_folders_that_became_links_are_not_followed(old: River, name: str) -> None:
    away = old.folder / "away"
    shutil.move(old.run_dir / name, away)
    links(old.run_dir / name, str(away))
    before = contents(old.folder)
    code, said = call("run", "w.yaml", "--fresh")
    assert code == 2
    assert name in the_line(said)
    assert contents(old.folder) == before


def test_a_file_put_into_a_store_of_ours(old: River) -> None:
    (old.run_dir / "parameters.zarr" / "mine.txt").write_text("mine")
    for words in (("estimate", "w.yaml"), ("estimate", "w.yaml", "--fresh")):
        code, said = call(*words)
        assert code == 2
        assert "parameters.zarr" in the_line(said)
    assert (old.run_dir / "parameters.zarr" / "mine.txt").read_text() == "mine"


@pytest.mark.parametrize("how", ["moved", "linked"])
@pytest.mark.parametrize(
    ("key", "file", "name"),
    [
        ("network", "n.csv", "maps/n.csv"),
        ("runoff", "r.nc", "discharge.nc"),
        ("runoff", "r.nc", "world/runoff.nc"),
        ("observations", "o.nc", "folds/1/o.nc"),
    ],
)
def test_input_where_runs_write(new: River, key: str, file: str, name: str, how: str) -> None:
    """Before anything is touched, and also where the run directory is a link."""
    target = new.folder / ("real" if how == "linked" else "run") / name
    target.parent.mkdir(parents=True)
    shutil.move(new.folder / file, target)
    if how == "linked":
        links(new.folder / "run", "real")
    new.workflow(**{key: {"path": f"run/{name}"}})
    before = contents(new.folder)
    for words in ((), ("--fresh",)):
        code, said = call("estimate", "w.yaml", *words)
        assert code == 2
        assert f"{key}.path: run/{name}" in the_line(said)
        assert contents(new.folder) == before


def test_the_input_is_what_a_run_wrote(old: River) -> None:
    """The network of the run itself, given back to it: --fresh would remove it before reading it."""
    old.workflow(network={"path": "run/network.zarr"})
    before = contents(old.folder)
    code, said = call("estimate", "w.yaml", "--fresh")
    assert code == 2
    assert "under a name that runs write" in the_line(said)
    assert contents(old.folder) == before


def test_a_mistake_leaves_nothing_of_ours(new: River) -> None:
    before = contents(new.folder)
    code, said = call("estimate", "w.yaml", *MISTAKE)
    assert code == 2
    assert "nope" in the_line(said)
    assert contents(new.folder) == before
    (new.folder / "run").mkdir()  # empty, and the user's
    assert call("estimate", "w.yaml", *MISTAKE)[0] == 2
    assert contents(new.folder) == {**before, "run": "folder"}


def test_a_mistake_leaves_no_new_folders(new: River) -> None:
    """Neither of the run nor above it; of a fold the lock stays, for which others may be waiting."""
    new.output = "a/b/run"
    new.workflow(gauges={"folds": 2, "screening": {"enabled": False}})
    before = contents(new.folder)
    assert call("run", "w.yaml", *MISTAKE)[0] == 2
    assert contents(new.folder) == before
    assert call("run", "w.yaml", "--fold", "1", *MISTAKE)[0] == 2
    assert {name for name, what in contents(new.run_dir).items() if what != "folder"} == {".folds.lock"}
    code, said = call("run", "w.yaml", "--fold", "1")
    assert code == 0, said


def test_a_mistake_in_a_fold_leaves_the_others(new: River) -> None:
    new.workflow(gauges={"folds": 2, "screening": {"enabled": False}})
    assert call("run", "w.yaml", "--fold", "1")[0] == 0
    before = contents(new.run_dir / "folds")
    assert call("run", "w.yaml", "--fold", "2", *MISTAKE)[0] == 2
    assert contents(new.run_dir / "folds") == before


def test_home_in_a_workflow(new: River, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    new.workflow(output="~/run", estimate={"steps": 2, "window": "40d", "uniform_grid": 2})
    before = contents(new.folder)
    code, said = call("estimate", "w.yaml")
    assert code == 0, said
    assert (tmp_path / "home/run/metrics.csv").is_file()
    assert contents(new.folder) == before


def test_a_run_runs_again_from_its_own_configuration(old: River) -> None:
    assert call("estimate", "run/config.yaml")[0] == 0
    code, said = call("estimate", "run/config.yaml", "--fresh")
    assert code == 0, said


def test_a_directory_of_an_earlier_version(old: River) -> None:
    """It has no record: names that runs write, where they look right, are taken to be theirs."""
    (old.run_dir / "written.jsonl").unlink()
    code, said = call("estimate", "w.yaml")
    assert code == 2  # run.json says that there was one
    assert "its record written.jsonl is gone" in the_line(said)
    info = json.loads((old.run_dir / "run.json").read_text())
    del info["record"]
    (old.run_dir / "run.json").write_text(json.dumps(info))
    (old.run_dir / "maps" / "mine.png").write_text("mine")
    (old.run_dir / "checkpoints" / "mine.txt").write_text("mine")
    written = {p.name for p in old.run_dir.iterdir()}
    code, said = call("run", "w.yaml")
    assert code == 0, said
    assert {p.name for p in old.run_dir.iterdir()} == {*written, "written.jsonl"}
    code, said = call("run", "w.yaml", "--fresh", "--set", "estimate.steps=3")
    assert code == 0, said
    assert (old.run_dir / "maps" / "mine.png").read_text() == "mine"
    assert (old.run_dir / "checkpoints" / "mine.txt").read_text() == "mine"


def test_a_table_of_the_users_in_a_directory_of_an_earlier_version(old: River) -> None:
    info = json.loads((old.run_dir / "run.json").read_text())
    del info["record"]
    (old.run_dir / "run.json").write_text(json.dumps(info))
    (old.run_dir / "written.jsonl").unlink()
    (old.run_dir / "metrics.csv").write_text("date,mine\n")
    before = (old.run_dir / "metrics.csv").read_bytes(), contents(old.run_dir / "checkpoints")
    code, said = call("estimate", "w.yaml", "--fresh")
    assert code == 2
    assert "metrics.csv" in the_line(said)
    assert ((old.run_dir / "metrics.csv").read_bytes(), contents(old.run_dir / "checkpoints")) == before


def test_a_record_cannot_name_what_is_outside(old: River) -> None:
    """Whoever can write the record, with right checksums: names lead nowhere but below the run directory."""
    from rivergrad.io.recorded import line_of

    outside = old.folder / "outside.txt"
    outside.write_text("mine")
    with (old.run_dir / "written.jsonl").open("ab") as file:
        for name in ("../outside.txt", str(outside), "maps/../../outside.txt", "", "."):
            file.write(line_of({"name": name, "kind": "file"}))
    assert call("estimate", "w.yaml", "--fresh", *MISTAKE)[0] == 2
    assert outside.read_text() == "mine"


def test_evaluate_and_report_do_not_overwrite_what_is_not_theirs(old: River) -> None:
    for name, words in (("metrics.csv", "evaluate"), ("report.html", "report"), ("maps/skill.png", "report")):
        whole = (old.run_dir / name).read_bytes()
        text = "mine" if words == "report" else whole.decode() + "\n"
        (old.run_dir / name).write_text(text)
        code, said = call(words, "run")
        assert code == 2, said
        assert name in the_line(said)
        assert (old.run_dir / name).read_text() == text
        (old.run_dir / name).write_bytes(whole)
    assert call("evaluate", "run")[0] == 0
    assert call("report", "run")[0] == 0


def of_another_run(path: Path) -> None:
    """The same store with other values, as another run has it."""
    with xr.open_zarr(path, consolidated=False) as found:
        other = (found * 0.5).assign_coords(reach_id=found["reach_id"]).load()
    shutil.rmtree(path)
    other.to_zarr(path, mode="w", zarr_format=3, consolidated=False)


def without_a_chunk(path: Path) -> None:
    """What Zarr reads as a chunk of fill values."""
    chunk = path / ("celerity" if path.name == "parameters.zarr" else "length") / "c" / "0"
    chunk.unlink()
    chunk.symlink_to("nowhere")


@pytest.mark.parametrize("damage", [of_another_run, without_a_chunk])
def test_results_of_another_run_or_with_holes_are_not_read(
    old: River, damage: Callable[[Path], None]
) -> None:
    """Every command that reads a map or a network of a run."""
    kept = old.run_dir.with_name("kept")
    shutil.copytree(old.run_dir, kept)
    files = ("--network", "n.csv", "--runoff", "r.nc", "--output", "q.nc")
    route = ("route", *files, "--scheme", "muskingum", "--routing-step", "6h", "--parameters")
    readers = {
        "parameters.zarr": (
            ("export", "run", "--output", "a.csv"),
            ("export", "run", "--output", "a.nc"),
            ("export", "run", "--as", "rapid", "--output", "a"),
            ("report", "run"),
            (*route, "run"),
            (*route, "run/parameters.zarr"),
        ),
        "network.zarr": (
            ("export", "run", "--as", "rapid", "--output", "a"),
            ("report", "run"),
            ("inspect", "run/network.zarr"),
        ),
    }
    there = sorted(one.name for one in Path().iterdir())
    for name, commands in readers.items():
        damage(old.run_dir / name)
        for words in commands:
            code, said = call(*words)
            assert code == 2, (words, said)
            assert name in the_line(said), words
            assert sorted(one.name for one in Path().iterdir()) == there
        shutil.rmtree(old.run_dir)
        shutil.copytree(kept, old.run_dir)
    assert call(*readers["parameters.zarr"][0])[0] == 0


def test_hydrographs_of_another_run_are_not_reported(old: River) -> None:
    with xr.open_dataset(old.run_dir / "hydrographs.nc") as found:
        other = found.load()
    other["estimate"] *= 2
    (old.run_dir / "hydrographs.nc").unlink()
    other.to_netcdf(old.run_dir / "hydrographs.nc")
    code, said = call("report", "run")
    assert code == 2, said
    assert "hydrographs.nc" in the_line(said)


def test_a_table_of_scores_that_was_changed_is_reported_with_a_warning(
    old: River, caplog: pytest.LogCaptureFixture
) -> None:
    (old.run_dir / "metrics.csv").write_text((old.run_dir / "metrics.csv").read_text() + "\n")
    code, said = call("report", "run")
    assert code == 0, said
    assert "metrics.csv is not as the run wrote it" in caplog.text


def test_folds_go_with_the_run_and_leave_what_is_not_theirs(new: River) -> None:
    new.workflow(gauges={"folds": 3, "screening": {"enabled": False}})
    code, said = call("estimate", "w.yaml")
    assert code == 0, said
    mine = new.run_dir / "folds/1/mine.txt"
    mine.write_text("mine")
    assert call("estimate", "w.yaml")[0] == 0
    shutil.move(new.run_dir, new.folder / "moved")
    new.output = "moved"
    new.workflow(gauges={"folds": 3, "screening": {"enabled": False}}, name="renamed")
    times = {p: p.stat().st_mtime_ns for p in (new.folder / "moved/folds").rglob("metrics.csv")}
    code, said = call("estimate", "w.yaml")
    assert code == 0, said
    assert said.count("(done before)") == 3
    assert times == {p: p.stat().st_mtime_ns for p in (new.folder / "moved/folds").rglob("metrics.csv")}
    assert call("estimate", "w.yaml", "--fresh", *MISTAKE)[0] == 2
    left = {name for name, what in contents(new.folder / "moved").items() if what != "folder"}
    assert left == {
        "folds/1/mine.txt",
        "written.jsonl",
    }  # the folders that hold it are still known as a run's


def test_what_the_workflow_says_is_told_with_both_values(old: River) -> None:
    old.workflow(estimate={"steps": 5, "learning_rate": 0.5}, seed=3)
    code, said = call("estimate", "w.yaml")
    assert code == 2
    line = the_line(said)
    for words in ("seed 1 there, 3 here", "estimate.steps 12 there, 5 here", "estimate.learning_rate"):
        assert words in line
    data = yaml.safe_load((old.folder / "w.yaml").read_text())
    assert data["seed"] == 3
