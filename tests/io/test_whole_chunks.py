"""A Zarr chunk that was cut off is refused: Blosc would read on behind its end, whatever lies there."""

from __future__ import annotations

from pathlib import Path

import numcodecs
import numpy as np
import pytest
import zarr

from rivergrad.errors import InputError
from rivergrad.io.datasets import open_dataset

VALUES = np.random.default_rng(1).random((40, 8))


def store(path: Path, version: int) -> Path:
    """A store with one chunk, compressed by Blosc; returns the chunk's file."""
    group = zarr.open_group(str(path), mode="w", zarr_format=version)
    codec = numcodecs.Blosc() if version == 2 else zarr.codecs.BloscCodec(cname="lz4")
    for name, values, dims in (("runoff", VALUES, ("time", "reach")), ("reach", np.arange(8), ("reach",))):
        names = {"dimension_names": dims} if version == 3 else {}
        array = group.create_array(
            name, shape=values.shape, chunks=values.shape, dtype=values.dtype, compressors=codec, **names
        )
        array[...] = values
        if version == 2:
            array.attrs["_ARRAY_DIMENSIONS"] = list(dims)
    return path / ("runoff/0.0" if version == 2 else "runoff/c/0/0")


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("cut", [1, 16, 200])
def test_a_chunk_that_was_cut_off(tmp_path: Path, version: int, cut: int) -> None:
    chunk = store(tmp_path / "r.zarr", version)
    with open_dataset(tmp_path / "r.zarr") as data:
        np.testing.assert_array_equal(data["runoff"].values, VALUES)
    whole = chunk.read_bytes()
    chunk.write_bytes(whole[:-cut])
    with (
        pytest.raises((InputError, RuntimeError), match="cut off"),
        open_dataset(tmp_path / "r.zarr") as data,
    ):
        _ = data["runoff"].values
    chunk.write_bytes(whole + b"more")
    with open_dataset(tmp_path / "r.zarr") as data:
        np.testing.assert_array_equal(data["runoff"].values, VALUES)
