"""How time is cut into tiles, and the numbers of each reach that follow from it.

A tile is a run of consecutive routing steps for each lane of a vector: lane l + 1 goes on where lane l ends. A
run is some whole forcing steps, or a whole part of one. Inside a tile a series is stored step by step, all lanes
of a step together.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rivercut.compiling import njit
from rivergrad.routing.recurrence.cpu.lanes import VECTOR_BYTES

Index = NDArray[np.int64]

LONGEST = 96
"""Routing steps of a run, unless a forcing step is longer and can't be divided."""
_PAGE = 4096
_STEP_COST, _LANE_COST, _UNIT_COST = 16, 6, 12
"""Cycles, roughly: of a step of all lanes, of joining two lanes, of reading a forcing step."""


class Tiles(NamedTuple):
    """Arrays over tiles, (tile,) each.

    Attributes:
        day: first forcing step.
        units: forcing steps of a run (1 where it is a part of one).
        steps: routing steps of a unit.
        parts: runs of a forcing step (1 where a run is a whole one or more).
        lanes: lanes in use.
        shape: 0 or 1, which of two kinds of run.
        offset: where the tile begins in a series stored tile by tile, in numbers.
        total: length of such a series.
        longest: steps of the longest run.
        most_units: forcing steps of the longest run.
        stride: bytes from one series of a tile to the next in scratch memory.
    """

    day: Index
    units: Index
    steps: Index
    parts: Index
    lanes: Index
    shape: Index
    offset: Index
    total: int
    longest: int
    most_units: int
    stride: int


def make_tiles(time: int, ratio: int, lanes: int, run: int | None = None) -> Tiles:
    """Tiles for `time` forcing steps of `ratio` routing steps; `run` routing steps a lane, chosen by default."""
    units, parts = (
        _choose(time, ratio, lanes) if run is None else (max(1, run // ratio), max(1, ratio // run))
    )
    rows: list[tuple[int, int, int, int, int, int]] = []
    day = 0
    if parts > 1:
        while day < time:
            days = min(lanes // parts, time - day)
            rows.append((day, 1, ratio // parts, parts, days * parts, 0))
            day += days
    else:
        while day + units <= time:
            used = min(lanes, (time - day) // units)
            rows.append((day, units, ratio, 1, used, 0))
            day += used * units
        while day < time:  # what is left is less than a run of a lane
            used = min(lanes, time - day)
            rows.append((day, 1, ratio, 1, used, 1))
            day += used
    table = np.array(rows, np.int64).reshape(-1, 6)
    column = np.ascontiguousarray(table.T)
    run_length = table[:, 1] * table[:, 2]
    offset = np.cumsum(run_length * lanes) - run_length * lanes
    return Tiles(
        day=column[0],
        units=column[1],
        steps=column[2],
        parts=column[3],
        lanes=column[4],
        shape=column[5],
        offset=offset,
        total=int(run_length.sum()) * lanes,
        longest=int(run_length.max(initial=1)),
        most_units=int(table[:, 1].max(initial=1)),
        stride=_stride(int(run_length.max(initial=1)) * VECTOR_BYTES),
    )


def _stride(size: int) -> int:
    """At least `size`, and such that equal places of series near each other don't share a set of the cache."""
    return size + (_PAGE // 4 + 64 - size) % _PAGE


def _choose(time: int, ratio: int, lanes: int) -> tuple[int, int]:
    """Forcing steps of a run, or the parts of one, so that the least time is spent."""
    options = [(units, 1) for units in range(1, max(1, LONGEST // ratio) + 1)]
    options += [(1, p) for p in range(2, min(lanes, ratio) + 1) if ratio % p == 0]

    def cost(option: tuple[int, int]) -> float:
        units, parts = option
        run = units * ratio // parts
        days = lanes * units if parts == 1 else lanes // parts
        tiles = -(-time // days)
        if parts == 1 and time % units:
            tiles += -(-(time % units) // lanes)
        return (
            tiles
            * (_STEP_COST * run + _LANE_COST * lanes + _UNIT_COST * units)
            * (1 + max(0, run - 48) / 200)
        )

    return min(options, key=cost)


A, B, REST_A, REST_B, UNIT_RISE, UNIT_MEAN, UNIT_SLOPE, UNIT_KEEP, JUMP = range(9)
"""Columns of `coefficients`: a, b, 1 − a, 1 − b, 1 − (1−b)^V, mean of (1−a)(1−b)^j over a unit of V steps,
V (1−b)^(V−1), (1−b)^V, κ."""


@njit(cache=True)
def _power(base: float, exponent: int) -> float:  # pragma: no cover - compiled
    result = 1.0
    while exponent > 0:
        if exponent & 1:
            result *= base
        base *= base
        exponent >>= 1
    return result


@njit(cache=True, error_model="numpy")
def coefficients(
    reach: Index,
    a: NDArray[np.floating],
    b: NDArray[np.floating],
    jump: NDArray[np.floating],
    steps: Index,
    units: Index,
    table: NDArray[np.floating],
    run_keep: NDArray[np.float64],
) -> None:  # pragma: no cover - compiled
    """Fill `table` (shape, row, 9) and `run_keep` (shape, row) = (1−b)^(steps of a run); powers in float64."""
    for k in range(steps.size):
        v = steps[k]
        for row in range(reach.size):
            i = reach[row]
            ai = np.float64(a[i])
            bi = np.float64(b[i])
            rest = 1.0 - bi
            before = _power(rest, v - 1)
            keep = before * rest
            out = table[k, row]
            out[A] = a[i]
            out[B] = b[i]
            out[REST_A] = 1.0 - ai
            out[REST_B] = rest
            out[UNIT_RISE] = 1.0 - keep
            out[UNIT_MEAN] = (1.0 - ai) * ((1.0 - keep) / (bi * v) if bi != 0.0 else 1.0)
            out[UNIT_SLOPE] = v * before
            out[UNIT_KEEP] = keep
            out[JUMP] = jump[i] if jump.size > 0 else 0.0
            run_keep[k, row] = _power(keep, units[k])
