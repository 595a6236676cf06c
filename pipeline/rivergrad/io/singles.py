"""Runoff in single precision, read in one pass over its bytes.

The pass brings values into the order and unit that are wanted and looks at each on the way. Where all are plainly right
(no fill value, not NaN, within the limits that the file and `rivergrad.io.missing` set), the numbers are those of the
source's `read`, rounded to float32. Where one is not, or the file stores anything but plain float32, `read` is asked:
it finds out what the matter is, or knows that nothing is.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from rivercut.compiling import njit
from rivergrad.io.datasets import reading
from rivergrad.io.missing import LIMITS, ROUND
from rivergrad.io.readers import HeldRunoff, RunoffReader
from rivergrad.io.runoff import BLOCK_VALUES, MOST, CellRunoff, FileSource, ReachRunoff
from rivergrad.io.stored import Stored, stored_of

Single = NDArray[np.float32]

_SHORT = float(np.nextafter(-99.0, 0.0))  # what is above it is no short row of nines


def values_of(source: RunoffReader | CellRunoff, start: int, stop: int) -> NDArray[Any]:
    """Values (time, reach) of all its reaches, m³/s; or (time, cell) of a `CellRunoff`, in the file's unit."""
    return source.read(start, stop) if isinstance(source, CellRunoff) else source.read(None, start, stop)


def single(source: RunoffReader | CellRunoff, start: int, stop: int) -> NDArray[np.float32]:
    """The same as float32."""
    if isinstance(source, HeldRunoff):
        return np.asarray(source.values[start:stop], np.float32)
    found = None
    if isinstance(source, ReachRunoff | CellRunoff) and source.accumulation is None:
        found = (
            _reaches(source, start, stop) if isinstance(source, ReachRunoff) else _cells(source, start, stop)
        )
    if found is not None:
        return found
    with np.errstate(over="ignore"):
        return values_of(source, start, stop).astype(np.float32)


def _reaches(source: ReachRunoff, start: int, stop: int) -> Single | None:
    """(time, reach) m³/s; None where a value has to be looked at closely."""
    if not source.column.size:
        return None
    span = _span(source, float(np.max(source.lowest)), float(np.min(source.lowest)))
    if span is None:
        return None
    first, last = int(source.column.min()), int(source.column.max()) + 1
    area = np.ones(0) if source.area is None else source.area
    return _taken(
        source,
        start,
        stop,
        {source.dims[1]: slice(first, last)},
        source.column - first,
        area,
        source.factor,
        span,
    )


def _cells(source: CellRunoff, start: int, stop: int) -> Single | None:
    """(time, cell) in the file's unit; None where a value has to be looked at closely."""
    if source.out_box.size or not source.flat.size:  # boxes left out are looked at as they are decoded
        return None
    span = _span(source, 0.0, source.lowest)
    if span is None:
        return None
    box, inside = source.box()
    return _taken(source, start, stop, box, inside, np.ones(0), 1.0, span)


def _taken(
    source: FileSource,
    start: int,
    stop: int,
    box: dict[str, slice],
    column: NDArray[np.int64],
    area: NDArray[np.float64],
    factor: float,
    span: tuple[Stored, float, float],
) -> Single | None:
    source.check_times(start, stop)
    stored, least, most = span
    width = int(np.prod([one.stop - one.start for one in box.values()]))
    block = max(1, BLOCK_VALUES // width)
    as_is = factor == 1.0 and not area.size and column.size == width and bool((np.diff(column) == 1).all())
    found = np.empty((0 if as_is and block >= stop - start else stop - start, column.size), np.float32)
    for at in range(start, stop, block):
        end = min(at + block, stop)
        steps = {source.dims[0]: slice(at + source.skip, end + source.skip), **box}
        with source.reading(steps):
            values = stored.read(source.dims, steps).reshape(end - at, -1)
        if as_is and block >= stop - start:
            return values if _all_within(values, least, most) else None
        if not _take(values, column, area, factor, least, most, found[at - start : end - start]):
            return None
    return found


def _span(source: FileSource, highest: float, lowest: float) -> tuple[Stored, float, float] | None:
    """The values as stored, and from where to where a number is right without a doubt; None where they are packed.

    Args:
        source: the file; highest, lowest: the greatest and least of what values may not be below.
    """
    with reading(source.path, "NetCDF or Zarr"):
        variable = source.opened()
    stored = stored_of(variable)
    if stored is None or not stored.has(source.dims):
        return None
    least, most = max(highest, _SHORT), float(np.nextafter(np.float32(MOST), np.float32(0)))
    limits = variable.encoding.get(LIMITS)
    if limits is not None:
        low = lowest if lowest <= limits[0] <= 0 else limits[0]
        least, most = max(least, low), min(most, limits[1])
    return (stored, least, most) if stored.passes(least, most) else None


assert MOST < ROUND


@njit(cache=True, nogil=True)
def _take(
    values: Any, column: Any, area: Any, factor: float, least: float, most: float, into: Any
) -> bool:  # pragma: no cover - compiled
    """Columns of values, times factor and area, to `into`; whether all of them are from `least` to `most`."""
    whole = column.size == values.shape[1]
    by_column = np.ones(values.shape[1] if whole and area.size else 0)
    if by_column.size:
        for i in range(column.size):
            by_column[column[i]] = area[i]
    scaled = np.empty(values.shape[1] if whole else column.size, values.dtype)
    for t in range(values.shape[0]):
        row, to = values[t], into[t]
        # loops over neighbouring numbers are vectorised: all columns first, where all are wanted, and then their order
        if not whole:
            for i in range(column.size):
                scaled[i] = row[column[i]]
            row = scaled
        bad = 0
        for i in range(row.size):
            bad += not (row[i] >= least and row[i] <= most)
        if bad:
            return False
        _scale(row, factor, by_column if whole else area, scaled)
        if whole:
            for i in range(column.size):
                to[i] = scaled[column[i]]
        else:
            to[:] = scaled
    return True


@njit(cache=True, nogil=True)
def _scale(row: Any, factor: float, area: Any, to: Any) -> None:  # pragma: no cover - compiled
    """In double precision, rounded once, as `read` does."""
    if area.size > 0:
        for i in range(row.size):
            to[i] = np.float64(row[i]) * factor * area[i]
    else:
        for i in range(row.size):
            to[i] = np.float64(row[i]) * factor


@njit(cache=True, nogil=True)
def _all_within(values: Any, least: float, most: float) -> bool:  # pragma: no cover - compiled
    for t in range(values.shape[0]):
        bad = 0
        row = values[t]
        for i in range(row.size):
            bad += not (row[i] >= least and row[i] <= most)
        if bad:
            return False
    return True
