"""A format of networks that is a table, told by the names of its columns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rivercut.network import RiverNetwork
from rivergrad.io.frames import Frame, read_frame
from rivergrad.io.heads import head_of
from rivergrad.io.networks.assemble import Options, Schema, network_of


def _as_it_is(frame: Frame, options: Options) -> Frame:
    return frame


@dataclass(frozen=True)
class TableFormat:
    """A network in a table, under the format's own names.

    Attributes:
        title: what messages call it.
        schema: the names.
        marks: sets of columns; a table that has all of one is of this format.
        traps, extra: see `Format`.
        containers: kinds of files (see `Head`) that it comes in.
        prepare: what is done to the table before columns are taken.
        dimension_of: see `read_frame`; geometry: whether positions come from lines.
    """

    title: str
    schema: Schema
    marks: Sequence[tuple[str, ...]]
    traps: tuple[str, ...]
    containers: tuple[str, ...] = ("csv", "parquet", "vector")
    extra: str | None = None
    prepare: Callable[[Frame, Options], Frame] = _as_it_is
    dimension_of: str | None = None
    geometry: bool = True
    reads: tuple[str, ...] = ("network",)

    def guess(self, path: Path) -> str | None:
        """By the columns of a table."""
        head = head_of(path)
        if head.kind not in self.containers:
            return None
        for columns in head.layers.values() if head.layers else (head.columns,):
            there = {one.lower() for one in columns}
            for mark in self.marks:
                if {one.lower() for one in mark} <= there:
                    return f"{self.title}: has {', '.join(mark)}"
        return None

    def frame(self, path: Path, options: Options) -> Frame:
        """The table with its geometry, as `prepare` leaves it."""
        geometry = self.geometry and head_of(path).kind in ("vector", "parquet")
        found = read_frame(path, layer=options.layer, dimension_of=self.dimension_of, geometry=geometry)
        return self.prepare(found, options)

    def read(self, path: Path, role: str, **options: Any) -> RiverNetwork:
        """See `Format`."""
        chosen = Options.of(**options)
        return network_of(self.frame(path, chosen), self.schema, chosen)
