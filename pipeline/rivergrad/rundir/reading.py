"""Read a run directory (DESIGN.md §7): what the report, and anyone else, may know about a run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from rivercut.errors import InputError, ids_text
from rivercut.network import RiverNetwork
from rivercut.store import read_network
from rivergrad.files import json_of, require_readable, text_of
from rivergrad.io.datasets import Variable, integer_ids, reading, write_dataset
from rivergrad.io.discharge import refuse_not_finite
from rivergrad.io.gridded import impossible
from rivergrad.io.recorded import refuse_changed, warn_of_change
from rivergrad.io.times import TIME_ATTRIBUTES, encode_time
from rivergrad.io.wholechunks import store_of
from rivergrad.rundir.contents import (
    CONFIG,
    FOLDS_TABLE,
    HISTORY,
    HYDROGRAPHS,
    INFO,
    METRICS,
    NETWORK,
    PARAMETERS,
    WORLD,
)
from rivergrad.rundir.suspects import SUSPECT

Float = NDArray[np.float64]

SPLITS = ("train", "time", "gauge", "gauge_time")
"""Where a score was taken: training gauges in training and in held-out time, held-out gauges in both."""

METHODS = ("unrouted", "default", "uniform", "estimate")
"""The three baselines and the estimate, from the least to the most that was learnt."""

LEARNED_METHODS = ("lumped", "two_step")
"""Baselines of learned runoff, where a run has them: the runoff model trained without routing, and with the routing
fitted afterwards."""

FURTHER_METHODS = ("physical", *LEARNED_METHODS)
"""Baselines that some runs have: the physical prior as it is routed, and those of learned runoff."""

METRICS_COLUMNS = (
    *("gauge", "reach_id", "split", "n_obs", "nse", "kge"),
    *(f"{score}_{method}" for method in METHODS[:3] for score in ("nse", "kge")),
)
FURTHER_SCORES = ("kge_r", "kge_alpha", "kge_beta", "log_nse", "bias", "peak_error_days")
"""Further scores of the estimate, after the columns above; older runs lack them."""

TIMING_SCORES = ("kge_r", "log_nse", "peak_error_days")
"""Those of them that are there for the baselines too: routing changes timing and shape, but no volume."""

FURTHER_COLUMNS = (
    *FURTHER_SCORES,
    *(f"{score}_{method}" for method in METHODS[:3] for score in TIMING_SCORES),
)
LEARNED_COLUMNS = tuple(f"{score}_{method}" for method in FURTHER_METHODS for score in ("nse", "kge"))
"""Scores of FURTHER_METHODS, the last columns of metrics.csv where a run has them."""
FOLD_COLUMNS = ("fold", *METRICS_COLUMNS, *FURTHER_COLUMNS, SUSPECT)
"""Of folds.csv: the scores of every gauge by the estimate that held it out."""

HISTORY_COLUMNS = ("step", "loss", "validation_nse")


def methods_in(names: Iterable[str]) -> tuple[str, ...]:
    """METHODS, with those of FURTHER_METHODS that are among the names before the estimate."""
    known = set(names)
    return (*METHODS[:3], *(name for name in FURTHER_METHODS if name in known), METHODS[3])


def methods_of(metrics: pd.DataFrame) -> tuple[str, ...]:
    """The methods that a table of scores is about."""
    return methods_in(name.removeprefix("nse_") for name in metrics.columns)


def score_column(score: str, method: str) -> str:
    """The column of metrics.csv that holds a score of one of METHODS."""
    return score if method == "estimate" else f"{score}_{method}"


@dataclass(frozen=True, eq=False)
class Hydrographs:
    """Observed and computed discharge at the gauges of a run.

    `time` (time,) datetime64[ns]; `gauge` names; `reach_id` (gauge,); `held_out` (gauge,) bool;
    `discharge` by name (`observed` and METHODS), each (time, gauge) in m³/s, NaN where missing.
    """

    time: NDArray[np.datetime64]
    gauge: tuple[str, ...]
    reach_id: NDArray[np.int64]
    held_out: NDArray[np.bool_]
    discharge: Mapping[str, Float]


@dataclass(frozen=True, eq=False)
class Terrain:
    """The relief of a generated world: `lat` (y,), `lon` (x,) in degrees; `land`, `elevation` (m), (y, x)."""

    lat: Float
    lon: Float
    land: NDArray[np.bool_]
    elevation: Float


@dataclass(frozen=True, eq=False)
class RunData:
    """A finished run, read once. Arrays over reaches (n,) follow `network.reach_id`; SI units.

    `informed` marks the reaches upstream of a training gauge: only those were seen by the estimation.
    `true_celerity` is there for twin worlds, `lat` and `lon` (degrees) where the network has positions,
    `terrain` for worlds that were generated with their relief. `metrics` and `history` are the tables
    metrics.csv and history.csv, `info` is run.json, `config` the text of config.yaml.

    Where the run has estimated its uncertainty: `celerity_log_sd` is the posterior standard deviation of ln
    celerity, `celerity_lower` and `celerity_upper` (m/s) are the ends of its 90 % interval, and `identifiability`
    is 1 − posterior/prior variance, 0 to 1. `folds` is folds.csv, where the run was cross-validated.
    `parameters` holds every variable of parameters.zarr with a number a reach, by name.
    """

    folder: Path
    config: str
    info: Mapping[str, Any]
    network: RiverNetwork
    celerity: Float
    informed: NDArray[np.bool_]
    true_celerity: Float | None
    lat: Float | None
    lon: Float | None
    metrics: pd.DataFrame
    history: pd.DataFrame
    hydrographs: Hydrographs
    terrain: Terrain | None
    celerity_log_sd: Float | None = None
    celerity_lower: Float | None = None
    celerity_upper: Float | None = None
    identifiability: Float | None = None
    folds: pd.DataFrame | None = None
    parameters: Mapping[str, Float] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The run's name, or its folder's where run.json has none."""
        return str(self.info.get("name") or self.folder.name)

    @property
    def modules(self) -> tuple[str, ...]:
        """The folders of the modules that its workflow named."""
        found = self.info.get("modules", ())
        return tuple(str(one) for one in found) if isinstance(found, list) else ()

    @property
    def summary(self) -> Mapping[str, Any]:
        """The key figures the run wrote about itself (`summary` of run.json)."""
        found = self.info.get("summary", {})
        return found if isinstance(found, dict) else {}


def read_run(run_dir: Path) -> RunData:
    """Read everything the report needs from a run directory.

    Errors: InputError names the file that is not there or not as DESIGN.md §7 has it.
    """
    folder = Path(run_dir)
    if not folder.is_dir():
        raise InputError(f"{folder} is not there: expected the directory of a run")
    for name in (INFO, CONFIG, NETWORK, PARAMETERS):
        _require(folder, name)
    for name in (METRICS, HISTORY, HYDROGRAPHS):
        _require(folder, name)
    info = json_of(folder / INFO)
    network = read_network(folder / NETWORK)
    parameters = read_parameter_map(folder / PARAMETERS, network)
    if "celerity" not in parameters:
        raise InputError(f"{folder / 'parameters.zarr'} has no variable celerity (m/s): it is what is mapped")
    lat, lon = _coordinates(network, parameters)
    informed = parameters.get("informed")
    return RunData(
        folder=folder,
        config=text_of(folder / CONFIG),
        info=info,
        network=network,
        celerity=parameters["celerity"],
        informed=np.ones(network.n_reaches, bool) if informed is None else informed != 0,
        true_celerity=parameters.get("celerity_true"),
        lat=lat,
        lon=lon,
        metrics=read_metrics(folder / METRICS),
        history=_read_table(folder / HISTORY, HISTORY_COLUMNS),
        hydrographs=read_hydrographs(folder / HYDROGRAPHS),
        terrain=_read_terrain(folder / WORLD / "land.npz"),
        celerity_log_sd=parameters.get("celerity_log_sd"),
        celerity_lower=parameters.get("celerity_lower"),
        celerity_upper=parameters.get("celerity_upper"),
        identifiability=parameters.get("identifiability"),
        folds=read_folds(folder / FOLDS_TABLE) if (folder / FOLDS_TABLE).exists() else None,
        parameters=parameters,
    )


def read_parameter_map(path: Path, network: RiverNetwork) -> dict[str, Float]:
    """Read every numeric per-reach variable of a parameters.zarr, matched to the network by reach id.

    Returns name -> (n,) float64. Errors: InputError when reach_id is missing or lacks reaches of the network.
    """
    refuse_changed(path)
    with reading(path, "Zarr"), xr.open_zarr(store_of(path), consolidated=False) as data:
        if "reach_id" not in data.variables or data["reach_id"].ndim != 1:
            raise InputError(f"{path} has no reach_id: expected one value a reach")
        (dim,) = data["reach_id"].dims
        ids = integer_ids(data["reach_id"].to_numpy(), path, "reach_id")
        if ids.size == 0:
            raise InputError(f"{path} holds no reaches")
        by_id = np.argsort(ids, kind="stable")
        index = by_id[np.minimum(np.searchsorted(ids[by_id], network.reach_id), ids.size - 1)]
        missing = network.reach_id[ids[index] != network.reach_id]
        if missing.size:
            raise InputError(f"{path} lacks reaches of the run's network: {ids_text(missing.tolist())}")
        return {
            str(name): variable.to_numpy().astype(np.float64)[index]
            for name, variable in data.variables.items()
            if variable.dims == (dim,) and variable.dtype.kind in "fiub" and name != "reach_id"
        }


def read_metrics(path: Path) -> pd.DataFrame:
    """Read metrics.csv: a row per gauge and split. Gauge names stay text (`01567000` keeps its zero)."""
    return _read_scores(path, METRICS_COLUMNS)


def read_folds(path: Path) -> pd.DataFrame:
    """Read folds.csv: rows as in metrics.csv, of held-out gauges, with the number of the `fold` that held them out."""
    return _read_scores(path, ("fold", *METRICS_COLUMNS))


def _read_scores(path: Path, columns: tuple[str, ...]) -> pd.DataFrame:
    warn_of_change(path)
    table = _read_table(
        path, columns, text=("gauge", "split", SUSPECT), optional=(*FURTHER_COLUMNS, *LEARNED_COLUMNS)
    )
    if SUSPECT in table.columns:
        table[SUSPECT] = ["" if pd.isna(one) else str(one) for one in table[SUSPECT]]  # an empty cell is NaN
    unknown = sorted(set(table["split"]) - set(SPLITS))
    if unknown:
        raise InputError(f"{path}: split is {ids_text(unknown)}, expected one of {', '.join(SPLITS)}")
    return table


def read_hydrographs(path: Path) -> Hydrographs:
    """Read hydrographs.nc: observed and computed discharge (time, gauge), m³/s."""
    refuse_changed(path)
    with reading(path, "NetCDF"), xr.open_dataset(path, engine="netcdf4") as data:
        needed = ("time", "gauge", "reach_id", "held_out", "observed", *METHODS)
        lacking = [name for name in needed if name not in data.variables]
        if lacking:
            raise InputError(f"{path} has no variable {', '.join(lacking)}: expected {', '.join(needed)}")
        return Hydrographs(
            time=data["time"].to_numpy().astype("datetime64[ns]"),
            gauge=tuple(str(name) for name in data["gauge"].to_numpy()),
            reach_id=integer_ids(data["reach_id"].to_numpy(), path, "reach_id"),
            held_out=data["held_out"].to_numpy().astype(bool),
            discharge={
                name: data[name].transpose("time", "gauge").to_numpy().astype(np.float64)
                for name in ("observed", *methods_in(map(str, data.variables)))
            },
        )


def _require(folder: Path, name: str) -> None:
    if not (folder / name).exists():
        raise InputError(f"{folder / name} is not there: expected the directory of a finished run")
    require_readable(folder / name)  # a pipe would block for ever


def _read_table(
    path: Path, columns: tuple[str, ...], text: tuple[str, ...] = (), optional: tuple[str, ...] = ()
) -> pd.DataFrame:
    try:
        # A converter keeps text as it stands: a gauge called "NA" or "007" is a name, not a gap or a number.
        table = pd.read_csv(path, converters=dict.fromkeys(text, str))
    except ValueError as error:  # pandas: an empty file, ragged rows
        raise InputError(f"{path} cannot be read as a table: {error}") from error
    lacking = [name for name in columns if name not in table.columns]
    if lacking:
        raise InputError(
            f"{path} has no column {', '.join(lacking)}: found {', '.join(map(str, table.columns))}"
        )
    for name in (*columns, *(name for name in optional if name in table.columns)):
        if name not in text and table[name].dtype.kind not in "fiub":
            raise InputError(f"{path}: column {name} holds something that is not a number")
    return table


def _coordinates(network: RiverNetwork, parameters: Mapping[str, Float]) -> tuple[Float | None, Float | None]:
    """Latitude and longitude of the reaches, of network or parameters; None if incomplete or no degrees."""
    for source in (network.attributes, parameters):
        if "lat" in source and "lon" in source:
            lat = np.asarray(source["lat"], dtype=np.float64)
            lon = np.asarray(source["lon"], dtype=np.float64)
            if np.isfinite(lat + lon).all() and not impossible(lat, lon).any():
                return lat, lon
    return None, None


def _read_terrain(path: Path) -> Terrain | None:
    if not path.exists():
        return None
    with np.load(path) as data:
        lacking = [name for name in ("lat", "lon", "land", "elevation") if name not in data]
        if lacking:
            raise InputError(f"{path} has no array {', '.join(lacking)}")
        terrain = Terrain(
            lat=data["lat"].astype(np.float64),
            lon=data["lon"].astype(np.float64),
            land=data["land"].astype(bool),
            elevation=data["elevation"].astype(np.float64),
        )
    shape = (terrain.lat.size, terrain.lon.size)
    if terrain.land.shape != shape or terrain.elevation.shape != shape:
        raise InputError(
            f"{path}: land is {terrain.land.shape} and elevation {terrain.elevation.shape}, expected {shape}"
        )
    return terrain


def write_hydrographs(
    path: Path,
    *,
    time: NDArray[np.datetime64],
    gauge: NDArray[np.str_],
    reach_id: NDArray[np.int64],
    held_out: NDArray[np.bool_],
    discharge: Mapping[str, Float],
) -> None:
    """Write hydrographs.nc, whole or not at all, so that `read_hydrographs` reads the same.

    Args:
        time: (time,) start of each step; gauge: (gauge,) names; reach_id, held_out: (gauge,).
        discharge: `observed` and METHODS, each (time, gauge) in m³/s, NaN where missing.

    Raises:
        InputError: discharge that is infinite.
    """
    attributes = {"units": "m3 s-1", "standard_name": "water_volume_transport_in_river_channel"}
    with np.errstate(over="ignore"):
        series = {name: np.asarray(values, np.float32) for name, values in discharge.items()}
    for name, values in series.items():
        # what was computed has a value at every step, but for a baseline that a run cannot have at all
        missing = name == "observed" or bool(np.isnan(values).all())
        refuse_not_finite(values, reach_id, time, f"{path}: {name}", missing=missing)
    write_dataset(
        path,
        {
            "time": Variable(("time",), encode_time(time), TIME_ATTRIBUTES),
            "gauge": Variable(("gauge",), np.asarray(gauge, np.str_), {"cf_role": "timeseries_id"}),
            "reach_id": Variable(("gauge",), reach_id, {"long_name": "reach id"}),
            "held_out": Variable(("gauge",), held_out.astype(np.int8), {"long_name": "held out"}),
            **{name: Variable(("time", "gauge"), values, attributes) for name, values in series.items()},
        },
        {"Conventions": "CF-1.11", "featureType": "timeSeries"},
    )
