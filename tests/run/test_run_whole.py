"""A workflow end to end on a tiny generated world: what it leaves, how good it is, and that it can be repeated."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr
from typer.testing import CliRunner, Result

from rivercut import store
from rivergrad.cli import app
from rivergrad.config.load import load_workflow
from rivergrad.errors import InputError
from rivergrad.run import evaluation
from rivergrad.run.workflow import run_workflow
from rivergrad.rundir.checkpoint import Checkpoint, read_newest

METRICS = (
    "gauge,reach_id,split,n_obs,nse,kge,nse_unrouted,kge_unrouted,nse_default,kge_default,nse_uniform,kge_uniform"
    ",kge_r,kge_alpha,kge_beta,log_nse,bias,peak_error_days,"
)


def contents(folder: Path) -> dict[str, bytes]:
    found = {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}
    assert found
    return found


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def call(*args: str | Path) -> Result:
    result = CliRunner().invoke(app, [str(arg) for arg in args])
    assert result.exit_code == 0, (result.output, result.exception)
    return result


def test_leaves_what_the_design_names(finished: Path) -> None:
    names = {path.name for path in finished.iterdir()}
    assert names >= {
        "config.yaml", "run.json", "network.zarr", "partition.zarr", "checkpoints", "parameters.zarr",
        "metrics.csv", "history.csv", "hydrographs.nc", "report.html", "log.txt", "maps", "world", "discharge.nc",
    }  # fmt: skip
    assert not [name for name in names if name.startswith(".tmp")]
    assert (finished / "metrics.csv").read_text().startswith(METRICS)
    assert (finished / "history.csv").read_text().splitlines()[0] == "step,loss,validation_nse,seconds"
    sure = (finished / "parameters.zarr" / "identifiability").exists()
    of_sureness = {"identifiability.png", "uncertainty.png", "coverage.png"} if sure else set()
    assert {path.name for path in (finished / "maps").iterdir()} == of_sureness | {
        "celerity.png", "skill.png", "hydrographs.png",
    }  # fmt: skip
    assert "<html" in (finished / "report.html").read_text()[:500].lower()

    network = store.read_network(finished / "network.zarr")
    cut = store.read_partition(finished / "partition.zarr")
    cut.verify(network)
    assert cut.n_parts == 2
    assert cut.summary(network).cut_edges > 0  # the run goes through cuts
    n = network.n_reaches

    info = json.loads((finished / "run.json").read_text())
    assert set(info) >= {
        "name",
        "status",
        "seed",
        "started",
        "finished",
        "seconds",
        "versions",
        "git",
        "machine",
    }
    assert (info["name"], info["status"], info["seed"]) == ("tiny", "done", 3)
    assert info["versions"]["torch"] == torch.__version__
    assert info["summary"]["reaches"] == n
    assert info["summary"]["steps"] == 12
    assert set(info["summary"]["medians"]) == {"train", "time", "gauge", "gauge_time"}

    with xr.open_zarr(finished / "parameters.zarr", consolidated=False) as data:
        assert set(data.variables) >= {
            "reach_id", "celerity", "k", "x", "lat", "lon", "informed", "celerity_true",
        }  # fmt: skip
        assert np.array_equal(data["reach_id"].values, network.reach_id)
        for name, units in (("celerity", "m s-1"), ("k", "s"), ("x", "1")):
            assert data[name].attrs["units"] == units
            assert np.isfinite(data[name].values).all()
        assert network.length is not None
        np.testing.assert_allclose(data["k"].values * data["celerity"].values, network.length, rtol=1e-6)
        assert data.attrs["scheme"] == "muskingum"
        assert 0 < int(data["informed"].sum()) < n

    with xr.open_dataset(finished / "hydrographs.nc") as data:
        assert set(data.variables) >= {
            "time", "gauge", "reach_id", "held_out",
            "observed", "estimate", "unrouted", "default", "uniform",
        }  # fmt: skip
        gauges = data.sizes["gauge"]
        assert data["estimate"].dims == ("time", "gauge")
        assert data["estimate"].attrs["units"] == "m3 s-1"
        assert np.isfinite(data["estimate"].values).all()
        held = int(data["held_out"].sum())
        on_gauges = data["estimate"].values
        reaches = data["reach_id"].values
    assert (gauges, held) == (info["summary"]["gauges"], info["summary"]["held_out_gauges"])
    assert held == round(0.25 * gauges)

    with xr.open_dataset(finished / "discharge.nc") as data:
        assert data["discharge"].dims == ("time", "reach")
        everywhere = data["discharge"].values
        at = network.positions(reaches)
        assert np.array_equal(data["reach"].values, network.reach_id)
        np.testing.assert_allclose(everywhere[:, at], on_gauges, rtol=1e-4, atol=1e-4)

    table = rows(finished / "metrics.csv")
    assert len(table) == 2 * gauges
    assert [sum(row["split"] == split for row in table) for split in ("train", "time", "gauge", "gauge_time")] == [
        gauges - held, gauges - held, held, held,
    ]  # fmt: skip


def test_scores_are_those_of_the_hydrographs(finished: Path) -> None:
    with xr.open_dataset(finished / "hydrographs.nc") as data:
        test = data.sel(time=slice("2001-11-01", "2001-12-30"))
        names = [str(name) for name in data["gauge"].values]
        for row in rows(finished / "metrics.csv"):
            if row["split"] not in ("time", "gauge_time"):
                continue
            g = names.index(row["gauge"])
            observed = test["observed"].values[:, g].astype(float)
            there = ~np.isnan(observed)
            assert int(row["n_obs"]) == there.sum()
            for column, method in (
                ("nse", "estimate"),
                ("nse_uniform", "uniform"),
                ("nse_unrouted", "unrouted"),
            ):
                o, s = observed[there], test[method].values[there, g].astype(float)
                score = 1 - ((s - o) ** 2).sum() / ((o - o.mean()) ** 2).sum()
                assert float(row[column]) == pytest.approx(score, abs=1e-4)


def test_further_scores_are_those_of_the_hydrographs(finished: Path) -> None:
    with xr.open_dataset(finished / "hydrographs.nc") as data:
        test = data.sel(time=slice("2001-11-01", "2001-12-30"))
        names = [str(name) for name in data["gauge"].values]
        for row in rows(finished / "metrics.csv"):
            if row["split"] not in ("time", "gauge_time"):
                continue
            g = names.index(row["gauge"])
            there = ~np.isnan(test["observed"].values[:, g])
            o = test["observed"].values[there, g].astype(float)
            for suffix in ("", "_uniform", "_unrouted"):
                s = test[suffix[1:] or "estimate"].values[there, g].astype(float)
                assert float(row[f"kge_r{suffix}"]) == pytest.approx(np.corrcoef(s, o)[0, 1], abs=1e-4)
            s = test["estimate"].values[there, g].astype(float)
            assert float(row["bias"]) == pytest.approx(s.sum() / o.sum() - 1, abs=1e-4)
            assert float(row["kge_alpha"]) == pytest.approx(s.std() / o.std(), abs=1e-4)
            parts = [float(row[f"kge_{part}"]) - 1 for part in ("r", "alpha", "beta")]
            assert float(row["kge"]) == pytest.approx(1 - np.linalg.norm(parts), abs=1e-6)
            assert row["peak_error_days"] == "" or 0 <= float(row["peak_error_days"]) <= 5


def test_medians_have_intervals(finished: Path) -> None:
    info = json.loads((finished / "run.json").read_text())
    table = rows(finished / "metrics.csv")
    for split, found in info["summary"]["medians"].items():
        here = [row for row in table if row["split"] == split]
        for name, column in (("nse_estimate", "nse"), ("kge_uniform", "kge_uniform")):
            values = [float(row[column]) for row in here]
            assert found[name] == pytest.approx(np.median(values), abs=1e-6)
            low, high = found[f"{name}_interval"]
            assert min(values) - 1e-6 <= low <= found[name] <= high <= max(values) + 1e-6
        assert found["nse_difference"] == pytest.approx(
            found["nse_estimate"] - found["nse_uniform"], abs=1e-9
        )
        gains = np.array([float(row["nse"]) - float(row["nse_uniform"]) for row in here])
        assert found["nse_gain"] == pytest.approx(np.median(gains), abs=1e-6)
        assert found["nse_better"] == (gains > 0).sum()
        low, high = found["nse_difference_interval"]
        assert low <= high
        values = [float(row["log_nse"]) for row in here]
        assert found["log_nse_estimate"] == pytest.approx(np.median(values), abs=1e-6)


def test_estimate_beats_every_baseline_on_training_gauges(finished: Path) -> None:
    medians = json.loads((finished / "run.json").read_text())["summary"]["medians"]["train"]
    for baseline in ("unrouted", "default", "uniform"):
        assert medians["nse_estimate"] > medians[f"nse_{baseline}"], baseline
    assert medians["nse_uniform"] > medians["nse_default"]  # the search found better than where it began


def test_history_tells_every_step(finished: Path) -> None:
    table = rows(finished / "history.csv")
    assert [int(row["step"]) for row in table] == list(range(13))
    assert [int(row["step"]) for row in table if row["validation_nse"]] == [0, 4, 8, 12]
    losses = [float(row["loss"]) for row in table[1:]]
    assert all(np.isfinite(losses))
    assert min(losses) > 0
    newest = read_newest(finished / "checkpoints")
    assert newest is not None
    assert newest.step == 12
    assert len(list((finished / "checkpoints").iterdir())) == 2


def test_same_run_twice_gives_the_same_bytes(finished: Path, tmp_path: Path, tiny: Any) -> None:
    again = run_workflow(load_workflow(tiny(tmp_path / "tiny.yaml", tmp_path / "again")), report=False)
    assert contents(again / "parameters.zarr") == contents(finished / "parameters.zarr")
    assert (again / "metrics.csv").read_bytes() == (finished / "metrics.csv").read_bytes()
    assert not (again / "report.html").exists()


def copy_of(finished: Path, tmp_path: Path, tiny: Any, **sections: Any) -> tuple[Path, Path]:
    """A finished run at another place, and its workflow file."""
    run = tmp_path / "run"
    shutil.copytree(finished, run)
    path = tiny(tmp_path / "tiny.yaml", run)
    (run / "config.yaml").write_text((run / "config.yaml").read_text().replace(str(finished), str(run)))
    return run, (tiny(tmp_path / "tiny.yaml", run, **sections) if sections else path)


def test_rerun_of_a_finished_run_changes_nothing(finished: Path, tmp_path: Path, tiny: Any) -> None:
    run, path = copy_of(finished, tmp_path, tiny)
    before = contents(run / "parameters.zarr"), contents(run / "checkpoints")
    result = call("run", path)
    assert result.stderr.startswith(f"{run}: finished at 20")
    assert result.stdout.splitlines()[-1] == str(run)
    assert (contents(run / "parameters.zarr"), contents(run / "checkpoints")) == before
    assert json.loads((run / "run.json").read_text())["status"] == "done"


def test_another_workflow_in_the_same_directory(finished: Path, tmp_path: Path, tiny: Any) -> None:
    run, path = copy_of(finished, tmp_path, tiny, estimate={"steps": 2, "checkpoint_every": 1})
    before = contents(run)
    with pytest.raises(InputError, match="holds a run of another configuration") as error:
        run_workflow(load_workflow(path))
    assert str(run) in str(error.value)
    assert "--fresh" in str(error.value)
    assert contents(run) == before

    (run / "notes.txt").write_text("mine")
    result = CliRunner().invoke(app, ["estimate", str(path), "--fresh"])
    assert result.exit_code == 0, result.output
    assert json.loads((run / "run.json").read_text())["summary"]["steps"] == 2
    assert [p.name for p in sorted((run / "checkpoints").iterdir())] == ["step-000001.npz", "step-000002.npz"]
    assert (run / "notes.txt").read_text() == "mine"  # not ours to remove
    assert not (run / "report.html").exists()


def test_looking_at_a_run(finished: Path, tmp_path: Path, tiny: Any) -> None:
    run, _ = copy_of(finished, tmp_path, tiny)
    lines = call("status", run).stdout.splitlines()
    assert lines[0] == "tiny: done, step 12 of 12"

    exported = tmp_path / "p.nc"
    call("export", run, "--format", "netcdf", "--output", exported)
    with (
        xr.open_dataset(exported) as found,
        xr.open_zarr(run / "parameters.zarr", consolidated=False) as expected,
    ):
        for name in ("reach_id", "celerity", "k", "x"):
            np.testing.assert_array_equal(found[name].values, expected[name].values)
            assert found[name].attrs.get("units") == expected[name].attrs.get("units")

    (run / "report.html").unlink()
    call("report", run)
    assert (run / "report.html").stat().st_size > 10_000

    metrics = (run / "metrics.csv").read_bytes()
    parameters = contents(run / "parameters.zarr")
    (run / "metrics.csv").unlink()
    assert call("evaluate", run).stdout.splitlines()[-1] == str(run)
    assert (run / "metrics.csv").read_bytes() == metrics
    assert contents(run / "parameters.zarr") == parameters


class Stopped(Exception):
    """Stands for whatever ends a process."""


def test_goes_on_from_a_checkpoint_even_if_the_newest_is_damaged(
    finished: Path, tmp_path: Path, tiny: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tiny(tmp_path / "tiny.yaml", tmp_path / "run")
    write = Checkpoint.write

    def write_and_stop(self: Checkpoint, folder: Path, keep: int) -> Path:
        written = write(self, folder, keep)
        if self.step == 8:
            raise Stopped
        return written

    monkeypatch.setattr(Checkpoint, "write", write_and_stop)
    with pytest.raises(Stopped):
        run_workflow(load_workflow(path), report=False)
    monkeypatch.undo()
    run = tmp_path / "run"
    assert json.loads((run / "run.json").read_text())["status"] == "failed"
    newest = run / "checkpoints" / "step-000008.npz"
    newest.write_bytes(newest.read_bytes()[:-2000])
    looked: list[float] = []
    find = evaluation.find_uniform
    monkeypatch.setattr(evaluation, "find_uniform", lambda *args: looked.append(0) or find(*args))
    run_workflow(load_workflow(path), report=False)
    assert looked == []  # the baseline is kept with the checkpoint
    log = (run / "log.txt").read_text()
    assert "step-000008.npz is damaged" in log
    assert "going on from the checkpoint of step 4" in log
    assert contents(run / "parameters.zarr") == contents(finished / "parameters.zarr")
    assert [int(row["step"]) for row in rows(run / "history.csv")] == list(range(13))
