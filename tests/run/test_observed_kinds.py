"""Snapshots at the ends of steps, and observations that are coarser than the runoff."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr
import yaml

import rivergrad as rg
from rivergrad.config.load import load_workflow
from rivergrad.errors import InputError
from rivergrad.inference.noise import measure
from rivergrad.routing.reported import Report
from rivergrad.run.observed import OnSteps
from rivergrad.run.workflow import run_workflow

N, STEPS, SIX = 12, 360, np.timedelta64(6, "h")
TRUE = 0.7


@pytest.fixture(scope="module")
def twin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A chain with one celerity and 6-hourly runoff; discharge at three reaches each 3 hours, as snapshots."""
    folder = tmp_path_factory.mktemp("kinds")
    rng = np.random.default_rng(2)
    ids = np.arange(1, N + 1)
    table = {"reach_id": ids, "downstream_id": [*ids[1:], -1], "length_m": np.full(N, 9e3)}
    pd.DataFrame(table).to_csv(folder / "n.csv", index=False)
    runoff = rng.exponential(1.0, (STEPS, N)) * (rng.random((STEPS, 1)) < 0.2) * 10
    time = np.datetime64("2001-01-01", "ns") + np.arange(STEPS) * SIX
    rg.write_runoff(folder / "r.nc", ids, time, runoff)
    network = rg.read_network(folder / "n.csv")
    values = {"k": np.full(N, 9e3 / TRUE), "x": np.full(N, 0.2)}
    gauged = ids[[5, 8, 11]]
    source = rg.open_runoff(folder / "r.nc", network)
    mean = rg.simulate(network, source, values, routing_step="3h", reaches=gauged.tolist(), dtype="float64")
    import torch

    router = rg.Router(
        network, forcing_step=21600, routing_step=10800, report="end", dtype=torch.float64, targets=gauged - 1
    )
    end, _ = router(torch.from_numpy(runoff), {k: torch.from_numpy(v) for k, v in values.items()})
    np.savez(folder / "true.npz", mean=mean, end=end.numpy())
    return folder


def observations(folder: Path, name: str, times: np.ndarray, values: np.ndarray, dates: bool = False) -> Path:
    text = np.datetime_as_string(times, "D" if dates else "m")
    rows = [
        {"gauge": f"g{r:02d}", "reach_id": r, "time": t, "discharge": v}
        for c, r in enumerate((6, 9, 12))
        for t, v in zip(text, values[:, c], strict=True)
    ]
    path = folder / f"{name}.csv"
    pd.DataFrame(rows).to_csv(path, index=False)
    return path


def run(folder: Path, name: str, observed: Path, **sections: dict[str, Any]) -> Path:
    data: dict[str, Any] = {
        "name": name, "seed": 1, "output": str(folder / name),
        "network": {"path": str(folder / "n.csv")}, "runoff": {"path": str(folder / "r.nc")},
        "observations": {"path": str(observed)},
        "time": {"routing_step": "3h", "warmup": "10d", "train": ["2001-01-01", "2001-03-20"]},
        "gauges": {"holdout": 0.0},
        "parameters": {"model": "uniform", "celerity": {"initial": 1.2}},
        "estimate": {"method": "gauss_newton", "steps": 5, "window": "40d"}, "uncertainty": {"enabled": False},
        "compute": {"kind": "serial"},
    }  # fmt: skip
    for key, more in sections.items():
        data[key] = {**data.get(key, {}), **more}
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(data))
    return run_workflow(load_workflow(path), report=False, show_scores=False)


def celerity(run: Path) -> float:
    return float(rg.open_run(run).parameters["celerity"].iloc[0])


def hydrographs(run: Path) -> xr.Dataset:
    with xr.open_dataset(run / "hydrographs.nc") as data:
        return data.load()


def starts(count: int = STEPS) -> np.ndarray:
    return np.datetime64("2001-01-01", "ns") + np.arange(count) * SIX


def test_snapshots_are_fitted_as_such(twin: Path) -> None:
    """Their times are those of ends; the celerity is the true one, which it is not where they are taken for means."""
    end = np.load(twin / "true.npz")["end"]
    path = observations(twin, "snapshots", starts() + SIX, end)
    found = run(twin, "end", path, observations={"kind": "end"}, report={"discharge": True})
    assert celerity(found) == pytest.approx(TRUE, rel=1e-3)
    series = hydrographs(found)
    assert series["time"].values[0] == starts()[0] + SIX
    np.testing.assert_allclose(series["estimate"].values[60:], end[60:], rtol=0.01, atol=0.01)
    with xr.open_dataset(found / "discharge.nc") as data:
        assert data["discharge"].attrs["cell_methods"] == "time: point"
        assert data["time"].values[0] == starts()[0] + SIX
    scores = pd.read_csv(found / "metrics.csv")
    assert (scores["nse"] > 0.9999).all()
    wrong = observations(twin, "wrong", starts(), end)
    assert abs(celerity(run(twin, "wrong_kind", wrong)) / TRUE - 1) > 0.05


def test_daily_means_under_six_hourly_runoff(twin: Path) -> None:
    """By Gauss-Newton and by Adam; hydrographs are daily, and the whole of each day counts."""
    mean = np.load(twin / "true.npz")["mean"]
    daily = mean.reshape(-1, 4, 3).mean(axis=1)
    path = observations(twin, "daily", starts()[::4], daily, dates=True)
    found = run(twin, "daily_gn", path, time={"warmup": "0d"}, uncertainty={"enabled": True})
    assert celerity(found) == pytest.approx(TRUE, rel=1e-3)
    series = hydrographs(found)
    np.testing.assert_array_equal(series["time"].values, starts()[::4])
    np.testing.assert_allclose(series["estimate"].values[20:], daily[20:], rtol=0.01, atol=0.01)
    adam = {"method": "adam", "steps": 60, "window": "20d", "learning_rate": 0.1, "evaluate_every": 20}
    assert celerity(run(twin, "daily_adam", path, estimate=adam)) == pytest.approx(TRUE, rel=0.02)


def test_daily_snapshots_under_six_hourly_runoff(twin: Path) -> None:
    """At noon, which is the end of a step."""
    end = np.load(twin / "true.npz")["end"]
    path = observations(twin, "noon", (starts() + SIX)[1::4], end[1::4])
    found = run(twin, "noon_run", path, observations={"kind": "end"})
    assert celerity(found) == pytest.approx(TRUE, rel=1e-3)
    assert hydrographs(found)["time"].values[0] == np.datetime64("2001-01-01T12:00", "ns")


def test_snapshots_finer_than_the_runoff_are_taken_at_its_ends(twin: Path) -> None:
    end = np.load(twin / "true.npz")["end"]
    times = np.datetime64("2001-01-01T03:00", "ns") + np.arange(2 * STEPS) * np.timedelta64(3, "h")
    values = np.repeat(end, 2, axis=0)
    values[::2] = 1e3  # between ends
    path = observations(twin, "fine", times, values)
    found = run(twin, "fine_run", path, observations={"kind": "end"})
    assert celerity(found) == pytest.approx(TRUE, rel=1e-3)


@pytest.mark.parametrize(
    ("name", "times", "keys", "said"),
    [
        (
            "dates",
            starts()[::4],
            {"kind": "end"},
            "snapshots without their times, the first is 2001-01-01; expected",
        ),
        (
            "shifted",
            starts()[1::4] + np.timedelta64(1, "h"),
            {},
            "expected intervals that end with a step of it",
        ),
        (
            "odd",
            np.datetime64("2001-01-01", "ns") + np.arange(80) * np.timedelta64(15, "h"),
            {},
            "whole multiples",
        ),
        (
            "fine_means",
            np.datetime64("2001-01-01", "ns") + np.arange(400) * np.timedelta64(1, "h"),
            {},
            "whole multiples",
        ),
    ],
)
def test_what_does_not_fit_ends_in_a_line(
    twin: Path, name: str, times: np.ndarray, keys: dict[str, Any], said: str
) -> None:
    values = np.random.default_rng(0).random((times.size, 3))
    path = observations(twin, name, times, values, dates=name == "dates")
    with pytest.raises(InputError, match=said):
        run(twin, f"bad_{name}", path, observations=keys)


def test_dates_of_snapshots_may_be_labelled(twin: Path) -> None:
    """`stamp: start`: the day ends with its snapshot."""
    end = np.load(twin / "true.npz")["end"]
    path = observations(twin, "labelled", starts()[::4], end[3::4], dates=True)
    found = run(twin, "labelled_run", path, observations={"kind": "end", "stamp": "start"})
    assert celerity(found) == pytest.approx(TRUE, rel=1e-3)


def test_steps_that_may_have_observations() -> None:
    placed = OnSteps(Report("mean", 4), np.array([5, 9, 13]), np.arange(3), 20)
    for start, stop in ((0, 20), (5, 14), (6, 14), (9, 10)):
        at = np.arange(20)[placed.compared(start, stop)]
        assert at.tolist() == [s for s in range(start, stop) if s % 4 == 1]


def test_the_noise_of_sparse_values_is_that_of_a_series() -> None:
    """Errors that persist from one observation to the next do so where there are steps between."""
    rng = np.random.default_rng(0)
    error = np.zeros(400)
    for t in range(1, 400):
        error[t] = 0.9 * error[t - 1] + rng.standard_normal()
    dense = error.reshape(1, -1, 1)
    sparse, there = np.zeros((1, 1600, 1)), np.zeros((1, 1600, 1), bool)
    sparse[0, 3::4, 0], there[0, 3::4, 0] = error, True
    spread = np.array([10.0])
    worth = measure(dense, np.full_like(dense, 5.0), np.ones_like(dense, dtype=bool), spread).worth
    found = measure(sparse, np.full_like(sparse, 5.0), there, spread).worth
    np.testing.assert_allclose(found, worth, rtol=1e-6)
    assert worth[0] < 0.15
