"""Making the files of a large world: network, runoff on a grid, observations, and the truth behind them."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rivercut.network import RiverNetwork
from rivergrad.errors import InputError
from rivergrad.files import json_of
from rivergrad.io import atomic_path, open_runoff, write_network_table, write_observations, write_parameters
from rivergrad.io.ahead import Behind
from rivergrad.io.gridstore import GridWriter
from rivergrad.pieces.direct import Routing, cores, simulate
from rivergrad.routing import schemes
from rivergrad.routing.choice import refuse_without_cuda
from rivergrad.run.progress import Progress
from rivergrad.world.large import (
    LargeSpec,
    LargeWorld,
    generate_large,
    generate_large_runoff,
    grid_for,
    observe_large,
    place_large_gauges,
)

NETWORK, RUNOFF, OBSERVATIONS, TRUTH = "network.parquet", "runoff.zarr", "observations.nc", "truth.parquet"
RECIPE = "world.json"
MADE_BY = "rivergrad generate-world"
"""Files of a generated world: what a user would bring, the truth, and what it was made from."""

ROUTING_STEP = 3600.0
"""Of the discharge that gauges report, s."""
ROUTED_DAYS = 64
"""Days that are routed at once, at least: fewer cost the sweep more, and more take more memory."""

Tell = Callable[[str], object]


def generate_world(
    spec: LargeSpec, output: Path, tell: Tell = lambda said: None, device: str = "cpu"
) -> dict[str, Any]:
    """Write a large world into a folder, which appears whole or not at all.

    The hidden celerities are those of `rivergrad.world`'s law with residuals, routed by Muskingum every hour.

    Args:
        spec: the recipe.
        output: the folder.
        tell: hears a line after every stage, with its seconds.
        device: what routes the truth, `cpu` or `cuda`; the discharge of one differs from the other's by rounding.

    Returns:
        What `world.json` says: the recipe, and figures of the network.

    Raises:
        InputError: no CUDA device was found.
        OSError: the disk is full; nothing is left of the world.
    """
    refuse_without_cuda(device)
    with atomic_path(output) as folder:
        folder.mkdir()
        clock = _Clock(tell)
        world = generate_large(spec)
        network = world.network
        facts = _facts(spec, network)
        clock("network", f"{network.n_reaches:,} reaches, {facts['deepest']:,} deep")
        write_network_table(folder / NETWORK, network)
        hidden = {"celerity": world.celerity, "spreading": world.muskingum_x}
        write_parameters(folder / TRUTH, network.reach_id, hidden)
        clock("network and truth written")
        _write_runoff(spec, world, folder / RUNOFF)
        clock("runoff", f"{spec.days:,} days")
        gauges = place_large_gauges(spec, network)
        discharge = _discharge(spec, world, folder / RUNOFF, gauges.reach, device)
        clock("discharge", f"routed to {gauges.reach.size:,} gauges")
        observed = observe_large(spec, discharge)
        write_observations(
            folder / OBSERVATIONS, gauges.name, network.reach_id[gauges.reach], spec.time, observed
        )
        facts["gauges"] = int(gauges.reach.size)
        facts["observations"] = int(np.count_nonzero(~np.isnan(observed)))
        (folder / RECIPE).write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
        clock("observations", f"{facts['observations']:,} values")
    return facts


def is_of_large_world(network: Path) -> bool:
    """Whether the file of a network is one that `generate_world` has made: its planet is not the Earth."""
    try:
        return bool(json_of(network.parent / RECIPE).get("made_by") == MADE_BY)
    except (InputError, OSError):  # somebody else's, or none
        return False


class _Clock:
    """Says what was done and how long it took since the last time."""

    def __init__(self, tell: Tell) -> None:
        self._tell, self._last = tell, time.perf_counter()

    def __call__(self, stage: str, more: str = "") -> None:
        now = time.perf_counter()
        self._tell(f"{stage}: {more + ', ' if more else ''}{now - self._last:.1f} s")
        self._last = now


def _facts(spec: LargeSpec, network: RiverNetwork) -> dict[str, Any]:
    assert network.length is not None  # a world's network has lengths
    return {
        "made_by": MADE_BY,
        "reaches": spec.reaches,
        "years": spec.years,
        "seed": spec.seed,
        "start": spec.start,
        "days": spec.days,
        "grid": [9 * spec.units + 1, 18 * spec.units],
        "basins": network.n_basins,
        "deepest": int(network.level.max()) + 1,
        "median_length_m": round(float(np.median(network.length)), 1),
    }


def _write_runoff(spec: LargeSpec, world: LargeWorld, path: Path) -> None:
    """Days are made while those before are written."""
    grid = grid_for(spec, world)
    with (
        GridWriter(path, spec.time, grid.lat, grid.lon) as writer,
        Progress(spec.days, "runoff, days") as bar,
        Behind(writer.write) as behind,
    ):
        for start, values in generate_large_runoff(spec, grid, writer.chunk, cores()):
            behind(start, values)
            bar.update(start + len(values))


def _discharge(
    spec: LargeSpec, world: LargeWorld, runoff: Path, reaches: NDArray[np.int64], device: str
) -> NDArray[np.float32]:
    """(day, gauge) true discharge, m³/s."""
    network = world.network
    assert network.length is not None  # a world's network has lengths
    found = np.empty((spec.days, reaches.size), np.float32)
    source = open_runoff(runoff, network, grid=True)
    with Progress(spec.days, "discharge, days") as bar:

        def sink(start: int, discharge: NDArray[Any]) -> None:
            found[start : start + len(discharge)] = discharge
            bar.update(start + len(discharge))

        simulate(
            network=network,
            runoff=source,
            parameters={"k": network.length / world.celerity, "x": world.muskingum_x},
            how=Routing(schemes.get("muskingum"), ROUTING_STEP, engine="recurrence", device=device),
            sink=sink,
            targets=reaches,
            chunk_steps=ROUTED_DAYS,
        )
    source.close()
    return found
