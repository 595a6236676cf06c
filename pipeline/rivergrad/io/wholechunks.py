"""Zarr stores as they are read here: chunks are files, and whole.

Blosc reads on behind the end of a chunk that was cut off, and what lies there becomes values.
"""

from __future__ import annotations

from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numcodecs
import zarr
from numcodecs.blosc import Blosc
from numcodecs.compat import ensure_contiguous_ndarray
from zarr.codecs.blosc import BloscCodec

from rivercut.store import FolderOfFiles

HEADER = 16
"""Bytes of Blosc's header, the last four of which are the length of the whole chunk."""


class WholeBlosc(Blosc):  # type: ignore[misc]
    """Blosc that decodes whole chunks only."""

    codec_id = "blosc"

    def decode(self, buf: Any, out: Any = None) -> Any:
        """Decode a chunk.

        Raises:
            RuntimeError: it is shorter than its header says.
        """
        there = ensure_contiguous_ndarray(buf).view("u1")
        length = int.from_bytes(bytes(there[12:HEADER]), "little")
        if there.size < HEADER or there.size < length:
            raise RuntimeError(
                f"a chunk has {there.size} bytes; expected {max(length, HEADER)}: is it cut off?"
            )
        return super().decode(buf, out)


class WholeBloscCodec(BloscCodec):
    """The same for Zarr v3."""

    @cached_property
    def _blosc_codec(self) -> Blosc:
        config = super()._blosc_codec.get_config()
        return WholeBlosc(**{name: value for name, value in config.items() if name != "id"})


def store_of(path: Path) -> FolderOfFiles:
    """The store in a folder, to be read: files only, whole chunks only."""
    _refuse_cut_chunks()
    return FolderOfFiles(path, read_only=True)


@cache
def _refuse_cut_chunks() -> None:
    """Let all stores be read so, in this process."""
    numcodecs.register_codec(WholeBlosc)
    zarr.registry.register_codec("blosc", WholeBloscCodec)
    zarr.config.set({"codecs.blosc": f"{WholeBloscCodec.__module__}.{WholeBloscCodec.__qualname__}"})
