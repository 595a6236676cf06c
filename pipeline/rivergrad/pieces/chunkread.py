"""The runoff of a record that is routed once: the next chunk is read while the present one is routed."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from numpy.typing import NDArray

from rivergrad.pieces.setup import ReadRunoff


class ChunkReader:
    """Reads spans of steps in a thread of its own, one at a time.

    Args:
        read: (start, stop) -> (time, column).
        steps: of the record.
    """

    def __init__(self, read: ReadRunoff, steps: int) -> None:
        self._read, self._steps = read, steps
        self._thread = ThreadPoolExecutor(1, "read-ahead")
        self._span: tuple[int, int] | None = None
        self._flying: Future[NDArray[Any]] | None = None

    def take(self, start: int, stop: int) -> NDArray[Any]:
        """Steps start..stop; as many that follow are asked for, in the expectation that they are wanted next."""
        flying = self._flying if self._span == (start, stop) else None
        values = self._thread.submit(self._read, start, stop).result() if flying is None else flying.result()
        after = min(2 * stop - start, self._steps)
        self._span, self._flying = None, None
        if after > stop:
            self._span, self._flying = (stop, after), self._thread.submit(self._read, stop, after)
        else:
            self._thread.shutdown(wait=False)
        return values
