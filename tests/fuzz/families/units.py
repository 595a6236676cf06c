"""Units: every spelling of the same one gives the same answer, and one that is missing or wrong is refused."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tests.fuzz import arrays, inputs
from tests.fuzz.answers import Observed, Routed
from tests.fuzz.arrays import SUFFIX, Flavour, Model
from tests.fuzz.grid import grid_model
from tests.fuzz.readers import (
    ESTIMATE,
    gauge_long,
    long,
    m3_riv_model,
    route,
    save,
    write_case,
    write_estimate,
    write_rapid,
)
from tests.fuzz.registry import Expect, Mutation, either, refused, same, value

RUNOFF = inputs.runoff()
RIGHT = Routed(inputs.routed(RUNOFF))
OBSERVED = Observed(inputs.observed())
FLAVOURS: tuple[Flavour, ...] = ("nc", "zarr2", "zarr3")
FEET = 0.3048**3
DAY = inputs.DAY

DISCHARGE = {
    "m3 s-1": 1.0, "m3/s": 1.0, "m^3/s": 1.0, "m**3 s**-1": 1.0, "m3 sec-1": 1.0, "m\u00b3/s": 1.0,
    "m\u00b3 s\u207b\u00b9": 1.0, "cms": 1.0, "cumecs": 1.0, "m3.s-1": 1.0, "ft3 s-1": FEET, "ft3/s": FEET,
    "ft^3/s": FEET, "cfs": FEET, "l/s": 1e-3, "L s-1": 1e-3, "km3 day-1": 1e9 / DAY, "m3 per day": 1.0 / DAY,
    "m3 h-1": 1.0 / 3600.0,
}  # fmt: skip
"""Units of discharge, and m3/s in one."""
VOLUME = {"m3": 1.0 / DAY, "m^3": 1.0 / DAY, "km3": 1e9 / DAY, "l": 1e-3 / DAY}
DEPTH = {
    "mm/day": 1e-3 / DAY, "mm d-1": 1e-3 / DAY, "mm day^-1": 1e-3 / DAY, "m s-1": 1.0, "m/s": 1.0,
    "mm/h": 1e-3 / 3600.0,
    "kg m-2 s-1": 1e-3, "kg/m2/s": 1e-3, "kg m**-2 s**-1": 1e-3, "mm": 1e-3 / DAY, "m": 1.0 / DAY, "cm": 1e-2 / DAY,
    "kg m-2": 1e-3 / DAY, "kg m**-2": 1e-3 / DAY, "m of water equivalent": 1.0 / DAY, "in/day": 0.0254 / DAY,
}  # fmt: skip
"""Units of depth, and m/s in one."""
WRONG = (
    "", " ", "m3", "mm", "1", "-", "K", "furlong/fortnight", "m3 s-1 s-1", "m3 s", "m3//s", "m3 s-1/", "/s", "m-3 s",
    "m3 s-99999999999999999999", "m3 s-1" * 1000, "\u0000", "m3 s-1\n", "days", "unknown", "m3 s-1 (mean)", "x" * 4000,
)  # fmt: skip


def mutations() -> Iterator[Mutation]:
    """All of the family."""
    yield from _runoff()
    yield from _grids()
    yield from _rapid()
    yield from _observations()
    yield from _headers()
    yield from _parameters()


def _name(unit: str) -> str:
    shown = unit.encode("unicode_escape").decode().replace("/", "|")
    return f"'{shown[:24]}'{len(unit) if len(shown) > 24 else ''}"


def _with(unit: Any, factor: Any, variable: str = "runoff") -> Callable[[Model], None]:
    def change(model: Model) -> None:
        model.vars[variable].data = model.vars[variable].data / factor
        if unit is None:
            del model.vars[variable].attrs["units"]
        else:
            model.vars[variable].attrs["units"] = unit

    return change


def _array(name: str, flavour: Flavour, change: Callable[[Model], object], expect: Expect) -> Mutation:
    return Mutation(
        f"units/{name}/{flavour}",
        lambda folder: write_case(folder, arrays.runoff_model(), flavour, change),
        route(f"r{SUFFIX[flavour]}"),
        expect,
    )


def _runoff() -> Iterator[Mutation]:
    for at, (unit, factor) in enumerate((DISCHARGE | VOLUME).items()):
        yield _array(f"runoff/{_name(unit)}", FLAVOURS[at % 3], _with(unit, factor), same(RIGHT))
    for at, (unit, factor) in enumerate(DEPTH.items()):
        yield _array(
            f"depth/{_name(unit)}", FLAVOURS[at % 3], _with(unit, factor * inputs.AREA_M2), same(RIGHT)
        )
    for unit in WRONG:
        if unit in ("m3", "mm"):
            continue
        flavour: Flavour = "zarr3" if unit == "\u0000" else "nc"
        expect = refused("r.", "runoff")
        if unit == "m3 s-1\n":
            expect = either(RIGHT, "r.nc")
        yield _array(f"wrong/{_name(unit)}", flavour, _with(unit, 1.0), expect)
    for flavour in FLAVOURS:
        file = f"r{SUFFIX[flavour]}"
        yield _array("missing", flavour, _with(None, 1.0), refused(file, "runoff", "units"))
        yield _array("number", flavour, _with(5, 1.0), refused(file, "runoff", "units"))
        yield _array("list", flavour, _with([1.0, 2.0], 1.0), refused(file, "runoff", "units"))

        def no_area(folder: Path, flavour: Flavour = flavour) -> None:
            change = _with("mm/day", inputs.AREA_M2 * 1e-3 / DAY)
            write_case(folder, arrays.runoff_model(), flavour, change)
            save(inputs.network_table().drop(columns="area_m2"), folder / "n.csv")

        yield Mutation(f"units/depth_without_area/{flavour}", no_area, route(file), refused(file, "area_m2"))


def _grids() -> Iterator[Mutation]:
    for at, (unit, factor) in enumerate(DEPTH.items()):
        flavour = FLAVOURS[at % 3]
        yield Mutation(
            f"units/grid/{_name(unit)}",
            lambda folder, unit=unit, factor=factor, flavour=flavour: write_case(
                folder, grid_model(), flavour, _with(unit, factor, "ro")
            ),
            route(f"r{SUFFIX[flavour]}"),
            same(RIGHT),
        )
    for unit in ("m3 s-1", "K", "m2 s-1", "1", ""):
        yield Mutation(
            f"units/grid_wrong/{_name(unit)}",
            lambda folder, unit=unit: write_case(folder, grid_model(), "nc", _with(unit, 1.0, "ro")),
            route(),
            refused("r.nc", "ro"),
        )


def _rapid() -> Iterator[Mutation]:
    for unit, factor in (("m3", 1.0), ("m3 s-1", DAY), ("m^3", 1.0), ("km3", 1e9), ("K", None), ("m2", None)):

        def prepare(folder: Path, unit: str = unit, factor: float | None = factor) -> None:
            inputs.write_basics(folder)
            write_rapid(folder)
            model = m3_riv_model(RUNOFF * DAY)
            _with(unit, factor or 1.0, "m3_riv")(model)
            arrays.write(model, folder / "rapid" / "m3.nc", "nc")

        expect = refused("m3.nc", "m3_riv", unit) if factor is None else same(RIGHT)
        yield Mutation(f"units/m3_riv/{_name(unit)}", prepare, route("rapid/m3.nc", "rapid"), expect)


def _observation(name: str, flavour: Flavour, change: Callable[[Model], object], expect: Expect) -> Mutation:
    def prepare(folder: Path) -> None:
        file = f"o{SUFFIX[flavour]}"
        write_estimate(folder, file)
        model = arrays.observation_model()
        change(model)
        arrays.write(model, folder / file, flavour)

    return Mutation(f"units/observations/{name}/{flavour}", prepare, ESTIMATE, expect, writes=("run",))


def _observations() -> Iterator[Mutation]:
    for at, unit in enumerate(("m3/s", "ft3/s", "cfs", "l/s", "m\u00b3/s", "km3 day-1")):
        yield _observation(
            _name(unit), FLAVOURS[at % 3], _with(unit, DISCHARGE[unit], "discharge"), same(OBSERVED)
        )
    for unit in ("m3", "mm/day", "K", "", "parsec", "1"):
        yield _observation(_name(unit), "nc", _with(unit, 1.0, "discharge"), refused("o.nc", "discharge"))
    for flavour in FLAVOURS:
        gone = _with(None, 1.0, "discharge")
        yield _observation("missing", flavour, gone, refused(f"o{SUFFIX[flavour]}", "discharge", "units"))


def _headers() -> Iterator[Mutation]:
    """A unit in the header of a long table."""
    for header, factor in (
        ("[m3/s]", 1.0), ("[ft3/s]", FEET), (" [cfs]", FEET), (" (l/s)", 1e-3), ("[m3]", None), ("[]", None),
        ("[K]", None),
    ):  # fmt: skip

        def runoff(folder: Path, header: str = header, factor: float | None = factor) -> None:
            inputs.write_basics(folder)
            table = long(RUNOFF / (factor or 1.0)).rename(columns={"runoff": f"runoff{header}"})
            save(table, folder / "r.csv")

        def observed(folder: Path, header: str = header, factor: float | None = factor) -> None:
            write_estimate(folder, "o.csv")
            table = gauge_long(inputs.observed() / (factor or 1.0)).replace({"gauge": {"NA": "C3"}})
            save(table.rename(columns={"discharge": f"discharge{header}"}), folder / "o.csv")

        expect = refused("r.csv") if factor is None else same(RIGHT)
        yield Mutation(f"units/header/runoff/{_name(header)}", runoff, route("r.csv"), expect)
        answer = Observed(inputs.observed(), gauges=("0A1", "B2", "C3"))
        expect = refused("o.csv") if factor is None else same(answer)
        yield Mutation(f"units/header/discharge/{_name(header)}", observed, ESTIMATE, expect, writes=("run",))


def _parameters() -> Iterator[Mutation]:
    for at, (unit, factor) in enumerate(
        {"s": 1.0, "h": 3600.0, "hours": 3600.0, "days": DAY, "min": 60.0, "seconds": 1.0}.items()
    ):
        yield _parameter(_name(unit), FLAVOURS[at % 3], _with(unit, factor, "delay"), value(RIGHT))
    for unit in ("m", "m s-1", "1", "", "fortnight", None, 5):
        yield _parameter(
            _name(str(unit)) + "_wrong", "nc", _with(unit, 1.0, "delay"), refused("p.nc", "delay")
        )


def _parameter(name: str, flavour: Flavour, change: Callable[[Model], object], expect: Expect) -> Mutation:
    def prepare(folder: Path) -> None:
        inputs.write_basics(folder)
        arrays.write(arrays.runoff_model(), folder / "r.nc", "nc")
        model = arrays.parameter_model()
        change(model)
        arrays.write(model, folder / f"p{SUFFIX[flavour]}", flavour)

    command = tuple(f"p{SUFFIX[flavour]}" if one == "p.csv" else one for one in route())
    return Mutation(f"units/parameters/{name}/{flavour}", prepare, command, expect)
