"""Networks of other models and data sets in tiny files: how they are told, what is converted, and what is refused."""

from __future__ import annotations

import importlib
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import tiny_networks as tiny
import xarray as xr

import rivergrad as rg
from rivergrad import registry
from rivergrad.io.formats import detect

NAMES = list(tiny.FORMATS)
AREAS = {
    **dict.fromkeys(
        ("merit", "hydrorivers", "hdma", "hydrofabric", "mosart", "basinmaker", "rapid2"), tiny.AREA
    ),
    "tdx": [1e6, 2e6, 0.0],  # differences of DSContArea, which is 3 km2 at the outlet
    "raven": [2e6] * 3,
    "mizuroute": [3e6, 0.0, 7e6],
}
UPSTREAM = ("merit", "hydrorivers", "hdma", "hydrofabric", "mosart")
K = {"geoglows": 1e3, "nwm": 3600.0}
WITHOUT_LENGTHS = ("rapid", "rapid2", "river_route", "river_route_1", "diffroute")
OF_NETWORKS = {
    one.name: one.load()
    for one in registry.entries("format")
    if not one.outside and "network" in one.load().reads
}
OF_CELLS = ("d8", "ldd", "cama", "wflow")
NEEDS_GEO = [name for name, one in OF_NETWORKS.items() if one.extra == "geo"]


def of_ids(network: rg.RiverNetwork, name: str) -> list[float]:
    """An attribute, or `length`, of the reaches 10, 20 and 30."""
    values = network.length if name == "length" else network.attributes[name]
    return np.asarray(values)[network.positions(list(tiny.IDS))].tolist()


def refused(path: Path, match: str, **options: Any) -> str:
    """Reading ends in an InputError of at most two short lines that names the file."""
    with pytest.raises(rg.InputError, match=match) as error:
        rg.read_network(path, **options)
    text = str(error.value)
    assert len(text) <= 600
    assert "\n" not in text
    assert path.name in text or path.parent.name in text
    return text


def test_no_format_is_left_out() -> None:
    """A network of every format is tried below with texts for ids, ids twice and cycles."""
    assert {*NAMES, *OF_CELLS, "zarr"} == set(OF_NETWORKS)
    assert {name for name, one in OF_NETWORKS.items() if one.extra is not None} == {*NEEDS_GEO, "d8", "ldd"}


@pytest.mark.parametrize("name", NAMES)
def test_a_format_is_told_and_its_network_is_right(
    name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tiny.FORMATS[name](tmp_path, tiny.IDS, tiny.DOWN)
    found = detect(path, "network")
    assert found is not None
    assert found.name == name
    with caplog.at_level(logging.WARNING, logger="rivergrad"):
        network = rg.read_network(path)
    assert "which no reach is" not in caplog.text  # a format knows what means an outlet in it
    below = network.downstream[network.positions(list(tiny.IDS))]
    assert np.where(below < 0, -1, network.reach_id[below]).tolist() == [30, 30, -1]
    if name in WITHOUT_LENGTHS:
        assert network.length is None
        if name != "rapid":
            np.testing.assert_allclose(of_ids(network, "k"), [1e3, 2e3, 3e3])
    elif name == "tdx":  # Length is in degrees: 0.01 degrees of longitude at 48, 49 and 50 north
        np.testing.assert_allclose(of_ids(network, "length"), [746.1, 731.5, 716.9], rtol=1e-3)
    else:
        lakes = [1.0, 2000.0, 3000.0] if name in ("raven", "basinmaker") else [1000.0, 2000.0, 3000.0]
        np.testing.assert_allclose(of_ids(network, "length"), lakes)
    if name in AREAS:
        np.testing.assert_allclose(of_ids(network, "area_m2"), AREAS[name])
    if name in K:
        assert of_ids(network, "k") == [K[name]] * 3
    if name in UPSTREAM:
        np.testing.assert_allclose(of_ids(network, "upstream_area_m2"), [1e6, 2e6, 6e6])
    if name in ("tdx", "merit", "hydrorivers", "hdma", "basinmaker"):
        np.testing.assert_allclose(of_ids(network, "lon"), 8.005)  # halfway along a line
    if name == "nwm":
        assert of_ids(network, "is_lake") == [0, 1, 0]


@pytest.mark.parametrize("name", NAMES)
def test_its_name_overrides_what_is_told(name: str, tmp_path: Path) -> None:
    path = tiny.FORMATS[name](tmp_path, tiny.IDS, tiny.DOWN)
    assert rg.read_network(path, name).n_reaches == 3


def files_of(path: Path) -> list[Path]:
    return sorted(path.iterdir()) if path.is_dir() else [path]


BAD: dict[str, tuple[Sequence[Any], Sequence[Any], str]] = {
    "duplicate": ((10, 10, 30), (30, 30, -1), "10.*more than once|more than once.*10"),
    "cycle": ((10, 20, 30), (20, 10, -1), "10.*20.*cycle"),
    "itself": ((10, 20, 30), (10, 30, -1), "10 flow into themselves|10.*itself"),
}


@pytest.mark.parametrize("name", NAMES)
def test_bad_networks(name: str, tmp_path: Path) -> None:
    for what, (ids, down, match) in BAD.items():
        folder = tmp_path / what
        folder.mkdir()
        refused(tiny.FORMATS[name](folder, ids, down), match)


@pytest.mark.parametrize("name", NAMES)
def test_texts_for_ids(name: str, tmp_path: Path) -> None:
    ids, down = ("first", "second", "third"), ("third", "third", "-1")
    refused(tiny.FORMATS[name](tmp_path, ids, down), "first", format=name)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("how", ["truncated", "empty", "another"])
def test_files_that_are_damaged(name: str, how: str, tmp_path: Path) -> None:
    path = tiny.FORMATS[name](tmp_path, tiny.IDS, tiny.DOWN)
    for one in files_of(path):
        content = one.read_bytes()
        kept = {
            "truncated": content[: len(content) // 2],
            "empty": b"",
            "another": b"\x00no such thing\xff" * 9,
        }
        one.write_bytes(kept[how])
    if how == "truncated" and name in ("rapid", "diffroute", "table", "csv"):
        return  # half a text is a text: what it lacks is told by the ids, below
    refused(path, ".", format=name)
    refused(path, ".")


@pytest.mark.parametrize("name", NEEDS_GEO)
def test_a_missing_extra_is_one_line_that_installs_it(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tiny.FORMATS[name](tmp_path, tiny.IDS, tiny.DOWN)
    _hide(monkeypatch, "pyogrio", "shapefile")
    refused(path, r"needs pyogrio.*pip install 'rivergrad\[geo\]'")
    refused(path, r"pip install 'rivergrad\[geo\]'", format=name)


@pytest.mark.parametrize("name", ["hydrorivers", "hdma", "basinmaker", "merit", "tdx"])
def test_pyshp_reads_shapefiles_where_geo_is_absent(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tiny.FORMATS[name](tmp_path, tiny.IDS, tiny.DOWN)
    if path.suffix == ".gpkg":
        geopandas = pytest.importorskip("geopandas")
        lines = geopandas.read_file(path)
        path = path.with_suffix(".shp")
        lines.to_file(path, engine="pyogrio")
    expected = rg.read_network(path)
    table = rg.read_network(path.with_suffix(".dbf")) if name != "tdx" else None
    _hide(monkeypatch, "pyogrio")
    if name == "tdx":
        refused(path, r"needs pyogrio.*pip install 'rivergrad\[geo\]'")
        return
    for one, other in ((path, expected), (path.with_suffix(".dbf"), table)):
        found = rg.read_network(one)
        assert found.reach_id.tolist() == other.reach_id.tolist()
        assert found.downstream.tolist() == other.downstream.tolist()
        np.testing.assert_array_equal(found.length, other.length)
        assert list(found.attributes) == list(other.attributes)
        for what, values in other.attributes.items():
            np.testing.assert_allclose(found.attributes[what], values, rtol=1e-12)
    refused(path, "layer 'none' is missing", layer="none", format=name)
    for bad in (b"", path.read_bytes()[:120], b"no such thing"):
        path.write_bytes(bad)
        refused(path, ".", format=name)


def test_pyshp_reads_texts_empty_cells_and_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shapefile = pytest.importorskip("shapefile")
    for code, ids in (("UTF-8", (10, 20, 30)), ("", (11, 21, 31))):
        path = tmp_path / f"lines{code}.shp"
        with shapefile.Writer(str(path), encoding=code or "latin-1") as file:
            for field in (("me", "N", 18, 0), ("next", "N", 18, 0), ("len", "N", 18, 3), ("river", "C", 20)):
                file.field(*field)
            for at, one in enumerate(ids):
                file.line([[(8.0, 48.0), (8.0, 48.2)], [(9.0, 48.2), (9.0, 48.2 + at / 2)]])
                file.record(one, ids[2] if at < 2 else None, 1e3, "Maß")
        path.with_suffix(".prj").write_text('GEOGCS["WGS 84"]')
        if code:
            path.with_suffix(".cpg").write_text(code)
        _hide(monkeypatch, "pyogrio")
        names = {"reach_id": "me", "downstream_id": "next", "length_m": "len"}
        network = rg.read_network(path, columns=names, outlets=["empty"])
        assert network.reach_id.tolist() == list(ids)
        assert network.downstream.tolist() == [2, 2, -1]
        # halfway along 0.2, 0.7 and 1.2 degrees in two parts
        np.testing.assert_allclose(network.attributes["lat"], [48.1, 48.35, 48.6])
        np.testing.assert_allclose(network.attributes["lon"], [8.0, 9.0, 9.0])


def _hide(monkeypatch: pytest.MonkeyPatch, *modules: str) -> None:
    from rivergrad.io import heads

    def without(name: str) -> Any:
        if name in modules:
            raise ImportError(name)
        return importlib.import_module(name)

    monkeypatch.setattr(heads, "import_module", without)
    heads._head.cache_clear()


# -- what each holds that is easily read wrongly -----------------------------------------------------------------


def test_outlets_outside_of_a_part_are_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for name in ("nwm", "hdma", "mizuroute", "basinmaker"):
        folder = tmp_path / name
        folder.mkdir()
        with caplog.at_level(logging.WARNING, logger="rivergrad"):
            rg.read_network(tiny.FORMATS[name](folder, tiny.IDS, tiny.DOWN))
        assert "1 reach flows into 99, which the file does not hold" in caplog.text
        caplog.clear()
    for name in ("rapid2", "hydrofabric"):
        folder = tmp_path / name
        folder.mkdir()
        with caplog.at_level(logging.WARNING, logger="rivergrad"):
            rg.read_network(tiny.FORMATS[name](folder, tiny.IDS, (30, 30, 99)))
        assert "1 reach flows into 99, which the file does not hold" in caplog.text
        caplog.clear()
    # where a cut is not usual, it is a mistake until it is said
    ids = pd.DataFrame({"LINKNO": [1, 2], "DSLINKNO": [2, 3], "LengthGeodesicMeters": [1e3, 1e3]})
    ids.to_parquet(tmp_path / "cut.parquet")
    refused(tmp_path / "cut.parquet", "2 -> 3.*outlets outside")
    assert rg.read_network(tmp_path / "cut.parquet", outlets=["outside"]).n_basins == 1


def test_hrus_are_summed_by_segment_and_slopes_of_0_left_out(tmp_path: Path) -> None:
    network = rg.read_network(tiny.mizuroute(tmp_path, tiny.IDS, tiny.DOWN))
    assert of_ids(network, "area_m2") == [3e6, 0.0, 7e6]  # 20 has no HRU
    assert "slope" not in network.attributes


def test_a_fill_value_among_ids_is_an_outlet(tmp_path: Path) -> None:
    path = tmp_path / "n.nc"
    fill = {"_FillValue": -9999}
    xr.Dataset(
        {
            "ID": ("n", np.array([1, 2]), fill),
            "ID_next": ("n", np.array([2, -9999]), fill),
            "length": ("n", [1e3, 0.0], {"_FillValue": -9999.0}),
            "lake": ("n", np.array([0, 1])),
        }
    ).to_netcdf(path)
    network = rg.read_network(path)
    assert network.reach_id[network.outlets].tolist() == [2]
    assert network.attributes["is_lake"].tolist() == [0, 1]
    assert np.asarray(network.length).tolist() == [1e3, 1.0]  # a lake without a length


def test_areas_of_mosart_are_summed_not_believed(tmp_path: Path) -> None:
    network = rg.read_network(tiny.FORMATS["mosart"](tmp_path, tiny.IDS, tiny.DOWN))
    assert of_ids(network, "upstream_area_m2") == [1e6, 2e6, 6e6]


def test_cells_of_mosart_without_an_id_are_sea(tmp_path: Path) -> None:
    columns = {
        "ID": [np.nan, 10.0, 20.0],
        "dnID": [-9999.0, 20.0, -9999.0],
        "rlen": [0.0, 1e3, 1e3],
        "rslp": 0.0,
    }
    frame = pd.DataFrame({**columns, "area": 2e6})
    made = xr.Dataset({one: ("n", frame[one].to_numpy()) for one in frame})
    made["area"].attrs["units"] = "m^2"
    made["rslp"].attrs["units"] = "unitless"
    made.to_netcdf(tmp_path / "MOSART.nc")
    network = rg.read_network(tmp_path / "MOSART.nc")
    assert network.reach_id.tolist() == [10, 20]
    assert network.attributes["area_m2"].tolist() == [2e6, 2e6]


def test_merit_takes_areas_from_its_catchments(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tiny.FORMATS["merit"](tmp_path, tiny.IDS, tiny.DOWN)
    with caplog.at_level(logging.WARNING, logger="rivergrad"):
        assert of_ids(rg.read_network(path), "area_m2") == [1e6, 2e6, 3e6]
    assert "no catchments" in caplog.text
    tiny.vector(
        tmp_path / "cat_pfaf_27.gpkg", pd.DataFrame({"COMID": [30, 20, 10], "unitarea": [33.0, 22.0, 11.0]})
    )
    assert of_ids(rg.read_network(path), "area_m2") == [11e6, 22e6, 33e6]


def test_the_hydrofabric_goes_through_nexuses(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, logger="rivergrad"):
        network = rg.read_network(tiny.hydrofabric(tmp_path, tiny.IDS, tiny.DOWN))
    assert of_ids(network, "slope") == [0.01, 0.02, 0.03]  # not that of the second row of the same id
    assert "more than once" in caplog.text
    assert 20 < of_ids(network, "lat")[0] < 60  # out of EPSG:5070


def test_the_hydrofabric_in_parquet_and_of_2_0(tmp_path: Path) -> None:
    geopandas, pyogrio = pytest.importorskip("geopandas"), pytest.importorskip("pyogrio")
    path = tiny.hydrofabric(tmp_path, tiny.IDS, tiny.DOWN)
    parts = {one: pyogrio.read_dataframe(path, layer=one) for one, _ in pyogrio.list_layers(path)}
    for name, part in parts.items():
        part.to_parquet(tmp_path / f"{name}.parquet")
    network = rg.read_network(tmp_path / "flowpaths.parquet")
    assert of_ids(network, "slope") == [0.01, 0.02, 0.03]
    assert network.reach_id[network.outlets].tolist() == [30]
    former = tmp_path / "2.0.gpkg"
    for one in ("flowpaths", "nexus"):
        geopandas.GeoDataFrame(parts[one]).to_file(former, layer=one, engine="pyogrio")
    named = {
        "rl_So": [0.01, 0.02, 0.03],
        "rl_n": 0.03,
        "rl_MusK_s": 3600.0,
        "rl_MusX": 0.2,
        "rl_BtmWdth_m": 5.0,
    }
    further = pd.DataFrame({"id": [f"wb-{one}" for one in tiny.IDS], **named})
    pyogrio.write_dataframe(further, former, layer="flowpath_attributes")
    network = rg.read_network(former)
    assert of_ids(network, "slope") == named["rl_So"]
    for name, value in {"manning_n": 0.03, "k": 3600.0, "x": 0.2, "width_m": 5.0}.items():
        assert of_ids(network, name) == [value] * 3


def test_lakes_without_a_length(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for name in ("raven", "basinmaker"):
        folder = tmp_path / name
        folder.mkdir()
        with caplog.at_level(logging.WARNING, logger="rivergrad"):
            network = rg.read_network(tiny.FORMATS[name](folder, tiny.IDS, tiny.DOWN))
        assert of_ids(network, "is_lake") == [1, 0, 0]
        assert "1 lakes have no length" in caplog.text
        caplog.clear()
    assert of_ids(network, "lat") == pytest.approx([48.0, 49.0, 50.0])  # -1.2345 is no position
    path = tmp_path / "raven/x.rvh"
    path.write_text("\n".join(line for line in path.read_text().splitlines() if ":Units" not in line))
    assert of_ids(rg.read_network(path), "length") == [1.0, 2e3, 3e3]  # in km, said or not


def test_rapid_names_the_reaches_it_models(tmp_path: Path) -> None:
    path = tiny.rapid(tmp_path, tiny.IDS, tiny.DOWN)
    (path / "riv_bas_id_x.csv").write_text("20\n10\n")
    network = rg.read_network(path)
    assert network.reach_id.tolist() == [10, 20]
    assert network.n_basins == 2
    assert network.attributes["k"].tolist() == [1e3, 2e3]


def test_positions_of_rapid_have_no_names_and_longitude_first(tmp_path: Path) -> None:
    path = tiny.rapid(tmp_path, tiny.IDS, tiny.DOWN)
    (path / "coords_x.csv").write_text("30,8.3,48.3\n20,8.2,48.2\n")
    network = rg.read_network(path)
    np.testing.assert_array_equal(of_ids(network, "lat"), [np.nan, 48.2, 48.3])
    np.testing.assert_array_equal(of_ids(network, "lon"), [np.nan, 8.2, 8.3])
    (path / "coords_x.csv").write_text("rivid,lat,lon\n30,48.3,8.3\n")
    assert of_ids(rg.read_network(path), "lat")[2] == 48.3


def test_units_of_headers_and_of_options(tmp_path: Path) -> None:
    path = tiny.FORMATS["table"](tmp_path, tiny.IDS, tiny.DOWN)
    assert of_ids(rg.read_network(path), "k") == pytest.approx([864.0, 1728.0, 2592.0])
    plain = pd.read_csv(path).rename(
        columns={"length [km]": "len", "k [d]": "k", "LINKNO": "me", "DSLINKNO": "next"}
    )
    plain.to_csv(tmp_path / "plain.csv", index=False)
    names = {"reach_id": "me", "downstream_id": "next", "length_m": "len"}
    network = rg.read_network(tmp_path / "plain.csv", columns=names, units={"length_m": "km", "k": "d"})
    assert of_ids(network, "length") == [1e3, 2e3, 3e3]
    assert of_ids(network, "k") == pytest.approx([864.0, 1728.0, 2592.0])
    refused(tmp_path / "plain.csv", "'nxt' is missing.*'next'", columns={**names, "downstream_id": "nxt"})
    refused(tmp_path / "plain.csv", "'min'; expected one like m", columns=names, units={"length_m": "min"})


@pytest.mark.parametrize(
    ("columns", "match"),
    [
        ({"length_m": [1.0, 2.0, 3.0]}, "median length is 2 m.*lengths in km"),
        ({"length_m": [1e3] * 3, "k": [0.01] * 3}, r"is k in days\? say so with units: \{k: d\}"),
        ({"length_m": [1e3] * 3, "k": [0.3] * 3}, r"is k in hours\?"),
        ({"length_m": [30.0] * 3, "k": [3e4] * 3}, r"0.001 m/s.*lengths in km"),
        ({"length_m": [1e3] * 3, "area_m2": [40.0] * 3}, "areas in km2"),
        ({"length_m": [1e3] * 3, "upstream_area_m2": [4e14] * 3}, "m2 already"),
    ],
)
def test_what_no_river_has_names_the_likely_unit(columns: dict[str, Any], match: str, tmp_path: Path) -> None:
    pd.DataFrame({"reach_id": tiny.IDS, "downstream_id": tiny.DOWN, **columns}).to_csv(
        tmp_path / "n.csv", index=False
    )
    refused(tmp_path / "n.csv", match)


def test_a_basin_and_a_box(tmp_path: Path) -> None:
    pd.DataFrame(
        {
            "reach_id": [1, 2, 3, 4, 5],
            "downstream_id": [3, 3, 5, 5, -1],
            "length_m": 1e3,
            "lat": [50.0, 51.0, 49.0, 40.0, 48.0],
            "lon": [179.0, -179.0, 179.5, 0.0, 179.5],
        }
    ).to_csv(tmp_path / "n.csv", index=False)
    assert rg.read_network(tmp_path / "n.csv", basin=3).reach_id.tolist() == [1, 2, 3]
    # 3 and 5 lie in the box, across 180 degrees; what drains into them comes with them
    box = rg.read_network(tmp_path / "n.csv", basin=[179.2, 47.0, -178.0, 49.5])
    assert box.reach_id.tolist() == [1, 2, 3, 4, 5]
    assert rg.read_network(tmp_path / "n.csv", basin=[178.0, 49.9, 179.9, 50.1]).reach_id.tolist() == [1]
    refused(tmp_path / "n.csv", "found 9; expected the id", basin=9)
    refused(tmp_path / "n.csv", "no reach lies in the box", basin=[0, 0, 1, 1])


# -- rasters -----------------------------------------------------------------------------------------------------

D8 = [[1, 1, 4], [247, 64, 4], [247, 1, 0]]
LDD = [[6, 6, 2], [255, 8, 2], [255, 6, 5]]


def test_d8_and_ldd_are_told_by_their_codes(tmp_path: Path) -> None:
    d8 = tiny.raster(tmp_path / "d8.tif", D8)
    ldd = tiny.raster(tmp_path / "ldd.tif", LDD, nodata=255)
    assert [detect(one, "network").name for one in (d8, ldd)] == ["d8", "ldd"]  # type: ignore[union-attr]
    first, second = rg.read_network(d8), rg.read_network(ldd)
    assert first.n_reaches == 7  # 247 is the sea, undeclared
    assert first.reach_id.tolist() == second.reach_id.tolist() == [1, 2, 3, 5, 6, 8, 9]
    assert first.downstream.tolist() == second.downstream.tolist()
    assert first.reach_id[first.outlets].tolist() == [9]
    zero = rg.read_network(tiny.raster(tmp_path / "zero.tif", D8, nodata=0))  # a pit, whatever is declared
    assert zero.downstream.tolist() == first.downstream.tolist()
    # over the ground: 0.01 degrees are 746 m along the parallel of 48 and 1112 m along the meridian
    np.testing.assert_allclose(first.length[[0, 2]], [746.2, 1112.0], rtol=1e-3)  # type: ignore[index]
    assert first.attributes["area_m2"].sum() == pytest.approx(7 * 746.2 * 1112.0, rel=5e-3)
    large = rg.read_network(d8, channel_area=3e6)
    assert large.attributes["area_m2"].sum() == pytest.approx(first.attributes["area_m2"].sum())
    assert large.n_reaches < 7


def test_an_inland_sink_is_a_pit_unless_it_is_no_data(tmp_path: Path) -> None:
    codes = [[1, 1, 255], [247, 64, 64]]
    sink = rg.read_network(tiny.raster(tmp_path / "sink.tif", codes))
    assert sink.reach_id.tolist() == [1, 2, 3, 5, 6]
    assert sink.reach_id[sink.outlets].tolist() == [3]
    none = rg.read_network(tiny.raster(tmp_path / "none.tif", codes, nodata=255))
    assert none.reach_id.tolist() == [1, 2, 5, 6]
    signed = tiny.raster(
        tmp_path / "signed.tif", [[1, 1, -1], [-9, 64, 64]], dtype="int8"
    )  # as MERIT Hydro is
    assert rg.read_network(signed, "d8").reach_id.tolist() == [1, 2, 3, 5, 6]


def test_bad_rasters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refused(
        tiny.raster(tmp_path / "loop.tif", [[1, 16, 0]]), "cells drain in a loop|can't be read as directions"
    )
    refused(tiny.raster(tmp_path / "dem.tif", [[100, 101, 102]]), "its format is not known")
    refused(tiny.raster(tmp_path / "dem.tif", [[100, 101, 102]]), "100.*expected directions", format="d8")
    path = tiny.raster(tmp_path / "cut.tif", D8)
    path.write_bytes(path.read_bytes()[:100])
    refused(path, ".", format="d8")
    (tmp_path / "empty.tif").touch()
    refused(tmp_path / "empty.tif", ".")
    path = tiny.raster(tmp_path / "d8.tif", D8)
    refused(path, "channel", channel_area=1e12)
    _hide(monkeypatch, "rasterio")
    refused(path, r"needs rasterio.*pip install 'rivergrad\[raster\]'")


def test_cama_flood_counts_from_1(tmp_path: Path) -> None:
    x, y = [[2, 3, -9], [-9999, 2, -10]], [[1, 1, -9], [-9999, 1, -10]]
    network = rg.read_network(tiny.cama(tmp_path, x, y))
    assert network.reach_id.tolist() == [1, 2, 3, 5, 6]
    assert network.downstream.tolist() == [1, 2, -1, 1, -1]  # -9 is a mouth, -10 an inland end
    assert network.attributes["lat"][0] == pytest.approx(47.875)
    np.array([7e3, -9999.0, 5e3, -9999.0, 4e3, 3e3], "<f4").tofile(tmp_path / "rivlen.bin")
    lengths = np.asarray(rg.read_network(tmp_path).length)
    assert lengths[[0, 2, 3, 4]].tolist() == [7e3, 5e3, 4e3, 3e3]
    assert lengths[1] == pytest.approx(np.asarray(network.length)[1])  # over the ground where there is none
    refused(tiny.cama(tmp_path, [[2, 1, -9], x[1]], y), "cells drain in a loop")
    (tmp_path / "nextxy.bin").write_bytes(b"\0" * 40)
    refused(tmp_path, "nextxy.bin: has 40 bytes; expected 48")
    (tmp_path / "params.txt").write_text("nothing")
    refused(tmp_path, "params.txt")


@pytest.mark.parametrize("new", [True, False])
def test_static_maps_of_wflow_under_both_names(new: bool, tmp_path: Path) -> None:
    names = ("local_drain_direction", "river_mask", "river_length") if new else (
        "wflow_ldd", "wflow_river", "wflow_riverlength"
    )  # fmt: skip
    river = np.array([[0, 1, 1], [0, 0, 1], [0, 0, 1]])
    length = np.where(river > 0, 900.0, -9999.0)
    area = "meta_upstream_area" if new else "wflow_uparea"
    made = xr.Dataset(
        {
            names[0]: (("lat", "lon"), np.array(LDD, np.uint8)),
            names[1]: (("lat", "lon"), river),
            names[2]: (("lat", "lon"), length),
            area: (("lat", "lon"), np.where(river > 0, 7.0, -9999.0)),  # km2
        },
        coords={
            "lat": ("lat", [48.0, 47.99, 47.98], {"units": "degrees_north"}),
            "lon": ("lon", [8.0, 8.01, 8.02], {"units": "degrees_east"}),
        },
    )
    made.to_netcdf(tmp_path / "staticmaps.nc")
    network = rg.read_network(tmp_path / "staticmaps.nc")
    assert network.reach_id.tolist() == [2, 3, 6, 9]
    assert np.asarray(network.length).tolist() == [900.0] * 4
    assert network.attributes["upstream_area_m2"].tolist() == [7e6] * 4
    made.drop_vars(area).to_netcdf(tmp_path / "none.nc")  # then what drains in from land cells counts too
    none = rg.read_network(tmp_path / "none.nc")
    assert none.attributes["area_m2"].sum() == pytest.approx(none.attributes["upstream_area_m2"].max())
    made.isel(lat=slice(None, None, -1)).to_netcdf(tmp_path / "up.nc")  # latitude rising is the same map
    other = rg.read_network(tmp_path / "up.nc")
    assert other.downstream.tolist() == network.downstream.tolist()
    made[names[0]][0, :2] = [6, 4]  # east, and back west
    made.to_netcdf(tmp_path / "loop.nc")
    refused(tmp_path / "loop.nc", "cells drain in a loop")


def test_exit_2_and_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from rivergrad.cli import main

    path = tiny.FORMATS["nwm"](tmp_path, (10, 10, 30), tiny.DOWN)
    words = ["partition", str(path), "--parts", "1", "--output", str(tmp_path / "p.zarr")]
    monkeypatch.setattr("sys.argv", ["rivergrad", *words])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert len([line for line in capsys.readouterr().err.splitlines() if line.strip()]) <= 2


def test_lines_are_kept(tmp_path: Path) -> None:
    import geopandas

    from rivergrad.io.lines import copy_lines

    path = tiny.FORMATS["tdx"](tmp_path, tiny.IDS, tiny.DOWN)
    assert copy_lines(tmp_path / "reaches.parquet", path, np.array([30, 99, 10]))
    found = geopandas.read_parquet(tmp_path / "reaches.parquet")
    assert found["reach_id"].tolist() == [30, 99, 10]
    assert found.crs == "EPSG:4326"
    assert found.geometry.isna().tolist() == [False, True, False]
    assert found.geometry.iloc[0].coords[0] == (8.0, 50.0)
    # rivergrad's own table with lines, and one without
    own = found.dropna().assign(downstream_id=-1, length_m=1e3)
    own.to_parquet(tmp_path / "own.parquet")
    assert rg.read_network(tmp_path / "own.parquet").n_reaches == 2
    assert copy_lines(tmp_path / "again.parquet", tmp_path / "own.parquet", np.array([10]))
    assert not copy_lines(
        tmp_path / "none.parquet", tiny.FORMATS["nwm"](tmp_path, tiny.IDS, tiny.DOWN), np.array([10])
    )


def test_a_pipe_is_refused_and_never_waited_for(tmp_path: Path) -> None:
    import os

    os.mkfifo(tmp_path / "n.nc")
    refused(tmp_path / "n.nc", "pipe")
    with pytest.raises(rg.InputError, match="pipe"):
        rg.open_runoff(tmp_path / "n.nc", rg.RiverNetwork.from_ids([1], [-1]))
