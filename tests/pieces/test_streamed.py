"""Runoff that is read as steps need it: the same bits, bounded memory, and errors before any step."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sweep_problems import Answer, ask, doubtful, small_problem

from rivercut.partition import partition
from rivergrad.cluster.executor import open_executor
from rivergrad.errors import InputError
from rivergrad.pieces import streamed
from rivergrad.pieces.streamed import BLOCK, StreamedRunoff

STEPS, COLUMNS = 10 * BLOCK + 5, 3
CPU = torch.device("cpu")


class File:
    """Runoff that notes what is read of it, and by how many threads at once."""

    def __init__(self, steps: int = STEPS) -> None:
        self.values = np.random.default_rng(0).random((steps, COLUMNS), np.float32)
        self.spans: list[tuple[int, int]] = []
        self._lock = threading.Lock()

    def __call__(self, start: int, stop: int) -> NDArray[Any]:
        assert self._lock.acquire(blocking=False)  # one call at a time
        self.spans.append((start, stop))
        self._lock.release()
        return self.values[start:stop]


def opened(file: File, blocks: int, dtype: torch.dtype = torch.float32) -> StreamedRunoff:
    room = blocks * BLOCK * COLUMNS * (8 if dtype == torch.float64 else 4)
    return StreamedRunoff(file, len(file.values), COLUMNS, dtype, room, CPU)


@pytest.mark.parametrize("blocks", [0, 1, 4])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_any_steps_in_any_order_are_those_of_the_record(blocks: int, dtype: torch.dtype) -> None:
    file, random = File(), np.random.default_rng(1)
    runoff = opened(file, blocks, dtype)
    runoff.look_through()
    whole = torch.from_numpy(file.values).to(dtype)
    spans = [tuple(sorted(random.integers(0, STEPS, 2).tolist())) for _ in range(40)]
    for (start, stop), after in zip(spans, [*spans[1:], (0, 0)], strict=True):
        found = runoff.take(start, stop)
        runoff.ahead([after])
        assert found.dtype == dtype
        torch.testing.assert_close(found, whole[start:stop], rtol=0, atol=0)
        needed = sum(-(-b // BLOCK) - a // BLOCK for a, b in ((start, stop), after) if b > a)
        assert len(runoff._blocks) <= blocks + needed
    torch.testing.assert_close(runoff.whole(), whole, rtol=0, atol=0)


def test_what_was_used_last_stays_and_what_comes_next_is_read_ahead() -> None:
    file = File()
    runoff = opened(file, 2)
    runoff.take(0, 2 * BLOCK)
    runoff.take(0, 2 * BLOCK)
    assert len(file.spans) == 2
    runoff.ahead([(5 * BLOCK, 6 * BLOCK)])
    assert 5 in runoff._blocks
    runoff.take(0, BLOCK)
    runoff.take(5 * BLOCK + 1, 6 * BLOCK - 1)
    assert file.spans == [(0, BLOCK), (BLOCK, 2 * BLOCK), (5 * BLOCK, 6 * BLOCK)]


@pytest.mark.parametrize(("engine", "dtype"), [("recurrence", "float32"), ("closure", "float64")])
def test_a_step_and_a_record_have_the_bits_of_runoff_in_memory(
    engine: str, dtype: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streamed, "BLOCK", 7)
    one = doubtful(small_problem())
    cut = partition(one.network, 3, spread=True, block_reaches=60)
    with open_executor(0) as executor:
        expected = ask(one, cut, executor, dtype, engine)
        found = ask(one, cut, executor, dtype, engine, room=1)
    assert_equal(found, expected)


def assert_equal(found: Answer, expected: Answer) -> None:
    assert found.loss == expected.loss
    for name in ("discharge", "shared", "free"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))


def test_a_bad_value_anywhere_in_the_record_shows_before_the_first_step() -> None:
    def read(start: int, stop: int) -> NDArray[Any]:
        if start <= 7 * BLOCK < stop:
            raise InputError("runoff.nc: variable 'runoff' has no value (NaN) for the reaches 3")
        return np.ones((stop - start, COLUMNS), np.float32)

    with pytest.raises(InputError, match="has no value"):
        StreamedRunoff(read, STEPS, COLUMNS, torch.float32, 0, CPU).look_through()
