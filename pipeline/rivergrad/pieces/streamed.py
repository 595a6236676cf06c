"""The runoff of a piece while it is estimated: all of it in memory, or read again as steps need it.

A record that fits into its share of the memory stays there. Of a longer one, blocks of steps are read by a thread of
their own, those of the next step while the present one computes, and the last ones used stay as far as there is room.
The numbers are the same either way, and memory does not grow with the record.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rivergrad.pieces.setup import PieceSetup, ReadRunoff, Window

BLOCK = 128
"""Forcing steps of a block, as of a chunk of the files that rivergrad writes."""


class Runoff(Protocol):
    """Runoff (time, reach or cell) m³/s of a record, in the routing's precision, on the piece's device."""

    def take(self, start: int, stop: int) -> Tensor:
        """Steps start..stop."""
        ...

    def ahead(self, spans: Sequence[tuple[int, int]]) -> None:
        """Steps that will be asked for next; returns at once."""
        ...

    def whole(self) -> Tensor:
        """All of it."""
        ...


class WholeRunoff:
    """Runoff in memory."""

    def __init__(self, values: Tensor) -> None:
        self._values = values

    def take(self, start: int, stop: int) -> Tensor:
        """See `Runoff`: a view."""
        return self._values[start:stop]

    def ahead(self, spans: Sequence[tuple[int, int]]) -> None:
        """See `Runoff`: it is there."""

    def whole(self) -> Tensor:
        """See `Runoff`: a view."""
        return self._values


class StreamedRunoff:
    """Runoff that is read in blocks.

    Args:
        read: (start, stop) -> (time, column); called by one thread, one call at a time.
        steps: of the record; columns: reaches or cells.
        dtype: of what is kept and given.
        room: bytes of blocks that stay, at least those of one step and of the next.
        device: of what is given.
    """

    def __init__(
        self, read: ReadRunoff, steps: int, columns: int, dtype: torch.dtype, room: int, device: torch.device
    ) -> None:
        self._read, self._steps, self._columns = read, steps, columns
        self._dtype, self._device = dtype, device
        self._numbers = np.dtype(np.float64 if dtype == torch.float64 else np.float32)
        self._most = room // max(1, BLOCK * columns * self._numbers.itemsize)
        self._thread = ThreadPoolExecutor(1, "runoff")
        self._blocks: OrderedDict[int, Future[NDArray[Any]]] = OrderedDict()  # the last used at the end
        self._next: set[int] = set()

    def look_through(self) -> None:
        """Read the record once, so that a bad value shows before any step; its first blocks stay.

        Raises:
            InputError: as `read` does.
        """
        count = -(-self._steps // BLOCK)
        for number in range(count):
            self._ask({number})
            if number + 1 < count:
                self._ask({number + 1})
            self._blocks[number].result()
            if number >= self._most:
                del self._blocks[number]

    def take(self, start: int, stop: int) -> Tensor:
        """See `Runoff`: a copy."""
        wanted = _blocks_of([(start, stop)])
        self._ask(wanted)
        found = np.empty((stop - start, self._columns), self._numbers)
        for number in sorted(wanted):
            first = number * BLOCK
            a, b = max(start, first), min(stop, first + BLOCK)
            found[a - start : b - start] = self._blocks[number].result()[a - first : b - first]
        self._forget(wanted | self._next)
        return torch.from_numpy(found).to(self._device, self._dtype)

    def ahead(self, spans: Sequence[tuple[int, int]]) -> None:
        """See `Runoff`: the blocks are asked for, and stay until they are used."""
        self._next = _blocks_of(spans)
        self._ask(self._next)

    def whole(self) -> Tensor:
        """See `Runoff`: read once more, and not kept here."""
        values = self._thread.submit(self._read, 0, self._steps).result()
        return torch.from_numpy(np.asarray(values, self._numbers)).to(self._device, self._dtype)

    def _ask(self, numbers: set[int]) -> None:
        for number in sorted(numbers):
            if number not in self._blocks:
                self._blocks[number] = self._thread.submit(self._block, number)
            self._blocks.move_to_end(number)

    def _block(self, number: int) -> NDArray[Any]:
        start = number * BLOCK
        return np.asarray(self._read(start, min(start + BLOCK, self._steps)), self._numbers)

    def _forget(self, needed: set[int]) -> None:
        """Drop the blocks that were not used for longest, where there is no room for them."""
        for number in [one for one in self._blocks if one not in needed]:
            if len(self._blocks) <= self._most:
                return
            del self._blocks[number]


def _blocks_of(spans: Sequence[tuple[int, int]]) -> set[int]:
    return {
        number
        for start, stop in spans
        if stop > start
        for number in range(start // BLOCK, (stop - 1) // BLOCK + 1)
    }


def spans_of(windows: Sequence[Window]) -> list[tuple[int, int]]:
    """The steps that windows need, warm-up included."""
    return [(first, stop) for first, _, stop in windows]


def record_bytes(setup: PieceSetup) -> int:
    """Bytes of the runoff of a piece's whole record."""
    return setup.steps * setup.columns * setup.value_bytes


def is_streamed(setup: PieceSetup) -> bool:
    """Whether a piece reads its runoff again and again: on CPUs, where the record has no room."""
    return setup.room is not None and not setup.device.startswith("cuda") and record_bytes(setup) > setup.room


def open_record(setup: PieceSetup, dtype: torch.dtype, device: torch.device) -> Runoff | None:
    """The runoff of a piece's record; None where none is given.

    Raises:
        InputError: a value is missing or impossible, or the file is damaged.
    """
    if setup.read is None:
        return None
    if not is_streamed(setup):
        return WholeRunoff(torch.from_numpy(setup.read(0, setup.steps)).to(device, dtype))
    assert setup.room is not None
    found = StreamedRunoff(setup.read, setup.steps, setup.columns, dtype, setup.room, device)
    found.look_through()
    return found
