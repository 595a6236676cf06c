"""What a workflow estimates from: read from files, or generated and then read from files all the same."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rivercut import graph
from rivercut.network import RiverNetwork
from rivergrad import registry
from rivergrad.config.schema import Workflow
from rivergrad.errors import InputError
from rivergrad.gauges.holdout import draw_basins
from rivergrad.io import (
    ForcingSource,
    Observations,
    Placement,
    RunoffReader,
    RunoffSource,
    atomic_path,
    open_runoff,
    read_network,
    read_observations,
    read_parameters,
    write_forcings,
    write_network_table,
    write_observations,
    write_parameters,
    write_placement,
    write_runoff,
)
from rivergrad.io.discharge import refuse_not_finite
from rivergrad.model.features import log_features
from rivergrad.pieces.direct import simulate
from rivergrad.routing import schemes, step_ratio
from rivergrad.routing.reported import MEAN, Report
from rivergrad.run.givenfiles import forcings_of, observations_of, runoff_of
from rivergrad.run.givennetwork import network_of, with_lengths
from rivergrad.run.hillslope import given_delay
from rivergrad.run.known import identity_of, in_order_of, require_same
from rivergrad.run.observed import OnSteps, on_steps
from rivergrad.run.routing import routing_of
from rivergrad.run.true_runoff import true_runoff
from rivergrad.rundir.contents import GAUGES, TWIN, WORLD
from rivergrad.rundir.identity import Identity
from rivergrad.runoff import RunoffSpec
from rivergrad.world import (
    WorldSpec,
    generate_network,
    generate_runoff,
    generate_weather,
    given_runoff,
    observe,
    place_gauges,
)

log = logging.getLogger("rivergrad")

TWIN_GAUGE_FLOW = 10.0
"""Gauges of a twin stand on reaches with at least this mean runoff upstream, m³/s: dry channels have none."""


@dataclass(frozen=True, eq=False)
class Inputs:
    """Attributes:
    network: the river network; runoff: its runoff source (the forcings, where no runoff is given); observations: at
        gauges.
    observed: (time of the runoff, gauge) m³/s, NaN where missing (or left out, see `workflow.screening`).
    held_out: (gauge,) kept out of the estimate.
    true_celerity: (reach,) m/s where the observations were generated, else None.
    observed_error: (time of the runoff, gauge) standard deviation of each observation, m³/s, NaN where there is
        none; None where the observations come without.
    weight: (gauge,) given with the observations, 0 or more; None where they come without.
    placement: how every gauge of the file got its reach, those that were dropped as well.
    forcings: of a runoff model, where there are any; runoff_is_given: whether `runoff` is one.
    identity: what the run was begun with.
    on_steps: where observations lie among the steps of the runoff; None where each step may have one.
    suspects: held-out gauges whose values screening finds wrong, by position, and the check that says so.
    """

    network: RiverNetwork
    runoff: RunoffSource
    observations: Observations
    observed: NDArray[np.float64]
    held_out: NDArray[np.bool_]
    true_celerity: NDArray[np.float64] | None
    observed_error: NDArray[np.float64] | None = None
    weight: NDArray[np.float64] | None = None
    placement: Placement | None = None
    forcings: ForcingSource | None = None
    runoff_is_given: bool = True
    identity: Identity | None = None
    on_steps: OnSteps | None = None
    suspects: Mapping[int, str] = field(default_factory=dict)

    @property
    def report(self) -> Report:
        """The discharge that observations are compared with."""
        return MEAN if self.on_steps is None else self.on_steps.report

    def compared(self, start: int, stop: int) -> slice:
        """The steps of start..stop that may have observations."""
        return slice(start, stop) if self.on_steps is None else self.on_steps.compared(start, stop)


def prepare_inputs(config: Workflow, run_dir: Path) -> Inputs:
    """Generate what is to be generated, then read and check everything; gauges.csv says where each gauge was put.

    Raises:
        InputError: whatever is wrong with a file, naming it.
    """
    truth: Path | None = None
    runoff: RunoffSource | None = None
    if config.world is not None:
        folder = run_dir / WORLD
        spec = config.world.spec
        if not (folder / "observations.nc").exists():
            _make_world(config, spec, folder)
        network = in_order_of(read_network(folder / "network.parquet"), run_dir)
        if gives_runoff(config):
            runoff = open_runoff(folder / "runoff.nc", network)
        forcings = _forcings(config, network, run_dir)
        observations = _generated_observations(folder, network)
        truth = folder / "truth.parquet"
        held = place_gauges(spec, network).held_out
        if config.gauges.holdout_by == "basin":
            held = draw_holdout(config, observations.gauge, network.basin[observations.reach])
    else:
        assert config.network is not None
        assert config.runoff is not None
        network = with_lengths(network_of(config.network), config.network.path)
        network = in_order_of(network, run_dir)
        if config.runoff.path is not None:
            runoff = runoff_of(config.runoff, network)
            step_ratio(runoff.step, config.time.routing_step)
        forcings = _forcings(config, network, run_dir)
        if config.observations is not None:
            observations = observations_of(config, network, runoff or forcings)
            if observations.remark:
                log.warning("observations %s: %s", observations.path, observations.remark)
        else:
            folder = run_dir / TWIN
            if not (folder / "observations.nc").exists():
                assert runoff is not None
                _make_twin(config, network, runoff, folder)
            observations = _generated_observations(folder, network)
            truth = folder / "truth.parquet"
        config = _without_dropped(config, observations)
        held = draw_holdout(config, observations.gauge, network.basin[observations.reach])
    given = gives_runoff(config)
    if forcings is not None and not given:
        runoff = forcings  # for its times
    assert runoff is not None
    if forcings is not None and not np.array_equal(forcings.time, runoff.time):
        raise InputError(f"{forcings.path}: has other times than the runoff {runoff.path}; expected the same")
    held = held | named_holdout(config, observations.gauge)
    if held.all():
        raise InputError(
            f"all {held.size} gauges are held out; expected at least one to train on", key="gauges"
        )
    ratio = step_ratio(runoff.step, config.time.routing_step)
    kind = "mean" if config.observations is None else config.observations.kind
    placed = on_steps(runoff, observations, kind)
    identity = identity_of(config, run_dir, network, runoff, observations)
    require_same(config, run_dir, identity, network)
    if observations.placement is not None:
        write_placement(run_dir / GAUGES, observations.placement)
        _tell_placement(observations.placement)
    log.info("routing step %g s, forcing step %g s (S = %d)", config.time.routing_step, runoff.step, ratio)
    return Inputs(
        network=network,
        runoff=runoff,
        observations=observations,
        observed=placed.aligned(observations.discharge),
        held_out=held,
        true_celerity=None if truth is None else read_parameters(truth, ["celerity"], network)["celerity"],
        observed_error=None if observations.error is None else placed.aligned(observations.error),
        weight=observations.weight,
        placement=observations.placement,
        forcings=forcings,
        runoff_is_given=given,
        identity=identity,
        on_steps=placed,
    )


def _generated_observations(folder: Path, network: RiverNetwork) -> Observations:
    """Observations of a generated world or twin, as they were made: a scheme outside its range makes negative ones."""
    return read_observations(folder / "observations.nc", network, negative="keep")


def gives_runoff(config: Workflow) -> bool:
    """Whether a workflow has runoff before any is learned."""
    if config.world is None:
        return config.runoff is not None and config.runoff.path is not None
    if config.runoff is None or not config.runoff.learned:
        return True
    assert config.runoff.model is not None
    return RunoffSpec(config.runoff.model).needs_given


def _forcings(config: Workflow, network: RiverNetwork, run_dir: Path) -> ForcingSource | None:
    section = config.runoff
    if section is None or not section.learned:
        return None
    path = run_dir / WORLD / "forcings.zarr" if config.world is not None else section.forcings
    return forcings_of(section, network, path)


def _without_dropped(config: Workflow, observations: Observations) -> Workflow:
    """The workflow without the names to hold out of gauges that have no place: they are no mistake in it."""
    if observations.placement is None:
        return config
    dropped = set(observations.placement.gauge.tolist()) - set(observations.gauge.tolist())
    left = tuple(name for name in config.gauges.holdout_ids if name not in dropped)
    return config.model_copy(update={"gauges": config.gauges.model_copy(update={"holdout_ids": left})})


def _tell_placement(placement: Placement) -> None:
    log.info("%s", placement.summary())
    for row in placement.rows:
        if row.reason:
            level = logging.INFO if row.status == "matched" else logging.WARNING
            log.log(level, "gauge %s %s: %s", row.gauge, row.status, row.reason)


def named_holdout(config: Workflow, gauge: NDArray[np.str_]) -> NDArray[np.bool_]:
    """(gauge,) which gauges the workflow holds out by name.

    Raises:
        InputError: no gauge has such a name.
    """
    unknown = [name for name in config.gauges.holdout_ids if name not in set(gauge.tolist())]
    if unknown:
        raise InputError(
            f"found {unknown[0]}; expected a gauge of the observations", key="gauges.holdout_ids"
        )
    return np.isin(gauge, list(config.gauges.holdout_ids))


def draw_holdout(config: Workflow, gauge: NDArray[np.str_], basin: NDArray[np.int64]) -> NDArray[np.bool_]:
    """(gauge,) a share of the gauges drawn from the seed; those held out by name count towards it.

    `basin` (gauge,) is what stays together where `gauges.holdout_by` says so.
    """
    named = named_holdout(config, gauge)
    if config.gauges.holdout_by == "basin":
        return draw_basins(basin, named, round(config.gauges.holdout * gauge.size), config.seed)
    wanted = round(config.gauges.holdout * gauge.size) - int(named.sum())
    held = named.copy()
    others = np.flatnonzero(~named)
    if wanted > 0:
        held[np.random.default_rng([config.seed, 101]).permutation(others)[:wanted]] = True
    return held


def _true_discharge(
    config: Workflow,
    network: RiverNetwork,
    runoff: RunoffReader,
    celerity: NDArray[np.float64],
    spreading: NDArray[np.float64] | None,
    reaches: NDArray[np.int64],
) -> NDArray[np.float64]:
    """Discharge of some reaches under the hidden parameters, in double precision."""
    import torch

    scheme = schemes.of(config.scheme)
    assert network.length is not None
    values = scheme.from_celerity(
        torch.from_numpy(celerity),
        None if spreading is None else torch.from_numpy(spreading),
        torch.from_numpy(np.array(network.length)),
    )
    chunks: list[NDArray[np.float64]] = []
    simulate(
        network=network,
        runoff=runoff,
        parameters={name: value.numpy() for name, value in values.items()}
        | given_delay(config, network.n_reaches),
        how=replace(routing_of(config, scheme), engine="auto", dtype="float64"),
        sink=lambda start, discharge: chunks.append(discharge),
        targets=reaches,
    )
    discharge = np.concatenate(chunks)
    refuse_not_finite(discharge, network.reach_id[reaches], runoff.time, "the true discharge")
    return discharge


def _default_spreading(config: Workflow, n: int) -> NDArray[np.float64] | None:
    scheme = schemes.of(config.scheme)
    return None if scheme.spreading is None else np.full(n, scheme.spreading.default)


def _make_world(config: Workflow, spec: WorldSpec, folder: Path) -> None:
    """Generate the embedded world and write it as the files a user would bring."""
    log.info("generating a world of about %d reaches", spec.reaches)
    world = generate_network(spec)
    network = world.network
    weather = generate_weather(spec, network) if spec.weather else None
    time, runoff = generate_runoff(spec, network) if weather is None else (weather.time, weather.runoff)
    gauges = place_gauges(spec, network)
    write_network_table(folder / "network.parquet", network)
    if weather is not None:
        units = {"temperature": "degC"}
        forcings = {name: (values, units.get(name, "mm")) for name, values in weather.forcings.items()}
        write_forcings(folder / "forcings.zarr", network.reach_id, time, forcings)
    given = given_runoff(spec, network, runoff)
    write_runoff(folder / "runoff.nc", network.reach_id, time, given)
    if given is not runoff:
        write_runoff(folder / "runoff_true.nc", network.reach_id, time, runoff)
    spreading = (
        world.muskingum_x
        if registry.entry("scheme", config.scheme.name).facts.get("spreading") == "x"
        else _default_spreading(config, network.n_reaches)
    )
    hidden = {"celerity": world.celerity}
    if spreading is not None:
        hidden["spreading"] = spreading
    write_parameters(folder / "truth.parquet", network.reach_id, hidden)
    with atomic_path(folder / "land.npz") as path, path.open("wb") as file:
        np.savez(file, lat=world.map_lat, lon=world.map_lon, land=world.land, elevation=world.elevation)
    # what the gauges saw is the true runoff, whatever the estimate is given
    source = open_runoff(folder / ("runoff.nc" if given is runoff else "runoff_true.nc"), network)
    discharge = _true_discharge(config, network, source, world.celerity, spreading, gauges.reach)
    write_observations(
        folder / "observations.nc",
        gauges.name,
        network.reach_id[gauges.reach],
        time,
        observe(spec, discharge),
    )


def _make_twin(config: Workflow, network: RiverNetwork, runoff: RunoffReader, folder: Path) -> None:
    """Synthetic observations of given runoff: hidden celerities with a trend and noise, observed with errors."""
    assert config.twin is not None
    twin, rng = config.twin, np.random.default_rng([config.seed, 202])
    n = network.n_reaches
    features = (
        log_features(network.attributes, config.parameters.trend)
        if config.parameters.trend
        else np.zeros((n, 0))
    )
    lower, upper = config.parameters.celerity.bounds
    latent = features.sum(axis=1) / max(1, features.shape[1]) ** 0.5 + 0.5 * rng.standard_normal(n)
    celerity = config.parameters.celerity.initial * 1.3 * np.exp(twin.celerity_spread * latent)
    celerity = np.clip(celerity, 1.5 * lower, upper / 1.5)
    mean_runoff = runoff.read(None, 0, runoff.time.size).mean(axis=0)
    mean_flow = graph.accumulate(network.downstream, network.order, mean_runoff)
    count = max(1, round(twin.gauge_fraction * n))
    candidates = np.flatnonzero(mean_flow >= min(TWIN_GAUGE_FLOW, mean_flow.max()))
    reaches = np.sort(rng.choice(candidates, size=min(count, candidates.size), replace=False))
    log.info("twin: %d gauges, mean flows from %.3g m3/s", reaches.size, mean_flow[reaches].min())
    true = true_runoff(runoff, network, twin, config.seed)
    discharge = _true_discharge(config, network, true, celerity, _default_spreading(config, n), reaches)
    observed = discharge * np.exp(twin.noise * rng.standard_normal(discharge.shape))
    observed[rng.random(discharge.shape) < twin.gap_fraction] = np.nan
    write_parameters(folder / "truth.parquet", network.reach_id, {"celerity": celerity})
    ids = network.reach_id[reaches]
    write_observations(folder / "observations.nc", [f"twin-{i}" for i in ids], ids, runoff.time, observed)
