"""Runoff of other models, read from samples and compared with what is known of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import rivergrad as rg

AREA = 1e8
TEXAS = "rapid1/texas_cut/m3_riv_bas_erai_t511_3hr_19800101.nc"
Facts = dict[str, Any]


def points(lat: Any, lon: Any) -> rg.RiverNetwork:
    """A reach of 100 km2 at each place."""
    lat, lon = (np.asarray(one, np.float64).ravel() for one in (lat, lon))
    n = lat.size
    return rg.RiverNetwork.from_ids(
        np.arange(1, n + 1),
        np.full(n, -1),
        np.full(n, 1e3),
        {"lat": lat, "lon": lon, "area_m2": np.full(n, AREA)},
    )


def cells(path: Path, lat: str, lon: str, keep: Any = None) -> rg.RiverNetwork:
    """A reach in the middle of each cell of a file, or of those that are kept."""
    with xr.open_dataset(path, decode_times=False) as dataset:
        y, x = dataset[lat].values, dataset[lon].values
    if y.ndim == 1:
        y, x = np.meshgrid(y, x, indexing="ij")
    y, x = y.reshape(-1, *y.shape[-2:])[0], x.reshape(-1, *x.shape[-2:])[0]
    keep = np.ones(y.shape, bool) if keep is None else keep
    return points(y[keep], x[keep])


def depths(source: rg.RunoffSource) -> np.ndarray:
    """(time, reach) m of water in each step."""
    return source.read(None, 0, source.time.size) * source.step / AREA


@pytest.mark.parametrize(
    ("network", "runoff", "facts_of", "total"),
    [
        ("rapid1/texas_cut", TEXAS, "rapid1/texas_cut", "m3_riv_sum"),
        ("rapid1/texas_cut_2col", TEXAS, "rapid1/texas_cut", "m3_riv_sum"),
        ("river_route_v2/params.parquet", "river_route_v2/qlateral.nc", "river_route_v2", "qlateral_sum_m3"),
    ],
)  # fmt: skip
def test_volumes_by_step(
    network: str, runoff: str, facts_of: str, total: str, samples: Path, facts: Facts
) -> None:
    source = rg.open_runoff(samples / runoff, rg.read_network(samples / network))
    values = source.read(None, 0, source.time.size)
    assert (values * source.step).sum() == pytest.approx(facts[facts_of][total], rel=1e-6)


@pytest.mark.parametrize("folder", ["rapid1/sandbox", "rapid2"])
def test_qext_is_told_from_what_lies_beside_it(folder: str, samples: Path, facts: Facts) -> None:
    path = samples / folder / "Qext_Sandbox_19700101_19700110.nc4"
    source = rg.open_runoff(path, rg.read_network(samples / folder))
    values = source.read(None, 0, 80)
    assert values.sum() == pytest.approx(facts["rapid1/sandbox"]["Qext_sum"])
    assert source.step == 10800.0


def test_a_declared_fill_of_0_is_no_inflow(samples: Path, facts: Facts) -> None:
    folder = samples / "geoglows_v2/inflows_vpu123"
    with xr.open_dataset(folder / "1980_01_01to10_123.nc") as dataset:
        ids = dataset["rivid"].values.astype(np.int64)
    network = rg.RiverNetwork.from_ids(ids, np.full(ids.size, -1))
    source = rg.open_runoff(folder / "1980_01_01to10_123.nc", network)
    volume = (source.read(None, 0, 10) * source.step).sum()
    assert volume == pytest.approx(facts["geoglows_v2/inflows_vpu123"]["m3_riv_sum"], rel=1e-6)


def test_hrus_of_mizuroute(samples: Path, facts: Facts) -> None:
    folder, known = samples / "mizuroute/cameo", facts["mizuroute/cameo"]
    network = rg.read_network(folder / "NTOPO_sample.nc")
    source = rg.open_runoff(folder / "runoff_in_61d.nc", network, weights=folder / "NTOPO_sample.nc")
    values = source.read(None, 0, 61)
    assert values.sum(axis=1).mean() == pytest.approx(known["mean_total_inflow_m3s_61d"], rel=1e-6)
    assert int((values.sum(axis=0) == 0).sum()) >= known["segments_without_hru"]
    # the same by pieces, of some reaches, after pickling
    some = source.select([5, 100, 200])
    np.testing.assert_array_equal(some.read([2, 0], 10, 20), values[10:20][:, [200, 5]])


def test_a_grid_by_hrus_of_mizuroute(samples: Path, tmp_path: Path) -> None:
    folder = samples / "mizuroute/cameo"
    with xr.open_dataset(folder / "RUNOFF_grid_30d.nc", decode_times=False) as dataset:
        dataset["RUNOFF"].attrs["units"] = "mm/s"
        dataset.to_netcdf(tmp_path / "grid.nc")
    network = rg.read_network(folder / "NTOPO_sample.nc")
    weights = [folder / "remap_nhru_cameo_v0.nc", folder / "NTOPO_sample.nc"]
    grid = rg.open_runoff(tmp_path / "grid.nc", network, weights=weights).read(None, 0, 30)
    hru = rg.open_runoff(folder / "runoff_in_61d.nc", network, weights=weights[1]).read(None, 0, 30)
    # mizuRoute's own tool made the runoff of HRUs out of the grid with these weights
    np.testing.assert_allclose(grid.sum(axis=1), hru.sum(axis=1), rtol=2e-5)
    np.testing.assert_allclose(grid, hru, rtol=1e-3, atol=1e-6)


def test_the_grid_without_units_is_refused(samples: Path) -> None:
    folder = samples / "mizuroute/cameo"
    network = rg.read_network(folder / "NTOPO_sample.nc")
    with pytest.raises(rg.InputError, match="RUNOFF' has no units"):
        rg.open_runoff(folder / "RUNOFF_grid_30d.nc", network, weights=folder / "NTOPO_sample.nc")


def test_chrtout_of_the_national_water_model(samples: Path, facts: Facts) -> None:
    folder, known = samples / "nwm/lower_colorado_cut", facts["nwm/lower_colorado_cut"]
    network = rg.read_network(folder / "RouteLink.nc")
    source = rg.open_runoff(folder / "*.CHRTOUT_DOMAIN1", network)
    # two files of one time each; the flow is that of the hour before the stamp
    assert source.time.tolist()[0] == np.datetime64("2021-08-23T12:00").astype("datetime64[ns]").tolist()
    assert source.step == 3600.0
    values = source.read(None, 0, 2)
    np.testing.assert_allclose(values.sum(axis=1), known["qSfcLatRunoff_plus_qBucket_m3s"], rtol=1e-6)
    with xr.open_dataset(folder / "202108231300.CHRTOUT_DOMAIN1") as dataset:
        inflow = (dataset["qSfcLatRunoff"] + dataset["qBucket"]).to_series()
        inflow.index = dataset["feature_id"].values
    np.testing.assert_allclose(values[0], inflow.loc[network.reach_id].to_numpy(), atol=1e-9)
    flow = rg.open_runoff(sorted(folder.glob("*.CHRTOUT_DOMAIN1")), network, variable="streamflow")
    assert flow.read(None, 1, 2).sum() == pytest.approx(known["streamflow_sum_last"], rel=1e-6)


def test_era5_stamps_the_end(samples: Path, facts: Facts) -> None:
    path = samples / "runoff_grids/era5/era5_ro_hourly_mendocino_20190101.nc"
    source = rg.open_runoff(path, cells(path, "latitude", "longitude"))
    assert source.time[0] == np.datetime64("2018-12-31T23:00")
    assert depths(source).sum() == pytest.approx(facts["runoff_grids/era5"]["ro_sum_m"], rel=1e-6)


def test_era5_land_of_the_new_store_asks_for_the_stamp(samples: Path, facts: Facts) -> None:
    path = samples / "runoff_grids/era5land_cds2024/ERA5-Land_runoff_200001_cut.nc"
    known = facts["runoff_grids/era5land_cds2024"]
    with xr.open_dataset(path) as dataset:
        land = np.isfinite(dataset["ro"].values).all(axis=0)
    assert known["nan"] == (~land).sum() * 31
    network = cells(path, "latitude", "longitude", land)
    with pytest.raises(rg.InputError, match="may be starts or ends"):
        rg.open_runoff(path, network, cell=0.0)
    source = rg.open_runoff(path, network, cell=0.0, stamp="end")
    assert source.time[0] == np.datetime64("1999-12-31")
    assert depths(source).mean() == pytest.approx(known["ro_mean_m"], rel=1e-5)


def test_accumulated_and_packed(samples: Path, facts: Facts) -> None:
    path = samples / "runoff_grids/erai_accumulated/erai_ro_3h_accumulated_cut.nc"
    known = facts["runoff_grids/erai_accumulated"]
    network = cells(path, "latitude", "longitude")
    source = rg.open_runoff(path, network, accumulated=43200.0)
    total = depths(source).sum(axis=0).mean()
    # what packing makes of a dry step may be below 0 by its precision, and is 0: 2 % of so little water
    assert total == pytest.approx(known["true_total_mean_m"], rel=0.02)
    assert known["wrong_total_if_summed"] > 2.4 * total
    with pytest.raises(rg.InputError, match="accumulated"):
        rg.open_runoff(path, network)


def test_clm_has_no_leap_days_and_real_negatives(samples: Path, facts: Facts) -> None:
    path = samples / "runoff_grids/clm5/CLM_sample_cut.nc"
    known = facts["runoff_grids/clm5"]
    with xr.open_dataset(path, decode_times=False) as dataset:
        land = np.isfinite(dataset["QRUNOFF"].values).all(axis=0)
        wet = land & (dataset["QRUNOFF"].values >= 0).all(axis=0)
        mean = float(dataset["QRUNOFF"].values[:, wet].mean())
    assert known["nan"] == (~land).sum() * 2
    source = rg.open_runoff(path, cells(path, "lat", "lon", wet), cell=0.0)
    assert source.time.astype("datetime64[D]").astype(str).tolist() == ["1989-01-01", "1989-01-02"]
    assert depths(source).mean() == pytest.approx(mean * 86.4, rel=1e-5)
    everywhere = rg.open_runoff(path, cells(path, "lat", "lon", land), cell=0.0)
    with pytest.raises(rg.InputError, match="expected 0 or more"):
        everywhere.read(None, 0, 2)


def test_a_variable_with_a_blank_in_its_name(samples: Path, facts: Facts) -> None:
    path = samples / "runoff_grids/cmip5_bcsd/conus_c5_total_runoff_2001_cut.nc"
    source = rg.open_runoff(path, cells(path, "latitude", "longitude"))
    assert 1e3 * depths(source).mean() == pytest.approx(
        facts["runoff_grids/cmip5_bcsd"]["mean_mm_d"], rel=1e-5
    )


def test_jules_has_a_scalar_for_time(samples: Path) -> None:
    files = sorted((samples / "runoff_grids/jules").glob("*.nc"))
    source = rg.open_runoff(files, cells(files[0], "north_south", "east_west"), cell=0.0)
    with xr.open_dataset(files[1], decode_times=False) as dataset:
        expected = 3.6 * float((dataset["Qs_inst"] + dataset["Qsb_inst"]).mean())
    assert source.time.astype("datetime64[h]").astype(str).tolist() == ["2008-08-03T00", "2008-08-03T01"]
    assert depths(source)[1].mean() == pytest.approx(expected, rel=1e-5)


def test_lis_has_latitudes_and_longitudes_in_two_dimensions(samples: Path, facts: Facts) -> None:
    files = samples / "runoff_grids/lis_2d"
    network = cells(files / "LIS_HIST_201101210000.d01.nc", "lat", "lon")
    source = rg.open_runoff(files / "*.nc", network, cell=0.0)
    with xr.open_dataset(files / "LIS_HIST_201101210100.d01.nc", decode_times=False) as dataset:
        total = float((dataset["Qs_inst"] + dataset["Qsb_inst"]).sum())
    assert total == pytest.approx(facts["runoff_grids/lis_2d"]["Qs_plus_Qsb_sum"], rel=1e-5)
    assert depths(source)[1].sum() / 3.6 == pytest.approx(total, rel=1e-5)


def test_wrf_is_curvilinear(samples: Path, facts: Facts) -> None:
    files = sorted((samples / "runoff_grids/wrf_curvilinear").glob("*.nc"))
    source = rg.open_runoff(files, cells(files[0], "XLAT", "XLONG"))
    assert source.time[1] == np.datetime64("2008-06-01T01:00")
    assert 1e3 * depths(source)[1].sum() == pytest.approx(
        facts["runoff_grids/wrf_curvilinear"]["total_mm_last"], rel=1e-5
    )


def test_gldas_is_the_sum_of_two_files_of_one_time(samples: Path) -> None:
    files = sorted((samples / "runoff_grids/gldas21").glob("*.nc4"))
    with xr.open_dataset(files[0], decode_times=False) as dataset:
        both = (dataset["Qs_acc"] + dataset["Qsb_acc"]).values[0]
    land = np.isfinite(both)
    source = rg.open_runoff(files[::-1], cells(files[0], "lat", "lon", land), cell=0.0)
    assert source.time[0] == np.datetime64("2010-12-31")  # 03:00 is the end of the step
    assert source.step == 10800.0
    np.testing.assert_allclose(1e3 * depths(source)[0], both[land], rtol=1e-5)


def test_weights_of_rapid_on_the_grid_of_gldas(samples: Path, facts: Facts, tmp_path: Path) -> None:
    folder = samples / "rapid1/xx"
    network = rg.read_network(folder)
    lat, lon = np.arange(-59.875, 90, 0.25), np.arange(-179.875, 180, 0.25)
    depth = np.add.outer(lat, lon) + 300.0
    xr.Dataset(
        {"ro": (("time", "lat", "lon"), np.stack([depth, depth]), {"units": "mm"})},
        coords={
            "time": np.array(["2001-01-01", "2001-01-02"], "datetime64[ns]"),
            "lat": ("lat", lat, {"units": "degrees_north"}),
            "lon": ("lon", lon, {"units": "degrees_east"}),
        },
    ).to_netcdf(tmp_path / "ro.nc")
    source = rg.open_runoff(tmp_path / "ro.nc", network, weights=folder / "weight_gldas2.csv")
    volumes = source.read(None, 0, 1)[0] * 86400.0
    table = pd.read_csv(folder / "weight_gldas2.csv")
    table["volume"] = table["area_sqm"] * 1e-3 * depth[table["lat_index"], table["lon_index"]]
    expected = table.groupby("rivid")["volume"].sum().loc[network.reach_id]
    np.testing.assert_allclose(volumes, expected.to_numpy(), rtol=1e-9)
    assert volumes[network.reach_id == 17880258] == 0.0  # its area is 0: a reach without inflow
    # a grid of another kind is refused, not read
    with pytest.raises(rg.InputError, match="expected the grid that the weights were made for"):
        rg.open_runoff(tmp_path / "ro.nc", network, weights=folder / "weight_era_t511.csv")


def test_weights_of_river_route(samples: Path, facts: Facts) -> None:
    from rivergrad.io.weighttables import read_weights

    table = read_weights(samples / "river_route_v2/grid_weights.nc")
    known = facts["river_route_v2"]
    assert table.value.sum() == pytest.approx(known["weights_area_sum"])
    assert (table.target.size, np.unique(table.target).size) == (
        known["weights_rows"],
        known["weights_rivers"],
    )
    same = read_weights(samples / "geoglows_v2/inflows_vpu123/weight_era5_721x1440.csv")
    assert set(zip(same.row, same.column, strict=True)) == set(zip(table.row, table.column, strict=True))


def test_a_flat_remap_of_mizuroute_counts_from_1(samples: Path, facts: Facts) -> None:
    from rivergrad.io.weighttables import read_weights

    table = read_weights(samples / "mizuroute/victoria/VIC_Lake_Victoria_remapping.nc")
    known = facts["mizuroute/victoria"]
    assert table.target.size == known["remap_rows"]
    assert (table.column.min(), table.row.min()) == (known["i_min"] - 1, known["j_min"] - 1)
    sums = np.bincount(np.unique(table.target, return_inverse=True)[1], weights=table.value)
    np.testing.assert_allclose(sums, 1.0, atol=1e-9)


def test_grid_weights_of_raven(samples: Path) -> None:
    from rivergrad.io.weighttables import read_weights

    table = read_weights(samples / "raven/VIC_streaminputs_weights.rvt")
    assert np.unique(table.target).size == 51
    sums = np.bincount(table.target, weights=table.value)[1:]
    np.testing.assert_allclose(sums, 1.0, atol=1e-6)
    hrus = read_weights(samples / "raven/lievre_routing_SCHEMA_TRUE.rvh")
    assert hrus.source.tolist() == list(range(1, 52))


def test_a_state_of_rapid(samples: Path, facts: Facts) -> None:
    from rivergrad.io.rapid import read_rapid_state

    network = rg.read_network(samples / "rapid1/sandbox")
    state = read_rapid_state(samples / "rapid1/sandbox/Qinit_Sandbox_19700101_19700110.nc4", network)
    assert state.tolist() == [9.0, 9.0, 27.0, 18.0, 63.0]


@pytest.mark.parametrize("name", ["rapid2/cpl_Sandbox.parquet", "rapid1/sandbox/rapid_coupling_Sandbox.csv"])
def test_the_coupling_of_rapid_2_counts_from_1_and_is_in_km2(name: str, samples: Path) -> None:
    from rivergrad.io.weighttables import read_weights

    table = read_weights(samples / name)
    assert table.target.tolist() == [10, 20, 30, 40, 50]
    assert table.value.tolist() == [1e6] * 5
    assert table.row is not None
    assert table.column is not None
    assert (table.row.tolist(), table.column.tolist()) == ([1, 1, 1, 0, 0], [0] * 5)
