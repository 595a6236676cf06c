"""Which part of a file is damaged: the days that were asked for, and the chunk of a Zarr store."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rivergrad.errors import InputError
from rivergrad.io.datasets import Damaged, reading
from rivergrad.io.times import TimeArray, text

if TYPE_CHECKING:
    import zarr
else:
    from rivergrad.later import zarr

MOST_TRIED = 4096
"""Chunks that are looked at: more take too long for a message."""


@contextmanager
def reading_steps(path: Path, variable: str, time_dim: str, steps: slice, times: TimeArray) -> Iterator[None]:
    """As `reading`, and what is damaged is told with its days.

    Args:
        path: the file or store; variable: that is read; time_dim: its dimension of time.
        steps: that are read; times: starts of all steps of the file.

    Raises:
        InputError: the file is damaged, naming the days, and the chunk of a Zarr store.
    """
    try:
        with reading(path, "NetCDF or Zarr"):
            yield
    except Damaged as error:
        found = _damaged_chunk(path, variable, time_dim, steps) if path.is_dir() else None
        name, those = found if found is not None else (f"'{variable}'", steps)
        days = times[those]
        when = f" of {text(days[0])} to {text(days[-1])}" if len(days) else ""
        raise InputError(
            f"{path}: cannot be read as NetCDF or Zarr, is it damaged? ({name}{when}: {error.said[:100]})"
        ) from error


def _damaged_chunk(path: Path, variable: str, time_dim: str, steps: slice) -> tuple[str, slice] | None:
    """The first chunk among some steps that cannot be read, and its steps."""
    from rivergrad.io.wholechunks import store_of  # here, as it imports zarr

    try:
        array: Any = zarr.open_group(store_of(path), mode="r")[variable]
        names = getattr(array.metadata, "dimension_names", None) or array.attrs.get("_ARRAY_DIMENSIONS")
        axis = list(names).index(time_dim)
    except Exception:  # damaged in its metadata, which is another message
        return None
    size = array.shards or array.chunks
    ranges = [range(-(-length // one)) for length, one in zip(array.shape, size, strict=True)]
    ranges[axis] = range(steps.start // size[axis], -(-steps.stop // size[axis]))
    for tried, place in enumerate(product(*ranges)):
        if tried == MOST_TRIED:
            return None
        if not _reads(
            array, tuple(slice(i * one, (i + 1) * one) for i, one in zip(place, size, strict=True))
        ):
            begin = place[axis] * size[axis]
            key = array.metadata.encode_chunk_key(place)
            return f"chunk {variable}/{key}", slice(begin, begin + size[axis])
    return None


def _reads(array: Any, where: tuple[slice, ...]) -> bool:
    try:
        array[where]
    except Exception:  # whatever a codec raises
        return False
    return True
