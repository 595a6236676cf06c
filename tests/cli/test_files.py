"""`rivergrad inspect` and `rivergrad import`: what files are, and copies of them in rivergrad's own form."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
import yaml
from click.testing import Result
from typer.testing import CliRunner

import rivergrad as rg
from rivergrad.cli.app import app
from rivergrad.io.inspecting import inspect_file

NETWORK = "COMID,NextDownID,lengthkm,unitarea\n3,7,1.5,10\n5,7,2.5,20\n7,0,3,30\n"
GAUGE = "Datetime,Streamflow (ft3/s)\n2001-01-01,100\n2001-01-02,\n2001-01-03,300\n"
CFS = 0.3048**3


def call(*words: object) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words])


def runoff(path: Path, stamps: str = "2001-01-01") -> None:
    time = np.datetime64(stamps, "ns") + np.arange(3) * np.timedelta64(1, "D")
    values = np.array([[3.0, 5, 7], [3, 5, 7], [6, 10, 14]])
    xr.Dataset(
        {"ro": (("time", "rivid"), values, {"units": "m3"})}, coords={"time": time, "rivid": [3, 5, 7]}
    ).to_netcdf(path, engine="netcdf4")


class TestInspect:
    def test_a_network(self, tmp_path: Path) -> None:
        (tmp_path / "riv.csv").write_text(NETWORK)
        result = call("inspect", tmp_path / "riv.csv")
        assert result.exit_code == 0, result.output
        first, *rest = result.stdout.splitlines()
        assert first.startswith(
            f"{tmp_path / 'riv.csv'}: network, merit (MERIT-Basins: has COMID, NextDownID"
        )
        assert "  3 reaches, 1 outlet (7)" in rest
        assert "  length 7 km, 2,500 m in the median" in rest
        assert "  area 60 km2" in rest
        assert any(line.startswith("  handled: ") for line in rest)
        pasted = yaml.safe_load("\n".join(rest[rest.index("network:") :]))
        assert pasted == {"network": {"path": str(tmp_path / "riv.csv"), "format": "merit"}}

    def test_observations_and_what_they_lack(self, tmp_path: Path) -> None:
        (tmp_path / "g.csv").write_text(GAUGE)
        facts = inspect_file(tmp_path / "g.csv").facts
        assert facts[:3] == (
            "1 gauge (g)",
            "period 2001-01-01 to 2001-01-03, by 1 d",
            "unit ft3/s; 1 of 3 values are missing",
        )
        assert "a table of stations says them" in facts[3]

    def test_runoff_its_unit_and_stamp(self, tmp_path: Path) -> None:
        runoff(tmp_path / "r.nc")
        found = inspect_file(tmp_path / "r.nc")
        assert found.role == "runoff"
        assert found.facts == (
            "variable ro (time, rivid), unit m3",
            "period 2001-01-01 to 2001-01-03, 3 steps of 1 d",
            "stamp: not stated, taken as the start",
            "3 reaches (3, 5, 7)",
        )

    def test_tables_that_belong_to_others(self, tmp_path: Path) -> None:
        (tmp_path / "sites.csv").write_text("gauge,lat,lon\nA,1,2\n")
        (tmp_path / "w.csv").write_text("rivid,area_sqm,lon_index,lat_index\n1,2,3,4\n")
        assert list(inspect_file(tmp_path / "sites.csv").lines())[-2:] == [
            "observations:",
            f"  stations: {tmp_path / 'sites.csv'}",
        ]
        assert list(inspect_file(tmp_path / "w.csv").lines())[-1] == f"  weights: {tmp_path / 'w.csv'}"

    def test_what_nobody_knows(self, tmp_path: Path) -> None:
        for name, content in {"a.csv": "x,y\n1,2\n", "b.bin": "x", "c.nc": "no", "d.gpkg": ""}.items():
            (tmp_path / name).write_text(content)
            result = call("inspect", tmp_path / name)
            assert result.exit_code == 2, name
            assert len(result.stderr.splitlines()) <= 2
        assert "no such" in call("inspect", tmp_path / "absent").stderr
        (tmp_path / "folder").mkdir()
        assert call("inspect", tmp_path / "folder").exit_code == 2

    def test_samples(self, data_dir: Path) -> None:
        folder = data_dir / "formats"
        if not folder.is_dir():
            pytest.skip(f"samples of formats not found at {folder}")
        known = {
            "merit_basins/riv_pfaf_27_cut.dbf": ("network", "merit", "183 reaches, 1 outlet (27000024)"),
            "nwm/lower_colorado_cut/RouteLink.nc": ("network", "nwm", "194 reaches, 1 outlet (5707852)"),
            "rapid1/xx": ("network", "rapid", "9 reaches, 1 outlet (17880298)"),
            "mizuroute/cameo/NTOPO_sample.nc": ("network", "mizuroute", "267 reaches, 1 outlet (14000645)"),
            "mizuroute/cameo/remap_nhru_cameo_v0.nc": ("runoff", "weights", None),
            "runoff_grids/era5/era5_ro_hourly_mendocino_20190101.nc": (
                "runoff",
                "netcdf",
                "stamp: the end of the step (made by grib_to_netcdf, a depth an hour)",
            ),
            "usgs_rdb/RDB1Example.txt": ("observations", "usgs_rdb", "quality flags: A, P"),
            "usgs_rdb/waterservices_site.rdb": ("observations", "stations", None),
            "caravan/ewatercycle_test_caravan_file.nc": ("observations", "caravan", None),
            "grdc/netcdf/GRDC-Daily.nc": (
                "observations",
                "grdc_netcdf",
                "unit m3/s; 4 of 120 values are missing",
            ),
            "wflow/output_scalar.nc": ("observations", "station_netcdf", None),
            "caravan/timeseries/csv/camels/camels_01022500.csv": ("observations", "caravan", "stations: "),
            "raven/VIC_streaminputs_weights.rvt": ("runoff", "weights", "211 rows, 51 ids"),
            "rapid2/cpl_Sandbox.parquet": ("runoff", "weights", "5 km2"),
            "rapid1/sandbox/rapid_coupling_Sandbox.csv": ("runoff", "weights", "5 km2"),
            "river_route_v2/grid_weights.nc": ("runoff", "weights", "14 rows, 10 ids"),
            "rapid1/sandbox/Qinit_Sandbox_19700101_19700110.nc4": ("state", "rapid", "5 reaches"),
        }
        for name, (role, format, fact) in known.items():
            found = inspect_file(folder / name)
            assert (found.role, found.format) == (role, format), name
            assert fact is None or any(fact in one for one in found.facts), (name, found.facts)
        (said,) = (
            one
            for one in inspect_file(folder / "camels_us/01022500_streamflow_qc.txt").facts
            if "stations" in one
        )
        assert "camels_topo.txt" in said

    @pytest.mark.parametrize(
        ("name", "fact", "handled", "settings"),
        [
            ("rapid1/texas_cut/m3_riv*", "no unit: m3 per step", "Times are those of the file's name.", {}),
            ("river_route_v2/qlateral.nc", "no unit: m3 per step", None, {}),
            ("mizuroute/cameo/RUNOFF_grid*", "no unit: a run refuses it", None, {}),
            ("mizuroute/cameo/runoff_in*", "520 catchments by hruid", None, {"weights": "ntopo.nc"}),
            (
                "nwm/*/*1300.CHRTOUT*",
                "1 time, 2021-08-23 13:00, the end of its step",
                "qBucket is packed in integers.",
                {},
            ),
            (
                "runoff_grids/clm5/*",
                "period 1989-01-01 to 1989-01-02",
                "Times of the calendar noleap are taken by",
                {},
            ),
            ("runoff_grids/era5land_cds2024/*", "may be start or end", None, {"stamp": "end"}),
            (
                "runoff_grids/erai_accumulated/*",
                "reset every 12 h",
                "Longitudes go from 0 to 360.",
                {"accumulated": "12h"},
            ),
            ("runoff_grids/jules/*_00.nc", "on a grid of 40 x 60", "Time is a single number", {}),
            (
                "runoff_grids/wrf_curvilinear/*10000.nc",
                "35 x 40",
                "Latitudes and longitudes have two dimensions.",
                {},
            ),
        ],
    )
    def test_samples_of_runoff(
        self, name: str, fact: str, handled: str | None, settings: dict[str, str], data_dir: Path
    ) -> None:
        folder = data_dir / "formats"
        if not folder.is_dir():
            pytest.skip(f"samples of formats not found at {folder}")
        (path,) = folder.glob(name)
        found = inspect_file(path)
        assert any(fact in one for one in found.facts), found.facts
        assert handled is None or any(one.startswith(handled) for one in found.traps), found.traps
        assert {key: value.split("  #")[0] for key, value in found.settings.items()} == settings


class TestImport:
    @pytest.mark.parametrize("name", ["n.csv", "n.parquet", "n.zarr"])
    def test_a_network(self, name: str, tmp_path: Path) -> None:
        (tmp_path / "riv.csv").write_text(NETWORK)
        result = call("import", "network", tmp_path / "riv.csv", "--output", tmp_path / name)
        assert result.exit_code == 0, result.output
        assert result.stdout == f"{tmp_path / name}\n"
        back = rg.read_network(tmp_path / name)
        assert dict(zip(back.reach_id.tolist(), back.length.tolist(), strict=True)) == {
            3: 1500,
            5: 2500,
            7: 3000,
        }
        assert back.attributes["area_m2"].sum() == 60e6

    def test_runoff(self, tmp_path: Path) -> None:
        (tmp_path / "riv.csv").write_text(NETWORK)
        runoff(tmp_path / "r.nc", "2001-01-02")
        words = ("--network", tmp_path / "riv.csv", "--stamp", "end")
        result = call("import", "runoff", tmp_path / "r.nc", *words, "--output", tmp_path / "o.nc")
        assert result.exit_code == 0, result.output
        with xr.open_dataset(tmp_path / "o.nc") as back:
            assert str(back["time"].values[0])[:10] == "2001-01-01"
            np.testing.assert_allclose(back["runoff"].sum("reach"), np.array([15, 15, 30]) / 86400, rtol=1e-6)
        assert call("import", "runoff", tmp_path / "r.nc", "--output", tmp_path / "p.nc").exit_code == 2

    def test_observations(self, tmp_path: Path) -> None:
        (tmp_path / "riv.csv").write_text(NETWORK)
        (tmp_path / "g.csv").write_text(GAUGE)
        words = ("import", "observations", tmp_path / "g.csv", "--output")
        lost = call(*words, tmp_path / "o.nc")
        assert lost.exit_code == 2
        assert "neither reach nor position" in lost.stderr
        pd.DataFrame({"gauge": ["g"], "reach_id": [7], "area_km2": [60]}).to_csv(
            tmp_path / "s.csv", index=False
        )
        network = rg.read_network(tmp_path / "riv.csv")
        for name, more in {"a.nc": (), "b.zarr": ("--network", tmp_path / "riv.csv")}.items():
            result = call(*words, tmp_path / name, "--stations", tmp_path / "s.csv", *more)
            assert result.exit_code == 0, result.output
            back = rg.read_observations(tmp_path / name, network)
            assert network.reach_id[back.reach].tolist() == [7]
            np.testing.assert_allclose(back.discharge[:, 0] / CFS, [100, np.nan, 300], rtol=1e-6)

    def test_nothing_is_written_over(self, tmp_path: Path) -> None:
        (tmp_path / "riv.csv").write_text(NETWORK)
        (tmp_path / "mine.csv").write_text("mine")
        for output in ("riv.csv", "mine.csv"):
            result = call("import", "network", tmp_path / "riv.csv", "--output", tmp_path / output)
            assert result.exit_code == 2, output
        assert (tmp_path / "mine.csv").read_text() == "mine"
        assert (tmp_path / "riv.csv").read_text() == NETWORK


class TestImportOptions:
    """What a file does not say is said by options, as in a workflow."""

    def test_amounts_that_accumulate_and_a_single_time(self, tmp_path: Path) -> None:
        (tmp_path / "riv.csv").write_text(NETWORK)
        runoff(tmp_path / "r.nc", "2001-01-02")
        words = ("import", "runoff", tmp_path / "r.nc", "--network", tmp_path / "riv.csv", "--output")
        assert call(*words, tmp_path / "a.nc", "--accumulated", "run").exit_code == 0
        with xr.open_dataset(tmp_path / "a.nc") as data:
            assert (data.runoff.values[:, 0] * 86400).tolist() == pytest.approx([3.0, 0.0, 3.0])
            assert str(data.time.values[0])[:10] == "2001-01-01"
        with xr.open_dataset(tmp_path / "r.nc") as data:
            data.isel(time=slice(0, 1)).load().to_netcdf(tmp_path / "one.nc", engine="netcdf4")
        words = ("import", "runoff", tmp_path / "one.nc", "--network", tmp_path / "riv.csv", "--output")
        refused = call(*words, tmp_path / "b.nc")
        assert refused.exit_code == 2
        assert "--runoff-step" in refused.stderr
        assert call(*words, tmp_path / "b.nc", "--runoff-step", "6h").exit_code == 0
        with xr.open_dataset(tmp_path / "b.nc") as data:
            assert data.runoff.values[0, 0] == pytest.approx(3.0 / 21600)
        assert call(*words, tmp_path / "c.nc", "--runoff-step", "6").exit_code == 2

    def test_times_that_the_file_lacks_and_those_it_has(self, tmp_path: Path) -> None:
        (tmp_path / "riv.csv").write_text(NETWORK)
        runoff(tmp_path / "r.nc")
        with xr.open_dataset(tmp_path / "r.nc") as data:
            data.load().drop_vars("time").to_netcdf(tmp_path / "bare.nc", engine="netcdf4")
        words = ("--network", tmp_path / "riv.csv", "--output", tmp_path / "o.nc", "--runoff-start")
        more = ("1999-03-01", "--runoff-step", "12h")
        assert call("import", "runoff", tmp_path / "bare.nc", *words, *more).exit_code == 0
        with xr.open_dataset(tmp_path / "o.nc") as data:
            assert str(data.time.values[1])[:13] == "1999-03-01T12"
        refused = call("import", "runoff", tmp_path / "r.nc", *words, *more)
        assert refused.exit_code == 2
        assert "begins at 2001-01-01" in refused.stderr

    def test_reaches_without_inflow(self, tmp_path: Path) -> None:
        (tmp_path / "riv.csv").write_text(NETWORK + "9,0,3,30\n")
        runoff(tmp_path / "r.nc")
        words = ("import", "runoff", tmp_path / "r.nc", "--network", tmp_path / "riv.csv", "--output")
        assert call(*words, tmp_path / "o.nc").exit_code == 2
        assert call(*words, tmp_path / "o.nc", "--absent", "zero").exit_code == 0
        with xr.open_dataset(tmp_path / "o.nc") as data:
            assert data.runoff.sel(reach=9).values.tolist() == [0.0, 0.0, 0.0]

    @pytest.mark.parametrize(("words", "left"), [(("--drop", "e"), 1), (("--keep", "e"), 1), ((), 2)])
    def test_quality_flags(self, words: tuple[str, ...], left: int, tmp_path: Path) -> None:
        (tmp_path / "x.txt").write_text(
            "01022500 2001 01 01   100.00 A\n01022500 2001 01 02   100.00 A:e\n", encoding="ascii"
        )
        (tmp_path / "s.csv").write_text("gauge,lat,lon\n1022500,1,2\n")
        output = tmp_path / "o.nc"
        paths = (tmp_path / "x.txt", "--stations", tmp_path / "s.csv", "--output", output)
        assert call("import", "observations", *paths, *words).exit_code == 0
        with xr.open_dataset(output) as data:
            assert int(data.discharge.notnull().sum()) == left
