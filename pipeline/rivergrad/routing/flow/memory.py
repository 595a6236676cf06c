"""Memory for what a round gives to the next: new pages from the system take as long as a sweep."""

from __future__ import annotations

import threading

import torch
from torch import Tensor

LARGE = 1 << 22
"""Bytes from which memory is kept; less is the allocator's to keep."""
_KEPT = threading.local()


def room_for(which: int, runoff: Tensor, columns: int) -> Tensor | None:
    """(batch, time, column) of this thread, whose numbers the next call with the same `which` overwrites.

    As much is kept as the largest call of the thread took. None where new memory does as well.
    """
    shape = (*runoff.shape[:2], columns)
    size = shape[0] * shape[1] * shape[2]
    if size * runoff.element_size() < LARGE or runoff.device.type != "cpu":
        return None
    kept: dict[tuple[int, torch.dtype], Tensor] = _KEPT.__dict__.setdefault("rooms", {})
    room = kept.get((which, runoff.dtype))
    if room is None or room.numel() < size:
        kept.pop((which, runoff.dtype), None)  # before the larger one is asked for
        room = kept[which, runoff.dtype] = torch.empty(size, dtype=runoff.dtype)
    return room[:size].view(shape)
