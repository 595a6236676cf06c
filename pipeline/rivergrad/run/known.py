"""Whether a run goes on with the input that it was begun with."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rivercut import store
from rivercut.network import RiverNetwork
from rivergrad import registry
from rivergrad.config.load import input_files
from rivergrad.config.schema import Workflow
from rivergrad.errors import InputError
from rivergrad.io import Observations, RunoffSource
from rivergrad.io.digest import array_digest, content_sum, input_digest, stamp_of
from rivergrad.io.rapid import CONNECT, is_rapid_folder
from rivergrad.run.opening import completed, settings_of
from rivergrad.rundir.checkpoint import has_checkpoints, newest_of
from rivergrad.rundir.contents import NETWORK, PARAMETERS, PARTITION, TWIN, WORLD
from rivergrad.rundir.identity import (
    SOURCE,
    SUM,
    Changed,
    Identity,
    differences,
    identity_from,
    listed,
    read_identity,
    setting_differences,
    write_identity,
)
from rivergrad.rundir.written import record_of

log = logging.getLogger("rivergrad")


def in_order_of(network: RiverNetwork, run_dir: Path) -> RiverNetwork:
    """The network with its reaches in the order in which the run was begun, where that is known and another."""
    path = run_dir / NETWORK
    known = known_identity(run_dir)
    if not path.is_dir() or (known is None and not has_progress(run_dir)):
        return network
    if known is not None and _reach_digest(known) == array_digest(network.reach_id):
        return network
    try:
        order = store.read_network(path).reach_id
    except (InputError, OSError):
        return network
    if order.size != network.n_reaches or not np.isin(order, network.reach_id).all():
        return network
    if np.array_equal(order, network.reach_id):
        return network
    log.info("reaches are in another order than the run was begun with: they are put back")
    return _permuted(network, network.positions(order))


def _permuted(network: RiverNetwork, rows: NDArray[np.int64]) -> RiverNetwork:
    place = np.empty(rows.size, np.int64)
    place[rows] = np.arange(rows.size)
    below = network.downstream[rows]
    return RiverNetwork(
        network.reach_id[rows],
        np.where(below < 0, below, place[below]),
        None if network.length is None else network.length[rows],
        {name: np.asarray(values)[rows] for name, values in network.attributes.items()},
    )


def _reach_digest(known: Identity) -> str | None:
    return next((one["reach_id"] for one in known.inputs.values() if "downstream" in one), None)


def identity_of(
    config: Workflow, run_dir: Path, network: RiverNetwork, runoff: RunoffSource, observations: Observations
) -> Identity:
    """What a run is begun with.

    Args:
        config: the workflow; run_dir: where generated input is.
        network, runoff, observations: as they were read.
    """
    files = input_files(config)
    made = run_dir / (WORLD if config.world is not None else TWIN)
    if config.world is not None:
        files |= {"network.path": made / "network.parquet", "runoff.path": made / "runoff.nc"}
        if (made / "forcings.zarr").is_dir():
            files["runoff.forcings"] = made / "forcings.zarr"
    files.setdefault("observations.path", made / "observations.nc")
    before, stamps = read_identity(run_dir), dict[str, str]()
    inputs = {
        "network.path": _of_network(network),
        "observations.path": _of_observations(network, observations),
    }
    for key in files:
        if key.startswith(("runoff.path", "runoff.forcings", "runoff.weights")):
            inputs[key] = {"content": input_digest(files[key]).text}
            if (whole := _sum(key, files[key], before)) is not None:
                inputs[key][SUM], stamps[key] = whole
            if is_rapid_folder(files[key].parent):  # whose order it may be in
                inputs[key][CONNECT] = input_digest(files[key].parent / CONNECT).text
    first = "runoff.path" if "runoff.path" in inputs else "runoff.forcings"
    inputs[first] |= {"times": str(runoff.time.size), "time": array_digest(runoff.time.view(np.int64))}
    settings = settings_of(config)
    for key, name in _own_parts(settings):
        if (source := _source(name)) is not None:
            inputs[key] = {SOURCE: input_digest(source).text}
            files[key] = source
    paths = {key: str(path) for key, path in files.items()}
    return Identity(inputs, paths, settings, version("rivergrad"), stamps)


def _sum(key: str, path: Path, before: Identity | None) -> tuple[str, str] | None:
    """The sum of every byte of a large input, and its stamp; taken anew where the stamp is another than before."""
    stamp = stamp_of(path)
    if before is not None and before.stamps.get(key) == stamp and SUM in before.inputs.get(key, {}):
        return before.inputs[key][SUM], stamp
    found = _content_sum(path, stamp)
    return None if found is None else (found, stamp)


@lru_cache(maxsize=8)
def _content_sum(path: Path, stamp: str) -> str | None:
    return content_sum(path)  # once for all folds of a process


def _own_parts(data: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """Key and import path of every part of the user's own that settings name: as a value, or in a list or mapping."""
    if isinstance(data, dict):
        for name, value in data.items():
            below = f"{key}.{name}" if key else str(name)
            if registry.is_path(last := str(name).rpartition(".")[2]) or registry.is_path(last := str(name)):
                yield below, last
            yield from _own_parts(value, below)
    elif isinstance(data, list):
        for i, value in enumerate(data):
            yield from _own_parts(value, f"{key}[{i}]")
    elif registry.is_path(data):
        yield key, data


def _of_network(network: RiverNetwork) -> dict[str, str]:
    found = {
        "reaches": str(network.n_reaches),
        "reach_id": array_digest(network.reach_id),
        "downstream": array_digest(network.downstream),
    }
    if network.length is not None:
        found["length"] = array_digest(np.asarray(network.length))
    return found | {name: array_digest(np.asarray(one)) for name, one in network.attributes.items()}


def _of_observations(network: RiverNetwork, observations: Observations) -> dict[str, str]:
    names = observations.gauge
    found = {
        "gauges": str(names.size),
        "gauge ids": array_digest(np.char.encode(names.astype(np.str_), "utf-8")),
        "reach ids": array_digest(network.reach_id[observations.reach]),
        "time": array_digest(observations.time.view(np.int64)),
        "discharge": array_digest(observations.discharge),
    }
    for name in ("error", "weight"):
        if (values := getattr(observations, name)) is not None:
            found[name] = array_digest(values)
    return found


def _source(part: str) -> Path | None:
    """The file that a part of the user's own is imported from."""
    try:
        spec = find_spec(part.partition(":")[0])
    except (ImportError, ValueError):
        return None
    origin = None if spec is None else spec.origin
    return Path(origin) if origin is not None and Path(origin).is_file() else None


def has_progress(run_dir: Path) -> bool:
    """Whether a run has anything to go on from, or to lose."""
    return has_checkpoints(run_dir) or (run_dir / PARAMETERS).exists()


def known_identity(run_dir: Path) -> Identity | None:
    """What a run was begun with: by its newest checkpoint, or by inputs.json."""
    newest = newest_of(run_dir)
    found = None if newest is None else identity_from(newest.of)
    return read_identity(run_dir) if found is None else found


def require_same(config: Workflow, run_dir: Path, identity: Identity, network: RiverNetwork) -> None:
    """Make sure that a run goes on with what it was begun with; of one that begins, write what that is.

    Raises:
        Changed: something is another, naming file and what differs.
    """
    known, kept = known_identity(run_dir), read_identity(run_dir)
    if not has_progress(run_dir):
        if kept is None or differences(kept, identity):
            with record_of(run_dir, make=False) as record:
                if record is not None:
                    record.remove(PARTITION)  # of another network, perhaps
        if kept != identity:
            write_identity(run_dir, identity)
        return
    if known is None:
        _require_same_network(run_dir, network)
        log.warning(
            "%s: begun by a version that did not note what its input was: it is taken to be the same", run_dir
        )
    else:
        others = differences(known, identity)
        if others:
            raise Changed(f"{listed(others)}; expected the same input, another output, or --fresh")
        settings = setting_differences(completed(known.settings, config), identity.settings)
        if settings:
            raise Changed(
                f"{run_dir}: holds a run of another configuration: {listed(settings)}; "
                "expected the same one, another output, or --fresh"
            )
        if known.version != identity.version:
            log.info("begun by rivergrad %s, goes on by %s", known.version, identity.version)
    if kept is None:
        write_identity(run_dir, identity if known is None else known)
    elif kept.stamps != identity.stamps:  # the same content under another stamp: looked at once
        write_identity(run_dir, replace(kept, stamps=identity.stamps))


def _require_same_network(run_dir: Path, network: RiverNetwork) -> None:
    """Of a run that did not note its input, the network that it wrote says whether that is the same."""
    try:
        before = store.read_network(run_dir / NETWORK)
    except (InputError, OSError):
        return
    was, now = _of_network(before), _of_network(network)
    others = [what for what in ("reach_id", "downstream", "length") if was.get(what) != now.get(what)]
    if others:
        raise Changed(
            f"{run_dir / NETWORK}: the network is not what the run began with ({', '.join(others)} differs); "
            "expected the same input, another output, or --fresh"
        )
