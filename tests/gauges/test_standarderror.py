"""Models scored on cells that they did not see, and the simplest that is within one standard error of the best."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from rivergrad.gauges.scores import nse
from rivergrad.gauges.standarderror import WORST, cell_nse, simplest, standings

Float = NDArray[np.float64]
GAUGES, BLOCKS = 40, 6


def errors_of(score: Float, rng: np.random.Generator, noise: float = 0.0) -> tuple[Float, Float]:
    """Squared errors (gauge, block) that give each gauge an NSE, about, and the sums of squares they are of."""
    spread = rng.uniform(1.0, 9.0, (score.size, BLOCKS))
    return spread * (1 - score[:, None] + noise * rng.standard_normal(spread.shape)), spread


def test_nse_of_cells_is_that_of_the_series() -> None:
    rng = np.random.default_rng(1)
    observed, simulated = rng.gamma(1.0, 4.0, (2, 60, 5))
    observed[10:14, 2] = np.nan
    blocks = np.split(np.arange(60), BLOCKS)
    mean = np.nanmean(observed, axis=0)
    error, spread = (
        np.stack([np.nansum(values[at], axis=0) for at in blocks], axis=1)
        for values in ((simulated - observed) ** 2, (observed - mean) ** 2)
    )
    np.testing.assert_allclose(cell_nse(error, spread), np.maximum(nse(simulated, observed), WORST))


def test_the_simpler_is_taken_unless_the_other_is_better_by_more_than_a_standard_error() -> None:
    rng = np.random.default_rng(2)
    base = rng.uniform(0.3, 0.9, GAUGES)
    simple, spread = errors_of(base, rng)
    by_luck = simple - spread * (0.03 * rng.standard_normal(GAUGES) + 0.001)[:, None]
    really = simple - spread * 0.05
    assert simplest(standings([simple, by_luck], spread, 0)) == 0
    found = standings([simple, by_luck, really], spread, 0)
    assert simplest(found) == 2
    assert found[2].behind == found[2].error == 0.0
    assert found[0].behind == pytest.approx(0.05, abs=0.02)


def test_a_few_very_bad_gauges_do_not_decide() -> None:
    rng = np.random.default_rng(6)
    simple, spread = errors_of(rng.uniform(0.3, 0.9, GAUGES), rng)
    other = simple - 0.05 * spread
    other[:4] = 4 * spread[:4]
    assert simplest(standings([simple, other], spread, 0)) == 1


def test_gauges_that_are_difficult_for_both_do_not_blur_the_difference() -> None:
    rng = np.random.default_rng(3)
    base = rng.uniform(-0.5, 0.95, GAUGES)
    simple, spread = errors_of(base, rng)
    found = standings([simple, simple - 0.03 * spread], spread, 0)
    assert found[0].error < 0.02 < 0.05 < np.std(base) / np.sqrt(GAUGES) * 1.25


def test_a_few_gauges_are_told_apart_by_blocks_of_time() -> None:
    rng = np.random.default_rng(4)
    simple, spread = errors_of(np.array([0.8]), rng)
    always = simple - 0.05 * spread
    once = simple + 0.05 * spread
    once[:, 0] -= 0.4 * spread[:, 0]
    assert simplest(standings([simple, always], spread, 0)) == 1
    assert simplest(standings([simple, once], spread, 0)) == 0


def test_cells_that_a_model_lacks_count_for_none() -> None:
    rng = np.random.default_rng(5)
    simple, spread = errors_of(rng.uniform(0.3, 0.9, GAUGES), rng)
    partly = simple.copy()
    partly[:, 2:] = np.nan
    found = standings([simple, partly], spread, 0)
    assert (
        found[0].score
        == found[1].score
        == pytest.approx(np.sort(cell_nse(partly, spread))[GAUGES // 4 : -GAUGES // 4].mean())
    )
    assert simplest(standings([partly * np.nan, partly * np.nan], spread, 0)) == 0
