"""What screening finds in gauges that are spoilt on purpose, and that it leaves good ones and real ones alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from rivercut import graph
from rivergrad.gauges.screening import (
    DAY,
    FEET,
    Finding,
    ScreeningResult,
    ScreeningSettings,
    lagged_correlation,
    pettitt,
    screen,
    unusable,
)

Float = NDArray[np.float64]
YEARS, GAUGES = 6, 12


def rivers(years: int = YEARS, gauges: int = GAUGES, seed: int = 1) -> tuple[Float, Float]:
    """Observed discharge and upstream runoff of rivers of one climate, m3/s, daily.

    Storms pass over all of them, in a wet and a dry season. Discharge comes days later, out of a storage; runoff is
    up to 30 % too small or too large, and observations have noise and gaps.
    """
    rng = np.random.default_rng(seed)
    days = np.arange(365 * years)
    season = 1 + 0.8 * np.sin(2 * np.pi * days / 365)[:, None]
    storms = rng.exponential(1.0, (days.size, 1)) * (rng.random((days.size, 1)) < 0.15)
    local = rng.exponential(1.0, (days.size, gauges)) * (rng.random((days.size, gauges)) < 0.1)
    size = np.geomspace(10.0, 1000.0, gauges)
    runoff = size * season * (storms + local + 0.02)
    discharge = np.empty_like(runoff)
    store = runoff.mean(axis=0)
    for t in days:
        store = store + 0.2 * (runoff[t] - store)
        discharge[t] = store
    discharge = np.roll(discharge, 2, axis=0)
    observed = discharge * np.exp(0.1 * rng.standard_normal(discharge.shape))
    observed[rng.random(observed.shape) < 0.1] = np.nan
    return observed, runoff * np.exp(rng.uniform(-0.3, 0.3, gauges))


def only(result: ScreeningResult, gauge: int) -> Finding:
    """The one finding there is, which has to be about this gauge."""
    (finding,) = result.findings
    assert finding.gauge == gauge
    return finding


def spoilt(g: int, by: Callable[[Float], Float]) -> tuple[Float, Float]:
    observed, runoff = rivers()
    observed[:, g] = by(observed[:, g])
    return observed, runoff


@pytest.mark.parametrize("factor", [1e-6, 1e6])
def test_a_small_stream_is_judged_as_a_large_river_is(factor: float) -> None:
    """The thresholds are shares of the gauge's own flow."""
    observed, runoff = spoilt(3, lambda q: q * FEET)
    observed[:, 5] = 4.0
    expected = screen(observed, runoff)
    assert {one.what for one in expected.findings} == {"unit error", "flat line"}
    found = screen(observed * factor, runoff * factor)
    assert [(one.gauge, one.what) for one in found.findings] == [
        (one.gauge, one.what) for one in expected.findings
    ]
    np.testing.assert_array_equal(found.keep, expected.keep)
    np.testing.assert_array_equal(found.mask, expected.mask)


def test_good_gauges_are_left_alone() -> None:
    for seed in range(5):
        result = screen(*rivers(seed=seed))
        assert result.findings == ()
        assert result.keep.all()
        assert not result.mask.any()
        assert not result.wrong.any()


def test_noise_that_hides_a_long_river_is_no_wrong_river() -> None:
    """White-noise runoff, smoothed over ten days: a tenth of noise is more than what is left of it."""
    rng = np.random.default_rng(5)
    days, gauges = 1100, 8
    runoff = 100 + 10 * rng.standard_normal((days, gauges))
    runoff[:, 4:] += 60 * rng.standard_normal((days, 4))
    kernel = np.ones(10) / 10
    discharge = np.stack(
        [np.convolve(np.pad(column, (9 + 20, 0), "edge"), kernel, "valid")[:days] for column in runoff.T],
        axis=1,
    )
    discharge[:, 4:] = runoff[:, 4:]  # rivers without smoothing, which say what is usual
    observed = discharge * np.exp(0.1 * rng.standard_normal(discharge.shape))
    assert lagged_correlation(observed[:, 0], runoff[:, 0], 30, 300) < 0.2
    assert screen(observed, runoff).findings == ()
    observed[:, 1] = observed[::-1, 0]
    assert [(one.gauge, one.what) for one in screen(observed, runoff).findings] == [(1, "wrong river")]


@pytest.mark.parametrize("g", [0, 5, GAUGES - 1])
@pytest.mark.parametrize(
    ("by", "what", "found"),
    [
        (lambda q: q * np.nan, "no data", "no value"),
        (lambda q: np.where(np.arange(q.size) == 7, 3.0, np.nan), "too few values", "1 value"),
        (lambda q: np.where(np.arange(q.size) < 9, 3.0, np.nan), "too few values", "9 values"),
        (lambda q: np.full(q.size, 4.0), "flat line", "of 4 m3/s, standard deviation 0"),
        (lambda q: np.zeros(q.size), "flat line", "of 0 m3/s"),
        (lambda q: q * FEET, "unit error", "as with ft3/s read as m3/s (35.31)"),
        (lambda q: q / FEET, "unit error", "as with m3/s read as ft3/s (0.02832)"),
        (lambda q: q * 1000, "volume ratio", "times the runoff upstream"),
        (lambda q: q / 300, "volume ratio", "times the runoff upstream"),
        (lambda q: -q, "volume ratio", "m3/s of runoff upstream"),
        (lambda q: q[::-1], "wrong river", "best correlation with the runoff upstream"),
        (
            lambda q: np.random.default_rng(0).exponential(np.nanmean(q), q.size),
            "wrong river",
            "best correlation with the runoff upstream",
        ),
    ],
)
def test_a_bad_gauge_is_dropped_and_no_other(
    g: int, by: Callable[[Float], Float], what: str, found: str
) -> None:
    result = screen(*spoilt(g, by))
    finding = only(result, g)
    assert finding.what == what
    assert found in finding.found
    assert finding.action == "dropped"
    assert np.flatnonzero(~result.keep).tolist() == [g]
    assert np.flatnonzero(result.wrong).tolist() == (
        [] if what in ("no data", "too few values", "flat line") else [g]
    )
    assert not result.mask.any()


def test_a_reach_without_runoff() -> None:
    observed, runoff = rivers()
    runoff[:, 3] = 0.0
    finding = only(screen(observed, runoff), 3)
    assert finding.what == "volume ratio"
    assert "and 0 m3/s of runoff upstream" in finding.found


@pytest.mark.parametrize(("days", "masked"), [(29, False), (45, True)])
def test_flat_stretches(days: int, masked: bool) -> None:
    observed, runoff = rivers()
    level = np.nanmean(observed[:, 4])
    observed[100 : 100 + days, 4] = level
    observed[500 : 500 + days, 4] = 0.01 * level  # close to zero: a dry river stays the same
    result = screen(observed, runoff)
    expected = np.zeros(observed.shape, bool)
    expected[100 : 100 + days, 4] = masked
    assert np.array_equal(result.mask, expected)
    assert result.keep.all()
    if masked:
        finding = only(result, 4)
        assert (finding.what, finding.start, finding.action) == ("flat stretch", 100, "masked 45 values")
        assert "for 45 days" in finding.found


def test_a_gap_ends_a_flat_stretch() -> None:
    observed, runoff = rivers()
    observed[100:160, 4] = np.nanmean(observed[:, 4])
    observed[130, 4] = np.nan
    assert screen(observed, runoff).findings == ()


def test_a_gauge_of_flat_stretches_is_dropped() -> None:
    observed, runoff = rivers()
    levels = np.nanmean(observed[:, 4]) * (1 + np.arange(30) % 3)
    observed[:, 4] = np.repeat(levels, observed.shape[0] // 30)
    result = screen(observed, runoff)
    finding = only(result, 4)
    assert (finding.what, finding.action) == ("flat stretch", "dropped")
    assert not result.keep[4]
    assert result.wrong[4]


@pytest.mark.parametrize("factor", [0.3, 3.0])
@pytest.mark.parametrize(("share", "gauges"), [(0.2, GAUGES), (0.7, GAUGES), (0.35, 1), (0.7, 1)])
def test_a_change_of_rating(factor: float, share: float, gauges: int) -> None:
    """Found against the other gauges, and where there are none against the gauge's own seasons."""
    observed, runoff = (values[:, -gauges:].copy() for values in rivers())
    g, step = gauges - 1, round(share * observed.shape[0])
    observed[step:, g] *= factor
    result = screen(observed, runoff)
    finding = only(result, g)
    assert finding.what == "rating change"
    assert abs(finding.start - step) <= 45
    assert float(finding.found.split()[0]) == pytest.approx(factor, rel=0.15)
    assert result.keep.all()
    masked = np.flatnonzero(result.mask[:, g])
    assert finding.action == f"masked {masked.size} values"
    shorter = slice(None, step) if share < 0.5 else slice(step, None)
    there = np.flatnonzero(~np.isnan(observed[shorter, g])) + (shorter.start or 0)
    assert np.intersect1d(masked, there).size >= 0.95 * max(masked.size, there.size)
    assert screen(observed, runoff, ScreeningSettings(rating_factor=4.0)).findings == ()


def test_one_gauge_alone() -> None:
    """There is no network to compare with: volumes are judged by the runoff, and correlation is not acted upon."""
    observed, runoff = (values[:, 5:6] for values in rivers())
    assert screen(observed, runoff).findings == ()
    assert only(screen(observed * FEET, runoff), 0).what == "unit error"
    finding = only(screen(observed[::-1], runoff), 0)
    assert (finding.what, finding.action) == ("wrong river", "reported only")


def test_bad_runoff_everywhere_is_not_the_gauges_fault() -> None:
    observed, runoff = rivers()
    assert screen(observed, runoff * 2.5).findings == ()
    observed[:, 2] *= FEET
    assert only(screen(observed, runoff * 2.5), 2).what == "unit error"
    # unless it is so far off that either has a wrong unit
    result = screen(observed, runoff / 1000)
    assert not result.keep.any()
    # one of two is wrong: what is wrong does not make the good one look odd
    observed, runoff = (values[:, 4:6] for values in rivers())
    observed[:, 0] *= FEET
    assert only(screen(observed, runoff), 0).what == "unit error"


def test_runoff_that_follows_no_river_drops_no_gauge() -> None:
    observed, runoff = rivers()
    result = screen(observed, runoff[::-1])
    assert result.keep.all()
    assert len(result.findings) == GAUGES
    assert {(one.what, one.action) for one in result.findings} == {("wrong river", "reported only")}
    assert not any(one.spared for one in result.findings)  # none would be dropped, whatever it is for


def test_gauges_that_are_not_judged_are_only_reported_and_tell_nothing() -> None:
    observed, runoff = rivers()
    judged = np.arange(GAUGES) < 8
    observed[:, 8:] *= FEET  # a third of all: they must not move what is usual
    observed[:, 1] *= FEET
    observed[100:160, 9] = 1e5
    observed[:, 10] = np.nan
    result = screen(observed, runoff, judged=judged)
    actions = {(one.gauge, one.what): one.action for one in result.findings}
    assert actions == {
        (1, "unit error"): "dropped",
        (8, "unit error"): "reported only",
        (9, "flat stretch"): "reported only",
        (9, "unit error"): "reported only",
        (10, "no data"): "reported only",
        (11, "unit error"): "reported only",
    }
    assert np.flatnonzero(~result.keep).tolist() == [1]
    assert not result.mask.any()
    # what would have been dropped for wrong values: neither a stretch nor a lack of data is that
    assert {(one.gauge, one.what) for one in result.findings if one.spared} == {
        (gauge, "unit error") for gauge in (8, 9, 11)
    }


def test_only_the_steps_of_the_fit_count_as_values() -> None:
    observed, runoff = rivers()
    fit = np.arange(observed.shape[0]) < 1000
    observed[fit, 2] = np.nan
    finding = only(screen(observed, runoff, fit=fit), 2)
    assert (finding.what, finding.action) == ("no data", "dropped")


def test_short_records_are_not_judged() -> None:
    observed, runoff = (values[:50] for values in rivers())
    assert screen(observed * FEET, runoff).findings == ()
    for days, found in ((290, []), (600, ["wrong river"])):
        observed, runoff = (values[:days].copy() for values in rivers())
        observed[:, 3] = observed[::-1, 3]
        if days < 300:  # of a season, even discharge that runs against the runoff
            observed[:, 3] = np.maximum(2 * np.nanmean(observed[:, 3]) - observed[::-1, 3], 0.0)
        assert [one.what for one in screen(observed, runoff).findings] == found


@pytest.mark.parametrize("hours", [1, 6, 48])
def test_other_steps(hours: int) -> None:
    """The same thresholds in time, whatever the step."""
    observed, runoff = rivers(years=3)
    if hours < 24:
        observed, runoff = (np.repeat(values, 24 // hours, axis=0) for values in (observed, runoff))
        observed *= np.random.default_rng(3).uniform(0.99, 1.01, observed.shape)
    else:
        observed, runoff = observed[::2], runoff[::2]
    step = hours * 3600.0
    assert screen(observed, runoff, step=step).findings == ()
    long = round(40 * DAY / step)
    observed[200 : 200 + long, 0] = np.nanmean(observed[:, 0])
    observed[:, 3] = observed[::-1, 3]
    observed[:, 7] *= FEET
    result = screen(observed, runoff, step=step)
    assert [one.what for one in result.findings] == ["flat stretch", "wrong river", "unit error"]


def test_lagged_correlation_finds_the_travel_time() -> None:
    runoff = np.random.default_rng(2).exponential(1.0, 400)
    late = np.roll(runoff, 9)
    assert lagged_correlation(late, runoff, 30, 50) == pytest.approx(1.0)
    assert lagged_correlation(late, runoff, 8, 50) < 0.3
    assert np.isnan(lagged_correlation(late, runoff, 30, 401))
    assert np.isfinite(lagged_correlation(late, runoff, 30, 400))
    assert np.isnan(lagged_correlation(late, np.ones(400), 30, 50))


def test_pettitt_by_hand() -> None:
    # ranks 1 2 3 | 4 5 6: U is greatest in size after three, 2 (1 + 2 + 3) - 3 * 7 = -9
    split, p = pettitt(np.array([1.0, 2, 3, 14, 15, 16]))
    assert split == 3
    about = np.array([-1.0, 0, 1, -1, 0, 1])
    r = float(about[1:] @ about[:-1]) / float(about @ about)
    assert r < 0  # alternating: nothing is taken off
    assert p == pytest.approx(2 * np.exp(-6 * 81 / (216 + 36)))
    assert pettitt(np.ones(9))[1] == 1.0


@pytest.mark.parametrize("r", [0.0, 0.6])
def test_pettitt_is_seldom_wrong(r: float) -> None:
    """At a level of 5 %, in series without a step, persistent ones as well; and it finds steps of 2.5 deviations."""
    rng = np.random.default_rng(4)
    wrong = found = 0
    for _ in range(200):
        noise = rng.standard_normal(60)
        series = np.empty(60)
        series[0] = noise[0]
        for t in range(1, 60):
            series[t] = r * series[t - 1] + np.sqrt(1 - r**2) * noise[t]
        wrong += pettitt(series)[1] < 0.05
        found += pettitt(series + 2.5 * (np.arange(60) >= 25))[1] < 0.05
    assert wrong <= 0.1 * 200
    assert found >= 0.8 * 200


values = st.one_of(
    st.just(np.nan), st.just(0.0), st.just(5.0), st.floats(-1e3, 1e6), st.sampled_from([np.inf, -np.inf])
)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.data(), st.integers(1, 150), st.integers(1, 7), st.sampled_from([3600.0, DAY, 10 * DAY]))
def test_never_raises_nor_warns(data: st.DataObject, steps: int, gauges: int, step: float) -> None:
    """Any pattern of missing, zero, negative, constant and infinite values; what is masked was there before."""
    shape = (steps, gauges)
    observed, runoff = (
        data.draw(hnp.arrays(np.float64, shape, elements=values, fill=values)) for _ in range(2)
    )
    judged = data.draw(hnp.arrays(np.bool_, gauges))
    result = screen(observed, runoff, step=step, judged=judged)
    assert result.keep.shape == result.wrong.shape == (gauges,)
    assert result.mask.shape == shape
    assert np.isfinite(observed[result.mask]).all()
    assert result.keep[~judged].all()
    assert not result.mask[:, ~judged].any()
    assert not (result.keep & result.wrong).any()
    dropped = {one.gauge for one in result.findings if one.action == "dropped"}
    assert dropped == set(np.flatnonzero(~result.keep).tolist())
    lacking = {one.gauge for one in unusable(observed, needed=10)}
    assert lacking <= {one.gauge for one in result.findings}


def real(folder: Path) -> tuple[Float, Float]:
    from rivergrad.io import open_runoff, overlap, read_network, read_observations

    network = read_network(folder / "network.csv")
    source = open_runoff(folder / "runoff.nc", network)
    observations = read_observations(folder / "discharge.nc", network)
    common = overlap(source.time, observations.time, what_a="runoff", what_b="observations")
    observed = np.full((source.time.size, observations.gauge.size), np.nan)
    observed[common.a] = observations.discharge[common.b]
    runoff = source.read(None, 0, source.time.size).T
    upstream = graph.accumulate(network.downstream, network.order, runoff).T
    return observed, np.ascontiguousarray(upstream[:, observations.reach])


@pytest.mark.parametrize("case", ["delaware", "juniata"])
def test_real_gauges_are_kept(data_dir: Path, case: str) -> None:
    """Also those below reservoirs (Wallenpaupack, Pepacton, Cannonsville, Lehigh), which follow no runoff."""
    observed, runoff = real(data_dir / case)
    result = screen(observed, runoff)
    assert result.findings == ()


def test_real_gauges_are_found_when_spoilt(data_dir: Path) -> None:
    observed, runoff = real(data_dir / "delaware")
    half = observed.shape[0] // 4
    found = {"unit error": 0, "wrong river": 0}
    for g in range(0, observed.shape[1], 4):
        for what, series in (
            ("unit error", observed[:, g] * FEET),
            ("wrong river", np.roll(observed[:, g], half)),
        ):
            changed = observed.copy()
            changed[:, g] = series
            result = screen(changed, runoff)
            assert [one.gauge for one in result.findings if one.gauge != g] == []
            found[what] += only(result, g).what == what
    assert found == {"unit error": 16, "wrong river": 16}
