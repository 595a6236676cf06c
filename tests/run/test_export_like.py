"""Templates that are tables and files of GIS: order, ids, types and all else stay, only parameters change."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rivercut.network import RiverNetwork
from rivercut.store import write_network as write_store
from rivergrad.errors import InputError
from rivergrad.io import write_parameters_store
from rivergrad.run.export import export_run

IDS = np.array([30, 10, 20])
K, X = np.array([3e4, 1e4, 2e4]), np.array([0.3, 0.1, 0.2])


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("like") / "run"
    folder.mkdir()
    network = RiverNetwork.from_ids(
        IDS, [-1, 30, 30], K, {"lat": np.arange(3.0), "lon": np.arange(3.0), "area_m2": np.full(3, 1e8)}
    )
    write_store(network, folder / "network.zarr")
    values = {"celerity": np.ones(3), "k": K, "x": X, "celerity_log_sd": np.full(3, 0.25)}
    write_parameters_store(folder / "parameters.zarr", IDS, values, provenance={"scheme": "muskingum"})
    return folder


def refused(match: str, *arguments: Any, **options: Any) -> None:
    with pytest.raises(InputError, match=match) as caught:
        export_run(*arguments, **options)
    assert "\n" not in str(caught.value)
    assert not arguments[1].exists()


class TestCsv:
    def test_all_cells_stay_but_those_of_parameters(self, run: Path, tmp_path: Path) -> None:
        like = tmp_path / "like.csv"
        like.write_bytes(
            b'name;LINKNO;"k [h]";note;musk_x\r\n"a;b";020;1;007;0.5\r\n\xc3\xa9;7;2;;0.5\r\nc;10;3;x;0.5\r\n'
        )
        told = export_run(run, tmp_path / "o.csv", like=like)
        lines = (tmp_path / "o.csv").read_bytes().decode().split("\r\n")
        assert lines[0] == "name;LINKNO;k [h];note;musk_x"
        assert lines[1] == f'"a;b";020;{2e4 / 3600!r};007;0.2'
        assert lines[2] == "é;7;2;;0.5"  # a reach that the run has not
        assert lines[3] == f"c;10;{1e4 / 3600!r};x;0.1"
        assert any("1 of its 3 reaches are not in the run" in one for one in told)
        assert any("1 reaches of the run are not in" in one for one in told)
        assert json.loads((tmp_path / "o.csv.json").read_text())["written_by"] == "rivergrad"
        export_run(run, tmp_path / "o.csv", like=like)  # its own it may replace

    def test_where_no_column_is_a_parameter_they_come_beside(self, run: Path, tmp_path: Path) -> None:
        like = tmp_path / "like.csv.gz"
        with gzip.open(like, "wt") as file:
            file.write("id,x,y\nwb-20,5.5,48\nwb-30,6.5,49\n")
        export_run(run, tmp_path / "o.csv.gz", like=like)
        found = pd.read_csv(tmp_path / "o.csv.gz")
        assert found["id"].tolist() == ["wb-20", "wb-30"]
        assert found["x"].tolist() == [5.5, 6.5]  # a position, for there is a y
        assert found["musk_x"].tolist() == [0.2, 0.3]
        assert found["k"].tolist() == [2e4, 3e4]

    def test_decimal_commas_stay(self, run: Path, tmp_path: Path) -> None:
        (tmp_path / "like.csv").write_text("reach_id;k;x\n20;1,5;0,5\n")
        export_run(run, tmp_path / "o.csv", like=tmp_path / "like.csv")
        assert (tmp_path / "o.csv").read_text() == "reach_id;k;x\n20;20000,0;0,2\n"

    @pytest.mark.parametrize(
        ("text", "match"),
        [
            ("", "empty"),
            ("a,b\n1,2\n", "expected one of ids"),
            ("reach_id,k\none,2\n", "'reach_id' holds what is no integer"),
            ("reach_id,k\n1,2\n", "none of its reaches"),
            ("reach_id,k\n20,2\n20\n", "row 2 has 1 cells; expected 2"),
            ("reach_id,k [parsec]\n20,2\n", "unit 'parsec'"),
            ("PAR1 no", "is a Parquet file"),
        ],
    )
    def test_no_template(self, text: str, match: str, run: Path, tmp_path: Path) -> None:
        (tmp_path / "like.csv").write_text(text)
        refused(match, run, tmp_path / "o.csv", like=tmp_path / "like.csv")


class TestParquet:
    @pytest.mark.parametrize("name", ["parquet", "geoparquet"])
    def test_types_and_metadata_stay(self, name: str, run: Path, tmp_path: Path) -> None:
        pytest.importorskip("geopandas")
        schema = pa.schema(
            [
                pa.field("river_id", pa.int32()),
                pa.field("k", pa.int64(), metadata={"mine": "1"}),
                pa.field("x", pa.float32()),
                pa.field("note", pa.string()),
            ],
            metadata={"mine": "2"},
        )
        table = pa.table([[20, 7, 10], [1, 2, None], [0.5, 0.5, 0.5], ["a", None, "c"]], schema=schema)
        pq.write_table(table, tmp_path / "like.parquet")
        export_run(run, tmp_path / "o.parquet", name=name, like=tmp_path / "like.parquet")
        made = pq.read_table(tmp_path / "o.parquet")
        assert [made.schema.field(one.name) for one in schema] == list(schema)
        assert made.column("k").to_pylist() == [20000, 2, 10000]
        np.testing.assert_allclose(made.column("x").to_numpy(), [0.2, 0.5, 0.1])
        assert made.column("note").to_pylist() == ["a", None, "c"]
        assert made.schema.metadata[b"mine"] == b"2"
        assert b"rivergrad" in made.schema.metadata
        assert ("celerity" in made.column_names) == (name == "geoparquet")
        export_run(run, tmp_path / "o.parquet", name=name, like=tmp_path / "like.parquet")

    def test_lines_of_geoparquet_stay(self, run: Path, tmp_path: Path) -> None:
        geopandas = pytest.importorskip("geopandas")
        like = lines_of(tmp_path)
        like.to_parquet(tmp_path / "like.parquet")
        export_run(run, tmp_path / "o.geoparquet", like=tmp_path / "like.parquet")
        back = geopandas.read_parquet(tmp_path / "o.geoparquet")
        assert back.geometry.geom_equals(like.geometry).all()
        assert back.crs == like.crs
        assert back["COMID"].tolist() == [20, 7, 30]
        np.testing.assert_allclose(back["celerity_log_sd"], [0.25, np.nan, 0.25])


def lines_of(folder: Path) -> Any:
    import geopandas
    from shapely.geometry import LineString

    lines = [LineString([(0, i), (1, i)]) for i in range(3)]
    return geopandas.GeoDataFrame(
        {"COMID": np.array([20, 7, 30], "i4"), "k": np.array([1, 2, 3], "i4"), "mine": ["a", "é", "c"]},
        geometry=lines,
        crs=5070,
    )


class TestGis:
    @pytest.mark.parametrize("name", ["geopackage", "shapefile"])
    def test_lines_types_and_texts_stay(self, name: str, run: Path, tmp_path: Path) -> None:
        pyogrio = pytest.importorskip("pyogrio")
        ending, output = (".gpkg", "o.gpkg") if name == "geopackage" else (".shp", "o")
        like = lines_of(tmp_path)
        like.to_file(tmp_path / f"rivers{ending}", engine="pyogrio", encoding="UTF-8")
        for _ in range(2):  # its own it may replace
            export_run(run, tmp_path / output, name=name, like=tmp_path / f"rivers{ending}")
        made = tmp_path / output if name == "geopackage" else tmp_path / "o/rivers.shp"
        before, after = pyogrio.read_info(tmp_path / f"rivers{ending}"), pyogrio.read_info(made)
        count = len(before["fields"])
        assert after["fields"][:count].tolist() == before["fields"].tolist()
        assert after["dtypes"][:count].tolist() == before["dtypes"].tolist()
        assert (after["crs"], after["geometry_type"]) == (before["crs"], before["geometry_type"])
        back = pyogrio.read_dataframe(made)
        assert back.geometry.geom_equals(like.geometry).all()
        assert back["COMID"].tolist() == [20, 7, 30]
        assert back["k"].tolist() == [20000, 2, 30000]
        assert back["mine"].tolist() == ["a", "é", "c"]
        spread = "celerity_log_sd" if name == "geopackage" else "cel_logsd"
        np.testing.assert_allclose(back[spread], [0.25, np.nan, 0.25])

    def test_no_template(self, run: Path, tmp_path: Path) -> None:
        pytest.importorskip("geopandas")
        (tmp_path / "a.shp").write_bytes(b"no shapefile")
        refused("is no shapefile", run, tmp_path / "o", name="shapefile", like=tmp_path / "a.shp")
        lines_of(tmp_path).to_file(tmp_path / "b.gpkg")
        refused("expected a shapefile", run, tmp_path / "o", name="shapefile", like=tmp_path / "b.gpkg")
        lines_of(tmp_path).assign(COMID=[1, 2, 3]).to_file(tmp_path / "c.shp")
        refused("no layer has ids", run, tmp_path / "o", name="shapefile", like=tmp_path / "c.shp")
        (tmp_path / "d.gpkg").write_bytes(b"")
        refused("d.gpkg", run, tmp_path / "o.gpkg", like=tmp_path / "d.gpkg")
