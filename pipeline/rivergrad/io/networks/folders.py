"""Networks that are folders of small tables: RAPID 2, river-route, DiffRoute."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rivercut.network import RiverNetwork
from rivergrad.errors import InputError
from rivergrad.io.frames import Frame, column_of, read_frame
from rivergrad.io.heads import head_of
from rivergrad.io.missing import absent
from rivergrad.io.networks.assemble import Options, Schema, network_of
from rivergrad.io.networks.joining import joined
from rivergrad.io.networks.schema_format import TableFormat
from rivergrad.io.tables import number_column, read_table

TABLES = (".parquet", ".csv", ".csv.gz")


def tables_with(path: Path, *names: str) -> list[Path]:
    """The tables in a folder (or beside a file) that have all of these columns."""
    folder = path if path.is_dir() else path.parent
    found = [one for one in sorted(folder.iterdir()) if one.name.lower().endswith(TABLES) and one.is_file()]
    return [one for one in found if head_of(one).has(*names)]


@dataclass(frozen=True)
class JoinedTables:
    """A network in several tables with an id in each.

    Attributes:
        title: what messages call it; schema: the names; traps, extra: see `Format`.
        first: columns of the table of the connections; further: columns of the others, which may be absent.
    """

    title: str
    schema: Schema
    first: tuple[str, ...]
    further: Sequence[tuple[str, ...]]
    traps: tuple[str, ...]
    extra: str | None = None
    reads: tuple[str, ...] = ("network",)

    def guess(self, path: Path) -> str | None:
        """By the columns of the tables in the folder, or of the table and those beside it."""
        if path.is_file() and not head_of(path).has(*self.first):
            return None
        if head_of(path).kind not in ("folder", "csv", "parquet"):
            return None
        if len(tables_with(path, *self.first)) != 1 or not any(
            tables_with(path, *one) for one in self.further
        ):
            return None
        return f"{self.title}: a table with {', '.join(self.first)} and another with {', '.join(self.further[0])}"

    def read(self, path: Path, role: str, **options: Any) -> RiverNetwork:
        """See `Format`."""
        found = [path] if path.is_file() else tables_with(path, *self.first)
        if len(found) != 1:
            raise InputError(
                f"{path}: holds {len(found)} tables with {', '.join(self.first)}; expected one, as in {self.title}"
            )
        frame = read_frame(found[0])
        for names in self.further:
            for table in tables_with(path, *names)[:1]:
                frame = joined(frame, self.first[0], read_frame(table), names[0], names[1:])
        return network_of(frame, self.schema, Options.of(**options))


RAPID2 = JoinedTables(
    "RAPID 2",
    Schema(
        {
            "reach_id": (("riv", None),),
            "downstream_id": (("dwn", None),),
            "k": (("kpr", "s"),),
            "x": (("xpr", "1"),),
            "area_m2": (("skm", "km2"),),
            "lat": (("lat", None),),
            "lon": (("lon", None),),
        },
        outlets=(0, -1),
        outside=True,
    ),
    ("riv", "dwn"),
    (("riv", "kpr"), ("riv", "xpr"), ("riv", "lon", "lat"), ("riv", "skm")),
    (
        "An outlet has dwn 0.",
        "Every table has ids: their order means nothing.",
        "There are no lengths: k is what is known of travel times.",
    ),
)

RIVER_ROUTE_1 = JoinedTables(
    "river-route 1",
    Schema(
        {
            "reach_id": (("rivid", None),),
            "downstream_id": (("downstream_rivid", None),),
            "k": (("k", "s"),),
            "x": (("x", "1"),),
        }
    ),
    ("rivid", "downstream_rivid"),
    (("rivid", "k", "x"),),
    ("An outlet has downstream_rivid -1.", "There are no lengths: k is what is known of travel times."),
)

RIVER_ROUTE = TableFormat(
    "river-route 2",
    Schema(
        {
            "reach_id": (("river_id", None),),
            "downstream_id": (("downstream_river_id", None),),
            "length_m": (("length_m", "m"), ("length", "m")),
            "k": (("k", "s"),),
            "x": (("x", "1"),),
        }
    ),
    (("river_id", "downstream_river_id", "k"),),
    ("An outlet has downstream_river_id -1.", "There are no lengths: k is what is known of travel times."),
    containers=("csv", "parquet"),
    geometry=False,
)


@dataclass(frozen=True)
class DiffRoute:
    """DiffRoute's Muskingum parameters and edges."""

    reads: tuple[str, ...] = ("network",)
    traps: tuple[str, ...] = ("k is in days.", "An outlet has no edge, or one into -1.")
    extra: str | None = None

    def guess(self, path: Path) -> str | None:
        """By the names in the folder."""
        names = head_of(path).names
        there = "edges.csv" in names and "param_df_muskingum.parquet" in names
        return "DiffRoute: holds edges.csv and param_df_muskingum.parquet" if there else None

    def read(self, path: Path, role: str, **options: Any) -> RiverNetwork:
        """See `Format`."""
        frame = read_frame(path / "param_df_muskingum.parquet")
        edges = read_table(path / "edges.csv", header=None)
        if edges.shape[1] < 2:
            raise InputError(
                f"{path / 'edges.csv'}: has {edges.shape[1]} column; expected reach and reach downstream"
            )
        edges = edges.iloc[:, :2].set_axis(["river_id", "to"], axis=1)
        name = column_of(frame, "river_id")
        table = frame.table if name is not None else frame.table.rename_axis("river_id").reset_index()
        frame = joined(
            replace(frame, table=table), "river_id", Frame(path / "edges.csv", edges), "river_id", ("to",)
        )
        to = number_column(frame.table, "to", path)
        none = absent(to)
        ended = frame.table["to"] if none is None else frame.table["to"].mask(none, -1)
        frame = replace(frame, table=frame.table.assign(to=ended.astype("int64")))
        schema = Schema(
            {
                "reach_id": (("river_id", None),),
                "downstream_id": (("to", None),),
                "k": (("k", "d"),),
                "x": (("x", "1"),),
            }
        )
        return network_of(frame, schema, Options.of(**options))


DIFFROUTE = DiffRoute()
