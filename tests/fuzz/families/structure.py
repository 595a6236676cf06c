"""The shape of files: columns, dimensions and dialects, in another order, one too many or one too few."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from tests.fuzz import arrays, inputs
from tests.fuzz.answers import Observed, Routed
from tests.fuzz.arrays import SUFFIX, Flavour, Model, Var
from tests.fuzz.readers import (
    ESTIMATE,
    gauge_long,
    gauge_wide,
    long,
    route,
    save,
    wide,
    write_case,
    write_estimate,
)
from tests.fuzz.registry import Expect, Mutation, either, refused, same, warned

RUNOFF = inputs.runoff()
RIGHT = Routed(inputs.routed(RUNOFF))
OBSERVED = inputs.observed()
FLAVOURS: tuple[Flavour, ...] = ("nc", "zarr2", "zarr3")
AREAS = dict(zip(inputs.GAUGES, (15e6, 28e6, 9e6), strict=True))
"""Drainage areas of the gauges, m2."""
N_IDS = len(inputs.IDS)


def mutations() -> Iterator[Mutation]:
    """All of the family."""
    yield from _arrays()
    yield from _tables()
    yield from _dialects()
    yield from _observations()
    yield from _gauges()


def _array(
    name: str, flavour: Flavour, change: Callable[[Model], object], expect: Expect, *more: str
) -> Mutation:
    return Mutation(
        f"structure/array/{name}/{flavour}",
        lambda folder: write_case(folder, arrays.runoff_model(), flavour, change),
        route(f"r{SUFFIX[flavour]}", "n.csv", *more),
        expect,
    )


def _transposed(model: Model) -> None:
    var = model.vars["runoff"]
    var.data, var.dims = np.ascontiguousarray(var.data.T), ("reach", "time")


def _taken(order: Any) -> Callable[[Model], None]:
    def change(model: Model) -> None:
        for name, axis in (("reach_id", 0), ("runoff", 1)):
            model.vars[name].data = np.take(model.vars[name].data, order, axis=axis)

    return change


def _more_reaches(model: Model) -> None:
    model.vars["reach_id"].data = np.append(inputs.IDS, [901, 902])
    model.vars["runoff"].data = np.concatenate([RUNOFF, np.full((inputs.DAYS, 2), np.nan)], axis=1)


def _named(name: str, dim: str | None = None) -> Callable[[Model], None]:
    def change(model: Model) -> None:
        model.rename("reach_id", name)
        if dim:
            model.rename_dim("reach", dim)

    return change


def _variable(name: str) -> Callable[[Model], None]:
    return lambda model: model.rename("runoff", name)


def _add(name: str, var: Var) -> Callable[[Model], None]:
    return lambda model: model.vars.update({name: var})


def _set(name: str, data: Any, dims: tuple[str, ...]) -> Callable[[Model], None]:
    def change(model: Model) -> None:
        model.vars[name].data, model.vars[name].dims = np.asarray(data), dims

    return change


def _arrays() -> Iterator[Mutation]:
    rng = np.random.default_rng(5)
    extra = Var(("time", "reach"), RUNOFF * 3, {"units": "m3 s-1"})

    def several(model: Model) -> None:
        _variable("a")(model)
        _add("b", extra)(model)

    good: dict[str, Callable[[Model], object]] = {
        "transposed": _transposed,
        "shuffled": _taken(rng.permutation(N_IDS)),
        "sorted": _taken(np.argsort(inputs.IDS)),
        "falling": _taken(np.argsort(-inputs.IDS)),
        "more_reaches": _more_reaches,
        "chunked_1": lambda model: setattr(model.vars["runoff"], "chunks", (1, 8)),
        "chunked_7_3": lambda model: setattr(model.vars["runoff"], "chunks", (7, 3)),
        "another_variable": _add("snow", extra),
        "a_scalar": _add("crs", Var((), np.array(1))),
        "attributes": lambda model: model.attrs.update(title="x" * 2000, history="\u00e9\u4e2d"),
        "named_q": _variable("lateral_inflow"),
        "named_anything": _variable("something"),
        "empty_size_1": _set("runoff", RUNOFF[:, None], ("time", "level", "reach")),
    }
    for name in (
        "reach",
        "rivid",
        "river_id",
        "COMID",
        "comid",
        "FEATUREID",
        "feature_id",
        "riv_bas_id",
        "LINKNO",
    ):
        good[f"ids_{name}"] = _named(name, name if name in ("rivid", "COMID", "reach") else None)
    for name, change in good.items():
        for flavour in FLAVOURS:
            yield _array(name, flavour, change, same(RIGHT))
    bad: dict[str, tuple[Callable[[Model], object], tuple[str, ...]]] = {
        "no_ids": (lambda model: model.vars.pop("reach_id"), ("reach_id",)),
        "no_runoff": (lambda model: model.vars.pop("runoff"), ("runoff",)),
        "several": (several, ("a", "b")),
        "ids_over_time": (_set("reach_id", np.arange(inputs.DAYS), ("time",)), ("reach_id",)),
        "ids_2d": (_set("reach_id", np.tile(inputs.IDS, (2, 1)), ("two", "reach")), ("reach_id",)),
        "a_vector": (_set("runoff", RUNOFF[:, 0], ("time",)), ("runoff",)),
        "no_time_dim": (_set("runoff", RUNOFF[0], ("reach",)), ("time",)),
        "scalar": (_set("runoff", 5.0, ()), ("runoff|time",)),
        "third_dim": (_set("runoff", np.stack([RUNOFF, RUNOFF], 2), ("time", "reach", "two")), ("two",)),
        "level_2": (_set("runoff", np.stack([RUNOFF, RUNOFF], 1), ("time", "level", "reach")), ("level",)),
        "no_reaches": (_taken(np.arange(0)), ()),
        "one_reach": (_taken(np.arange(1)), ("10|30",)),
        "lacks_a_reach": (_taken(np.flatnonzero(inputs.IDS != 30)), ("30",)),
        "reach_twice": (_taken(np.append(np.arange(N_IDS), 2)), ("30",)),
        "nothing": (lambda model: model.vars.clear(), ()),
    }
    for name, (change, words) in bad.items():
        for flavour in FLAVOURS:
            yield _array(name, flavour, change, refused(f"r{SUFFIX[flavour]}", *words))
    for flavour in FLAVOURS:
        file = f"r{SUFFIX[flavour]}"
        yield _array("by_name", flavour, several, same(RIGHT), "--variable", "a")
        yield _array(
            "by_another", flavour, several, same(Routed(inputs.routed(RUNOFF * 3))), "--variable", "b"
        )
        yield _array("by_no_name", flavour, several, refused(file, "runof"), "--variable", "runof")
        yield _array("by_time", flavour, several, refused(file, "time"), "--variable", "time")
        yield _array("by_ids", flavour, several, refused(file, "reach_id"), "--variable", "reach_id")
        yield _array("by_empty", flavour, several, refused(file), "--variable", "")


def _table(name: str, text: Callable[[], str | bytes], expect: Expect, file: str = "r.csv") -> Mutation:
    def prepare(folder: Path) -> None:
        inputs.write_basics(folder)
        data = text()
        (folder / file).write_bytes(data if isinstance(data, bytes) else data.encode())

    return Mutation(f"structure/table/{name}", prepare, route(file), expect)


def _tables() -> Iterator[Mutation]:
    shapes: dict[str, Callable[[Any], pd.DataFrame]] = {"wide": wide, "long": long}
    for shape, make in shapes.items():
        table = make(RUNOFF)

        def put(name: str, changed: pd.DataFrame, expect: Expect, shape: str = shape) -> Iterator[Mutation]:
            yield _table(f"{shape}/{name}", lambda: str(changed.to_csv(index=False)), expect)

            def parquet(folder: Path) -> None:
                inputs.write_basics(folder)
                changed.to_parquet(folder / "r.parquet", index=False)

            # Another way to store the same: as many names have to be named.
            words = tuple(word.replace("r.csv", "r.parquet") for word in expect.words)
            other = Expect(expect.answer, expect.refusal, words, expect.warning)
            yield Mutation(f"structure/parquet/{shape}/{name}", parquet, route("r.parquet"), other)

        yield from put("columns_turned", table[table.columns[::-1]], same(RIGHT))
        yield from put("rows_shuffled", table.sample(frac=1, random_state=2), same(RIGHT))
        yield from put("no_rows", table[:0], refused("r.csv"))
        yield from put("one_row", table[:1], refused("r.csv"))
        yield from put("no_time", table.drop(columns="time"), refused("r.csv", "time"))
        yield from put("time_alone", table[["time"]], refused("r.csv"))
        more = table.assign(**{"901": 1.0}) if shape == "wide" else table.assign(note="x")
        yield from put("one_more", more, same(RIGHT))
    table = wide(RUNOFF)
    yield from put("word_column", table.assign(note="x"), refused("r.csv", "note"), "wide")
    yield from put("lacks_30", table.drop(columns="30"), refused("r.csv", "30"), "wide")
    yield from put("unnamed", table.rename(columns={"30": "Unnamed: 3"}), refused("r.csv", "Unnamed"), "wide")
    table = long(RUNOFF)
    yield from put("no_ids", table.drop(columns="reach_id"), refused("r.csv", "reach_id"), "long")
    yield from put("no_values", table.drop(columns="runoff"), refused("r.csv", "runoff"), "long")
    yield from put("lacks_30", table[table["reach_id"] != 30], refused("r.csv", "30"), "long")
    lost = table[~((table["reach_id"] == 30) & (table["time"] == "2001-01-15"))]
    yield from put("lacks_a_row", lost, refused("r.csv", "30", "2001-01-15"), "long")
    yield from put("twice_a_row", pd.concat([table, table[100:101]]), refused("r.csv", "2001-01-13"), "long")
    named = table.assign(gauge=table["reach_id"].map(lambda i: f"g{i}"))
    yield from put("with_names", named, either(RIGHT, "r.csv"), "long")
    two = table.assign(gauge=[f"g{i % 7}" for i in range(len(table))])
    yield from put("names_on_two_reaches", two, either(RIGHT, "r.csv"), "long")


def _dialects() -> Iterator[Mutation]:
    text = str(wide(RUNOFF).to_csv(index=False))
    rows = text.splitlines()
    good: dict[str, str | bytes] = {
        "crlf": text.replace("\n", "\r\n"),
        "bom": b"\xef\xbb\xbf" + text.encode(),
        "no_last_newline": text.rstrip("\n"),
        "blank_lines": text.replace("\n", "\n\n"),
        "quoted": "\n".join(",".join(f'"{cell}"' for cell in row.split(",")) for row in rows) + "\n",
        "blanks_at_end": text + "\n\n\n",
    }
    for name, data in good.items():
        yield _table(f"dialect/{name}", lambda data=data: data, same(RIGHT))
    unsure: dict[str, str | bytes] = {
        "cr": text.replace("\n", "\r"),
        "spaces": text.replace(",", ", "),
        "trailing_comma": text.replace("\n", ",\n"),
        "row_comma": text.replace("\n2001", ",\n2001", 2),
        "comment": "# a comment\n" + text,
        "comment_at_end": text + "# the end\n",
        "index_column": str(wide(RUNOFF).to_csv()),
    }
    for name, data in unsure.items():
        yield _table(f"dialect/{name}", lambda data=data: data, either(RIGHT, "r.csv"))
    bad: dict[str, str | bytes] = {
        "semicolons": text.replace(",", ";"),
        "tabs": text.replace(",", "\t"),
        "decimal_commas": text.replace(",", ";").replace(".0", ",0"),
        "short_row": "\n".join([*rows[:9], rows[9].rpartition(",")[0], *rows[10:]]),
        "long_row": "\n".join([*rows[:9], rows[9] + ",5", *rows[10:]]),
        "header_twice": rows[0] + "\n" + text,
        "no_header": "\n".join(rows[1:]),
        "utf16": text.encode("utf-16"),
        "open_quote": text.replace("2001-01-15", '"2001-01-15'),
        "latin1": text.replace("time", "t\u00efme").encode("latin-1"),
        "html": "<html><body>Not found</body></html>",
        "json": '{"time": ["2001-01-01"]}',
        "only_newlines": "\n" * 50,
        "one_huge_line": "9" * 2_000_000,
        "many_columns": ",".join(str(i) for i in range(20000)) + "\n",
        "nul_in_a_cell": text.replace("2001-01-15", "2001-01\x0015"),
        "escape_in_header": text.replace("time,", "\x1b[31mtime,", 1),
        "newline_in_header": text.replace("time,", '"ti\nme",', 1),
        "flood_in_header": text.replace("time,", "x" * 30000 + ",", 1),
    }
    for name, data in bad.items():
        yield _table(f"dialect/{name}", lambda data=data: data, refused("r.csv"))
    yield _table("dialect/gz_by_name_alone", lambda: text, refused("r.csv.gz"), "r.csv.gz")
    import gzip

    yield _table("dialect/gz_inside", lambda: gzip.compress(text.encode()), either(RIGHT, "r.csv"))
    yield _table(
        "dialect/gz_twice",
        lambda: gzip.compress(gzip.compress(text.encode())),
        refused("r.csv.gz"),
        "r.csv.gz",
    )
    yield _table("dialect/parquet_is_csv", lambda: text, refused("r.parquet"), "r.parquet")
    yield _table("dialect/nc_is_csv", lambda: text, refused("r.nc"), "r.nc")


def _observation(
    name: str, table: pd.DataFrame, expect: Expect, file: str = "o.csv", **sections: Any
) -> Mutation:
    def prepare(folder: Path) -> None:
        write_estimate(folder, file, **sections)
        save(table, folder / file)

    return Mutation(f"structure/observations/{name}", prepare, ESTIMATE, expect, writes=("run",))


def _observations() -> Iterator[Mutation]:
    answer = Observed(OBSERVED)
    table = gauge_long(OBSERVED)
    for file in ("o.csv", "o.parquet"):
        kind = file[2:]

        def put(
            name: str, changed: pd.DataFrame, expect: Expect, file: str = file, kind: str = kind
        ) -> Mutation:
            return _observation(f"long/{kind}/{name}", changed, expect, file)

        yield put("columns_turned", table[table.columns[::-1]], same(answer))
        yield put("shuffled", table.sample(frac=1, random_state=4), same(answer))
        yield put("more", table.assign(flag="A", source=1), same(answer))
        unnamed = Observed(OBSERVED, gauges=tuple(str(i) for i in inputs.GAUGE_REACH))
        yield put("no_names", table.drop(columns="gauge"), same(unnamed))
        yield put("no_ids", table.drop(columns="reach_id"), refused(file, "reach_id"))
        yield put("no_values", table.drop(columns="discharge"), refused(file, "discharge"))
        yield put("no_time", table.drop(columns="time"), refused(file, "time"))
        yield put("unknown_reach", table.replace({"reach_id": {30: 31}}), refused(file, "31"))
        yield put(
            "two_reaches", table.assign(reach_id=table["reach_id"].where(table.index > 9, 80)), refused(file)
        )
        yield put("twice", pd.concat([table, table[:1]]), refused(file, "0A1", "2001-01-01"))
        holes = OBSERVED.copy()
        holes[5, 1] = np.nan
        yield put("a_row_less", table.drop(index=5 * 3 + 1), same(Observed(holes)))
        yield put("no_rows", table[:0], refused(file))
        yield put(
            "an_empty_gauge",
            table.assign(discharge=table["discharge"].where(table["gauge"] != "B2")),
            either(Observed(np.where([[False, True, False]], np.nan, OBSERVED)), file, "B2"),
        )
    flat = gauge_wide(OBSERVED)
    wide_answer = Observed(OBSERVED, gauges=tuple(str(i) for i in inputs.GAUGE_REACH))
    yield _observation("wide/columns_turned", flat[flat.columns[::-1]], same(wide_answer))
    yield _observation("wide/word_column", flat.assign(note="x"), refused("o.csv", "note"))
    yield _observation("wide/unknown_reach", flat.rename(columns={"30": "31"}), refused("o.csv", "31"))


def _gauges() -> Iterator[Mutation]:
    """What a long table and an array may say of each gauge: weight, error, position, area."""
    answer = Observed(OBSERVED)
    table = gauge_long(OBSERVED)
    of_na = table["gauge"] == "NA"

    def column(name: str, good: float, bad: Any) -> pd.DataFrame:
        values = (
            np.where(of_na, bad, good) if not isinstance(bad, str) else [bad if na else good for na in of_na]
        )
        return table.assign(**{name: values})

    cases: dict[str, tuple[str, float, Any, Expect]] = {
        "weight": ("weight", 1.0, 0.5, same(answer)),
        "weight_nan": ("weight", 1.0, np.nan, same(answer)),
        "weight_-9999": ("weight", 1.0, -9999.0, same(answer)),
        "weight_negative": ("weight", 1.0, -1.0, refused("o.", "NA", "weight")),
        "weight_inf": ("weight", 1.0, np.inf, refused("o.", "NA", "weight")),
        "weight_1e20": ("weight", 1.0, 1e20, either(answer, "o.", "NA", "weight")),
        "weight_all_0": ("weight", 0.0, 0.0, refused("o.", "weight")),
        "error": ("discharge_error", 1.0, 0.5, same(answer)),
        "error_nan": ("discharge_error", 1.0, np.nan, same(answer)),
        "error_0": ("discharge_error", 1.0, 0.0, refused("o.", "NA", "discharge_error")),
        "error_negative": ("discharge_error", 1.0, -2.0, refused("o.", "NA", "discharge_error")),
        "error_inf": ("discharge_error", 1.0, np.inf, refused("o.", "NA", "discharge_error")),
        "error_-9999": ("discharge_error", 1.0, -9999.0, same(answer)),
    }
    for name, (of, good, bad, expect) in cases.items():
        for file in ("o.csv", "o.parquet"):
            yield _observation(f"gauges/{file[2:]}/{name}", column(of, good, bad), expect, file)
    yield _observation(
        "gauges/csv/weight_text", column("weight", 1.0, "heavy"), refused("o.csv", "weight", "heavy")
    )
    two = table.assign(weight=np.where(table.index < 60, 1.0, 2.0))
    yield _observation("gauges/csv/weight_two", two, refused("o.csv", "weight"))
    places = {
        name: (inputs.LAT[inputs.position(int(reach))], inputs.LON[inputs.position(int(reach))])
        for name, reach in zip(inputs.GAUGES, inputs.GAUGE_REACH, strict=True)
    }
    located = table.assign(
        lat=[places[one][0] for one in table["gauge"]], lon=[places[one][1] for one in table["gauge"]]
    )
    yield _observation("gauges/csv/position_alone", located.drop(columns="reach_id"), same(answer))
    yield _observation("gauges/csv/position_and_id", located, same(answer))
    around = located.assign(lon=located["lon"] - 360)
    yield _observation(
        "gauges/csv/position_around", around.drop(columns="reach_id"), either(answer, "o.csv", "lon")
    )
    # 491 degrees east are 131
    elsewhere = warned(
        "NA dropped",
        Observed(OBSERVED[:, :2], gauges=inputs.GAUGES[:2], reach=tuple(inputs.GAUGE_REACH[:2].tolist())),
    )
    for column_name in ("lat", "lon"):
        for sign, by in (
            ("nan", np.nan),
            ("-9999", -9999.0),
            ("inf", np.inf),
            ("1e20", 1e20),
            ("400", 400.0 + 91),
        ):
            spoilt = located.drop(columns="reach_id")
            spoilt[column_name] = spoilt[column_name].where(~of_na, by)
            yield _observation(
                f"gauges/csv/{column_name}_{sign}",
                spoilt,
                elsewhere if (column_name, sign) == ("lon", "400") else refused("o.csv", "NA"),
            )
            kept = located.copy()
            kept[column_name] = kept[column_name].where(~of_na, by)
            yield _observation(f"gauges/csv/id_and_{column_name}_{sign}", kept, either(answer, "o.csv", "NA"))
    for sign, by in (("nan", np.nan), ("-9999", -9999.0), ("0", 0.0), ("negative", -5.0), ("inf", np.inf)):
        areas = located.assign(area_m2=np.where(of_na, by, [AREAS[one] for one in table["gauge"]]))
        yield _observation(f"gauges/csv/area_{sign}", areas, either(answer, "o.csv", "NA"))
