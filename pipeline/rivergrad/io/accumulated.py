"""Amounts that a file accumulates: told from amounts per step, and taken apart again.

ERA5-Land accumulates from 00 UTC to 00 UTC of the next day, ERA-Interim for 12 hours, WRF since the start of its run.
The amount of a step is the difference to the value before, and the first value after a reset itself. Whether
values accumulate is said by bounds that all begin at the reset, or by `GRIB_stepType` together with values that
rise and fall so: ERA5 has the attribute `accum` too, for amounts of one hour.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from rivergrad.errors import InputError
from rivergrad.io.resets import (
    CLOCK,
    DROP,
    FALL,
    NEARLY_ALL,
    PERIODS,
    STEPS,
    WET,
    falls_in,
    resets_by_clock,
    wet_cells,
)
from rivergrad.io.stamps import FileAxis, grib_step_type
from rivergrad.io.times import TimeArray, step_text, text

__all__ = ["Accumulated", "Accumulation", "differences", "find_accumulation", "grib_step_type"]

log = logging.getLogger("rivergrad")

Float = NDArray[np.float64]
Fresh = NDArray[np.bool_]
Accumulated = Literal["auto", "no", "run"] | float
"""`auto`, `no`, `run` (since the first step), or seconds from one reset to the next (from 00 UTC on)."""
Sample = Callable[[int, int], Float]
"""Values (stop - start, cell) of steps start..stop of the file, of some of the cells that are needed."""

ENOUGH = 6  # rises that tell something where resets are on the clock, or an attribute says `accum`
RISING = 12  # rises without a reset that tell something where no attribute does
FIRST_LOOK, LOOK = 9, 49  # steps looked at: most files show in a few that they do not accumulate
STEADY = 0.6  # of the steps: in so many values rise, where one reset alone is to tell
LONG_RISE = 20  # rises before and after one reset: so many in all cells are no shower
OFF = 1e-3  # of the value before: a larger fall within a period is an error
JUMP = 10.0  # how much larger than any other the first amount of a run may be


@dataclass(frozen=True, eq=False)
class Accumulation:
    """How the values of a file accumulate.

    Attributes:
        fresh: (T,) whether a value holds its own step alone, the first after a reset.
        skip: values at the beginning of the file whose own step is not known: 0 or 1.
        lowest: an amount of a step down to this is read as 0, in the file's unit.
    """

    fresh: Fresh
    skip: int = 0
    lowest: float = 0.0


@dataclass(frozen=True)
class Pattern:
    """What values of consecutive steps do in nearly all cells that hold water.

    `falls`: they fall as amounts per step do. `rises`: no fall but, at the steps `drops`, to a far smaller value.
    `flat`: neither falls nor rises, but for `drops`. `dry`: no water. `rises` counts the steps without a drop;
    `steady` is the share of them, over the cells, in which values rise; `levels`, whether values stay as they are
    before a drop, as amounts of a step would not.
    """

    kind: Literal["falls", "rises", "flat", "dry"]
    drops: tuple[int, ...] = ()
    rises: int = 0
    steady: float = 0.0
    levels: bool = False


def differences(values: Float, fresh: Fresh) -> Float:
    """Amounts of steps out of accumulated values (T, cell); the first step needs `fresh` or is not used."""
    amounts = values.copy()
    amounts[1:] -= np.where(fresh[1:, None], 0.0, values[:-1])
    return amounts


def checked(accumulation: Accumulation, values: Float, first: int, time: TimeArray, source: str) -> Float:
    """Amounts of the steps first + 1.. (or first.., where that is fresh) from accumulated values of the file.

    What falls by no more than packing explains becomes 0, element by element, so the same for any chunking.

    Raises:
        InputError: values that fall within a period.
    """
    fresh = accumulation.fresh[first : first + len(values)]
    amounts = differences(values, fresh)
    negative = (amounts < 0) & ~fresh[:, None]
    negative[0] = False
    if negative.any():
        allowed = np.maximum(-accumulation.lowest, OFF * np.abs(values[:-1]))
        wrong = negative[1:] & (amounts[1:] < -allowed)
        if wrong.any():
            at, cell = (int(one[0]) for one in np.nonzero(wrong))
            raise InputError(
                f"{source} is accumulated and falls from {values[at, cell]:g} to "
                f"{values[at + 1, cell]:g} in the step from {text(time[first + at + 1])} on, where no reset is; "
                "expected values that rise until then (options accumulated and stamp)"
            )
        amounts[negative] = 0.0
    return amounts


def find_accumulation(
    axis: FileAxis,
    starts: Callable[[bool], TimeArray],
    told: Accumulated,
    *,
    amount: bool,
    hint: bool,
    sample: Sample,
    lowest: float,
    path: Path,
    variable: str,
    what: str,
) -> Accumulation | None:
    """Whether and how the values of a file accumulate; None for amounts per step and for rates.

    Args:
        axis: the time axis of the file.
        starts: (T,) the start of each step, given whether values accumulate.
        told: the option.
        amount: whether the unit is one of an amount per step; rates do not accumulate.
        hint: whether an attribute says `accum`, which says of ERA5 that it is of one hour.
        sample: reads some cells, for a look.
        lowest: an amount down to this is read as 0.
        path, variable, what: the file, its variable and the beginning of the workflow's keys, for messages.

    Raises:
        InputError: an option that does not fit the file, or values that look accumulated without it.
    """
    count = axis.stamps.size
    if told == "no" or count == 0:
        return None
    if not amount:
        if told != "auto" or axis.fresh is not None:
            why = "its bounds" if told == "auto" else f"{what}accumulated"
            raise InputError(
                f"{path}: variable '{variable}' accumulates by {why}, and its unit is one of a rate; expected an "
                "amount such as m, mm, kg m-2 or m3"
            )
        return None
    if axis.fresh is not None and told == "auto":
        log.warning("%s: '%s' is accumulated by its bounds; steps are taken apart", path, variable)
        return _begun(axis.fresh, lowest, starts(True), path, variable)
    if told == "auto":
        if axis.by_bounds:  # of one step each
            return None
        return _told_by_values(axis, starts, hint, sample, lowest, path, variable, what)
    if told == "run":
        return _of_a_run(count, starts, sample, lowest, path, variable)
    period = round(float(told) * 1e9)
    step = round(axis.step * 1e9)
    if period < step or period % step:
        raise InputError(
            f"{path}: found {what}accumulated {step_text(float(told))} and steps of {step_text(axis.step)}; "
            "expected a multiple of the step"
        )
    time = starts(True)
    phase = _phase(time, period, step, sample, path, variable)
    return _begun((time.astype(np.int64) - phase) % period == 0, lowest, time, path, variable)


def _begun(fresh: Fresh, lowest: float, time: TimeArray, path: Path, variable: str) -> Accumulation:
    """An accumulation that leaves out a first value which began before the file."""
    if fresh[0]:
        return Accumulation(fresh, 0, lowest)
    if fresh.size == 1:
        raise InputError(
            f"{path}: variable '{variable}' has one value, accumulated since before; expected two or more"
        )
    log.warning(
        "%s: the first value of '%s' is accumulated since before the file begins: the record starts at %s",
        *(path, variable, text(time[1])),
    )
    return Accumulation(fresh, 1, lowest)


def _of_a_run(
    count: int, starts: Callable[[bool], TimeArray], sample: Sample, lowest: float, path: Path, variable: str
) -> Accumulation:
    """Since the start of the run, which is the first step, unless its value is far too large for one."""
    fresh = np.zeros(count, dtype=bool)
    values = sample(0, min(count, LOOK))
    total = np.nan_to_num(values).sum(axis=1)
    if count > 1 and total[0] > JUMP * max(float(np.diff(total).max()), 0.0) and total[0] > 0:
        return _begun(fresh, lowest, starts(True), path, variable)
    fresh[0] = True
    return Accumulation(fresh, 0, lowest)


def _phase(time: TimeArray, period: int, step: int, sample: Sample, path: Path, variable: str) -> int:
    """When resets are, ns after a multiple of the period: at 00 UTC, or where the values say it is otherwise.

    Raises:
        InputError: values that are reset at other times than once a period.
    """
    steps = period // step
    length = max(FIRST_LOOK, min(4 * steps + 1, 4 * LOOK))
    for values, first in _looks(sample, time.size, length):
        found = pattern(values)
        if found.kind != "rises" or steps < 2:
            continue
        at = time[first : first + len(values)]
        resets = np.unique(at[list(found.drops)].astype(np.int64) % period)
        phase = int(resets[0]) if resets.size else 0
        due = np.flatnonzero((at.astype(np.int64) - phase) % period == 0)
        due = due[due > 0]
        missed = [int(one) for one in due if _goes_on(values, int(one))]
        # one may be hidden by a storm in the first step after it
        if resets.size > 1 or (missed and 2 * len(missed) >= due.size and (due.size > 1 or not resets.size)):
            seen = " and ".join(text(at[one]) for one in (found.drops[:2] or (0,)))
            what = f"are reset at {seen}" if resets.size > 1 else f"are not reset at {text(at[missed[0]])}"
            raise InputError(
                f"{path}: the values of '{variable}' {what}, and accumulated says every "
                f"{step_text(period / 1e9)}; expected the period that the values show"
            )
        if phase:
            log.warning("%s: '%s' is reset %s after 00 UTC", path, variable, step_text(phase / 1e9))
        if resets.size:
            return phase
    return 0


def _goes_on(values: Float, at: int) -> bool:
    """Whether nearly all cells that hold water hold no less of it at a step than before."""
    before, now = values[at - 1], values[at]
    held = np.isfinite(before) & np.isfinite(now) & (before > WET * np.nanmax(before, initial=0.0))
    return bool(held.any() and (now[held] >= before[held]).mean() >= NEARLY_ALL)


def _looks(sample: Sample, count: int, length: int) -> Iterator[tuple[Float, int]]:
    """Stretches of the record, from its start, middle and end."""
    length = min(count, length)
    for first in sorted({0, (count - length) // 2, count - length}):
        yield sample(first, first + length), first


def _telling(sample: Sample, count: int) -> tuple[Pattern, int]:
    """The first stretch that shows whether values accumulate, or the last, and where it begins."""
    found = Pattern("dry"), 0
    for values, first in _looks(sample, count, LOOK):
        found = pattern(values), first
        if found[0].kind in ("falls", "rises"):
            break
    return found


def _told_by_values(
    axis: FileAxis,
    starts: Callable[[bool], TimeArray],
    hint: bool,
    sample: Sample,
    lowest: float,
    path: Path,
    variable: str,
    what: str,
) -> Accumulation | None:
    count = axis.stamps.size
    if count < 3 or _falls_at_once(sample(0, min(count, FIRST_LOOK)), axis):
        return None
    option = f"{what}accumulated (route --accumulated)"
    found, first = _telling(sample, count)
    resets = _resets(found, first, starts, axis, sample, ENOUGH if hint else RISING)
    if resets is not None:
        period, phase = resets
        if hint and phase % (CLOCK * 10**9) == 0:
            log.warning(
                "%s: '%s' is accumulated over %s (GRIB_stepType accum, and its values rise and are reset): "
                "steps are taken apart",
                *(path, variable, step_text(period)),
            )
            time = starts(True)
            fresh = (time.astype(np.int64) - phase) % (period * 10**9) == 0
            return _begun(fresh, lowest, time, path, variable)
        raise InputError(
            f"the values of '{variable}' rise and are reset every {step_text(period)} in nearly all cells, as "
            "accumulated amounts are",
            where=path,
            expected=f"{option}: {step_text(period).replace(' ', '')}, or no",
        )
    if found.kind == "rises" and found.drops:
        if hint and (found.levels or (found.steady >= STEADY and found.rises >= RISING)):
            raise InputError(
                f"the values of '{variable}' rise, stay and are reset in nearly all cells, as accumulated amounts do",
                where=path,
                expected=f"{option}: 12h or 1d, or no",
            )
        return None
    # amounts that are the same all day long rise too, at a few midnights
    rising = found.rises if hint else found.steady * found.rises
    if found.kind == "rises" and rising >= (ENOUGH if hint else RISING):
        raise InputError(
            f"the values of '{variable}' rise and never fall in the {found.rises + 1} steps looked at, as amounts that "
            "are accumulated for longer do",
            where=path,
            expected=f"{option}: run, 12h or 1d, or no",
        )
    if hint and (found.drops if found.kind == "flat" else found.kind == "dry" and count > 3 * LOOK):
        raise InputError(
            f"'{variable}' has GRIB_stepType accum and too little water to tell amounts of a step from amounts since a "
            "reset",
            where=path,
            expected=f"{option}: 12h or 1d, or no",
        )
    return None


def _on_the_clock(found: Pattern, time: TimeArray) -> bool:
    """Whether resets are at the hours where known sources have them."""
    return not (time[np.array(found.drops)].astype(np.int64) % (CLOCK * 10**9)).any()


def _falls_at_once(values: Float, axis: FileAxis) -> bool:
    """Whether a few steps show that values do not accumulate: they fall, at more times than resets are."""
    if pattern(values).kind != "falls":
        return False
    if STEPS * axis.step > PERIODS[-1]:
        return True
    return falls_in(values) > np.ceil(len(values) / max(PERIODS[0] / axis.step, 1.0))


def _resets(
    found: Pattern,
    first: int,
    starts: Callable[[bool], TimeArray],
    axis: FileAxis,
    sample: Sample,
    least: int,
) -> tuple[int, int] | None:
    """The period of resets, s, and their place in it, ns: by drops in nearly all cells, or by the clock."""
    if axis.step >= 86400:
        return None
    time = starts(True)
    if found.kind == "rises" and found.drops and found.rises >= ENOUGH:
        period = _period(found, time[first : first + LOOK], axis.step)
        if period is not None:
            return period, int(time[first + found.drops[0]].astype(np.int64)) % (period * 10**9)
    for values, start in _looks(sample, time.size, LOOK):
        by_clock = resets_by_clock(values, time[start : start + len(values)], axis.step, least)
        if by_clock is not None:
            return by_clock
    return None


def _period(found: Pattern, time: TimeArray, step: float) -> int | None:
    """The period of resets, s; None where they are not regular, or too few to tell."""
    drops = np.array(found.drops)
    if step >= 86400:
        return None
    if drops.size > 1:
        gaps = np.diff(drops)
        period = round(float(gaps[0]) * step)
        outer = max(int(drops[0]), time.size - int(drops[-1]))
        fits = (gaps == gaps[0]).all() and period in PERIODS and outer <= gaps[0]
        return period if fits and gaps[0] > 1 else None
    if min(int(drops[0]), time.size - int(drops[0])) < LONG_RISE and (
        found.steady < STEADY or not _on_the_clock(found, time)
    ):
        return None  # a single shower ends in a drop too
    longest = max(int(drops[0]), time.size - int(drops[0])) * step
    return next((one for one in PERIODS if one >= longest), None)


def pattern(values: Float) -> Pattern:
    """What the values (T, cell) of consecutive steps do in nearly all cells that hold water."""
    values, largest = wet_cells(values)
    if len(values) < 2 or not values.shape[1]:
        return Pattern("dry")
    change = np.diff(values, axis=0)
    falls = change < -FALL * largest
    # a cell counts at a step where it had water to lose
    held = values[:-1] > WET * largest
    drops = (falls & held & (values[1:] < DROP * values[:-1])).sum(axis=1)
    dropped = (drops > 0) & (drops >= NEARLY_ALL * held.sum(axis=1))
    at = tuple((np.flatnonzero(dropped) + 1).tolist())
    within = ~dropped
    if not within.any() or falls[within].any(axis=0).mean() > 1.0 - NEARLY_ALL:
        return Pattern("falls")
    rising = change[within] > FALL * largest
    if rising.any(axis=0).mean() < NEARLY_ALL:
        return Pattern("flat", at)
    levels = any(_stays(values, one, held[one - 1]) for one in at)
    return Pattern("rises", at, int(within.sum()), float(rising.mean()), levels)


def _stays(values: Float, at: int, held: NDArray[np.bool_]) -> bool:
    """Whether nearly all cells keep their value in the three steps before one."""
    if at < 3:
        return False
    before = values[at - 3 : at, held]
    return bool((np.ptp(before, axis=0) <= FALL * before.max(axis=0)).mean() >= NEARLY_ALL)
