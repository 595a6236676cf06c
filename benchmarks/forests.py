"""Generated river networks: one array of downstream positions, the same for the same seed.

Every generator takes linear time and numbers the reaches depth first, upstream before downstream, as the
files of real networks do: a reach follows right after one of the reaches that flow into it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

Index = NDArray[np.int64]

CONFLUENCES = 0.4  # of the reaches of a basin: where two meet; as many are headwaters, the rest prolong one
SHORTEST, LONGEST = 1e3, 20e3  # reaches, m
SLOWEST, FASTEST = 0.3, 2.0  # flood waves, m/s
HIGHEST_X = 0.3


@dataclass(frozen=True)
class Shape:
    """Size of a network: reaches, levels (reaches between one and the sea, itself included) and the widest."""

    reaches: int
    levels: int
    widest: int


def river_forest(n: int, seed: int = 0) -> Index:
    """A world of `n` reaches: a few huge basins, ten thousands of small ones, and 2 % of single coastal reaches.

    Sizes of basins follow a rank-size law. Each basin is a random tree of given size (Galton and Watson's,
    with zero, one or two reaches upstream), whose depth grows as the root of its size, as Hack's law has it.

    Returns:
        (n,) position of the downstream reach, −1 at an outlet.
    """
    random = np.random.default_rng(seed)
    size = basin_sizes(n)
    random.shuffle(size)  # large basins anywhere among the small, as in the files
    return _grow(size, random)


def deep(n: int, depth: int = 3000, seed: int = 0) -> Index:
    """One basin of `n` reaches around a main stem of `depth` reaches, joined by tributaries of many sizes."""
    random = np.random.default_rng(seed)
    rest = n - depth
    if rest < 0:
        raise ValueError(f"a stem of {depth} reaches does not fit into {n}")
    size = basin_sizes(rest) if rest else np.zeros(0, np.int64)
    random.shuffle(size)
    downstream = np.concatenate([_grow(size, random), np.arange(rest + 1, n + 1)])
    downstream[-1] = -1
    mouths = np.flatnonzero(downstream[:rest] < 0)
    downstream[mouths] = rest + random.integers(0, depth, mouths.size)
    return depth_first(downstream)


def shaped(n_levels: int, widest: int, n: int, seed: int = 0) -> Index:
    """A forest of `n` reaches on exactly `n_levels` levels, of which the largest has `widest` reaches.

    The level of a reach is its distance to the outlet. Levels widen inland from the outlets, and get narrow
    again towards the farthest headwaters.
    """
    width = level_widths(n_levels, widest, n)
    return depth_first(_join(width, np.random.default_rng(seed)))


def basin_sizes(n: int) -> Index:
    """Sizes of the basins of a world of `n` reaches: C / (rank + 2)^1.5, and 2 % of single reaches."""
    singles = max(1, n // 50)
    law = (np.arange(1, n + 1, dtype=np.float64) + 2) ** -1.5
    low, high = 1.0, float(n) * 10
    while high - low > 0.5:  # the largest C whose basins fit
        middle = (low + high) / 2
        low, high = (middle, high) if np.floor(middle * law).sum() <= n - singles else (low, middle)
    size = np.floor(low * law).astype(np.int64)
    size = size[size > 0]
    return np.concatenate([size, np.ones(n - int(size.sum()), np.int64)])


def level_widths(n_levels: int, widest: int, n: int) -> Index:
    """Reaches on each level: they sum to `n`, none is empty, the largest has `widest`."""
    if not n_levels + widest - 1 <= n <= n_levels * widest:
        raise ValueError(f"{n_levels} levels of at most {widest} reaches cannot hold {n}")
    u = np.arange(n_levels) / n_levels / 0.35  # the widest level: a third of the way inland
    g = np.maximum(u, 0.3) * np.exp((1 - np.maximum(u, 0.3) ** 2) / 2)
    g /= g.max()
    low, high = 0.0, 1.0
    while _widths(g, widest, high).sum() > n:
        high *= 2
    for _ in range(60):  # the sharper the peak, the fewer the reaches
        middle = (low + high) / 2
        low, high = (middle, high) if _widths(g, widest, middle).sum() > n else (low, middle)
    width = _widths(g, widest, high)
    missing = n - int(width.sum())  # a few, from rounding
    while missing > 0:
        room = np.flatnonzero(width < widest)[:missing]
        width[room] += 1
        missing -= room.size
    return width


def _widths(g: NDArray[np.float64], widest: int, sharpness: float) -> Index:
    return np.maximum(1, np.floor(widest * g**sharpness)).astype(np.int64)


def relabelled(downstream: Index, order: Index) -> Index:
    """The same forest with its reaches numbered in that order."""
    number = np.empty(downstream.size, np.int64)
    number[order] = np.arange(downstream.size)
    found = np.full(downstream.size, -1)
    found[number] = np.where(downstream >= 0, number[np.maximum(downstream, 0)], -1)
    return found


def muskingum_parameters(n: int, seed: int = 0) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """k (s) and x of `n` reaches of 1 to 20 km in which waves travel at 0.3 to 2 m/s: k is 500 s to 18 h."""
    random = np.random.default_rng(seed + 1)
    length = np.exp(random.uniform(np.log(SHORTEST), np.log(LONGEST), n))
    celerity = np.exp(random.uniform(np.log(SLOWEST), np.log(FASTEST), n))
    return length / celerity, random.uniform(0.0, HIGHEST_X, n)


def daily_runoff(days: int, n: int, seed: int = 0) -> NDArray[np.float32]:
    """(days, n) m³/s: a few wet days with exponential amounts, over a small steady flow."""
    random = np.random.default_rng(seed + 2)
    found = random.standard_exponential((days, n), dtype=np.float32)
    found *= random.random((days, 1), dtype=np.float32) < 0.3
    found += np.float32(0.05)
    return found


def shape(downstream: Index) -> Shape:
    """Reaches, levels and the widest level."""
    wide = np.bincount(levels(downstream))
    return Shape(downstream.size, wide.size, int(wide.max()))


@njit(cache=True)
def levels(downstream: Index) -> Index:  # pragma: no cover
    """(n,) distance to the outlet, in reaches, of a network numbered upstream before downstream."""
    level = np.zeros(downstream.size, np.int64)
    for i in range(downstream.size - 1, -1, -1):
        if downstream[i] >= 0:
            level[i] = level[downstream[i]] + 1
    return level


@njit(cache=True)
def _grow(size: Index, random: np.random.Generator) -> Index:  # pragma: no cover
    """A random tree for each size, as a shuffled walk: +1 a headwater, 0 a prolongation, −1 a confluence."""
    downstream = np.full(size.sum(), -1, np.int64)
    largest = 1
    for n in size:
        largest = max(largest, n)
    walk, stack = np.empty(largest, np.int8), np.empty(largest, np.int64)
    base = 0
    for n in size:
        confluences = int(CONFLUENCES * (n - 1))
        walk[: confluences + 1] = 1
        walk[confluences + 1 : n - confluences] = 0
        walk[n - confluences : n] = -1
        for i in range(n - 1, 0, -1):
            j = min(int(random.random() * (i + 1)), i)
            walk[i], walk[j] = walk[j], walk[i]
        # Of the n rotations of a walk that ends at 1, one stays above 0: the one after its last minimum.
        height, lowest, first = 0, 0, 0
        for i in range(n):
            height += walk[i]
            if height <= lowest:
                lowest, first = height, i + 1
        top = 0
        for i in range(n):
            upstream = 1 - walk[(first + i) % n]
            for _ in range(upstream):
                top -= 1
                downstream[stack[top]] = base + i
            stack[top] = base + i
            top += 1
        base += n
    return downstream


@njit(cache=True)
def _join(width: Index, random: np.random.Generator) -> Index:  # pragma: no cover
    """Join each level to the one below it, at most two to a reach wherever that is possible."""
    downstream = np.full(width.sum(), -1, np.int64)
    below = 0
    for level in range(1, width.size):
        base = below + width[level - 1]
        places = max(2, -(-width[level] // width[level - 1]))
        left, slots = width[level], places * width[level - 1]
        slot = 0
        while left > 0:  # every choice of slots is as likely as any other
            if random.random() * (slots - slot) < left:
                downstream[base + width[level] - left] = below + slot // places
                left -= 1
            slot += 1
        below = base
    return downstream


@njit(cache=True)
def depth_first(downstream: Index) -> Index:  # pragma: no cover
    """The same network, numbered depth first, upstream before downstream."""
    n = downstream.size
    waiting, order, size = np.zeros(n, np.int64), np.empty(n, np.int64), np.ones(n, np.int64)
    for i in range(n):
        if downstream[i] >= 0:
            waiting[downstream[i]] += 1
    end = 0
    for i in range(n):
        if waiting[i] == 0:
            order[end] = i
            end += 1
    begin = 0
    while begin < end:
        i = order[begin]
        begin += 1
        down = downstream[i]
        if down >= 0:
            size[down] += size[i]
            waiting[down] -= 1
            if waiting[down] == 0:
                order[end] = down
                end += 1
    # Every basin takes as many numbers as it has reaches, its outlet the last of them; and so on inland.
    free, number, base = np.zeros(n, np.int64), np.empty(n, np.int64), 0
    for at in range(n - 1, -1, -1):
        i = order[at]
        down = downstream[i]
        if down >= 0:
            free[i] = free[down]
            free[down] += size[i]
        else:
            free[i] = base
            base += size[i]
        number[i] = free[i] + size[i] - 1
    renumbered = np.full(n, -1, np.int64)
    for i in range(n):
        if downstream[i] >= 0:
            renumbered[number[i]] = number[downstream[i]]
    return renumbered
