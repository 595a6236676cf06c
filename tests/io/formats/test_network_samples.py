"""Networks of other models and data sets, read from samples and compared with what is known of them."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rivergrad as rg
from rivergrad.io.formats import detect

KM, KM2 = 1e3, 1e6

CASES: dict[str, tuple[str, str, dict[str, Any]]] = {
    # path: format, facts, what of them: name -> (fact or number, factor to SI)
    "rapid1/xx": ("rapid", "rapid1/xx", {"reaches": "reaches", "outlet": "outlets"}),
    "rapid1/sandbox": ("rapid", "rapid1/sandbox", {"reaches": "reaches", "outlet": "outlets", "k": 45000.0}),
    "rapid1/texas_cut": (
        "rapid",
        "rapid1/texas_cut",
        {"reaches": "reaches", "outlet": "outlets", "k": "k_sum"},
    ),
    "rapid1/texas_cut_2col": (
        "rapid",
        "rapid1/texas_cut",
        {"reaches": "reaches", "outlet": "outlets", "k": "k_sum"},
    ),
    "rapid2": (
        "rapid2",
        "rapid2",
        {"reaches": "reaches", "outlet": "outlets", "k": 45000.0, "area": 5 * KM2},
    ),
    "geoglows_v2/river_route_v1": (
        "river_route_1",
        "geoglows_v2/river_route_v1",
        {"reaches": "rows", "k": "k_sum"},
    ),
    "geoglows_v2/rapid_csv": ("rapid", "geoglows_v2/river_route_v1", {"reaches": "rows"}),
    "geoglows_v2/v2-model-table_SCHEMA_TRUE.parquet": (
        "geoglows",
        "geoglows_v2/river_route_v1",
        {"reaches": "rows", "k": "k_sum", "length": 0.35 * 3382992.669},
    ),
    "river_route_v2/params.parquet": ("river_route", "river_route_v2", {"reaches": "rivers", "k": "k_sum"}),
    "mizuroute/cameo/NTOPO_sample.nc": (
        "mizuroute",
        "mizuroute/cameo",
        {"reaches": "segments", "outlet": "outlets", "length": "length_sum_m", "area": "hru_area_sum_m2"},
    ),
    "mizuroute/victoria/Network_topology_lake_victoria.nc": (
        "mizuroute",
        "mizuroute/victoria",
        {"reaches": "reaches", "outlet": "outlets", "area": "area_sum_m2", "lakes": "lakes"},
    ),
    "nwm/lower_colorado_cut/RouteLink.nc": (
        "nwm",
        "nwm/lower_colorado_cut",
        {"reaches": "links", "outlet": "outlets", "length": "length_sum_m", "lakes": "lake_links"},
    ),
    "hydrofabric_v22/juniata_cut.gpkg": (
        "hydrofabric",
        "hydrofabric_v22",
        {
            "reaches": "flowpaths",
            "outlet": 88316,
            "length": ("lengthkm_sum", KM),
            "area": ("areasqkm_sum", KM2),
            "total": ("tot_drainage_at_outlet", KM2),
        },
    ),
    "hydrofabric_v22/flowpaths.parquet": (
        "hydrofabric",
        "hydrofabric_v22",
        {"reaches": "flowpaths", "outlet": 88316, "length": ("lengthkm_sum", KM)},
    ),
    "merit_basins/riv_pfaf_27_cut.dbf": (
        "merit",
        "merit_basins",
        {
            "reaches": "reaches",
            "outlet": "outlet",
            "length": ("lengthkm_sum", KM),
            "area": ("unitarea_sum_km2", KM2),
            "total": ("uparea_outlet_km2", KM2),
        },
    ),
    "hdma_shapefile/victoria_riv_cut.shp": (
        "hdma",
        "hdma_shapefile",
        {"reaches": "reaches", "outlet": "outlet", "length": "Length_sum_m"},
    ),
    "hydrorivers/HydroRIVERS_v10_cut_SCHEMA_TRUE.shp": (
        "hydrorivers",
        "hydrorivers",
        {
            "reaches": "reaches",
            "outlet": "outlet",
            "length": ("LENGTH_KM_sum", KM),
            "area": ("CATCH_SKM_sum", KM2),
        },
    ),
    "tdx_hydro/TDX_streamnet_7020065090_01_cut_SCHEMA_TRUE.gpkg": (
        "tdx",
        "tdx_hydro",
        {"reaches": "reaches", "outlet": "outlet", "length": "geodesic_length_sum_m_of_geometry"},
    ),
    "d8_geotiff/rhine_d8.tif": (
        "d8",
        "d8_geotiff/rhine",
        {"reaches": "cells", "basins": "pits", "total": ("max_uparea_km2", KM2)},
    ),
    "cama_flood": ("cama", "cama_flood", {"reaches": "cells", "basins": "mouths_m9"}),
    "mosart/MOSART_columbia_half_square_c201016.nc": (
        "mosart",
        "mosart",
        {"reaches": "cells", "basins": "outlets", "length": "rlen_sum", "area": "area_sum_m2"},
    ),
    "raven/lievre_routing_SCHEMA_TRUE.rvh": (
        "raven",
        "raven/lievre_rvh",
        {
            "reaches": "subbasins",
            "outlet": "outlets",
            "lakes": "zero_reaches",
            "area": ("area_sum_km2", KM2),
            "length": 423580.8 + 5.0,
        },
    ),
    "raven/basinmaker/finalcat_info_riv_cut.shp": (
        "basinmaker",
        "raven/basinmaker",
        {"reaches": "reaches", "outlet": "outlet", "length": 482999.817123 + 1.0},
    ),
    "wflow/piave_clip/staticmaps.nc": (
        "wflow",
        "wflow/piave_clip",
        {"reaches": "river_cells", "length": "river_length_sum_m"},
    ),
    "diffroute": ("diffroute", "diffroute", {"reaches": "rivers", "k": ("k_sum_days", 86400.0)}),
}


def of_network(network: rg.RiverNetwork, what: str) -> Any:
    """A number, or the ids of outlets, that stands for a network."""
    attributes = {name: np.asarray(values, np.float64) for name, values in network.attributes.items()}
    return {
        "reaches": lambda: network.n_reaches,
        "basins": lambda: network.n_basins,
        "outlet": lambda: network.reach_id[network.outlets].tolist(),
        "length": lambda: float(np.asarray(network.length).sum()),
        "k": lambda: float(attributes["k"].sum()),
        "area": lambda: float(attributes["area_m2"].sum()),
        "total": lambda: float(attributes["upstream_area_m2"].max()),
        "lakes": lambda: int((attributes["is_lake"] > 0).sum()),
    }[what]()


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.replace("/", "-"))
def test_a_network_is_what_other_libraries_say(path: str, samples: Path, facts: dict[str, Any]) -> None:
    name, folder, wanted = CASES[path]
    found = detect(samples / path, "network")
    assert found is not None
    assert (found.name, bool(found.why)) == (name, True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        network = rg.read_network(samples / path)
    for what, fact in wanted.items():
        factor = 1.0
        if isinstance(fact, tuple):
            fact, factor = fact
        expected = facts[folder][fact] if isinstance(fact, str) else fact
        if what == "outlet":
            assert of_network(network, what) == (expected if isinstance(expected, list) else [expected])
        else:
            assert of_network(network, what) == pytest.approx(expected * factor, rel=2e-6), what
    if name not in ("rapid", "rapid2", "river_route", "river_route_1", "diffroute"):
        assert network.length is not None


def test_a_raster_and_a_threshold(samples: Path, facts: dict[str, Any]) -> None:
    every = samples / "d8_geotiff/rhine_d8.tif"
    rivers = rg.read_network(every, channel_area=1e9)
    area, total = (np.asarray(rivers.attributes[one]) for one in ("area_m2", "upstream_area_m2"))
    assert total.min() >= 1e9
    assert area.sum() == pytest.approx(facts["d8_geotiff/rhine"]["max_uparea_km2"] * KM2, rel=1e-9)
    assert rivers.n_basins == 1


def test_every_cell_of_static_maps(samples: Path, facts: dict[str, Any]) -> None:
    every = rg.read_network(samples / "wflow/piave_clip/staticmaps.nc", channel_area=1.0)
    known = facts["wflow/piave_clip"]
    assert (every.n_reaches, every.n_basins) == (known["active"], known["pits"])


@pytest.mark.parametrize("folder", ["rapid1/xx", "rapid1/texas_cut"])
def test_k_follows_rapid_connect_and_not_riv_bas_id(folder: str, samples: Path) -> None:
    ids = [int(line.split(",")[0]) for line in (samples / folder / "rapid_connect.csv").read_text().split()]
    k = dict(zip(ids, map(float, (samples / folder / "k.csv").read_text().split()), strict=True))
    network = rg.read_network(samples / folder)
    assert network.attributes["k"].tolist() == [k[int(one)] for one in network.reach_id]


def test_cama_and_ldd_hold_the_same_network(samples: Path) -> None:
    from rivergrad.io.networks.cells import Raster, network_of_cells

    cama = rg.read_network(samples / "cama_flood")
    codes = np.fromfile(samples / "cama_flood/ldd_same_network.bin", np.uint8).reshape(120, 140)
    from affine import Affine

    size = 0.00833333
    ldd = network_of_cells(
        Raster(samples, codes, "ldd", Affine(size, 0, 4.8167, 0, -size, 50.3417), True, {})
    )
    assert np.array_equal(ldd.reach_id, cama.reach_id)
    assert np.array_equal(ldd.downstream, cama.downstream)
