"""Run directories with made-up but plausible content, for the tests of the report."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from rivercut import graph
from rivercut.network import RiverNetwork
from rivercut.store import write_network
from rivergrad.rundir.reading import FURTHER_SCORES, METHODS, TIMING_SCORES


def dummy_network(reaches: int = 240, *, positions: bool = True, seed: int = 3) -> RiverNetwork:
    """A forest over a region of 12 by 8 degrees: every reach flows to its nearest lower neighbour."""
    rng = np.random.default_rng(seed)
    lon, lat = rng.uniform(4.0, 16.0, reaches), rng.uniform(44.0, 52.0, reaches)
    height = (lat - 44.0) + 0.3 * rng.random(reaches)  # down to the south
    downstream = np.full(reaches, -1)
    for i in range(reaches):
        near = np.argsort((lon - lon[i]) ** 2 + (lat - lat[i]) ** 2)[1:10]
        lower = near[height[near] < height[i]]
        if lower.size:
            downstream[i] = lower[0]
    below = np.maximum(downstream, 0)
    length = 1e5 * np.hypot(lon - lon[below], lat - lat[below])
    attributes: dict[str, NDArray[np.float64]] = {"lat": lat, "lon": lon} if positions else {}
    return RiverNetwork(
        100 + np.arange(reaches), downstream, np.where(downstream >= 0, length, 2e4), attributes
    )


def dummy_run(
    folder: Path,
    network: RiverNetwork,
    *,
    truth: bool = True,
    gauges: int = 9,
    world: str = "generated",
    first_gauge: str = "0042",
    years: int = 2,
    uncertainty: bool = False,
    folds: int = 0,
) -> Path:
    """Write a valid run directory (DESIGN.md §7) for a network, with made-up but plausible content.

    With `uncertainty` it has intervals that are right, further scores, and intervals of the medians; with `folds` a
    cross-validation of so many.
    """
    rng = np.random.default_rng(11)
    n = network.n_reaches
    folder.mkdir(parents=True)
    size = graph.accumulate(network.downstream, network.order, np.ones(n))
    true = np.exp(rng.normal(-0.2, 0.35, n)) * size**0.12
    celerity = true * np.exp(rng.normal(0.0, 0.15, n))
    large = np.argsort(-size, kind="stable")[: max(3 * gauges, 1)]
    at = np.sort(rng.permutation(large)[:gauges])
    held_out = np.arange(gauges) % 3 == 2
    names = [first_gauge] + [f"{7 * i:04d}" for i in range(1, gauges)]
    informed = np.zeros(n, bool)
    informed[at[~held_out]] = True
    for i in network.order[::-1]:
        informed[i] |= network.downstream[i] >= 0 and informed[network.downstream[i]]

    (folder / "config.yaml").write_text("name: dummy\nscheme: muskingum # <b>as resolved</b>\n")
    info = {
        "name": "A dummy run",
        "status": "done",
        "seed": 7,
        "started": "2026-03-01T10:00:00+00:00",
        "finished": "2026-03-01T10:02:31+00:00",
        "seconds": 151.2,
        "versions": {"rivergrad": "0.1.0", "python": "3.11.2", "torch": "2.13.0"},
        "git": "0123abc",
        "machine": {"system": "Linux", "cpus": 2},
        "summary": {
            "scheme": "muskingum", "reaches": n, "basins": network.n_basins, "parts": 4, "workers": 2,
            "gauges": gauges, "steps": 60, "best_step": 44, "forcing_step_s": 86400, "routing_step_s": 3600,
            "world": world,
        },
    }  # fmt: skip
    (folder / "run.json").write_text(json.dumps(info))
    write_network(network, folder / "network.zarr")
    shuffled = rng.permutation(n)  # the reader has to go by id
    values = {"celerity": celerity, "k": 5e4 / celerity, "x": np.full(n, 0.2), "informed": informed}
    if truth:
        values["celerity_true"] = true
    if uncertainty:
        told = np.where(informed, np.random.default_rng(5).uniform(0.0, 1.0, n), 0.0)
        sd = 0.15 + 0.2 * (1 - told)
        values |= {"identifiability": told, "celerity_log_sd": sd}
        values |= {"celerity_lower": celerity * np.exp(-1.645 * sd)}
        values |= {"celerity_upper": celerity * np.exp(1.645 * sd)}
    xr.Dataset(
        {name: ("reach", array[shuffled]) for name, array in values.items()},
        coords={"reach_id": ("reach", network.reach_id[shuffled])},
    ).to_zarr(folder / "parameters.zarr", consolidated=False)

    rows = []
    skill = np.clip(rng.normal(0.75, 0.12, gauges), -0.4, 0.98)
    for g in range(gauges):
        for split in ("gauge", "gauge_time") if held_out[g] else ("train", "time"):
            nse = skill[g] - 0.03 * (split in ("time", "gauge_time"))
            row = {"gauge": names[g], "reach_id": network.reach_id[at[g]], "split": split, "n_obs": 700}
            row |= {"nse": nse, "kge": nse + 0.05}
            for loss, method in zip((0.4, 0.15, 0.04), METHODS[:3], strict=True):
                lost = loss * rng.uniform(0.2, 1.6) - 0.01
                row |= {f"nse_{method}": nse - lost, f"kge_{method}": nse + 0.05 - lost}
            rows.append(row)
    metrics = pd.DataFrame(rows)
    if uncertainty:
        metrics = with_further_scores(metrics)
        ranges = {
            split: {"nse_estimate_interval": [0.612, 0.823], "nse_difference_interval": [-0.011, 0.077]}
            for split in set(metrics["split"])
        }
        info["summary"] |= {"medians": ranges}
        (folder / "run.json").write_text(json.dumps(info))
    metrics.to_csv(folder / "metrics.csv", index=False)
    if folds:
        held = metrics.replace({"split": {"train": "gauge", "time": "gauge_time"}})
        held.insert(0, "fold", np.arange(len(held)) // 2 % folds + 1)
        held.to_csv(folder / "folds.csv", index=False)
    step = np.arange(1, 61)
    pd.DataFrame(
        {
            "step": step,
            "loss": 0.2 + 0.8 * np.exp(-step / 12.0) + 0.02 * rng.random(60),
            "validation_nse": np.where(step % 5 == 0, 0.75 - 0.5 * np.exp(-step / 10.0), np.nan),
            "seconds": 1.5 * step,
        }
    ).to_csv(folder / "history.csv", index=False)

    days = 365 * years
    time = np.datetime64("2001-01-01", "ns") + np.arange(days) * np.timedelta64(1, "D")
    storms = rng.gamma(0.15, 4.0, (days, gauges)) * (1.2 + np.sin(np.arange(days) / 58.0))[:, None]
    smooth = (
        np.stack(
            [np.convolve(storms[:, g], np.exp(-np.arange(40) / 6.0))[:days] for g in range(gauges)], axis=1
        )
        * size[at]
    )
    observed = smooth * np.exp(rng.normal(0.0, 0.08, smooth.shape))
    observed[rng.random(observed.shape) < 0.1] = np.nan
    series = {
        "observed": observed, "estimate": smooth * 1.02, "unrouted": storms * size[at] * 4,
        "default": np.roll(smooth, -2, axis=0), "uniform": 0.5 * (smooth + np.roll(smooth, 3, axis=0)),
    }  # fmt: skip
    xr.Dataset(
        {name: (("time", "gauge"), array, {"units": "m3 s-1"}) for name, array in series.items()}
        | {"reach_id": ("gauge", network.reach_id[at]), "held_out": ("gauge", held_out)},
        coords={"time": time, "gauge": names},
    ).to_netcdf(folder / "hydrographs.nc", engine="netcdf4")
    return folder


def with_further_scores(metrics: pd.DataFrame) -> pd.DataFrame:
    """The table with every column that a run writes."""
    rng = np.random.default_rng(4)
    further = {name: 0.9 + 0.05 * rng.standard_normal(len(metrics)) for name in FURTHER_SCORES}
    further["bias"] = rng.normal(0.0, 0.1, len(metrics))
    further["peak_error_days"] = rng.integers(0, 4, len(metrics)).astype(float)
    baselines = {f"{name}_{method}": further[name] - 0.05 for method in METHODS[:3] for name in TIMING_SCORES}
    return metrics.assign(**further, **baselines)
