"""Screening: find gauges and values that are wrong, and leave them out before the fit.

Each check compares a gauge with itself, with the runoff upstream, and with the other gauges. The checks would rather
miss a bad gauge than drop a good one, because rivers are regulated, runoff is wrong by factors, and records are short.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]
Bool = NDArray[np.bool_]

DAY = 86400.0
FEET = 0.3048**-3
"""Cubic feet in a cubic metre, 35.31: the factor by which a gauge in the wrong unit is off."""
BULK = 3.0
"""A gauge is expected to have the other gauges' median ratio of observed volume to runoff, if that median is within
this factor of 1. Otherwise most gauges are wrong, and the expected ratio is 1."""
LEAST_RECORD = 60 * DAY
"""The volume check needs this much observed time. A shorter record may be a single dry spell."""
LEAST_SEASONS = 300 * DAY
"""The correlation check needs this much observed time. Below reservoirs (Cannonsville and others on the Delaware),
discharge may go against the runoff for a season."""
NO_FLOW = 1e-9
"""Mean runoff upstream of a reach, m3/s, below which the reach counts as dry."""
OTHERS = 3
"""At least this many other gauges are needed for a median of the network."""
MANY = 50
"""With more gauges than this, one gauge does not change the median: it is computed once, not without each in turn."""
SMOOTHING = (3 * DAY, 10 * DAY, 30 * DAY)
"""A long river smooths the runoff of days and weeks. Where discharge does not follow the runoff of single days, it is
compared with trailing means over these times."""
LONGER = 3
"""Smoothed runoff is tried at lags this many times as long: what smooths for weeks may take months."""
SIGNIFICANT = 3.5
"""Standard deviations by which a correlation with smoothed runoff is above chance, the best of many lags. Smoothed
series have few independent values, so that a correlation alone says little."""
NOISY = 0.5
"""Only gauges whose successive values correlate less are compared with smoothed runoff: noise hides their flow from the
runoff of single days. Others would follow it on their own river, and share their seasons with every river."""
BLOCK = 30 * DAY
"""Block length of the volume ratios in which changes of rating are sought. Shorter blocks follow the weather."""
SEASONS = 12
YEAR = 365.25 * DAY

ALWAYS = ("no data", "too few values", "flat line")
"""Findings that apply even without screening: a gauge with one of these cannot train."""

DROPPED, REPORTED = "dropped", "reported only"


@dataclass(frozen=True)
class ScreeningSettings:
    """Thresholds; durations in s.

    Attributes:
        least_variation: share of the gauge's mean flow. A gauge with a smaller standard deviation is a flat line. A
            share, so that small streams count as large rivers do.
        flat_run: s. A value that repeats for longer comes from a stuck instrument or is an estimate. Archives flag ten
            days (GSIM: Gudmundsson et al. 2018, doi:10.5194/essd-10-787-2018). Below dams and at low flow, where two
            digits are recorded, a good gauge can repeat a value for four weeks.
        flat_above: share of the gauge's mean flow. Lower values may repeat for any time, as in a dry river.
        volume_factor: largest factor between the volume of a gauge and the expected volume. Runoff of global models
            differs from observations by factors of 2 to 5 in dry regions. A gauge on the wrong river differs by more.
        unit_tolerance: a ratio within this factor of `FEET` is an error of unit. It is the usual error of runoff.
            (`volume_factor` drops gauges with larger ratios.)
        correlation: least correlation, at the best lag, of the square roots of discharge and of upstream runoff. Square
            roots keep a single flood from deciding. A gauge below this and below `correlation_share` is on the wrong
            river.
        correlation_share: share of the other gauges' median correlation. That median must exceed `correlation`, because
            runoff may be bad everywhere.
        longest_lag: s, the longest travel time that is tried.
        rating_factor: least step in the ratio of discharge to upstream runoff that counts as a change of rating.
        rating_side: s, least record on each side of the step.
        rating_level: significance level of the step.
    """

    least_variation: float = 1e-4
    flat_run: float = 30 * DAY
    flat_above: float = 0.1
    volume_factor: float = 10.0
    unit_tolerance: float = 2.0
    correlation: float = 0.2
    correlation_share: float = 0.5
    longest_lag: float = 30 * DAY
    rating_factor: float = 2.0
    rating_side: float = 180 * DAY
    rating_level: float = 0.01


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong with a gauge.

    Attributes:
        gauge: position of the gauge.
        what: name of the check.
        found, expected: in words.
        action: what was done: dropped, masked, or reported only.
        start: first step that is wrong; -1 if the whole record is.
        spared: whether the gauge is kept only because it is not judged: its values are wrong.
    """

    gauge: int
    what: str
    found: str
    expected: str
    action: str
    start: int = -1
    spared: bool = False


@dataclass(frozen=True, eq=False)
class ScreeningResult:
    """The result of screening.

    Attributes:
        keep: (G,) gauges to train on.
        mask: (T, G) values to leave out.
        wrong: (G,) gauges that are dropped because their values are wrong, and not because they have too few.
        findings: sorted by gauge.
    """

    keep: Bool
    mask: Bool
    wrong: Bool
    findings: tuple[Finding, ...]


def screen(
    observed: Float,
    unrouted: Float,
    settings: ScreeningSettings | None = None,
    *,
    step: float = DAY,
    needed: int = 10,
    fit: Bool | None = None,
    judged: Bool | None = None,
) -> ScreeningResult:
    """Find gauges and values to leave out.

    Args:
        observed: (T, G) m3/s, NaN where missing.
        unrouted: (T, G) runoff upstream of each gauge, summed in the same step, m3/s.
        settings: thresholds.
        step: forcing step, s.
        needed: least number of values of a gauge that trains.
        fit: (T,) the steps that enter the loss, in which values are counted; all steps by default.
        judged: (G,) gauges that may be dropped or masked and that give the medians. The others are only reported.

    Returns:
        The gauges to keep, the values to mask, and the findings. Gauges that are not judged keep all values.
    """
    settings = settings or ScreeningSettings()
    observed = np.where(np.isfinite(observed), observed, np.nan)
    unrouted = np.where(np.isfinite(unrouted), unrouted, np.nan)
    n_gauges = observed.shape[1]
    judged = np.ones(n_gauges, bool) if judged is None else judged
    in_fit = observed if fit is None else observed[fit]
    findings = unusable(in_fit, needed=needed, least_variation=settings.least_variation, judged=judged)
    usable = np.ones(n_gauges, bool)
    usable[[one.gauge for one in findings]] = False

    mask = np.zeros(observed.shape, bool)
    wrong = np.zeros(n_gauges, bool)

    def drop(more: list[Finding]) -> None:
        findings.extend(more)
        for one in more:
            usable[one.gauge] = False
            wrong[one.gauge] = one.action == DROPPED

    flat, stretches = flat_stretches(observed, settings, step, usable, judged)
    left = (~np.isnan(in_fit) & ~(flat if fit is None else flat[fit])).sum(axis=0)
    drop([_dropped(one, judged) for one in stretches if left[one.gauge] < needed])
    findings.extend(one for one in stretches if left[one.gauge] >= needed)
    mask |= flat
    clean = np.where(flat, np.nan, observed)

    drop(volumes(clean, unrouted, settings, step, usable, judged))
    drop(wrong_rivers(clean, unrouted, settings, step, usable, judged))
    changed, ratings = rating_changes(clean, unrouted, settings, step, usable, judged)
    findings.extend(ratings)
    mask |= changed
    mask &= judged & ~np.isnan(observed)
    keep = np.ones(n_gauges, bool)
    keep[[one.gauge for one in findings if one.action == DROPPED]] = False
    return ScreeningResult(
        keep,
        mask,
        wrong,
        tuple(sorted(findings, key=lambda one: one.gauge)),
    )


# -- too little data -----------------------------------------------------------------------------------------


def unusable(
    observed: Float,
    *,
    needed: int,
    least_variation: float = ScreeningSettings.least_variation,
    judged: Bool | None = None,
) -> list[Finding]:
    """Gauges with no value, with fewer values than needed, or with (nearly) the same value throughout.

    Args:
        observed: (T, G) m3/s of the steps that enter the loss.
        needed: least number of values.
        least_variation: least standard deviation, as a share of the mean flow.
        judged: (G,) gauges that may be dropped; the others are only reported. All by default.

    Returns:
        A finding for each of these gauges.
    """
    result = []
    for g in range(observed.shape[1]):
        values = observed[:, g][np.isfinite(observed[:, g])]
        action = DROPPED if judged is None or judged[g] else REPORTED
        if not values.size:
            result.append(Finding(g, ALWAYS[0], "no value", f"{needed} values or more", action))
        elif values.size < needed:
            count = f"{values.size} value{'s' if values.size > 1 else ''}"
            result.append(Finding(g, ALWAYS[1], count, f"{needed} values or more", action))
        elif not varies(values, least_variation):
            found = f"{values.size} values of {values.mean():.4g} m3/s, standard deviation {values.std():.2g}"
            expected = f"a standard deviation above {least_variation:g} of the mean"
            result.append(Finding(g, ALWAYS[2], found, expected, action))
    return result


def varies(values: Float, least: float = ScreeningSettings.least_variation) -> bool:
    """Whether values (T,) m3/s, without NaN, are no flat line: the standard deviation is above `least` of the mean."""
    return bool(np.ptp(values) > 0 and values.std() > least * abs(values.mean()))


# -- single checks -------------------------------------------------------------------------------------------


def flat_stretches(
    observed: Float, settings: ScreeningSettings, step: float, usable: Bool, judged: Bool
) -> tuple[Bool, list[Finding]]:
    """Find runs of one value that are longer than `flat_run` and above `flat_above`: a mask (T, G), and findings."""
    longest = max(2, round(settings.flat_run / step))
    mask = np.zeros(observed.shape, bool)
    findings = []
    for g in np.flatnonzero(usable):
        values = observed[:, g]
        start = np.flatnonzero(np.append(True, values[1:] != values[:-1]))  # NaN differs from NaN
        length = np.diff(np.append(start, values.size))
        level = settings.flat_above * float(np.nanmean(values))
        runs = np.flatnonzero((length > longest) & (values[start] > level))
        for run in runs:
            mask[start[run] : start[run] + length[run], g] = True
        if runs.size:
            top = runs[length[runs].argmax()]
            times = f" ({runs.size} stretches)" if runs.size > 1 else ""
            findings.append(
                Finding(
                    int(g),
                    "flat stretch",
                    f"{values[start[top]]:.4g} m3/s for {length[top] * step / DAY:.4g} days{times}",
                    f"no value for longer than {settings.flat_run / DAY:.4g} days",
                    _masked(int(length[runs].sum()), bool(judged[g])),
                    int(start[top]),
                )
            )
    return mask, findings


def volumes(
    observed: Float, unrouted: Float, settings: ScreeningSettings, step: float, usable: Bool, judged: Bool
) -> list[Finding]:
    """Find gauges with far more or less water than the runoff upstream: a wrong unit or a wrong reach."""
    pairs = ~np.isnan(observed) & ~np.isnan(unrouted)
    count = pairs.sum(axis=0)
    seen = np.where(pairs, observed, 0.0).sum(axis=0)
    runoff = np.where(pairs, unrouted, 0.0).sum(axis=0)
    tested = usable & (count * step >= LEAST_RECORD)
    wet = tested & (runoff > NO_FLOW * count)
    ratio = np.full(count.size, np.nan)
    ratio[wet] = seen[wet] / runoff[wet]
    findings = []
    for g in np.flatnonzero(tested):
        others = _others(ratio, judged, g)
        usual = float(np.median(others)) if others.size else 1.0
        bulk = bool(1 / BULK <= usual <= BULK)
        if not bulk:
            usual = 1.0
        expected = f"{usual:.3g} times the runoff upstream" + (
            ", the median of the other gauges" if bulk and others.size else ""
        )
        action = DROPPED if judged[g] else REPORTED
        if not ratio[g] > 0:
            of = f"{seen[g] / count[g]:.4g} m3/s, and {runoff[g] / count[g]:.4g} m3/s of runoff upstream"
            findings.append(Finding(int(g), "volume ratio", of, expected, action, spared=not bool(judged[g])))
            continue
        relative = abs(float(np.log(ratio[g] / usual)))
        found = f"{ratio[g]:.3g} times the runoff upstream"
        if abs(relative - np.log(FEET)) <= np.log(settings.unit_tolerance):
            which = "ft3/s read as m3/s" if ratio[g] > usual else "m3/s read as ft3/s"
            found += f", as with {which} ({FEET if ratio[g] > usual else 1 / FEET:.4g})"
            findings.append(
                Finding(int(g), "unit error", found, expected, action, spared=not bool(judged[g]))
            )
        elif relative > np.log(settings.volume_factor):
            findings.append(
                Finding(int(g), "volume ratio", found, expected, action, spared=not bool(judged[g]))
            )
    return findings


def wrong_rivers(
    observed: Float, unrouted: Float, settings: ScreeningSettings, step: float, usable: Bool, judged: Bool
) -> list[Finding]:
    """Find gauges whose discharge does not correlate with the runoff upstream at any travel time, smoothed or not."""
    each = max(1, round(DAY / step))
    lags = int(settings.longest_lag // (each * step))
    blocks = [np.maximum(_blocks(values, each)[0], 0.0) for values in (observed, unrouted)]
    root = [np.sqrt(values) for values in blocks]
    least = max(3, round(LEAST_SEASONS / (each * step)))
    best = np.full(observed.shape[1], np.nan)
    for g in np.flatnonzero(usable):
        best[g] = lagged_correlation(root[0][:, g], root[1][:, g], lags, least)
    findings = []
    for g in np.flatnonzero(best < settings.correlation):
        others = _others(best, judged, g)
        usual = float(np.median(others)) if others.size else np.nan
        if others.size and best[g] >= settings.correlation_share * usual:
            continue
        widths = [max(2, round(width / (each * step))) for width in SMOOTHING]
        if _follows_smoothed(root[0][:, g], blocks[1][:, g], widths, lags, least, settings.correlation):
            continue
        # if runoff correlates with no gauge, a low correlation says nothing about a single gauge
        enough = others.size >= OTHERS and usual >= settings.correlation
        expected = f"{settings.correlation:g} or more" + (
            f" (median of the other gauges {usual:.2f})" if others.size else ""
        )
        found = f"best correlation with the runoff upstream {best[g]:.2f}"
        action = DROPPED if enough and judged[g] else REPORTED
        spared = enough and not bool(judged[g])
        findings.append(Finding(int(g), "wrong river", found, expected, action, spared=spared))
    return findings


def _follows_smoothed(
    observed: Float, unrouted: Float, widths: Sequence[int], lags: int, least: int, correlation: float
) -> bool:
    """Whether roots of discharge follow those of a trailing mean of runoff, as far as they can and by more than chance.

    Noise of the observations, which no runoff explains, is independent from value to value: what is left of the
    variance is the correlation r(1) of successive values, and √r(1) the highest correlation that any runoff could have.
    The variance of a correlation of two persistent series is Σ r_a(k) r_b(k) / n over all lags k (Bartlett 1935).
    """
    steady = float(_autocorrelation(observed, 1)[0])
    if steady > NOISY:
        return False
    for width in widths:
        smooth = np.sqrt(_trailing_mean(unrouted, width))
        found = lagged_correlation(observed, smooth, LONGER * lags, least, every=max(1, width // 3))
        if not found >= correlation * np.sqrt(max(steady, 0.0)):
            continue
        pairs = int((~np.isnan(observed) & ~np.isnan(smooth)).sum())
        both = _autocorrelation(observed, 3 * width) * _autocorrelation(smooth, 3 * width)
        persistence = max(1.0, 1.0 + 2.0 * float(both.sum()))
        if found * np.sqrt(pairs / persistence) >= SIGNIFICANT:
            return True
    return False


def _trailing_mean(values: Float, width: int) -> Float:
    """(T,) means of each value and the `width` - 1 before it; NaN at first, and where one of them is missing."""
    total = np.cumsum(np.append(0.0, np.where(np.isnan(values), 0.0, values)))
    missing = np.cumsum(np.append(0, np.isnan(values)))
    mean = np.full(values.size, np.nan)
    if values.size >= width:
        whole = missing[width:] == missing[:-width]
        mean[width - 1 :] = np.where(whole, np.maximum(total[width:] - total[:-width], 0.0) / width, np.nan)
    return mean


def _autocorrelation(values: Float, lags: int) -> Float:
    """(lags,) correlations of a series with itself 1 to `lags` steps earlier, over the pairs that are there."""
    about = values - np.nanmean(values)
    power = float(np.nanmean(about**2))
    found = np.zeros(lags)
    for lag in range(1, min(lags, values.size - 1) + 1):
        product = about[lag:] * about[:-lag]
        if power > 0 and not np.isnan(product).all():
            found[lag - 1] = float(np.nanmean(product)) / power
    return found


def lagged_correlation(observed: Float, unrouted: Float, lags: int, least: int, every: int = 1) -> float:
    """The best correlation of discharge with runoff 0 to `lags` steps earlier; NaN with fewer than `least` pairs.

    Args:
        observed, unrouted: (T,), NaN where missing.
        lags: the longest lag, in steps; least: pairs needed.
        every: steps from one lag that is tried to the next.
    """
    best = np.nan
    if (~np.isnan(observed) & ~np.isnan(unrouted)).sum() < least:
        return best
    for lag in range(0, min(lags, observed.size - 1) + 1, every):
        a, b = observed[lag:], unrouted[: unrouted.size - lag]
        pairs = ~np.isnan(a) & ~np.isnan(b)
        if 2 * pairs.sum() < least:
            continue
        a, b = a[pairs] - a[pairs].mean(), b[pairs] - b[pairs].mean()
        scale = float(np.sqrt((a @ a) * (b @ b)))
        if scale > 0:
            best = float(np.fmax(best, float(a @ b) / scale))
    return best


def rating_changes(
    observed: Float, unrouted: Float, settings: ScreeningSettings, step: float, usable: Bool, judged: Bool
) -> tuple[Bool, list[Finding]]:
    """Find steps in the ratio of discharge to upstream runoff.

    The series is the log ratio over blocks of 30 days, minus the median of the other gauges in that block (errors of
    the runoff, seasonal storage). With too few other gauges and three years or more, the gauge's own seasonal cycle is
    subtracted instead. Pettitt's test (1979, doi:10.2307/2346729) looks for a step. Autocorrelation about the step
    reduces the effective number of blocks (Serinaldi & Kilsby 2016, Stoch. Environ. Res. Risk Assess. 30, 763-777).
    Without this the test finds steps in any persistent series.

    Returns:
        (T, G) the values on the shorter side of a step, and the findings.
    """
    mask = np.zeros(observed.shape, bool)
    findings: list[Finding] = []
    each = max(1, round(BLOCK / step))
    ratio = _block_ratios(observed, unrouted, each)
    ratio[:, ~usable] = np.nan
    side = max(3, int(np.ceil(settings.rating_side / (each * step))))
    centred = np.full(ratio.shape, np.nan)
    for g in np.flatnonzero(usable & ~np.isnan(ratio).all(axis=0)):
        centred[:, g] = ratio[:, g] - np.nanmedian(ratio[:, g])
    # one gauge among many does not change the median, and a sort for each gauge takes long
    common = _usual(centred, judged) if judged.sum() > MANY else None
    for g in np.flatnonzero(usable):
        usual = _usual(centred, judged, int(g)) if common is None else common
        series = _less_common(centred[:, g], usual, each * step)
        at = np.flatnonzero(~np.isnan(series))
        if at.size < 2 * side:
            continue
        values = series[at]
        _, p = pettitt(values)
        if p > settings.rating_level:
            continue
        split = sharpest_step(values, side)  # Pettitt's own split is biased to the middle of the series
        factor = float(np.exp(np.median(values[split:]) - np.median(values[:split])))
        if max(factor, 1 / factor) < settings.rating_factor:
            continue
        end = int(at[split]) * each
        present = ~np.isnan(observed[:, g])
        before, after = int(present[:end].sum()), int(present[end:].sum())
        shorter = slice(0, end) if before < after else slice(end, None)
        mask[shorter, g] = present[shorter]
        findings.append(
            Finding(
                int(g),
                "rating change",
                f"{factor:.3g} times as much of the runoff upstream as before (p = {p:.1g})",
                f"a step of less than {settings.rating_factor:g} times",
                _masked(min(before, after), bool(judged[g])),
                end,
            )
        )
    return mask, findings


def pettitt(values: Float) -> tuple[int, float]:
    """Pettitt's test for a step in a series.

    The test is for independent values. Here the autocorrelation r about the step reduces n by (1 - r) / (1 + r).

    Args:
        values: the series, without NaN.

    Returns:
        The number of values before the most likely step, and its p-value.

    Source: Pettitt (1979), doi:10.2307/2346729.
    """
    n = values.size
    ranks = np.empty(n)
    ordered, which, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[which]  # ties share their mean rank
    if ordered.size < 2:
        return 1, 1.0
    u = 2 * np.cumsum(ranks)[:-1] - np.arange(1, n) * (n + 1)
    split = int(np.abs(u).argmax()) + 1
    k = float(np.abs(u).max())
    about = values - np.where(np.arange(n) < split, np.median(values[:split]), np.median(values[split:]))
    about = about - about.mean()
    power = float(about @ about)
    r = min(max(float(about[1:] @ about[:-1]) / power, 0.0), 0.95) if power > 0 else 0.0
    exponent = -6 * k**2 / (n**3 + n**2) * (1 - r) / (1 + r)
    return split, min(1.0, 2 * float(np.exp(exponent)))


def sharpest_step(values: Float, side: int) -> int:
    """The number of values before the step that fits best by least squares, with `side` or more on each side."""
    n = values.size
    before = np.arange(side, n - side + 1)
    total = np.cumsum(values - values.mean())
    # the sum of squares that the means of both sides explain, for values with mean 0
    explained = total[before - 1] ** 2 / before + total[before - 1] ** 2 / (n - before)
    return int(before[explained.argmax()])


# -- shared by the checks ------------------------------------------------------------------------------------


def _others(values: Float, judged: Bool, g: int | np.intp) -> Float:
    """The values of the other judged gauges, without NaN."""
    those = judged & ~np.isnan(values)
    those[g] = False
    return values[those]


def _blocks(values: Float, each: int) -> tuple[Float, Float]:
    """(blocks, G) means over blocks of `each` steps (NaN without values), and the number of values in each block."""
    blocks = -(-values.shape[0] // each)
    padded = np.full((blocks * each, values.shape[1]), np.nan)
    padded[: values.shape[0]] = values
    cube = padded.reshape(blocks, each, values.shape[1])
    there = ~np.isnan(cube)
    count = there.sum(axis=1).astype(np.float64)
    total = np.where(there, cube, 0.0).sum(axis=1)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan), count


def _block_ratios(observed: Float, unrouted: Float, each: int) -> Float:
    """(blocks, G) log of the ratio of observed to runoff volume; NaN if over half of a block's values are missing."""
    both = ~np.isnan(observed) & ~np.isnan(unrouted)
    mean_o, count = _blocks(np.where(both, observed, np.nan), each)
    mean_u, _ = _blocks(np.where(both, unrouted, np.nan), each)
    good = (2 * count >= each) & (mean_o > 0) & (mean_u > 0)
    return np.where(good, np.log(np.where(good, mean_o, 1.0)) - np.log(np.where(good, mean_u, 1.0)), np.nan)


def _usual(ratio: Float, judged: Bool, without: int | None = None) -> Float:
    """(blocks,) median over the judged gauges; NaN if fewer than `OTHERS` have a value."""
    those = judged.copy()
    if without is not None:
        those[without] = False
    usual = np.full(ratio.shape[0], np.nan)
    known = (~np.isnan(ratio[:, those])).sum(axis=1) >= OTHERS
    if known.any():
        usual[known] = np.nanmedian(ratio[known][:, those], axis=1)
    return usual


def _less_common(values: Float, usual: Float, block: float) -> Float:
    """(blocks,) a gauge's ratios minus the usual ones of the block, else of its season; NaN where neither is known."""
    there = ~np.isnan(values)
    if 2 * (there & ~np.isnan(usual)).sum() >= there.sum():
        return values - usual
    result = np.full(values.size, np.nan)
    if there.sum() * block < 3 * YEAR:
        return result
    season = (((np.arange(values.size) + 0.5) * block % YEAR) * SEASONS / YEAR).astype(int)
    for one in np.unique(season[there]):
        here = there & (season == one)
        result[here] = values[here] - np.median(values[here])
    return result


def _masked(count: int, judged: bool) -> str:
    return f"masked {count} values" if judged else REPORTED


def _dropped(one: Finding, judged: Bool) -> Finding:
    spared = not bool(judged[one.gauge])
    return replace(one, action=REPORTED if spared else DROPPED, spared=spared)
