"""Forcings of a learned runoff model: missing values, units, axes, ids and shapes, through `apply`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from tests.fuzz import arrays, inputs, runs
from tests.fuzz.answers import Learned
from tests.fuzz.arrays import FLAVOURS, SUFFIX, Flavour, Model, Var
from tests.fuzz.registry import Expect, Mutation, either, refused, same

Change = Callable[[Model], object]
RAIN, WARMTH, LOSS = runs.FORCINGS


class Right:
    """The runoff of the valid case: known when it is asked for, as the run that it needs is made then."""

    def problem(self, folder: Path) -> str | None:
        """See `Answer`."""
        return Learned(runs.learned() / "right.nc").problem(folder)


RIGHT = Right()


def mutations() -> Iterator[Mutation]:
    """All of the family."""
    yield from _same()
    yield from _values()
    yield from _refused()


def _one(name: str, change: Change, expect: Expect, flavour: Flavour = "nc", *more: str) -> Mutation:
    file = f"f{SUFFIX[flavour]}"

    def prepare(folder: Path) -> None:
        runs.place(runs.learned(), folder)
        model = runs.forcing_model()
        change(model)
        arrays.write(model, folder / file, flavour)

    return Mutation(f"forcings/{name}", prepare, runs.apply(file, *more), expect, writes=("a.csv", "w.nc"))


def _var(name: str, **changes: Any) -> Change:
    def change(model: Model) -> None:
        for key, value in changes.items():
            setattr(model.vars[name], key, value)

    return change


def _data(name: str, make: Callable[[Any], Any], **attrs: Any) -> Change:
    def change(model: Model) -> None:
        model.vars[name].data = make(model.vars[name].data)
        model.vars[name].attrs.update(attrs)

    return change


def _put(name: str, value: Any) -> Change:
    def change(model: Model) -> None:
        data = model.vars[name].data.copy()
        data[inputs.MID_TIME, inputs.position(inputs.MID_REACH)] = value
        model.vars[name].data = data

    return change


def _take(order: Any) -> Change:
    def change(model: Model) -> None:
        for var in model.vars.values():
            if "reach" in var.dims:
                var.data = np.take(var.data, order, axis=var.dims.index("reach"))

    return change


def _turned(model: Model) -> None:
    for name in runs.FORCINGS:
        var = model.vars[name]
        var.dims, var.data = ("reach", "time"), var.data.T.copy()


def _renamed(model: Model) -> None:
    model.rename_dim("reach", "comid")
    model.rename("reach_id", "comid")


def _times(data: Any, units: str = "days since 2001-01-01", **attrs: Any) -> Change:
    return lambda model: model.vars.update(time=Var(("time",), np.asarray(data), {"units": units, **attrs}))


def _ended(model: Model) -> None:
    days = np.arange(inputs.DAYS, dtype=float)
    _times(days + 1, bounds="tb")(model)
    model.vars["tb"] = Var(("time", "nv"), np.stack([days, days + 1], axis=1))


def _packed(name: str) -> Change:
    def change(model: Model) -> None:
        var = model.vars[name]
        var.data = np.round(var.data * 4).astype(np.int16)
        var.attrs |= {"scale_factor": 0.25}

    return change


def _same() -> Iterator[Mutation]:
    days = np.arange(inputs.DAYS)
    cases: dict[str, Change] = {
        "as_it_is": lambda model: None,
        "turned": _turned,
        "reaches_mixed": _take(np.random.default_rng(1).permutation(len(inputs.IDS))),
        "renamed": _renamed,
        "ids_int32": lambda model: _var("reach_id", data=inputs.IDS.astype(np.int32))(model),
        "ids_float": lambda model: _var("reach_id", data=inputs.IDS.astype(np.float64))(model),
        "float32": _data(RAIN, lambda data: data.astype(np.float32)),
        "packed": _packed(LOSS),
        "kelvin": _data(WARMTH, lambda data: data + 273.15, units="K"),
        "fahrenheit": _data(WARMTH, lambda data: data * 1.8 + 32, units="degF"),
        "mm": _data(RAIN, lambda data: data, units="mm"),
        "m": _data(RAIN, lambda data: data / 1000, units="m"),
        "m_per_s": _data(RAIN, lambda data: data / 86400e3, units="m s-1"),
        "mass": _data(RAIN, lambda data: data / 86400, units="kg m-2 s-1"),
        "inch": _data(RAIN, lambda data: data / 25.4, units="in/d"),
        "mm_per_hour": _data(LOSS, lambda data: data / 24, units="mm h**-1"),
        "hours": _times(days * 24, "hours since 2001-01-01"),
        "seconds_int64": _times(days.astype(np.int64) * 86400 + 978307200, "seconds since 1970-01-01"),
        "noise_in_time": _times(days + 1e-6 * (-1.0) ** days),
        "stamped_at_the_end": _ended,
        "more_variables": lambda model: model.vars.update(x=Var(("time",), np.arange(inputs.DAYS) * 1.0)),
    }
    for name, change in cases.items():
        for flavour in FLAVOURS if name in ("as_it_is", "turned", "ids_float", "packed") else ("nc",):
            yield _one(f"same/{name}/{flavour}", change, same(RIGHT), flavour)  # type: ignore[arg-type]


SIGNS = {
    "nan": np.nan,
    "-9999": -9999.0,
    "-999.9": -999.9,
    "-99": -99.0,
    "1e20": 1e20,
    "fill": 9.969209968386869e36,
    "1e15": 1e15,
    "inf": np.inf,
    "-inf": -np.inf,
    "-2147483648": -2147483648.0,
}


def _values() -> Iterator[Mutation]:
    where = ("30", "2001-01-15")
    for name in runs.FORCINGS:
        for sign, value in SIGNS.items():
            yield _one(f"values/{name}/{sign}", _put(name, value), refused("f.nc", name, *where))
        for word in ("_FillValue", "missing_value"):

            def declared(model: Model, name: str = name, word: str = word) -> None:
                _put(name, 77.0)(model)
                if word == "_FillValue":
                    model.vars[name].fill = 77.0
                else:
                    model.vars[name].attrs[word] = 77.0

            for flavour in FLAVOURS:
                file = f"f{SUFFIX[flavour]}"
                yield _one(f"values/{name}/{word}/{flavour}", declared, refused(file, name, *where), flavour)

        def beyond(model: Model, name: str = name) -> None:
            _put(name, 77.0)(model)
            model.vars[name].attrs["valid_range"] = np.array([-50.0, 70.0])

        yield _one(f"values/{name}/valid_range", beyond, refused("f.nc", name, *where))
    yield _one(f"values/{RAIN}/negative", _put(RAIN, -5.0), refused("f.nc", RAIN, *where))
    yield _one(f"values/{WARMTH}/below_zero_kelvin", _put(WARMTH, -300.0), refused("f.nc", WARMTH, *where))


def _refused() -> Iterator[Mutation]:
    days = np.arange(inputs.DAYS, dtype=float)
    more_than_one = np.append(days[:-1], days[-2])
    twice = inputs.IDS.copy()
    twice[3] = 30
    cases: dict[str, tuple[Change, tuple[str, ...]]] = {
        "no_rain": (lambda model: model.vars.pop(RAIN), (RAIN,)),
        "no_unit": (_var(RAIN, attrs={}), (RAIN, "units")),
        "unknown_unit": (_data(RAIN, lambda data: data, units="furlong"), (RAIN, "furlong")),
        "no_ids": (lambda model: model.vars.pop("reach_id"), ("reach_id",)),
        "ids_twice": (lambda model: _var("reach_id", data=twice)(model), ("30",)),
        "lacks_30": (_take(np.flatnonzero(inputs.IDS != 30)), ("30",)),
        "ids_half": (lambda model: _var("reach_id", data=inputs.IDS + 0.5)(model), ("reach_id",)),
        "time_twice": (_times(more_than_one), ("time",)),
        "time_back": (_times(days[::-1].copy()), ("time",)),
        "time_gap": (_times(np.where(days > 9, days + 1, days)), ("time",)),
        "time_nan": (_times(np.where(days == 9, np.nan, days)), ("time",)),
        "no_time_unit": (_times(days, "days"), ("time", "days")),
        "noleap": (_times(days, calendar="noleap"), ("calendar", "noleap")),
        "360_day": (_times(days, calendar="360_day"), ("calendar", "360_day")),
        "months": (_times(days, "months since 2001-01-01"), ("time", "months")),
        "hourly": (_times(days, "hours since 2001-01-01"), ("f.nc", "1h")),
        "texts": (_data(RAIN, lambda data: data.astype("U").astype(object)), (RAIN,)),
        "truth": (_data(RAIN, lambda data: (data > 6).astype(np.int8), dtype="bool"), (RAIN,)),
        "one_dim": (_var(RAIN, dims=("reach",), data=np.ones(8)), (RAIN,)),
    }
    for name, (change, words) in cases.items():
        # texts of numbers may be read as the numbers that they are
        expect = either(RIGHT, "f.nc", *words) if name == "texts" else refused("f.nc", *words)
        yield _one(f"refused/{name}", change, expect)
