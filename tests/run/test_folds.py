"""Cross-validation through the workflow: who is held out of what, one input for all folds, and that it resumes."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
import yaml

from rivercut import store
from rivergrad.config.load import load_workflow
from rivergrad.errors import InputError
from rivergrad.run import workflow as run_module
from rivergrad.run.folds import summarise
from rivergrad.run.status import read_status
from rivergrad.run.workflow import run_fold, run_workflow
from rivergrad.rundir.checkpoint import Checkpoint
from rivergrad.rundir.contents import ITEMS
from rivergrad.rundir.reading import FOLD_COLUMNS, read_folds
from rivergrad.rundir.written import read_record

FOLDS = {"holdout": 0.0, "holdout_by": "basin", "folds": 3, "holdout_ids": ["gauge-0002"]}
SHORT = {"steps": 6, "evaluate_every": 3, "checkpoint_every": 3}
NO_DISCHARGE = {"discharge": False}


def workflow(tiny: Any, folder: Path, **sections: Any) -> Any:
    sections = {"gauges": FOLDS, "estimate": SHORT, "report": NO_DISCHARGE, **sections}
    return load_workflow(tiny(folder / "tiny.yaml", folder / "run", **sections))


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def held_out(run: Path) -> set[str]:
    with xr.open_dataset(run / "hydrographs.nc") as data:
        return {str(name) for name in data["gauge"].values[data["held_out"].values != 0]}


@pytest.fixture(scope="module")
def validated(tmp_path_factory: pytest.TempPathFactory, tiny: Any, _one_commit: None) -> Path:
    """A run with three folds of basins, and a gauge that nothing is to see. Tests read it only.

    One fold is carried out by itself before the rest, as in a queue.
    """
    config = workflow(tiny, tmp_path_factory.mktemp("validated"))
    with pytest.raises(InputError, match=r"--fold: found 4; expected 1 to 3 \(gauges\.folds\)"):
        run_fold(config, 4)
    alone = run_fold(config, 2)
    assert alone == config.output / "folds" / "2"
    before = (alone / "run.json").read_bytes()
    run = run_workflow(config, report=False)
    assert (alone / "run.json").read_bytes() == before  # it was found done
    return run


def test_every_gauge_is_held_out_once_and_no_basin_is_split(validated: Path) -> None:
    network = store.read_network(validated / "network.zarr")
    with xr.open_dataset(validated / "hydrographs.nc") as data:
        names = [str(name) for name in data["gauge"].values]
        basin = dict(zip(names, network.basin[network.positions(data["reach_id"].values)], strict=True))
    assert held_out(validated) == {"gauge-0002"}
    seen: list[str] = []
    for fold in ("1", "2", "3"):
        held = held_out(validated / "folds" / fold)
        assert "gauge-0002" in held
        own = held - {"gauge-0002"}
        trained = set(names) - held
        assert trained
        assert not {basin[name] for name in own} & {basin[name] for name in trained}
        seen += own
    assert sorted(seen) == sorted(set(names) - {"gauge-0002"})


def test_the_table_of_folds_has_the_scores_of_the_fold_that_held_out(validated: Path) -> None:
    table = rows(validated / "folds.csv")
    assert tuple(table[0]) == FOLD_COLUMNS
    assert {row["split"] for row in table} == {"gauge", "gauge_time"}
    assert "gauge-0002" not in {row["gauge"] for row in table}
    for split in ("gauge", "gauge_time"):
        gauges = [row["gauge"] for row in table if row["split"] == split]
        assert len(gauges) == len(set(gauges)) == 11
    for row in table:
        fold = rows(validated / "folds" / row["fold"] / "metrics.csv")
        (same,) = (one for one in fold if (one["gauge"], one["split"]) == (row["gauge"], row["split"]))
        assert {name: row[name] for name in same} == same


def test_the_summary_is_that_of_the_table(validated: Path) -> None:
    found = json.loads((validated / "run.json").read_text())["summary"]["folds"]
    table = read_folds(validated / "folds.csv")
    assert (found["count"], found["by"], set(found["splits"])) == (3, "basin", {"gauge", "gauge_time"})
    for split, summary in found["splits"].items():
        here = table[table["split"] == split]
        differences = []
        for one in summary["folds"]:
            part = here[here["fold"] == one["fold"]]
            assert one["gauges"] == len(part)
            assert one["nse_estimate"] == pytest.approx(part["nse"].median(), abs=1e-12)
            assert one["nse_uniform"] == pytest.approx(part["nse_uniform"].median(), abs=1e-12)
            assert one["nse_better"] == (part["nse"] > part["nse_uniform"]).sum()
            differences.append(one["nse_estimate"] - one["nse_uniform"])
        assert summary["worst_difference"] == pytest.approx(min(differences), abs=1e-12)
        pooled = summary["pooled"]
        assert pooled["nse_estimate"] == pytest.approx(here["nse"].median(), abs=1e-12)
        low, high = pooled["nse_estimate_interval"]
        assert here["nse"].min() <= low <= pooled["nse_estimate"] <= high <= here["nse"].max()


def test_a_fold_without_scores_spoils_nothing() -> None:
    nan = float("nan")
    scores = {f"{s}{m}": nan for s in ("nse", "kge") for m in ("", "_unrouted", "_default", "_uniform")}
    made = [
        {**scores, "fold": 1, "split": "gauge", "gauge": "a", "nse": 0.8, "nse_uniform": 0.7},
        {**scores, "fold": 2, "split": "gauge", "gauge": "b"},
    ]
    found = summarise(made, "gauge", 0)["splits"]["gauge"]
    assert [one["gauges"] for one in found["folds"]] == [1, 1]
    assert np.isnan(found["folds"][1]["nse_estimate"])
    assert found["worst_difference"] == pytest.approx(0.1)
    assert found["pooled"]["nse_estimate"] == 0.8


def test_folds_read_the_world_of_the_run(validated: Path) -> None:
    for fold in ("1", "2", "3"):
        world = validated / "folds" / fold / "world"
        assert world.is_symlink()
        assert world.resolve() == (validated / "world").resolve()
    moved = validated.parent / "moved"
    shutil.copytree(validated, moved, symlinks=True)  # links are relative: a run directory can be moved
    assert (moved / "folds/1/world").resolve() == (moved / "world").resolve()


class Stopped(Exception):
    """Stands for whatever ends a process."""


def stop_at(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """Raise after so many checkpoints."""
    write, written = Checkpoint.write, []

    def write_and_stop(self: Checkpoint, folder: Path, *rest: Any) -> Path:
        path = write(self, folder, *rest)
        written.append(path)
        if len(written) == number:
            raise Stopped
        return path

    monkeypatch.setattr(Checkpoint, "write", write_and_stop)


@pytest.fixture
def carried_out(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the workflows that `run_workflow` carries out."""
    names: list[str] = []
    carry_out: Callable[..., None] = run_module._carry_out

    def noted(config: Any, *rest: Any) -> None:
        names.append(config.name)
        carry_out(config, *rest)

    monkeypatch.setattr(run_module, "_carry_out", noted)
    return names


def test_goes_on_in_the_fold_that_was_stopped(
    validated: Path, tmp_path: Path, tiny: Any, monkeypatch: pytest.MonkeyPatch, carried_out: list[str]
) -> None:
    config = workflow(tiny, tmp_path)
    with monkeypatch.context() as patch:
        stop_at(patch, 3)  # two checkpoints a fold: in the middle of the second
        with pytest.raises(Stopped):
            run_workflow(config, report=False)
    run = tmp_path / "run"
    assert json.loads((run / "run.json").read_text())["status"] == "failed"
    assert read_status(run).lines()[0].startswith("tiny, fold 2 of 3: failed, step ")
    first = {p.name: p.stat().st_mtime_ns for p in (run / "folds/1").iterdir()}
    carried_out.clear()
    run_workflow(config, report=False)
    assert carried_out == ["tiny", "tiny-fold-2", "tiny-fold-3"]
    assert {p.name: p.stat().st_mtime_ns for p in (run / "folds/1").iterdir()} == first
    assert "going on from the checkpoint of step 3" in (run / "folds/2/log.txt").read_text()
    assert (run / "folds.csv").read_bytes() == (validated / "folds.csv").read_bytes()
    assert (run / "metrics.csv").read_bytes() == (validated / "metrics.csv").read_bytes()
    assert read_status(run).lines()[0] == "tiny: done, step 6 of 6"

    world = (run / "world/observations.nc").read_bytes()
    record = read_record(run / "folds" / "1")
    assert record is not None
    record.clear()  # what --fresh does in a fold: the link goes, not what it leads to
    assert not (run / "folds/1/world").exists()
    assert (run / "world/observations.nc").read_bytes() == world


def test_a_mistake_late_in_the_folds_throws_nothing_away(
    tmp_path: Path, tiny: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that has begun nothing is removed; one with a finished fold has begun."""
    config, cross_validate = workflow(tiny, tmp_path), run_module.cross_validate

    def failing(config: Any, run_dir: Path, inputs: Any, carry_out: Callable[[Any], Path]) -> dict[str, Any]:
        def first_only(fold: Any) -> Path:
            if not fold.name.endswith("1"):
                raise OSError("no space left")
            return carry_out(fold)

        return cross_validate(config, run_dir, inputs, first_only)

    monkeypatch.setattr(run_module, "cross_validate", failing)
    with pytest.raises(InputError, match="no space left; once that is mended"):
        run_workflow(config, report=False)
    assert json.loads((tmp_path / "run/folds/1/run.json").read_text())["status"] == "done"
    assert json.loads((tmp_path / "run/run.json").read_text())["status"] == "failed"


def test_a_twin_is_drawn_once(finished: Path, tmp_path: Path, tiny: Any) -> None:
    import yaml

    data = yaml.safe_load(tiny(tmp_path / "tiny.yaml", tmp_path / "run").read_text())
    del data["world"]
    data |= {
        "network": {"path": str(finished / "world/network.parquet")},
        "runoff": {"path": str(finished / "world/runoff.nc")},
        "twin": {"gauge_fraction": 0.05},
        "gauges": {"folds": 2},
        "report": NO_DISCHARGE,
        "estimate": SHORT,
    }
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(data))
    run = run_workflow(load_workflow(tmp_path / "tiny.yaml"), report=False)
    observed = []
    for folder in (run, run / "folds/1", run / "folds/2"):
        assert (folder / "twin").resolve() == (run / "twin").resolve()
        with xr.open_dataset(folder / "hydrographs.nc") as found:
            observed.append(found["observed"].values)
            if folder != run:
                assert found["held_out"].values.sum() in (3, 4)
    np.testing.assert_array_equal(observed[0], observed[1])
    np.testing.assert_array_equal(observed[0], observed[2])


def test_a_file_system_without_links(
    validated: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rivergrad.run.folds import _share_inputs

    def refuse(*args: Any, **options: Any) -> None:
        raise OSError("operation not supported")

    monkeypatch.setattr(Path, "symlink_to", refuse)
    shutil.copytree(validated / "world", tmp_path / "world")
    _share_inputs(tmp_path, tmp_path / "folds/1")
    copied = tmp_path / "folds/1/world"
    assert not copied.is_symlink()
    assert (copied / "observations.nc").read_bytes() == (tmp_path / "world/observations.nc").read_bytes()


@pytest.mark.parametrize(
    ("gauges", "words"),
    [
        ({"folds": 1}, "found folds 1; expected 2 or more"),
        ({"folds": 3, "holdout": 0.2}, "found folds 3 and holdout 0.2"),
        ({"holdout_by": "river"}, "gauges.holdout_by"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, tiny: Any, gauges: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError) as error:
        workflow(tiny, tmp_path, gauges={"holdout": 0.0, **gauges})
    assert words in str(error.value)


def test_more_folds_than_gauges(tmp_path: Path, tiny: Any) -> None:
    with pytest.raises(InputError, match="found 40 folds and 12 gauges"):
        run_workflow(workflow(tiny, tmp_path, gauges={"holdout": 0.0, "folds": 40}), report=False)
    assert not (tmp_path / "run").exists()


def test_basins_held_out_as_a_share(tmp_path: Path, tiny: Any) -> None:
    config = workflow(tiny, tmp_path, gauges={"holdout": 0.4, "holdout_by": "basin"})
    run = run_workflow(config, report=False)
    network = store.read_network(run / "network.zarr")
    with xr.open_dataset(run / "hydrographs.nc") as data:
        held = data["held_out"].values != 0
        basin = network.basin[network.positions(data["reach_id"].values)]
    assert 2 <= held.sum() <= 9
    assert not set(basin[held]) & set(basin[~held])


def test_all_that_folds_write_is_removed_by_fresh(validated: Path) -> None:
    """The lock of the fold that was carried out by itself as well."""
    written = {path.name for path in validated.iterdir()}
    assert {"folds", "folds.csv", ".folds.lock"} <= written <= set(ITEMS)


def test_a_fold_without_input_leaves_nothing_in_the_way(files: Any) -> None:
    """The same command carries on once the workflow is mended: what it was at first is forgotten."""
    data = yaml.safe_load(files.workflow.read_text()) | {"gauges": {"folds": 3}}
    data["runoff"] = {"path": str(files.folder / "nix.nc")}
    files.workflow.write_text(yaml.safe_dump(data))
    run = files.folder / "run"
    with pytest.raises(InputError, match=r"nix\.nc: no such file"):
        run_fold(load_workflow(files.workflow), 1)
    assert [path.name for path in run.iterdir()] == [".folds.lock"]
