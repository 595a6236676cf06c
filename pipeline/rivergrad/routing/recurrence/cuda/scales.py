"""The coefficients of `simulate.cu`: a section's own, and the scale that its series has there."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rivergrad.routing.recurrence.cuda.layout import FRESH, LEAF, LEAVE, POP, PUSH, Layout

CENTRED = 12
"""Reaches after which a series is centred again (`simulate.cu` says what that is)."""
TINY_GAIN = 1 / 32
"""After a reach with a gain below this a series is centred at once: scales would vanish, and the balance of water
would be of large numbers."""
NEVER = {torch.float32: 1e-12, torch.float64: 1e-20}
"""In place of b and of (1 − a) b where they are smaller: nothing moves within a record's steps."""
COLUMNS = 12
DECAY, D, GIVEN, TO_M, W, H, TO_S, _NONE, AFTER, WEIGHT, BEFORE, CENTRE = range(COLUMNS)
SHARE, GATHER = D, GIVEN
"""Columns of the coefficients, and of a headwater's; `simulate.cu` has them too."""


@dataclass(frozen=True, eq=False)
class Chains:
    """How series go on from slot to slot. A series keeps its scale through a headwater and multiplies it by its gain in
    any other reach ("full"); it is one where a series starts and after it was centred.

    Attributes:
        index: (slot,) position of the reach.
        leaf: (slot,) whether it is a headwater with a closed form.
        full: (full,) slots of the others.
        fresh: (full,) whether the series has been through no full reach yet.
        centred: (full,) whether it is centred here whatever the coefficients are.
        before, after: (slot,) number among the full of the last one that the series has been through, −1 for none.
        popped, waited: (branch,) slots where a series that waits is added, and the last ones that it has been through.
    """

    index: Tensor
    leaf: Tensor
    full: Tensor
    fresh: Tensor
    centred: Tensor
    before: Tensor
    after: Tensor
    popped: Tensor
    waited: Tensor


def chains(layout: Layout, device: torch.device) -> Chains:
    """The chains of a network as it lies on warps."""
    op, slot = layout.op, np.arange(layout.n_slots)
    leaf = (op & LEAF) > 0
    full = np.flatnonzero(~leaf)
    number: NDArray[np.int64] = np.cumsum(~leaf)  # of full slots up to and including this one
    start = np.maximum.accumulate(np.where(op & FRESH, slot, 0))
    last = np.maximum.accumulate(np.where(leaf, -1, slot))  # full slot here or before
    earlier = np.concatenate([[-1], last[:-1]])[: slot.size]
    before = np.where(earlier >= start, number - 1 - ~leaf, -1)
    after = np.where(last >= start, number - 1, -1)
    earlier_blocks: NDArray[np.int64] = number[layout.start[:-1]] - ~leaf[layout.start[:-1]]
    within: NDArray[np.int64] = number - np.repeat(earlier_blocks, np.diff(layout.start))
    centred = (within % CENTRED == 0) | ((op & LEAVE) > 0)
    popped, waited = _waits(op)

    def put(values: NDArray[np.generic]) -> Tensor:
        return torch.from_numpy(values).to(device)

    return Chains(
        index=put(layout.column.astype(np.int64)),
        leaf=put(leaf),
        full=put(full),
        fresh=put(before[full] < 0),
        centred=put(centred[full]),
        before=put(before),
        after=put(after),
        popped=put(popped),
        waited=put(waited),
    )


def _waits(op: NDArray[np.int32]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Slots where series that wait are added, and for each the slot before it was put aside."""
    pushed, popped = np.flatnonzero(op & PUSH), np.flatnonzero(op & POP)
    change = ((op & PUSH) > 0).astype(np.int64)
    change[1:] -= (op[:-1] & POP) > 0
    depth = np.cumsum(change)  # of the stack after a push and before a pop
    by_depth = [np.argsort(depth[slots], kind="stable") for slots in (pushed, popped)]
    return popped[by_depth[1]], pushed[by_depth[0]] - 1


def coefficients(chain: Chains, a: Tensor, b: Tensor, steps: int, dtype: torch.dtype) -> Tensor:
    """(slot, `COLUMNS`) in that precision, of a and b (reach,) in float64, for lanes of so many steps."""
    decay, moved = 1 - b, b.clamp(min=NEVER[dtype])
    carried, half = decay**steps, decay ** (steps // 2)
    # the gain that goes with d as it is rounded, so that no water is made
    d = (a / ((1 - a) * moved).clamp(min=NEVER[dtype])).to(dtype).to(torch.float64)
    gain = moved / (1 + moved * d)
    index = chain.index
    found = torch.zeros((index.shape[0], COLUMNS), dtype=dtype, device=b.device)
    for column, values in ((DECAY, decay), (D, d), (W, carried), (H, half)):
        found[:, column] = values[index]

    b_full, gain_full = moved[index][chain.full], gain[index][chain.full]
    centred = chain.centred | (gain_full < TINY_GAIN)
    scale, starts = _scales(gain_full, chain.fresh, centred)
    one = scale.new_ones(1)
    before = torch.where(starts, one, torch.cat([one, scale])[:-1])
    for column, of_full in (
        (GIVEN, scale / (b_full * steps)),
        (TO_M, before * b_full),
        (TO_S, 1 / (before * b_full)),
        (AFTER, scale),
        (BEFORE, before),
        (CENTRE, centred),
    ):
        found[chain.full, column] = of_full.to(dtype)
    # what a series has where it is put aside or added: one for number -1
    ends = torch.cat([torch.where(centred, one, scale), one])
    after = ends[chain.after]
    found[chain.popped, WEIGHT] = (after[chain.waited] / after[chain.popped]).to(dtype)

    slots = torch.nonzero(chain.leaf)[:, 0]
    head = index[slots]
    found[slots, SHARE] = ((1 - a[head]) / ends[chain.before[slots]]).to(dtype)
    found[slots, GATHER] = ((1 - a[head]) * powers(b[head], steps) / steps).to(dtype)
    return found


def powers(b: Tensor, steps: int) -> Tensor:
    """1 + decay + decay² + … of so many terms, also where b is so small that 1 − decay^steps would lose its digits."""
    small = b < 0.5
    safe = torch.where(small, b, 0.25)
    found = torch.where(small, -torch.expm1(steps * torch.log1p(-safe)) / safe, (1 - (1 - b) ** steps) / b)
    return torch.where(b > 0, found, float(steps))


def _scales(gain: Tensor, fresh: Tensor, centred: Tensor) -> tuple[Tensor, Tensor]:
    """(full,) scale after each reach, before it is centred, and whether the scale before was one."""
    starts = fresh.clone()
    starts[1:] |= centred[:-1]
    scale, begun = gain, starts
    by = 1
    while by < CENTRED:  # products over 1, 2, 4, … reaches back, as far as the last start
        scale = torch.cat([scale[:by], torch.where(begun[by:], scale[by:], scale[by:] * scale[:-by])])
        begun = torch.cat([begun[:by], begun[by:] | begun[:-by]])
        by *= 2
    return scale, starts
