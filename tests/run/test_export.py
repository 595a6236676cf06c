"""A run's estimate in the files of other models: read back, routed, and equal to the run's discharge."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import torch
import xarray as xr
from typer.testing import CliRunner

import rivergrad as rg
from rivercut.network import RiverNetwork
from rivercut.store import write_network as write_store
from rivergrad import registry
from rivergrad.cli.app import app
from rivergrad.errors import InputError
from rivergrad.io import write_discharge, write_observations, write_parameters_store
from rivergrad.io.exporters.base import Estimate
from rivergrad.io.exporters.hydraulics import Channel, manning_n, wide_manning_n, width_of
from rivergrad.run.export import estimate_of, export_run

IDS = np.array([30, 10, 50, 20, 40])  # not sorted, so that a position never passes for an id
LAT, LON = np.array([0.0, 1, 0, 1, 2]), np.array([10.0, 10, 11, 11, 12])
HOUR = 3600.0


@pytest.fixture(scope="module")
def network() -> RiverNetwork:
    """10 and 20 flow into 30, 30 and 40 into 50."""
    return RiverNetwork.from_ids(
        IDS,
        [50, 30, -1, 30, 50],
        [3e4, 2e4, 3e4, 4e4, 5e4],
        {
            "slope": np.full(5, 1e-3),
            "area_m2": np.array([1e8, 2e8, 3e8, 4e8, 5e8]),
            "upstream_area_m2": np.array([7e8, 2e8, 15e8, 4e8, 5e8]),
            "lat": LAT,
            "lon": LON,
        },
    )


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, network: RiverNetwork) -> Path:
    folder = tmp_path_factory.mktemp("export") / "run"
    folder.mkdir()
    write_store(network, folder / "network.zarr")
    celerity = np.array([0.9, 1.1, 1.3, 0.8, 1.0])
    k = np.asarray(network.length) / celerity
    x = np.array([0.1, 0.02, 0.03, 0.04, 0.05]) / 3
    values = {
        "lat": LAT,
        "lon": LON,
        "celerity": celerity,
        "diffusivity": (0.5 - x) * celerity * np.asarray(network.length),
        "k": k,
        "x": x,
        "informed": np.array([1, 0, 1, 1, 1], np.int8),
    }
    said = {"scheme": "muskingum", "rivergrad_version": "1.0", "seed": 0}
    write_parameters_store(folder / "parameters.zarr", IDS, values, provenance=said)
    (folder / "run.json").write_text(
        '{"name": "demo", "status": "done", "finished": "2026-01-02T03:04:05+00:00"}'
    )
    (folder / "config.yaml").write_text(
        "network: {path: data/rivers.csv}\nrunoff: {path: /secret/runoff.nc}\nobservations: {path: [a.txt, b.txt]}\n"
    )
    return folder


def routed(network: RiverNetwork, k: np.ndarray, x: np.ndarray) -> dict[int, np.ndarray]:
    """Discharge by reach id, of a runoff that depends on the id alone."""
    values = np.maximum(np.sin(np.arange(20)[:, None] / 3 + network.reach_id), 0) * 10
    parameters = {"k": torch.from_numpy(k), "x": torch.from_numpy(x)}
    found = rg.route(network, torch.from_numpy(values), parameters, forcing_step=24 * HOUR, routing_step=HOUR)
    return {int(one): found[:, i].numpy() for i, one in enumerate(network.reach_id)}


@pytest.fixture(scope="module")
def discharge(run: Path, network: RiverNetwork) -> dict[int, np.ndarray]:
    found = rg.read_parameters(run, ["k", "x"], network)
    return routed(network, found["k"], found["x"])


def same(one: dict[int, np.ndarray], other: dict[int, np.ndarray], rtol: float = 1e-12) -> None:
    assert one.keys() == other.keys()
    for reach, values in other.items():
        np.testing.assert_allclose(one[reach], values, rtol=rtol, atol=rtol * 10)


def by_id(network: RiverNetwork, ids: np.ndarray, values: np.ndarray) -> np.ndarray:
    found = dict(zip(np.asarray(ids).tolist(), np.asarray(values, float).tolist(), strict=True))
    return np.array([found[int(one)] for one in network.reach_id])


def forest(ids: np.ndarray, below: np.ndarray) -> RiverNetwork:
    return RiverNetwork.from_ids(
        np.asarray(ids, np.int64), np.asarray(below, np.int64), outlet_values=(-1, 0)
    )


def test_a_reach_without_a_catchment_is_as_wide_as_the_smallest(network: RiverNetwork, run: Path) -> None:
    area = np.array(network.attributes["upstream_area_m2"])
    area[2] = 0.0
    other = RiverNetwork(network.reach_id, network.downstream, network.length, {"upstream_area_m2": area})
    width, said = width_of(replace(estimate_of(run), network=other))
    assert width[2] == width[np.argmin(np.where(area > 0, area, np.inf))] == width[width > 0].min()
    assert "upstream area" in said


class TestRoundTrips:
    @pytest.mark.parametrize("name", ["rapid", "diffroute"])
    def test_folders_of_rapid(self, name: str, run: Path, discharge: dict, tmp_path: Path) -> None:
        out = tmp_path / name
        export_run(run, out, name=name)
        back = rg.read_network(out, format="rapid")
        values = rg.read_parameters(out, ["k", "x"], back)
        same(routed(back, values["k"], values["x"]), discharge)
        assert back.attributes["lat"].size == 5 if name == "rapid" else True

    def test_diffroute_has_one_order_and_days(self, run: Path, network: RiverNetwork, tmp_path: Path) -> None:
        """As DiffRoute's own reader takes it: k by riv_bas_id, -1 at the outlet; see its io.py."""
        export_run(run, tmp_path / "d", name="diffroute")
        edges = pd.read_csv(tmp_path / "d/rapid_connect.csv", header=None).to_numpy()
        ids = pd.read_csv(tmp_path / "d/riv_bas_id.csv", header=None)[0].to_numpy()
        assert -1 in edges[:, 1]
        assert edges[:, 0].tolist() == ids.tolist()
        days = pd.read_parquet(tmp_path / "d/param_df_muskingum.parquet")
        k = rg.read_parameters(run, ["k"], network)["k"]
        np.testing.assert_allclose(days.loc[network.reach_id, "k"] * 86400, k)
        assert days.index.name == "river_id"

    def test_rapid2(self, run: Path, discharge: dict, tmp_path: Path) -> None:
        export_run(run, tmp_path / "r", name="rapid2")
        con, kpr, xpr = (pd.read_parquet(tmp_path / f"r/{one}.parquet") for one in ("con", "kpr", "xpr"))
        assert str(con["riv"].dtype) == "int32"
        back = forest(con["riv"], con["dwn"])
        same(
            routed(back, by_id(back, kpr["riv"], kpr["kpr"]), by_id(back, xpr["riv"], xpr["xpr"])), discharge
        )

    def test_river_route(self, run: Path, discharge: dict, tmp_path: Path) -> None:
        export_run(run, tmp_path / "p.parquet", name="river-route")
        table = pd.read_parquet(tmp_path / "p.parquet")
        below = table["downstream_river_id"].to_numpy()
        place = {one: at for at, one in enumerate(table["river_id"])}
        assert all(place[to] > at for at, to in enumerate(below) if to != -1)
        back = forest(table["river_id"], below)
        same(
            routed(
                back, by_id(back, table["river_id"], table["k"]), by_id(back, table["river_id"], table["x"])
            ),
            discharge,
        )

    @pytest.mark.parametrize("name", ["p.csv", "p.csv.gz", "p.parquet", "p.nc", "p.zarr"])
    def test_tables_and_arrays(
        self, name: str, run: Path, network: RiverNetwork, discharge: dict, tmp_path: Path
    ) -> None:
        format = {"p.parquet": "parquet", "p.nc": "netcdf"}.get(name)
        export_run(run, tmp_path / name, name=format)
        values = rg.read_parameters(tmp_path / name, ["k", "x"], network)
        same(routed(network, values["k"], values["x"]), discharge)
        if name != "p.zarr":
            back = rg.read_network(tmp_path / name)
            np.testing.assert_array_equal(back.length, network.length)
            np.testing.assert_array_equal(back.downstream, network.downstream)

    @pytest.mark.parametrize("name", ["geopackage", "geoparquet", "shapefile"])
    def test_files_of_gis(self, name: str, run: Path, discharge: dict, tmp_path: Path) -> None:
        geopandas = pytest.importorskip("geopandas")
        out = tmp_path / {"geopackage": "r.gpkg", "geoparquet": "r.geoparquet", "shapefile": "folder"}[name]
        told = export_run(run, out, name=name)
        frame = geopandas.read_parquet(out) if name == "geoparquet" else geopandas.read_file(out)
        assert frame.crs.to_epsg() == 4326
        assert set(frame.geometry.geom_type) == {"Point"}
        assert any("reaches are points" in one for one in told)
        np.testing.assert_allclose(frame.geometry.y, frame["lat"])
        back = rg.read_network(
            out / "reaches.shp" if name == "shapefile" else out
        )  # without a word of its columns
        same(
            routed(back, *(np.array(back.attributes[one]) for one in ("k", "x"))), discharge, 1e-9
        )  # 15 digits

    def test_geotiff(self, run: Path, network: RiverNetwork, discharge: dict, tmp_path: Path) -> None:
        rasterio = pytest.importorskip("rasterio")
        export_run(run, tmp_path / "r.tif")
        with rasterio.open(tmp_path / "r.tif") as file:
            bands = dict(zip(file.descriptions, file.read(), strict=True))
            west, north = file.bounds.left, file.bounds.top
            at = [
                (int(north - lat), int(lon - west)) for lon, lat in zip(LON, LAT, strict=True)
            ]  # cells of 1 degree
            assert file.crs.to_epsg() == 4326
            assert file.units[file.descriptions.index("k")] == "s"
        here = {name: np.array([band[one] for one in at]) for name, band in bands.items()}
        assert np.isnan(bands["k"]).sum() == bands["k"].size - 5
        back = forest(here["reach_id"].astype(int), here["downstream_id"].astype(int))
        same(routed(back, here["k"], here["x"]), discharge)

    def test_routelink(self, run: Path, discharge: dict, tmp_path: Path) -> None:
        told = export_run(run, tmp_path / "r.nc", name="routelink", flow="1mm/day")
        assert any("does not read MusK and MusX" in one for one in told)
        assert any("runoff of 1 mm/day from the upstream area" in one for one in told)
        back = rg.read_network(tmp_path / "r.nc")
        with xr.open_dataset(tmp_path / "r.nc") as file:
            assert "t-route does not read MusK" in file.attrs["comment"]
            k, x = (by_id(back, file["link"].values, file[one].values) for one in ("MusK", "MusX"))
        same(routed(back, k, x), discharge, 1e-6)  # single precision, as Route_Link has it

    def test_mizuroute(self, run: Path, network: RiverNetwork, tmp_path: Path) -> None:
        told = export_run(run, tmp_path / "m.nc", name="mizuroute", flow="1mm/day")
        assert any("one celerity and diffusivity for all reaches: velo = 0.974" in one for one in told)
        back = rg.read_network(tmp_path / "m.nc")
        np.testing.assert_array_equal(np.sort(back.reach_id), np.sort(network.reach_id))
        with xr.open_dataset(tmp_path / "m.nc") as file:
            # its kinematic wave: c = 5/3 V of a wide rectangle at the stated flow
            flow = by_id(back, IDS, network.attributes["upstream_area_m2"]) * 1e-3 / 86400
            width, n = (by_id(back, file["segId"].values, file[one].values) for one in ("width", "man_n"))
            depth = (flow * n / width / np.sqrt(1e-3)) ** 0.6
            celerity = by_id(back, IDS, [0.9, 1.1, 1.3, 0.8, 1.0])
            np.testing.assert_allclose(5 / 3 * flow / (width * depth), celerity, rtol=1e-9)


class TestRoughness:
    def test_the_channel_has_the_celerity_at_the_flow(self) -> None:
        """dQ/dA of Manning's equation by differences, for trapezoids and a rectangle."""
        celerity, flow = np.array([0.8, 1.5, 2.5]), np.array([2.0, 50.0, 900.0])
        channel = Channel(
            np.array([5.0, 20.0, 150.0]), np.array([0.5, 0.0, 1.0]), np.array([1e-3, 2e-3, 5e-4])
        )
        rough = manning_n(celerity, flow, channel)

        def of_depth(depth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            area = (channel.width + channel.side * depth) * depth
            perimeter = channel.width + 2 * depth * np.sqrt(1 + channel.side**2)
            return area, area * (area / perimeter) ** (2 / 3) * np.sqrt(channel.slope) / rough.n

        low, high = np.full(3, 1e-6), np.full(3, 1e3)
        for _ in range(200):
            middle = (low + high) / 2
            low, high = (
                np.where(of_depth(middle)[1] < flow, middle, low),
                np.where(of_depth(middle)[1] < flow, high, middle),
            )
        (a, q), (b, r) = of_depth(low * (1 - 1e-6)), of_depth(low * (1 + 1e-6))
        np.testing.assert_allclose((r - q) / (b - a), celerity, rtol=1e-6)
        assert (rough.low, rough.high) == (0, 0)

    def test_what_no_roughness_gives_is_counted(self) -> None:
        one = np.ones(1)
        assert manning_n(50 * one, one, Channel(one, one, 1e-5 * one)).low == 1
        assert wide_manning_n(1e-3 * one, one, one, one).high == 1

    def test_it_needs_a_flow_and_says_which(self, run: Path, tmp_path: Path) -> None:
        with pytest.raises(InputError, match="expected --flow"):
            export_run(run, tmp_path / "r.nc", name="routelink")


class TestLike:
    """A file of the user's keeps its order, ids, types and attributes."""

    def test_rapid_keeps_order_names_and_what_is_not_in_the_run(
        self, run: Path, network: RiverNetwork, tmp_path: Path
    ) -> None:
        like = tmp_path / "like"
        like.mkdir()
        (like / "rapid_connect_T.csv").write_text("20,30\n10,30\n30,50\n99,50\n40,50\n50,0\n")
        (like / "riv_bas_id_T.csv").write_text("50\n10\n20\n30\n40\n99\n")
        (like / "k_T.csv").write_text("1\n2\n3\n4\n5\n6\n")
        (like / "x_T.csv").write_text("0.3\n" * 6)
        told = export_run(run, tmp_path / "o", name="rapid", like=like)
        k = dict(zip(IDS.tolist(), rg.read_parameters(run, ["k"], network)["k"].tolist(), strict=True))
        got = (tmp_path / "o/k_T.csv").read_text().split()
        assert got == [repr(k[20]), repr(k[10]), repr(k[30]), "4", repr(k[40]), repr(k[50])]
        assert (tmp_path / "o/riv_bas_id_T.csv").read_bytes() == (like / "riv_bas_id_T.csv").read_bytes()
        assert any("1 of its 6 reaches are not in the run" in one for one in told)

    def test_parquet_keeps_types_columns_and_metadata(self, run: Path, tmp_path: Path) -> None:
        like = tmp_path / "like.parquet"
        table = pd.DataFrame(
            {"name": list("abc"), "LINKNO": np.array([40, 10, 7], "i4"), "musk_k": np.ones(3, "f4")}
        )
        table.to_parquet(like)
        export_run(run, tmp_path / "o.parquet", name="river-route", like=like)
        old, new = pq.read_table(like), pq.read_table(tmp_path / "o.parquet")
        assert new.schema.equals(old.schema, check_metadata=True)
        assert new.column("LINKNO").to_pylist() == [40, 10, 7]
        np.testing.assert_allclose(new.column("musk_k").to_numpy(), [5e4 / 1.0, 2e4 / 1.1, 1.0], rtol=1e-6)

    def test_rapid2_keeps_its_names(self, run: Path, tmp_path: Path) -> None:
        export_run(run, tmp_path / "a", name="rapid2")
        for file in (tmp_path / "a").glob("*.parquet"):
            file.rename(file.with_name(f"{file.stem}_T.parquet"))
        export_run(run, tmp_path / "b", name="rapid2", like=tmp_path / "a")
        names = sorted(one.name for one in (tmp_path / "b").glob("*.parquet"))
        assert names == [f"{one}_T.parquet" for one in ("bas", "con", "crd", "kpr", "xpr")]

    @pytest.mark.parametrize("name", ["routelink", "mizuroute"])
    def test_netcdf_keeps_its_variables(self, name: str, run: Path, tmp_path: Path) -> None:
        like, ids = tmp_path / "like.nc", np.array([50, 40, 99, 10, 20, 30], "i4")
        id_name, dim = ("link", "feature_id") if name == "routelink" else ("seg_id", "seg")
        given = {
            id_name: (dim, ids, {"note": "mine"}),
            "So": (dim, np.full(6, 1e-3, "f4")),
            "slope": (dim, np.full(6, 1e-3)),
            "BtmWdth": (dim, np.full(6, 9.0, "f4")),
            "width": (dim, np.full(6, 9.0)),
            "ChSlp": (dim, np.full(6, 0.5, "f4")),
            "n": (dim, np.full(6, 0.06, "f4"), {"long_name": "roughness"}),
            "MusK": (dim, np.full(6, 3600, "f4")),
        }
        xr.Dataset(given, attrs={"history": "made"}).to_netcdf(like, engine="netcdf4", format="NETCDF3_64BIT")
        export_run(run, tmp_path / "o.nc", name=name, like=like, flow="1mm/day")
        with xr.open_dataset(like) as old, xr.open_dataset(tmp_path / "o.nc") as new:
            assert new[id_name].values.tolist() == ids.tolist()
            assert new[id_name].attrs == old[id_name].attrs
            changed = "n" if name == "routelink" else "man_n"
            assert np.isfinite(new[changed].values[[0, 1, 3, 4, 5]]).all()
            if name == "routelink":
                assert (new["n"].dtype, new["n"].attrs) == (old["n"].dtype, old["n"].attrs)
                assert new["n"].values[2] == old["n"].values[2]  # a reach that the run has not
                np.testing.assert_allclose(new["MusK"].values[1], 5e4 / 1.0, rtol=1e-6)
            np.testing.assert_array_equal(new["BtmWdth"], old["BtmWdth"])
            first, last = new.attrs["history"].split("\n")
            assert last == "made"
            assert "at one flow" in first

    def test_geopackage_keeps_lines_and_layers(self, run: Path, tmp_path: Path) -> None:
        geopandas = pytest.importorskip("geopandas")
        from shapely.geometry import LineString

        like = tmp_path / "like.gpkg"
        lines = [LineString([(0, i), (1, i)]) for i in range(3)]
        geopandas.GeoDataFrame(
            {"id": ["wb-40", "wb-10", "wb-7"], "mine": [1, 2, 3]}, geometry=lines, crs=5070
        ).to_file(like, layer="flow", driver="GPKG")
        export_run(run, tmp_path / "o.gpkg", like=like)
        back = geopandas.read_file(tmp_path / "o.gpkg", layer="flow")
        assert back["id"].tolist() == ["wb-40", "wb-10", "wb-7"]
        assert back.crs.to_epsg() == 5070
        assert back["mine"].tolist() == [1, 2, 3]
        np.testing.assert_allclose(back["celerity"], [1.0, 1.1, np.nan])

    def test_templates_that_do_not_fit(self, run: Path, tmp_path: Path) -> None:
        pd.DataFrame({"river_id": [1, 2], "k": [1.0, 2.0]}).to_parquet(tmp_path / "other.parquet")
        pd.DataFrame({"a": [1, 2]}).to_parquet(tmp_path / "none.parquet")
        (tmp_path / "broken.parquet").write_bytes(b"PAR1 no")
        for name, match in {
            "other.parquet": "none of its reaches (1, 2) is in the run",
            "none.parquet": "expected one of river_id",
            "broken.parquet": "cannot be read as Parquet",
            "absent.parquet": "no such file",
        }.items():
            with pytest.raises(InputError) as caught:
                export_run(run, tmp_path / "o.parquet", name="river-route", like=tmp_path / name)
            assert match in str(caught.value)
            assert not (tmp_path / "o.parquet").exists()
        with pytest.raises(InputError, match="takes no template"):
            export_run(run, tmp_path / "o.zarr", like=tmp_path / "other.parquet")


class TestOutputs:
    def test_provenance_units_and_no_paths(self, run: Path, tmp_path: Path) -> None:
        export_run(run, tmp_path / "p.csv", licence="CC BY 4.0")
        export_run(run, tmp_path / "p.parquet", name="parquet", licence="CC BY 4.0")
        said = json.loads((tmp_path / "p.csv.json").read_text())
        assert said["columns"]["k"] == "s"
        metadata = pq.read_schema(tmp_path / "p.parquet").metadata
        for found in (said["provenance"], json.loads(metadata[b"rivergrad"])):
            assert found["license"] == "CC BY 4.0"
            assert found["sources"] == "network: rivers.csv, runoff: runoff.nc, observations: a.txt b.txt"
            assert "2026-01-02T03:04:05" in found["history"]
            assert "secret" not in json.dumps(found)
        assert json.loads(metadata[b"units"])["celerity"] == "m s-1"
        assert pq.read_schema(tmp_path / "p.parquet").field("k").metadata == {b"units": b"s"}

    def test_the_same_twice_is_the_same_bytes(self, run: Path, tmp_path: Path) -> None:
        for name in ("p.csv", "p.nc"):
            format = "netcdf" if name == "p.nc" else None
            export_run(run, tmp_path / name, name=format)
            first = (tmp_path / name).read_bytes()
            export_run(run, tmp_path / name, name=format)
            assert (tmp_path / name).read_bytes() == first

    def test_a_mistake_names_the_file_that_was_asked_for(
        self, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def write(self: object, estimate: object, output: Path, like: object) -> list[str]:
            raise InputError(f"{output}: cannot hold it")

        monkeypatch.setattr("rivergrad.io.exporters.tables.Csv.write", write)
        with pytest.raises(InputError) as caught:
            export_run(run, tmp_path / "p.csv")
        assert str(caught.value) == f"{tmp_path / 'p.csv'}: cannot hold it"

    def test_nothing_of_the_users_is_written_over(self, run: Path, tmp_path: Path) -> None:
        mine = {"t.csv": "reach_id,mine\n1,2\n", "f.gpkg": "x", "q.parquet": "x", "m.nc": "x", "t.tif": "x"}
        for name, text in mine.items():
            (tmp_path / name).write_text(text)
            with pytest.raises(InputError, match="is not parameters that rivergrad wrote"):
                export_run(
                    run, tmp_path / name, name={"q.parquet": "river-route", "m.nc": "netcdf"}.get(name)
                )
            assert (tmp_path / name).read_text() == text
        export_run(run, tmp_path / "r", name="rapid")
        export_run(run, tmp_path / "r", name="rapid")  # its own it may replace
        (tmp_path / "r/notes.txt").write_text("mine")
        with pytest.raises(InputError, match="expected another place"):
            export_run(run, tmp_path / "r", name="rapid")
        like = tmp_path / "like.parquet"
        export_run(run, like, name="river-route")
        with pytest.raises(InputError, match="is what is read"):
            export_run(run, like, name="river-route", like=like)

    def test_a_table_changed_since_is_the_users(self, run: Path, tmp_path: Path) -> None:
        export_run(run, tmp_path / "p.csv")
        with (tmp_path / "p.csv").open("a") as file:
            file.write("1,2\n")
        with pytest.raises(InputError, match="is not parameters that rivergrad wrote"):
            export_run(run, tmp_path / "p.csv")

    @pytest.mark.parametrize("name", ["o.gpkg", "o.parquet", "o.csv"])
    def test_the_ending_is_enough_where_it_is_clear(self, name: str, run: Path, tmp_path: Path) -> None:
        result = CliRunner().invoke(app, ["export", str(run), "--output", str(tmp_path / name)])
        assert result.exit_code == 0, result.output
        assert result.stdout == f"{tmp_path / name}\n"

    @pytest.mark.parametrize(
        ("arguments", "match"),
        [
            (("--output", "o.xyz"), "its ending does not say the format"),
            (("--output", "o.csv", "--as", "geopackage"), "ends in .gpkg, as the format is geopackage"),
            (("--output", "o", "--as", "shape"), "did you mean shapefile?"),
            (("--output", "o.nc", "--as", "routelink", "--flow", "none.nc"), "none.nc"),
        ],
    )
    def test_what_is_asked_for_wrongly(
        self, arguments: tuple[str, ...], match: str, run: Path, tmp_path: Path
    ) -> None:
        given = [str(tmp_path / one) if one.startswith("o") else one for one in arguments]
        result = CliRunner().invoke(app, ["export", str(run), *given])
        assert result.exit_code == 2
        assert match in result.stderr
        assert len(result.stderr.splitlines()) <= 2
        assert not list(tmp_path.iterdir())

    def test_a_run_of_another_scheme_and_a_lake(
        self, run: Path, network: RiverNetwork, tmp_path: Path
    ) -> None:
        from rivergrad.io.exporters.muskingum import muskingum_of

        values = {
            "celerity": np.full(5, 1.0),
            "diffusivity": np.array([3e3, 3e3, 3e3, 3e3, 9e4]),
            "residence_time": np.array([np.nan, np.nan, 7e5, np.nan, np.nan]),
        }
        k, x, told = muskingum_of(Estimate(network, values, {}))
        np.testing.assert_allclose(k, [3e4, 2e4, 7e5, 4e4, 5e4])
        np.testing.assert_allclose(x, [0.4, 0.35, 0.0, 0.425, 0.0])
        assert any("1 lakes have their residence time" in one for one in told)
        assert any("x is set to 0 at 1 reaches" in one for one in told)

    def test_what_the_models_do_not_have_is_said(self, run: Path, network: RiverNetwork) -> None:
        from rivergrad.io.exporters.muskingum import muskingum_of

        values = {"k": np.full(5, 3e4), "x": np.full(5, 0.1)}
        assert muskingum_of(Estimate(network, values, {}))[2] == []
        more = {"hillslope_delay": np.full(5, 7200.0), "flow_exponent": np.full(5, 0.2)}
        told = muskingum_of(Estimate(network, {**values, **more}, {}))[2]
        assert any("delays runoff on hillslopes, by 2 h" in one for one in told)
        assert any("celerity depends on flow" in one for one in told)

    def test_an_exporter_of_ones_own(self, run: Path, tmp_path: Path) -> None:
        class Ids:
            endings, folder, like, extra = (".ids",), False, False, None

            def write(self, estimate: Estimate, output: Path, like: Path | None) -> list[str]:
                output.write_text(" ".join(map(str, estimate.network.reach_id)))
                return ["as asked"]

        with registry.forgetting():
            rg.register("exporter", "ids", Ids)
            assert export_run(run, tmp_path / "o.ids", name="ids") == ["as asked"]
            assert (tmp_path / "o.ids").read_text() == "30 10 50 20 40"
            with pytest.raises(InputError, match="expected an exporter"):
                rg.register("exporter", "none", object())

    def test_a_missing_extra_names_what_installs_it(
        self, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(sys.modules, "geopandas", None)
        with pytest.raises(InputError, match=r"pip install 'rivergrad\[geo\]'"):
            export_run(run, tmp_path / "o.gpkg")


@pytest.mark.parametrize("kept", [True, False])
def test_lines_of_the_run_or_of_its_network_are_taken(
    kept: bool, run: Path, network: RiverNetwork, tmp_path: Path
) -> None:
    geopandas = pytest.importorskip("geopandas")
    from shapely.geometry import LineString

    below = np.where(network.downstream >= 0, network.reach_id[network.downstream], 0)
    lines = [LineString([(lon, lat), (lon + 1, lat)]) for lon, lat in zip(LON, LAT, strict=True)]
    frame = geopandas.GeoDataFrame(
        {"COMID": IDS, "NextDownID": below, "lengthkm": 1.0}, geometry=lines, crs=4326
    )
    copy = tmp_path / "run"
    shutil.copytree(run, copy)
    if kept:
        frame.rename(columns={"COMID": "reach_id"})[["reach_id", "geometry"]].to_parquet(
            copy / "reaches.parquet"
        )
    else:
        frame.iloc[::-1].to_file(tmp_path / "rivers.gpkg", driver="GPKG")
        (copy / "config.yaml").write_text(f"network: {{path: {tmp_path / 'rivers.gpkg'}}}\n")
    export_run(copy, tmp_path / "o.gpkg")
    back = geopandas.read_file(tmp_path / "o.gpkg")
    assert back["reach_id"].tolist() == IDS.tolist()
    assert [one.equals(line) for one, line in zip(back.geometry, lines, strict=True)] == [True] * 5


def test_netcdf_passes_the_compliance_checker(run: Path, tmp_path: Path) -> None:
    """No error in an export, in discharge and in observations; an export has nothing to improve either."""
    pytest.importorskip("compliance_checker")
    time = np.datetime64("2001-01-01", "ns") + np.arange(3) * np.timedelta64(1, "D")
    export_run(run, tmp_path / "p.nc", name="netcdf")
    # ids in order: `reach` is a coordinate variable, which CF wants to rise (or fall)
    write_discharge(tmp_path / "q.nc", np.sort(IDS), time, np.ones((3, 5)))
    write_observations(tmp_path / "g.nc", ["A", "B"], [10, 20], time, np.ones((3, 2)))
    with xr.open_dataset(tmp_path / "q.nc", decode_times=False) as file:
        assert file["time"].attrs["bounds"] == "time_bnds"
        assert file["time_bnds"].values[1].tolist() == [file["time"].values[1], file["time"].values[2]]
    names = ("p", "q", "g")
    outputs = [word for one in names for word in ("-o", str(tmp_path / f"{one}.json"))]
    script = Path(sys.executable).with_name("compliance-checker")
    done = subprocess.run(
        [str(script), "--test", "cf:1.11", "--criteria", "strict", "--format", "json", *outputs]
        + [str(tmp_path / f"{one}.nc") for one in names],
        cwd=tmp_path,
        # the script imports what lies beside it; a test before may have had a command line of ours in this process
        env={name: value for name, value in os.environ.items() if name != "PYTHONSAFEPATH"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert (tmp_path / "p.json").is_file(), (done.returncode, done.stdout[-1500:], done.stderr[-1500:])
    reports = {one: json.loads((tmp_path / f"{one}.json").read_text())["cf:1.11"] for one in names}
    assert {one: report["high_count"] for one, report in reports.items()} == dict.fromkeys(names, 0)
    assert reports["p"]["scored_points"] == reports["p"]["possible_points"]
