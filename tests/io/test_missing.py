"""What means that there is no value, under every sign, in every reader; and casts that are checked."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import netCDF4
import numpy as np
import pandas as pd
import pytest
import xarray as xr
import zarr

from rivercut import store
from rivercut.network import RiverNetwork
from rivergrad.errors import InputError
from rivergrad.io import (
    CellRunoff,
    GridRunoff,
    open_forcings,
    open_runoff,
    read_network,
    read_observations,
    read_parameters,
    write_discharge,
    write_observations,
    write_parameters,
)
from rivergrad.io.missing import absent, exact_integers, stands_for_none, text_numbers
from rivergrad.io.weights import read_weights, write_weights
from rivergrad.rundir.reading import write_hydrographs

Make = Callable[..., xr.Dataset]

SIGNS = [-9999.0, -999.0, -9999.9, -999999.0, 1e20, -1e20, 9.96921e36, -9.96921e36, np.nan]
UNDECLARED: dict[str, Any] = {"_FillValue": None}
FORMATS = ["nc", "zarr2", "zarr3"]


def _put(dataset: xr.Dataset, folder: Path, form: str, **encoding: dict[str, Any]) -> Path:
    name = f"f{len(list(folder.iterdir()))}"  # never one that is open
    if form == "nc":
        path = folder / f"{name}.nc"
        dataset.to_netcdf(path, engine="netcdf4", encoding=encoding)
    else:
        path = folder / f"{name}.zarr"
        format_: Any = int(form[-1])
        dataset.to_zarr(path, zarr_format=format_, consolidated=False, encoding=encoding)
    return path


def _with(dataset: xr.Dataset, value: float, **attributes: Any) -> xr.Dataset:
    """The value at reach 20 on 2000-01-04."""
    dataset["runoff"].loc[{"reach": 20}][3] = value
    dataset["runoff"].attrs.update(attributes)
    return dataset


# -- the rule ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("value", [*SIGNS, -999.99, -9999.99, 3.4e38, -2147483647.0])
def test_signs_are_known_in_either_precision_and_any_layout(value: float, dtype: type[np.floating]) -> None:
    values = np.ones((4, 6), dtype)
    values[2, 5] = value
    for array in (values, values.T, values[::-1, ::2], values[:, [5, 1]]):
        wide = array.astype(np.float64, order="K")
        mask = absent(wide)
        expected = ~(array == 1)
        assert (mask is not None) == bool(expected.any())
        if mask is not None:
            assert np.array_equal(mask, expected)


def test_numbers_that_are_none_of_them() -> None:
    plain = [0.0, -1.0, -98.0, -998.0, -1000.0, -10000.5, 9999.0, 32767.0, 1e15, 9.9e18, np.inf, -np.inf]
    assert not stands_for_none(np.array(plain), short=True).any()
    assert not stands_for_none(np.array([-99.0, -99.9])).any()
    assert stands_for_none(np.array([-99.0, -99.9, -99.99]), short=True).all()


def test_texts_and_numbers_of_a_column() -> None:
    numbers, bad = text_numbers(
        ["1", " 2 ", "NA", "nan", "", None, "1e+20", "0x10", "1_0", "much", "True", "--"]
    )
    assert numbers[:2].tolist() == [1, 2]
    assert np.isnan(numbers[2:6]).all()
    assert bad.tolist() == [False] * 7 + [True] * 5


@pytest.mark.parametrize(
    ("values", "bad"),
    [
        (np.array([2**63 - 1, 2**63], np.uint64), [False, True]),
        (np.array([2.0**53 - 1, 2.0**53, 1.5, np.nan, np.inf]), [False, True, True, True, True]),
        (np.array([2.0**24 - 1, 2.0**24], np.float32), [False, True]),
        (np.array([True, False]), [True, True]),
        (np.array(["2000-01-01"], "M8[D]"), [True]),
        (np.array([b"12  ", b"0040"]), [False, False]),
        (np.array([" 7", "7.0", "1_1", "0x10", "1e3", "", "９", str(2**63), None, True], object),
         [False, False, True, True, True, True, True, True, True, True]),
    ],
)  # fmt: skip
def test_integers_are_exact_or_refused(values: np.ndarray, bad: list[bool]) -> None:
    found, wrong = exact_integers(values)
    assert wrong.tolist() == bad
    assert found.dtype == np.int64
    for one, integer in zip(values[~wrong], found[~wrong], strict=True):
        text = one.decode() if isinstance(one, bytes) else one if isinstance(one, str) else str(int(one))
        assert int(text.split(".")[0]) == integer


# -- runoff --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("value", [*SIGNS, -99.99, 1e15, np.inf, -5.0, 1e39])
def test_runoff_under_every_sign(
    tmp_path: Path, network: RiverNetwork, make_runoff: Make, value: float, form: str
) -> None:
    path = _put(_with(make_runoff(), value), tmp_path, form, runoff=UNDECLARED)
    source = open_runoff(path, network)
    assert source.read(None, 0, 3).shape == (3, 5)
    assert source.read([0, 1, 2, 4], 0, 6).shape == (6, 4)  # the others are whole
    with pytest.raises(InputError, match=r"'runoff' .* the reaches 20, first at 2000-01-04") as error:
        source.read(None, 0, 6)
    assert str(path) in str(error.value)


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize(
    ("attributes", "encoding"),
    [
        ({}, {"_FillValue": 77.0}),
        ({"missing_value": 77.0}, UNDECLARED),
        ({"nodata": "5, 77"}, UNDECLARED),
        ({"nodata": [5.0, 77.0]}, UNDECLARED),
        ({"valid_range": np.array([1e3, 1e6])}, UNDECLARED),
        ({"valid_min": 78.0}, UNDECLARED),
        ({"valid_range": np.array([1000, 32000], np.int16)},
         {"dtype": "i2", "scale_factor": 2.0, "_FillValue": -32767}),
    ],
)  # fmt: skip
def test_what_attributes_declare(
    tmp_path: Path,
    network: RiverNetwork,
    make_runoff: Make,
    form: str,
    attributes: dict[str, Any],
    encoding: dict[str, Any],
) -> None:
    whole = open_runoff(
        _put(_with(make_runoff(), 20002.0, **attributes), tmp_path, form, runoff=encoding), network
    )
    assert whole.read(None, 0, 6)[3, 3] == 20002.0
    whole.close()
    (tmp_path / "gap").mkdir()
    path = _put(_with(make_runoff(), 77.0, **attributes), tmp_path / "gap", form, runoff=encoding)
    with pytest.raises(InputError, match=r"no value \(NaN\) for the reaches 20, first at 2000-01-04"):
        open_runoff(path, network).read(None, 0, 6)


def test_a_missing_value_as_text_and_unsigned_limits(tmp_path: Path, network: RiverNetwork) -> None:
    """What xarray does not write: attributes as text, and limits as the signed bytes of unsigned data."""

    def written(values: list[int], **attributes: Any) -> Path:
        path = tmp_path / f"{len(list(tmp_path.iterdir()))}.nc"
        with netCDF4.Dataset(path, "w") as file:
            file.createDimension("time", 2)
            file.createDimension("reach", 5)
            time = file.createVariable("time", "i4", ("time",))
            time.units, time[:] = "days since 2000-01-01", [0, 1]
            file.createVariable("reach_id", "i8", ("reach",))[:] = network.reach_id
            runoff = file.createVariable("runoff", "i2", ("time", "reach"), fill_value=False)
            runoff.set_auto_maskandscale(False)
            for name, value in {"units": "m3 s-1", "scale_factor": 0.5, **attributes}.items():
                runoff.setncattr(name, value)
            runoff[:] = np.array([[1, 2, 3, 4, 5], values], np.int16)
        return path

    unsigned = {"_Unsigned": "true", "valid_range": np.array([0, -6], np.int16)}
    found = open_runoff(written([1, 2, 3, -6, 5], **unsigned), network).read(None, 0, 2)
    assert found[1].tolist() == [0.5, 1.0, 1.5, (2**16 - 6) / 2, 2.5]
    for path in (
        written([1, 2, 3, -5, 5], **unsigned),
        written([1, 2, 3, -77, 5], missing_value="-77"),
        written([1, 2, 3, 9000, 5], valid_max="100"),
    ):
        with pytest.raises(InputError, match=r"no value \(NaN\) for the reaches 20, first at 2000-01-02"):
            open_runoff(path, network).read(None, 0, 2)


@pytest.mark.parametrize("format_", [2, 3])
def test_a_fill_value_of_zarr_is_no_missing_value(
    tmp_path: Path, network: RiverNetwork, format_: Any
) -> None:
    values = np.arange(10.0).reshape(2, 5)

    def written(name: str, **attributes: Any) -> Path:
        group = zarr.open_group(str(tmp_path / name), mode="w", zarr_format=format_)
        for one, data, dims, more in (
            ("time", np.arange(2), ["time"], {"units": "days since 2000-01-01"}),
            ("reach_id", network.reach_id, ["reach"], {}),
            ("runoff", values, ["time", "reach"], {"units": "m3 s-1", **attributes}),
        ):
            named: dict[str, Any] = {} if format_ == 2 else {"dimension_names": dims}
            array = group.create_array(one, shape=data.shape, dtype=data.dtype, fill_value=0, **named)
            array[...] = data
            array.attrs.update(more if format_ == 3 else {**more, "_ARRAY_DIMENSIONS": dims})
        return tmp_path / name

    assert np.array_equal(open_runoff(written("a.zarr"), network).read(None, 0, 2), values)
    for name, attributes in (
        ("b.zarr", {"_FillValue": 8.0}),
        ("c.zarr", {"missing_value": "8"}),
        ("d.zarr", {"missing_value": [1e9, 8]}),
    ):
        with pytest.raises(InputError, match=r"no value .* the reaches 20, first at 2000-01-02"):
            open_runoff(written(name, **attributes), network).read(None, 0, 2)
    with pytest.raises(InputError, match="the reaches 30, first at 2000-01-01"):
        open_runoff(written("e.zarr", _FillValue=0.0), network).read(None, 0, 2)


@pytest.mark.parametrize(("depth", "passes"), [(-9e-6, True), (-2e-5, False)])
def test_rounding_below_zero_passes_by_the_depth_of_water(
    tmp_path: Path, network: RiverNetwork, make_runoff: Make, depth: float, passes: bool
) -> None:
    flow = depth * 4e6 / 86400.0  # reach 20 has 4 km2
    for value, units in ((flow, "m3 s-1"), (depth, "m"), (depth * 1e3, "mm/day")):
        source = open_runoff(
            _put(_with(make_runoff(units=units), value, valid_min=0.0), tmp_path, "nc"), network
        )
        if passes:
            assert source.read([3], 3, 4)[0, 0] == pytest.approx(flow)
        else:
            with pytest.raises(InputError, match="the reaches 20, first at 2000-01-04"):
                source.read(None, 0, 6)


def test_only_nan_is_zero_in_rapids_runoff(tmp_path: Path, network: RiverNetwork, make_runoff: Make) -> None:
    def source(value: float, **encoding: Any) -> Any:
        dataset = _with(make_runoff(), value).rename(runoff="m3_riv")
        return open_runoff(_put(dataset, tmp_path, "nc", m3_riv=encoding or UNDECLARED), network)

    assert source(np.nan).read(None, 0, 6)[3, 3] == 0.0
    assert source(77.0, _FillValue=77.0).read(None, 0, 6)[3, 3] == 0.0
    for value in (-9999.0, 1e20, 9.96921e36, np.inf, -5.0):
        with pytest.raises(InputError, match=r"'m3_riv' .* the reaches 20, first at 2000-01-04"):
            source(value).read(None, 0, 6)


TABLE = "time,30,10,50,20,40\n2000-01-01,1,2,3,4,5\n2000-01-02,1,2,3,{},5\n"


@pytest.mark.parametrize("cell", ["-9999", " -9999.0", "NA", "nan", "", "1e+20", "-999", "inf", "NULL", "-5"])
def test_cells_of_a_table_of_runoff(tmp_path: Path, network: RiverNetwork, cell: str) -> None:
    path = tmp_path / "r.csv"
    path.write_text(TABLE.format(cell))
    with pytest.raises(InputError, match="the reaches 20, first at 2000-01-02"):
        open_runoff(path, network)
    path.write_text(TABLE.format("0"))
    assert open_runoff(path, network).read([3], 0, 2).tolist() == [[4], [0]]


def test_a_sign_is_known_before_units_are_converted(tmp_path: Path, network: RiverNetwork) -> None:
    rows = [
        f"2000-01-0{d},{i},{'1.5e19' if (d, i) == (2, 20) else 3}" for d in (1, 2) for i in network.reach_id
    ]
    (tmp_path / "r.csv").write_text("time,reach_id,runoff [cfs]\n" + "\n".join(rows) + "\n")
    with pytest.raises(InputError, match=r"no value \(1\.5e\+19\) for the reaches 20, first at 2000-01-02"):
        open_runoff(tmp_path / "r.csv", network)


# -- grids: facts of the whole record ------------------------------------------------------------------------

HOLE = {"latitude": slice(11.3, 10.8), "longitude": 20.0}  # a half of the box of reach 50


def _grid(make_grid: Make, folder: Path, steps: list[int], value: float, form: str = "nc") -> Path:
    """A grid of 9 steps in which some boxes have the value at some steps."""
    dataset = make_grid(0.25, 9)
    place = {**HOLE, "time": dataset["time"].values[steps]}
    dataset["ro"].loc[place] = value
    part = dataset.sel(latitude=slice(13, 8), longitude=slice(18, 23))
    return _put(part, folder, form, ro=UNDECLARED)


@pytest.fixture
def cells(network: RiverNetwork) -> RiverNetwork:
    return RiverNetwork(
        network.reach_id,
        network.downstream,
        None,
        {**network.attributes, "lat": network.attributes["lat"] + 0.1},
    )


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("value", [np.nan, -9999.0, 1e20, 9.96921e36])
def test_a_box_without_any_value_is_left_out_and_one_with_gaps_is_not(
    tmp_path: Path, cells: RiverNetwork, make_grid: Make, value: float, form: str
) -> None:
    def source(steps: list[int]) -> GridRunoff:
        folder = tmp_path / "_".join(map(str, steps))
        folder.mkdir()
        found = open_runoff(_grid(make_grid, folder, steps, value, form), cells, cell=0.5)
        assert isinstance(found, GridRunoff)
        return found

    sea = source(list(range(9))).read(None, 0, 9)
    assert np.isfinite(sea).all()
    for steps, when in (([0], "2000-01-01"), ([0, 1, 2], "2000-01-01"), ([5], "2000-01-06")):
        gap = source(steps)
        with pytest.raises(InputError, match=f"the reaches 50, first at {when}"):
            gap.read(None, 0, 9)
        with pytest.raises(InputError, match=f"the reaches 50, first at {when}"):
            gap.cells().read(0, 9)
        assert np.isfinite(gap.read(None, steps[-1] + 1, 9)).all()  # what is not read is no fault
        assert np.isfinite(gap.read([0, 1, 3, 4], 0, 9)).all()


def test_a_box_that_has_a_value_only_where_nobody_looked(
    tmp_path: Path, cells: RiverNetwork, make_grid: Make
) -> None:
    path = _grid(make_grid, tmp_path, [0, 1, 2, 4, 5, 6, 7, 8], np.nan)  # only the fourth step has one
    source = open_runoff(path, cells, cell=0.5)
    assert isinstance(source, GridRunoff)
    assert np.isfinite(source.read(None, 4, 9)).all()
    part = source.select([2, 3])
    for read in (
        source.cells().read,
        lambda a, b: source.read(None, a, b),
        lambda a, b: part.read(None, a, b),
    ):
        with pytest.raises(
            InputError, match="at 2000-01-01 and one at 2000-01-04 in boxes of the reaches 50"
        ):
            read(0, 9)
    other = source.select([0, 1]).cells()
    assert isinstance(other, CellRunoff)
    assert np.isfinite(other.read(0, 9)).all()


# -- forcings ------------------------------------------------------------------------------------------------


def _forcing(folder: Path, make: Make, value: float, name: str, units: str, form: str = "nc") -> Path:
    dataset = _with(make(), value).rename(runoff=name)
    dataset[name].attrs["units"] = units
    return _put(dataset, folder, form, **{name: UNDECLARED})


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("value", [*SIGNS, -99.9, 1e15, np.inf, -5.0])
def test_precipitation_under_every_sign(
    tmp_path: Path, network: RiverNetwork, make_runoff: Make, value: float, form: str
) -> None:
    path = _forcing(tmp_path, make_runoff, value, "precipitation", "mm/day", form)
    source = open_forcings(path, network, ["precipitation"])
    assert source.read(None, 0, 3).shape == (3, 5, 1)
    with pytest.raises(InputError, match=r"'precipitation' .* the reaches 20, first at 2000-01-04"):
        source.read(None, 0, 6)


@pytest.mark.parametrize(
    ("name", "units", "value", "is_value"),
    [
        ("temperature", "degC", -40.0, True),
        ("temperature", "degC", -99.0, False),
        ("temperature", "degF", -99.0, True),
        ("temperature", "degF", -999.0, False),
        ("temperature", "K", -5.0, False),
        ("net_radiation", "W m-2", -99.0, True),
        ("net_radiation", "W m-2", -9999.0, False),
        ("evaporation", "mm/day", -3.0, True),
        ("evaporation", "mm/day", -99.9, False),
        ("precipitation", "mm/day", -1e-4, True),
    ],
)
def test_what_is_a_value_depends_on_the_quantity(
    tmp_path: Path,
    network: RiverNetwork,
    make_runoff: Make,
    name: str,
    units: str,
    value: float,
    is_value: bool,
) -> None:
    source = open_forcings(_forcing(tmp_path, make_runoff, value, name, units), network, [name])
    if is_value:
        assert np.isfinite(source.read(None, 0, 6)).all()
    else:
        with pytest.raises(InputError, match="the reaches 20, first at 2000-01-04"):
            source.read(None, 0, 6)


# -- observations --------------------------------------------------------------------------------------------


def _observed(make: Make, value: float, **variables: Any) -> xr.Dataset:
    dataset = make().assign(variables)
    dataset["discharge"][2, 0] = value
    dataset["discharge"].attrs["units"] = "ft3/s"
    return dataset


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("value", [*SIGNS, -99.99, -5.0])
def test_observations_under_every_sign(
    tmp_path: Path, network: RiverNetwork, make_observations: Make, value: float, form: str
) -> None:
    path = _put(_observed(make_observations, value), tmp_path, form, discharge=UNDECLARED)
    found = read_observations(path, network)
    assert np.argwhere(np.isnan(found.discharge)).tolist() == [[2, 0]]
    if value in (-99.99, -5.0):
        assert (
            f"1 negative values of discharge at 1 gauges are taken for missing, most often {value:g}"
            in found.remark
        )
    else:
        assert not found.remark


@pytest.mark.parametrize("value", [np.inf, -np.inf])
def test_infinite_observations_are_refused(
    tmp_path: Path, network: RiverNetwork, make_observations: Make, value: float
) -> None:
    path = _put(_observed(make_observations, value), tmp_path, "nc")
    for negative in ("missing", "error", "keep"):
        with pytest.raises(
            InputError, match="the gauges 0A hold a discharge that is not finite, first at 2000-01-03"
        ):
            read_observations(path, network, negative=negative)  # type: ignore[arg-type]


def test_negative_observations_as_asked(tmp_path: Path, network: RiverNetwork) -> None:
    path = tmp_path / "q.csv"
    rows = [f"a,50,2000-01-0{d},{q}" for d, q in enumerate((1, -7, -7, -0.5, -9999), 1)]
    path.write_text("gauge,reach_id,time,discharge\n" + "\n".join(rows) + "\n")
    found = read_observations(path, network)
    assert np.isnan(found.discharge[:, 0]).tolist() == [False, True, True, True, True]
    assert (
        "3 negative values of discharge at 1 gauges are taken for missing, most often -7 m3/s (2 times)"
        in found.remark
    )
    kept = read_observations(path, network, negative="keep")
    assert kept.discharge[:4, 0].tolist() == [1, -7, -7, -0.5]
    assert np.isnan(kept.discharge[4, 0])
    with pytest.raises(
        InputError, match=r"gauges a hold 3 negative values .* first at 2000-01-02, most often -7"
    ):
        read_observations(path, network, negative="error")


def test_weights_positions_areas_and_errors_of_gauges(
    tmp_path: Path, network: RiverNetwork, make_observations: Make
) -> None:
    def read(**variables: Any) -> Any:
        return read_observations(
            _put(_observed(make_observations, 1.0, **variables), tmp_path, "nc"), network
        )

    for none in (-9999.0, -99.0, 1e20, np.nan):
        assert read(weight=("gauge", [none, 2.0])).weight.tolist() == [1.0, 2.0]
        error = read(discharge_error=("gauge", [none, 2.0], {"units": "m3 s-1"})).error
        assert np.isnan(error).all(axis=0).tolist() == [True, False]
        placed = read(lat=("gauge", [none, 11.0]), lon=("gauge", [none, 20.0])).placement.rows
        assert np.isnan(placed[0].distance)
        assert np.isnan(read(area_m2=("gauge", [none, 1.0])).placement.rows[0].area)
    for name, message in (("lat", "0A have an infinite lat"), ("area_m2", "0A have an infinite drainage area"),
                          ("weight", "0A has the weight inf")):  # fmt: skip
        with pytest.raises(InputError, match=message):
            read(**{name: ("gauge", [np.inf, 1.0])})
    (tmp_path / "q.csv").write_text(
        "gauge,reach_id,time,discharge,weight\na,50,2000-01-01,1,inf\na,50,2000-01-02,1,inf\n"
    )
    with pytest.raises(InputError, match="gauge a has the weight inf"):
        read_observations(tmp_path / "q.csv", network)


# -- networks, parameters ------------------------------------------------------------------------------------


@pytest.mark.parametrize("cell", ["-9999", "-9999.0", "NA", "", "1e20", "-999", "9.96921e36", "inf", "null"])
def test_attributes_and_lengths_of_a_network(tmp_path: Path, cell: str) -> None:
    path = tmp_path / "n.csv"
    table = "reach_id,downstream_id,length_m,slope,lat,lon,tmin\n10,-1,1000,{0},{0},{0},{0}\n20,10,{1},0.1,1,-99,-99\n"
    path.write_text(table.format(cell, 500))
    network = read_network(path)
    for name in ("slope", "lat", "lon", "tmin"):
        assert np.isnan(network.attributes[name]).tolist() == [True, False], name
    store.write_network(
        RiverNetwork(network.reach_id, network.downstream, None, {"slope": np.array([-9999.0, 1.0])}),
        tmp_path / "network.zarr",
    )
    assert np.isnan(read_network(tmp_path / "network.zarr").attributes["slope"]).tolist() == [True, False]
    path.write_text(table.format(1, cell))
    with pytest.raises(InputError, match="length of reach ids 20"):
        read_network(path)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("reach_id,downstream_id,length_m,lat\n1,-1,5,True\n2,1,5,False\n", "'lat' holds truth values"),
        ("reach_id,downstream_id,length_m\n1,-1,True\n2,1,False\n", "'length_m' holds truth values"),
        ("reach_id,downstream_id,length_m\nTrue,-1,5\nFalse,-1,5\n", "'reach_id' holds 'True' in row 1"),
        ("reach_id,downstream_id,length_m\n2000-01-01,-1,5\n", "'reach_id' holds '2000-01-01'"),
        ("reach_id,downstream_id,length_m,k,k\n1,-1,5,1,2\n", "the columns k appear more than once"),
        ("reach_id,downstream_id,length_m\n1,-1,5,9\n2,1,5,9\n", "rows of more cells"),
        *(
            (f"reach_id,downstream_id,length_m\n{one},-1,5\n2,-1,5\n", f"'reach_id' holds '{shown or one}' in row 1")
            for one, shown in (("1_1", ""), ("0x10", ""), ("1.5", ""), (str(2**63), ""), (str(2**64), ""),
                               ("9007199254740993.0", "9007199254740992.0"))
        ),
    ],
)  # fmt: skip
def test_tables_that_are_not_what_they_seem(tmp_path: Path, table: str, message: str) -> None:
    (tmp_path / "n.csv").write_text(table)
    with pytest.raises(InputError, match=message):
        read_network(tmp_path / "n.csv")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.assign(runoff=t["time"]), "'runoff' holds dates"),
        (lambda t: t.assign(runoff=t["runoff"] > 3), "'runoff' holds truth values"),
        (
            lambda t: t.assign(reach_id=t["reach_id"].astype("Int64").where(t.index != 4)),
            "'reach_id' is empty in row 5",
        ),
        (
            lambda t: t.assign(reach_id=t["reach_id"].astype(str).replace("10", "1_0")),
            "'reach_id' holds '1_0'",
        ),
        (
            lambda t: t.assign(reach_id=t["reach_id"].astype(np.uint64).where(t.index != 4, 2**63 + 4)),
            "below 2.63",
        ),
        (
            lambda t: t.assign(runoff=t["runoff"].astype(str).where(t.index != 8, "NA")),
            "the reaches 20, first at",
        ),
        (
            lambda t: t.assign(runoff=t["runoff"].astype("Float64").where(t.index != 8)),
            "the reaches 20, first at",
        ),
    ],
)
def test_parquet_of_other_types(
    tmp_path: Path, network: RiverNetwork, change: Callable[[pd.DataFrame], pd.DataFrame], message: str
) -> None:
    time = np.datetime64("2000-01-01", "ns") + np.arange(2) * np.timedelta64(1, "D")
    table = pd.DataFrame(
        {"time": np.repeat(time, 5), "reach_id": np.tile(network.reach_id, 2), "runoff": np.arange(10.0)}
    )
    for good in (
        table,
        table.assign(reach_id=table["reach_id"].astype(str), runoff=table["runoff"].astype(str)),
    ):
        good.to_parquet(tmp_path / "r.parquet")
        assert open_runoff(tmp_path / "r.parquet", network).read([3], 0, 2).tolist() == [[3], [8]]
    change(table).to_parquet(tmp_path / "r.parquet")
    with pytest.raises(InputError, match=message):
        open_runoff(tmp_path / "r.parquet", network)


@pytest.mark.parametrize("form", FORMATS)
def test_ids_stay_exact_beside_a_fill_value(tmp_path: Path, make_runoff: Make, form: str) -> None:
    ids = 2**60 + 1 + np.arange(5)
    network = RiverNetwork.from_ids(ids, [-1] * 5)
    dataset = make_runoff().drop_vars("reach").assign(reach_id=("reach", ids))
    path = _put(dataset, tmp_path, form, reach_id={"_FillValue": -9999})
    assert np.array_equal(open_runoff(path, network).read(None, 0, 6), dataset["runoff"].values)
    (tmp_path / "gap").mkdir()
    ids = np.where(np.arange(5) == 3, -9999, ids)
    path = _put(
        dataset.assign(reach_id=("reach", ids)), tmp_path / "gap", form, reach_id={"_FillValue": -9999}
    )
    with pytest.raises(InputError, match="'reach_id' has no value at position 3"):
        open_runoff(path, network)


def test_ids_of_characters(tmp_path: Path, network: RiverNetwork, make_runoff: Make) -> None:
    dataset = make_runoff()
    ids = [f"{one:04}" for one in dataset["reach"].values]
    dataset = dataset.drop_vars("reach").assign(reach_id=("reach", np.array(ids, "S6")))
    path = _put(dataset, tmp_path, "nc", reach_id={"dtype": "S1"})
    with netCDF4.Dataset(path) as file:
        assert file["reach_id"].dtype == "S1"
    assert np.array_equal(open_runoff(path, network).read([0], 0, 2), [[30000], [30001]])


@pytest.mark.parametrize("name", ["p.csv", "p.parquet", "p.nc", "p.zarr"])
@pytest.mark.parametrize("value", [-9999.0, 1e20, np.nan, np.inf, -999.0])
def test_parameters_under_every_sign(tmp_path: Path, network: RiverNetwork, name: str, value: float) -> None:
    path, k = tmp_path / name, np.where(network.reach_id == 20, value, 2.0)
    if name.endswith((".csv", ".parquet")):
        table = pd.DataFrame({"reach_id": network.reach_id, "k": k})
        table.to_csv(path, index=False) if name.endswith("csv") else table.to_parquet(path)
    else:
        dataset = xr.Dataset(
            {"k": ("reach", k, {"units": "h"})}, coords={"reach_id": ("reach", network.reach_id)}
        )
        path = _put(dataset, tmp_path, "nc" if name.endswith("nc") else "zarr3", k=UNDECLARED)
    with pytest.raises(InputError, match=r"parameter 'k' has no value.* for the reaches 20"):
        read_parameters(path, ["k"], network)


# -- nothing that is not finite is written -------------------------------------------------------------------


@pytest.mark.parametrize("name", ["q.nc", "q.zarr"])
@pytest.mark.parametrize("value", [np.nan, np.inf, 1e39])
def test_discharge_that_is_not_finite_is_not_written(
    tmp_path: Path, network: RiverNetwork, make_times: Make, name: str, value: float
) -> None:
    discharge = np.full((3, 5), 3e38)  # whose sum is not finite, and who is
    write_discharge(tmp_path / name, network.reach_id, make_times(3), discharge)
    (tmp_path / "other").mkdir()
    discharge[1, 3] = value
    with pytest.raises(
        InputError, match=r"discharge would be (nan|inf) for the reaches 20, first at 2000-01-02"
    ):
        write_discharge(tmp_path / "other" / name, network.reach_id, make_times(3), discharge)
    assert not list((tmp_path / "other").iterdir())


def test_nor_parameters_series_of_gauges_and_weights(
    tmp_path: Path, network: RiverNetwork, make_times: Make
) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    values = np.array([1.0, 2.0, 3.0, np.nan, 5.0])
    with pytest.raises(InputError, match="celerity would be nan for the reaches 20, which is not written"):
        write_parameters(folder / "p.csv", network.reach_id, {"celerity": values})
    with pytest.raises(InputError, match="celerity_upper would be inf for the reaches 20"):
        write_parameters(
            folder / "p.nc", network.reach_id, {"celerity_upper": np.where(np.isnan(values), np.inf, 1.0)}
        )
    series = np.array([[1.0, np.nan], [np.inf, 1.0]])
    with pytest.raises(InputError, match="would be inf for the reaches 10, first at 2000-01-02"):
        write_observations(folder / "o.nc", ["a", "b"], [10, 20], make_times(2), series)
    for name, value, refused in (
        ("estimate", np.nan, True),
        ("estimate", np.inf, True),
        ("observed", np.nan, False),
    ):

        def write(name: str = name, value: float = value) -> None:
            write_hydrographs(
                tmp_path / "h.nc", time=make_times(2), gauge=np.array(["a"]), reach_id=np.array([10]),
                held_out=np.array([False]), discharge={name: np.array([[1.0], [value]])},
            )  # fmt: skip

        if refused:
            with pytest.raises(
                InputError, match=f"{name} would be {value} for the reaches 10, first at 2000-01-02"
            ):
                write()
            assert not (tmp_path / "h.nc").exists()
        else:
            write()
    with pytest.raises(InputError, match="the weights 'w' are not finite"):
        write_weights(folder / "m.safetensors", {"w": np.array([1.0, np.nan])}, {})
    assert not list(folder.iterdir())
    write_weights(tmp_path / "m.safetensors", {"w": np.array([1.0, 2.0])}, {})
    assert read_weights(tmp_path / "m.safetensors")[0]["w"].tolist() == [1.0, 2.0]


@pytest.mark.parametrize(
    "edit",
    [
        lambda text: text.replace(",", ", "),
        lambda text: text.replace(",", " ,"),
        lambda text: "\n".join(line + "," for line in text.splitlines()) + "\n",
        lambda text: text.replace("\n", "\r\n"),
        lambda text: "\ufeff" + text,
    ],
    ids=["blanks before", "blanks behind", "commas at the end", "CRLF", "byte-order mark"],
)
def test_spelling_of_a_csv_does_not_matter(tmp_path: Path, edit: Callable[[str], str]) -> None:
    (tmp_path / "n.csv").write_text(
        edit("reach_id,downstream_id,length_m\n1,2,1000\n2,-1,2000\n"), newline=""
    )
    rows = "".join(f"007,2,2001-01-0{day},{day}.5\n" for day in range(1, 5))
    (tmp_path / "g.csv").write_text(edit("gauge,reach_id,time,discharge\n" + rows), newline="")
    wide = "".join(f"2001-01-0{day},1,{day}\n" for day in range(1, 5))
    (tmp_path / "r.csv").write_text(edit("time,1,2\n" + wide), newline="")
    network = read_network(tmp_path / "n.csv")
    assert network.reach_id.tolist() == [1, 2]
    assert network.length is not None
    assert network.length.tolist() == [1000.0, 2000.0]
    observed = read_observations(tmp_path / "g.csv", network)
    assert observed.gauge.tolist() == ["007"]
    assert observed.discharge[:, 0].tolist() == [1.5, 2.5, 3.5, 4.5]
    assert open_runoff(tmp_path / "r.csv", network).read(None, 0, 4)[:, 1].tolist() == [1.0, 2.0, 3.0, 4.0]
