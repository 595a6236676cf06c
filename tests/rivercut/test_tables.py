"""Networks as pandas tables and back."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from rivercut.errors import InputError
from rivercut.network import RiverNetwork

NETWORK = RiverNetwork.from_ids(
    [11, 5, 7],
    [7, 7, -1],
    length=[9e3, 7e3, 12e3],
    attributes={"lat": [1.0, 2.0, 3.0], "lon": [4.0, 5.0, 6.0], "is_lake": [False, True, False]},
)


def test_there_and_back() -> None:
    table = NETWORK.to_dataframe()
    assert table.index.name == "reach_id"
    assert table["downstream_id"].tolist() == [7, 7, -1]
    for one in (table, table.reset_index()):
        again = RiverNetwork.from_dataframe(one)
        assert again.to_dataframe().equals(table)
        np.testing.assert_array_equal(again.length, NETWORK.length)
    assert RiverNetwork.from_dataframe(table.drop(columns="length_m")).length is None
    other = table.assign(downstream_id=table["downstream_id"].replace(-1, 0))
    assert RiverNetwork.from_dataframe(other, outlet_values=(0,)).to_dataframe().equals(table)


@pytest.mark.parametrize(
    ("table", "said"),
    [
        (pd.DataFrame({"a": [1]}), "has the columns a; expected reach_id and downstream_id"),
        (NETWORK.to_dataframe().assign(name="x"), "columns name hold no numbers"),
        (NETWORK.to_dataframe().assign(downstream_id=[7, 8, -1]), "unknown downstream ids: 5 -> 8"),
    ],
)
def test_a_mistake(table: pd.DataFrame, said: str) -> None:
    with pytest.raises(InputError, match=said):
        RiverNetwork.from_dataframe(table)


def test_lines_from_reach_to_reach() -> None:
    pytest.importorskip("geopandas", reason="geopandas is not installed: an extra")
    table = NETWORK.to_geodataframe()
    assert table.crs.to_epsg() == 4326
    assert [shape.geom_type for shape in table.geometry] == ["LineString", "LineString", "Point"]
    assert list(table.geometry.iloc[0].coords) == [(4.0, 1.0), (6.0, 3.0)]
    assert RiverNetwork.from_dataframe(table).n_reaches == 3
    with pytest.raises(InputError, match="no lat and lon"):
        RiverNetwork.from_ids([1], [-1]).to_geodataframe()
