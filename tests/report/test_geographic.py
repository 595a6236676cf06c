"""Maps of regions over the edge of longitudes are maps of the region, whatever way its longitudes are written."""

from __future__ import annotations

import numpy as np
import pytest

from rivercut.network import RiverNetwork
from rivergrad.report.geographic import GeographicFrame
from rivergrad.rundir.reading import _coordinates

LAT = np.array([0.0, 1.0, 2.0, 1.5, 0.5])
EAST = np.array([-2.0, -1.0, 0.5, 1.0, 2.5])  # of the meridian in the middle
DOWNSTREAM = [2, 3, 4, 5, -1]


def frame(lon: np.ndarray) -> GeographicFrame:
    network = RiverNetwork.from_ids(np.arange(1, 6), DOWNSTREAM, np.ones(5))
    return GeographicFrame(network, LAT, lon, land=True, terrain=None)


@pytest.mark.parametrize("middle", [0.0, 180.0, 100.0])
@pytest.mark.parametrize("west", [-180.0, 0.0])
def test_a_region_is_drawn_in_one_piece(middle: float, west: float) -> None:
    found = frame((EAST + middle - west) % 360.0 + west)
    assert not found.world
    assert len(found.line_reach) == 4  # no reach is left out for crossing the edge
    x = found.points(np.arange(5))[:, 0]
    assert np.allclose(x - x[0], EAST - EAST[0], atol=1e-9)
    assert np.abs(np.diff(found.lines[..., 0], axis=1)).max() < 2.0


def test_positions_that_are_no_degrees_make_no_map() -> None:
    def network(lat: np.ndarray, lon: np.ndarray) -> RiverNetwork:
        return RiverNetwork.from_ids(np.arange(1, 6), DOWNSTREAM, np.ones(5), {"lat": lat, "lon": lon})

    assert _coordinates(network(LAT, EAST), {})[0] is not None
    assert _coordinates(network(LAT, EAST + 180.0), {})[0] is not None
    for lat, lon in ((LAT * 1e5, EAST * 1e5), (LAT, np.where(EAST > 0, np.nan, EAST)), (LAT, EAST + 900.0)):
        assert _coordinates(network(lat, lon), {}) == (None, None)
