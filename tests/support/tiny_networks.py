"""Tiny networks in the formats of other models and data sets: 10 and 20 flow into 30, which is the outlet."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

IDS, DOWN = (10, 20, 30), (30, 30, -1)
LENGTH = np.array([1000.0, 2000.0, 3000.0])
"""m."""
AREA = np.array([1e6, 2e6, 3e6])
"""m2."""
Make = Callable[[Path, Sequence[Any], Sequence[Any]], Path]


def table(columns: Callable[[Any, Any], dict[str, Any]], name: str) -> Make:
    """A format that is one table, in the container that its name says."""

    def make(folder: Path, ids: Sequence[Any], down: Sequence[Any]) -> Path:
        path = folder / name
        frame = pd.DataFrame({one: np.asarray(values) for one, values in columns(ids, down).items()})
        if path.suffix == ".csv":
            frame.to_csv(path, index=False)
        elif path.suffix == ".parquet":
            frame.to_parquet(path, index=False)
        elif path.suffix == ".nc":
            xr.Dataset({one: ("n", frame[one].to_numpy()) for one in frame}).to_netcdf(path)
        else:
            vector(path, frame)
        return path

    return make


def vector(path: Path, frame: pd.DataFrame) -> None:
    """A layer of lines, each 0.01 degrees long, at 48 to 50 degrees north."""
    import geopandas
    import shapely

    lines = [shapely.LineString([(8.0, 48.0 + i), (8.01, 48.0 + i)]) for i in range(len(frame))]
    geopandas.GeoDataFrame(frame, geometry=lines, crs="EPSG:4326").to_file(path, engine="pyogrio")


def outlet(down: Sequence[Any], sign: Any) -> list[Any]:
    """Downstream ids with another sign for an outlet."""
    return [sign if one == -1 else one for one in down]


def rapid2(folder: Path, ids: Sequence[Any], down: Sequence[Any]) -> Path:
    pd.DataFrame({"riv": ids, "dwn": outlet(down, 0)}).to_parquet(folder / "con_x.parquet", index=False)
    pd.DataFrame({"riv": list(ids)[::-1], "kpr": [3e3, 2e3, 1e3]}).to_parquet(
        folder / "kpr_x.parquet", index=False
    )
    coupling = {"riv": list(ids)[::-1], "skm": [3.0, 2.0, 1.0], "1bi": 1, "1bj": 1}
    pd.DataFrame(coupling).to_parquet(folder / "cpl_x.parquet", index=False)
    pd.DataFrame({"riv": ids, "xpr": [0.1, 0.2, 0.3]}).to_parquet(folder / "xpr_x.parquet", index=False)
    return folder


def river_route_1(folder: Path, ids: Sequence[Any], down: Sequence[Any]) -> Path:
    pd.DataFrame({"rivid": ids, "downstream_rivid": down}).to_parquet(
        folder / "connectivity.parquet", index=False
    )
    frame = pd.DataFrame({"rivid": list(ids)[::-1], "k": [3e3, 2e3, 1e3], "x": [0.3, 0.2, 0.1]})
    frame.to_parquet(folder / "route_params.parquet", index=False)
    return folder


def rapid(folder: Path, ids: Sequence[Any], down: Sequence[Any]) -> Path:
    rows = [f"{one},{to}" for one, to in zip(ids, outlet(down, 0), strict=True)]
    (folder / "rapid_connect_x.csv").write_text("\n".join(rows) + "\n")
    (folder / "k_x.csv").write_text("1000\n2000\n3000\n")
    return folder


def diffroute(folder: Path, ids: Sequence[Any], down: Sequence[Any]) -> Path:
    edges = [f"{one},{to}" for one, to in zip(ids, down, strict=True) if to != -1]
    (folder / "edges.csv").write_text("\n".join(edges) + "\n")
    k = np.array([1e3, 2e3, 3e3]) / 86400.0
    pd.DataFrame({"river_id": ids, "k": k, "x": 0.3}).to_parquet(
        folder / "param_df_muskingum.parquet", index=False
    )
    return folder


def raven(folder: Path, ids: Sequence[Any], down: Sequence[Any]) -> Path:
    lengths = ["ZERO-", "2.0", "3.0"]
    basins = [
        f"  {one} sub_{one} {to} chn {length} 0" for one, to, length in zip(ids, down, lengths, strict=True)
    ]
    hrus = [f"  {at} 1.0 300 46.5 -75.2 {one}" for at, one in enumerate([*ids, *ids], 1)]
    text = [
        ":SubBasins",
        "  :Attributes ID NAME DOWNSTREAM_ID PROFILE REACH_LENGTH GAUGED",
        "  :Units none none none none km none",
        *basins,
        ":EndSubBasins",
        ":HRUs",
        "  :Attributes AREA ELEVATION LATITUDE LONGITUDE BASIN_ID",
        "  :Units km2 m deg deg none",
        *hrus,
        ":EndHRUs",
        "",
    ]
    (folder / "x.rvh").write_text("\n".join(text))
    return folder / "x.rvh"


def mizuroute(folder: Path, ids: Sequence[Any], down: Sequence[Any]) -> Path:
    xr.Dataset(
        {
            "segId": ("seg", np.asarray(ids)),
            "downSegId": ("seg", np.asarray(outlet(down, 99))),
            "length": ("seg", LENGTH),
            "slope": ("seg", np.zeros(3)),
            "hruId": ("hru", np.array([1, 2, 3, 4])),
            "hruToSegId": ("hru", np.array([10, 10, 30, 30])),
            "area": ("hru", np.array([1e6, 2e6, 3e6, 4e6])),
        }
    ).to_netcdf(folder / "ntopo.nc")
    return folder / "ntopo.nc"


def hydrofabric(folder: Path, ids: Sequence[Any], down: Sequence[Any]) -> Path:
    """Two flowpaths into nexus 7, which flows into the third; attributes in another layer, one row there twice."""
    import geopandas

    path = folder / "hf.gpkg"
    frame = pd.DataFrame(
        {
            "id": [f"wb-{one}" for one in ids],
            "toid": ["tnx-9" if to == -1 else "nex-7" if to == 30 else f"wb-{to}" for to in down],
            "lengthkm": LENGTH / 1e3,
            "areasqkm": AREA / 1e6,
            "tot_drainage_areasqkm": [1.0, 2.0, 6.0],
            "has_divide": True,
        }
    )
    import shapely

    lines = [shapely.LineString([(1e6, 2e6), (1e6, 2.001e6)])] * 3
    flow = geopandas.GeoDataFrame(frame, geometry=lines, crs="EPSG:5070")
    flow.to_file(path, layer="flowpaths", engine="pyogrio")
    nexus = geopandas.GeoDataFrame(
        {"id": ["nex-7"], "toid": ["wb-30"]}, geometry=[shapely.Point(1e6, 2e6)], crs="EPSG:5070"
    )
    nexus.to_file(path, layer="nexus", engine="pyogrio")
    further = pd.DataFrame(
        {"id": [f"wb-{one}" for one in (*ids, ids[0])], "So": [0.01, 0.02, 0.03, 9.0], "n": [0.03] * 4}
    )
    import pyogrio

    pyogrio.write_dataframe(further, path, layer="flowpath-attributes-ml")
    return path


FORMATS: dict[str, Make] = {
    "table": table(
        lambda i, d: {"LINKNO": i, "DSLINKNO": d, "length [km]": LENGTH / 1e3, "k [d]": [0.01, 0.02, 0.03]},
        "t.csv",
    ),
    "geoglows": table(
        lambda i, d: {"LINKNO": i, "DSLINKNO": d, "LengthGeodesicMeters": LENGTH, "musk_k": 1e3, "musk_x": 0.3},
        "g.parquet",
    ),
    "tdx": table(
        lambda i, d: {"LINKNO": i, "DSLINKNO": d, "USLINKNO1": -1, "USLINKNO2": -1, "Length": 0.01, "DSContArea": AREA},
        "TDX_streamnet.gpkg",
    ),
    "merit": table(
        lambda i, d: {
            "COMID": i,
            "NextDownID": outlet(d, 0),
            "lengthkm": LENGTH / 1e3,
            "uparea": [1.0, 2.0, 6.0],
            "slope": 0.0,
        },
        "riv_pfaf_27.gpkg",
    ),
    "hydrorivers": table(
        lambda i, d: {
            "HYRIV_ID": i,
            "NEXT_DOWN": outlet(d, 0),
            "LENGTH_KM": LENGTH / 1e3,
            "CATCH_SKM": AREA / 1e6,
            "UPLAND_SKM": [1.0, 2.0, 6.0],
        },
        "HydroRIVERS.shp",
    ),
    "hdma": table(
        lambda i, d: {
            "seg_id": i,
            "Tosegment": outlet(d, 99),
            "Length": LENGTH,
            "PFAF_CODE": 1,
            "flow_acc": [1.0, 2.0, 6.0],
        },
        "hdma.shp",
    ),
    "hydrofabric": hydrofabric,
    "nwm": table(
        lambda i, d: {
            "link": i,
            "to": outlet(d, 99),
            "Length": LENGTH,
            "BtmWdth": 3.0,
            "MusK": 3600.0,
            "NHDWaterbodyComID": [-9999, 5, -9999],
        },
        "RouteLink.nc",
    ),
    "mizuroute": mizuroute,
    "mosart": table(
        lambda i, d: {
            "ID": _floats(i),
            "dnID": _floats(outlet(d, -9999)),
            "rlen": LENGTH,
            "rslp": 0.0,
            "area": AREA,
            "areaTotal": AREA * 7,
        },
        "MOSART.nc",
    ),
    "basinmaker": table(
        lambda i, d: {
            "SubId": i,
            "DowSubId": outlet(d, 99),
            "RivLength": [0.0, 2e3, 3e3],
            "BasArea": AREA,
            "Lake_Cat": [1, 0, 0],
            "centroid_x": -1.2345,
            "centroid_y": -1.2345,
        },
        "finalcat_info_riv.shp",
    ),
    "raven": raven,
    "river_route": table(
        lambda i, d: {"river_id": i, "downstream_river_id": d, "k": [1e3, 2e3, 3e3], "x": 0.3}, "params.parquet"
    ),
    "river_route_1": river_route_1,
    "rapid2": rapid2,
    "rapid": rapid,
    "diffroute": diffroute,
    "csv": table(lambda i, d: {"reach_id": i, "downstream_id": d, "length_m": LENGTH}, "own.csv"),
    "parquet": table(lambda i, d: {"reach_id": i, "downstream_id": d, "length_m": LENGTH}, "own.parquet"),
}  # fmt: skip


def _floats(values: Sequence[Any]) -> Any:
    return values if any(isinstance(one, str) for one in values) else np.asarray(values, np.float64)


def raster(path: Path, codes: Any, *, nodata: int | None = None, dtype: str = "uint8") -> Path:
    """A GeoTIFF of directions in cells of 0.01 degrees at 48 degrees north."""
    import warnings

    import rasterio
    from rasterio.transform import from_origin

    codes = np.asarray(codes, dtype)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with rasterio.open(
            path,
            "w",
            driver="GTiff",
            height=codes.shape[0],
            width=codes.shape[1],
            count=1,
            dtype=dtype,
            crs="EPSG:4326",
            transform=from_origin(8.0, 48.0, 0.01, 0.01),
            nodata=nodata,
        ) as file:
            file.write(codes, 1)
    return path


def cama(folder: Path, x: Any, y: Any) -> Path:
    """A map of CaMa-Flood of 3 by 2 cells."""
    np.stack([np.asarray(x, "<i4"), np.asarray(y, "<i4")]).tofile(folder / "nextxy.bin")
    numbers = (3, 2, 10, 0.25, 8.0, 8.75, 47.5, 48.0)
    (folder / "params.txt").write_text("".join(f"{one} !! x\n" for one in numbers))
    return folder
