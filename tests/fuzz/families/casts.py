"""Types of numbers and ids: what holds the same numbers reads the same, what does not is refused, never rounded."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from tests.fuzz import arrays, inputs
from tests.fuzz.answers import Routed
from tests.fuzz.arrays import SUFFIX, Flavour, Model, Var
from tests.fuzz.readers import long, route, save, wide, write_case
from tests.fuzz.registry import Expect, Mutation, either, refused, same

RIGHT = Routed(inputs.routed(inputs.runoff()))
IDS = inputs.IDS
NOT_NC3: tuple[Flavour, ...] = ("nc", "zarr2", "zarr3")


def mutations() -> Iterator[Mutation]:
    """All of the family."""
    yield from _array_ids()
    yield from _array_values()
    yield from _large_ids()
    yield from _table_ids()
    yield from _table_values()
    yield from _network_columns()
    yield from _fill_value_of_zarr()


def _array(name: str, flavour: Flavour, change: Callable[[Model], object], expect: Expect) -> Mutation:
    return Mutation(
        f"casts/{name}/{flavour}",
        lambda folder: write_case(folder, arrays.runoff_model(), flavour, change),
        route(f"r{SUFFIX[flavour]}"),
        expect,
    )


def _with_ids(data: Any, **attrs: Any) -> Callable[[Model], object]:
    def change(model: Model) -> None:
        ids = np.asarray(data)
        if ids.dtype.kind == "O":
            ids = ids.astype("U").astype(object)
        model.vars["reach_id"] = Var(("reach",), ids, attrs)

    return change


def _replaced(by: Any, kind: Any = object) -> Any:
    """The ids with that of reach 30 replaced."""
    found = IDS.astype(kind)
    found[inputs.position(30)] = by
    return found


def _array_ids() -> Iterator[Mutation]:
    whole = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float32", "float64")
    for flavour in NOT_NC3:
        for kind in whole:
            yield _array(f"ids/{kind}", flavour, _with_ids(IDS.astype(kind)), same(RIGHT))
        texts = IDS.astype("U").astype(object)
        yield _array("ids/text", flavour, _with_ids(texts), same(RIGHT))
        wrong: dict[str, Any] = {
            "uint64_beyond": _replaced(np.uint64(2**63 + 30), np.uint64),
            "uint64_wraps": (IDS.astype(np.int64) - 2**40).astype(np.uint64),
            "fraction": _replaced(30.5, np.float64),
            "nan": _replaced(np.nan, np.float64),
            "inf": _replaced(np.inf, np.float64),
            "float_too_large": _replaced(2.0**53 + 2, np.float64),
            "float32_too_large": _replaced(2.0**24 + 2, np.float32),
            "text_1_1": _replaced("3_0"),
            "text_hex": _replaced("0x1e"),
            "text_empty": _replaced(""),
            "text_fraction": _replaced("30.5"),
            "text_nan": _replaced("nan"),
            "text_word": _replaced("thirty"),
            "twice": _replaced(10, np.int64),
            "another": _replaced(31, np.int64),
            "negative": _replaced(-30, np.int64),
        }
        for name, data in wrong.items():
            yield _array(f"ids/{name}", flavour, _with_ids(data), refused(f"r{SUFFIX[flavour]}"))
        for name, text in (
            ("padded", " 30 "),
            ("plus", "+30"),
            ("other_digits", "\u0663\u0660"),
            ("zeros", "0030"),
        ):
            yield _array(
                f"ids/text_{name}", flavour, _with_ids(_replaced(text)), either(RIGHT, f"r{SUFFIX[flavour]}")
            )
        days = _with_ids(IDS, units="days since 1970-01-01")
        yield _array("ids/as_dates", flavour, days, either(RIGHT, f"r{SUFFIX[flavour]}"))
        packed = _with_ids((IDS // 10).astype(np.int16), scale_factor=10.0)
        yield _array("ids/packed", flavour, packed, either(RIGHT, f"r{SUFFIX[flavour]}"))
        fill = Var(("reach",), IDS.astype(np.int32), {}, 30)
        yield _array(
            "ids/fill_is_an_id",
            flavour,
            lambda model, fill=fill: model.vars.update(reach_id=fill),
            either(RIGHT, f"r{SUFFIX[flavour]}"),
        )
    texts = IDS.astype("U").astype(object)
    yield _array("ids/characters", "nc3", _with_ids(texts), same(RIGHT))
    yield _array("ids/characters_of_a_word", "nc3", _with_ids(_replaced("3_0")), refused("r.nc"))
    yield _array("ids/bool", "nc3", _with_ids(IDS > 30), refused("r.nc"))
    for flavour in ("zarr2", "zarr3"):
        yield _array("ids/bool", flavour, _with_ids(IDS > 30), refused("r.zarr"))


def _with_values(data: Any, **attrs: Any) -> Callable[[Model], object]:
    def change(model: Model) -> None:
        model.vars["runoff"] = Var(("time", "reach"), data, {"units": "m3 s-1", **attrs})

    return change


def _array_values() -> Iterator[Mutation]:
    values = inputs.runoff()
    for flavour in NOT_NC3:
        for kind in ("float32", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"):
            yield _array(f"values/{kind}", flavour, _with_values(values.astype(kind)), same(RIGHT))
        texts = values.astype(int).astype("U").astype(object)
        yield _array("values/text", flavour, _with_values(texts), either(RIGHT, f"r{SUFFIX[flavour]}"))
        words = texts.copy()
        words[3, 2] = "Ice"
        yield _array("values/words", flavour, _with_values(words), refused(f"r{SUFFIX[flavour]}"))
        dates = _with_values(values, units="days since 2000-01-01")
        yield _array("values/dates", flavour, dates, refused(f"r{SUFFIX[flavour]}"))
        spans = _with_values(values, units="days")
        yield _array("values/durations", flavour, spans, refused(f"r{SUFFIX[flavour]}"))
        scaled = _with_values(values.astype(np.int16), scale_factor=np.float32(0.5))
        half = Routed(inputs.routed(values * 0.5))
        if flavour == "nc":
            yield _array("values/scaled", flavour, scaled, same(half))
        words_of_scale = _with_values(values.astype(np.int16), scale_factor="half")
        yield _array("values/scale_is_text", flavour, words_of_scale, refused(f"r{SUFFIX[flavour]}"))
        nan_scale = _with_values(values.astype(np.int16), add_offset=float("nan"))
        if flavour == "nc":
            yield _array("values/offset_is_nan", flavour, nan_scale, refused("r.nc"))
        zero = _with_values(values.astype(np.int16), scale_factor=0.0)
        yield _array("values/scale_is_0", flavour, zero, either(Routed(values * 0.0), f"r{SUFFIX[flavour]}"))
    for flavour in ("nc3", "zarr2", "zarr3"):
        # NetCDF-3 has no booleans: there they are bytes
        expect = (
            either(Routed(inputs.routed((values > 5) * 1.0)), "r.") if flavour == "nc3" else refused("r.zarr")
        )
        yield _array("values/bool", flavour, _with_values(values > 5), expect)
    # float64 has no such integers of its own: what is lost is in the 16th digit
    large = (values * 2.0**50).astype(np.int64) + 1
    for flavour in NOT_NC3:
        answer = Routed(inputs.routed(values * 2.0**50))
        yield _array(
            "values/int64_beyond_float", flavour, _with_values(large), either(answer, f"r{SUFFIX[flavour]}")
        )


BASE = 2**60


def _large_ids() -> Iterator[Mutation]:
    """Ids that float64 cannot tell apart."""
    ids = BASE + IDS.astype(np.int64)
    names = {int(i): int(i) + BASE for i in IDS}

    def basics(folder: Path) -> None:
        network = inputs.network_table()
        network["reach_id"] = ids
        network["downstream_id"] = [names.get(inputs.DOWNSTREAM[int(i)], -1) for i in IDS]
        save(network, folder / "n.csv")
        parameters = inputs.parameter_table()
        parameters["reach_id"] = ids
        save(parameters, folder / "p.csv")

    answer = Routed(inputs.routed(inputs.runoff()), ids=tuple(ids.tolist()))
    for flavour in NOT_NC3:

        def prepare(folder: Path, flavour: Flavour = flavour) -> None:
            basics(folder)
            arrays.write(arrays.runoff_model(ids=ids), folder / f"r{SUFFIX[flavour]}", flavour)

        yield Mutation(f"casts/large_ids/{flavour}", prepare, route(f"r{SUFFIX[flavour]}"), same(answer))

        def as_text(folder: Path, flavour: Flavour = flavour) -> None:
            basics(folder)
            texts = ids.astype("U").astype(object)
            arrays.write(arrays.runoff_model(ids=texts), folder / f"r{SUFFIX[flavour]}", flavour)

        yield Mutation(f"casts/large_ids_text/{flavour}", as_text, route(f"r{SUFFIX[flavour]}"), same(answer))

        def as_float(folder: Path, flavour: Flavour = flavour) -> None:
            basics(folder)
            floats = ids.astype(np.float64)
            arrays.write(arrays.runoff_model(ids=floats), folder / f"r{SUFFIX[flavour]}", flavour)

        yield Mutation(
            f"casts/large_ids_float/{flavour}",
            as_float,
            route(f"r{SUFFIX[flavour]}"),
            refused(f"r{SUFFIX[flavour]}"),
        )
    for file in ("r.csv", "r.parquet", "r.csv.gz"):
        for shape in (wide, long):

            def table(folder: Path, file: str = file, shape: Any = shape) -> None:
                basics(folder)
                save(shape(inputs.runoff(), ids), folder / file)

            yield Mutation(f"casts/large_ids/{file[2:]}_{shape.__name__}", table, route(file), same(answer))


def _table(name: str, write: Callable[[Path], object], file: str, expect: Expect) -> Mutation:
    def prepare(folder: Path) -> None:
        inputs.write_basics(folder)
        write(folder / file)

    return Mutation(f"casts/{name}", prepare, route(file), expect)


def _table_ids() -> Iterator[Mutation]:
    values = inputs.runoff()
    base = long(values)
    row = inputs.position(30)

    def with_id(by: Any, kind: Any = object) -> pd.DataFrame:
        table = base.copy()
        table["reach_id"] = table["reach_id"].astype(kind)
        table.loc[row, "reach_id"] = by
        return table

    for file in ("r.csv", "r.parquet"):
        kind = file[2:]
        for dtype in ("int16", "int32", "uint64", "float32", "float64"):
            table = base.astype({"reach_id": dtype})
            yield _table(f"table_ids/{kind}/{dtype}", lambda path, t=table: save(t, path), file, same(RIGHT))
        wrong: dict[str, Any] = {
            "fraction": with_id(30.5, float),
            "null": with_id(None, "Int64"),
            "nan": with_id(np.nan, float),
            "inf": with_id(np.inf, float),
            "beyond": with_id(2**63 + 30, np.uint64),
            "another": with_id(31, np.int64),
            "negative": with_id(-30, np.int64),
            "text_1_1": base.assign(reach_id=["3_0" if i == 30 else str(i) for i in base["reach_id"]]),
            "text_word": base.assign(reach_id=["x" if i == 30 else str(i) for i in base["reach_id"]]),
            "text_empty": base.assign(reach_id=["" if i == 30 else str(i) for i in base["reach_id"]]),
            "text_hex": base.assign(reach_id=["0x1e" if i == 30 else str(i) for i in base["reach_id"]]),
            "bool": base.assign(reach_id=base["reach_id"] == 30),
            "date": base.assign(
                reach_id=pd.to_datetime("2001-01-01") + pd.to_timedelta(base["reach_id"], "D")
            ),
        }
        for name, table in wrong.items():
            yield _table(f"table_ids/{kind}/{name}", lambda path, t=table: save(t, path), file, refused(file))
        texts = base.assign(reach_id=base["reach_id"].astype(str))
        yield _table(f"table_ids/{kind}/text", lambda path, t=texts: save(t, path), file, either(RIGHT, file))
    headers = {
        "beyond": (str(2**63 + 30), refused("r.csv")),
        "beyond_all": ("9" * 60, refused("r.csv")),
        "digits_5000": ("9" * 5000, refused("r.csv")),
        "underscore": ("3_0", refused("r.csv", "3_0")),
        "fraction": ("30.5", refused("r.csv", "30.5")),
        "negative": ("-30", refused("r.csv", "-30")),
        "twice": ("10", refused("r.csv", "10")),
        "twice_pandas": ("10.1", refused("r.csv", "10")),
        "other_digits": ("\u0663\u0660", either(RIGHT, "r.csv")),
        "superscript": ("\u00b3\u2070", refused("r.csv")),
        "padded": (" 30 ", either(RIGHT, "r.csv")),
        "zeros": ("0030", either(RIGHT, "r.csv")),
        "empty": ("", refused("r.csv")),
    }
    for name, (header, expect) in headers.items():
        text = wide(values).to_csv(index=False).replace(",30,", f",{header},", 1)
        yield _table(f"headers/{name}", lambda path, text=text: path.write_text(text), "r.csv", expect)


def _table_values() -> Iterator[Mutation]:
    values = inputs.runoff()
    table = wide(values)
    kinds: dict[str, tuple[pd.DataFrame, Expect]] = {
        "float32": (table.astype({str(i): "float32" for i in IDS}), same(RIGHT)),
        "int16": (table.astype({str(i): "int16" for i in IDS}), same(RIGHT)),
        "nullable": (table.astype({str(i): "Float64" for i in IDS}), same(RIGHT)),
        "nullable_int": (table.astype({str(i): "Int64" for i in IDS}), same(RIGHT)),
        "text": (table.astype({str(i): str for i in IDS}), either(RIGHT, "r.parquet")),
        "category": (table.astype({"30": "category"}), either(RIGHT, "r.parquet")),
        "bool": (table.assign(**{"30": table["30"] > 5}), refused("r.parquet", "30")),
        "date": (table.assign(**{"30": pd.to_datetime("2001-01-01")}), refused("r.parquet", "30")),
        "duration": (table.assign(**{"30": pd.to_timedelta(table["30"], "D")}), refused("r.parquet", "30")),
        "bytes": (table.assign(**{"30": [b"5"] * len(table)}), refused("r.parquet", "30")),
        "lists": (table.assign(**{"30": [[5.0]] * len(table)}), refused("r.parquet", "30")),
        "null": (table.assign(**{"30": None}), refused("r.parquet", "30")),
    }
    for name, (one, expect) in kinds.items():
        yield _table(f"table_values/{name}", lambda path, one=one: save(one, path), "r.parquet", expect)
    csv: dict[str, tuple[str, Expect]] = {
        "bool": ("True", refused("r.csv", "30")),
        "date": ("2001-01-01", refused("r.csv", "30")),
        "quoted": ('"5"', same(Routed(inputs.routed(np.where(IDS == 30, 5.0, values))))),
        "exponent": ("5e0", same(Routed(inputs.routed(np.where(IDS == 30, 5.0, values))))),
        "plus": ("+5", same(Routed(inputs.routed(np.where(IDS == 30, 5.0, values))))),
        "spaced": (" 5 ", same(Routed(inputs.routed(np.where(IDS == 30, 5.0, values))))),
        "thousands": ('"5,000"', refused("r.csv", "30")),
        "underscore": ("5_0", refused("r.csv", "30")),
        "hex": ("0x5", refused("r.csv", "30")),
        "complex": ("5+0j", refused("r.csv", "30")),
        "long": ("5." + "0" * 4000, same(Routed(inputs.routed(np.where(IDS == 30, 5.0, values))))),
        "endless_text": ("x" * 100000, refused("r.csv", "30")),
    }
    for name, (cell, expect) in csv.items():
        lines = []
        for at, row in enumerate(wide(values).to_csv(index=False).splitlines()):
            cells = row.split(",")
            cells[1 + inputs.position(30)] = "30" if at == 0 else cell
            lines.append(",".join(cells))
        text = "\n".join(lines) + "\n"
        yield _table(
            f"table_values/csv_{name}", lambda path, text=text: path.write_text(text), "r.csv", expect
        )


def _network_columns() -> Iterator[Mutation]:
    def prepare(change: Callable[[pd.DataFrame], pd.DataFrame], file: str) -> Callable[[Path], None]:
        def write(folder: Path) -> None:
            inputs.write_basics(folder)
            (folder / "n.csv").unlink()
            arrays.write(arrays.runoff_model(), folder / "r.nc", "nc")
            save(change(inputs.network_table()), folder / file)

        return write

    def at30(table: pd.DataFrame, column: str, by: Any, kind: Any = object) -> pd.DataFrame:
        table = table.astype({column: kind})
        table.loc[inputs.position(30), column] = by
        return table

    changes: dict[str, tuple[Callable[[pd.DataFrame], pd.DataFrame], Expect]] = {
        "ids_int32": (lambda t: t.astype({"reach_id": "int32", "downstream_id": "int16"}), same(RIGHT)),
        "ids_float": (lambda t: t.astype({"reach_id": float, "downstream_id": float}), same(RIGHT)),
        "ids_fraction": (lambda t: at30(t, "reach_id", 30.5, float), refused("n.", "reach_id")),
        "ids_beyond": (lambda t: at30(t, "reach_id", 2**63 + 30, np.uint64), refused("n.")),
        "ids_null": (lambda t: at30(t, "reach_id", None, "Int64"), refused("n.", "reach_id")),
        "ids_text": (
            lambda t: at30(t, "reach_id", "thirty").astype({"reach_id": str}),
            refused("n.", "reach_id"),
        ),
        "ids_1_1": (
            lambda t: at30(t, "reach_id", "3_0").astype({"reach_id": str}),
            refused("n.", "reach_id"),
        ),
        "ids_bool": (lambda t: t.assign(reach_id=t["reach_id"] > 30), refused("n.", "reach_id")),
        "ids_date": (lambda t: t.assign(reach_id=pd.to_datetime("2001-01-01")), refused("n.", "reach_id")),
        "down_null": (lambda t: at30(t, "downstream_id", None, "Int64"), refused("n.", "downstream_id")),
        "down_text": (
            lambda t: at30(t, "downstream_id", "50x").astype({"downstream_id": str}),
            refused("n."),
        ),
        "down_beyond": (lambda t: at30(t, "downstream_id", 1e19, float), refused("n.")),
        "length_text": (
            lambda t: at30(t, "length_m", "5 km").astype({"length_m": str}),
            refused("n.", "length_m"),
        ),
        "length_bool": (lambda t: t.assign(length_m=True), refused("n.", "length_m")),
        "length_int": (lambda t: t.astype({"length_m": "int32"}), same(RIGHT)),
        "length_date": (lambda t: t.assign(length_m=pd.to_datetime("2001-01-01")), refused("n.", "length_m")),
        "slope_text": (lambda t: at30(t, "slope", "steep").astype({"slope": str}), refused("n.", "slope")),
        "lat_text": (lambda t: at30(t, "lat", "45N").astype({"lat": str}), refused("n.", "lat")),
        "name_column": (lambda t: t.assign(name="river"), same(RIGHT)),
        "unknown_text": (lambda t: t.assign(note=["a"] * 7 + [""]), same(RIGHT)),
    }
    for name, (change, expect) in changes.items():
        for file in ("n.csv", "n.parquet", "n.csv.gz"):
            if file == "n.csv.gz" and not name.startswith("ids"):
                continue
            yield Mutation(
                f"casts/network/{file[2:]}/{name}",
                prepare(change, file),
                route("r.nc", file),
                expect,
            )
    for column in ("reach_id", "length_m", "downstream_id", "slope", "area_m2"):

        def twice(folder: Path, column: str = column) -> None:
            prepare(lambda table: table, "n.csv")(folder)
            table = inputs.network_table()
            again = pd.concat([table, table[[column]]], axis=1)
            (folder / "n.csv").write_text(again.to_csv(index=False))

        yield Mutation(f"casts/network/twice/{column}", twice, route("r.nc"), refused("n.csv", column))


def _fill_value_of_zarr() -> Iterator[Mutation]:
    """Zarr's fill_value is what an unwritten chunk reads as: a value like any other where it is written."""
    values = inputs.runoff() - 1.0
    answer = Routed(inputs.routed(values))
    for name in ("runoff", "time", "reach_id"):
        for flavour in ("zarr2", "zarr3"):

            def change(model: Model, name: str = name, flavour: str = flavour) -> None:
                model.vars["runoff"].data = values
                for one in ("time", "reach_id"):
                    model.vars[one].data = model.vars[one].data.astype(np.int64)
                if (
                    flavour == "zarr2"
                ):  # in format 3 the writer of `arrays` leaves zarr's own default, which is 0
                    model.vars[name].fill = 0

            yield _array(f"zarr_fill_0/{name}", flavour, change, same(answer))
