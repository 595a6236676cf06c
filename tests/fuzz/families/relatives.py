"""Relatives of the other families: other readers, other edges, other surroundings of the same faults."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from tests.fuzz import arrays, inputs, runs
from tests.fuzz.answers import Observed, Routed, Whole
from tests.fuzz.arrays import SUFFIX, Flavour, Model, Var
from tests.fuzz.families.forcings import RIGHT as RIGHT_RUNOFF
from tests.fuzz.grid import grid_model
from tests.fuzz.readers import ESTIMATE, gauge_long, long, route, save, wide, write_case, write_estimate
from tests.fuzz.registry import Expect, Mutation, either, refused, same, value, warned

VALUES = inputs.runoff()
RIGHT = Routed(inputs.routed(VALUES))
DAYS = np.arange(inputs.DAYS)


def mutations() -> Iterator[Mutation]:
    """All of the family."""
    yield from _times()
    yield from _tables()
    yield from _surroundings()
    yield from _grids()
    yield from _networks()
    yield from _observations()
    yield from _forcings()
    yield from _edges()


def _array(name: str, change: Callable[[Model], object], expect: Expect, flavour: Flavour = "nc") -> Mutation:
    def prepare(folder: Path) -> None:
        write_case(folder, arrays.runoff_model(), flavour, change)

    return Mutation(f"relatives/{name}/{flavour}", prepare, route(f"r{SUFFIX[flavour]}"), expect)


def _time(data: Any, units: str, **attrs: Any) -> Callable[[Model], object]:
    return lambda model: model.vars.update(time=Var(("time",), np.asarray(data), {"units": units, **attrs}))


def _routed_from(first: str) -> Routed:
    return Routed(inputs.routed(VALUES), inputs.times(first=first))


def _times() -> Iterator[Mutation]:
    weeks: tuple[Flavour, ...] = ("nc", "nc3", "zarr2", "zarr3")
    for flavour in weeks:
        yield _array("time/weeks", _time(DAYS / 7, "weeks since 2001-01-01"), same(RIGHT), flavour)
        yield _array("time/week", _time(DAYS / 7, "Week since 2001-01-01"), same(RIGHT), flavour)
    for unit in ("months", "month", "years", "year", "common_years", "decades", "moments"):
        yield _array(f"time/{unit}", _time(DAYS, f"{unit} since 2001-01-01"), refused("r.nc", "time", unit))
    micro = (DAYS.astype(np.int64) * 86_400_000_000, "microseconds since 2001-01-01")
    yield _array("time/microseconds", _time(*micro), same(RIGHT))
    beyond = DAYS.astype(np.int64) * 86400 + 2_208_988_800  # 2040: beyond what 4 bytes hold
    yield _array(
        "time/beyond_2038", _time(beyond, "seconds since 1970-01-01"), value(_routed_from("2040-01-01"))
    )
    wrapped = (beyond[:20].tolist() + (beyond[20:] - 2**32).tolist(), "seconds since 1970-01-01")
    yield _array("time/wrapped_half_way", _time(*wrapped), refused("r.nc", "time"))
    leap = _time(DAYS + 40, "days since 2004-01-01", calendar="standard")
    yield _array("time/over_a_leap_day", leap, value(_routed_from("2004-02-10")))
    no_leap = _time(DAYS + 40, "days since 2004-01-01", calendar="365_day")
    yield _array("time/a_leap_day_in_noleap", no_leap, warned("365_day", Whole()))
    since = _time(DAYS - 366, "days since 2001-12-31", calendar="standard")
    yield _array("time/before_its_reference", since, value(_routed_from("2000-12-30")))
    yield _array(
        "time/first_twice", _time(np.maximum(DAYS, 1), "days since 2001-01-01"), refused("r.nc", "time")
    )
    last = np.where(DAYS[-1] == DAYS, DAYS[-2], DAYS)
    yield _array("time/last_twice", _time(last, "days since 2001-01-01"), refused("r.nc", "time"))
    late = np.where(DAYS[-1] == DAYS, DAYS[-1] + 1, DAYS)
    yield _array("time/last_late", _time(late, "days since 2001-01-01"), refused("r.nc", "time"))
    first = np.where(DAYS == 0, -1, DAYS)
    yield _array("time/first_early", _time(first, "days since 2001-01-01"), refused("r.nc", "time"))
    yield _array("time/big_endian", _time(DAYS.astype(">i4"), "days since 2001-01-01"), same(RIGHT), "zarr2")


def _file(name: str, data: bytes | str, expect: Expect, file: str = "r.csv") -> Mutation:
    def prepare(folder: Path) -> None:
        inputs.write_basics(folder)
        (folder / file).write_bytes(data if isinstance(data, bytes) else data.encode())

    return Mutation(f"relatives/{name}", prepare, route(file), expect)


def _text(table: pd.DataFrame) -> str:
    return str(table.to_csv(index=False))


def _stamped(texts: Any) -> str:
    return _text(wide(VALUES).assign(time=list(texts)))


def _tables() -> Iterator[Mutation]:
    stamps = pd.to_datetime(inputs.times())
    local = stamps.tz_localize("America/New_York")
    text = _text(wide(VALUES))
    yield _file(
        "table/local_midnights_over_dst",
        _stamped(
            (stamps + pd.Timedelta(days=59)).tz_localize("Europe/Berlin").map(lambda one: one.isoformat())
        ),
        refused("r.csv", "time"),
    )
    yield _file(
        "table/local_midnights",
        _stamped(local.map(lambda one: one.isoformat())),
        value(Routed(inputs.routed(VALUES), inputs.times() + np.timedelta64(5, "h"))),
    )
    mixed = [f"{one:%Y-%m-%d}" if at % 2 else f"{one:%Y-%m-%dT%H:%M}Z" for at, one in enumerate(stamps)]
    yield _file("table/some_with_a_zone", _stamped(mixed), same(RIGHT))
    yield _file(
        "table/fractions_of_a_second", _stamped(f"{one:%Y-%m-%dT%H:%M:%S}.000" for one in stamps), same(RIGHT)
    )
    yield _file("table/day_first", _stamped(f"{one:%d/%m/%Y}" for one in stamps), refused("r.csv", "time"))
    yield _file(
        "table/two_digit_years", _stamped(f"{one:%y-%m-%d}" for one in stamps), refused("r.csv", "time")
    )
    yield _file(
        "table/day_of_the_year", _stamped(f"{one:%Y-%j}" for one in stamps), either(RIGHT, "r.csv", "time")
    )
    yield _file(
        "table/week_dates", _stamped(f"{one:%G-W%V-%u}" for one in stamps), either(RIGHT, "r.csv", "time")
    )
    yield _file("table/pipes", text.replace(",", "|"), refused("r.csv"))
    rows = text.splitlines()
    yield _file(
        "table/mixed_separators",
        "\n".join([rows[0], *(one.replace(",", ";") for one in rows[1:])]),
        refused("r.csv"),
    )
    yield _file(
        "table/decimal_commas_in_quotes", text.replace(".0", ',0"').replace(",", ',"', 0), refused("r.csv")
    )
    yield _file("table/utf16_without_mark", text.encode("utf-16-le"), refused("r.csv"))
    yield _file("table/utf32", text.encode("utf-32"), refused("r.csv"))
    yield _file(
        "table/nul_in_a_number", text.replace("\n2001-01-15,", "\n2001-01-15,\0"), either(RIGHT, "r.csv")
    )
    yield _file("table/nul_within_a_number", text.replace("11.0", "1\x001.0"), refused("r.csv"))
    yield _file("table/zip", b"PK\x03\x04" + bytes(300), refused("r.csv", "zip"))
    yield _file("table/semicolon_bom", "\ufeff" + text.replace(",", ";"), refused("r.csv"))
    yield _file(
        "table/header_of_blanks",
        text.replace("time,", " time ,", 1).replace(",30,", ", 30 ,", 1),
        same(RIGHT),
    )
    yield _file("table/id_of_float", text.replace(",30,", ",30.0,", 1), either(RIGHT, "r.csv", "30.0"))
    yield _file("table/percent", text.replace("11.0", "11%"), refused("r.csv", "11%"))
    yield _file("table/unit_in_a_cell", text.replace("11.0", "11 m3/s"), refused("r.csv", "11 m3/s"))
    for word in ("-", "--", "---", ".", "?", "*", "x", "Ice", "-999.25", "-8888"):
        spoilt = text.replace("\n2001-01-15,", f"\n2001-01-15,{word}@").split("@")
        yield _file(
            f"table/missing_as_{word}", spoilt[0] + "," + spoilt[1].partition(",")[2], refused("r.csv")
        )
    table = long(VALUES)
    for kind in ("int8", "uint64", "float64", "str"):
        ids = table["reach_id"].astype(kind)

        def parquet(folder: Path, ids: Any = ids) -> None:
            inputs.write_basics(folder)
            save(table.assign(reach_id=ids), folder / "r.parquet")

        yield Mutation(f"relatives/parquet/ids_{kind}", parquet, route("r.parquet"), same(RIGHT))
    spaced = table.assign(reach_id=" " + table["reach_id"].astype(str) + " ")

    def spaces(folder: Path) -> None:
        inputs.write_basics(folder)
        save(spaced, folder / "r.parquet")

    yield Mutation("relatives/parquet/ids_with_spaces", spaces, route("r.parquet"), same(RIGHT))


def _surroundings() -> Iterator[Mutation]:
    """Time zones, languages and terminals of the process change nothing."""
    text = _text(wide(VALUES))
    cases = {
        "tz_kolkata": {"TZ": "Asia/Kolkata"},
        "tz_new_york": {"TZ": "America/New_York"},
        "tz_nonsense": {"TZ": "Nowhere/At_All"},
        "turkish": {"LANG": "tr_TR.UTF-8", "LC_ALL": "tr_TR.UTF-8"},
        "c_locale": {"LANG": "C", "LC_ALL": "C", "PYTHONUTF8": "0"},
        "no_terminal": {"TERM": "", "COLUMNS": "1", "LINES": "0"},
        "odd_terminal": {"TERM": "nonsense", "COLUMNS": "-5", "NO_COLOR": "1"},
        "no_home": {"HOME": "/nonexistent", "XDG_CACHE_HOME": "/nonexistent/cache"},
    }
    for name, environment in cases.items():
        for file in ("r.csv", "r.nc"):
            if file == "r.nc" and not name.startswith("tz"):
                continue

            def prepare(folder: Path, file: str = file) -> None:
                inputs.write_basics(folder)
                if file == "r.csv":
                    (folder / file).write_text(text)
                else:
                    arrays.write(arrays.runoff_model(), folder / file, "nc")

            yield Mutation(
                f"relatives/surroundings/{name}/{file[2:]}",
                prepare,
                route(file),
                same(RIGHT),
                where="process",
                environment=environment,
            )


def _grid(name: str, change: Callable[[Model], object], expect: Expect) -> Mutation:
    def prepare(folder: Path) -> None:
        write_case(folder, grid_model(), "nc", change)

    return Mutation(f"relatives/grid/{name}", prepare, route(), expect)


def _poles(north: bool) -> Callable[[Path], None]:
    """All reaches about a pole, in the last row of a globe of boxes of 10 degrees, each with 1 m/s over its area."""

    def prepare(folder: Path) -> None:
        inputs.write_basics(folder)
        sign = 1.0 if north else -1.0
        table = inputs.network_table().assign(
            lat=sign * np.array([89.9, 90.0, 88.0, 86.0, 85.5, 87.0, 89.0, 90.0]),
            lon=np.array([0.0, 0.0, 120.0, -179.9, 359.0, 45.0, 180.0, 77.0]),
        )
        table.to_csv(folder / "n.csv", index=False)
        lat, lon = np.arange(-85.0, 90.0, 10.0), np.arange(5.0, 360.0, 10.0)
        data = np.zeros((inputs.DAYS, lat.size, lon.size))
        data[:, -1 if north else 0] = 1e-6
        model = grid_model()
        model.vars["latitude"].data, model.vars["longitude"].data, model.vars["ro"].data = lat, lon, data
        arrays.write(model, folder / "r.nc", "nc")

    return prepare


def _grids() -> Iterator[Mutation]:
    even = np.tile(inputs.AREA_M2 * 1e-6, (inputs.DAYS, 1))
    for name, north in (("north", True), ("south", False)):
        yield Mutation(
            f"relatives/grid/pole_{name}",
            _poles(north),
            route(),
            value(Routed(inputs.routed(even), tolerance=1e-4)),
        )

    def one_box(model: Model) -> None:
        model.vars["latitude"] = Var(("latitude",), np.array([46.0]), {"units": "degrees_north"})
        model.vars["longitude"] = Var(("longitude",), np.array([8.0]), {"units": "degrees_east"})
        model.vars["ro"].data = np.full((inputs.DAYS, 1, 1), 1e-6)

    yield _grid("one_box", one_box, refused("r.nc"))

    def dated(model: Model) -> None:
        model.vars["time"] = Var(("time",), DAYS / 7, {"units": "weeks since 2001-01-01"})

    yield _grid("weeks", dated, same(RIGHT))

    def halves(model: Model) -> None:
        model.vars["latitude"].attrs["units"] = "degrees_south"

    yield _grid("degrees_south", halves, refused("r.nc", "degrees_south"))

    def west(model: Model) -> None:
        model.vars["longitude"].attrs["units"] = "degrees_west"

    yield _grid("degrees_west", west, refused("r.nc", "degrees_west"))


def _network(name: str, change: Callable[[pd.DataFrame], pd.DataFrame], expect: Expect) -> Mutation:
    def prepare(folder: Path) -> None:
        inputs.write_basics(folder)
        arrays.write(arrays.runoff_model(), folder / "r.nc", "nc")
        change(inputs.network_table()).to_csv(folder / "n.csv", index=False)

    return Mutation(f"relatives/network/{name}", prepare, route(), expect)


def _networks() -> Iterator[Mutation]:
    def ids(make: Callable[[Any], Any]) -> Callable[[pd.DataFrame], pd.DataFrame]:
        return lambda table: table.assign(
            reach_id=[make(one) for one in table["reach_id"]],
            downstream_id=[make(one) for one in table["downstream_id"]],
        )

    yield _network("ids_with_spaces", ids(lambda one: f"  {one} "), same(RIGHT))
    yield _network("ids_as_floats", ids(float), same(RIGHT))
    yield _network("ids_exponent", ids(lambda one: f"{one:e}"), either(RIGHT, "n.csv", "reach_id"))
    yield _network(
        "all_lengths_0", lambda table: table.assign(length_m=0.0), either(RIGHT, "n.csv", "length")
    )
    yield _network("minus_zero", lambda table: table.assign(length_m=-0.0), either(RIGHT, "n.csv", "length"))
    yield _network("km", lambda table: table.assign(length_m="5 km"), refused("n.csv", "length_m", "5 km"))
    yield _network(
        "lake_of_length_0",
        lambda table: table.assign(
            is_lake=table["reach_id"] == 50, length_m=np.where(table["reach_id"] == 50, 0.0, 5000.0)
        ),
        either(RIGHT, "n.csv"),
    )


def _observations() -> Iterator[Mutation]:
    observed = inputs.observed()
    right = Observed(observed)

    def arr(name: str, change: Callable[[Model], object], expect: Expect) -> Mutation:
        def prepare(folder: Path) -> None:
            write_estimate(folder, "o.nc")
            model = arrays.observation_model()
            change(model)
            arrays.write(model, folder / "o.nc", "nc")

        return Mutation(f"relatives/observations/{name}", prepare, ESTIMATE, expect, writes=("run",))

    def tab(name: str, table: pd.DataFrame, expect: Expect) -> Mutation:
        def prepare(folder: Path) -> None:
            write_estimate(folder, "o.csv")
            save(table, folder / "o.csv")

        return Mutation(f"relatives/observations/{name}", prepare, ESTIMATE, expect, writes=("run",))

    yield arr("weeks", _time(DAYS / 7, "weeks since 2001-01-01"), same(right))
    yield arr("months", _time(DAYS, "months since 2001-01-01"), refused("o.nc", "time", "months"))
    yield arr("360_day", _time(DAYS, "days since 2001-01-01", calendar="360_day"), refused("o.nc", "360_day"))

    def one_gauge(model: Model) -> None:
        for name in ("gauge", "reach_id", "discharge"):
            model.vars[name].data = model.vars[name].data[..., :1]

    first = Observed(observed[:, :1], gauges=inputs.GAUGES[:1], reach=(int(inputs.GAUGE_REACH[0]),))
    yield arr("one_gauge", one_gauge, same(first))

    def ends(model: Model) -> None:
        data = model.vars["discharge"].data.copy()
        data[0, 0], data[-1, 1] = -9999.0, 1e20
        model.vars["discharge"].data = data

    spoilt = observed.copy()
    spoilt[0, 0] = spoilt[-1, 1] = np.nan
    yield arr("missing_first_and_last", ends, same(Observed(spoilt)))

    def negative(model: Model) -> None:
        data = model.vars["discharge"].data.copy()
        data[3, 0] = -999.25
        model.vars["discharge"].data = data

    none = observed.copy()
    none[3, 0] = np.nan
    yield arr("-999.25", negative, warned("-999.25", Observed(none)))
    table = gauge_long(observed)
    for word in ("-", "---", "Ice", "Eqp", "***", "e"):
        cells = table["discharge"].astype(object).copy()
        cells[4] = word
        yield tab(f"text_{word}", table.assign(discharge=cells), refused("o.csv", "discharge", word))
    yield tab("names_with_spaces", table.assign(gauge=" " + table["gauge"] + " "), same(right))
    quarter = table.assign(time=pd.to_datetime(table["time"]) + pd.Timedelta(minutes=15))
    yield tab("a_quarter_late", quarter, refused("o.csv"))


def _forcings() -> Iterator[Mutation]:
    where = ("30", "2001-01-15")

    def one(name: str, of: str, number: float, expect: Expect) -> Mutation:
        def prepare(folder: Path) -> None:
            runs.place(runs.learned(), folder)
            model = runs.forcing_model()
            data = model.vars[of].data.copy()
            data[inputs.MID_TIME, inputs.position(inputs.MID_REACH)] = number
            model.vars[of].data = data
            arrays.write(model, folder / "f.nc", "nc")

        return Mutation(f"relatives/forcings/{name}", prepare, runs.apply(), expect, writes=("a.csv", "w.nc"))

    loss, rain, warmth = "potential_evapotranspiration", "precipitation", "temperature"
    for number in (-999.25, -8888.0, -32768.0, -6999.0):
        yield one(f"loss_{number:g}", loss, number, refused("f.nc", loss, *where))
        yield one(f"rain_{number:g}", rain, number, refused("f.nc", rain, *where))
    for number in (9999.0, 32767.0, 65535.0, 99999.0):
        yield one(f"rain_{number:g}", rain, number, refused("f.nc", rain, *where))
        yield one(f"loss_{number:g}", loss, number, refused("f.nc", loss, *where))
        yield one(f"warmth_{number:g}", warmth, number, refused("f.nc", warmth, *where))

    def weeks(folder: Path) -> None:
        runs.place(runs.learned(), folder)
        model = runs.forcing_model()
        _time(DAYS / 7, "weeks since 2001-01-01")(model)
        arrays.write(model, folder / "f.nc", "nc")

    yield Mutation(
        "relatives/forcings/weeks", weeks, runs.apply(), same(RIGHT_RUNOFF), writes=("a.csv", "w.nc")
    )


def _edges() -> Iterator[Mutation]:
    """One value at the first or last step, and at the first or last reach, of values that mean none."""
    for place, (t, i) in {"first": (0, 0), "last": (inputs.DAYS - 1, len(inputs.IDS) - 1)}.items():
        for sign in (np.nan, -9999.0, 1e20, np.inf, -5.0):

            def put(model: Model, t: int = t, i: int = i, sign: float = sign) -> None:
                data = model.vars["runoff"].data.astype(float).copy()
                data[t, i] = sign
                model.vars["runoff"].data = data

            for flavour in ("nc", "zarr3"):
                yield _array(f"edges/{place}/{sign:g}", put, refused("r.", str(inputs.IDS[i])), flavour)  # type: ignore[arg-type]
