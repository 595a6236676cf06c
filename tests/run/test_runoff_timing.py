"""Runoff that comes too early: delays are found, celerities are right again, and what is not told is said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

import rivergrad as rg
from rivergrad.errors import InputError
from rivergrad.run.timinginterval import CELERITY, NOTHING, TELLS, not_apart
from rivergrad.rundir.reading import RunData, read_run

EARLY = 1
"""Days that the given runoff of the lower half is early."""
DAYS, REACHES, GAUGES = 220, 24, np.array([3, 7, 11, 23])


def twin(folder: Path) -> None:
    """A river of 24 reaches with a gauge after 4, 8 and 12 of them, and one at the mouth."""
    rng = np.random.default_rng(4)
    down = np.append(np.arange(1, REACHES), -1)
    rivers = rg.RiverNetwork(np.arange(1, REACHES + 1), down, np.full(REACHES, 9000.0))
    storms = rng.gamma(0.6, 4.0, (DAYS, 2)) * (rng.random((DAYS, 2)) < 0.3)
    true = np.repeat(storms, REACHES // 2, axis=1) + 0.2
    given = {"k": torch.full((REACHES,), 9000 / 0.7), "x": torch.full((REACHES,), 0.2)}
    truth = rg.route(rivers, torch.from_numpy(true), given, forcing_step="1d", routing_step="3h").numpy()
    observed = truth * np.exp(0.03 * rng.standard_normal(truth.shape))
    early = true.copy()
    early[:-EARLY, REACHES // 2 :] = true[EARLY:, REACHES // 2 :]
    times = np.datetime64("2001-01-01", "ns") + np.arange(DAYS) * np.timedelta64(1, "D")
    rg.write_network(folder / "n.csv", rivers)
    rg.write_runoff(folder / "r.nc", rivers.reach_id, times, early)
    names = [f"G{at}" for at in GAUGES]
    rg.write_observations(folder / "o.nc", names, rivers.reach_id[GAUGES], times, observed[:, GAUGES])


def run(folder: Path, name: str, parameters: dict[str, Any], **more: Any) -> RunData:
    data: dict[str, Any] = {
        "name": name,
        "seed": 1,
        "output": str(folder / name),
        **{key: {"path": str(folder / file)} for key, file in FILES.items()},
        "time": {"routing_step": "3h", "warmup": "20d", "train": ["2001-01-01", "2001-08-01"]},
        "gauges": {"screening": {"enabled": False}},
        "parameters": {
            "celerity": {"initial": 0.6, "bounds": [0.05, 5.0]},
            "deviation_sd": 0.4,
            **parameters,
        },
        "compute": {"kind": "serial", "dtype": "float64"},
        "partition": {"parts": 1},
        "estimate": {
            "method": "gauss_newton",
            "steps": 8,
            "evaluate_every": 4,
            "uniform_grid": 6,
            "window": "90d",
        },
        "uncertainty": {"products": 60, "checks": 0},
    }
    for section, values in more.items():
        data[section] = data[section] | values
    (folder / f"{name}.yaml").write_text(yaml.safe_dump(data))
    return read_run(
        rg.run_workflow(rg.load_workflow(folder / f"{name}.yaml"), report=False, show_scores=False)
    )


FILES = {"network": "n.csv", "runoff": "r.nc", "observations": "o.nc"}
TIMING = {"timing": {"sd": "1d"}}


def error(found: RunData) -> float:
    return float(np.abs(np.log(found.celerity / 0.7)).mean())


def test_delays_are_found_and_celerities_right_again(tmp_path: Path) -> None:
    twin(tmp_path)
    without = run(tmp_path, "without", {})
    found = run(tmp_path, "with", TIMING)
    rows = {row["gauge"]: row for row in found.summary["uncertainty"]["runoff_delays"]}
    days = {name: row["runoff_delay_s"] / 86400 for name, row in rows.items()}
    assert abs(days["G23"] - EARLY) < 0.1
    assert all(abs(days[name]) < 0.3 for name in ("G3", "G7", "G11"))
    assert all(row["runoff_delay_lower_s"] < row["runoff_delay_upper_s"] for row in rows.values())
    assert error(found) < 0.5 * error(without)
    below = found.parameters["runoff_delay"][12:]
    np.testing.assert_allclose(below, days["G23"] * 86400, atol=1.0)


def test_pieces_and_models_without_deviations_take_the_same_delays(tmp_path: Path) -> None:
    twin(tmp_path)
    shared = {**TIMING, "model": "uniform"}
    whole = run(tmp_path, "whole", shared)
    cut = run(tmp_path, "cut", shared, partition={"parts": 3, "block_reaches": 6, "spread": True})
    for name in ("runoff_delay", "runoff_delay_lower", "celerity"):
        np.testing.assert_allclose(whole.parameters[name], cut.parameters[name], rtol=1e-4, atol=1.0)
    assert abs(whole.celerity[0] / 0.7 - 1) < 0.03
    by_adam = run(tmp_path, "adam", shared, estimate={"method": "adam", "steps": 50, "learning_rate": 0.1})
    assert abs(by_adam.celerity[0] / 0.7 - 1) < 0.06


def test_what_is_not_told_from_celerity_is_said() -> None:
    rows = [{"gauge": "A", "told": TELLS}, {"gauge": "B", "told": CELERITY}, {"gauge": "C", "told": NOTHING}]
    said = not_apart(rows)
    assert said is not None
    assert "at 1 of 3 gauges the data do not tell late runoff from slow rivers (B)" in said
    assert not_apart(rows[::2]) is None


def test_learned_runoff_has_no_delay_of_its_own(tmp_path: Path) -> None:
    twin(tmp_path)
    (tmp_path / "w.yaml").write_text(
        yaml.safe_dump(
            {
                "name": "w",
                "network": {"path": str(tmp_path / "n.csv")},
                "runoff": {"kind": "learned", "model": "correction", "path": str(tmp_path / "r.nc")},
                "observations": {"path": str(tmp_path / "o.nc")},
                "time": {"routing_step": "3h", "warmup": "20d", "train": ["2001-01-01", "2001-08-01"]},
                "parameters": TIMING,
                "estimate": {"window": "90d"},
            }
        )
    )
    with pytest.raises(InputError, match=r"parameters\.timing with learned runoff"):
        rg.load_workflow(tmp_path / "w.yaml")
