"""Which reach a gauge is put on, and what the table says about it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from rivercut.network import RiverNetwork
from rivergrad.errors import InputError
from rivergrad.io import Placement, PlacementSettings, read_observations, write_placement
from rivergrad.io.placement import EARTH_RADIUS, NONE, GaugeSites, great_circle, place

KM2 = 1e6
KM_PER_DEGREE = EARTH_RADIUS / 1000 * np.pi / 180

IDS = [1, 2, 3, 4, 5]
LAT = [0.0, 0.01, 0.005, 0.005, 0.005]
LON = [0.0, 0.0, 0.01, 0.03, 0.012]
OWN = np.array([100.0, 20.0, 10.0, 30.0, 5.0]) * KM2
UPSTREAM = np.array([100.0, 20.0, 130.0, 160.0, 5.0]) * KM2


def river(**attributes: Any) -> RiverNetwork:
    """1 (100 km2) and 2 (20 km2) flow into 3 (130 km2), it into 4 (160 km2); 5 (5 km2) is a brook of its own beside 3.

    All are 2 km long; 3 and 5 lie 0.22 km apart, 3 and 4 2.2 km.
    """
    values = {"lat": np.array(LAT), "lon": np.array(LON), "upstream_area_m2": UPSTREAM, **attributes}
    return RiverNetwork.from_ids(
        IDS,
        [3, 3, 4, -1, -1],
        np.full(5, 2000.0),
        {name: array for name, array in values.items() if array is not None},
    )


def sites(*gauges: tuple[int | None, tuple[float, float] | None, float | None]) -> GaugeSites:
    """Gauges a, b, … by (reach id, (lat, lon), drainage area in km2), None for what they lack."""
    nowhere = (np.nan, np.nan)
    return GaugeSites(
        np.array([chr(ord("a") + i) for i in range(len(gauges))]),
        np.array([NONE if one[0] is None else one[0] for one in gauges]),
        np.array([(one[1] or nowhere)[0] for one in gauges]),
        np.array([(one[1] or nowhere)[1] for one in gauges]),
        np.array([np.nan if one[2] is None else one[2] * KM2 for one in gauges]),
    )


def placed(*gauges: Any, network: RiverNetwork | None = None, **options: Any) -> Placement:
    return place(sites(*gauges), network or river(), PlacementSettings(**options), source="q.nc")


AT_5 = (0.005, 0.0121)  # 11 m from the brook, 234 m from the river


@pytest.mark.parametrize(
    ("gauge", "reach", "how", "status", "reason"),
    [
        ((3, None, None), 3, "id", "matched", ""),
        ((3, None, 120.0), 3, "id", "matched", ""),
        ((3, (0.005, 0.01), 120.0), 3, "id", "matched", ""),
        ((3, (1.0, 0.01), None), 3, "id", "matched", "110.6 km from the point of its reach"),
        ((None, AT_5, None), 5, "position", "matched", "no drainage area of the gauge to compare with"),
        # the nearest is the brook, the one that fits the river
        ((None, AT_5, 125.0), 3, "area", "matched", ""),
        ((None, AT_5, 150.0), 4, "area", "matched", ""),
        ((None, AT_5, 4.0), 5, "area", "matched", ""),
        # along the river: down, and to the other branch
        ((2, None, 128.0), 3, "area", "moved", "its drainage area is 128 km2 and that of reach 2 20 km2"),
        ((2, None, 98.0), 1, "area", "moved", "its drainage area is 98 km2 and that of reach 2 20 km2"),
        # no way along the river, but the position tells
        ((5, AT_5, 125.0), 3, "area", "moved", "its drainage area is 125 km2 and that of reach 5 5 km2"),
        # above the end of a headwater, and between the ends of 3 and 4
        ((1, None, 30.0), 1, "id", "matched", "inside the catchment of its reach, with 0.3 of its drainage area"),
        ((77, AT_5, 125.0), 3, "area", "moved", "reach 77 is not in the network"),
        ((77, AT_5, None), 5, "position", "moved", "reach 77 is not in the network; no drainage area of the gauge"),
        ((None, (0.0, 0.0), 30.0), 2, "area", "matched", ""),
    ],
)  # fmt: skip
def test_where_a_gauge_goes(gauge: Any, reach: int, how: str, status: str, reason: str) -> None:
    (row,) = placed(gauge).rows
    assert (row.reach_id, row.how, row.status) == (reach, how, status)
    assert row.reason.startswith(reason)
    assert bool(row.reason) == bool(reason)
    assert IDS[row.reach] == row.reach_id
    assert row.given == (NONE if gauge[0] is None else gauge[0])


@pytest.mark.parametrize(
    ("gauge", "reason"),
    [
        (
            (3, None, 1000.0),
            "its drainage area is 1000 km2 and that of reach 3 130 km2; no reach within 5 km",
        ),
        ((5, None, 125.0), "its drainage area is 125 km2 and that of reach 5 5 km2; no reach within 5 km"),
        ((None, (1.0, 0.01), 125.0), "no reach within 5 km: the nearest, 2, is 110.1 km away"),
        (
            (None, AT_5, 1000.0),
            "its drainage area is 1000 km2, and within 5 km there are reach 5 5 km2, reach 3",
        ),
        ((77, None, None), "reach 77 is not in the network"),
        ((None, None, None), "it has neither a reach_id nor a position"),
    ],
)
def test_what_is_dropped(gauge: Any, reason: str) -> None:
    good = (4, None, None)
    one, other = placed(gauge, good, unknown="drop").rows
    assert (one.reach, one.reach_id, one.how, one.status) == (NONE, NONE, "", "dropped")
    assert one.reason.startswith(reason)
    assert other.reach_id == 4


def test_distances() -> None:
    near, along, given, other = placed(
        (None, AT_5, None), (2, None, 98.0), (3, None, None), (5, AT_5, 125.0)
    ).rows
    assert near.distance == pytest.approx(0.0001 * KM_PER_DEGREE * 1000, rel=1e-6)
    assert along.distance == 4000.0  # from the middle of 2 to that of 3, and to that of 1
    assert np.isnan(given.distance)
    assert other.distance == pytest.approx(0.0021 * KM_PER_DEGREE * 1000, rel=1e-6)
    (row,) = placed((2, AT_5, 98.0), network=river(lat=None, lon=None)).rows
    assert (row.reach_id, row.distance) == (1, 4000.0)  # a position is of no use where reaches have none
    # what lies beyond the distance is no candidate
    with pytest.raises(InputError, match=r"no reach within 1.9 km fits it better"):
        placed((2, None, 98.0), distance=1900.0)
    with pytest.raises(InputError, match=r"no reach within 0.01 km: the nearest, 5, is 0.01112 km away"):
        placed((None, AT_5, None), distance=10.0)


def test_on_the_sphere() -> None:
    def between(*points: float) -> float:
        return float(great_circle(*(np.asarray(one) for one in points)))

    assert between(0, 0, 90, 0) == pytest.approx(EARTH_RADIUS * np.pi / 2)
    assert between(0, 0, 0, 180) == pytest.approx(EARTH_RADIUS * np.pi)
    assert between(60, 0, 60, 1) == pytest.approx(KM_PER_DEGREE * 500, rel=1e-4)
    assert between(0, 179.9995, 0, -179.9995) == pytest.approx(KM_PER_DEGREE, rel=1e-6)
    network = river(lon=np.array([-179.9999, 10.0, 20.0, 30.0, 40.0]))
    row = placed((None, (0.0, 179.9999), None), network=network).rows[0]
    assert row.reach_id == 1
    assert row.distance == pytest.approx(0.2 * KM_PER_DEGREE, rel=1e-6)
    row = placed((None, (0.0, 180.0001), None), network=network).rows[0]  # the same place from 0 to 360
    assert row.distance == pytest.approx(0.0, abs=1e-6)


def test_areas_are_summed_where_the_network_has_none() -> None:
    gauges = [(2, None, 128.0), (1, None, 30.0), (3, None, 1000.0), (None, AT_5, 150.0)]
    by_sum = placed(*gauges, network=river(upstream_area_m2=None, area_m2=OWN))
    assert [row.reach_area for row in placed(*gauges).rows] == [row.reach_area for row in by_sum.rows]
    assert np.array_equal(placed(*gauges).reach, by_sum.reach)


def test_nothing_to_compare_with_keeps_the_reach() -> None:
    without = river(upstream_area_m2=None)
    (row,) = placed((3, None, 1000.0), network=without).rows
    assert (row.reach_id, row.how, row.status) == (3, "id", "matched")
    assert row.reason == "no drainage area of its reach to compare with"
    (row,) = placed((None, AT_5, 1000.0), network=without).rows
    assert (row.reach_id, row.how) == (5, "position")
    assert row.reason == "no drainage area of the reaches nearby to compare with"
    partly = UPSTREAM.copy()
    partly[4] = np.nan  # the area of the nearest is not known: those that have one decide
    (row,) = placed((None, AT_5, 125.0), network=river(upstream_area_m2=partly)).rows
    assert row.reach_id == 3


def test_two_gauges_on_one_reach_are_both_kept_and_say_so() -> None:
    a, b, c, d = placed((3, None, None), (None, AT_5, 128.0), (4, None, None), (3, None, 120.0)).rows
    assert a.reason == "on the same reach as b, d"
    assert b.reason == "on the same reach as a, d"
    assert d.reason == "on the same reach as a, b"
    assert c.reason == ""


def test_scaled_by_area() -> None:
    gauges = ((1, None, 40.0), (3, None, None), (2, None, 130.0))
    assert placed(*gauges).scale.tolist() == [1.0, 1.0, 1.0]
    inside, unknown, same = placed(*gauges, scale_by_area=True).rows
    assert inside.scale == pytest.approx(2.5)
    assert inside.area_ratio == pytest.approx(0.4)
    assert "observations times 2.5, the ratio of the drainage areas" in inside.reason
    assert unknown.scale == 1.0
    assert same.scale == 1.0


def test_what_is_refused() -> None:
    for gauges, message in (
        ([(77, None, None), (78, None, 3.0)], r"the gauges a \(reach 77\), b \(reach 78\) lie on reaches"),
        ([(None, None, None), (3, None, None)], "the gauges a have neither a reach_id nor lat and lon"),
        ([(None, (91.0, 0.0), None)], "gauge a lies at lat 91, lon 0; expected degrees"),
        ([(3, None, 1000.0)], r"none of the 1 gauges has a place on the network: a \(its drainage area"),
    ):
        with pytest.raises(InputError, match=message) as error:
            placed(*gauges)
        assert str(error.value).startswith("q.nc: ")
        assert len(str(error.value).splitlines()) == 1
    with pytest.raises(InputError, match="a have a position only, and the network no lat and lon"):
        placed((None, AT_5, None), network=river(lat=None))
    (row, _) = placed((None, AT_5, None), (3, None, None), network=river(lat=None), unknown="drop").rows
    assert "the network has no positions" in row.reason


def test_the_table(tmp_path: Path) -> None:
    placement = placed(
        (2, None, 98.0), (77, None, None), (None, AT_5, 125.0), (3, None, None), unknown="drop"
    )
    assert placement.summary() == ("3 of 4 gauges have a reach (1 by id, 2 by area); moved: a; dropped: b")
    write_placement(tmp_path / "gauges.csv", placement)
    table = pd.read_csv(tmp_path / "gauges.csv", dtype={"reach_id": "Int64", "reach_id_given": "Int64"})
    assert table.columns.tolist() == [
        "gauge", "reach_id_given", "reach_id", "how", "distance_m", "area_m2", "reach_area_m2", "area_ratio",
        "scale", "status", "reason",
    ]  # fmt: skip
    assert table["reach_id"].tolist() == [1, pd.NA, 3, 3]
    assert table["reach_id_given"].tolist() == [2, 77, pd.NA, 3]
    assert table["status"].tolist() == ["moved", "dropped", "matched", "matched"]
    assert table["area_ratio"][0] == pytest.approx(0.98)
    assert np.isnan(table["area_ratio"][3])
    assert not [one.name for one in tmp_path.iterdir() if one.name != "gauges.csv"]


coordinates = st.tuples(st.floats(-0.02, 0.02), st.floats(-0.02, 0.04))
gauges = st.tuples(
    st.sampled_from([None, 77, *IDS]),
    st.none() | coordinates,
    st.none() | st.floats(1.0, 400.0),
)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.lists(gauges, min_size=1, max_size=6), st.permutations(range(5)), st.booleans())
def test_the_order_of_reaches_does_not_matter(
    found: list[Any], order: list[int], with_positions: bool
) -> None:
    """Also: a gauge is never on a reach whose drainage area contradicts its own, and nothing is raised but for all."""
    network = river() if with_positions else river(lat=None, lon=None)
    good = (4, None, None)  # so that one is always left
    one = placed(*found, good, unknown="drop", network=network)
    other = placed(*found, good, unknown="drop", network=network.subset(order))
    assert one.table().equals(other.table())
    for row in one.rows:
        if row.reach != NONE and np.isfinite(row.area_ratio):
            above = {1: 0.0, 2: 0.0, 3: 120.0, 4: 130.0, 5: 0.0}[row.reach_id] * KM2
            assert 1 / 1.5001 <= row.area_ratio <= 1.5001 or above < row.area < row.reach_area
        assert (row.reach == NONE) == (row.status == "dropped")


# -- observations --------------------------------------------------------------------------------------------

Make = Callable[..., xr.Dataset]


def located(dataset: xr.Dataset, **variables: Any) -> xr.Dataset:
    """Gauges near the reaches 50 and 30 of the network of these tests, without ids."""
    position = {"lat": ("gauge", [11.001, 10.0]), "lon": ("gauge", [20.0, 20.001])}
    return dataset.drop_vars("reach_id").assign({**position, **variables})


def test_positions_in_place_of_ids(tmp_path: Path, network: RiverNetwork, make_observations: Make) -> None:
    located(make_observations()).to_netcdf(tmp_path / "q.nc", engine="netcdf4")
    found = read_observations(tmp_path / "q.nc", network)
    assert network.reach_id[found.reach].tolist() == [50, 30]
    assert found.placement is not None
    assert [row.how for row in found.placement.rows] == ["position", "position"]
    assert found.error is None
    assert found.weight is None


@pytest.mark.parametrize(
    ("name", "attributes", "factor"),
    [("area_m2", {}, 1e6), ("area_km2", {}, 1.0), ("area_m2", {"units": "km2"}, 1.0)],
)
def test_drainage_areas_by_name_and_unit(
    tmp_path: Path,
    network: RiverNetwork,
    make_observations: Make,
    name: str,
    attributes: dict[str, str],
    factor: float,
) -> None:
    areas = np.array([12.0, -9999.0 / factor]) * factor  # 50 has 15 km2; the other is not known
    located(make_observations(), **{name: ("gauge", areas, attributes)}).to_netcdf(tmp_path / "q.nc")
    found = read_observations(tmp_path / "q.nc", network).placement
    assert found is not None
    assert found.rows[0].area == pytest.approx(12e6)
    assert found.rows[0].reach_area == pytest.approx(15e6)
    assert np.isnan(found.rows[1].area)


def test_a_dropped_gauge_takes_its_values_error_and_weight_along(
    tmp_path: Path, network: RiverNetwork, make_observations: Make
) -> None:
    dataset = make_observations().assign(
        reach_id=("gauge", [77, 30]),
        discharge_error=("gauge", [1.0, 2.0], {"units": "ft3/s"}),
        weight=("gauge", [3.0, 4.0]),
    )
    dataset.to_netcdf(tmp_path / "q.nc", engine="netcdf4")
    with pytest.raises(InputError, match=r"0A \(reach 77\)"):
        read_observations(tmp_path / "q.nc", network)
    found = read_observations(tmp_path / "q.nc", network, placement=PlacementSettings(unknown="drop"))
    assert found.gauge.tolist() == ["0B"]
    assert found.discharge[:, 0].tolist() == [2.0, 4.0, 6.0, 8.0, 10.0, 12.0]
    assert found.error is not None
    assert found.error == pytest.approx(np.full((6, 1), 2 * 0.3048**3))
    assert found.weight is not None
    assert found.weight.tolist() == [4.0]
    assert found.placement is not None
    assert found.placement.gauge.tolist() == ["0A", "0B"]
    part = found.during(slice(1, 3))
    assert part.error is not None
    assert part.error.shape == (2, 1)
    none = found.select([])
    assert none.error is not None
    assert none.error.shape == (6, 0)


def test_a_gauge_inside_a_catchment_is_scaled(
    tmp_path: Path, network: RiverNetwork, make_observations: Make
) -> None:
    # 30 has 7 km2, of which 6 flow in at its top
    dataset = make_observations().assign(
        area_km2=("gauge", [15.0, 6.5]), discharge_error=("gauge", [0.1, 0.1], {"units": "1"})
    )
    dataset.to_netcdf(tmp_path / "q.nc", engine="netcdf4")
    raw = read_observations(tmp_path / "q.nc", network)
    found = read_observations(tmp_path / "q.nc", network, placement=PlacementSettings(scale_by_area=True))
    assert found.discharge == pytest.approx(raw.discharge * [1.0, 7 / 6.5])
    assert found.error is not None
    assert found.error == pytest.approx(0.1 * found.discharge)


def test_errors_by_value_absolute_and_relative(
    tmp_path: Path, network: RiverNetwork, make_observations: Make
) -> None:
    values = np.arange(12.0).reshape(6, 2) + 1
    dataset = make_observations()
    dataset["discharge"][2, 0] = np.nan
    dataset["discharge"][0, 0] = 0.0
    values[1, 1] = np.nan
    for dims, array in ((("time", "gauge"), values), (("gauge", "time"), values.T)):
        changed = dataset.assign(discharge_error=(dims, array, {"units": "m3/s"}))
        changed.to_netcdf(tmp_path / "q.nc", engine="netcdf4")
        error = read_observations(tmp_path / "q.nc", network).error
        assert error is not None
        expected = values.copy()
        expected[2, 0] = np.nan  # no observation, no error of it
        assert np.array_equal(error, expected, equal_nan=True)
    changed = dataset.assign(discharge_error=("gauge", [0.1, 0.2], {"units": "1"}))
    changed.to_netcdf(tmp_path / "q.nc", engine="netcdf4")
    error = read_observations(tmp_path / "q.nc", network).error
    assert error is not None
    assert error[:, 1] == pytest.approx(0.2 * np.arange(2.0, 13, 2))
    assert error[3, 0] == pytest.approx(0.7)
    mean = (0 + 3 + 7 + 9 + 11) / 5
    assert error[0, 0] == pytest.approx(0.1 * 0.01 * mean)  # a flow of zero is not known exactly
    assert np.isnan(error[2, 0])


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"discharge_error": ("gauge", [1.0, 2.0])}, "'discharge_error' has no units"),
        ({"discharge_error": ("gauge", [1.0, 2.0], {"units": "km"})}, "has the unit 'km'"),
        ({"discharge_error": ("gauge", [1.0, 0.0], {"units": "1"})}, "gauge 0B has a discharge_error of 0"),
        ({"discharge_error": ("gauge", [-1.0, 1.0], {"units": "1"})}, "gauge 0A has a discharge_error of -1"),
        ({"discharge_error": ("x", [-1.0], {"units": "1"})}, r"has the dimensions \(x\); expected gauge, or time"),
        ({"weight": ("gauge", [1.0, -2.0])}, "gauge 0B has the weight -2; expected 0 or more"),
        ({"weight": ("gauge", [0.0, 0.0])}, "every gauge has the weight 0"),
        ({"area_m2": ("gauge", [1.0, 2.0], {"units": "m"})}, "variable 'area_m2' has the unit 'm'"),
        ({"lat": ("gauge", [100.0, 0.0]), "lon": ("gauge", [0.0, 0.0])}, "gauge 0A lies at lat 100"),
        ({"lat": ("gauge", np.array(["x", "y"], object))}, "variable 'lat' does not hold numbers"),
    ],
)  # fmt: skip
def test_bad_sites(
    tmp_path: Path, network: RiverNetwork, make_observations: Make, variables: dict[str, Any], message: str
) -> None:
    path = tmp_path / "q.nc"
    make_observations().assign(variables).to_netcdf(path, engine="netcdf4")
    with pytest.raises(InputError, match=message) as error:
        read_observations(path, network)
    assert str(error.value).startswith(f"{path}: ")
    assert len(str(error.value).splitlines()) <= 2


def test_a_long_table_with_everything(tmp_path: Path, network: RiverNetwork) -> None:
    path = tmp_path / "q.csv"
    path.write_text(
        "gauge,reach_id,lat,lon,area_km2,weight,time,discharge [cfs],discharge_error [1]\n"
        "007,,11.001,20,12,,2000-01-01,1,0.1\n"
        "007,,,,,,2000-01-02,-9999,0.1\n"  # a site is told once or in every row
        "b,10,,,,0.5,2000-01-01,3,\n"
        "b,10,,,,0.5,2000-01-02,4,0.2\n"
    )
    found = read_observations(path, network)
    assert found.gauge.tolist() == ["007", "b"]
    assert network.reach_id[found.reach].tolist() == [50, 10]
    cubic = 0.3048**3
    expected = np.array([[cubic, 3 * cubic], [np.nan, 4 * cubic]])
    assert found.discharge == pytest.approx(expected, nan_ok=True)
    assert found.error is not None
    assert found.error == pytest.approx(np.array([[0.1 * cubic, np.nan], [np.nan, 0.8 * cubic]]), nan_ok=True)
    assert found.weight is not None
    assert found.weight.tolist() == [1.0, 0.5]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("gauge,lat,time,discharge\na,11,2000-01-01,1\n", "column 'reach_id' is missing"),
        ("lat,lon,time,discharge\n11,20,2000-01-01,1\n", "column 'gauge' is missing"),
        (
            "gauge,lat,lon,time,discharge\na,11,20,2000-01-01,1\na,11.1,20,2000-01-02,1\n",
            "gauge 'a' has the lat 11 and 11.1; expected one",
        ),
        ("gauge,lat,lon,time,discharge\na,x,20,2000-01-01,1\na,,,2000-01-02,1\n", "column 'lat' holds 'x' in row 1"),
        ("gauge,lat,lon,time,discharge\na,,20,2000-01-01,1\na,,,2000-01-02,1\n", "a have neither a reach_id nor"),
    ],
)  # fmt: skip
def test_bad_tables(tmp_path: Path, network: RiverNetwork, content: str, message: str) -> None:
    path = tmp_path / "q.csv"
    path.write_text(content)
    with pytest.raises(InputError, match=message):
        read_observations(path, network)


def test_a_table_of_positions_without_ids(tmp_path: Path, network: RiverNetwork) -> None:
    path = tmp_path / "q.csv"
    path.write_text("gauge,lat,lon,time,discharge\na,11,20,2000-01-01,1\na,11,20,2000-01-02,1\n")
    assert network.reach_id[read_observations(path, network).reach].tolist() == [50]


@pytest.mark.parametrize("lon", [180.0, -180.0, -179.999, 180.004])
def test_a_gauge_at_the_dateline_takes_the_reach_beyond_it(tmp_path: Path, lon: float) -> None:
    attributes = {"lat": np.zeros(3), "lon": np.array([179.99, -179.995, -179.9])}
    network = RiverNetwork.from_ids([1, 2, 3], [2, 3, -1], [1e3] * 3, attributes)
    path = tmp_path / "q.csv"
    rows = [f"A,2001-01-0{day},1.0,0.0,{lon}" for day in (1, 2)]
    path.write_text("\n".join(["gauge,time,discharge,lat,lon", *rows]))
    found = read_observations(path, network).placement
    assert found is not None
    assert found.rows[0].reach_id == 2
    assert found.rows[0].distance < 600.0
