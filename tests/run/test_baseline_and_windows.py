"""The search for the best uniform celerity, the windows a step is made from, and periods on a record."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from rivergrad.config.schema import Workflow
from rivergrad.errors import InputError
from rivergrad.inference.loss import LossSpec, gauge_statistics
from rivergrad.run.baselines import WORSE_IN_A_ROW, Choices, Uniform, best_uniform, find_best
from rivergrad.run.evaluation import middle_loss, training_loss
from rivergrad.run.fit import draw_windows
from rivergrad.run.periods import Periods, periods_of

BOUNDS = (0.05, 5.0)


def valley(at: float, power: float, tried: list[float]) -> Callable[[float], float]:
    def score(celerity: float) -> float:
        tried.append(celerity)
        return abs(np.log(celerity / at)) ** power

    return score


@settings(max_examples=60, deadline=None)
@given(at=st.floats(0.06, 4.5), power=st.sampled_from([0.5, 1.0, 2.0, 4.0]), grid=st.integers(2, 20))
def test_finds_the_minimum_of_a_valley(at: float, power: float, grid: int) -> None:
    tried: list[float] = []
    found = best_uniform(valley(at, power, tried), BOUNDS, grid)
    spacing = np.log(BOUNDS[1] / BOUNDS[0]) / (grid - 1)
    # the golden section leaves 0.618^9 of the two cells about the best celerity of the grid
    assert abs(np.log(found / at)) <= 2 * spacing * 0.618**8 + 1e-12
    assert all(BOUNDS[0] < celerity < BOUNDS[1] for celerity in tried)


def test_tries_fast_ones_first_and_leaves_slow_ones_out() -> None:
    tried: list[float] = []
    best_uniform(valley(2.5, 2.0, tried), BOUNDS, 20)
    grid = np.geomspace(BOUNDS[0] * 1.02, BOUNDS[1] * 0.98, 20)[::-1]
    best = int(np.argmin(np.abs(np.log(grid / 2.5))))
    on_grid = [c for c in tried if np.isclose(c, grid).any()]
    np.testing.assert_allclose(on_grid[: best + WORSE_IN_A_ROW + 1], grid[: best + WORSE_IN_A_ROW + 1])
    assert min(tried) >= grid[best + WORSE_IN_A_ROW] * (1 - 1e-9)  # the dear ones were never asked for
    assert len(tried) < 20


def test_the_answer_is_the_best_of_all_that_was_tried() -> None:
    """Also where the score is no valley."""
    tried: dict[float, float] = {}

    def score(celerity: float) -> float:
        tried[celerity] = float(np.sin(9 * np.log(celerity)) + 0.1 * np.log(celerity) ** 2)
        return tried[celerity]

    found = best_uniform(score, BOUNDS, 12)
    on_grid = list(tried)[:12]
    assert tried[found] <= min(tried[c] for c in on_grid)


def test_a_second_valley_almost_as_deep_is_searched_too() -> None:
    """The grid's best lies in a wide valley; the deepest point is in a narrow one between two of its celerities."""
    grid = np.geomspace(BOUNDS[0] * 1.02, BOUNDS[1] * 0.98, 12)
    narrow = grid[9] * 1.08

    def score(celerity: float) -> float:
        wide = 0.30 + 0.05 * np.log(celerity / grid[5]) ** 2
        return float(min(wide, 0.2 + np.abs(np.log(celerity / narrow)) / np.log(1.08) * 0.11))

    assert min(grid, key=score) == grid[5]
    assert best_uniform(score, BOUNDS, 12) == pytest.approx(narrow, rel=0.01)


TRUE = Uniform(1.3, 0.31, 2.0 * 86400, 0.42)


def distance(one: Uniform) -> float:
    """From the truth, with a delay that stands in for some travel time, as it does in rivers."""
    delay = 0.05 * 86400 if one.delay is None else one.delay
    late = 86400 / one.celerity + delay - (86400 / TRUE.celerity + TRUE.delay)  # type: ignore[operator]
    return float(
        (late / 86400) ** 2
        + 0.1 * np.log(one.celerity / TRUE.celerity) ** 2
        + ((one.exponent or 0.0) - 0.42) ** 2
        + (one.spreading - 0.31) ** 2  # type: ignore[operator]
    )


CHOICES = Choices(
    first=Uniform(0.6, 0.2),
    bounds=BOUNDS,
    grid=12,
    more=(0.6,),
    spreadings=(0.1, 0.3, 0.4),
    delays=tuple(86400 * one for one in (0.2, 0.6, 2.4, 9.0)),
    exponents=(0.15, 0.3, 0.45),
)


def test_the_baseline_has_its_own_delay_exponent_and_spreading() -> None:
    tried: list[Uniform] = []
    found = find_best(lambda one: tried.append(one) or distance(one), CHOICES)  # type: ignore[func-returns-value]
    best = found.best()
    assert (best.exponent, best.spreading) == (0.45, 0.3)
    assert best.delay is not None
    assert 0.6 * 86400 < best.delay < 9 * 86400
    assert distance(best) == min(distance(one) for one in tried)
    assert distance(best) < 0.2 * min(distance(one) for one in tried if one.delay is None)
    assert len(set(tried)) == len(tried)  # nothing is routed twice
    assert Uniform(0.6, 0.2) in tried


def test_without_more_to_choose_the_baseline_is_one_celerity() -> None:
    tried = find_best(lambda one: abs(np.log(one.celerity / 1.7)), Choices(Uniform(0.6), BOUNDS, 12))
    assert tried.best().celerity == pytest.approx(1.7, rel=0.01)
    assert {(one.spreading, one.delay, one.exponent) for one in tried.losses} == {(None, None, None)}


def test_parameters_of_a_baseline_come_back_from_its_file() -> None:
    for one in (TRUE, Uniform(0.7), Uniform(0.7, None, 3600.0)):
        assert Uniform.of(one.as_dict()) == one
    assert Uniform.of({"celerity": 0.7, "delay": 60}) == Uniform(0.7, None, 60.0)  # of an earlier version


def test_a_few_very_bad_gauges_do_not_decide_the_uniform_celerity() -> None:
    """Eight gauges are right at 2 m/s; two, whose runoff is wrong, are least bad at 0.5 m/s and rule the mean."""
    rng = np.random.default_rng(1)
    observed = rng.gamma(0.5, 10.0, (200, 10))

    class Pieces:
        def discharge(self, given: Any, start: int, stop: int) -> NDArray[np.float64]:
            found = np.repeat(observed.mean(axis=0)[None], stop, axis=0)
            off = np.where(np.arange(10) < 8, abs(np.log(given / 2.0)), 3 + 100 * abs(np.log(given / 0.5)))
            return found + (observed[:stop] - found) * (1 - off)

    case = SimpleNamespace(
        periods=SimpleNamespace(fit=(0, 200), train=(0, 200), warmup=0),
        trains=np.full(10, 0.1),
        record=observed,
        loss=LossSpec.parse("nse", 4.0),
        statistics=gauge_statistics(observed, np.full(10, 0.1), None),
        inputs=SimpleNamespace(observed_error=None, observed=observed, compared=slice),
    )
    problem: Any = SimpleNamespace(case=case, pieces=Pieces())
    by_middle, by_mean = (
        best_uniform(partial(judge, problem), BOUNDS, 20)  # type: ignore[arg-type]  # a celerity for a Given
        for judge in (middle_loss, training_loss)
    )
    assert by_middle == pytest.approx(2.0, rel=0.01)
    assert by_mean == pytest.approx(0.5, rel=0.02)


PERIODS = Periods(
    fit=(30, 200), validation=(200, 250), train=(30, 250), test=(250, 300), warmup=30, steps=300
)


@settings(max_examples=100, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    step=st.integers(0, 10_000),
    length=st.integers(1, 400),
    count=st.integers(1, 5),
)
def test_windows(seed: int, step: int, length: int, count: int) -> None:
    windows = draw_windows(seed, step, PERIODS, length, count)
    assert windows == draw_windows(seed, step, PERIODS, length, count)
    assert len(windows) == count
    for warm, first, end in windows:
        assert first - warm == PERIODS.warmup
        assert warm >= 0
        assert PERIODS.fit[0] <= first < end <= PERIODS.fit[1]
        assert end - first == min(length, 170)


def test_windows_differ_from_step_to_step_and_reach_both_ends() -> None:
    starts = {draw_windows(1, step, PERIODS, 160, 1)[0][1] for step in range(300)}
    assert starts == set(range(30, 41))
    assert draw_windows(1, 0, PERIODS, 50, 4) != draw_windows(2, 0, PERIODS, 50, 4)
    assert draw_windows(1, 0, PERIODS, 50, 4) != draw_windows(1, 1, PERIODS, 50, 4)


def workflow(**time: object) -> Workflow:
    return Workflow.model_validate(
        {
            "name": "p",
            "network": {"path": "n.csv"},
            "runoff": {"path": "r.nc"},
            "observations": {"path": "o.nc"},
            "time": {"routing_step": "1h", "warmup": "36h", **time},
            "estimate": {"window": "1d"},
        }
    )


TIME = np.datetime64("2000-01-01", "ns") + np.arange(100) * np.timedelta64(1, "D")


def test_periods_include_their_last_day_and_leave_the_warm_up_out() -> None:
    config = workflow(train=["2000-01-01", "2000-01-20"], test=["2000-02-01", "2000-02-29"])
    periods = periods_of(config, TIME, 86400.0, "r.nc")
    assert periods.warmup == 2  # 36 h are two days
    assert periods.fit == (2, 16)
    assert periods.validation == (16, 20)  # the last fifth of train
    assert periods.train == (2, 20)
    assert periods.test == (31, 60)
    assert TIME[periods.test[1] - 1] == np.datetime64(date(2000, 2, 29))


@pytest.mark.parametrize(
    ("time", "message"),
    [
        (
            {"train": ["1999-01-01", "1999-02-01"]},
            r"time\.train: 1999-01-01\.\..* lies outside the runoff r\.nc",
        ),
        (
            {"train": ["2000-01-01", "2000-02-01"], "test": ["2001-01-01", "2001-02-01"]},
            r"time\.test: 2001-01-01\.\.2001-02-01 lies outside the runoff r\.nc, which has 2000-01-01\.\.2000-04-09",
        ),
        (
            {"train": ["2000-01-01", "2000-01-20"], "warmup": "60d"},
            r"time\.warmup: 60 forcing steps leave nothing",
        ),
    ],
)
def test_periods_outside_the_record(time: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        periods_of(workflow(**time), TIME, 86400.0, "r.nc")
