"""Time axes: spellings that mean the same, stamps at another place of the step, and axes that are none."""

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
    RAPID_RUNOFF,
    gauge_long,
    gauge_wide,
    long,
    m3_riv_model,
    route,
    save,
    wide,
    write_case,
    write_estimate,
    write_rapid,
)
from tests.fuzz.registry import Expect, Mutation, either, refused, same, value

RIGHT = Routed(inputs.routed(inputs.runoff()))
DAYS = inputs.DAYS
N = np.arange(DAYS, dtype=np.float64)
FLAVOURS: tuple[Flavour, ...] = ("nc", "zarr2", "zarr3")
ODD = [0, 3, 7, 8, 12, 13, 17, 19, 22, 26, 30, 33, 37]


def mutations() -> Iterator[Mutation]:
    """All of the family."""
    yield from _spellings()
    yield from _faults()
    yield from _stamps()
    yield from _accumulated()
    yield from _tables()
    yield from _observations()
    yield from _rapid()


def _array(name: str, flavour: Flavour, change: Callable[[Model], object], expect: Expect) -> Mutation:
    return Mutation(
        f"axis/{name}/{flavour}",
        lambda folder: write_case(folder, arrays.runoff_model(), flavour, change),
        route(f"r{SUFFIX[flavour]}"),
        expect,
    )


def _time(
    data: Any, units: str | None = "days since 2001-01-01", calendar: str | None = "standard", **more: Any
) -> Any:
    attrs = {
        key: one for key, one in {"units": units, "calendar": calendar, **more}.items() if one is not None
    }

    def change(model: Model) -> None:
        model.vars["time"] = Var(("time",), np.asarray(data), attrs)

    return change


def _texts(form: str) -> Any:
    return np.array([pd.Timestamp(one).strftime(form) for one in inputs.times()], dtype=object)


def _spellings() -> Iterator[Mutation]:
    said: dict[str, Any] = {
        "hours": _time(N * 24, "hours since 2001-01-01"),
        "minutes": _time(N * 1440, "minutes since 2001-01-01 00:00"),
        "seconds": _time(N * 86400, "seconds since 2001-01-01T00:00:00Z"),
        "milliseconds": _time((N * 86400e3).astype(np.int64), "milliseconds since 2001-01-01"),
        "since_1970": _time(N + 11323, "days since 1970-01-01"),
        "since_1900": _time(N * 24 + 885360, "hours since 1900-01-01 00:00:0.0"),
        "since_year_1": _time(N + 730485, "days since 1-1-1 00:00:00", "proleptic_gregorian"),
        "with_zone": _time(N * 24 + 1, "hours since 2001-01-01 00:00 +01:00"),
        "short_units": _time(N, "d since 2001-01-01"),
        "no_calendar": _time(N, calendar=None),
        "gregorian": _time(N, calendar="gregorian"),
        "proleptic": _time(N, calendar="proleptic_gregorian"),
        "capitals": _time(N, calendar="Standard"),
        "int32": _time(N.astype(np.int32)),
        "int64": _time(N.astype(np.int64)),
        "float32": _time(N.astype(np.float32)),
        "uint16": _time(N.astype(np.uint16)),
        "scaled": _time((N * 2).astype(np.int32), scale_factor=0.5),
        "iso_texts": _time(_texts("%Y-%m-%d"), None, None),
        "iso_texts_long": _time(_texts("%Y-%m-%dT%H:%M:%SZ"), None, None),
        "rounded_days": _time(np.round(N + 1e-8 * np.sin(N), 9)),
        "rounded_13_us": _time(N * 86400 + 13e-6 * (N % 3 - 1), "seconds since 2001-01-01"),
        "rounded_1_ms": _time(N * 86400 + 1e-3 * (N % 2), "seconds since 2001-01-01"),
        "rounded_10_s": _time(N * 86400 + 10 * np.sin(N), "seconds since 2001-01-01"),
        "float32_since_1900": _time((N + 36890).astype(np.float32), "days since 1900-01-01"),
        "standard_name": _time(N, standard_name="time", axis="T", long_name="time"),
    }
    for name, change in said.items():
        for flavour in FLAVOURS:
            yield _array(f"said/{name}", flavour, change, same(RIGHT))
    for name in ("Time", "valid_time", "date", "datetime"):

        def rename(model: Model, name: str = name) -> None:
            model.rename("time", name)
            model.rename_dim("time", name)

        yield _array(f"said/named_{name}", "nc", rename, same(RIGHT))
    yield _array(
        "said/named_t",
        "nc",
        lambda m: (m.rename("time", "t"), m.rename_dim("time", "t")),
        either(RIGHT, "r.nc"),
    )


def _without(at: int) -> Callable[[Model], object]:
    def change(model: Model) -> None:
        for name in ("time", "runoff"):
            model.vars[name].data = np.delete(model.vars[name].data, at, axis=0)

    return change


def _faults() -> Iterator[Mutation]:
    moved = N.copy()
    moved[20] += 0.5
    again = N.copy()
    again[20] = again[19]
    back = N.copy()
    back[[20, 21]] = back[[21, 20]]
    nan = N.copy()
    nan[20] = np.nan
    nan_first = np.where(N == 0, np.nan, N)
    inf = np.where(N == 20, np.inf, N)
    late = N * 86400 + np.where(N == 20, 100, 0)
    faults: dict[str, tuple[Any, tuple[str, ...]]] = {
        "gap": (_without(20), ("2001-01-20", "2 d")),
        "gap_first": (_without(1), ("2001-01-0",)),
        "moved": (_time(moved), ("2001-01-2",)),
        "late_100_s": (_time(late, "seconds since 2001-01-01"), ("2001-01-2",)),
        "twice": (_time(again), ("2001-01-20",)),
        "back": (_time(back), ("2001-01-2",)),
        "falling": (_time(N[::-1].copy()), ("2001-0",)),
        "nan": (_time(nan), ("20",)),
        "nan_first": (_time(nan_first), ("0",)),
        "inf": (_time(inf), ()),
        "constant": (_time(N * 0), ("2001-01-01",)),
        "monthly_steps": (_time(np.cumsum(28 + N % 4) - 28), ()),
        "no_units": (_time(N, None), ("units|2001|since",)),
        "units_without_since": (_time(N, "days"), ("units|since",)),
        "units_nonsense": (_time(N, "days since yesterday"), ("yesterday",)),
        "units_months": (_time(N, "months since 2001-01-01"), ("months",)),
        "units_fortnights": (_time(N, "fortnights since 2001-01-01"), ("fortnights",)),
        "units_number": (_time(N, 5), ("units|5",)),  # type: ignore[arg-type]
        "units_year_0": (_time(N, "days since 0000-00-00"), ()),
        "units_13th_month": (_time(N, "days since 2001-13-01"), ()),
        "units_flood": (_time(N, "days since " + "x" * 5000), ()),
        "calendar_nonsense": (_time(N, calendar="mayan"), ("mayan",)),
        "calendar_number": (_time(N, calendar=5), ("5",)),  # type: ignore[arg-type]
        "year_3000": (_time(N, "days since 3000-01-01"), ("3000|1678",)),
        "year_1500": (_time(N, "days since 1500-01-01"), ("1500|1678",)),
        "huge": (_time(N * 1e300), ()),
        "huge_int": (_time((N * 2**55).astype(np.int64), "days since 2001-01-01"), ()),
        "bool_like": (_time((N > 20).astype(np.int8)), ()),
        "texts_us": (_time(_texts("%m/%d/%Y"), None, None), ("01/01/2001",)),
        "texts_words": (_time(_texts("%d %B %Y"), None, None), ("January",)),
        "texts_numbers": (_time(N.astype(int).astype("U").astype(object), None, None), ()),
        "two_dims": (lambda m: m.vars.update(time=Var(("time", "reach"), np.tile(N[:, None], 8))), ()),
        "absent": (lambda m: m.vars.pop("time"), ("time",)),
    }
    for name, (change, words) in faults.items():
        for flavour in FLAVOURS:
            if flavour != "nc" and name in ("inf", "calendar_number", "units_number", "bool_like"):
                continue
            yield _array(f"fault/{name}", flavour, change, refused(f"r{SUFFIX[flavour]}", *words))

    for name in (
        "noleap",
        "365_day",
        "julian",
    ):  # whose January and February are those of the standard calendar
        for flavour in FLAVOURS:
            yield _array(f"calendar/{name}", flavour, _time(N, calendar=name), same(RIGHT))

    def first_only(count: int) -> Callable[[Model], object]:
        def change(model: Model) -> None:
            for name in ("time", "runoff"):
                model.vars[name].data = model.vars[name].data[:count]

        return change

    yield _array("fault/one_time", "nc", first_only(1), refused("r.nc", "step"))
    yield _array("fault/no_time", "nc", first_only(0), refused("r.nc"))
    yield _array("fault/no_time", "zarr3", first_only(0), refused("r.zarr"))


def _bounds(lower: Any, upper: Any) -> Callable[[Model], None]:
    def change(model: Model) -> None:
        model.vars["time"].attrs["bounds"] = "time_bnds"
        model.vars["time_bnds"] = Var(("time", "nv"), np.stack([lower, upper], axis=1))

    return change


def _stamps() -> Iterator[Mutation]:
    """Where in its step a stamp lies: bounds say it; what contradicts itself is refused."""
    for flavour in FLAVOURS:

        def end(model: Model) -> None:
            model.vars["time"].data = N + 1
            _bounds(N, N + 1)(model)

        def middle(model: Model) -> None:
            model.vars["time"].data = N + 0.5
            _bounds(N, N + 1)(model)

        def backward(model: Model) -> None:
            _bounds(N - 1, N)(model)

        def apart(model: Model) -> None:
            _bounds(N + 3, N + 4)(model)

        def wide_bounds(model: Model) -> None:
            _bounds(N, N + 2)(model)

        def reversed_bounds(model: Model) -> None:
            _bounds(N + 1, N)(model)

        def nan_bounds(model: Model) -> None:
            _bounds(np.where(N == 5, np.nan, N), N + 1)(model)

        def lost(model: Model) -> None:
            model.vars["time"].attrs["bounds"] = "time_bnds"

        earlier = Routed(inputs.routed(inputs.runoff()), time=inputs.times(first="2000-12-31"))
        file = f"r{SUFFIX[flavour]}"
        yield _array("bounds/start", flavour, _bounds(N, N + 1), same(RIGHT))
        yield _array("bounds/end", flavour, end, either(RIGHT, file, "bounds|bnds"))
        yield _array("bounds/middle", flavour, middle, either(RIGHT, file, "bounds|bnds"))
        yield _array("bounds/before", flavour, backward, either(earlier, file, "bounds|bnds"))
        yield _array("bounds/elsewhere", flavour, apart, either(_moved("2001-01-04"), file, "bounds|bnds"))
        yield _array("bounds/overlapping", flavour, wide_bounds, refused(file, "bounds|bnds"))
        yield _array("bounds/reversed", flavour, reversed_bounds, either(RIGHT, file, "bounds|bnds"))
        yield _array("bounds/nan", flavour, nan_bounds, either(RIGHT, file, "bounds|bnds"))
        yield _array("bounds/not_there", flavour, lost, either(RIGHT, file, "bounds|bnds"))
    noon = Routed(inputs.routed(inputs.runoff()), time=inputs.times(first="2001-01-01T12"))
    yield _array("stamps/noon", "nc", _time(N + 0.5), either(noon, "r.nc"))

    def methods(text: str) -> Callable[[Model], object]:
        return lambda model: model.vars["runoff"].attrs.update(cell_methods=text)

    yield _array("cell_methods/mean", "nc", methods("time: mean"), same(RIGHT))
    yield _array("cell_methods/mean_area", "nc", methods("area: mean time: mean"), same(RIGHT))
    yield _array(
        "cell_methods/maximum", "nc", methods("time: maximum"), either(RIGHT, "r.nc", "cell_methods|maximum")
    )

    def summed(model: Model) -> None:
        methods("time: sum")(model)

    yield _array("cell_methods/sum_of_a_rate", "nc", summed, either(RIGHT, "r.nc", "cell_methods|sum"))


def _moved(first: str) -> Routed:
    return Routed(inputs.routed(inputs.runoff()), time=inputs.times(first=first))


HOURS = 48
STARTS = np.arange(float(HOURS))


def _hourly() -> Any:
    """(time, reach) amounts of whole mm per hour: a thousandth of each is written in m."""
    t, i = np.arange(HOURS)[:, None], np.arange(8)[None, :]
    return (1.0 + (5 * i + 3 * t) % 4) * 1e-3


def _accumulated() -> Iterator[Mutation]:
    """Amounts summed up since a reset of the day: what they are has to be said, or they are refused."""
    amounts = _hourly()
    rates = amounts * inputs.AREA_M2 / 3600.0
    total = np.cumsum(amounts, axis=0)
    day = amounts.copy().reshape(2, 24, 8).cumsum(axis=1).reshape(HOURS, 8)
    half = amounts.copy().reshape(4, 12, 8).cumsum(axis=1).reshape(HOURS, 8)

    def model(data: Any, stamps: Any = STARTS, **attrs: Any) -> Callable[[Model], None]:
        def change(one: Model) -> None:
            one.vars["time"] = Var(
                ("time",),
                stamps,
                {"units": "hours since 2001-01-01", "calendar": "standard"},
            )
            one.vars["runoff"] = Var(("time", "reach"), data, {"units": "m", **attrs})

        return change

    time = inputs.times(HOURS, step=3600.0)
    # routed at 1 h with delays of a day
    right = Routed(_routed_hourly(rates), time=time)

    def mutation(name: str, flavour: Flavour, change: Callable[[Model], object], expect: Expect) -> Mutation:
        command = [*route(f"r{SUFFIX[flavour]}")]
        command[command.index("--routing-step") + 1] = "1h"
        return Mutation(
            f"axis/accumulated/{name}/{flavour}",
            lambda folder: write_case(folder, arrays.runoff_model(), flavour, change),
            tuple(command),
            expect,
        )

    accum = {"GRIB_stepType": "accum"}
    # GRIB stamps an hourly mean or sum at its end (docs/times.md)
    earlier = Routed(right.values, time=inputs.times(HOURS, first="2000-12-31T23:00", step=3600.0))
    for flavour in FLAVOURS:
        file = f"r{SUFFIX[flavour]}"
        ends = {"stamps": np.arange(1.0, HOURS + 1)}
        yield mutation("day_at_ends", flavour, model(day, **ends), either(right, file, "accumul"))
        yield mutation(
            "day_at_ends_by_grib", flavour, model(day, **ends, **accum), either(right, file, "accumul")
        )
        yield mutation("none", flavour, model(amounts), same(right))
        yield mutation("day", flavour, model(day), either(right, file, "accumul"))
        yield mutation("12h", flavour, model(half), either(right, file, "accumul"))
        yield mutation("run", flavour, model(total), either(right, file, "accumul"))
        yield mutation("day_by_grib", flavour, model(day, **accum), either(earlier, file, "accumul"))
        yield mutation("none_by_grib_avg", flavour, model(amounts, GRIB_stepType="avg"), same(earlier))


def _routed_hourly(rates: Any) -> Any:
    out = np.zeros_like(rates)
    inflow = {int(i): rates[:, inputs.position(int(i))].copy() for i in inputs.IDS}
    for i in (10, 20, 40, 60, 80, 30, 50, 70):  # upstream first
        q = inflow[i]
        if i in inputs.DELAYED:
            q = np.concatenate([np.zeros(24), q[:-24]])
        out[:, inputs.position(i)] = q
        if inputs.DOWNSTREAM[i] > 0:
            inflow[inputs.DOWNSTREAM[i]] = inflow[inputs.DOWNSTREAM[i]] + q
    return out


def _stamped(table: pd.DataFrame, change: Callable[[Any], Any]) -> pd.DataFrame:
    return table.assign(time=change(table["time"]))


def _tables() -> Iterator[Mutation]:
    values = inputs.runoff()
    for shape in (wide, long):
        table = shape(values)
        kinds: dict[str, tuple[pd.DataFrame, str, Expect]] = {}

        def put(
            name: str, changed: pd.DataFrame, expect: Expect, file: str = "r.csv", kinds: Any = kinds
        ) -> None:
            kinds[name] = (changed, file, expect)

        dates = pd.to_datetime(table["time"])
        for name, form in {
            "seconds": "%Y-%m-%d %H:%M:%S",
            "iso": "%Y-%m-%dT%H:%M:%SZ",
            "compact": "%Y%m%d",
        }.items():
            expect = same(RIGHT) if name != "compact" else either(RIGHT, "r.csv")
            put(name, table.assign(time=dates.dt.strftime(form)), expect)
        put("zone", table.assign(time=dates.dt.strftime("%Y-%m-%dT01:00:00+01:00")), same(RIGHT))
        put("shuffled", table.sample(frac=1, random_state=3), same(RIGHT))
        put("falling", table[::-1], same(RIGHT))
        put(
            "rounded",
            table.assign(time=(dates + pd.to_timedelta(13, "us")).dt.strftime("%Y-%m-%dT%H:%M:%S.%f")),
            either(RIGHT, "r.csv"),
        )
        for unit in ("ns", "us", "ms", "s"):
            put(
                f"parquet_{unit}",
                table.assign(time=dates.astype(f"datetime64[{unit}]")),
                same(RIGHT),
                "r.parquet",
            )
        put("parquet_utc", table.assign(time=dates.dt.tz_localize("UTC")), same(RIGHT), "r.parquet")
        put(
            "parquet_zone",
            table.assign(time=dates.dt.tz_localize("UTC").dt.tz_convert("Asia/Tokyo")),
            same(RIGHT),
            "r.parquet",
        )
        put("parquet_text", table, same(RIGHT), "r.parquet")
        put("parquet_date", table.assign(time=dates.dt.date), either(RIGHT, "r.parquet"), "r.parquet")
        put("parquet_numbers", table.assign(time=np.arange(len(table))), refused("r.parquet"), "r.parquet")
        put(
            "parquet_null",
            table.assign(time=dates.where(dates.dt.day != 3)),
            refused("r.parquet"),
            "r.parquet",
        )
        for name, form in {"us": "%m/%d/%Y", "german": "%d.%m.%Y", "words": "%d %b %Y"}.items():
            put(name, table.assign(time=dates.dt.strftime(form)), refused("r.csv"))
        first = table["time"].iloc[0]
        for name, text in {
            "empty": "",
            "nan": "nan",
            "13th_month": "2001-13-01",
            "31_june": "2001-06-31",
            "hour_25": "2001-01-05 25:00",
            "year_9999": "9999-01-05",
            "year_1500": "1500-01-05",
            "number": "12345678901234567890",
            "flood": "x" * 50000,
        }.items():
            spoilt = table["time"].where(table["time"] != "2001-01-05", text)
            put(name, table.assign(time=spoilt), refused("r.csv"))
        for name, text in {
            "late_1_s": "2001-01-05 00:00:01",
            "late_1_ns": "2001-01-05 00:00:00.000000001",
        }.items():
            spoilt = table["time"].where(table["time"] != "2001-01-05", text)
            expect = (
                refused("r.csv", "2001-01-05") if name == "late_1_s" else either(RIGHT, "r.csv", "2001-01-05")
            )
            put(name, table.assign(time=spoilt), expect)
        hour = table["time"].where(table["time"] != "2001-01-05", "2001-01-05 01:00")
        put("late_1_h", table.assign(time=hour), refused("r.csv", "2001-01-05"))
        year = table["time"].where(table["time"] != "2001-01-05", "1701-01-05")
        put("three_centuries_early", table.assign(time=year), refused("r.csv"))
        put("gap", table[table["time"] != "2001-01-20"], refused("r.csv", "2001-01-20"))
        twice = pd.concat([table, table[table["time"] == "2001-01-20"]])
        put("twice", twice, refused("r.csv", "2001-01-20"))
        put("one_time", table[table["time"] == first], refused("r.csv"))
        put("Time", table.rename(columns={"time": "Time"}), either(RIGHT, "r.csv", "time"))
        put("no_time", table.drop(columns="time"), refused("r.csv", "time"))
        for name, (changed, file, expect) in kinds.items():

            def prepare(folder: Path, changed: pd.DataFrame = changed, file: str = file) -> None:
                inputs.write_basics(folder)
                save(changed, folder / file)

            yield Mutation(f"axis/table/{shape.__name__}/{name}", prepare, route(file), expect, limit=10.0)


def _observations() -> Iterator[Mutation]:
    right = inputs.observed()
    names = {"long": inputs.GAUGES, "wide": tuple(str(i) for i in inputs.GAUGE_REACH)}

    def mutation(name: str, shape: str, table: pd.DataFrame, expect: Expect, file: str = "o.csv") -> Mutation:
        def prepare(folder: Path) -> None:
            write_estimate(folder, file)
            save(table, folder / file)

        return Mutation(
            f"axis/observations/{shape}/{name}", prepare, ESTIMATE, expect, writes=("run",), limit=20.0
        )

    for shape, make in (("long", gauge_long), ("wide", gauge_wide)):
        table = make(right)
        dates = pd.to_datetime(table["time"])
        day = (dates - dates.iloc[0]).dt.days
        for name, chosen in (("every_third", N % 3 == 0), ("odd_days", np.isin(N, ODD))):
            rows = np.where(chosen[:, None], right, np.nan)
            last = int(np.flatnonzero(chosen)[-1]) + 1
            both = _Any(
                (Observed(rows[:last], inputs.times(last), names[shape]), Observed(rows, gauges=names[shape]))
            )
            yield mutation(name, shape, table[chosen[day]], value(both))
        yield mutation(
            "every_other", shape, table[day % 2 == 0], value(_Any(_every_other(right, names[shape])))
        )
        yield mutation(
            "shuffled",
            shape,
            table.sample(frac=1, random_state=1),
            same(Observed(right, gauges=names[shape])),
        )
        late = table["time"].where(table["time"] != "2001-01-05", "2001-01-05 00:00:01")
        yield mutation("late_1_s", shape, table.assign(time=late), refused("o.csv", "2001-01-05"))
        hour = table["time"].where(table["time"] != "2001-01-05", "2001-01-05 01:00")
        yield mutation("late_1_h", shape, table.assign(time=hour), refused("o.csv", "2001-01-05"))
        hours = dates.dt.strftime("%Y-%m-%d 07:00")
        yield mutation("at_7_h", shape, table.assign(time=hours), refused("o.csv|o.csv has|time axes"))
        twice = pd.concat([table, table[day == 4]])
        yield mutation("twice", shape, twice, refused("o.csv", "2001-01-05"))
        longer = pd.concat([table, table.assign(time=(dates + pd.Timedelta("60D")).dt.strftime("%Y-%m-%d"))])
        yield mutation(
            "longer_than_runoff", shape, longer, same(_Any((Observed(right, gauges=names[shape]),)))
        )
        apart = table.assign(time=(dates + pd.Timedelta("4000D")).dt.strftime("%Y-%m-%d"))
        yield mutation("another_decade", shape, apart, refused("overlap"))
        far = table["time"].where(table["time"] != "2001-02-09", "2201-02-09")
        left = right.copy()
        left[-1] = np.nan
        ends = (
            Observed(left, gauges=names[shape]),
            Observed(left[:-1], inputs.times(DAYS - 1), names[shape]),
        )
        yield mutation("one_two_centuries_late", shape, table.assign(time=far), either(_Any(ends), "o.csv"))


def _every_other(right: Any, names: tuple[str, ...]) -> tuple[Observed, ...]:
    holes = np.where((N % 2 == 0)[:, None], right, np.nan)
    return Observed(holes, gauges=names), Observed(holes[: DAYS - 1], inputs.times(DAYS - 1), names)


class _Any:
    """One of several answers."""

    def __init__(self, answers: tuple[Observed, ...]) -> None:
        self.answers = answers

    def problem(self, folder: Path) -> str | None:
        """See `Answer`."""
        found = [answer.problem(folder) for answer in self.answers]
        return None if None in found else found[0]


def _rapid() -> Iterator[Mutation]:
    """m3_riv: the name of the file tells times only where the file does not."""
    right = same(RIGHT)

    def mutation(
        name: str, change: Callable[[Model], object], expect: Expect, file: str = RAPID_RUNOFF
    ) -> Mutation:
        def prepare(folder: Path) -> None:
            inputs.write_basics(folder)
            write_rapid(folder)
            model = m3_riv_model(inputs.runoff() * inputs.DAY)
            change(model)
            arrays.write(model, folder / file, "nc")

        return Mutation(f"axis/m3_riv/{name}", prepare, route(file, "rapid"), expect)

    fill = np.full(DAYS, 9.969209968386869e36)
    yield mutation("times", lambda model: None, right)
    yield mutation("no_times", lambda model: model.vars.pop("time"), right)
    yield mutation("empty_times", _time(fill, None, None), right)
    yield mutation("no_units_of_times", _time(N, None, None), either(RIGHT, "m3_riv"))
    gone = np.delete(N, 20)

    def gap(model: Model) -> None:
        _time(np.append(gone, 40.0))(model)

    yield mutation("gap", gap, refused("m3_riv", "2001-01-2"))
    yield mutation("twice", _time(np.where(N == 20, 19, N)), refused("m3_riv", "2001-01-20"))
    yield mutation("noleap", _time(N, calendar="noleap"), right)
    yield mutation("another_step", _time(N * 3, "hours since 2001-01-01"), refused("3 h|10800"))
    yield mutation("another_first", _time(N, "days since 2005-01-01"), either(_moved("2005-01-01"), "m3_riv"))
    yield mutation("nan", _time(np.where(N == 20, np.nan, N)), refused("m3_riv"))
    plain = "rapid/m3_riv.nc"
    yield mutation(
        "no_times_no_name", lambda model: model.vars.pop("time"), refused("m3_riv.nc", "time"), plain
    )
    bad = "rapid/m3_riv_24hr_20011301.nc"
    yield mutation("no_times_bad_name", lambda model: model.vars.pop("time"), refused("m3_riv_24hr"), bad)
    zero = "rapid/m3_riv_0hr_20010101.nc"
    yield mutation("no_times_0hr", lambda model: model.vars.pop("time"), refused("m3_riv_0hr"), zero)
    yield mutation("no_ids", lambda model: model.vars.pop("rivid"), right)
    yield mutation("no_units", lambda model: model.vars["m3_riv"].attrs.pop("units"), right)

    def fewer(model: Model) -> None:
        model.vars.pop("rivid")
        model.vars["m3_riv"].data = model.vars["m3_riv"].data[:, :-1]

    yield mutation("no_ids_fewer", fewer, refused("m3_riv", "7", "8"))
