"""Faults of the network itself: cycles, unknown ids, outlets under other signs, lengths that are none."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from tests.fuzz import arrays, inputs
from tests.fuzz.answers import Partitioned, Routed
from tests.fuzz.readers import RUNOFF, route, save, write_rapid
from tests.fuzz.registry import Expect, Mutation, either, refused, same

RIGHT = Routed(inputs.routed(inputs.runoff()))
PARTITION = ("partition", "--parts", "2", "--output", "p.zarr")

Change = Callable[[pd.DataFrame], pd.DataFrame]


def mutations() -> Iterator[Mutation]:
    """All of the family."""
    for name, (change, words) in FAULTS.items():
        for file in ("n.csv", "n.parquet", "n.csv.gz"):
            yield _route(f"fault/{name}", change, refused(file, *words), file)
        yield _partition(f"fault/{name}", change, refused("n.csv", *words))
    for name, change in SAME.items():
        for file in ("n.csv", "n.parquet"):
            yield _route(f"same/{name}", change, same(RIGHT), file)
        yield _partition(f"same/{name}", change, same(Partitioned(2)))
    yield _route("kilometres", lambda t: t.assign(length_m=5.0), refused("n.csv", "km"), "n.csv")
    yield from _outlets()
    yield from _rapid()
    yield from _stores()
    yield from _shapes()


def _at(reach: int, column: str, by: Any, kind: Any = None) -> Change:
    def change(table: pd.DataFrame) -> pd.DataFrame:
        if kind is not None:
            table = table.astype({column: kind})
        table.loc[inputs.position(reach), column] = by
        return table

    return change


def _all(*changes: Change) -> Change:
    def change(table: pd.DataFrame) -> pd.DataFrame:
        for one in changes:
            table = one(table)
        return table

    return change


FAULTS: dict[str, tuple[Change, tuple[str, ...]]] = {
    "cycle_of_2": (_at(30, "downstream_id", 10), ("10", "30", "cycle")),
    "cycle_of_3": (_at(50, "downstream_id", 10), ("10", "30", "50", "cycle")),
    "two_cycles": (_all(_at(30, "downstream_id", 10), _at(70, "downstream_id", 60)), ("cycle",)),
    "all_a_cycle": (_all(_at(70, "downstream_id", 10), _at(80, "downstream_id", 70)), ("cycle",)),
    "self_loop": (_at(30, "downstream_id", 30), ("30", "themselves")),
    "self_loop_of_the_outlet": (_at(80, "downstream_id", 80), ("80", "themselves")),
    "unknown_downstream": (_at(30, "downstream_id", 99), ("30", "99")),
    "id_twice": (_at(30, "reach_id", 20), ("20", "more than once|twice")),
    "row_twice": (lambda t: pd.concat([t, t[2:3]]), ("30", "more than once|twice")),
    "length_0": (lambda t: t.assign(length_m=0.0), ("length",)),
    "length_negative": (_at(30, "length_m", -5.0), ("30", "length")),
    "length_nan": (_at(30, "length_m", np.nan), ("30", "length")),
    "length_inf": (_at(30, "length_m", np.inf), ("30", "length")),
    "length_-9999": (_at(30, "length_m", -9999.0), ("30", "length")),
    "length_1e20": (_at(30, "length_m", 1e20), ("30", "length")),
    "no_ids": (lambda t: t.drop(columns="reach_id"), ("reach_id",)),
    "no_downstream": (lambda t: t.drop(columns="downstream_id"), ("downstream_id",)),
    "no_length": (lambda t: t.drop(columns="length_m"), ("length_m",)),
    "misspelt": (lambda t: t.rename(columns={"downstream_id": "downstreamid"}), ("downstream_id",)),
    "no_rows": (lambda t: t[:0], ()),
    "downstream_in_text": (
        lambda t: _at(30, "downstream_id", "fifty", object)(t).astype({"downstream_id": str}),
        ("downstream_id",),
    ),
    "id_-1": (_at(80, "reach_id", -1), ("-1",)),
}

SAME: dict[str, Change] = {
    "shuffled": lambda t: t.sample(frac=1, random_state=7),
    "sorted": lambda t: t.sort_values("reach_id"),
    "columns_turned": lambda t: t[t.columns[::-1]],
    "more_columns": lambda t: t.assign(name="a river", order=3, lake=False),
    "no_attributes": lambda t: t[["reach_id", "downstream_id", "length_m"]],
    "attribute_nan": _at(30, "slope", np.nan),
    "attribute_-9999": _at(30, "slope", -9999.0),
    "short_lengths": lambda t: t.assign(length_m=21.0),
    "one_length_0": _at(30, "length_m", 0.0),
    "long_lengths": lambda t: t.assign(length_m=1e6),
    "outlets_apart": lambda t: t.sort_values("downstream_id", ascending=False),
}


def _route(name: str, change: Change, expect: Expect, file: str, *more: str) -> Mutation:
    def prepare(folder: Path) -> None:
        inputs.write_basics(folder)
        (folder / "n.csv").unlink()
        arrays.write(arrays.runoff_model(), folder / "r.nc", "nc")
        save(change(inputs.network_table()), folder / file)

    return Mutation(f"network/route/{file[2:]}/{name}", prepare, route("r.nc", file, *more), expect)


def _partition(name: str, change: Change, expect: Expect, *more: str) -> Mutation:
    def prepare(folder: Path) -> None:
        save(change(inputs.network_table()), folder / "n.csv")

    return Mutation(
        f"network/partition/{name}",
        prepare,
        (*PARTITION, "--network", "n.csv", *more),
        expect,
        writes=("p.zarr",),
    )


def _outlets() -> Iterator[Mutation]:
    """Outlets under other signs: 0 and below by themselves, all else by name."""
    for sign in (0, -9999, -2, -(2**40)):
        change = _all(_at(70, "downstream_id", sign), _at(80, "downstream_id", sign))
        yield _route(f"outlet/{sign}", change, same(RIGHT), "n.csv")
        yield _route(f"outlet/{sign}", change, same(RIGHT), "n.parquet")
        yield _partition(f"outlet/{sign}", change, same(Partitioned(2)))
    mixed = _at(70, "downstream_id", 0)
    yield _route("outlet/0_and_-1", mixed, same(RIGHT), "n.csv")
    outside = _all(_at(70, "downstream_id", 900), _at(80, "downstream_id", 901))
    yield _route("outlet/outside_not_named", outside, refused("n.csv", "70", "900"), "n.csv")
    yield _route("outlet/outside", outside, same(RIGHT), "n.csv", "--outlets", "outside")
    yield _route("outlet/ids", outside, same(RIGHT), "n.csv", "--outlets", "900,901")
    yield _route("outlet/one_id", outside, refused("n.csv", "80", "901"), "n.csv", "--outlets", "900")
    text = _all(_at(70, "downstream_id", "sea", object), _at(80, "downstream_id", "sea", object))
    yield _route("outlet/text", text, same(RIGHT), "n.csv", "--outlets", "sea")
    yield _route("outlet/text_not_named", text, refused("n.csv", "sea"), "n.csv")
    yield _route("outlet/another_text", text, refused("n.csv", "sea"), "n.csv", "--outlets", "lake")
    empty = _all(_at(70, "downstream_id", None, "Int64"), _at(80, "downstream_id", None, "Int64"))
    for file in ("n.csv", "n.parquet"):
        yield _route("outlet/empty", empty, same(RIGHT), file, "--outlets", "empty")
        yield _route("outlet/empty_not_named", empty, refused(file, "downstream_id"), file)
    inside = lambda table: table  # noqa: E731
    yield _route(
        "outlet/an_id_of_a_reach", inside, either(_cut_at_30(), "n.csv", "30"), "n.csv", "--outlets", "30"
    )
    yield _route("outlet/nothing", inside, either(RIGHT), "n.csv", "--outlets", "")
    yield _route(
        "outlet/flood", inside, either(RIGHT), "n.csv", "--outlets", ",".join(map(str, range(500, 9000)))
    )


def _cut_at_30() -> Routed:
    down = dict(inputs.DOWNSTREAM) | {10: -1, 20: -1}
    return Routed(inputs.routed(inputs.runoff(), down))


def _rapid() -> Iterator[Mutation]:
    """The connectivity of a RAPID folder."""
    rows = [f"{i},{max(inputs.DOWNSTREAM[int(i)], 0)},0" for i in inputs.IDS]

    def mutation(name: str, connect: str | bytes, expect: Expect) -> Mutation:
        def prepare(folder: Path) -> None:
            RUNOFF["m3_riv"].write(folder)
            write_rapid(folder)
            data = connect if isinstance(connect, bytes) else connect.encode()
            (folder / "rapid" / "rapid_connect.csv").write_bytes(data)

        return Mutation(f"network/rapid/{name}", prepare, RUNOFF["m3_riv"].command, expect)

    text = "\n".join(rows) + "\n"
    word = "rapid_connect.csv"
    yield mutation("outside_is_an_outlet", text.replace("70,0,", "70,999,"), same(RIGHT))
    yield mutation("minus_1", text.replace("70,0,", "70,-1,"), same(RIGHT))
    yield mutation("upstream_ids", text.replace("30,50,0", "30,50,2,10,20"), either(RIGHT, word))
    yield mutation("crlf", text.replace("\n", "\r\n"), same(RIGHT))
    yield mutation("two_columns", text.replace(",0\n", "\n"), same(RIGHT))
    yield mutation("cycle", text.replace("50,70,", "50,30,"), refused(word, "30", "50", "cycle"))
    yield mutation("self_loop", text.replace("50,70,", "50,50,"), refused(word, "50"))
    yield mutation("twice", text + "30,50,0\n", refused(word, "30"))
    yield mutation("header", "reach,down,n\n" + text, refused(word, "reach"))
    yield mutation("one_column", text.replace(",", ";"), refused(word))
    yield mutation("fraction", text.replace("30,50,", "30.5,50,"), refused(word, "30.5"))
    yield mutation("text", text.replace("30,50,", "thirty,50,"), refused(word, "thirty"))
    yield mutation("empty_id", text.replace("30,50,", ",50,"), refused(word))
    yield mutation("empty_downstream", text.replace("30,50,", "30,,"), refused(word))
    yield mutation("beyond", text.replace("30,50,", f"{2**63 + 30},50,"), refused(word))
    yield mutation("digits_5000", text.replace("30,50,", "9" * 5000 + ",50,"), refused(word))
    yield mutation("bool", text.replace("30,50,", "True,50,"), refused(word, "True"))
    yield mutation("no_rows", "", refused(word))


def _stores() -> Iterator[Mutation]:
    """A network.zarr that is none, or of another kind."""

    def other_store(folder: Path) -> None:
        inputs.write_basics(folder)
        arrays.write(arrays.runoff_model(), folder / "r.nc", "nc")
        arrays.write(arrays.runoff_model(), folder / "n.zarr", "zarr3")

    yield Mutation("network/store/of_runoff", other_store, route("r.nc", "n.zarr"), refused("n.zarr"))

    def empty(folder: Path) -> None:
        inputs.write_basics(folder)
        arrays.write(arrays.runoff_model(), folder / "r.nc", "nc")
        (folder / "n.zarr").mkdir()

    yield Mutation("network/store/empty", empty, route("r.nc", "n.zarr"), refused("n.zarr"))

    def file(folder: Path) -> None:
        inputs.write_basics(folder)
        arrays.write(arrays.runoff_model(), folder / "r.nc", "nc")
        (folder / "n.zarr").write_text("reach_id")

    yield Mutation("network/store/a_file", file, route("r.nc", "n.zarr"), refused("n.zarr"))

    def netcdf(folder: Path) -> None:
        inputs.write_basics(folder)
        arrays.write(arrays.runoff_model(), folder / "r.nc", "nc")

    yield Mutation("network/store/netcdf", netcdf, route("r.nc", "r.nc"), refused("r.nc"))
    yield Mutation("network/store/nothing", netcdf, route("r.nc", "nix.csv"), refused("nix.csv"))
    yield Mutation("network/store/the_folder", netcdf, route("r.nc", "."), refused("."))


def _shapes() -> Iterator[Mutation]:
    """Networks of other shapes: a chain of 20,000, a star, single reaches."""

    def chain(count: int, star: bool) -> Callable[[Path], None]:
        def prepare(folder: Path) -> None:
            ids = np.arange(1, count + 1)
            down = np.where(ids == count, -1, count if star else ids + 1)
            save(pd.DataFrame({"reach_id": ids, "downstream_id": down, "length_m": 1000.0}), folder / "n.csv")

        return prepare

    for name, count, star in (("chain", 20000, False), ("star", 20000, True), ("single", 1, False)):
        parts = "1" if count == 1 else "2"
        command = ("partition", "--network", "n.csv", "--parts", parts, "--output", "p.zarr")
        answer = Partitioned(int(parts), reaches=count)
        yield Mutation(f"network/shape/{name}", chain(count, star), command, same(answer), writes=("p.zarr",))
    command = ("partition", "--network", "n.csv", "--parts", "5", "--output", "p.zarr")
    more = either(Partitioned(5, reaches=1), "parts")
    yield Mutation(
        "network/shape/more_parts_than_reaches", chain(1, False), command, more, writes=("p.zarr",)
    )
