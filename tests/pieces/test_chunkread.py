"""Chunks of runoff that are read ahead."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from rivergrad.pieces.chunkread import ChunkReader


def test_the_next_chunk_is_under_way_and_nothing_beyond_the_record() -> None:
    asked, there = [], threading.Event()

    def read(start: int, stop: int) -> np.ndarray:
        asked.append((start, stop))
        if start == 4:
            there.set()
        return np.arange(start, stop)

    reader = ChunkReader(read, 10)
    assert reader.take(0, 4).tolist() == [0, 1, 2, 3]
    assert there.wait(10)  # before anybody asks for it
    assert reader.take(4, 8).tolist() == [4, 5, 6, 7]
    assert reader.take(8, 10).tolist() == [8, 9]
    assert asked == [(0, 4), (4, 8), (8, 10)]


def test_another_chunk_than_expected_is_read_all_the_same() -> None:
    reader = ChunkReader(lambda start, stop: np.arange(start, stop), 10)
    reader.take(0, 2)
    assert reader.take(2, 5).tolist() == [2, 3, 4]
    assert reader.take(5, 10).tolist() == [5, 6, 7, 8, 9]


def test_what_cannot_be_read_is_told_when_it_is_asked_for() -> None:
    def read(start: int, stop: int) -> np.ndarray:
        if start:
            raise OSError("damaged")
        return np.arange(start, stop)

    reader = ChunkReader(read, 6)
    reader.take(0, 3)
    with pytest.raises(OSError, match="damaged"):
        reader.take(3, 6)
