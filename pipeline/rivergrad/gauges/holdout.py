"""Which gauges are held out of the estimate: drawn one by one, by whole basins, or dealt out to folds."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rivergrad.errors import InputError

Bool = NDArray[np.bool_]
Int = NDArray[np.int64]


def draw_basins(basin: Int, held_out: Bool, wanted: int, seed: int) -> Bool:
    """Hold out gauges by whole basins, drawn from the seed until there are as many as wanted.

    A basin whose gauges would overshoot by more than they are short of is passed over, and one basin always
    stays for the estimate. A basin is a whole tree of the network, so that nothing flows between the two sides.

    Args:
        basin: (gauge,) the basin that each gauge lies in.
        held_out: (gauge,) gauges held out already (by name); they count.
        wanted: number of gauges.
        seed: of the draw.

    Returns:
        (gauge,) what is held out.

    Raises:
        InputError: gauges are wanted and all lie in one basin.
    """
    held = held_out.copy()
    basins = np.unique(basin[~held_out])
    if wanted > held.sum() and basins.size < 2:
        raise InputError(
            f"found basin, and all {basin.size} gauges in one basin; expected gauges in two "
            "basins or more, or gauge",
            key="gauges.holdout_by",
        )
    left = basins.size
    for one in np.random.default_rng([seed, 102]).permutation(basins):
        short = wanted - int(held.sum())
        members = (basin == one) & ~held
        if short <= 0 or left == 1:
            break
        if int(members.sum()) - short < short:
            held |= members
            left -= 1
    return held


def deal_folds(group: Int, held_out: Bool, folds: int, seed: int, what: str = "gauges") -> Int:
    """Deal gauges out to folds of about the same size, drawn from the seed; no group is split.

    Groups are dealt out from the largest to the smallest, each to the fold with the fewest gauges.

    Args:
        group: (gauge,) what has to stay together: the basin of a gauge, or a number of its own.
        held_out: (gauge,) gauges that belong to no fold.
        folds: how many.
        seed: of the draw.
        what: what the groups are, for the message.

    Returns:
        (gauge,) 1 .. folds, and 0 for gauges that are held out of every estimate.

    Raises:
        InputError: fewer groups than folds.
    """
    groups, member = np.unique(group[~held_out], return_inverse=True)
    if groups.size < folds:
        raise InputError(
            f"found {folds} folds and {groups.size} {what} to deal out; expected at most as many folds",
            key="gauges.folds",
        )
    size = np.bincount(member)
    drawn = np.random.default_rng([seed, 103]).permutation(groups.size)
    fold_of = np.zeros(groups.size, np.int64)
    filled = np.zeros(folds, np.int64)
    for one in drawn[np.argsort(-size[drawn], kind="stable")]:
        fold = int(np.argmin(filled))
        fold_of[one] = fold + 1
        filled[fold] += size[one]
    result = np.zeros(group.size, np.int64)
    result[~held_out] = fold_of[member]
    return result
