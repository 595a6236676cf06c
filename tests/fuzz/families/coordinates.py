"""Grids: spellings that mean the same, coordinates that are no degrees, and longitudes on a circle."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from tests.fuzz import arrays, inputs
from tests.fuzz.answers import Routed
from tests.fuzz.arrays import SUFFIX, Flavour, Model, Var, time_var
from tests.fuzz.grid import LATITUDE, LONGITUDE, grid_model
from tests.fuzz.readers import route, write_case
from tests.fuzz.registry import Expect, Mutation, either, refused, same, value

RIGHT = Routed(inputs.routed(inputs.runoff()))
FLAVOURS: tuple[Flavour, ...] = ("nc", "zarr2", "zarr3")


def mutations() -> Iterator[Mutation]:
    """All of the family."""
    yield from _spellings()
    yield from _faults()
    yield from _network()
    yield from _circle()
    yield from _gaps()


def _grid(name: str, flavour: Flavour, change: Callable[[Model], object], expect: Expect) -> Mutation:
    return Mutation(
        f"coordinates/{name}/{flavour}",
        lambda folder: write_case(folder, grid_model(), flavour, change),
        route(f"r{SUFFIX[flavour]}"),
        expect,
    )


def _renamed(lat: str, lon: str, *, variables: bool = True) -> Callable[[Model], None]:
    def change(model: Model) -> None:
        for old, new in (("latitude", lat), ("longitude", lon)):
            model.rename_dim(old, new)
            if variables:
                model.rename(old, new)

    return change


def _flip(axis: int) -> Callable[[Model], None]:
    name = "latitude" if axis == 1 else "longitude"

    def change(model: Model) -> None:
        model.vars[name].data = model.vars[name].data[::-1].copy()
        model.vars["ro"].data = np.flip(model.vars["ro"].data, axis).copy()

    return change


def _order(*dims: str) -> Callable[[Model], None]:
    def change(model: Model) -> None:
        var = model.vars["ro"]
        var.data = np.ascontiguousarray(np.transpose(var.data, [var.dims.index(one) for one in dims]))
        var.dims = dims

    return change


def _attrs(variable: str, *gone: str, **more: Any) -> Callable[[Model], None]:
    def change(model: Model) -> None:
        attrs = model.vars[variable].attrs
        for one in gone:
            attrs.pop(one, None)
        attrs.update(more)

    return change


def _both(*changes: Callable[[Model], object]) -> Callable[[Model], None]:
    def change(model: Model) -> None:
        for one in changes:
            one(model)

    return change


def _data(variable: str, make: Callable[[Any], Any]) -> Callable[[Model], None]:
    def change(model: Model) -> None:
        model.vars[variable].data = make(model.vars[variable].data)

    return change


def _extra(name: str, size: int) -> Callable[[Model], None]:
    def change(model: Model) -> None:
        var = model.vars["ro"]
        var.data = np.repeat(var.data[:, None], size, axis=1)
        var.dims = (var.dims[0], name, *var.dims[1:])

    return change


def _spellings() -> Iterator[Mutation]:
    chunked = _both(lambda model: setattr(model.vars["ro"], "chunks", (7, 2, 3)))
    said: dict[str, Callable[[Model], object]] = {
        "lat_lon": _renamed("lat", "lon"),
        "y_x_in_degrees": _renamed("y", "x"),
        "falling": _flip(1),
        "lon_falling": _flip(2),
        "both_falling": _both(_flip(1), _flip(2)),
        "360": _data("longitude", lambda x: x + 360.0),
        "lon_lat_time": _order("longitude", "latitude", "time"),
        "lat_time_lon": _order("latitude", "time", "longitude"),
        "float32": _both(_data("latitude", np.float32), _data("longitude", np.float32)),
        "values_float32": _data("ro", np.float32),
        "chunked": chunked,
        "expver_1": _extra("expver", 1),
        "number_1": _extra("number", 1),
        "standard_names": _both(
            _attrs("latitude", standard_name="latitude", axis="Y"),
            _attrs("longitude", standard_name="longitude", axis="X"),
        ),
        "degree_north": _both(_attrs("latitude", units="degree_N"), _attrs("longitude", units="degreeE")),
        "plain_degrees": _both(_attrs("latitude", units="degrees"), _attrs("longitude", units="degrees")),
        "no_units": _both(_attrs("latitude", "units"), _attrs("longitude", "units")),
        "rounded": _both(
            _data("latitude", lambda y: y + 1e-5 * np.sin(y)), _data("longitude", lambda x: x + 1e-5)
        ),
        "scaled_lat": _both(
            _data("latitude", lambda y: np.round(y * 100).astype(np.int32)),
            _attrs("latitude", scale_factor=0.01),
        ),
        "latlon_mapping": _both(
            _attrs("ro", grid_mapping="crs"),
            lambda m: m.vars.update(crs=Var((), np.array(0), {"grid_mapping_name": "latitude_longitude"})),
        ),
        "unused_2d": lambda m: m.vars.update(mask=Var(("latitude", "longitude"), np.ones((7, 9)))),
    }
    for name, change in said.items():
        for flavour in FLAVOURS:
            yield _grid(f"said/{name}", flavour, change, same(RIGHT))


METRES = {
    "y": (np.arange(LATITUDE.size) - 3.0) * 5e4,
    "x": (np.arange(LONGITUDE.size) - 4.0) * 5e4,
}


def _projected(
    mapping: str | None, units: str | None, standard: bool, names: tuple[str, str] = ("y", "x")
) -> Any:
    def change(model: Model) -> None:
        _renamed(*names)(model)
        for name, key in zip(names, ("y", "x"), strict=True):
            attrs: dict[str, Any] = {} if units is None else {"units": units}
            if standard:
                attrs["standard_name"] = f"projection_{key}_coordinate"
            model.vars[name] = Var((name,), METRES[key] / (1000.0 if units == "km" else 1.0), attrs)
        if mapping:
            model.vars["ro"].attrs["grid_mapping"] = "crs"
            model.vars["crs"] = Var((), np.array(0), {"grid_mapping_name": mapping})

    return change


def _small(change: Callable[[Model], None]) -> Callable[[Model], None]:
    """Metres that could be degrees by their size: only what the file says about them tells."""

    def both(model: Model) -> None:
        change(model)
        for name, was in (("y", LATITUDE), ("x", LONGITUDE)):
            model.vars[name].data = was.copy()

    return both


def _rotated(auxiliary: bool) -> Callable[[Model], None]:
    def change(model: Model) -> None:
        _renamed("rlat", "rlon")(model)
        for name in ("rlat", "rlon"):
            model.vars[name].data = model.vars[name].data - model.vars[name].data.mean()
            model.vars[name].attrs = {"units": "degrees", "standard_name": f"grid_{name[1:]}itude"}
            model.vars[name].attrs["standard_name"] = "grid_latitude" if name == "rlat" else "grid_longitude"
        model.vars["ro"].attrs["grid_mapping"] = "rotated_pole"
        pole = {"grid_mapping_name": "rotated_latitude_longitude", "grid_north_pole_latitude": 39.25}
        model.vars["rotated_pole"] = Var((), np.array(0), pole | {"grid_north_pole_longitude": -162.0})
        if auxiliary:
            lat, lon = np.meshgrid(LATITUDE, LONGITUDE, indexing="ij")
            model.vars["ro"].attrs["coordinates"] = "lat lon"
            for name, two, unit in (("lat", lat, "degrees_north"), ("lon", lon, "degrees_east")):
                model.vars[name] = Var(
                    ("rlat", "rlon"), two, {"units": unit, "standard_name": f"{name}itude"}
                )
            model.vars["lat"].attrs["standard_name"] = "latitude"
            model.vars["lon"].attrs["standard_name"] = "longitude"

    return change


def _rotated_lat_lon(model: Model) -> None:
    """A rotated pole under the names lat and lon: only the mapping tells."""
    _renamed("lat", "lon")(model)
    model.vars["ro"].attrs["grid_mapping"] = "rotated_pole"
    pole = {"grid_mapping_name": "rotated_latitude_longitude", "grid_north_pole_latitude": 39.25}
    model.vars["rotated_pole"] = Var((), np.array(0), pole)


def _faults() -> Iterator[Mutation]:
    file = {flavour: f"r{SUFFIX[flavour]}" for flavour in FLAVOURS}
    faults: dict[str, tuple[Callable[[Model], object], tuple[str, ...], bool]] = {
        "metres": (_projected("lambert_conformal_conic", "m", True), (), False),
        "metres_no_mapping": (_projected(None, "m", True), (), False),
        "metres_units_alone": (_projected(None, "m", False), (), False),
        "metres_names_alone": (_projected(None, None, True), (), False),
        "metres_mapping_alone": (_projected("transverse_mercator", None, False), (), False),
        "metres_by_size": (_projected(None, None, False), (), False),
        "km": (_projected(None, "km", False), (), False),
        "metres_called_lat_lon": (_projected(None, "m", False, ("lat", "lon")), (), False),
        "small_metres": (_small(_projected(None, "m", True)), (), False),
        "small_metres_units": (_small(_projected(None, "m", False)), (), False),
        "small_metres_mapping": (_small(_projected("mercator", None, False)), (), False),
        "rotated": (_rotated(False), (), False),
        "rotated_2d": (_rotated(True), (), True),
        "rotated_called_lat_lon": (_rotated_lat_lon, (), False),
        "units_swapped": (
            _both(_attrs("latitude", units="degrees_east"), _attrs("longitude", units="degrees_north")),
            (),
            False,
        ),
        "names_swapped": (
            _both(
                _attrs("latitude", standard_name="longitude"), _attrs("longitude", standard_name="latitude")
            ),
            (),
            False,
        ),
        "axes_swapped": (_both(_attrs("latitude", axis="X"), _attrs("longitude", axis="Y")), (), False),
        "radians": (
            _both(
                _attrs("latitude", units="radian"),
                _attrs("longitude", units="radian"),
                _data("latitude", np.radians),
                _data("longitude", np.radians),
            ),
            (),
            True,
        ),
        "lat_beyond_90": (_data("latitude", lambda y: y + 45.5), (), False),
        "lat_nan": (_data("latitude", lambda y: np.where(y > 47.5, np.nan, y)), ("latitude",), False),
        "lon_nan": (_data("longitude", lambda x: np.where(x > 9.5, np.nan, x)), ("longitude",), False),
        "lon_inf": (_data("longitude", lambda x: np.where(x > 9.5, np.inf, x)), ("longitude",), False),
        "lat_sentinel": (_data("latitude", lambda y: np.where(y > 47.5, -9999.0, y)), ("latitude",), False),
        "irregular": (_data("longitude", lambda x: x**1.2), ("longitude",), False),
        "not_monotonic": (
            _data("longitude", lambda x: x[[0, 2, 1, 3, 4, 5, 6, 7, 8]]),
            ("longitude",),
            False,
        ),
        "twice": (_data("longitude", lambda x: np.repeat(x[::2], 2)[:9]), ("longitude",), False),
        "constant": (_data("longitude", lambda x: x * 0 + 6.0), ("longitude",), False),
        "elsewhere": (_data("longitude", lambda x: x + 90.0), ("reach", "40"), False),
        "lon_of_721": (_data("longitude", lambda x: x + 720.0), (), True),
        "text": (_data("latitude", lambda y: y.astype("U").astype(object)), (), True),
        "words": (_data("latitude", lambda y: np.array([f"{one}N" for one in y], dtype=object)), (), False),
        "no_lat": (lambda m: m.vars.pop("latitude"), ("latitude",), False),
        "lat_fill": (lambda m: setattr(m.vars["latitude"], "fill", 46.25), (), False),
        "as_flow": (_attrs("ro", units="m3 s-1"), ("ro", "m3"), False),
        "no_unit": (_attrs("ro", "units"), ("ro", "units"), False),
        "expver_2": (_extra("expver", 2), ("expver",), False),
        "depth_3": (_extra("depth", 3), ("depth",), False),
        "no_time": (
            lambda m: m.vars.update(
                ro=Var(("latitude", "longitude"), m.vars["ro"].data[0], {"units": "m s-1"})
            ),
            ("time",),
            False,
        ),
    }
    for name, (change, words, may_be_right) in faults.items():
        for flavour in FLAVOURS:
            if flavour != "nc" and name in ("lon_inf", "lat_fill", "text", "words", "expver_2", "depth_3"):
                continue
            expect = either(RIGHT, file[flavour], *words) if may_be_right else refused(file[flavour], *words)
            yield _grid(f"fault/{name}", flavour, change, expect)
    for flavour in FLAVOURS:
        one_row = _both(
            _data("latitude", lambda y: y[:1]),
            _data("ro", lambda v: v[:, :1]),
        )
        yield _grid("fault/one_row", flavour, one_row, refused(file[flavour], "latitude"))
        one_column = _both(_data("longitude", lambda x: x[:0]), _data("ro", lambda v: v[:, :, :0]))
        yield _grid("fault/no_column", flavour, one_column, refused(file[flavour]))


def _network() -> Iterator[Mutation]:
    """Positions of reaches, on a grid that is right."""

    def mutation(name: str, change: Callable[[pd.DataFrame], pd.DataFrame], expect: Expect) -> Mutation:
        def prepare(folder: Path) -> None:
            write_case(folder, grid_model(), "nc", lambda model: None)
            change(inputs.network_table()).to_csv(folder / "n.csv", index=False)

        return Mutation(f"coordinates/network/{name}", prepare, route(), expect)

    def at30(column: str, by: float) -> Callable[[pd.DataFrame], pd.DataFrame]:
        def change(table: pd.DataFrame) -> pd.DataFrame:
            table.loc[inputs.position(30), column] = by
            return table

        return change

    for name, turn in (("lon_360", 360.0), ("lon_minus_360", -360.0)):  # beyond the range that a position has
        expect = either(RIGHT, "r.nc", "lon")
        yield mutation(name, lambda t, turn=turn: t.assign(lon=t["lon"] + turn), expect)
    for column in ("lat", "lon"):
        for name, by in (
            ("nan", np.nan),
            ("-9999", -9999.0),
            ("1e20", 1e20),
            ("inf", np.inf),
            ("-999", -999.0),
        ):
            yield mutation(f"{column}_{name}", at30(column, by), refused("30"))
        yield mutation(
            f"no_{column}", lambda t, column=column: t.drop(columns=column), refused("r.nc", column)
        )
    yield mutation("lat_91", at30("lat", 91.0), refused("30"))
    yield mutation("lat_far", at30("lat", -45.0), refused("30"))
    yield mutation("lon_far", at30("lon", -120.0), refused("30"))
    yield mutation(
        "swapped", lambda t: t.rename(columns={"lat": "lon", "lon": "lat"}), refused("r.nc", "outside")
    )
    for name, by in (("nan", np.nan), ("-9999", -9999.0), ("-1", -1e6), ("inf", np.inf), ("1e20", 1e20)):
        yield mutation(f"area_{name}", at30("area_m2", by), refused("30", "area_m2"))
    yield mutation("no_area", lambda t: t.drop(columns="area_m2"), refused("area_m2"))
    table = inputs.runoff() * np.where(inputs.IDS == 30, 0.0, 1.0)
    yield mutation("area_0", at30("area_m2", 0.0), either(Routed(inputs.routed(table)), "30", "area_m2"))
    yield mutation("slope_nan", at30("slope", np.nan), same(RIGHT))


def _strip(first: float, spacing: float, count: int) -> tuple[Any, Any]:
    """Longitudes of boxes and a value (m/s) of each, one a power of two, which tells boxes apart in any mean."""
    lon = first + spacing * np.arange(count)
    return lon, 2.0 ** (np.arange(count) % 12)


def _circle() -> Iterator[Mutation]:
    """Longitudes as a circle: over Greenwich, over the dateline, whole circles, cells and points."""
    spacing = 0.25
    for name, centre in (("greenwich", 0.0), ("dateline", 180.0), ("america", -90.0)):
        lon, base = _strip(centre - 2.0 + spacing / 2, spacing, 16)
        cells = centre + np.array([-1.25, -0.75, -0.25, 0.25, 0.75, 1.25])
        points = centre + np.array([-1.30, -0.81, -0.07, 0.18, 0.66, 1.43])
        for kind, places in (("cells", cells), ("points", points)):
            right = _circle_answer(lon, base, places, 0.5 if kind == "cells" else 0.0)
            for grid_range, to_grid in _RANGES.items():
                for reach_range, to_reach in _RANGES.items():
                    shown = to_grid(lon)
                    if (np.diff(shown) < 0).any() and grid_range != "rolled":
                        order = np.argsort(shown)
                        if not np.allclose(np.diff(shown[order]), spacing):
                            continue  # this range tears the grid apart
                        shown, given = shown[order], base[order]
                    else:
                        given = base
                    yield _circle_mutation(
                        f"circle/{name}/{kind}/{grid_range}/{reach_range}",
                        shown,
                        given,
                        to_reach(places),
                        value(right),
                    )
    lon, base = _strip(0.0, 0.5, 720)
    places = np.array([0.1, 359.9, -0.1, 180.2, -179.9, 179.8])
    right = _circle_answer(lon, base, places, 0.0)
    yield _circle_mutation("circle/globe/points", lon, base, places, value(right))
    torn = np.where(lon >= 180, lon - 360, lon)
    yield _circle_mutation("circle/globe/torn", torn, base, places, either(right, "r.nc", "lon"))
    yield _circle_mutation(
        "circle/globe/both_ends", *_closed(lon, base), places, either(right, "r.nc", "lon")
    )
    yield _circle_mutation("circle/too_wide", *_strip(0.0, 0.5, 760), places, either(right, "r.nc", "lon"))


_RANGES: dict[str, Callable[[Any], Any]] = {
    "180": lambda lon: (lon + 180.0) % 360.0 - 180.0,
    "360": lambda lon: lon % 360.0,
    "as_is": lambda lon: lon,
}


def _closed(lon: Any, base: Any) -> tuple[Any, Any]:
    return np.append(lon, lon[-1] + lon[1] - lon[0]), np.append(base, base[0])


def _circle_answer(lon: Any, base: Any, places: Any, width: float) -> Routed:
    """Discharge of reaches that do not flow into each other: the mean over what their cell covers, times 1e6 m2."""
    spacing = lon[1] - lon[0]
    values = []
    for place in places:
        off = (lon - place + 180.0) % 360.0 - 180.0
        if width == 0.0:
            values.append(base[np.abs(off).argmin()])
            continue
        overlap = np.minimum(off + spacing / 2, width / 2) - np.maximum(off - spacing / 2, -width / 2)
        weight = np.clip(overlap, 0.0, None)
        values.append((weight * base).sum() / weight.sum())
    step = 1.0 + np.arange(3.0)[:, None]
    ids = tuple(range(1, len(places) + 1))
    return Routed(step * np.array(values)[None, :], time=inputs.times(3), ids=ids)


def _circle_mutation(name: str, lon: Any, base: Any, places: Any, expect: Expect) -> Mutation:
    def prepare(folder: Path) -> None:
        lat = np.array([44.75, 45.25, 45.75, 46.25]) if "cells" not in name else np.arange(44.125, 46.0, 0.25)
        n = len(places)
        rows = np.arange(n) % 3
        table = pd.DataFrame(
            {
                "reach_id": np.arange(1, n + 1),
                "downstream_id": -1,
                "length_m": 1000.0,
                "area_m2": 1e6,
                # cells of 0.5 degrees need three rows of cells; points lie anywhere
                "lat": 44.5 + 0.5 * rows if "cells" in name else 44.9 + 0.47 * rows,
                "lon": places,
            }
        )
        table.to_csv(folder / "n.csv", index=False)
        pd.DataFrame({"reach_id": table["reach_id"], "delay": 0.0}).to_csv(folder / "p.csv", index=False)
        step = 1.0 + np.arange(3.0)[:, None, None]
        data = np.broadcast_to(step * base * 1e-6, (3, lat.size, lon.size)).copy()
        model = Model(
            {
                "time": time_var(3),
                "lat": Var(("lat",), lat, {"units": "degrees_north"}),
                "lon": Var(("lon",), np.asarray(lon, dtype=float), {"units": "degrees_east"}),
                "ro": Var(("time", "lat", "lon"), data, {"units": "m s-1"}),
            }
        )
        arrays.write(model, folder / "r.nc", "nc")

    return Mutation(f"coordinates/{name}", prepare, route(), expect)


def _gaps() -> Iterator[Mutation]:
    """Boxes without a value: where a reach lies and where none does."""
    for flavour in FLAVOURS:

        def elsewhere(model: Model) -> None:
            model.vars["ro"].data[:, 0, 8] = np.nan

        def elsewhere_at_times(model: Model) -> None:
            model.vars["ro"].data[3:9, 0, 8] = np.nan

        def elsewhere_filled(model: Model) -> None:
            model.vars["ro"].data[:, 0, 8] = -9999.0

        yield _grid("gaps/sea", flavour, elsewhere, same(RIGHT))
        yield _grid("gaps/sea_at_times", flavour, elsewhere_at_times, same(RIGHT))
        yield _grid("gaps/sea_-9999", flavour, elsewhere_filled, same(RIGHT))
    for where, steps in (
        ("first", [0]),
        ("later", [1]),
        ("last", [inputs.DAYS - 1]),
        ("but_first", range(1, 40)),
    ):

        def cell_gap(folder: Path, steps: Any = steps) -> None:
            _write_cell_gap(folder, list(steps))

        yield Mutation(
            f"coordinates/gaps/quarter_of_a_cell_{where}", cell_gap, route(), refused("r.nc", "2001-0")
        )


def _write_cell_gap(folder: Path, steps: list[int]) -> None:
    """Cells of 0.5 degrees on a grid of 0.25: one of the four boxes of reach 1 lacks a value at some steps."""
    lat, lon = np.arange(45.125, 46.6, 0.25), np.arange(6.125, 7.6, 0.25)
    n = 9
    rows, columns = np.divmod(np.arange(n), 3)
    table = pd.DataFrame(
        {"reach_id": np.arange(1, n + 1), "downstream_id": -1, "length_m": 1000.0, "area_m2": 1e6}
    )
    table["lat"], table["lon"] = 45.25 + 0.5 * rows, 6.25 + 0.5 * columns
    table.to_csv(folder / "n.csv", index=False)
    pd.DataFrame({"reach_id": table["reach_id"], "delay": 0.0}).to_csv(folder / "p.csv", index=False)
    data = np.full((inputs.DAYS, lat.size, lon.size), 1e-6)
    data[:, 0, 0] = 1e-4
    data[steps, 0, 0] = np.nan
    model = Model(
        {
            "time": time_var(),
            "lat": Var(("lat",), lat, {"units": "degrees_north"}),
            "lon": Var(("lon",), lon, {"units": "degrees_east"}),
            "ro": Var(("time", "lat", "lon"), data, {"units": "m s-1"}),
        }
    )
    arrays.write(model, folder / "r.nc", "nc")
