"""The optimisers on problems with known minima, without a river: where they go, what they remember, when they stop."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import Any, cast

import numpy as np
import pytest
from numpy.typing import NDArray

from rivergrad.config.sections import EstimateSection
from rivergrad.errors import InputError
from rivergrad.inference.adam import Adam
from rivergrad.pieces.leastsquares import covering_windows
from rivergrad.run.fit import LAST_RATE, learning_rate
from rivergrad.run.optimisers import AdamOptimiser, GaussNewtonOptimiser, Task

Float = NDArray[np.float64]
Function = Callable[[Float], tuple[float, Float]]


def bowl(x: Float) -> tuple[float, Float]:
    scale = 10.0 ** np.linspace(0, 3, x.size)
    return 1 + 0.5 * float((scale * (x - 2) ** 2).sum()), scale * (x - 2)


class FakeSweep:
    """A function of shared coefficients and of deviations (1, reach), as a sweep's pieces would hold them."""

    def __init__(self, function: Function, n_shared: int, n_reaches: int) -> None:
        self.function, self.n_shared = function, n_shared
        self.free = np.zeros((1, n_reaches))
        self.adam = Adam.at_rest(self.free)

    def gradient(self, shared: Float, windows: Any, n_reaches: int) -> tuple[float, Float, Float]:
        value, slope = self.function(np.concatenate([shared, self.free.ravel()]))
        return value, slope[: self.n_shared], slope[self.n_shared :].reshape(self.free.shape)

    def step(self, shared: Float, windows: Any, after: str, rate: float, ahead: Any = ()) -> dict[str, Any]:
        value, of_shared, self.slope = self.gradient(shared, windows, self.free.shape[1])
        if after == "move":
            self.advance(rate, 1.0)
        return {"loss": value, "shared": of_shared, "square": float((self.slope**2).sum())}

    def advance(self, rate: float, scale: float) -> None:
        self.moved_by = scale
        self.free = self.free + self.adam.update(self.slope * scale, rate)


def nothing(shared: Float) -> tuple[float, Float]:
    return 0.0, np.zeros_like(shared)


def adam(clip: float | None, rate: float = 0.1, penalty: Any = nothing) -> AdamOptimiser:
    sweep: Any = FakeSweep(bowl, 2, 3)
    return AdamOptimiser(Task(sweep, np.zeros(2), lambda step: [], lambda step: rate, penalty, clip))


def test_adam_reaches_the_minimum() -> None:
    one = adam(None)
    losses = [one.step(number) for number in range(300)]
    sweep: Any = one.task.sweep
    assert losses[-1] - 1 < 1e-3 * (losses[0] - 1)
    np.testing.assert_allclose(np.concatenate([one.shared, sweep.free.ravel()]), 2.0, atol=0.1)


def test_what_a_penalty_adds_is_minimised_too() -> None:
    one = adam(
        None, penalty=lambda s: (50 * float((s**2).sum()), 100 * s)
    )  # at a/(a + 100) of the bowl's minimum
    for number in range(600):
        one.step(number)
    scale = 10.0 ** np.linspace(0, 3, 5)
    np.testing.assert_allclose(one.shared, 2 * scale[:2] / (scale[:2] + 100), atol=0.02)
    sweep: Any = one.task.sweep
    np.testing.assert_allclose(sweep.free, 2.0, atol=0.1)


def test_a_clipped_gradient_has_the_length_asked_for() -> None:
    """Shared coefficients and deviations are shortened alike, by the norm of both together."""
    one, free = adam(7.0), adam(None)
    sweep: Any = one.task.sweep
    one.step(0)
    free.step(0)
    norm = float(np.linalg.norm(bowl(np.zeros(5))[1]))
    assert sweep.moved_by == pytest.approx(7.0 / norm)
    np.testing.assert_allclose(one._adam.mean, free._adam.mean * 7.0 / norm)
    long = adam(2 * norm)
    long.step(0)
    assert long.task.sweep.moved_by == 1.0  # type: ignore[attr-defined]
    np.testing.assert_array_equal(long.shared, free.shared)


@pytest.mark.parametrize("clip", [None, 7.0])
def test_shared_coefficients_move_first_and_deviations_at_their_own_rate(clip: float | None) -> None:
    one = adam(clip)
    task = one.task
    one.task = replace(task, deviations=0.3, shared_steps=2)
    sweep: Any = task.sweep
    for number in range(4):
        before, shared = sweep.free.copy(), one.shared.copy()
        one.step(number)
        assert np.all(np.abs(one.shared - shared) > 0.01)
        moved = np.abs(sweep.free - before)
        assert np.all(moved == 0) if number < 2 else np.all((moved > 0) & (moved < 0.0301))
    alone = adam(clip)  # as if there were no deviations: a clipped gradient is not theirs either
    alone.task = replace(alone.task, deviations=0.0)
    both = adam(clip)
    both.task = replace(both.task, shared_steps=1)
    alone.step(0)
    both.step(0)
    np.testing.assert_array_equal(alone.shared, both.shared)


@pytest.mark.parametrize("key", ["shared_steps", "deviation_rate"])
def test_what_moves_all_at_once_has_no_order(key: str) -> None:
    EstimateSection(**{key: 5})
    with pytest.raises(ValueError, match=f"found {key} with method gauss_newton.*expected no {key}"):
        EstimateSection(method="gauss_newton", **{key: 5})


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


def test_squares_are_for_optimisers_that_say_so() -> None:
    """Memory is planned by the fact, and errors are weighed by it."""
    sweep, prior = (cast(Any, FakeSweep(bowl, 2, 3)) for _ in range(2))
    task = Task(sweep, np.zeros(2), lambda step: [], lambda step: 0.1, prior=prior)
    with pytest.raises(InputError, match="without saying so; expected facts = "):
        GaussNewtonOptimiser(task)


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
