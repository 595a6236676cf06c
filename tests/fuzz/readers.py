"""Every way in which runoff and observations can be read, behind one way of writing them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from tests.fuzz import arrays, inputs
from tests.fuzz.arrays import FLAVOURS, SUFFIX, Flavour, Model
from tests.fuzz.grid import box, grid_model

Float = NDArray[np.float64]

ROUTE = ("route", "--scheme", "pure_lag", "--parameters", "p.csv", "--routing-step", "1d", "--output", "q.nc")
RAPID_RUNOFF = "rapid/m3_riv_24hr_20010101to20010209.nc"


def route(runoff: str = "r.nc", network: str = "n.csv", *more: str) -> tuple[str, ...]:
    """The arguments that route a runoff file."""
    return (*ROUTE, "--network", network, "--runoff", runoff, *more)


# -- tables --------------------------------------------------------------------------------------------------


def wide(values: Float, names: Any = inputs.IDS) -> pd.DataFrame:
    """`time` and a column a reach."""
    time = pd.to_datetime(inputs.times(len(values))).strftime("%Y-%m-%d")
    return pd.DataFrame({"time": time, **{str(name): values[:, at] for at, name in enumerate(names)}})


def long(values: Float, ids: Any = inputs.IDS, name: str = "runoff") -> pd.DataFrame:
    """`time, reach_id` and the value, a row each."""
    time = pd.to_datetime(inputs.times(len(values))).strftime("%Y-%m-%d")
    return pd.DataFrame(
        {
            "time": np.repeat(np.asarray(time), len(ids)),
            "reach_id": np.tile(np.asarray(ids), len(values)),
            name: values.ravel(),
        }
    )


def gauge_long(values: Float) -> pd.DataFrame:
    """`time, gauge, reach_id, discharge`, a row each."""
    table = long(values, inputs.GAUGE_REACH, "discharge")
    table.insert(1, "gauge", np.tile(np.array(inputs.GAUGES, dtype=object), len(values)))
    return table


def save(table: pd.DataFrame, path: Path) -> None:
    """A table as CSV (also gzipped) or Parquet, by the name."""
    if path.suffix == ".parquet":
        table.to_parquet(path, index=False)
    else:
        table.to_csv(path, index=False)


# -- runoff --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class RunoffReader:
    """A way to give runoff: `write(folder, values, spoil)` writes values (time, reach) in m3/s.

    `spoil` changes the numbers as they stand in the file, (time, reach), before they are written.
    """

    name: str
    file: str
    write: Callable[..., None]
    network: str = "n.csv"

    @property
    def command(self) -> tuple[str, ...]:
        """Arguments of `rivergrad` that route it."""
        return route(self.file, self.network)


Spoil = Callable[[Float], Float]


def _keep(values: Float) -> Float:
    return values


def _array_writer(flavour: Flavour) -> Callable[..., None]:
    def write(folder: Path, values: Float | None = None, spoil: Spoil = _keep) -> None:
        inputs.write_basics(folder)
        data = spoil(inputs.runoff() if values is None else values.copy())
        arrays.write(arrays.runoff_model(data), folder / f"r{SUFFIX[flavour]}", flavour)

    return write


def _table_writer(file: str, shape: Callable[[Float], pd.DataFrame]) -> Callable[..., None]:
    def write(folder: Path, values: Float | None = None, spoil: Spoil = _keep) -> None:
        inputs.write_basics(folder)
        save(shape(spoil(inputs.runoff() if values is None else values.copy())), folder / file)

    return write


def _write_grid(folder: Path, values: Float | None = None, spoil: Spoil = _keep) -> None:
    inputs.write_basics(folder)
    write_grid_model(folder, values, spoil)


def write_grid_model(folder: Path, values: Float | None = None, spoil: Spoil = _keep) -> None:
    """The grid alone; what is spoilt of a reach is spoilt in its box."""
    data = inputs.runoff() if values is None else values
    model = grid_model(data)
    stored = model.vars["ro"].data
    at = np.array([box(int(reach)) for reach in inputs.IDS])
    stored[:, at[:, 0], at[:, 1]] = spoil(stored[:, at[:, 0], at[:, 1]])
    arrays.write(model, folder / "r.nc", "nc")


def write_rapid(folder: Path, *, connect: str | None = None, k: Any = None, x: Any = None) -> None:
    """The RAPID folder: rapid_connect.csv, k.csv, x.csv and comid_lat_lon_z.csv."""
    rapid = folder / "rapid"
    rapid.mkdir(exist_ok=True)
    rows = "".join(f"{i},{max(inputs.DOWNSTREAM[int(i)], 0)},0,0\n" for i in inputs.IDS)
    (rapid / "rapid_connect.csv").write_text(rows if connect is None else connect)
    n = len(inputs.IDS)
    for name, values in (("k", k), ("x", x)):
        column = [30000 if name == "k" else 0.2] * n if values is None else values
        (rapid / f"{name}.csv").write_text("".join(f"{one}\n" for one in column))


def m3_riv_model(values: Float) -> Model:
    """m3_riv(time, rivid) in m3 per step, with ids and times."""
    model = arrays.runoff_model(values)
    model.rename("runoff", "m3_riv")
    model.rename("reach_id", "rivid")
    model.rename_dim("reach", "rivid")
    model.vars["m3_riv"].attrs["units"] = "m3"
    return model


def _write_m3_riv(folder: Path, values: Float | None = None, spoil: Spoil = _keep) -> None:
    inputs.write_basics(folder)
    write_rapid(folder)
    data = spoil((inputs.runoff() if values is None else values) * inputs.DAY)
    arrays.write(m3_riv_model(data), folder / RAPID_RUNOFF, "nc")


RUNOFF: dict[str, RunoffReader] = {
    reader.name: reader
    for reader in (
        *(RunoffReader(one, f"r{SUFFIX[one]}", _array_writer(one)) for one in FLAVOURS),
        RunoffReader("grid", "r.nc", _write_grid),
        RunoffReader("m3_riv", RAPID_RUNOFF, _write_m3_riv, "rapid"),
        RunoffReader("csv_wide", "r.csv", _table_writer("r.csv", wide)),
        RunoffReader("csv_long", "r.csv", _table_writer("r.csv", long)),
        RunoffReader("gz_wide", "r.csv.gz", _table_writer("r.csv.gz", wide)),
        RunoffReader("parquet_wide", "r.parquet", _table_writer("r.parquet", wide)),
        RunoffReader("parquet_long", "r.parquet", _table_writer("r.parquet", long)),
    )
}


def write_case(folder: Path, model: Model, flavour: Flavour, change: Callable[[Model], object]) -> None:
    """The small case with a changed model of its runoff."""
    inputs.write_basics(folder)
    change(model)
    arrays.write(model, folder / f"r{SUFFIX[flavour]}", flavour)


# -- observations --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ObservationReader:
    """A way to give observations; `write` as for runoff, values (time, gauge)."""

    name: str
    file: str
    write: Callable[..., None]

    @property
    def named(self) -> bool:
        """Whether it holds names of gauges, and not reach ids alone."""
        return not self.name.endswith("wide")

    @property
    def gauges(self) -> tuple[str, ...]:
        """What its gauges are called."""
        return inputs.GAUGES if self.named else tuple(str(i) for i in inputs.GAUGE_REACH)


ESTIMATE = ("estimate", "w.yaml")


def write_estimate(folder: Path, observations: str, **sections: Any) -> None:
    """All of a workflow but its observations, which are to lie in that file."""
    inputs.write_basics(folder)
    arrays.write(arrays.runoff_model(), folder / "r.nc", "nc")
    keys = {"observations": {"path": observations}, **sections}
    inputs.write_workflow(folder / "w.yaml", **keys)


def _observation_arrays(flavour: Flavour) -> Callable[..., None]:
    def write(folder: Path, values: Float | None = None, spoil: Spoil = _keep) -> None:
        file = f"o{SUFFIX[flavour]}"
        write_estimate(folder, file)
        data = spoil(inputs.observed() if values is None else values.copy())
        arrays.write(arrays.observation_model(data), folder / file, flavour)

    return write


def _observation_table(file: str, shape: Callable[[Float], pd.DataFrame]) -> Callable[..., None]:
    def write(folder: Path, values: Float | None = None, spoil: Spoil = _keep) -> None:
        write_estimate(folder, file)
        save(shape(spoil(inputs.observed() if values is None else values.copy())), folder / file)

    return write


def gauge_wide(values: Float) -> pd.DataFrame:
    """`time` and a column a gauge's reach."""
    return wide(values, inputs.GAUGE_REACH)


OBSERVATIONS: dict[str, ObservationReader] = {
    reader.name: reader
    for reader in (
        *(ObservationReader(one, f"o{SUFFIX[one]}", _observation_arrays(one)) for one in FLAVOURS),
        ObservationReader("csv_wide", "o.csv", _observation_table("o.csv", gauge_wide)),
        ObservationReader("csv_long", "o.csv", _observation_table("o.csv", gauge_long)),
        ObservationReader("parquet_wide", "o.parquet", _observation_table("o.parquet", gauge_wide)),
        ObservationReader("parquet_long", "o.parquet", _observation_table("o.parquet", gauge_long)),
    )
}
