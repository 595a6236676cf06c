"""Learned runoff: the gradient of the shared weights is that of one process, whatever the partition."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from sweep_problems import ArrayRunoff, Problem, ask, doubtful, off, prepare, same, small_problem

from rivercut.partition import partition
from rivergrad.cluster.executor import Executor, open_executor
from rivergrad.io import open_forcings, write_forcings
from rivergrad.model.layout import RUNOFF, VOLUME
from rivergrad.model.volume import increment_areas
from rivergrad.pieces.learned import Scaling
from rivergrad.pieces.parameters import Given
from rivergrad.run.learnedrunoff import LearnedRunoff, PieceForcings
from rivergrad.runoff import FORCINGS, FlatModule, RunoffSpec

TOLERANCE = 1e-6
FIRST = ("lstm", "hbv", "correction")


def learning(folder: Path, model: str) -> Problem:
    """A problem whose runoff is learned from forcings on disk, in the middle of its way."""
    one, rng = small_problem(folder=folder), np.random.default_rng(23)
    n, steps = one.network.n_reaches, one.steps
    shape = (steps, n)
    variables = {
        "precipitation": (rng.exponential(6.0, shape) * (rng.random(shape) < 0.5), "mm/day"),
        "temperature": (278.0 + 8.0 * rng.standard_normal(shape), "K"),
        "potential_evapotranspiration": (rng.uniform(0.5, 4.0, shape) / 86400.0, "kg m-2 s-1"),
    }
    write_forcings(folder / "forcings.zarr", one.network.reach_id, one.runoff.time, variables)
    source = open_forcings(folder / "forcings.zarr", one.network, FORCINGS)
    spec = RunoffSpec(model, attributes=("height", "clay"), options={"hidden": 6}, seed=4)
    flat = FlatModule(spec.build())
    weights = flat.vector() + 0.05 * rng.standard_normal(flat.size)
    learned = LearnedRunoff(
        spec=spec,
        scaling=Scaling(np.array([3.0, 5.0, 2.0]), np.array([5.0, 8.0, 1.0]), np.zeros(2), np.ones(2)),
        start=weights,
        decays=flat.decays(),
        read=PieceForcings(source, n, None),
        attributes=rng.standard_normal((n, 2)),
        area=rng.uniform(1e7, 9e7, n),
        reach_id=one.network.reach_id,
    )
    return replace(one, learned=learned, shared=np.concatenate([one.shared, weights]))


@pytest.mark.parametrize("model", FIRST)
def test_any_partition_gives_the_same_gradient_of_the_weights(tmp_path: Path, model: str) -> None:
    one = learning(tmp_path, model)
    with open_executor(0) as executor:
        expected = ask(one, partition(one.network, 1), executor, "float64")
        for parts in (2, 5):
            cut = partition(one.network, parts, spread=True, block_reaches=60)
            assert cut.summary(one.network).cut_edges > 0
            found = ask(one, cut, executor, "float64")
            same(found, expected, TOLERANCE)
            mine, whole = (one.layout.view(answer.shared, RUNOFF) for answer in (found, expected))
            assert off(mine, whole) <= TOLERANCE
            assert np.abs(mine).max() > 0


def test_workers_give_the_same_gradient_of_the_weights(tmp_path: Path, two_workers: Executor) -> None:
    one = learning(tmp_path, "lstm")
    with open_executor(0) as executor:
        expected = ask(one, partition(one.network, 1), executor, "float64")
    for parts in (2, 5):
        cut = partition(one.network, parts, spread=True, block_reaches=60)
        same(ask(one, cut, two_workers, "float64"), expected, TOLERANCE)


def test_the_gradient_is_that_of_finite_differences(tmp_path: Path) -> None:
    """Through the runoff model, the routing and a cut."""
    one = learning(tmp_path, "hbv")
    with open_executor(0) as executor:
        cut = partition(one.network, 2, spread=True, block_reaches=60)
        sweep = prepare(one, cut, executor, "float64").sweep
        n = one.network.n_reaches
        gradient = sweep.gradient(one.shared, one.windows, n)[1]
        rng = np.random.default_rng(5)
        direction = np.where(one.layout.mask(RUNOFF), rng.standard_normal(one.shared.size), 0.0)
        h = 1e-5
        up, down = (sweep.gradient(one.shared + sign * h * direction, one.windows, n)[0] for sign in (1, -1))
        expected = (up - down) / (2 * h)
        assert float(gradient @ direction) == pytest.approx(expected, rel=1e-5)


def test_a_volume_error_that_is_predicted_is_taken_out_of_the_runoff() -> None:
    one = doubtful(small_problem())
    assert one.volume is not None
    area = torch.from_numpy(increment_areas(one.network, one.gauges))
    factor = one.volume.factor(torch.from_numpy(one.layout.view(one.shared, VOLUME)), area, 0, one.steps)
    found = []
    with open_executor(0) as executor:
        for parts, predicts in ((1, False), (2, True)):
            runoff = one.runoff if predicts else ArrayRunoff(one.runoff.values * factor.numpy())
            cut = partition(one.network, parts, spread=parts > 1, block_reaches=60)
            made = prepare(replace(one, runoff=runoff), cut, executor, "float64")
            given = Given("estimate", shared=one.shared, volume=predicts)
            found.append(made.join(made.sweep.simulate([given] * len(made.pieces), 0, one.steps)))
    assert off(found[1], found[0]) <= 1e-10


@pytest.mark.parametrize("stage", ["unrouted", "frozen"])
def test_stages(tmp_path: Path, stage: str) -> None:
    """Unrouted, the routing has no gradient; with a frozen model its weights have none, and the routing has one."""
    one = learning(tmp_path, "lstm")
    n, of_runoff = one.network.n_reaches, one.layout.mask(RUNOFF)
    found: list[np.ndarray] = []
    with open_executor(0) as executor:
        for parts in (1, 2):
            cut = partition(one.network, parts, spread=parts > 1, block_reaches=60)
            sweep = prepare(one, cut, executor, "float64").sweep
            weights = one.shared[of_runoff] if stage == "frozen" else None
            sweep.begin_stage(one.layout, stage != "unrouted", weights)
            gradient = sweep.gradient(one.shared, one.windows, n)[1]
            zero, other = (gradient[~of_runoff], gradient[of_runoff])[:: 1 if stage == "unrouted" else -1]
            assert not zero.any()
            assert np.abs(other).max() > 0
            found.append(other)
    assert off(found[1], found[0]) <= TOLERANCE
