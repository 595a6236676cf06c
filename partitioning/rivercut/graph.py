"""Linear-time algorithms on a river network given as one `downstream` array.

`downstream` is (n,), the position of the reach that each reach flows into, -1 at an outlet. Every other
array is (n,) or (n, k) by the same positions. `order` is a topological order: upstream before downstream.
The public functions take any integer type and give the kernels read-only int64, so that each
is compiled once.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rivercut.compiling import njit
from rivercut.errors import InputError, ids_text

Int = NDArray[np.int64]


def as_index(values: ArrayLike) -> Int:
    """`values` as a read-only contiguous int64 array; no copy if it is one already.

    **Errors**: `InputError` for anything but integers, which a cast would round.
    """
    given = np.asarray(values)
    if given.size and given.dtype.kind not in "iub":
        raise InputError(f"positions have type {given.dtype}; expected integers")
    array = np.ascontiguousarray(values, dtype=np.int64).view()
    array.flags.writeable = False
    return array


def as_numbers(values: ArrayLike) -> NDArray[Any]:
    """`values` as a read-only contiguous array: int64 for integers and booleans, float64 otherwise."""
    given = np.asarray(values)
    array = np.ascontiguousarray(given, dtype=np.int64 if given.dtype.kind in "iub" else np.float64).view()
    array.flags.writeable = False
    return array


@njit(cache=True)
def _kahn(downstream: Int) -> tuple[Int, int]:  # pragma: no cover - compiled
    n = downstream.size
    waiting = np.zeros(n, np.int32)
    for i in range(n):
        if downstream[i] >= 0:
            waiting[downstream[i]] += 1
    order = np.empty(n, np.int64)
    placed = 0
    for i in range(n):
        if waiting[i] == 0:
            order[placed] = i
            placed += 1
    head = 0
    while head < placed:  # the order is its own queue
        d = downstream[order[head]]
        head += 1
        if d >= 0:
            waiting[d] -= 1
            if waiting[d] == 0:
                order[placed] = d
                placed += 1
    return order, placed


def order_or_cycle(downstream: ArrayLike) -> tuple[Int, Int]:
    """A topological order (n,) and an empty array, or what can be ordered and the positions on one cycle."""
    index = as_index(downstream)
    order, placed = _kahn(index)
    if placed == index.size:
        return order, np.empty(0, np.int64)
    # A reach has one way out, so nothing leaves a cycle: what could not be placed lies on cycles.
    left = np.ones(index.size, dtype=bool)
    left[order[:placed]] = False
    start = int(np.flatnonzero(left)[0])
    cycle = [start]
    while (at := int(index[cycle[-1]])) != start:
        cycle.append(at)
    return order[:placed], np.array(cycle, np.int64)


def topological_order(downstream: ArrayLike) -> Int:
    """Positions with every reach before the one that it flows into, (n,): headwaters first, by position.

    **Errors**: `InputError` naming the positions on a cycle.
    """
    order, cycle = order_or_cycle(downstream)
    if cycle.size:
        raise InputError(f"the network has a cycle through positions {ids_text(cycle)}; expected a forest")
    return order


@njit(cache=True)
def _levels(downstream: Int, order: Int) -> Int:  # pragma: no cover - compiled
    level = np.zeros(downstream.size, np.int64)
    for i in order:
        d = downstream[i]
        if d >= 0 and level[d] <= level[i]:
            level[d] = level[i] + 1
    return level


def levels(downstream: ArrayLike, order: ArrayLike) -> Int:
    """Level of each reach, (n,): 0 at a headwater, else one more than the highest level just upstream."""
    return np.asarray(_levels(as_index(downstream), as_index(order)))


@njit(cache=True)
def _accumulate(downstream: Int, order: Int, total: NDArray[Any]) -> None:  # pragma: no cover - compiled
    for i in order:
        d = downstream[i]
        if d >= 0:
            for c in range(total.shape[1]):
                total[d, c] += total[i, c]


def accumulate(downstream: ArrayLike, order: ArrayLike, values: ArrayLike) -> NDArray[Any]:
    """Sum of `values` over each reach and all that drains into it.

    `values` is (n,) or (n, k); the sum has its shape, in int64 for integers and float64 otherwise.

    **Errors**: `InputError` if `values` has another number of reaches.
    """
    index = as_index(downstream)
    total = np.array(as_numbers(values), order="C")
    if total.ndim not in (1, 2) or total.shape[0] != index.size:
        raise InputError(f"values must be (n,) or (n, k) with n = {index.size}, got shape {total.shape}")
    _accumulate(index, as_index(order), total.reshape(index.size, -1) if index.size else total.reshape(0, 1))
    return total


@njit(cache=True)
def _sum_below(
    downstream: Int, order: Int, total: NDArray[np.float64]
) -> None:  # pragma: no cover - compiled
    for at in range(order.size - 1, -1, -1):
        i = order[at]
        if downstream[i] >= 0:
            total[i] += total[downstream[i]]


def sum_below(downstream: ArrayLike, order: ArrayLike, values: ArrayLike) -> NDArray[np.float64]:
    """Sum of `values` (n,) over each reach and all that it flows through down to its outlet, (n,).

    **Errors**: `InputError` if `values` has another number of reaches.
    """
    index = as_index(downstream)
    total = np.array(values, np.float64, order="C")
    if total.shape != index.shape:
        raise InputError(f"values must be ({index.size},), got shape {total.shape}")
    _sum_below(index, as_index(order), total)
    return total


def upstream_count(downstream: ArrayLike, order: ArrayLike) -> Int:
    """Number of reaches that drain through each reach, itself included, (n,)."""
    return accumulate(downstream, order, np.ones(as_index(downstream).size, np.int64))


@njit(cache=True)
def _basins(downstream: Int, order: Int) -> Int:  # pragma: no cover - compiled
    basin = np.empty(downstream.size, np.int64)
    count = 0
    for i in range(downstream.size):
        if downstream[i] < 0:
            basin[i] = count
            count += 1
    for at in range(order.size - 1, -1, -1):
        i = order[at]
        if downstream[i] >= 0:
            basin[i] = basin[downstream[i]]
    return basin


def basins(downstream: ArrayLike, order: ArrayLike) -> Int:
    """Basin of each reach, (n,): 0, 1, ... in the order of the outlets' positions."""
    return np.asarray(_basins(as_index(downstream), as_index(order)))
