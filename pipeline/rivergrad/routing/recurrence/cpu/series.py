"""Between the lanes of a tile and time: series given or wanted in order, delays, runoff in and means out."""

from __future__ import annotations

from typing import Any

from rivercut.compiling import njit
from rivergrad.routing.recurrence.cpu.lanes import (
    VECTOR_BYTES,
    address,
    bare,
    load,
    peek,
    poke,
    prefetch,
    store,
)

Array = Any  # a 1-D float32 or float64 array


# These take addresses (see `lanes.py`), and `like`, a scalar of the type computed in, of `size` bytes: loops over
# arrays would be compiled once for each layout, and vectorised at length where nothing is gained.


@bare()
def spread(
    line: int, series: int, lanes: int, run: int, adding: bool, size: int, like: Any
) -> None:  # pragma: no cover - compiled
    """Steps in order (`line`) to the lanes at `series`; the lanes not in use get zeros."""
    for l in range(lanes):
        at, of = series + l * size, line + l * run * size
        for j in range(run):
            value = peek(of + j * size, like)
            if adding:
                value += peek(at + j * VECTOR_BYTES, like)
            poke(at + j * VECTOR_BYTES, value)
    if not adding:
        for l in range(lanes, VECTOR_BYTES // size):
            for j in range(run):
                poke(series + l * size + j * VECTOR_BYTES, type(like)(0.0))


@bare()
def collect(
    series: int, line: int, lanes: int, run: int, size: int, like: Any
) -> None:  # pragma: no cover - compiled
    """Lanes to steps in order."""
    for l in range(lanes):
        for j in range(run):
            poke(line + (l * run + j) * size, peek(series + j * VECTOR_BYTES + l * size, like))


@bare()
def add_units(
    series: int, runoff: int, units: int, steps: int, filled: bool, like: Any
) -> None:  # pragma: no cover - compiled
    """Add the runoff of each unit to its steps (to nothing where the series is not `filled`)."""
    for u in range(units):
        r = load(runoff + u * VECTOR_BYTES, like)
        for _ in range(steps):
            store(series, load(series, like) + r if filled else r)
            series += VECTOR_BYTES


@bare()
def sum_units(
    series: int, into: int, units: int, steps: int, like: Any
) -> None:  # pragma: no cover - compiled
    """Sum of the steps of each unit."""
    for u in range(units):
        total = load(series, like)
        for j in range(1, steps):
            total = total + load(series + j * VECTOR_BYTES, like)
        series += steps * VECTOR_BYTES
        store(into + u * VECTOR_BYTES, total)


@bare()
def delay(line: Array, late: Array, waiting: Array, kept: Array, first: int, keep: bool) -> None:
    """`line` as it comes out of a delay of len(waiting) steps, to `late`."""  # pragma: no cover - compiled
    # `waiting` is a ring: the inflow of step t (since the start of the call) stands at t mod its length until it
    # leaves. `first` is the step at which the line begins. What entered before that is kept for the adjoint.
    length = waiting.size
    old = min(length, line.size)
    at = first % length
    for t in range(old):
        late[t] = waiting[at]
        at = at + 1 if at + 1 < length else 0
    for t in range(old, line.size):
        late[t] = line[t - length]
    if keep:
        for t in range(old):
            kept[t] = late[t]
    at = (first + line.size - old) % length
    for t in range(line.size - old, line.size):
        waiting[at] = line[t]
        at = at + 1 if at + 1 < length else 0


@bare()
def delay_again(line: Array, late: Array, length: int, kept: Array) -> None:  # pragma: no cover - compiled
    """The same from what was kept."""
    old = min(length, line.size)
    for t in range(old):
        late[t] = kept[t]
    for t in range(old, line.size):
        late[t] = line[t - length]


@bare()
def delay_adjoint(line: Array, waiting: Array, first: int) -> None:  # pragma: no cover - compiled
    """Gradient of what came out of a delay to that of what went in, in place; `waiting` is the ring's."""
    length = waiting.size
    at = (first + line.size - 1) % length
    for t in range(line.size - 1, -1, -1):
        g = waiting[at]
        waiting[at] = line[t]
        line[t] = g
        at = at - 1 if at > 0 else length - 1


@njit(cache=True)
def turn(rings: Array, lengths: Array, steps: int, to_order: bool) -> None:  # pragma: no cover - compiled
    """Rings after `steps` steps to oldest first, or back."""
    at = 0
    for length in lengths:
        if length > 1 and steps % length != 0:
            shift = steps % length
            old = rings[at : at + length].copy()
            for h in range(length):
                s = h + shift if h + shift < length else h + shift - length
                if to_order:
                    rings[at + h] = old[s]
                else:
                    rings[at + s] = old[h]
        at += length


BLOCK = 16  # numbers of a cache line, or a little more
AHEAD = 12  # columns by which to ask for memory ahead of its use


@bare()
def days_of_units(
    days: Array, day: int, units: int, parts: int, lanes: int, count: int
) -> None:  # pragma: no cover - compiled
    """Forcing step of each unit of each lane; lanes not in use repeat one that is."""
    # Counted, not divided: LLVM would make a thousand lines of vectorised divisions of it.
    for u in range(units):
        at, part = day + u, 0
        for l in range(count):
            days[u * count + l] = at
            part += 1
            if part == parts and l + 1 < lanes:
                at += units
                part = 0


@bare()
def gather(
    runoff: Array,
    rows: Array,
    column: Array,
    by_column: Array,
    first: int,
    last: int,
    days: Array,
    width: int,
) -> None:  # pragma: no cover - compiled
    """Runoff (time, reach) of a group's reaches and a tile's days to `rows`, unit by unit of each row."""
    like = rows[0]
    size = rows.itemsize
    to, table = address(rows), address(days)
    source, stride = address(runoff), runoff.shape[1] * size
    for begin in range(0, width, BLOCK):  # `count` is a multiple of BLOCK
        for k in range(first, last):
            at = to + ((by_column[k] - first) * width + begin) * size
            of = source + column[k] * size
            if k + AHEAD < last:
                after = source + column[k + AHEAD] * size
                for s in range(BLOCK):
                    prefetch(after + peek(table + (begin + s) * 8, first) * stride)
            for s in range(BLOCK):
                poke(at + s * size, peek(of + peek(table + (begin + s) * 8, first) * stride, like))


@bare()
def gather_cells(
    runoff: Array,
    rows: Array,
    pointer: Array,
    cell: Array,
    weight: Array,
    column: Array,
    by_column: Array,
    first: int,
    last: int,
    days: Array,
    width: int,
) -> None:  # pragma: no cover - compiled
    """The same from (time, cell)."""
    like = rows[0]
    size = rows.itemsize
    to, table = address(rows), address(days)
    source, stride = address(runoff), runoff.shape[1] * size
    for begin in range(0, width, BLOCK):
        for k in range(first, last):
            at = to + ((by_column[k] - first) * width + begin) * size
            for s in range(BLOCK):
                poke(at + s * size, type(like)(0.0))
            for p in range(pointer[column[k]], pointer[column[k] + 1]):
                w = weight[p]
                of = source + cell[p] * size
                for s in range(BLOCK):
                    value = peek(of + peek(table + (begin + s) * 8, first) * stride, like)
                    poke(at + s * size, peek(at + s * size, like) + w * value)


@bare()
def scatter(
    rows: Array,
    into: Array,
    row_of: Array,
    column_of: Array,
    first: int,
    last: int,
    first_row: int,
    day: int,
    units: int,
    parts: int,
    lanes: int,
    count: int,
    summing: bool,
) -> None:  # pragma: no cover - compiled
    """Means (or, `summing`, sums) of rows to columns of (time, column): of entries first to last."""
    width = units * count
    like = rows[0]
    size = rows.itemsize
    source, to, stride = address(rows), address(into), into.shape[1] * into.itemsize
    if parts == 1:
        for u in range(units):
            for begin in range(0, lanes, BLOCK):
                used = min(BLOCK, lanes - begin)
                for k in range(first, last):
                    of = source + ((row_of[k] - first_row) * width + u * count + begin) * size
                    at = to + (day + begin * units + u) * stride + column_of[k] * size
                    if k + AHEAD < last:
                        after = to + (day + begin * units + u) * stride + column_of[k + AHEAD] * size
                        for l in range(used):
                            prefetch(after + l * units * stride)
                    for l in range(used):
                        poke(at + l * units * stride, peek(of + l * size, like))
        return
    for k in range(first, last):
        at = (row_of[k] - first_row) * width
        for d in range(lanes // parts):
            value = rows[at + d * parts]
            for p in range(1, parts):
                value += rows[at + d * parts + p]
            into[day + d, column_of[k]] = value if summing else value / parts


@bare()
def gather_gradients(
    gradient: Array,
    rows: Array,
    row_of: Array,
    column_of: Array,
    first: int,
    last: int,
    first_row: int,
    day: int,
    units: int,
    parts: int,
    lanes: int,
    count: int,
    share: Any,
) -> None:  # pragma: no cover - compiled
    """Gradients of means (time, target), times `share`, added to the units of the rows of a group."""
    width = units * count
    like = rows[0]
    size = rows.itemsize
    to, source, stride = address(rows), address(gradient), gradient.shape[1] * gradient.itemsize
    if parts == 1:
        for u in range(units):
            for begin in range(0, lanes, BLOCK):
                used = min(BLOCK, lanes - begin)
                for k in range(first, last):
                    at = to + ((row_of[k] - first_row) * width + u * count + begin) * size
                    of = source + (day + begin * units + u) * stride + column_of[k] * size
                    for l in range(used):
                        value = share * peek(of + l * units * stride, like)
                        poke(at + l * size, peek(at + l * size, like) + value)
        return
    for k in range(first, last):
        at = (row_of[k] - first_row) * width
        for d in range(lanes // parts):
            value = share * gradient[day + d, column_of[k]]
            for p in range(parts):
                rows[at + d * parts + p] += value
