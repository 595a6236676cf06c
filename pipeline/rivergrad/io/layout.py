"""Times with gaps put on a regular axis: that of the runoff where it is known, else their own."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rivergrad.errors import InputError
from rivergrad.io.times import SNAP, TimeArray, regular_step, seconds, step_text, text

log = logging.getLogger("rivergrad")

Int = NDArray[np.int64]

SECOND, DAY = 1_000_000_000, 86_400_000_000_000  # ns
VALUES = 1 << 27  # values of an axis that a table may always have: 1 GiB
PER_ROW = 100  # values of an axis to a row of the table, where it has more
DENSE = 1000  # steps of an axis to a time on it: more, and the smallest gap is no step


@dataclass(frozen=True)
class Steps:
    """A regular axis without ends: one start of a step, and the length of a step in s."""

    origin: np.datetime64
    length: float

    @property
    def nanoseconds(self) -> int:
        """Length of a step."""
        return round(self.length * SECOND)

    @property
    def start(self) -> int:
        """The origin, ns since 1970."""
        return int(self.origin.astype("datetime64[ns]").astype(np.int64))


def lay_out(
    time: TimeArray,
    path: Path,
    *,
    like: Steps | None = None,
    complete: bool = False,
    exact: bool = False,
    sure: bool = False,
    width: int = 1,
) -> tuple[TimeArray, Int, float]:
    """The regular axis that holds all times, each one's place on it, and its step in s.

    Args:
        time: (rows,) starts of steps, in any order, repeated or not.
        path: for messages.
        like: the steps of the runoff; times that lie on them are taken as steps of it with gaps between.
        complete: whether the times leave out next to none: their most frequent gap is the step then.
        exact: whether times are written to the second, as in texts, so that one a second late is no rounding.
        sure: whether times are known to be of the steps of `like`.
        width: how many series the axis is for, which bounds its length.

    Raises:
        InputError: a time beside the axis, or an axis far longer than the times are many.
    """
    levels = _levels(time, path, like)
    if like is not None and (sure or not has_own_step(time, like, path)):
        origin = like.start
        stray = _off(levels, origin, like.nanoseconds, exact)
        if stray.any():
            raise _beside(levels[stray][0], like.origin, like.length, path, "steps of the runoff")
        _say_sparse(levels, like, path)
        return _axis(time, levels, origin, like.nanoseconds, path, width)
    if len(levels) < 2:
        regular_step(_times(levels), str(path))  # raises: one time tells no step
    step = _step(levels, complete)
    origin = _origin(levels, step)
    stray = _off(levels, origin, step, exact)
    if stray.any():
        raise _beside(levels[stray][0], _time(levels[~stray][0]), step / SECOND, path, "axis")
    return _axis(time, levels, origin, step, path, width)


def has_own_step(time: TimeArray, like: Steps, path: Path) -> bool:
    """Whether times go on by a step of their own, which is not the runoff's: then they are not its with gaps.

    Times every hour or day are means of hours and days. Longer gaps, or gaps of any length, are those between
    measurements.

    Raises:
        InputError: one time a month, quarter or year, as means of them have.
    """
    levels = _levels(time, path, like)
    if _off(levels, like.start, like.nanoseconds).any():
        return _is_regular(levels)
    if len(levels) < 2:
        return False
    gaps, counts = np.unique(_gaps(levels), return_counts=True)
    if like.nanoseconds < gaps[0] <= DAY and counts[0] >= 0.5 * counts.sum():
        return True
    if like.nanoseconds < 27 * DAY and _is_monthly(levels):
        raise InputError(
            f"{path}: has one time a month or year from {text(_time(levels[0]))} on, as means of them have; expected "
            f"values of steps of {step_text(like.length)}, as the runoff's"
        )
    return False


def _levels(time: TimeArray, path: Path, like: Steps | None) -> Int:
    """The times once each, rising, ns since 1970; the whole of them must be less than what such integers count."""
    levels = np.unique(time.astype(np.int64))
    ends = [int(levels[0]), int(levels[-1]), *([] if like is None else [like.start])]
    if max(ends) - min(ends) >= 2**62:
        raise InputError(
            f"{path}: goes from {text(_time(levels[0]))} to {text(_time(levels[-1]))}; expected fewer years"
        )
    return levels


def _say_sparse(levels: Int, like: Steps, path: Path) -> None:
    if len(levels) < 3:
        return
    gaps, counts = np.unique(_gaps(levels), return_counts=True)
    usual = int(gaps[counts.argmax()])
    if usual > like.nanoseconds and counts.max() >= 0.9 * counts.sum():
        log.warning(
            "%s: times are %s apart: each is taken as the mean of the %s that start there",
            *(path, step_text(usual / SECOND), step_text(like.length)),
        )


def _is_monthly(levels: Int) -> bool:
    """Whether times are on the same day of every month, quarter or year."""
    if len(levels) < 4 or (np.diff(levels) < 27 * DAY).any():
        return False
    days = _times(levels).astype("datetime64[D]")
    month = days.astype("datetime64[M]")
    first = days - month
    last = (month + 1).astype("datetime64[D]") - days
    usual = np.median(np.diff(month).astype(np.int64)) in (1, 3, 12)
    return bool(usual and ((first == first[0]).all() or (last == last[0]).all()))


def _beside(stray: int, origin: np.datetime64, length: float, path: Path, what: str) -> InputError:
    return InputError(
        f"{path}: 'time' holds {text(_time(stray))}, which is not on the {what} from {text(origin)} by "
        f"{step_text(length)}; expected one regular step"
    )


def _time(value: int) -> np.datetime64:
    return np.datetime64(int(value), "ns")


def _times(values: Int) -> TimeArray:
    return values.astype("datetime64[ns]")


def _off(levels: Int, origin: int, step: int, exact: bool = True) -> NDArray[np.bool_]:
    """Whether times miss the axis by more than arithmetic in floating point explains."""
    rest = (levels - origin + step // 2) % step - step // 2
    return np.abs(rest) > (min(SNAP * step, SECOND / 2) if exact else SNAP * step)


def _gaps(levels: Int) -> Int:
    """Gaps between times, to the second where they are longer."""
    gaps = np.diff(levels)
    whole = (gaps + SECOND // 2) // SECOND * SECOND
    return np.where(np.abs(gaps - whole) <= SNAP * gaps, whole, gaps).astype(np.int64)


def _is_regular(levels: Int) -> bool:
    """Whether the times have a step of their own, and few gaps."""
    if len(levels) < 2:
        return False
    step = int(_gaps(levels).min())
    few = (levels[-1] - levels[0]) // step <= 20 * len(levels)
    return bool(few and not _off(levels, int(levels[0]), step).any())


def _step(levels: Int, complete: bool) -> int:
    gaps, counts = np.unique(_gaps(levels), return_counts=True)
    smallest, usual = int(gaps[0]), int(gaps[counts.argmax()])
    if complete:
        return usual
    length = (int(levels[-1]) - int(levels[0])) // smallest
    fits = length <= DENSE * len(levels) and not _off(levels, int(levels[0]), smallest).any()
    return smallest if fits else usual


def _origin(levels: Int, step: int) -> int:
    """The first time at the place in a step where most times are."""
    place = ((levels - levels[0]) % step + SECOND // 2) // SECOND % max(step // SECOND, 1)
    values, counts = np.unique(place, return_counts=True)
    return int(levels[place == values[counts.argmax()]][0])


def _axis(
    time: TimeArray, levels: Int, origin: int, step: int, path: Path, width: int
) -> tuple[TimeArray, Int, float]:
    whole = (origin + SECOND // 2) // SECOND * SECOND
    if abs(origin - whole) <= SNAP * step:
        origin = whole
    slot = (time.astype(np.int64) - origin + step // 2) // step
    first, last = int(slot.min()), int(slot.max())
    count = last - first + 1
    if count * width > max(VALUES, PER_ROW * len(time) * width):
        raise InputError(
            f"{path}: goes from {text(_time(levels[0]))} to {text(_time(levels[-1]))} in steps of "
            f"{step_text(step / SECOND)}, which are {count:,}, with {len(levels):,} times; expected fewer gaps"
        )
    axis = _times(origin + np.arange(first, last + 1, dtype=np.int64) * step)
    return axis, slot - first, seconds(np.timedelta64(step, "ns"))
