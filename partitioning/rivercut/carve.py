"""Carving basins into connected blocks, bottom-up.

Every block is connected, so exactly one of its reaches (its outlet) flows out of it, and the graph of blocks
is a forest because contracting connected pieces of a forest gives a forest: no block waits for itself.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rivercut.compiling import njit
from rivercut.errors import InputError, ids_text
from rivercut.graph import accumulate, as_index, basins

Int = NDArray[np.int64]
Float = NDArray[np.float64]
Bool = NDArray[np.bool_]


@njit(cache=True)
def _close(downstream: Int, order: Int, weight: Float, limit: float, tie: Int) -> Bool:  # pragma: no cover
    """Which reaches are outlets of blocks."""
    n = downstream.size
    closed = np.zeros(n, np.bool_)
    first = np.full(n, -1, np.int64)  # the reaches just upstream, as linked lists
    following = np.full(n, -1, np.int64)
    load = weight.copy()  # what the open block at a reach weighs
    for i in order:
        # What is open upstream has been added to `load`; if that is too much, close the heaviest first.
        if load[i] > limit and first[i] >= 0:
            count = 0
            child = first[i]
            while child >= 0:
                count += 1
                child = following[child]
            children = np.empty(count, np.int64)
            heavy = np.empty(count, np.float64)
            child = first[i]
            for c in range(count - 1, -1, -1):  # the list runs backwards
                children[c] = child
                heavy[c] = -load[child]
                child = following[child]
            rest = weight[i]
            for c in range(count):
                rest -= heavy[c]
            for c in np.argsort(heavy, kind="mergesort"):
                if rest <= limit:
                    break
                closed[children[c]] = True
                rest += heavy[c]
            # Subtracting leaves rounding behind; sum what stays open instead.
            load[i] = weight[i]
            for c in range(count):
                if not closed[children[c]]:
                    load[i] -= heavy[c]
        d = downstream[i]
        if d < 0 or tie[i] != tie[d]:
            closed[i] = True
        else:
            following[i] = first[d]
            first[d] = i
            load[d] += load[i]
    return closed


@njit(cache=True)
def _label(downstream: Int, order: Int, closed: Bool) -> Int:  # pragma: no cover - compiled
    """Block of each reach; a block has a lower number than the block that it flows into."""
    block = np.empty(downstream.size, np.int64)
    count = 0
    for i in order:
        if closed[i]:
            block[i] = count
            count += 1
    for at in range(order.size - 1, -1, -1):
        i = order[at]
        if not closed[i]:
            block[i] = block[downstream[i]]
    return block


def carve(
    downstream: ArrayLike,
    order: ArrayLike,
    weight: ArrayLike,
    max_weight: float,
    *,
    within: ArrayLike | None = None,
) -> Int:
    """Cut a forest into the fewest connected blocks of at most `max_weight`.

    A reach closes the heaviest of the open pieces just upstream of it until the rest fits (Kundu and Misra,
    A linear tree partitioning algorithm, SIAM J. Comput. 6, 1977), which is the fewest blocks possible. Time
    is linear but for a sort of the reaches just upstream where pieces are closed.

    **Arguments**: `downstream` and a topological `order`, (n,); `weight` (n,), >= 0; `max_weight`, a number
    (inf: no limit); `within` (n,), labels that no block may cross.

    **Returns**: block of each reach, (n,) int64, 0 .. B-1, every block numbered below the one it flows into.
    A block weighs more than `max_weight` only if it is a single reach that does.

    **Errors**: `InputError` for a NaN, infinite or negative weight and a `max_weight` that is not positive.
    """
    index = as_index(downstream)
    load = np.ascontiguousarray(weight, np.float64).view()
    load.flags.writeable = False
    if load.shape != index.shape:
        raise InputError(f"weight has shape {load.shape}; expected {index.shape}")
    if (bad := np.flatnonzero(~(np.isfinite(load) & (load >= 0)))).size:
        raise InputError(f"weight at positions {ids_text(bad)} is {load[bad[0]]}; expected a number >= 0")
    if not max_weight > 0:
        raise InputError(f"max_weight is {max_weight}; expected a positive number")
    label = as_index(np.zeros(index.size, np.int64) if within is None else within)
    sequence = as_index(order)
    return np.asarray(_label(index, sequence, _close(index, sequence, load, float(max_weight), label)))


def carve_shallow(
    downstream: ArrayLike, order: ArrayLike, weight: ArrayLike, most_above: float, most_below: float
) -> Int:
    """Cut every tree into one block at its outlet and others that flow straight into that one.

    So two rounds are enough, whoever owns the blocks: those above need nobody, the one below needs only them. Above
    are whole subtrees of at most `most_above`, as large as that allows, and no more of them than leave at most
    `most_below` below. Where even all of them leave more, the block below is carved like any tree, and rounds follow
    each other.

    **Arguments**: `downstream`, `order`, `weight` as for `carve`; `most_above`, `most_below`, weights > 0.

    **Returns**: block of each reach as `carve` has it. A tree of at most `most_above` is one block.
    """
    index, sequence = as_index(downstream), as_index(order)
    load = np.ascontiguousarray(weight, np.float64)
    upstream = accumulate(index, sequence, load)
    small = upstream <= most_above
    inner = index >= 0
    below = index[inner]
    tops = np.flatnonzero(inner)[small[inner] & ~small[below]]
    tree = basins(index, sequence)
    left = np.asarray(np.bincount(tree, load), np.float64)
    tops = tops[np.lexsort((tops, -upstream[tops], tree[tops]))]  # tree by tree, the largest first
    cut = _hang(tree[tops], np.asarray(upstream[tops], np.float64), left, float(most_below))
    label = np.zeros(index.size, np.int64)
    label[tops[cut]] = tops[cut] + 1
    label = _inherit(index, sequence, label)
    return carve(index, sequence, load, max(most_above, most_below), within=label)


@njit(cache=True)
def _hang(tree: Int, size: Float, left: Float, most: float) -> Bool:  # pragma: no cover - compiled
    cut = np.zeros(tree.size, np.bool_)
    for k in range(tree.size):
        if left[tree[k]] > most:
            cut[k] = True
            left[tree[k]] -= size[k]
    return cut


@njit(cache=True)
def _inherit(downstream: Int, order: Int, label: Int) -> Int:  # pragma: no cover - compiled
    """Labels, where there is none that of the reach downstream."""
    for at in range(order.size - 1, -1, -1):
        i = order[at]
        if label[i] == 0 and downstream[i] >= 0:
            label[i] = label[downstream[i]]
    return label
