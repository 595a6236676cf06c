"""Gauges of worlds and twins see the true runoff, the estimate is given one with errors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from rivergrad.config.load import load_workflow
from rivergrad.config.sections import TwinSection
from rivergrad.io import open_runoff, read_network, read_parameters, write_network_table, write_runoff
from rivergrad.run.inputs import Inputs, prepare_inputs
from rivergrad.run.true_runoff import true_runoff
from rivergrad.world import WorldSpec, draw_runoff_factor, generate_network, generate_runoff

TIME = {"routing_step": "12h", "train": ["2001-01-01", "2001-03-31"], "test": ["2001-04-01", "2001-05-31"]}
ERRORS = {"runoff_error": 0.2, "runoff_bias": 0.3, "runoff_noise": 0.1}


def inputs(folder: Path, **sections: Any) -> Inputs:
    import yaml

    folder.mkdir()
    path = folder / "w.yaml"
    data = {"name": "w", "output": str(folder), "time": TIME, "estimate": {"window": "30d"}, **sections}
    path.write_text(yaml.safe_dump(data))
    return prepare_inputs(load_workflow(path), folder)


def test_a_world(tmp_path: Path) -> None:
    spec = {"seed": 2, "reaches": 60, "years": 0.5, "gauge_fraction": 1.0, "noise": 0.0, "gap_fraction": 0.0}
    exact = inputs(tmp_path / "exact", world={"spec": spec})
    wrong = inputs(tmp_path / "wrong", world={"spec": {**spec, **ERRORS}})
    np.testing.assert_array_equal(wrong.observed, exact.observed)
    assert not np.isnan(exact.observed).any()
    assert exact.observed.shape[1] == exact.network.n_reaches
    true, given = (source.runoff.read(None, 0, exact.runoff.time.size) for source in (exact, wrong))
    kept = open_runoff(tmp_path / "wrong" / "world" / "runoff_true.nc", wrong.network)
    np.testing.assert_array_equal(kept.read(None, 0, kept.time.size), true)
    factor = draw_runoff_factor(
        exact.network, given.shape[0], 86_400.0, seed=2, error=0.2, bias=0.3, noise=0.1
    )
    np.testing.assert_allclose(given, true * factor(0, given.shape[0]), rtol=2e-7)
    assert not (tmp_path / "exact" / "world" / "runoff_true.nc").exists()
    for name in ("celerity", "spreading"):
        truths = [
            read_parameters(tmp_path / run / "world" / "truth.parquet", [name], exact.network)
            for run in ("exact", "wrong")
        ]
        np.testing.assert_array_equal(truths[0][name], truths[1][name])


def test_a_twin_of_given_runoff(tmp_path: Path) -> None:
    """What is given has the errors already: the gauges of its twin see what it was made from."""
    spec = WorldSpec(seed=2, reaches=60, years=0.5)
    network = generate_network(spec).network
    time, flow = generate_runoff(spec, network)
    flow *= 1e6  # no channel is too dry for a gauge
    factor = draw_runoff_factor(network, len(time), 86_400.0, seed=9, error=0.2, bias=0.3, noise=0.1)
    write_network_table(tmp_path / "network.parquet", network)
    write_runoff(tmp_path / "true.nc", network.reach_id, time, flow, dtype=np.float64)
    write_runoff(tmp_path / "given.nc", network.reach_id, time, flow * factor(0, len(time)), dtype=np.float64)

    twin = {"gauge_fraction": 0.5, "noise": 0.0, "gap_fraction": 0.0}
    found = [
        inputs(
            tmp_path / name,
            seed=9,
            network={"path": str(tmp_path / "network.parquet")},
            runoff={"path": str(tmp_path / f"{name}.nc")},
            twin={**twin, **errors},
        )
        for name, errors in (("true", {}), ("given", ERRORS))
    ]
    np.testing.assert_array_equal(found[0].observations.reach, found[1].observations.reach)
    np.testing.assert_allclose(found[1].observed, found[0].observed, rtol=3e-7)
    assert found[0].observed.shape[1] == round(0.5 * network.n_reaches)


def test_true_runoff_of_some_reaches(tmp_path: Path) -> None:
    spec = WorldSpec(seed=2, reaches=60, years=0.1)
    network = generate_network(spec).network
    write_network_table(tmp_path / "network.parquet", network)
    write_runoff(tmp_path / "given.nc", network.reach_id, *generate_runoff(spec, network))
    network = read_network(tmp_path / "network.parquet")
    given = open_runoff(tmp_path / "given.nc", network)
    assert true_runoff(given, network, TwinSection(), 1) is given
    source = true_runoff(given, network, TwinSection(runoff_bias=0.5, runoff_noise=0.2), 1)
    whole = source.read(None, 0, 30)
    some = np.array([40, 2, 7])
    np.testing.assert_allclose(source.read(some, 10, 20), whole[10:20, some], rtol=1e-14)
    np.testing.assert_allclose(source.select(some).read(None, 10, 20), whole[10:20, some], rtol=1e-14)
    np.testing.assert_allclose(
        source.select(some).read(np.array([2, 0]), 10, 20), whole[10:20, some[[2, 0]]], rtol=1e-14
    )
    assert (whole != given.read(None, 0, 30)).all()
