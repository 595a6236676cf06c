"""Runoff in several files and variables, in calendars of models, and by tables of weights: tiny files of our own."""

from __future__ import annotations

import logging
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import tiny_networks as tiny
import xarray as xr

import rivergrad as rg

IDS = np.array([30, 10, 20])
NETWORK = rg.RiverNetwork.from_ids(
    IDS,
    [-1, 30, 30],
    [1e3] * 3,
    {"area_m2": np.array([3e6, 1e6, 2e6]), "lat": [1.0, 2.0, 3.0], "lon": [5.0] * 3},
)
DAY = 86400.0


def reaches(
    path: Path, time: Any, values: Any, *, name: str = "runoff", units: str = "m3 s-1", **attrs: Any
) -> Path:
    """runoff(time, reach) of the reaches 10, 20 and 30."""
    ids = np.array([10, 20, 30])[: np.shape(values)[-1]]
    xr.Dataset(
        {
            name: (("time", "reach"), np.asarray(values, np.float32), {"units": units}),
            "reach_id": ("reach", ids),
            "time": ("time", np.asarray(time), {"units": "days since 2001-01-01", **attrs}),
        }
    ).to_netcdf(path)
    return path


def refused(match: str, path: Any, **options: Any) -> None:
    with pytest.raises(rg.InputError, match=match) as error:
        rg.open_runoff(path, NETWORK, **options)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) <= 600


def every(source: rg.RunoffSource) -> list[list[float]]:
    """Values of the reaches 10, 20 and 30."""
    return source.read(NETWORK.positions([10, 20, 30]), 0, source.time.size).tolist()


def test_files_that_follow_one_another_are_one_record(tmp_path: Path) -> None:
    reaches(tmp_path / "r_2.nc", [2, 3], [[7, 8, 9], [1, 2, 3]])
    reaches(tmp_path / "r_1.nc", [0, 1], [[1, 2, 3], [4, 5, 6]])
    source = rg.open_runoff(tmp_path / "r_*.nc", NETWORK)
    assert source.time.astype("datetime64[D]").astype(int).tolist() == [11323, 11324, 11325, 11326]
    assert every(source) == [[1, 2, 3], [4, 5, 6], [7, 8, 9], [1, 2, 3]]
    # in pieces, of some reaches, after pickling, over the end of a file
    other = pickle.loads(pickle.dumps(source.select([2, 0])))
    assert other.read([1], 1, 3).tolist() == [[6], [9]]
    other.close()
    assert other.read(None, 3, 4).tolist() == [[2, 3]]
    listed = rg.open_runoff([tmp_path / "r_2.nc", tmp_path / "r_1.nc"], NETWORK)
    assert every(listed) == every(source)
    assert rg.open_runoff([tmp_path / "r_1.nc"], NETWORK).time.size == 2


@pytest.mark.parametrize("calendar", ["standard", "noleap"])
@pytest.mark.parametrize("units", [True, False])
@pytest.mark.parametrize("place", ["end", "middle"])
def test_bounds_of_files_that_count_from_origins_of_their_own(
    calendar: str, units: bool, place: str, tmp_path: Path
) -> None:
    """CF lets bounds do without units: they are those of the times, in each file its own."""
    for month, values in (("2001-02", [[1, 1, 1], [2, 2, 2]]), ("2001-03", [[3, 3, 3], [4, 4, 4]])):
        first = 26 if month == "2001-02" else 0  # 27 and 28 February, 1 and 2 March
        low = (np.arange(2.0) + first) * 24
        said = {"units": f"hours since {month}-01", "calendar": calendar}
        xr.Dataset(
            {
                "runoff": (("time", "reach"), np.asarray(values, np.float32), {"units": "m3 s-1"}),
                "reach_id": ("reach", [10, 20, 30]),
                "edges": (("time", "nv"), np.stack([low, low + 24], 1), said if units else {}),
                "time": ("time", low + {"end": 24, "middle": 12}[place], {**said, "bounds": "edges"}),
            }
        ).to_netcdf(tmp_path / f"r_{month}.nc")
    source = rg.open_runoff(tmp_path / "r_*.nc", NETWORK)
    assert source.time.astype("datetime64[h]").astype(str).tolist() == [
        f"2001-{day}T00" for day in ("02-27", "02-28", "03-01", "03-02")
    ]
    assert [row[0] for row in every(source)] == [1, 2, 3, 4]


def test_bounds_that_later_files_lack_or_that_have_another_shape(tmp_path: Path) -> None:
    first = reaches(tmp_path / "a.nc", [0, 1], [[1, 2, 3], [4, 5, 6]], bounds="edges")
    with xr.open_dataset(first, decode_cf=False) as given:
        made = given.load()
    made["edges"] = (("time", "nv"), [[0, 1], [1, 2]])
    made.to_netcdf(first)
    later = reaches(tmp_path / "b.nc", [2, 3], [[7, 8, 9]] * 2)
    refused("b.nc: variable 'edges' is missing", [first, later])
    with xr.open_dataset(later, decode_cf=False) as given:
        made = given.load()
    made["edges"] = (("time", "three"), [[0, 1, 2], [1, 2, 3]])
    made.to_netcdf(later)
    refused(r"b.nc: 'edges' has the shape \(2, 3\); expected \(2, 2\)", [first, later])


def test_mistakes_in_several_files(tmp_path: Path) -> None:
    first = reaches(tmp_path / "a.nc", [0, 1], [[1, 2, 3], [4, 5, 6]])
    refused("no file fits", tmp_path / "z*.nc")
    refused("follow one another", [first, reaches(tmp_path / "b.nc", [1, 2], [[7, 8, 9]] * 2)])
    refused("by 3 d after", [first, reaches(tmp_path / "c.nc", [4, 5], [[7, 8, 9]] * 2)])
    (tmp_path / "d.nc").write_bytes(first.read_bytes()[:500])
    refused("d.nc", [first, tmp_path / "d.nc"])
    (tmp_path / "e.nc").touch()
    refused("e.nc", [first, tmp_path / "e.nc"])
    (tmp_path / "t.csv").write_text("time,10,20,30\n2001-01-01,1,2,3\n2001-01-02,1,2,3\n")
    refused("one file", [tmp_path / "t.csv", first])
    refused("is no NetCDF or Zarr|one file", [first, tmp_path / "t.csv"])
    broken = rg.open_runoff(
        [first, reaches(tmp_path / "f.nc", [2, 3], [[7, 8, 9]] * 2, name="other")], NETWORK
    )
    with pytest.raises(rg.InputError, match=r"f.nc: variable 'runoff' is missing"):
        broken.read(None, 0, 4)


def single(path: Path, hour: int, surface: Any, below: Any, *, scalar: bool) -> Path:
    """A file of one time, whose variables have no time; surface and subsurface runoff apart, packed."""
    time: Any = hour if scalar else ("time", [hour])
    packed = {"dtype": "int32", "scale_factor": 0.001, "_FillValue": -99990}
    xr.Dataset(
        {
            "Qs": ("reach", np.asarray(surface, np.float64), {"units": "m3 s-1"}, packed),
            "Qsb": ("reach", np.asarray(below, np.float64), {"units": "m3 s-1"}, packed),
            "reach_id": ("reach", [20, 10, 30]),
        },
        coords={"time": time},
    ).assign_coords(
        time=xr.Variable(
            () if scalar else ("time",), hour if scalar else [hour], {"units": "hours since 2001-01-01"}
        )
    ).to_netcdf(path)
    return path


@pytest.mark.parametrize("scalar", [True, False])
def test_a_file_a_step_and_two_variables_that_are_summed(
    scalar: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    single(tmp_path / "q_b.nc", 1, [1, 2, 3], [0.5, 0.5, 0.25], scalar=scalar)
    single(tmp_path / "q_a.nc", 0, [4, 5, 6], [0, 0, 0], scalar=scalar)
    with caplog.at_level(logging.WARNING, logger="rivergrad"):
        source = rg.open_runoff(tmp_path / "q_*.nc", NETWORK)
    assert "runoff is Qs + Qsb" in caplog.text
    np.testing.assert_allclose(
        every(source), [[5, 4, 6], [2.5, 1.5, 3.25]]
    )  # by id: 20 comes first in the file
    assert source.step == 3600.0
    named = rg.open_runoff(tmp_path / "q_*.nc", NETWORK, variable=["Qsb", "Qs"])
    np.testing.assert_allclose(every(named), every(source))
    one = rg.open_runoff(tmp_path / "q_*.nc", NETWORK, variable="Qs")
    np.testing.assert_allclose(every(one), [[5, 4, 6], [2, 1, 3]])
    refused("'Qx' is missing", tmp_path / "q_*.nc", variable=["Qs", "Qx"])


def test_a_part_of_a_sum_that_is_missing(tmp_path: Path) -> None:
    single(tmp_path / "q_a.nc", 0, [1, np.nan, 1], [1, 1, 1], scalar=False)
    single(tmp_path / "q_b.nc", 1, [1, 1, 1], [1, 1, 1], scalar=False)
    with pytest.raises(rg.InputError, match=r"Qs \+ Qsb' has no value .* reaches 10, first at 2001-01-01"):
        rg.open_runoff(tmp_path / "q_*.nc", NETWORK).read(None, 0, 2)


def test_sums_of_different_units_are_refused(tmp_path: Path) -> None:
    xr.Dataset(
        {
            "Qs": (("time", "reach"), np.ones((2, 3)), {"units": "m3 s-1"}),
            "Qsb": (("time", "reach"), np.ones((2, 3)), {"units": "ft3 s-1"}),
            "reach_id": ("reach", [10, 20, 30]),
            "time": ("time", [0, 1], {"units": "days since 2001-01-01"}),
        }
    ).to_netcdf(tmp_path / "q.nc")
    refused("have the units ft3 s-1, m3 s-1; expected one", tmp_path / "q.nc", variable=["Qs", "Qsb"])


def test_a_calendar_without_leap_days(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    # 27 and 28 February, 1 and 2 March 2004, in a calendar that has no 29th
    days = np.arange(4) + 3 * 365 + 57
    path = reaches(tmp_path / "r.nc", days, [[1, 1, 1], [2, 2, 2], [3, 3, 3], [4, 4, 4]], calendar="noleap")
    with caplog.at_level(logging.WARNING, logger="rivergrad"):
        source = rg.open_runoff(path, NETWORK)
    assert source.time.astype("datetime64[D]").astype(str).tolist() == [
        "2004-02-27", "2004-02-28", "2004-02-29", "2004-03-01", "2004-03-02",
    ]  # fmt: skip
    assert [row[0] for row in every(source)] == [1, 2, 2, 3, 4]
    assert (
        "noleap: 1 steps on days it lacks have the values of the day before, the first on 2004-02-29"
        in caplog.text
    )


def test_a_calendar_of_360_days(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    # from 27 January 2001 on: the 31st is lacking; 29 and 30 February do not exist
    days = np.arange(36) + 26
    path = reaches(tmp_path / "r.nc", days, np.arange(36.0)[:, None] * np.ones(3), calendar="360_day")
    with caplog.at_level(logging.WARNING, logger="rivergrad"):
        source = rg.open_runoff(path, NETWORK)
    dates = source.time.astype("datetime64[D]").astype(str).tolist()
    assert (dates[0], dates[4], dates[-1], len(dates)) == ("2001-01-27", "2001-01-31", "2001-03-02", 35)
    values = [row[0] for row in every(source)]
    assert values[3:6] == [3, 3, 4]  # 31 January has what 30 January has
    assert values[32:] == [31, 34, 35]  # 28 February, then 1 March
    assert "2 steps on days that do not exist are dropped, the first on 2001-02-29" in caplog.text


def test_reaches_without_inflow_can_be_right(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = reaches(tmp_path / "r.nc", [0, 1], [[1, 2], [3, 4]])  # of 10 and 20
    refused("lacks the reaches 30", path)
    with caplog.at_level(logging.WARNING, logger="rivergrad"):
        source = rg.open_runoff(path, NETWORK, absent="zero")
    assert "lacks 1 of 3 reaches, which have no inflow" in caplog.text
    assert every(source) == [[1, 2, 0], [3, 4, 0]]
    assert source.select([0]).read(None, 0, 2).tolist() == [[0], [0]]
    (tmp_path / "t.csv").write_text("time,10,20\n2001-01-01,1,2\n2001-01-02,3,4\n")
    assert every(rg.open_runoff(tmp_path / "t.csv", NETWORK, absent="zero")) == [[1, 2, 0], [3, 4, 0]]


# -- tables of weights ---------------------------------------------------------------------------------------------


@pytest.fixture
def grid(tmp_path: Path) -> Path:
    """ro(time, lat, lon) in mm a day: 3 rows from north to south, 4 columns; the cell in the corner is the sea."""
    depth = np.arange(12.0).reshape(3, 4) + 1.0
    depth[2, 3] = np.nan
    xr.Dataset(
        {"ro": (("time", "lat", "lon"), np.stack([depth, 2 * depth]), {"units": "mm"})},
        coords={
            "time": ("time", [0, 1], {"units": "days since 2001-01-01"}),
            "lat": ("lat", [12.0, 11.0, 10.0], {"units": "degrees_north"}),
            "lon": ("lon", [5.0, 6.0, 7.0, 8.0], {"units": "degrees_east"}),
            "hru_id": (("lat", "lon"), np.arange(12).reshape(3, 4) + 100),
        },
    ).to_netcdf(tmp_path / "ro.nc")
    return tmp_path / "ro.nc"


# (reach, row, column, m2): 10 has two cells, 20 one, 30 none
ROWS = [(10, 0, 1, 1e6), (10, 1, 1, 3e6), (20, 2, 0, 2e6), (30, 0, 0, 0.0)]
VOLUME = [(2e3 * 1 + 6e3 * 3), 9e3 * 2, 0.0]
"""m3 on the first day, of 10, 20 and 30."""


def rapid_csv(folder: Path, rows: Any = ROWS) -> Path:
    frame = pd.DataFrame(rows, columns=["rivid", "lat_index", "lon_index", "area_sqm"])
    frame["npoints"] = 1
    frame[["rivid", "area_sqm", "lon_index", "lat_index", "npoints"]].to_csv(folder / "w.csv", index=False)
    return folder / "w.csv"


def river_route(folder: Path) -> Path:
    frame = pd.DataFrame(ROWS, columns=["river_id", "y_index", "x_index", "area_sqm"])
    xr.Dataset({name: ("index", frame[name].to_numpy()) for name in frame}).to_netcdf(folder / "w.nc")
    return folder / "w.nc"


def by_share(rows: Any) -> list[tuple[int, int, int, float]]:
    """The rows with shares of each reach's own area, which is 1, 2 and 3 km2 in the network."""
    total = {10: 4e6, 20: 2e6}
    return [(one, row, column, area / total[one]) for one, row, column, area in rows if area]


def xesmf(folder: Path) -> Path:
    rows = by_share(ROWS)
    xr.Dataset(
        {
            "S": ("n_s", [one[3] for one in rows]),
            "row": ("n_s", [[10, 20, 30].index(one[0]) + 1 for one in rows]),
            "col": ("n_s", [4 * one[1] + one[2] + 1 for one in rows]),
            "reach_id": ("n_b", [10, 20, 30]),
        }
    ).to_netcdf(folder / "w.nc")
    return folder / "w.nc"


def remap_flat(folder: Path) -> Path:
    rows = by_share(ROWS)
    xr.Dataset(
        {
            "polyid": ("polyid", [10, 20, 30]),
            "frequency": ("polyid", [2, 1, 0]),
            "IDmask": ("intersect", [one[0] for one in rows]),
            "weight": ("intersect", [one[3] for one in rows]),
            "i_index": ("intersect", [one[2] + 1 for one in rows]),
            "j_index": ("intersect", [one[1] + 1 for one in rows]),
        }
    ).to_netcdf(folder / "w.nc")
    return folder / "w.nc"


def remap_two(folder: Path) -> Path:
    nothing = -999
    weight = [[0.25, 0.75], [1.0, nothing], [nothing, nothing]]
    cell = [[101, 105], [108, nothing], [nothing, nothing]]
    xr.Dataset(
        {
            "hruid": ("hruid", [10, 20, 30]),
            "weight": (("hruid", "overlapPoly"), np.array(weight, np.float64)),
            "overlapPolyId": (("hruid", "overlapPoly"), np.array(cell)),
        }
    ).to_netcdf(folder / "w.nc")
    return folder / "w.nc"


def grid_weights(folder: Path) -> Path:
    lines = [f"   {one} {4 * row + column} {share}" for one, row, column, share in by_share(ROWS)]
    text = [
        ":GridWeights",
        "  :NumberHRUs 3",
        "  :NumberGridCells 12",
        *lines,
        "  30 0 0.0",
        ":EndGridWeights",
    ]
    (folder / "w.rvt").write_text("\n".join(text) + "\n")
    return folder / "w.rvt"


@pytest.mark.parametrize("make", [rapid_csv, river_route])
def test_weights_that_are_areas(make: Any, grid: Path, tmp_path: Path) -> None:
    source = rg.open_runoff(grid, NETWORK, weights=make(tmp_path))
    np.testing.assert_allclose(every(source)[0], np.array(VOLUME) / DAY)
    np.testing.assert_allclose(every(source)[1], 2 * np.array(VOLUME) / DAY)


@pytest.mark.parametrize("make", [xesmf, remap_flat, remap_two, grid_weights])
def test_weights_that_are_shares(make: Any, grid: Path, tmp_path: Path) -> None:
    source = rg.open_runoff(grid, NETWORK, weights=make(tmp_path))
    expected = np.array([(2.0 / 4 + 6.0 * 3 / 4) * 1e3, 9.0 * 2e3, 0.0]) / DAY
    np.testing.assert_allclose(every(source)[0], expected)


def test_counts_of_overlaps_stand_for_the_ids_of_each(grid: Path, tmp_path: Path) -> None:
    path = remap_flat(tmp_path)
    whole = rg.open_runoff(grid, NETWORK, weights=path)
    expected = every(whole)
    assert every(rg.open_runoff(grid, NETWORK, weights=damaged(path, IDmask=None))) == expected


def test_two_tables_that_follow_one_another(grid: Path, tmp_path: Path) -> None:
    """Cells to HRUs 1 to 4, of which 1 and 2 drain to 10, and 3 and 4 to 30; 20 has none."""
    (tmp_path / "w.rvt").write_text(
        ":GridWeights\n1 0 1.0\n2 1 0.5\n2 2 0.5\n3 3 1\n4 4 1\n:EndGridWeights\n"
    )
    topology = tiny.mizuroute(tmp_path, tiny.IDS, tiny.DOWN)
    source = rg.open_runoff(grid, NETWORK, weights=[tmp_path / "w.rvt", topology])
    expected = np.array([1.0 * 1 + 2.5 * 2, 0.0, 4.0 * 3 + 5.0 * 4]) * 1e3 / DAY
    np.testing.assert_allclose(every(source)[0], expected)
    refused("names none of the reaches", grid, weights=[topology, tmp_path / "w.rvt"])


def test_hrus_of_a_file_by_their_ids(tmp_path: Path) -> None:
    xr.Dataset(
        {
            "RUNOFF": (("time", "hru"), [[4.0, 3.0, 2.0, 1.0]] * 2, {"units": "mm"}),
            "hruId": ("hru", [4, 3, 2, 1]),
            "time": ("time", [0, 1], {"units": "days since 2001-01-01"}),
        }
    ).to_netcdf(tmp_path / "hru.nc")
    source = rg.open_runoff(
        tmp_path / "hru.nc", NETWORK, weights=tiny.mizuroute(tmp_path, tiny.IDS, tiny.DOWN)
    )
    np.testing.assert_allclose(every(source)[0], np.array([1 + 2 * 2, 0.0, 3 * 3 + 4 * 4]) * 1e3 / DAY)


def test_cells_of_the_sea_leave_their_part_to_the_others(grid: Path, tmp_path: Path) -> None:
    rows = [*ROWS[:2], (20, 2, 3, 1e6), (20, 2, 0, 1e6), (30, 0, 0, 0.0)]
    source = rg.open_runoff(grid, NETWORK, weights=rapid_csv(tmp_path, rows))
    np.testing.assert_allclose(every(source)[0], np.array(VOLUME) / DAY)
    at_sea = rapid_csv(tmp_path, [*ROWS[:2], (20, 2, 3, 1e6)])
    refused("20 lie where the runoff has no values", grid, weights=at_sea, absent="zero")


def test_bad_tables_of_weights(grid: Path, tmp_path: Path) -> None:
    refused("row 3 and column 0.*3 by 4", grid, weights=rapid_csv(tmp_path, [*ROWS, (30, 3, 0, 1.0)]))
    refused("weight of 30 is -1", grid, weights=rapid_csv(tmp_path, [*ROWS, (30, 1, 0, -1.0)]))
    refused("lacks the reaches 30", grid, weights=rapid_csv(tmp_path, ROWS[:3]))
    refused("names none of the reaches", grid, weights=rapid_csv(tmp_path, [(7, 0, 0, 1.0)]))
    (tmp_path / "x.csv").write_text("rivid,area_sqm\n10,1\n")
    refused("lacks lon_index, lat_index", grid, weights=tmp_path / "x.csv")
    (tmp_path / "x.csv").write_text("")
    refused("x.csv", grid, weights=tmp_path / "x.csv")
    (tmp_path / "x.rvt").write_text(":GridWeights\n1 2\n:EndGridWeights\n")
    refused("has 2 numbers; expected three", grid, weights=tmp_path / "x.rvt")
    refused("is no table of weights", grid, weights=grid)
    refused("no such", grid, weights=tmp_path / "none.csv")
    moved = pd.read_csv(rapid_csv(tmp_path)).assign(lon=5.0, lat=10.0)
    moved.to_csv(tmp_path / "w.csv", index=False)
    refused("expected the grid that the weights were made for", grid, weights=tmp_path / "w.csv")


def damaged(path: Path, **changes: Any) -> Path:
    """A table of weights with other variables: None takes one away."""
    with xr.open_dataset(path, decode_cf=False) as given:
        made = given.load()
    for name, change in changes.items():
        made = made.drop_vars(name)
        if change is not None:
            made[name] = change
    made.to_netcdf(path.with_name("bad.nc"))
    return path.with_name("bad.nc")


LONE, OTHER = ("n", [1]), ("n", [1.0, 1.0])


@pytest.mark.parametrize(
    ("make", "changes", "match"),
    [
        (river_route, {"x_index": ("n", [0, 1])}, "shape .4,., and ids or indexes of shape .2,."),
        (river_route, {"area_sqm": OTHER}, "shape .2,., and ids or indexes of shape .4,."),
        (remap_flat, {"weight": None}, "variable 'weight' is missing"),
        (remap_flat, {"weight": OTHER}, "shape .2,., and ids or indexes of shape .3,."),
        (remap_flat, {"i_index": OTHER}, "shape .3,., and ids or indexes of shape .2,."),
        (remap_flat, {"IDmask": None, "frequency": ("n", [2, 1, 1])}, "shape .3,., and ids .* .4,."),
        (remap_flat, {"IDmask": None, "frequency": ("n", [4, -1, 0])}, "catchment with -1 overlaps"),
        (remap_flat, {"IDmask": None, "frequency": LONE}, "shape .3,., and ids or indexes of shape .1,."),
        (remap_flat, {"IDmask": ("intersect", ["a", "b", "c"])}, "IDmask"),
        (remap_two, {"hruid": ("n", [10, 20])}, "shape .3,., and ids or indexes of shape .2,."),
        (
            remap_two,
            {"overlapPolyId": (("hruid", "one"), [[1], [1], [1]])},
            "shape .3, 2., and ids .* .3, 1.",
        ),
        (xesmf, {"S": OTHER}, "shape .2,., and ids or indexes of shape .3,."),
        (xesmf, {"row": ("n_s", [0, 1, 2])}, "row holds"),
        (xesmf, {"reach_id": None}, "has no reach_id of its rows"),
    ],
)
def test_tables_of_weights_whose_parts_do_not_fit(
    make: Any, changes: dict[str, Any], match: str, grid: Path, tmp_path: Path
) -> None:
    refused(match, grid, weights=damaged(make(tmp_path), **changes))


@pytest.mark.parametrize("make", [river_route, xesmf])
@pytest.mark.parametrize("value", [np.nan, np.inf, 1e20, -1.0])
def test_a_weight_that_is_none_is_refused(make: Any, value: float, grid: Path, tmp_path: Path) -> None:
    name = "area_sqm" if make is river_route else "S"
    path = make(tmp_path)
    with xr.open_dataset(path) as given:
        values = given[name].values.astype(np.float64)
        dim = given[name].dims
    values[0] = value
    refused("the weight of 10 is", grid, weights=damaged(path, **{name: (dim, values)}))


@pytest.mark.parametrize("make", [rapid_csv, river_route, remap_flat, remap_two, grid_weights, xesmf])
@pytest.mark.parametrize("how", ["truncated", "empty", "another"])
def test_tables_of_weights_that_are_damaged(make: Any, how: str, grid: Path, tmp_path: Path) -> None:
    path = make(tmp_path)
    content = path.read_bytes()
    half = content[: content.rstrip().rfind(b"\n") + 2] if path.suffix in (".csv", ".rvt") else content[:500]
    path.write_bytes({"truncated": half, "empty": b"", "another": b"\x00no such thing\xff" * 9}[how])
    refused(path.name, grid, weights=path)


def test_flows_have_no_weights(tmp_path: Path) -> None:
    path = reaches(tmp_path / "r.nc", [0, 1], [[1, 2, 3], [3, 4, 5]])
    refused("expected a depth such as mm/day", path, weights=rapid_csv(tmp_path))
