"""Two functions of the public surface that put several modules together: a simulation, and its scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rivergrad.config.quantities import step_seconds
from rivergrad.errors import InputError

if TYPE_CHECKING:
    from rivercut.network import RiverNetwork
    from rivergrad.io import RunoffSource
    from rivergrad.routing.schemes import Scheme

Float = NDArray[np.float64]


def simulate(
    network: RiverNetwork,
    runoff: RunoffSource,
    parameters: Mapping[str, ArrayLike],
    scheme: str | Scheme = "muskingum",
    *,
    routing_step: float | str = "1h",
    reaches: Sequence[int] | None = None,
    output: str | Path | None = None,
    convention: str = "standard",
    engine: str = "auto",
    parts: int = 1,
    workers: int = 0,
    device: str = "cpu",
    dtype: str = "float32",
) -> NDArray[Any]:
    """Route a whole record of runoff, chunk by chunk, without gradients.

    Args:
        network: the river network.
        runoff: of its reaches, from `open_runoff`; m³/s.
        parameters: the scheme's by name, each (reach,) or one number for all reaches; SI. With `residence_time` (s, NaN
            at channels), reaches that have one are lakes: linear storages.
        scheme: a name, an import path `package.module:Object`, or a scheme.
        routing_step: δ, in seconds or such as `15min`; the runoff's step is a multiple of it.
        reaches: ids of the reaches whose discharge is wanted; all by default.
        output: a NetCDF (.nc) or Zarr (.zarr) to write; discharge is not kept in memory then.
        convention: `standard` or `rapid`.
        engine: `auto`, `closure`, `recurrence` or `reference`.
        parts: parts to cut the network into.
        workers: worker processes; 0 for none.
        device: `cpu` or `cuda`.
        dtype: `float32` or `float64`.

    Returns:
        (time, reach) mean discharge of each forcing step, m³/s, in the order of `reaches`; (0, reach) with `output`.

    Raises:
        InputError: a parameter is missing or outside its range, an id the network does not have, a step that does
            not divide the runoff's, an engine that can't compute the scheme, or a worker is lost.

    Example:
        >>> import rivergrad as rg
        >>> network = rg.read_network("network.csv")
        >>> runoff = rg.open_runoff("runoff.nc", network)
        >>> discharge = rg.simulate(network, runoff, {"k": 9000.0, "x": 0.2}, routing_step="1h")
    """
    from rivergrad.io import DischargeWriter
    from rivergrad.pieces.direct import Routing
    from rivergrad.pieces.direct import simulate as carry_out
    from rivergrad.routing import schemes

    step = step_seconds(routing_step, "routing_step")
    targets = None if reaches is None else network.positions(np.asarray(reaches, np.int64))
    ids = network.reach_id if targets is None else network.reach_id[targets]
    settings: dict[str, Any] = {
        "network": network,
        "runoff": runoff,
        "parameters": _by_reach(parameters, network.n_reaches),
        "how": Routing(
            schemes.with_lakes_if(schemes.get(scheme, convention), parameters), step, engine, device, dtype
        ),
        "parts": parts,
        "cluster": workers,
        "targets": targets,
    }
    if output is not None:
        with DischargeWriter(Path(output), ids) as writer:
            carry_out(**settings, sink=writer.along(runoff.time))
        return np.empty((0, ids.size), dtype)
    chunks: list[NDArray[Any]] = []
    carry_out(**settings, sink=lambda start, discharge: chunks.append(discharge))
    return np.concatenate(chunks)


def _by_reach(parameters: Mapping[str, ArrayLike], n: int) -> dict[str, Float]:
    values = {name: np.asarray(value, np.float64) for name, value in parameters.items()}
    return {name: np.full(n, value) if value.ndim == 0 else value for name, value in values.items()}


def scores(simulated: ArrayLike, observed: ArrayLike) -> dict[str, Float]:
    """How well simulated discharge fits observed discharge, gauge by gauge.

    Args:
        simulated: (time, gauge) discharge, m³/s; NaN where missing.
        observed: (time, gauge) the same of the gauges.

    Returns:
        `nse`, `kge`, `log_nse`, and `bias` (0.1 is a tenth too much water), each (gauge,), without a unit; NaN where
        a gauge has fewer than two different values.

    Raises:
        InputError: the shapes differ, or are not (time, gauge).

    Example:
        >>> import rivergrad as rg
        >>> rg.scores([[1.0], [2.0], [3.0]], [[1.0], [2.0], [3.0]])["nse"]
        array([1.])
    """
    from rivergrad.gauges.scores import bias, kge, log_nse, nse

    pair = np.asarray(simulated, np.float64), np.asarray(observed, np.float64)
    if pair[0].shape != pair[1].shape or pair[0].ndim != 2:
        raise InputError(
            f"simulated discharge has the shape {pair[0].shape} and observed discharge {pair[1].shape}; expected "
            "(time, gauge) for both"
        )
    return {function.__name__: function(*pair) for function in (nse, kge, log_nse, bias)}
