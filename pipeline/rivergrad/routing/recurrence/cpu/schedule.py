"""Who works when: items in an order in which each comes after those it needs, taken by threads one by one.

An item is a group of reaches over one tile of time of one member of the batch. It needs the same group over the
tile before and the groups above over the same tile, so that a long thin network keeps threads busy as a short
wide one does: tiles follow each other down the tree. Threads take items from one counter and wait for what an
item needs, all in compiled code without the GIL. What an item computes doesn't depend on who computes it.

There is no thread pool to be inherited by a forked process or shared with another library: the threads of a call
end with it (starting one takes some 50 µs).
"""

from __future__ import annotations

import threading
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.typing.templates import signature
from numpy.typing import NDArray

from rivergrad.routing.recurrence.cpu.arrays import Adjoint, Model, Record, Scratch
from rivergrad.routing.recurrence.cpu.backward import backward_item
from rivergrad.routing.recurrence.cpu.blocks import Plan
from rivergrad.routing.recurrence.cpu.compiling import compiled
from rivergrad.routing.recurrence.cpu.forward import forward_item
from rivergrad.routing.recurrence.cpu.lanes import bare, intrinsic
from rivergrad.routing.recurrence.cpu.tiles import Tiles

Index = NDArray[np.int64]

PATIENCE = 2000
"""Looks at an item's needs before the thread lets others have the processor."""


# Numba recompiles a cached function when its own file changes, but not when that of a function it calls does.
def sources() -> int:
    """A number that changes with any file of this package."""
    return zlib.crc32(b"".join(p.read_bytes() for p in sorted(Path(__file__).parent.rglob("*.py"))))


def _element(context: Any, builder: Any, array_type: Any, array: Any, position: Any) -> Any:
    fields = cgutils.create_struct_proxy(array_type)(context, builder, array)
    return builder.gep(fields.data, [position])


@intrinsic
def take(typing: Any, array: Any) -> Any:
    """array[0]++ for all threads at once; what stood there before."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        zero = ir.Constant(ir.IntType(64), 0)
        pointer = _element(context, builder, sig.args[0], args[0], zero)
        return builder.atomic_rmw("add", pointer, ir.Constant(ir.IntType(64), 1), "monotonic")

    return signature(types.int64, array), generate


@intrinsic
def _look(typing: Any, array: Any, position: Any) -> Any:
    """array[position], and all that was written before it was published."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        pointer = _element(context, builder, sig.args[0], args[0], args[1])
        return builder.load_atomic(pointer, ordering="acquire", align=8)

    return signature(types.int64, array, types.int64), generate


@intrinsic
def publish(typing: Any, array: Any, position: Any, value: Any) -> Any:
    """array[position] = value, after all that was written before."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        pointer = _element(context, builder, sig.args[0], args[0], args[1])
        builder.store_atomic(args[2], pointer, ordering="release", align=8)
        return context.get_dummy_value()

    return signature(types.none, array, types.int64, types.int64), generate


@bare()
def ready(
    done: Index, first: int, group: int, before: int, start: Index, needed: Index
) -> bool:  # pragma: no cover - compiled
    """Whether `before` tiles of the group are done and one more of each group it needs."""
    if _look(done, first + group) < before:
        return False
    for p in range(start[group], start[group + 1]):  # noqa: SIM110 (Numba has no `all`)
        if _look(done, first + needed[p]) <= before:
            return False
    return True


def _compile(sources: int) -> tuple[Any, Any]:
    """The two loops over items; `sources` makes a change in any file of this package a change of these."""

    @bare(nogil=True, cache=True, no_cpython_wrapper=False)
    def forward(
        pending: int,
        counter: Index,
        done: Index,
        items: Index,
        plan: Plan,
        tiles: Tiles,
        model: Model,
        record: Record,
        scratch: Scratch,
        ratio: int,
        keep: bool,
    ) -> int:  # pragma: no cover - compiled
        """Route items until none is left (−1), or one has been waited for too long (its number)."""
        _ = sources
        groups = plan.stage.size
        while True:
            at = pending if pending >= 0 else take(counter)
            pending = -1
            if at >= items.shape[0]:
                return -1
            group, tile, batch = items[at, 0], items[at, 1], items[at, 2]
            looks = 0
            while not ready(done, batch * groups, group, tile, plan.above_start, plan.above):
                looks += 1
                if looks > PATIENCE:
                    return at
            forward_item(group, tile, batch, plan, tiles, model, record, scratch, ratio, keep)
            publish(done, batch * groups + group, tile + 1)

    @bare(nogil=True, cache=True, no_cpython_wrapper=False)
    def backward(
        pending: int,
        counter: Index,
        done: Index,
        items: Index,
        plan: Plan,
        tiles: Tiles,
        model: Model,
        record: Record,
        adjoint: Adjoint,
        scratch: Scratch,
        ratio: int,
        want_runoff: bool,
    ) -> int:  # pragma: no cover - compiled
        """The same for the adjoint, items from the last to the first."""
        _ = sources
        groups = plan.stage.size
        last = tiles.day.size - 1
        while True:
            at = pending if pending >= 0 else take(counter)
            pending = -1
            if at >= items.shape[0]:
                return -1
            turn = items.shape[0] - 1 - at
            group, tile, batch = items[turn, 0], items[turn, 1], items[turn, 2]
            looks = 0
            while not ready(done, batch * groups, group, last - tile, plan.below_start, plan.below):
                looks += 1
                if looks > PATIENCE:
                    return at
            backward_item(
                group, tile, batch, plan, tiles, model, record, adjoint, scratch, ratio, want_runoff
            )
            publish(done, batch * groups + group, last - tile + 1)

    return forward, backward


_forward, _backward = _compile(sources())


def make_items(plan: Plan, tiles: int, batch: int) -> Index:
    """All items (item, 3): group, tile, member of the batch; those that can be done at the same time together."""
    size = np.diff(plan.group_start)
    group, tile, member = (
        g.ravel()
        for g in np.meshgrid(np.arange(plan.stage.size), np.arange(tiles), np.arange(batch), indexing="ij")
    )
    order = np.lexsort((-size[group], member, tile, plan.stage[group] + tile))
    return np.ascontiguousarray(np.stack([group, tile, member], axis=1)[order])


def sweep_forward(
    threads: int,
    items: Index,
    plan: Plan,
    tiles: Tiles,
    model: Model,
    record: Record,
    scratch: Callable[[], Scratch],
    ratio: int,
    keep: bool,
) -> None:
    """Route all items with some threads, this one among them."""
    given = (items, plan, tiles, model, record)
    work_off(_forward, "routing", threads, given, lambda: (scratch(),), (ratio, keep))


def sweep_backward(
    threads: int,
    items: Index,
    plan: Plan,
    tiles: Tiles,
    model: Model,
    record: Record,
    adjoint: Adjoint,
    scratch: Callable[[], Scratch],
    ratio: int,
    want_runoff: bool,
) -> None:
    """The adjoint of all items."""
    given = (items, plan, tiles, model, record, adjoint)
    work_off(_backward, "gradient of the routing", threads, given, lambda: (scratch(),), (ratio, want_runoff))


def work_off(
    kernel: Any,
    does: str,
    threads: int,
    given: tuple[Any, ...],
    scratch: Callable[[], tuple[Any, ...]],
    options: tuple[Any, ...],
) -> None:
    """Have all items done by some threads, this one among them.

    Args:
        kernel: kernel(pending, counter, done, *given, *scratch, *options), see `_compile`.
        does: what it does, for `compiled`.
        threads: at most so many work.
        given: what all threads share; it begins with items, plan, tiles, model and record.
        scratch: makes what one thread needs for itself.
        options: numbers.
    """
    items, plan, record = given[0], given[1], given[4]
    batch, dtype = record.runoff.shape[0], record.runoff.dtype
    counter, done = np.zeros(1, np.int64), np.zeros(batch * plan.n_groups, np.int64)
    compiled(kernel, does, dtype, lambda: (-1, counter, done, *given, *scratch(), *options))

    def work() -> None:
        own, pending = scratch(), -1
        while True:
            pending = kernel(pending, counter, done, *given, *own, *options)
            if pending < 0:
                return
            time.sleep(0)

    _with_threads(work, min(threads, items.shape[0]))


def _with_threads(work: Callable[[], None], threads: int) -> None:
    """Run `work` in this thread and `threads` − 1 others; raise what any of them raised."""
    errors: list[BaseException] = []

    def guarded() -> None:
        try:
            work()
        except BaseException as error:
            errors.append(error)

    others = [threading.Thread(target=guarded, daemon=True) for _ in range(threads - 1)]
    for thread in others:
        thread.start()
    try:
        work()
    finally:
        for thread in others:
            thread.join()
    if errors:
        raise errors[0]
