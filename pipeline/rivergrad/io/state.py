"""The state of routing in a file: written at the end of a record, to go on from with the next one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rivercut.network import RiverNetwork
from rivergrad.errors import InputError, ids_text
from rivergrad.files import require_readable
from rivergrad.io.datasets import Variable, find_ids, kind_of, open_dataset, reading, write_dataset
from rivergrad.io.digest import array_digest
from rivergrad.io.times import step_text
from rivergrad.io.times import text as time_text

Arrays = Mapping[str, NDArray[np.float64]]

TITLE = "State of river routing"
PREFIX = "state_"
"""Before the name of each array of the state."""


@dataclass(frozen=True)
class Routed:
    """What a state belongs to. A job goes on from it only if all of this is the same.

    Attributes:
        scheme: name and convention; parameters: names of its parameters.
        engine: that made it.
        forcing_step, routing_step: s.
        time: end of the record, where the next one begins.
    """

    scheme: str
    parameters: tuple[str, ...]
    engine: str
    forcing_step: float
    routing_step: float
    time: np.datetime64


def routed_at(
    time: np.datetime64,
    scheme: Any,
    convention: str,
    engine: str,
    steps: tuple[float, float],
    hillslope: Any = None,
) -> Routed:
    """What a state belongs to.

    Args:
        time: of the state.
        scheme: the scheme; convention: `standard` or `rapid`; hillslope: the response before it, or None.
        engine: that routes.
        steps: of forcing and of routing, s.
    """
    name = scheme.name if convention == "standard" else f"{scheme.name} ({convention})"
    names = scheme.parameter_names
    if hillslope is not None:
        name, names = f"{name} behind hillslope {hillslope.name}", (*names, *hillslope.parameter_names)
    return Routed(name, names, engine, *steps, time)


def write_state(path: str | Path, network: RiverNetwork, arrays: Arrays, routed: Routed) -> None:
    """Write a state to NetCDF (.nc) or Zarr (.zarr), by the name.

    Args:
        path: where to.
        network: that was routed.
        arrays: by name; those of all reaches end in an axis of them.
        routed: what the state belongs to.

    Raises:
        InputError: another suffix.
    """
    variables = {
        "reach_id": Variable(("reach",), network.reach_id, {"long_name": "reach id"}),
        "downstream_id": Variable(
            ("reach",), _below(network), {"long_name": "id downstream, -1 at an outlet"}
        ),
    }
    for name, value in arrays.items():
        # the closure's past is of its own blocks
        last = f"{name}_last" if name.startswith("piece_") else "reach"
        axes = (*(f"{name}_{i}" for i in range(value.ndim - 1)), last)
        variables[PREFIX + name] = Variable(axes, value, {})
    attributes = {
        "title": TITLE,
        "source": "rivergrad",
        "scheme": routed.scheme,
        "parameters": " ".join(routed.parameters),
        "engine": routed.engine,
        "forcing_step_s": routed.forcing_step,
        "routing_step_s": routed.routing_step,
        "time": time_text(routed.time),
        "digest": _digest(arrays),
    }
    write_dataset(Path(path), variables, attributes)


def read_state(path: str | Path, network: RiverNetwork, expected: Routed) -> dict[str, NDArray[np.float64]]:
    """Read the state that a job goes on from.

    Args:
        path: a file of `write_state`.
        network: the reaches of the job, in any order.
        expected: what it has to belong to; `time` is where the job's runoff begins.

    Returns:
        Arrays by name, in the order of the network.

    Raises:
        InputError: no state, one of something else, or one whose values are not those that were written.
    """
    path = Path(path)
    require_readable(path, "state file")
    if kind_of(path) not in ("netcdf", "zarr"):
        raise InputError(f"{path}: expected a state that rivergrad wrote, .nc or .zarr")
    with open_dataset(path) as data:
        if str(data.attrs.get("title")) != TITLE:
            raise InputError(f"{path}: is no state; expected a file of --state-out")
        attributes = {str(name): value for name, value in data.attrs.items()}
        ids = find_ids(data, "reach", path)
        assert ids is not None
        names = [str(name) for name in data.variables if str(name).startswith(PREFIX)]
        with reading(path, "state"):
            below = data["downstream_id"].values.astype(np.int64)
            arrays = {name.removeprefix(PREFIX): data[name].values.astype(np.float64) for name in names}
    if _digest(arrays) != attributes.get("digest"):
        raise InputError(f"{path}: its values are not those that were written; expected a whole file")
    _require(path, attributes, expected)
    order = _order(path, ids, below, network)
    return {
        name: value if name.startswith("piece_") else np.ascontiguousarray(value[..., order])
        for name, value in arrays.items()
    }


def _require(path: Path, found: Mapping[str, object], expected: Routed) -> None:
    pairs = {
        "scheme": (str(found.get("scheme")), expected.scheme),
        "parameters": (str(found.get("parameters")), " ".join(expected.parameters)),
        "engine": (str(found.get("engine")), expected.engine),
        "step of runoff": (
            step_text(float(str(found.get("forcing_step_s")))),
            step_text(expected.forcing_step),
        ),
        "routing step": (
            step_text(float(str(found.get("routing_step_s")))),
            step_text(expected.routing_step),
        ),
        "time": (str(found.get("time")), time_text(expected.time)),
    }
    for what, (there, wanted) in pairs.items():
        if there != wanted:
            found_here = "where the runoff begins" if what == "time" else "as in this job"
            raise InputError(
                f"{path}: the state's {what} is {there}; expected {wanted}, {found_here}", key="--state-in"
            )


def _order(
    path: Path, ids: NDArray[np.int64], below: NDArray[np.int64], network: RiverNetwork
) -> NDArray[np.int64]:
    """Rows of the file by the network's reaches."""
    rows = np.argsort(ids, kind="stable")
    mine = np.argsort(network.reach_id, kind="stable")
    if not np.array_equal(ids[rows], network.reach_id[mine]):
        other = np.setxor1d(ids, network.reach_id)
        raise InputError(
            f"{path}: the state and the network differ in reach ids {ids_text(other)}; expected the same reaches"
        )
    if (bad := np.flatnonzero(below[rows] != _below(network)[mine])).size:
        raise InputError(
            f"{path}: reach ids {ids_text(ids[rows][bad])} flow into others than in the network; expected the same"
        )
    order = np.empty(ids.size, np.int64)
    order[mine] = rows
    return order


def _below(network: RiverNetwork) -> NDArray[np.int64]:
    down = network.downstream
    found: NDArray[np.int64] = np.where(down >= 0, network.reach_id[down], -1)
    return found


def _digest(arrays: Arrays) -> str:
    return " ".join(f"{name}:{array_digest(arrays[name])}" for name in sorted(arrays))
