"""Values that are missing, under every sign, at every place, for every reader."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tests.fuzz import arrays, inputs
from tests.fuzz.answers import Observed, Routed
from tests.fuzz.arrays import Model, Var
from tests.fuzz.grid import grid_model
from tests.fuzz.inputs import MID_REACH, MID_TIME
from tests.fuzz.readers import (
    ESTIMATE,
    OBSERVATIONS,
    RUNOFF,
    RunoffReader,
    gauge_long,
    gauge_wide,
    long,
    route,
    wide,
    write_case,
    write_estimate,
)
from tests.fuzz.registry import Expect, Mutation, either, refused, same, warned

Float = NDArray[np.float64]

SIGNS = {
    "nan": np.nan,
    "-9999": -9999.0,
    "-999": -999.0,
    "-99.99": -99.99,
    "-999999": -999999.0,
    "-1": -1.0,
    "1e20": 1e20,
    "1e30": 1e30,
    "netcdf_fill": 9.969209968386869e36,
    "float_max": float(np.finfo(np.float32).max),
    "-1e34": -1e34,
    "inf": np.inf,
    "-inf": -np.inf,
}

Place = tuple[slice | int, slice | int]
PLACES: dict[str, Place] = {
    "first": (0, inputs.position(MID_REACH)),
    "mid": (MID_TIME, inputs.position(MID_REACH)),
    "last": (inputs.DAYS - 1, inputs.position(MID_REACH)),
    "reach": (slice(None), inputs.position(MID_REACH)),
    "step": (MID_TIME, slice(None)),
    "all": (slice(None), slice(None)),
}
DAY_OF = {"first": "2001-01-01", "mid": "2001-01-15", "last": "2001-02-09", "reach": "2001-01-01"}
DAY_OF |= {"step": "2001-01-15", "all": "2001-01-01"}


def put(sign: float, place: Place) -> Callable[[Float], Float]:
    """Puts a sign at a place of the numbers of a file."""

    def spoil(values: Float) -> Float:
        values = values.copy()
        values[place] = sign
        return values

    return spoil


def mutations() -> Iterator[Mutation]:
    """All of the family."""
    yield from _runoff()
    yield from _declared()
    yield from _texts()
    yield from _observations()
    yield from _observation_texts()


# -- runoff --------------------------------------------------------------------------------------------------


def _runoff() -> Iterator[Mutation]:
    for reader in RUNOFF.values():
        for name, sign in SIGNS.items():
            yield _one(reader, name, sign, "mid")
        for where in ("first", "last", "reach", "step", "all"):
            for name in ("nan", "-9999", "1e20"):
                yield _one(reader, name, SIGNS[name], where)


def _one(reader: RunoffReader, name: str, sign: float, where: str) -> Mutation:
    return Mutation(
        f"missing/runoff/{reader.name}/{name}/{where}",
        lambda folder: reader.write(folder, spoil=put(sign, PLACES[where])),
        reader.command,
        _expected(reader, name, where),
    )


def _expected(reader: RunoffReader, name: str, where: str) -> Expect:
    place = PLACES[where]
    if reader.name == "m3_riv" and name == "nan":  # there, and only there, it means 0
        return same(Routed(inputs.routed(put(0.0, place)(inputs.runoff()))))
    file = reader.file.rpartition("/")[2]
    # The first reach that is named is any where all of them are missing.
    reach = str(MID_REACH) if where not in ("step", "all") else file
    if (
        reader.name == "m3_riv" and name == "-1"
    ):  # m3 per step of a reach without an area: rounding (docs/missing.md)
        return same(Routed(inputs.routed(put(0.0, place)(inputs.runoff()))))
    if reader.name == "grid" and where in ("reach", "all"):
        return refused(file, reach)  # a box that never has a value has no first time
    return refused(file, reach, DAY_OF[where])


def _declared() -> Iterator[Mutation]:
    """Values that an attribute declares missing, or out of range."""
    mid = PLACES["mid"]
    normal: dict[str, tuple[float, dict[str, Any], Any]] = {
        "fill_value": (-1.0, {}, -1.0),
        "fill_value_5e5": (5e5, {}, 5e5),
        "missing_value": (5e5, {"missing_value": 5e5}, None),
        "missing_value_text": (5e5, {"missing_value": "500000"}, None),
        "missing_value_int": (5e5, {"missing_value": np.int32(500000)}, None),
        "missing_value_list": (5e5, {"missing_value": np.array([7e7, 5e5])}, None),
        "missing_and_fill": (5e5, {"missing_value": 5e5}, 6e5),
        "valid_range": (5e5, {"valid_range": np.array([0.0, 1e4])}, None),
        "valid_max": (5e5, {"valid_max": 1e4}, None),
        "valid_max_text": (5e5, {"valid_max": "10000"}, None),
        "valid_min": (0.25, {"valid_min": 0.5}, None),
    }
    for what, (value, attrs, fill) in normal.items():
        for flavour in ("nc", "nc3", "zarr2", "zarr3"):
            if flavour.startswith("zarr"):  # JSON has no types of numpy
                attrs = {key: _plain(one) for key, one in attrs.items()}

            def change(model: Model, value: float = value, attrs: Any = attrs, fill: Any = fill) -> None:
                var = model.vars["runoff"]
                var.data, var.fill = put(value, mid)(var.data), fill
                var.attrs |= attrs

            yield _array(f"declared/{flavour}/{what}", flavour, change, refused("r.", "30", "2001-01-15"))

        def change_grid(model: Model, value: float = value, attrs: Any = attrs, fill: Any = fill) -> None:
            var = model.vars["ro"]
            scale = 1e-6
            var.data = put(value * scale, (MID_TIME, slice(None)))(var.data.reshape(inputs.DAYS, -1)).reshape(
                var.data.shape
            )
            var.fill = None if fill is None else fill * scale
            var.attrs |= {key: _scaled(one, scale) for key, one in attrs.items()}

        if what not in ("missing_value_int", "valid_min"):
            yield Mutation(
                f"missing/declared/grid/{what}",
                lambda folder, change=change_grid: write_case(folder, grid_model(), "nc", change),
                route(),
                refused("r.nc", "2001-01-15"),
            )
    for flavour in ("nc", "nc3", "zarr2", "zarr3"):
        harmless: dict[str, dict[str, Any]] = {
            "valid_range_holds_all": {"valid_range": [0.0, 100.0]},
            "missing_value_of_none": {"missing_value": -9999.0},
            "valid_min_zero": {"valid_min": 0.0},
        }
        for what, attrs in harmless.items():

            def add(model: Model, attrs: Any = attrs) -> None:
                model.vars["runoff"].attrs |= attrs

            yield _array(
                f"declared/{flavour}/{what}", flavour, add, same(Routed(inputs.routed(inputs.runoff())))
            )
    yield from _packed()


def _plain(value: Any) -> Any:
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else value


def _scaled(value: Any, scale: float) -> Any:
    if isinstance(value, str):
        return f"{float(value) * scale:.12g}"
    return np.asarray(value) * scale


def _packed() -> Iterator[Mutation]:
    """Whole numbers with scale_factor and add_offset: what is declared is in packed numbers, as CF has it."""
    right = same(Routed(inputs.routed(inputs.runoff())))
    bad = refused("r.", "30", "2001-01-15")
    kinds: dict[str, tuple[int | None, dict[str, Any], Any, Expect]] = {
        "whole": (None, {}, None, right),
        "fill": (-32768, {}, np.int16(-32768), bad),
        "missing_value": (-32768, {"missing_value": np.int16(-32768)}, None, bad),
        "valid_range": (-5000, {"valid_range": np.array([-2000, 32767], dtype=np.int16)}, None, bad),
        "valid_min": (-5000, {"valid_min": np.int16(-2000)}, None, bad),
        "valid_max_holds": (None, {"valid_max": np.int16(32767)}, None, right),
    }
    for what, (value, attrs, fill, expect) in kinds.items():
        for flavour in ("nc", "nc3", "zarr2", "zarr3"):

            def change(
                model: Model,
                value: int | None = value,
                attrs: Any = attrs,
                fill: Any = fill,
                zarr: bool = flavour.startswith("zarr"),
            ) -> None:
                # numbers from 1 to 11, as (number - 20) / 0.01
                packed = np.round((inputs.runoff() - 20.0) / 0.01).astype(np.int16)
                if value is not None:
                    packed[PLACES["mid"]] = value
                extra = {key: _plain(one) for key, one in attrs.items()} if zarr else attrs
                model.vars["runoff"] = Var(
                    ("time", "reach"),
                    packed,
                    {"units": "m3 s-1", "scale_factor": 0.01, "add_offset": 20.0, **extra},
                    int(fill) if zarr and fill is not None else fill,
                )

            yield _array(f"packed/{flavour}/{what}", flavour, change, expect)


def _array(name: str, flavour: Any, change: Callable[[Model], object], expect: Expect) -> Mutation:
    return Mutation(
        f"missing/{name}",
        lambda folder: write_case(folder, arrays.runoff_model(), flavour, change),
        route(f"r{arrays.SUFFIX[flavour]}"),
        expect,
    )


TEXTS = (
    "",
    " ",
    "NA",
    "N/A",
    "nan",
    "NaN",
    "NULL",
    "null",
    "None",
    "--",
    "*",
    "missing",
    "#N/A",
    "-9999",
    "-9999.00",
    "-9.999e3",
    "1e20",
    "9.96921e+36",
    "inf",
    "-Infinity",
    "1e400",
    "Ice",
    "3,5",
    "1.2.3",
)


def cell(table: Any, row: int, column: str, text: str) -> str:
    """A table as CSV with another text in one cell."""
    spoilt = table.astype(object)
    spoilt.loc[row, column] = text
    return str(spoilt.to_csv(index=False))


def _texts() -> Iterator[Mutation]:
    """Texts in a cell of a CSV."""
    for text in TEXTS:
        for shape in ("wide", "long"):

            def prepare(folder: Path, text: str = text, shape: str = shape) -> None:
                inputs.write_basics(folder)
                if shape == "wide":
                    written = cell(wide(inputs.runoff()), MID_TIME, str(MID_REACH), text)
                else:
                    row = MID_TIME * len(inputs.IDS) + inputs.position(MID_REACH)
                    written = cell(long(inputs.runoff()), row, "runoff", text)
                (folder / "r.csv").write_text(written)

            # What is no number is named by its row, what is missing by its reach and time.
            words = ("r.csv",) if _is_a_text(text) else ("r.csv", "30", "2001-01-15")
            yield Mutation(
                f"missing/text/{shape}/{text or 'empty'}".replace("/A", "-A"),
                prepare,
                route("r.csv"),
                refused(*words),
            )


def _is_a_text(text: str) -> bool:
    return text in ("--", "*", "missing", "Ice", "3,5", "1.2.3", " ")


# -- observations --------------------------------------------------------------------------------------------

MID_GAUGE = 2  # that of reach 30


def _observations() -> Iterator[Mutation]:
    """Where there is no observation, the value of a file is NaN, whatever its sign."""
    place = (MID_TIME, MID_GAUGE)
    right = put(np.nan, place)(inputs.observed())
    for reader in OBSERVATIONS.values():
        answer = Observed(right, gauges=reader.gauges)
        for name, sign in SIGNS.items():
            if name in ("inf", "-inf"):
                expect = refused(reader.file, reader.gauges[MID_GAUGE])
            elif name in ("-1", "-99.99"):
                expect = warned("negative", answer)
            elif name in ("-9999", "-999", "-999999", "nan"):
                expect = same(answer)
            else:
                expect = either(answer, reader.file, reader.gauges[MID_GAUGE])
            yield Mutation(
                f"missing/observations/{reader.name}/{name}",
                lambda folder, reader=reader, sign=sign: reader.write(folder, spoil=put(sign, place)),
                ESTIMATE,
                expect,
                writes=("run",),
            )
        yield Mutation(
            f"missing/observations/{reader.name}/all_-9999",
            lambda folder, reader=reader: reader.write(folder, spoil=put(-9999.0, PLACES["all"])),
            ESTIMATE,
            refused(reader.file),
            writes=("run",),
        )
        yield Mutation(
            f"missing/observations/{reader.name}/first_step",
            lambda folder, reader=reader: reader.write(folder, spoil=put(np.nan, (0, slice(None)))),
            ESTIMATE,
            same(Observed(put(np.nan, (0, slice(None)))(inputs.observed()), gauges=reader.gauges)),
            writes=("run",),
        )


def _observation_texts() -> Iterator[Mutation]:
    right = put(np.nan, (MID_TIME, MID_GAUGE))(inputs.observed())
    for text in (
        "",
        "NA",
        "nan",
        "-9999",
        "-9999.0",
        "-999",
        "-999999.00",
        "--",
        "Ice",
        "Eqp",
        "***",
        "1e400",
        "-3.5",
    ):
        for shape in ("wide", "long"):

            def prepare(folder: Path, text: str = text, shape: str = shape) -> None:
                write_estimate(folder, "o.csv")
                if shape == "wide":
                    written = cell(gauge_wide(inputs.observed()), MID_TIME, str(MID_REACH), text)
                else:
                    written = cell(gauge_long(inputs.observed()), MID_TIME * 3 + MID_GAUGE, "discharge", text)
                (folder / "o.csv").write_text(written)

            names = inputs.GAUGES if shape == "long" else tuple(str(i) for i in inputs.GAUGE_REACH)
            answer = Observed(right, gauges=names)
            if text in ("--", "Ice", "Eqp", "***"):
                expect = refused("o.csv", text)
            elif text == "1e400":
                expect = either(answer, "o.csv")
            elif text == "-3.5":
                expect = warned("negative", answer)
            else:
                expect = same(answer)
            yield Mutation(
                f"missing/observation_text/{shape}/{text or 'empty'}",
                prepare,
                ESTIMATE,
                expect,
                writes=("run",),
            )
