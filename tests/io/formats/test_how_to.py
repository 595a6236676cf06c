"""From files of other models and archives to a finished estimate: the workflows of docs/how-to, carried out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tiny_networks as tiny
import xarray as xr
from how_to_pages import run_page, workflow_of

import rivergrad as rg

N = 12
IDS = np.arange(101, 101 + N)
BELOW = np.array([103, 103, 105, 105, 107, 107, 109, 109, 111, 111, 112, -1])
LENGTH = np.full(N, 40e3)
AREA = np.full(N, 4e8)
GAUGED = {"06435060": 105, "06335020": 109, "06335021": 112}
CELERITY = 0.6
"""m/s, of the truth."""


def flood(steps: int) -> np.ndarray:
    """(time, reach) mean depth of runoff in mm a step: storms, different at each reach."""
    rng = np.random.default_rng(3)
    storms = rng.gamma(0.3, 4.0, (steps, N)) * (rng.random((steps, N)) < 0.3)
    return 0.3 + storms


def discharge(runoff: np.ndarray, first: str, step: float, routing_step: str) -> np.ndarray:
    """(time, reach) of the truth, from m3/s."""
    network = rg.RiverNetwork.from_ids(IDS, BELOW, LENGTH)
    time = np.datetime64(first, "ns") + np.arange(len(runoff)) * np.timedelta64(int(step), "s")
    path = Path("truth.nc")
    rg.write_runoff(path, IDS, time, runoff)
    parameters = {"k": LENGTH / CELERITY, "x": 0.2}
    found = rg.simulate(
        network, rg.open_runoff(path, network), parameters, "muskingum", routing_step=routing_step
    )
    path.unlink()
    return np.maximum(np.asarray(found), 0.0)  # steps of 15 min are short for its reaches


def sites() -> None:
    pd.DataFrame({"gauge": list(GAUGED), "reach_id": list(GAUGED.values())}).to_csv("sites.csv", index=False)


def usgs(name: str, flow: np.ndarray, time: pd.DatetimeIndex, form: str, statistic: str, zone: bool) -> None:
    """A file of the USGS, in ft3/s."""
    Path("usgs").mkdir(exist_ok=True)
    column = f"1_00060{statistic}"
    extra, widths = ("tz_cd\t", "6s\t") if zone else ("", "")
    lines = [
        "# a file of the USGS",
        f"agency_cd\tsite_no\tdatetime\t{extra}{column}\t{column}_cd",
        f"5s\t15s\t20d\t{widths}14n\t10s",
    ]
    for when, value in zip(time.strftime(form), flow / 0.3048**3, strict=True):
        lines.append(f"USGS\t{name}\t{when}\t{'UTC' + chr(9) if zone else ''}{value:.6g}\tA")
    Path(f"usgs/{name}.txt").write_text("\n".join(lines) + "\n")


def daily() -> tuple[np.ndarray, np.ndarray, pd.DatetimeIndex]:
    """Depths in mm, discharge in m3/s, and days."""
    depth = flood(80)
    flow = discharge(depth * 1e-3 * AREA / 86400.0, "2001-01-01", 86400.0, "6h")
    return depth, flow, pd.date_range("2001-01-01", periods=80)


def geoglows() -> tuple[np.ndarray, np.ndarray]:
    depth, flow, time = daily()
    pd.DataFrame(
        {
            "LINKNO": IDS,
            "DSLINKNO": BELOW,
            "LengthGeodesicMeters": LENGTH,
            "musk_k": LENGTH / 1.0,
            "musk_x": 0.2,
            "lat": 48.0,
            "lon": 8.0,
        }
    ).to_parquet("model_table.parquet")
    Path("m3_riv").mkdir()
    for name, part in (("m3_riv_2", slice(40, 80)), ("m3_riv_1", slice(0, 40))):
        xr.Dataset(
            {
                "m3_riv": (
                    ("time", "rivid"),
                    depth[part] * 1e-3 * AREA,
                    {"units": "m3", "cell_methods": "time: sum"},
                )
            },
            coords={"time": time[part], "rivid": IDS.astype(np.int32)},
        ).to_netcdf(f"m3_riv/{name}.nc", encoding={"m3_riv": {"_FillValue": 0.0}})
    Path("grdc").mkdir()
    for name, reach in GAUGED.items():
        lines = [
            "# Title:                 GRDC STATION DATA FILE",
            f"# GRDC-No.:              {name.lstrip('0')}",
            "# Latitude (DD):         48.0",
            "# Longitude (DD):        8.0",
            "# Catchment area (km²):      2000.0",
            "# Unit of measure:                  m³/s",
            f"# Data lines: {len(time)}",
            "# DATA",
            "YYYY-MM-DD;hh:mm; Value",
        ]
        values = flow[:, reach - 101]
        lines += [f"{day:%Y-%m-%d};--:--;{value:10.4f}" for day, value in zip(time, values, strict=True)]
        Path(f"grdc/{name.lstrip('0')}_Q_Day.Cmd.txt").write_text("\n".join(lines) + "\n", encoding="latin-1")
    frame = pd.DataFrame({"gauge": [one.lstrip("0") for one in GAUGED], "reach_id": list(GAUGED.values())})
    frame.to_csv("stations.csv", index=False)
    return depth * 1e-3 * AREA / 86400.0, flow


def merit() -> tuple[np.ndarray, np.ndarray]:
    depth, flow, time = daily()
    area = np.array([AREA[: i + 1].sum() for i in range(N)])
    frame = {
        "COMID": IDS,
        "NextDownID": np.where(BELOW < 0, 0, BELOW),
        "lengthkm": LENGTH / 1e3,
        "uparea": area / 1e6,
        "slope": 0.001,
    }
    tiny.vector(Path("riv_pfaf_27.gpkg"), pd.DataFrame(frame))
    tiny.vector(Path("cat_pfaf_27.gpkg"), pd.DataFrame({"COMID": IDS, "unitarea": AREA / 1e6}))
    lat = 48.0 + np.arange(N)[::-1]  # the lines lie at 48 to 59 north: a box for each
    values = np.repeat(depth[:, ::-1, None] * 1e-3, 2, axis=2)
    for part, name in ((slice(0, 31), "01"), (slice(31, 80), "02")):
        xr.Dataset(
            {
                "ro": (
                    ("valid_time", "latitude", "longitude"),
                    values[part],
                    {"units": "m", "GRIB_stepType": "accum"},
                )
            },
            coords={
                "valid_time": time[part] + pd.Timedelta("1D"),  # at 00 UTC of the day after
                "latitude": ("latitude", lat, {"units": "degrees_north"}),
                "longitude": ("longitude", [8.0, 9.0], {"units": "degrees_east"}),
                "number": 0,
            },
            attrs={"GRIB_centre": "ecmf"},
        ).to_netcdf(f"era5land_{name}.nc")
    for name, reach in GAUGED.items():
        usgs(name, flow[:, reach - 101], time, "%Y-%m-%d", "_00003", False)
    sites()
    return depth * 1e-3 * AREA / 86400.0, flow


def nwm() -> tuple[np.ndarray, np.ndarray]:
    depth = flood(48) / 20
    runoff = depth * 1e-3 * AREA / 3600.0
    flow = discharge(runoff, "2021-08-23", 3600.0, "15min")
    gages = np.full(N, " " * 15, "S15")
    for name, reach in GAUGED.items():
        gages[reach - 101] = name.rjust(15).encode()
    xr.Dataset(
        {
            "link": ("feature_id", IDS.astype(np.int32)),
            "to": ("feature_id", np.where(BELOW < 0, 999, BELOW).astype(np.int32)),
            "Length": ("feature_id", LENGTH.astype(np.float32)),
            "BtmWdth": ("feature_id", np.full(N, 20.0, np.float32)),
            "gages": ("feature_id", gages),
        }
    ).to_netcdf("RouteLink.nc")
    Path("chrtout").mkdir()
    back = np.arange(N)[::-1]
    packed = {"dtype": "int32", "scale_factor": 1e-5, "add_offset": 0.0, "_FillValue": -999900000}
    for hour in range(48):
        stamp = pd.Timestamp("2021-08-23") + pd.Timedelta(hours=hour + 1)  # of the hour before
        xr.Dataset(
            {
                "qSfcLatRunoff": ("feature_id", 0.75 * runoff[hour, back], {"units": "m3 s-1"}, packed),
                "qBucket": ("feature_id", 0.25 * runoff[hour, back], {"units": "m3 s-1"}, packed),
                "q_lateral": ("feature_id", np.zeros(N), {"units": "m3 s-1"}),
                "feature_id": ("feature_id", IDS[back]),
                "time": ("time", [stamp]),
            },
            attrs={"TITLE": "OUTPUT FROM WRF-Hydro v5.3.0"},
        ).to_netcdf(f"chrtout/{stamp:%Y%m%d%H%M}.CHRTOUT_DOMAIN1")
    time = pd.date_range("2021-08-23", periods=48, freq="h")
    for name, reach in GAUGED.items():
        usgs(name, flow[:, reach - 101], time, "%Y-%m-%d %H:%M", "", True)
    return runoff, flow


def mizuroute() -> tuple[np.ndarray, np.ndarray]:
    depth, flow, time = daily()
    hru = np.arange(2 * N) + 1
    xr.Dataset(
        {
            "segId": ("seg", IDS),
            "downSegId": ("seg", np.where(BELOW < 0, -9999, BELOW)),
            "length": ("seg", LENGTH),
            "slope": ("seg", np.zeros(N)),
            "hruId": ("hru", hru),
            "hruToSegId": ("hru", np.repeat(IDS, 2)),
            "area": ("hru", np.repeat(AREA / 2, 2)),
        }
    ).to_netcdf("ntopo.nc")
    every = np.repeat(depth, 2, axis=1)[:, ::-1]
    xr.Dataset(
        {"RUNOFF": (("time", "hru"), every / 86400.0, {"units": "mm/s"})},
        coords={"time": time, "hruId": ("hru", hru[::-1])},
    ).to_netcdf("runoff_hru.nc")
    frame = pd.DataFrame({str(reach): flow[:, reach - 101] for reach in GAUGED.values()})
    frame.insert(0, "time", time.strftime("%Y-%m-%d"))
    frame.to_csv("discharge.csv", index=False)
    return depth * 1e-3 * AREA / 86400.0, flow


SHORT = {
    "time.train": "[2001-01-01, 2001-02-28]",
    "time.validation": "[2001-03-01, 2001-03-21]",
    "time.test": "null",
    "time.warmup": "5d",
    "estimate.window": "20d",
}
SHORT_NWM = {
    "time.train": "[2021-08-23, 2021-08-23]",
    "time.validation": "[2021-08-24, 2021-08-24]",
    "time.test": "null",
    "time.warmup": "6h",
    "estimate.window": "12h",
}
"""The pages name years; the files here hold days."""


@pytest.mark.parametrize("make", [geoglows, merit, nwm, mizuroute], ids=lambda one: one.__name__)
def test_the_files_of_a_page_become_what_was_meant(
    make: Callable[[], tuple[np.ndarray, np.ndarray]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rivergrad.config.load import load_workflow
    from rivergrad.run.inputs import prepare_inputs

    name = make.__name__
    monkeypatch.chdir(tmp_path)
    runoff, flow = make()
    short = SHORT_NWM if name == "nwm" else SHORT
    config = load_workflow(workflow_of(name), [f"{key}={value}" for key, value in short.items()])
    Path("runs").mkdir()
    inputs = prepare_inputs(config, tmp_path / "runs")
    network = inputs.network
    assert network.reach_id.tolist() == IDS.tolist()
    assert (
        np.where(network.downstream < 0, -1, network.reach_id[network.downstream]).tolist() == BELOW.tolist()
    )
    np.testing.assert_allclose(np.asarray(network.length), LENGTH)
    first = "2021-08-23" if name == "nwm" else "2001-01-01"
    assert inputs.runoff.time[0] == np.datetime64(first)
    np.testing.assert_allclose(inputs.runoff.read(None, 0, len(runoff)), runoff, rtol=1e-5, atol=1e-5)
    reaches = network.reach_id[inputs.observations.reach]
    assert sorted(reaches.tolist()) == sorted(GAUGED.values())
    np.testing.assert_allclose(inputs.observed, flow[:, reaches - 101], rtol=1e-4, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("make", [geoglows, merit, nwm, mizuroute], ids=lambda one: one.__name__)
def test_a_page_is_carried_out(
    make: Callable[[], tuple[np.ndarray, np.ndarray]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The workflow of a page, as it stands there, ends in the celerity that made the discharge."""
    name = make.__name__
    monkeypatch.chdir(tmp_path)
    make()
    short = {**(SHORT_NWM if name == "nwm" else SHORT), "estimate.steps": "4", "uncertainty.enabled": "false"}
    run_page(name, short, monkeypatch, capsys)
    network = rg.read_network(f"runs/{name}/network.zarr")
    values = rg.read_parameters(f"runs/{name}", ["celerity"], network)
    assert np.abs(np.log(values["celerity"] / CELERITY)).max() < 0.1
    assert Path(f"runs/{name}/reaches.parquet").is_file() == (name == "merit")
