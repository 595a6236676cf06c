"""Reading ahead of the thread that computes, and writing behind it: two threads, and a bounded number of arrays."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Any, Self, TypeVar

from numpy.typing import NDArray

T = TypeVar("T")
Sink = Callable[[int, NDArray[Any]], None]


def ahead(
    read: Callable[[int, int], T], spans: Sequence[tuple[int, int]], depth: int = 1
) -> Generator[T, None, None]:
    """What `read(start, stop)` gives for each span in order, read while the one before is in use.

    Args:
        read: called in a thread of its own, one call at a time.
        spans: (start, stop) each.
        depth: how many are read before they are asked for.
    """
    thread = ThreadPoolExecutor(1, "read-ahead")
    flying: deque[Future[T]] = deque()
    try:
        for number in range(len(spans) + depth):
            if number < len(spans):
                flying.append(thread.submit(read, *spans[number]))
            if number >= depth:
                yield flying.popleft().result()
    finally:
        thread.shutdown(cancel_futures=True)


class Behind:
    """Hands arrays to a sink in a thread of its own, in order, while the next are computed.

    An error of the sink is raised by the next call, or at the end of the `with` block, which waits for the last array.

    Args:
        sink: called with (first step, values); depth: how many calls may wait.
    """

    def __init__(self, sink: Sink, depth: int = 1) -> None:
        self._sink, self._depth = sink, depth
        self._thread = ThreadPoolExecutor(1, "write-behind")
        self._flying: deque[Future[None]] = deque()

    def __enter__(self) -> Self:
        return self

    def __call__(self, start: int, values: NDArray[Any]) -> None:
        """Hand over `values`, which must not change any more."""
        while len(self._flying) > self._depth:
            self._flying.popleft().result()
        self._flying.append(self._thread.submit(self._sink, start, values))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            while error is None and self._flying:
                self._flying.popleft().result()
        finally:
            self._thread.shutdown(cancel_futures=True)
