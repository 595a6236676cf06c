"""The workflows of docs/how-to on real files: samples of each format, to a finished estimate.

What the samples have is taken from them: networks, runoff of mizuRoute and ERA5-Land, and the very form of all other
files. Discharge is what rivergrad routes with a celerity that the test knows, in files like those of the archives.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import netCDF4
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from how_to_pages import run_page

import rivergrad as rg

CELERITY = 0.7
"""m/s, of the truth."""
DAY, HOUR = 86400.0, 3600.0


def storms(steps: int, reaches: int) -> np.ndarray:
    """(time, reach) depths in mm a step."""
    rng = np.random.default_rng(3)
    return 0.2 + rng.gamma(0.3, 4.0, (steps, reaches)) * (rng.random((steps, reaches)) < 0.3)


def truth(network: rg.RiverNetwork, source: rg.RunoffSource, routing_step: str) -> np.ndarray:
    """(time, reach) discharge of the truth."""
    parameters = {"k": np.asarray(network.length) / CELERITY, "x": 0.2}
    found = rg.simulate(network, source, parameters, "muskingum", routing_step=routing_step)
    return np.maximum(np.asarray(found), 0.0)


def gauged(network: rg.RiverNetwork, count: int) -> np.ndarray:
    """Ids of the reaches that most others drain to, but for neighbours of one another."""
    drained = np.ones(network.n_reaches)
    for reach in network.order:
        if (below := network.downstream[reach]) >= 0:
            drained[below] += drained[reach]
    return network.reach_id[np.argsort(-drained, kind="stable")[: 4 * count : 4]]


def usgs(sample: Path, name: str, flow: np.ndarray, time: pd.DatetimeIndex, *, hourly: bool) -> None:
    """A file of the USGS with the comments and the header of the sample; hourly ones say the time zone, too."""
    Path("usgs").mkdir(exist_ok=True)
    head = [line for line in sample.read_text().splitlines() if line.startswith(("#", "agency_cd", "5s"))]
    form = "%Y-%m-%d %H:%M" if hourly else "%Y-%m-%d"
    if hourly:
        head[-2] = head[-2].replace("datetime", "datetime\ttz_cd").replace("_00003", "")
        head[-1] = head[-1].replace("20d", "20d\t6s")
    zone = "\tUTC" if hourly else ""
    rows = [
        f"USGS\t{name}\t{when}{zone}\t{value:.6g}\tA"
        for when, value in zip(time.strftime(form), flow / 0.3048**3, strict=True)
    ]
    Path(f"usgs/{name}.txt").write_text("\n".join([*head, *rows]) + "\n")


def geoglows(samples: Path) -> dict[str, str]:
    """The model table, m3_riv in the form of the inflows of VPU 123, and the GRDC's text."""
    shutil.copy(samples / "geoglows_v2/v2-model-table_SCHEMA_TRUE.parquet", "model_table.parquet")
    network = rg.read_network("model_table.parquet")
    ids, days = network.reach_id, 60
    time = pd.date_range("1980-01-01", periods=days)
    with xr.open_dataset(
        samples / "geoglows_v2/inflows_vpu123/1980_01_01to10_123.nc", decode_cf=False
    ) as given:
        sample = given.load()
    volume = (storms(days, ids.size) * 1e4).astype(np.float32)
    seconds = (time - time[0]).total_seconds().to_numpy()
    origin = np.datetime64(str(sample.time.attrs["units"]).split("since ")[1][:19])
    assert str(sample.time.attrs["units"]).startswith("seconds")
    at = seconds + (np.datetime64("1980-01-01") - origin) / np.timedelta64(1, "s")
    Path("m3_riv").mkdir()
    for part in (slice(0, 30), slice(30, days)):
        stamps = at[part].astype(sample.time.dtype)
        bounds = np.stack([stamps, stamps + int(DAY)], axis=1).astype(sample.time_bnds.dtype)
        made = xr.Dataset(
            {
                "m3_riv": (("time", "rivid"), volume[part], sample.m3_riv.attrs),
                "time_bnds": (("time", "nv"), bounds, sample.time_bnds.attrs),
                "crs": sample.crs,
            },
            {
                "time": ("time", stamps, sample.time.attrs),
                "rivid": ("rivid", ids.astype(np.int32), sample.rivid.attrs),
            },
            sample.attrs,
        )
        made.to_netcdf(f"m3_riv/{time[part][0]:%Y%m%d}.nc")
    flow = truth(network, rg.open_runoff("m3_riv/*.nc", network), "6h")
    text = (samples / "grdc/text/6435060_Q_Day.Cmd.txt").read_bytes().decode("latin-1").splitlines()
    head = text[: text.index("YYYY-MM-DD;hh:mm; Value") + 1]
    Path("grdc").mkdir()
    rows = []
    for number, reach in enumerate(gauged(network, 4), 6435060):
        values = flow[:, network.positions([reach])[0]]
        own = [
            line.replace("6435060", str(number)).replace("Data lines: 33", f"Data lines: {days}")
            for line in head
        ]
        own += [f"{day:%Y-%m-%d};--:--; {value:10.5f}" for day, value in zip(time, values, strict=True)]
        Path(f"grdc/{number}_Q_Day.Cmd.txt").write_bytes(("\n".join(own) + "\n").encode("latin-1"))
        rows.append((number, reach))
    pd.DataFrame(rows, columns=["gauge", "reach_id"]).to_csv("stations.csv", index=False)
    return periods("1980-01-01", 40, 20, "5d", "20d")


def merit(samples: Path) -> dict[str, str]:
    """Rivers and catchments of MERIT-Basins on lines of our own (the sample has none), ERA5-Land, the USGS."""
    import geopandas
    import pyogrio
    import shapely

    rivers, catchments = (
        pyogrio.read_dataframe(samples / f"merit_basins/{one}_pfaf_27_cut.dbf") for one in ("riv", "cat")
    )
    shutil.copy(
        samples / "runoff_grids/era5land_cds2024/ERA5-Land_runoff_200001_cut.nc", "era5land_200001.nc"
    )
    with xr.open_dataset("era5land_200001.nc") as runoff:
        land = np.argwhere(runoff.ro.notnull().all("valid_time").values)
        lat, lon = runoff.latitude.values, runoff.longitude.values
        stamps = pd.DatetimeIndex(runoff.valid_time.values)
    at = land[np.arange(len(rivers)) * 3 % len(land)]
    lines = [shapely.LineString([(lon[j] - 0.01, lat[i]), (lon[j] + 0.01, lat[i])]) for i, j in at]
    for name, frame in (("riv", rivers), ("cat", catchments)):
        plain = pd.DataFrame(frame).drop(columns="geometry", errors="ignore")
        shapes = lines if name == "riv" else [shapely.box(8, 48, 9, 49)] * len(plain)
        geopandas.GeoDataFrame(plain, geometry=shapes, crs=4326).to_file(f"{name}_pfaf_27.gpkg")
    network = rg.read_network("riv_pfaf_27.gpkg")
    flow = truth(network, rg.open_runoff("era5land_*.nc", network, stamp="end"), "6h")
    rows = []
    for number, reach in enumerate(gauged(network, 4), 2177000):
        days = stamps - pd.Timedelta("1D")  # a value at 00 UTC is that of the day before
        values = flow[:, network.positions([reach])[0]]
        usgs(samples / "usgs_rdb/RDB1Example.txt", f"0{number}", values, days, hourly=False)
        rows.append((f"0{number}", reach))
    pd.DataFrame(rows, columns=["gauge", "reach_id"]).to_csv("sites.csv", index=False)
    return periods("1999-12-31", 21, 10, "3d", "7d")


def nwm(samples: Path) -> dict[str, str]:
    """Route_Link, and CHRTOUT of two days in the form of the sample: its variables, packing, order and stamps."""
    folder = samples / "nwm/lower_colorado_cut"
    shutil.copy(folder / "RouteLink.nc", ".")
    network = rg.read_network("RouteLink.nc")
    rng, hours = np.random.default_rng(5), 48
    Path("chrtout").mkdir()
    for hour in range(hours):
        path = f"chrtout/202108{23 + (hour + 1) // 24}{(hour + 1) % 24:02}00.CHRTOUT_DOMAIN1"
        shutil.copy(folder / "202108231300.CHRTOUT_DOMAIN1", path)
        with netCDF4.Dataset(path, "a") as file:
            file.set_auto_maskandscale(False)
            for name, scale in (("qSfcLatRunoff", 0.4), ("qBucket", 0.1)):
                flow = rng.gamma(0.3, scale, file[name].size)
                file[name][...] = np.round(flow / file[name].scale_factor).astype(file[name].dtype)
            assert file["time"].units.startswith("minutes")
            file["time"][...] = file["time"][...] + 60 * (hour - 12)
    source = rg.open_runoff("chrtout/*.CHRTOUT_DOMAIN1", network)
    assert str(source.time[0])[:13] == "2021-08-23T00"
    flow = truth(network, source, "15min")
    time = pd.date_range("2021-08-23", periods=hours, freq="h")
    with xr.open_dataset("RouteLink.nc") as links:
        names = [one.decode().strip() for one in links.gages.values]
        at = [place for place, one in enumerate(names) if one]
        where = network.positions(links.link.values[at].tolist())
    for place, position in zip(at, where, strict=True):
        usgs(samples / "usgs_rdb/RDB1Example.txt", names[place], flow[:, position], time, hourly=True)
    assert names[at[0]] == "08128400"
    return periods("2021-08-23", 1, 1, "6h", "12h")


def mizuroute(samples: Path) -> dict[str, str]:
    """The topology and the runoff of HRUs, both real, and a table of discharge."""
    shutil.copy(samples / "mizuroute/cameo/NTOPO_sample.nc", "ntopo.nc")
    shutil.copy(samples / "mizuroute/cameo/runoff_in_61d.nc", "runoff_hru.nc")
    network = rg.read_network("ntopo.nc")
    source = rg.open_runoff("runoff_hru.nc", network, weights="ntopo.nc")
    flow = truth(network, source, "6h")
    ids = gauged(network, 4)
    table = pd.DataFrame(flow[:, network.positions(ids.tolist())], columns=ids.astype(str))
    table.insert(0, "time", pd.DatetimeIndex(source.time).strftime("%Y-%m-%dT%H:%M:%S"))
    table.to_csv("discharge.csv", index=False)
    return periods(str(source.time[0])[:10], 40, 20, "5d", "20d")


def periods(first: str, training: int, validation: int, warmup: str, window: str) -> dict[str, str]:
    """What takes the place of the years of a page: days that the files have."""
    begin = pd.Timestamp(first)
    end = begin + pd.Timedelta(days=training - 1)
    return {
        "time.train": f"[{begin:%Y-%m-%d}, {end:%Y-%m-%d}]",
        "time.validation": f"[{end + pd.Timedelta('1D'):%Y-%m-%d}, {end + pd.Timedelta(days=validation):%Y-%m-%d}]",
        "time.test": "null",
        "time.warmup": warmup,
        "estimate.window": window,
        "estimate.steps": "4",
        "uncertainty.enabled": "false",
    }


@pytest.mark.slow
@pytest.mark.parametrize("make", [geoglows, merit, nwm, mizuroute], ids=lambda one: one.__name__)
def test_a_page_is_carried_out_on_samples(
    make: Callable[[Path], dict[str, str]],
    samples: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    name = make.__name__
    monkeypatch.chdir(tmp_path)
    run_page(name, make(samples), monkeypatch, capsys)
    network = rg.read_network(f"runs/{name}/network.zarr")
    values: dict[str, Any] = rg.read_parameters(f"runs/{name}", ["celerity"], network)
    assert np.abs(np.log(values["celerity"] / CELERITY)).max() < 0.1
