"""Peak timing errors at floods whose timing is known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from rivergrad.gauges.peaks import observed_peaks, peak_timing_error, peaks_of

AT = np.array([40, 90, 150, 210, 260])
SETTINGS = {"separation": 10, "window": 5}


def floods(at: NDArray[np.int64] = AT, steps: int = 300) -> NDArray[np.float64]:
    """(time, 1) a base flow of 1 with floods of different heights at given steps."""
    time = np.arange(steps)[:, None]
    height = 5.0 + np.arange(at.size)
    return np.asarray(1 + (height * np.exp(-(((time - at) / 3.0) ** 2))).sum(axis=1))[:, None]


def test_finds_the_floods() -> None:
    assert observed_peaks(floods()[:, 0], separation=10, quantile=0.9).tolist() == AT.tolist()
    # two peaks within the separation are one flood: the higher
    near = floods(np.array([40, 46, 150]))[:, 0]
    assert observed_peaks(near, separation=10, quantile=0.9).tolist() == [46, 150]
    assert observed_peaks(near, separation=3, quantile=0.9).tolist() == [40, 46, 150]


@settings(max_examples=30, deadline=None)
@given(shift=st.integers(-5, 5), scale=st.floats(0.1, 20.0))
def test_a_shift_is_its_error_whatever_the_scale(shift: int, scale: float) -> None:
    observed = floods()
    found = peak_timing_error(scale * np.roll(observed, shift, axis=0), observed, **SETTINGS)
    assert found == [abs(shift)]


def test_the_median_over_floods() -> None:
    simulated = floods(AT + np.array([0, 1, -2, 3, 5]))
    assert peak_timing_error(simulated, floods(), **SETTINGS, quantile=0.85) == [2.0]


def test_no_error_beyond_the_window() -> None:
    observed = floods(np.array([100]))
    late = floods(np.array([120]))
    assert peak_timing_error(late, observed, separation=10, window=5) == [5.0]
    level = np.full_like(observed, 3.0)  # has no peak at all
    assert peak_timing_error(level, observed, separation=10, window=5) == [5.0]
    # a level top as wide as it may be is a peak, and its nearest step counts
    top = np.minimum(observed, 4.0)
    assert peak_timing_error(top, observed, separation=10, window=5) == [0.0]


def test_a_flood_beside_a_gap_does_not_count() -> None:
    observed, simulated = floods(), np.roll(floods(), 2, axis=0)
    observed[AT[0] + 1] = np.nan  # the highest value is known, that it is the peak is not
    assert AT[0] not in observed_peaks(observed[:, 0], separation=10)
    assert peak_timing_error(simulated, observed, **SETTINGS) == [2.0]
    simulated[AT[1]] = np.nan
    assert peak_timing_error(simulated, observed, **SETTINGS) == [2.0]


def test_gauges_without_floods_are_nan() -> None:
    observed = np.concatenate([np.full((300, 1), np.nan), np.full((300, 1), 2.0), floods()], axis=1)
    found = peak_timing_error(observed, observed, **SETTINGS)
    np.testing.assert_array_equal(found, [np.nan, np.nan, 0.0])


@pytest.mark.parametrize("start", [0, 38])
def test_at_the_ends_of_a_record(start: int) -> None:
    """A flood that the record begins with is none; a window that reaches over its end is cut short."""
    observed = floods()[start:]
    found = peak_timing_error(np.roll(floods(), 1, axis=0)[start:], observed, **SETTINGS)
    assert found == [1.0]
    assert observed_peaks(floods()[40:, 0], separation=10).tolist() == (AT[1:] - 40).tolist()[-4:]


def test_many_gauges_at_once_are_as_one_by_one() -> None:
    """Against the plain loop over floods, with gaps in both series, level stretches and gauges without floods."""
    rng = np.random.default_rng(8)
    observed = np.round(rng.gamma(0.4, 3.0, (300, 40)), 1)
    observed[rng.random(observed.shape) < 0.1] = np.nan
    observed[:, 7] = 1.0
    observed[:, 8] = np.nan
    simulated = np.round(np.nan_to_num(observed) + rng.gamma(0.4, 1.0, observed.shape), 1)
    simulated[rng.random(simulated.shape) < 0.01] = np.nan
    simulated[:, 9] = 2.0
    window = 4

    def one(g: int) -> float:
        errors = []
        for peak in observed_peaks(observed[:, g], separation=6):
            start = max(peak - window, 0)
            around = simulated[start : peak + window + 1, g]
            if not np.isnan(around).any():
                highest = np.flatnonzero(around == around.max()) + start
                level = highest.size == around.size
                errors.append(window if level else np.abs(highest - peak).min())
        return float(np.median(errors)) if errors else np.nan

    expected = np.array([one(g) for g in range(40)])
    assert np.isfinite(expected).sum() > 30
    found = peak_timing_error(simulated, observed, separation=6, window=window)
    np.testing.assert_array_equal(found, expected)
    peaks = peaks_of(observed, separation=6)
    again = peak_timing_error(simulated, observed, separation=6, window=window, peaks=peaks)
    np.testing.assert_array_equal(again, expected)
