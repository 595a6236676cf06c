"""A network as a pandas table and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from rivercut.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

ID, DOWNSTREAM, LENGTH = "reach_id", "downstream_id", "length_m"


def columns_of(table: pd.DataFrame) -> tuple[NDArray[Any], NDArray[Any], Any, dict[str, NDArray[Any]]]:
    """Ids, downstream ids, lengths (None without) and attributes of a table.

    Raises:
        InputError: no `reach_id` (column or index) or no `downstream_id`, or an attribute that is no number.
    """
    if table.index.name == ID and ID not in table.columns:
        table = table.reset_index()
    missing = [name for name in (ID, DOWNSTREAM) if name not in table.columns]
    if missing:
        found = ", ".join(map(str, table.columns)) or "none"
        raise InputError(f"the table has the columns {found}; expected {' and '.join(missing)} too")
    others = [name for name in table.columns if name not in (ID, DOWNSTREAM, LENGTH, "geometry")]
    texts = [str(name) for name in others if table[name].dtype.kind not in "fiub"]
    if texts:
        raise InputError(
            f"columns {', '.join(texts)} hold no numbers; expected numeric attributes, or no such columns"
        )
    length = table[LENGTH].to_numpy() if LENGTH in table.columns else None
    return (
        table[ID].to_numpy(),
        table[DOWNSTREAM].to_numpy(),
        length,
        {str(name): table[name].to_numpy() for name in others},
    )


class Reaches(Protocol):
    """What a table is made of: a `RiverNetwork`."""

    @property
    def reach_id(self) -> NDArray[np.int64]: ...
    @property
    def downstream(self) -> NDArray[np.int64]: ...
    @property
    def length(self) -> NDArray[np.float64] | None: ...
    @property
    def attributes(self) -> Mapping[str, NDArray[Any]]: ...


def table_of(network: Reaches) -> pd.DataFrame:
    """`downstream_id` (-1 at an outlet), `length_m` and attributes, by `reach_id`."""
    import pandas as pd

    down = network.downstream
    columns: dict[str, Any] = {DOWNSTREAM: np.where(down >= 0, network.reach_id[down], -1)}
    if network.length is not None:
        columns[LENGTH] = network.length
    columns |= network.attributes
    return pd.DataFrame(columns, index=pd.Index(network.reach_id, name=ID))


def geotable_of(network: Reaches) -> Any:
    """The same as a GeoDataFrame: a line from each reach's point to that of its downstream reach, WGS 84.

    Raises:
        InputError: no positions, or geopandas is not installed.
    """
    attributes = network.attributes
    if not {"lat", "lon"} <= set(attributes):
        raise InputError("the network has no lat and lon; expected a position (degrees) for each reach")
    try:
        import geopandas
        import shapely
    except ImportError:
        raise InputError(
            "a GeoDataFrame needs geopandas, which is not installed; expected: pip install 'rivergrad[geo]'"
        ) from None
    here = np.stack([attributes["lon"], attributes["lat"]], axis=1).astype(np.float64)
    down = network.downstream
    there = np.where((down >= 0)[:, None], here[down], here)
    shapes = np.where(
        (here == there).all(axis=1),
        shapely.points(here),
        shapely.linestrings(np.stack([here, there], axis=1)),
    )
    return geopandas.GeoDataFrame(table_of(network), geometry=shapes, crs="EPSG:4326")
