"""RAPID's own files, where position is part of the format.

`rapid_connect.csv` has no header: reach id, downstream id (0 for none), number and ids of upstream reaches.
`k.csv`, `x.csv` (one value a line) and `m3_riv` without ids follow its order; `Qout` follows `riv_bas_id.csv`
or its own ids. `riv_bas_id.csv` names the reaches that are modelled. All names may have a suffix, as in
`k_Sandbox.csv`. See https://rapid-hub.org and the RAPIDpy tools.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from rivercut.network import RiverNetwork
from rivergrad.errors import InputError, ids_text
from rivergrad.io.datasets import find_ids, find_variable, match_ids, numbers_of, open_dataset, places_of
from rivergrad.io.missing import without_absent
from rivergrad.io.tables import id_column, is_numeric, number_column, read_table, unique_ids
from rivergrad.io.times import TimeArray, parse_dates
from rivergrad.io.units import discharge_factor, unit_of

log = logging.getLogger("rivergrad")

CONNECT = "rapid_connect.csv"
COORDINATES = "comid_lat_lon_z.csv"
_COORDS = "coords"
_COORDINATE_NAMES = {"lat": "lat", "lon": "lon", "elev_m": "elevation_m", "z": "elevation_m"}
_NAME_TIMES = re.compile(r"_(\d+)hr_(\d{8})(?:to\d{8})?(?:_|\.|$)")


def is_rapid_folder(path: Path) -> bool:
    """Whether a folder holds a RAPID network."""
    return connect_file(path) is not None


def connect_file(folder: Path) -> Path | None:
    """`rapid_connect.csv` of a folder, or the one file of that name with a suffix; None where there is none."""
    if (folder / CONNECT).is_file():
        return folder / CONNECT
    try:
        found = [one for one in folder.glob("rapid_connect_*.csv") if one.is_file()]
    except OSError:
        return None
    return found[0] if len(found) == 1 else None


def _beside(folder: Path, name: str) -> Path:
    """A file such as `k.csv` with the suffix that `rapid_connect.csv` has in this folder."""
    connect = connect_file(folder)
    suffix = "" if connect is None else connect.stem.removeprefix("rapid_connect")
    return folder / f"{name.removesuffix('.csv')}{suffix}.csv"


def _connectivity(folder: Path) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    path = connect_file(folder) or folder / CONNECT
    table = read_table(path, header=None)
    if table.shape[1] < 2:
        raise InputError(f"{path}: has {table.shape[1]} column; expected reach id, downstream id, …")
    table = table.iloc[:, :2].set_axis(["reach_id", "downstream_id"], axis=1)
    return id_column(table, "reach_id", path), id_column(table, "downstream_id", path)


def connect_ids(folder: Path) -> NDArray[np.int64]:
    """Reach ids of a RAPID folder, in the order of `rapid_connect.csv`."""
    return _connectivity(folder)[0]


def read_rapid_network(folder: Path, outlet_values: Sequence[int] = ()) -> RiverNetwork:
    """The network of a RAPID folder, in the order of `rapid_connect.csv`; RAPID has no lengths.

    Downstream ids of 0, and ids that are not in the table (a region cut out of a larger network), are
    outlets, and so are `outlet_values`. `lat` and `lon` (degrees) are read from `comid_lat_lon_z.csv` or
    `coords.csv` where it is there, `k` (s) and `x` from k.csv and x.csv. Reaches that
    `riv_bas_id.csv` does not name are left out.
    """
    ids, downstream = _connectivity(folder)
    unique_ids(ids, connect_file(folder) or folder / CONNECT)  # before k and x are of another number
    attributes: dict[str, NDArray[np.float64]] = {}
    for name in ("k", "x"):
        if _beside(folder, name).is_file():
            attributes[name] = read_rapid_parameter(folder, name)
    coordinates = next(
        (
            one
            for one in (folder / COORDINATES, _beside(folder, COORDINATES), _beside(folder, _COORDS))
            if one.is_file()
        ),
        None,
    )
    if coordinates is not None:
        table = _positions(coordinates)
        first = str(table.columns[0])
        known = id_column(table, first, coordinates)
        unique_ids(known, coordinates)
        row, found = places_of(ids, known)
        for column in table.columns[1:]:
            known_as = _COORDINATE_NAMES.get(str(column).lower())
            if known_as is not None:
                values = number_column(table, column, coordinates)
                values = without_absent(values, short=known_as == "lat")[row]
                attributes[known_as] = np.where(found, values, np.nan)
    network = RiverNetwork.from_ids(
        ids,
        downstream,
        None,
        attributes,
        outlet_values=(0, -1, *outlet_values),
        unknown_downstream="outlet",
        source=str(connect_file(folder)),
    )
    return _modelled(network, _beside(folder, "riv_bas_id"))


def _positions(path: Path) -> pd.DataFrame:
    """A table of positions with names; RAPID's own, `coords_*.csv`, has none: id, longitude, latitude."""
    if path.name.startswith(_COORDS):
        table = read_table(path, header=None)
        if is_numeric(table[0]) and table.shape[1] >= 3:
            return table.iloc[:, :3].set_axis(["rivid", "lon", "lat"], axis=1)
    table = read_table(path)
    return table.rename(columns={one: str(one).strip() for one in table.columns})


def _modelled(network: RiverNetwork, path: Path) -> RiverNetwork:
    """The reaches that `riv_bas_id.csv` names, in the order of the network."""
    if not path.is_file():
        return network
    table = read_table(path, header=None).iloc[:, :1].set_axis(["reach_id"], axis=1)
    named = np.isin(network.reach_id, id_column(table, "reach_id", path))
    if named.all() or not named.any():
        return network
    log.warning("%s: names %d of %d reaches; only these are read", path, int(named.sum()), network.n_reaches)
    return network.subset(np.flatnonzero(named))


def read_rapid_parameter(folder: Path, name: str) -> NDArray[np.float64]:
    """`k.csv` (s) or `x.csv` of a RAPID folder, in the order of `rapid_connect.csv`."""
    path = _beside(folder, name)
    if not path.is_file():
        raise InputError(
            f"{folder}: parameter '{name}' is missing; a RAPID folder gives k (k.csv) and x (x.csv)"
        )
    table = read_table(path, header=None).iloc[:, :1].set_axis([name], axis=1)
    values = number_column(table, name, path)
    expected = len(connect_ids(folder))
    if len(values) != expected:
        raise InputError(f"{path}: has {len(values)} values; expected {expected}, as {CONNECT} has reaches")
    return values


def times_by_name(path: Path, count: int) -> tuple[TimeArray, float] | None:
    """Times by RAPIDpy's file names (`…_3hr_19800101.nc`); None when the name tells none."""
    match = _NAME_TIMES.search(path.name)
    if match is None:
        return None
    hours, day = int(match.group(1)[:9]), match.group(2)
    if hours == 0:
        raise InputError(f"{path}: its name says steps of 0 h; expected one such as m3_riv_3hr_19800101.nc")
    first = parse_dates([f"{day[:4]}-{day[4:6]}-{day[6:]}"], str(path), "file name")[0]
    return first + np.arange(count) * np.timedelta64(hours, "h"), hours * 3600.0


def read_rapid_state(path: str | Path, network: RiverNetwork) -> NDArray[np.float64]:
    """Discharge at the start of a run of RAPID, of its file `Qinit`: the last time of it.

    Args:
        path: a NetCDF file with `Qout` or `Qinit` and the ids of reaches.
        network: whose reaches.

    Returns:
        (n,) m3/s in the order of the network.

    Raises:
        InputError: no ids, a reach that the file lacks, or one without a value.
    """
    ids, discharge = read_rapid_qout(path)
    state = discharge[-1][match_ids(network.reach_id, ids, Path(path), "initial state")]
    if (bad := ~np.isfinite(state)).any():
        raise InputError(
            f"{path}: has no discharge for the reaches {ids_text(network.reach_id[bad])}; expected a number for each"
        )
    return state


def read_rapid_qout(
    path: str | Path, riv_bas_id: str | Path | None = None
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Discharge that RAPID computed.

    Args:
        path: a `Qout` NetCDF file.
        riv_bas_id: `riv_bas_id.csv`; without it the file's own ids are taken.

    Returns:
        Reach ids (n,) and discharge (time, n) in m3/s, NaN where there is none, both in the order of the file.

    Raises:
        InputError: no ids, ids that contradict each other, or a unit that is not one of discharge.
    """
    path = Path(path)
    with open_dataset(path) as dataset:
        array = find_variable(dataset, None, ("Qout", "Qinit", "discharge"), path)
        time_dim, reach_dim = (str(dim) for dim in array.dims)
        if time_dim.lower() != "time":
            time_dim, reach_dim = reach_dim, time_dim
        own = find_ids(dataset, reach_dim, path)
        factor = discharge_factor(
            unit_of(array.attrs, str(path), str(array.name), "m3 s-1"), str(path), str(array.name)
        )
        discharge = without_absent(numbers_of(array.transpose(time_dim, reach_dim), path)) * factor
    if riv_bas_id is None:
        if own is None:
            raise InputError(f"{path}: has no reach ids; give the riv_bas_id.csv it was made with")
        return own, discharge
    table_path = Path(riv_bas_id)
    table = read_table(table_path, header=None).iloc[:, :1].set_axis(["reach_id"], axis=1)
    ids = id_column(table, "reach_id", table_path)
    if len(ids) != discharge.shape[1]:
        raise InputError(
            f"{table_path}: has {len(ids)} ids; expected {discharge.shape[1]}, as {path} has reaches"
        )
    if own is not None and not np.array_equal(own, ids):
        at = int((own != ids).argmax())
        raise InputError(f"{table_path}: id {ids[at]} at row {at + 1}, but {path} has {own[at]} there")
    return ids, discharge
