"""Products with the Jacobian of gauged discharge: those of finite differences, under every partition."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import FrameType

import numpy as np
import pytest
from sweep_problems import Estimate, Float, Problem, cuts, doubtful, off, prepare, small_problem

from rivercut.network import RiverNetwork
from rivercut.partition import Partition, partition
from rivergrad.cluster.executor import Executor, open_executor
from rivergrad.pieces.leastsquares import LeastSquares

REACHES = 90
STEP = 1e-6  # of the difference quotient J v: its error is of that order
CASES = [
    (scheme, change)
    for scheme in ("muskingum", "hayami", "nash_cascade")
    for change in ("plain", "volume errors")
]


@cache
def asked(scheme: str, change: str) -> Problem:
    one = small_problem(scheme, n=REACHES)
    return doubtful(one) if change == "volume errors" else one


def all_cuts(network: RiverNetwork) -> dict[str, Partition]:
    return cuts(network, 20)


def least_squares(made: Estimate) -> LeastSquares:
    one = made.problem
    return LeastSquares(
        made.sweep, one.windows, one.network.n_reaches, one.shared.size, made.split, made.join
    )


@cache
def dense(scheme: str, change: str) -> tuple[Float, Float]:
    """Discharge and its Jacobian, (value, shared coefficients and then deviations), by central differences."""
    one = asked(scheme, change)
    n_shared = one.shared.size
    start = np.concatenate([one.shared, one.free.ravel()])
    with open_executor(0) as executor:
        problem = least_squares(prepare(one, partition(one.network, 1), executor, "float64"))

        def discharge(z: Float) -> Float:
            return problem.linearise(z[:n_shared], z[n_shared:].reshape(one.free.shape))

        here = discharge(start)
        h = 1e-5
        columns = []
        for k in range(start.size):
            move = np.zeros(start.size)
            move[k] = h
            columns.append((discharge(start + move) - discharge(start - move)).ravel() / (2 * h))
    jacobian = np.stack(columns, axis=1)
    assert (np.linalg.norm(jacobian, axis=0)[:n_shared] > 0).all()
    return here, jacobian


@pytest.fixture(scope="module")
def serial() -> Iterator[Executor]:
    with open_executor(0) as executor:
        yield executor


def ravelled(pair: tuple[Float, Float]) -> Float:
    return np.concatenate([pair[0], pair[1].ravel()])


@pytest.mark.parametrize(("scheme", "change"), CASES)
def test_products_are_those_of_finite_differences(scheme: str, change: str, serial: Executor) -> None:
    one, (here, jacobian) = asked(scheme, change), dense(scheme, change)
    rng = np.random.default_rng(5)
    seed, weight = rng.standard_normal(here.shape), rng.uniform(0.1, 2.0, here.shape)
    along, toward = rng.standard_normal(one.shared.shape), rng.standard_normal(one.free.shape)
    direction = ravelled((along, toward))
    image = jacobian @ direction
    for name, cut in all_cuts(one.network).items():
        made = prepare(one, cut, serial, "float64")
        problem = least_squares(made)
        assert off(problem.linearise(one.shared, one.free), here) < 1e-12, name
        assert off(ravelled(problem.pull(seed)), jacobian.T @ seed.ravel()) < 1e-7, name
        moved = problem.tangent(toward, along, STEP)
        assert off(moved.ravel(), image) < 1e-4 * np.abs(direction).max(), name
        problem.weigh(weight)
        found = ravelled(problem.information(along, toward, STEP))
        assert off(found, jacobian.T @ (weight.ravel() * image)) < 1e-4, name
        # the steps that a fit takes
        found = ravelled(problem.information(along, toward))
        assert off(found, jacobian.T @ (weight.ravel() * image)) < 2e-3, name
        only = problem.tangent(toward)
        assert off(only.ravel(), jacobian[:, one.shared.size :] @ toward.ravel()) < 2e-3, name


def test_a_product_is_few_calls_deep(serial: Executor) -> None:
    """From the client to the engine a reader follows no more than eight functions of the package."""
    one = asked("muskingum", "plain")
    problem = least_squares(prepare(one, partition(one.network, 1), serial, "float64"))
    problem.weigh(np.ones_like(problem.linearise(one.shared, one.free)))
    deepest: list[str] = []

    def look(frame: FrameType, event: str, _: object) -> None:
        if event == "call" and frame.f_code.co_qualname.endswith("Engine.apply"):
            stack: list[str] = []
            at: FrameType | None = frame
            while at is not None:
                if f"{os.sep}rivergrad{os.sep}" in at.f_code.co_filename:
                    stack.append(at.f_code.co_qualname)
                at = at.f_back
            deepest[:] = max(deepest, stack, key=len)

    before = sys.getprofile()
    sys.setprofile(look)
    try:
        problem.information(np.ones_like(one.shared), np.ones_like(one.free))
    finally:
        sys.setprofile(before)
    assert deepest[-1] == "LeastSquares.information"
    assert len(deepest) <= 8, deepest


@pytest.mark.parametrize(("scheme", "change"), CASES)
def test_the_two_products_are_each_others_transposes(scheme: str, change: str, serial: Executor) -> None:
    """<Jᵀ s, v> = <s, J v>, J v by a central difference, so that its error is of second order."""
    one = asked(scheme, change)
    rng = np.random.default_rng(6)
    for name, cut in all_cuts(one.network).items():
        made = prepare(one, cut, serial, "float64")
        problem = least_squares(made)
        here = problem.linearise(one.shared, one.free)
        for _ in range(3):
            seed = rng.standard_normal(here.shape)
            along, toward = rng.standard_normal(one.shared.shape), rng.standard_normal(one.free.shape)
            pulled = problem.pull(seed)
            forth, back = (problem.tangent(toward, along, h) for h in (1e-5, -1e-5))
            expected = float((seed * (forth + back) / 2).sum())
            found = float(pulled[0] @ along + (pulled[1] * toward).sum())
            assert found == pytest.approx(expected, rel=1e-6), name


def test_products_agree_with_each_other_under_every_partition(serial: Executor) -> None:
    """To rounding: the same difference quotient whatever the cut."""
    one = asked("muskingum", "volume errors")
    rng = np.random.default_rng(7)
    along, toward = rng.standard_normal(one.shared.shape), rng.standard_normal(one.free.shape)
    found = []
    for cut in all_cuts(one.network).values():
        made = prepare(one, cut, serial, "float64")
        problem = least_squares(made)
        here = problem.linearise(one.shared, one.free)
        problem.weigh(np.ones(here.shape))
        found.append(
            (
                ravelled(problem.pull(np.cos(np.arange(here.size)).reshape(here.shape))),
                problem.tangent(toward, along, 1e-4),
                ravelled(problem.information(along, toward, 1e-4)),
            )
        )
    for pulled, image, information in found[1:]:
        assert off(pulled, found[0][0]) < 1e-11
        assert off(image, found[0][1]) < 1e-9
        assert off(information, found[0][2]) < 1e-9


def test_no_direction_has_no_image(serial: Executor) -> None:
    one = asked("muskingum", "volume errors")
    problem = least_squares(prepare(one, partition(one.network, 1), serial, "float64"))
    here = problem.linearise(one.shared, one.free)
    problem.weigh(np.ones(here.shape))
    shared, free = problem.information(np.zeros_like(one.shared), np.zeros_like(one.free))
    assert not shared.any()
    assert not free.any()
    assert not problem.tangent(np.zeros_like(one.free)).any()


def test_a_direction_far_from_a_gauge_has_no_image(serial: Executor) -> None:
    """A reach that no gauge lies downstream of moves nothing, exactly: no rounding leaks through cuts."""
    one = asked("muskingum", "plain")
    down = one.network.downstream
    seen = np.zeros(one.network.n_reaches, bool)
    seen[one.gauges] = True
    for i in one.network.order[::-1]:
        seen[i] |= down[i] >= 0 and seen[down[i]]
    assert 0 < seen.sum() < seen.size
    toward = np.where(seen, 0.0, np.random.default_rng(8).standard_normal(one.free.shape))
    for cut in all_cuts(one.network).values():
        problem = least_squares(prepare(one, cut, serial, "float64"))
        here = problem.linearise(one.shared, one.free)
        assert not problem.tangent(toward).any()
        assert not problem.pull(np.ones(here.shape))[1][:, ~seen].any()


def test_routing_in_single_precision_has_products_in_double(serial: Executor) -> None:
    """A difference quotient of single precision would be noise."""
    one, (here, jacobian) = asked("muskingum", "plain"), dense("muskingum", "plain")
    problem = least_squares(prepare(one, partition(one.network, 2), serial, "float32"))
    assert off(problem.linearise(one.shared, one.free), here) < 1e-6  # the runoff itself is kept in single
    toward = np.random.default_rng(9).standard_normal(one.free.shape)
    image = jacobian[:, one.shared.size :] @ toward.ravel()
    assert off(problem.tangent(toward).ravel(), image) < 2e-3


def test_placing_moves_the_pieces_and_what_they_know_of_their_neighbours(serial: Executor) -> None:
    one = asked("muskingum", "plain")
    elsewhere = np.random.default_rng(10).standard_normal(one.free.shape)
    expected = None
    for cut in all_cuts(one.network).values():
        sweep = prepare(one, cut, serial, "float64").sweep
        sweep.place(elsewhere)
        np.testing.assert_array_equal(sweep.collect(one.network.n_reaches)["free"], elsewhere)
        loss, shared, free = sweep.gradient(one.shared, one.windows, one.network.n_reaches)
        if expected is None:
            expected = loss, shared, free
        assert loss == pytest.approx(expected[0], rel=1e-12)
        assert off(free, expected[2]) < 1e-11
        np.testing.assert_array_equal(
            sweep.collect(one.network.n_reaches)["free"], elsewhere
        )  # nothing moved


@pytest.mark.parametrize("scale", [1.0, 0.01])
def test_advancing_is_adam_on_the_last_gradient(scale: float, serial: Executor) -> None:
    """Adam's first step is ± the rate whatever the gradient's size; the pieces' neighbours move with it."""
    one = asked("muskingum", "plain")
    moved = []
    for cut in all_cuts(one.network).values():
        sweep = prepare(one, cut, serial, "float64").sweep
        _, _, gradient = sweep.gradient(one.shared, one.windows, one.network.n_reaches)
        sweep.advance(0.1, scale)
        after = sweep.collect(one.network.n_reaches)["free"]
        sure = np.abs(gradient) * scale > 1e-6
        np.testing.assert_allclose((after - one.free)[sure], -0.1 * np.sign(gradient[sure]), rtol=0.02)
        moved.append((after, sweep.gradient(one.shared, one.windows, one.network.n_reaches)[2]))
    for after, gradient in moved[1:]:
        assert off(after, moved[0][0]) < 1e-7
        assert off(gradient, moved[0][1]) < 1e-7


@pytest.mark.slow
@pytest.mark.distributed
def test_on_workers(tmp_path: Path, two_workers: Executor, serial: Executor) -> None:
    one = doubtful(small_problem(folder=tmp_path, n=REACHES))
    rng = np.random.default_rng(11)
    along, toward = rng.standard_normal(one.shared.shape), rng.standard_normal(one.free.shape)

    def answers(cut: Partition, executor: Executor) -> list[Float]:
        made = prepare(one, cut, executor, "float64")
        problem = least_squares(made)
        here = problem.linearise(one.shared, one.free)
        problem.weigh(1 / (1 + here**2))
        image = problem.tangent(toward, along, 1e-4)
        information = ravelled(problem.information(along, toward, 1e-4))
        pulled = ravelled(problem.pull(np.sin(np.arange(here.size)).reshape(here.shape)))
        made.sweep.forget_information()
        return [here, image, information, pulled]

    expected = answers(partition(one.network, 1), serial)
    for name, cut in all_cuts(one.network).items():
        if name != "1 parts":
            for found, wanted in zip(answers(cut, two_workers), expected, strict=True):
                assert off(found, wanted) < 1e-9, name
