"""The optimisers on problems with known minima, without a river: where they go, what they remember, when they stop."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.optimize import minimize

from rivergrad.config.sections import EstimateSection
from rivergrad.inference.adam import Adam
from rivergrad.pieces.leastsquares import covering_windows
from rivergrad.run.fit import LAST_RATE, learning_rate
from rivergrad.run.optimisers import AdamOptimiser, LbfgsOptimiser

Float = NDArray[np.float64]
Function = Callable[[Float], tuple[float, Float]]


def rosenbrock(x: Float) -> tuple[float, Float]:
    a, b = x[:-1], x[1:]
    gradient = np.zeros_like(x)
    gradient[:-1] = -400 * a * (b - a**2) - 2 * (1 - a)
    gradient[1:] += 200 * (b - a**2)
    return float((100 * (b - a**2) ** 2 + (1 - a) ** 2).sum()), gradient


def bowl(x: Float) -> tuple[float, Float]:
    scale = 10.0 ** np.linspace(0, 3, x.size)
    return 1 + 0.5 * float((scale * (x - 2) ** 2).sum()), scale * (x - 2)


class FakeSweep:
    """A function of shared coefficients and of deviations (1, reach), as a sweep's pieces would hold them."""

    def __init__(self, function: Function, n_shared: int, n_reaches: int) -> None:
        self.function, self.n_shared = function, n_shared
        self.free = np.zeros((1, n_reaches))
        self.best = self.free
        self.evaluations = 0
        self.adam = Adam.at_rest(self.free)

    def place(self, free: Float) -> None:
        self.free = free.copy()

    def gradient(self, shared: Float, windows: Any, n_reaches: int) -> tuple[float, Float, Float]:
        self.evaluations += 1
        value, slope = self.function(np.concatenate([shared, self.free.ravel()]))
        return value, slope[: self.n_shared], slope[self.n_shared :].reshape(self.free.shape)

    def collect(self, n_reaches: int) -> dict[str, Float]:
        return {"best": self.best}

    def step(self, shared: Float, windows: Any, after: str, rate: float) -> dict[str, Any]:
        value, of_shared, self.slope = self.gradient(shared, windows, self.free.shape[1])
        if after == "move":
            self.advance(rate, 1.0)
        return {"loss": value, "shared": of_shared, "square": float((self.slope**2).sum())}

    def advance(self, rate: float, scale: float) -> None:
        self.moved_by = scale
        self.free = self.free + self.adam.update(self.slope * scale, rate)


def nothing(shared: Float) -> tuple[float, Float]:
    return 0.0, np.zeros_like(shared)


def lbfgs(function: Function, start: Float, n_shared: int = 2) -> LbfgsOptimiser:
    sweep: Any = FakeSweep(function, n_shared, start.size - n_shared)
    made = LbfgsOptimiser(sweep, start[:n_shared].copy(), start.size - n_shared, 1, [], nothing)
    made._free = start[n_shared:][None].copy()
    return made


def position(one: LbfgsOptimiser) -> Float:
    return np.concatenate([one.shared, one._free.ravel()])


@pytest.mark.parametrize(
    ("function", "start", "minimum"),
    [(rosenbrock, np.array([-1.2, 1.0, -1.2, 1.0]), 1.0), (bowl, np.full(12, -3.0), 2.0)],
    ids=["rosenbrock", "quadratic"],
)
def test_lbfgs_finds_the_minimum_that_scipy_finds(function: Function, start: Float, minimum: float) -> None:
    one = lbfgs(function, start)
    losses = []
    for number in range(200):
        losses.append(one.step(number))
        if one.finished:
            break
    assert one.finished
    assert np.all(np.diff(losses) <= 0)
    scipys = minimize(function, start, jac=True, method="L-BFGS-B", options={"ftol": 1e-15, "gtol": 1e-10})
    np.testing.assert_allclose(scipys.x, minimum, atol=1e-4)
    np.testing.assert_allclose(position(one), minimum, atol=1e-4)
    sweep: Any = one.sweep
    np.testing.assert_array_equal(sweep.free, one._free)  # the pieces are where the optimiser says
    assert sweep.evaluations < 3 * scipys.nfev


def test_lbfgs_stops_where_nothing_brings_anything() -> None:
    one = lbfgs(bowl, np.full(5, 2.0))
    one.step(0)
    assert one.finished
    assert position(one) == pytest.approx(np.full(5, 2.0))

    def lies(x: Float) -> tuple[float, Float]:  # a gradient that is none of the function's
        return float((x**2).sum()), -2 * x

    one = lbfgs(lies, np.full(5, 1.0))
    one.step(0)
    assert one.finished
    np.testing.assert_array_equal(position(one), 1.0)
    sweep: Any = one.sweep
    np.testing.assert_array_equal(sweep.free, 1.0)


def test_lbfgs_goes_on_from_its_state_as_if_nothing_had_happened() -> None:
    start = np.array([-1.2, 1.0, 0.3, 0.4])
    whole, first = lbfgs(rosenbrock, start), lbfgs(rosenbrock, start)
    for number in range(7):
        whole.step(number)
        first.step(number)
    state = {name: value.copy() for name, value in first.state().items()}
    second = lbfgs(rosenbrock, np.zeros(4))
    second.restore(first.shared, state, 7)
    for number in range(7, 15):
        assert second.step(number) == whole.step(number)
    np.testing.assert_array_equal(position(second), position(whole))


def test_lbfgs_at_rest_starts_from_the_best_without_memory() -> None:
    one = lbfgs(rosenbrock, np.array([-1.2, 1.0, 0.3, 0.4]))
    for number in range(5):
        one.step(number)
    sweep: Any = one.sweep
    sweep.best = np.array([[0.7, 0.5]])
    one.rest(np.array([0.9, 0.8]), 0.5)
    np.testing.assert_array_equal(position(one), [0.9, 0.8, 0.7, 0.5])
    assert one.memory.moves == []
    assert one.step(5) == rosenbrock(np.array([0.9, 0.8, 0.7, 0.5]))[0]


def test_what_a_penalty_adds_is_minimised_too() -> None:
    sweep: Any = FakeSweep(bowl, 2, 3)
    one = LbfgsOptimiser(
        sweep, np.zeros(2), 3, 1, [], lambda s: (50 * float((s**2).sum()), 100 * s)
    )  # at a/(a + 100) of the bowl's minimum
    for number in range(60):
        one.step(number)
    scale = 10.0 ** np.linspace(0, 3, 5)
    np.testing.assert_allclose(one.shared, 2 * scale[:2] / (scale[:2] + 100), atol=1e-5)
    np.testing.assert_allclose(one._free, 2.0, atol=1e-4)


def adam(clip: float | None, rate: float = 0.1) -> AdamOptimiser:
    sweep: Any = FakeSweep(bowl, 2, 3)
    return AdamOptimiser(sweep, np.zeros(2), lambda step: [], lambda step: rate, nothing, clip)


def test_adam_reaches_the_minimum() -> None:
    one = adam(None)
    losses = [one.step(number) for number in range(300)]
    sweep: Any = one.sweep
    assert losses[-1] - 1 < 1e-3 * (losses[0] - 1)
    np.testing.assert_allclose(np.concatenate([one.shared, sweep.free.ravel()]), 2.0, atol=0.1)


def test_a_clipped_gradient_has_the_length_asked_for() -> None:
    """Shared coefficients and deviations are shortened alike, by the norm of both together."""
    one, free = adam(7.0), adam(None)
    sweep: Any = one.sweep
    one.step(0)
    free.step(0)
    norm = float(np.linalg.norm(bowl(np.zeros(5))[1]))
    assert sweep.moved_by == pytest.approx(7.0 / norm)
    np.testing.assert_allclose(one._adam.mean, free._adam.mean * 7.0 / norm)
    long = adam(2 * norm)
    long.step(0)
    assert long.sweep.moved_by == 1.0  # type: ignore[attr-defined]
    np.testing.assert_array_equal(long.shared, free.shared)


def test_adam_at_rest_takes_shorter_steps_and_remembers_that() -> None:
    one = adam(None)
    for number in range(5):
        one.step(number)
    one.rest(np.full(2, 0.5), 0.5)
    before = one.shared.copy()
    one.step(5)
    np.testing.assert_allclose(np.abs(one.shared - before), 0.05, rtol=1e-5)  # Adam's first step is the rate
    again = adam(None)
    again.restore(one.shared, one.state(), 6)
    assert again.factor == 0.5
    assert again.state()["steps"].tolist() == one.state()["steps"].tolist()


def test_schedules() -> None:
    constant = EstimateSection(steps=50, learning_rate=0.2)
    assert {learning_rate(constant, step) for step in range(60)} == {0.2}
    cosine = EstimateSection(steps=50, learning_rate=0.2, schedule="cosine")
    rates = [learning_rate(cosine, step) for step in range(60)]
    assert rates[0] == pytest.approx(0.2)
    assert rates[25] == pytest.approx(0.2 * (LAST_RATE + 1) / 2)
    assert rates[50:] == pytest.approx([0.2 * LAST_RATE] * 10)
    assert np.all(np.diff(rates) <= 0)


@pytest.mark.parametrize(
    ("fit", "warmup", "length", "most"),
    [((20, 400), 20, 100, 10_000), ((20, 400), 20, 100, 400), ((20, 400), 20, 100, 399), ((20, 400), 20, 100, 250),
     ((20, 400), 20, 100, 1), ((5, 9), 5, 100, 6), ((20, 400), 20, 380, 300), ((0, 365), 0, 90, 270)],
)  # fmt: skip
def test_windows_cover_the_period_as_far_as_they_may(
    fit: tuple[int, int], warmup: int, length: int, most: int
) -> None:
    windows = covering_windows(fit, warmup, length, most)
    assert len({(b - a, c - b) for a, b, c in windows}) == 1  # of equal lengths, as the sweep needs them
    for a, b, c in windows:
        assert b - a == warmup
        assert fit[0] <= b < c <= fit[1]
    for (_, _, end), (_, start, _) in pairwise(windows):
        assert end <= start  # no value counts twice
    if warmup + fit[1] - fit[0] <= most:
        assert windows == [(fit[0] - warmup, *fit)]
    elif most >= warmup + length:
        assert sum(c - a for a, _, c in windows) <= most
        room = min(most // (warmup + length), (fit[1] - fit[0]) // length)
        assert len(windows) == room
    else:
        assert len(windows) == 1


def test_a_fake_sweep_has_what_it_stands_in_for() -> None:
    """The names used here are those of the real one."""
    from rivergrad.pieces.sweep import Sweep

    for name in ("place", "gradient", "collect", "step", "advance"):
        assert callable(getattr(Sweep, name))
