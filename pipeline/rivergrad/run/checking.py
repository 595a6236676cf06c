"""A workflow against its files, before anything is computed: what they hold, and all mistakes at once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from rivercut.network import RiverNetwork
from rivergrad.config.schema import Workflow
from rivergrad.errors import InputError, shortened
from rivergrad.io import ForcingSource, Observations, RunoffSource
from rivergrad.io.times import step_text
from rivergrad.model.features import Features
from rivergrad.model.regions import delay_classes, reach_classes
from rivergrad.routing.steps import step_ratio
from rivergrad.run.givenfiles import forcings_of, observations_of, on_runoff_steps, runoff_of
from rivergrad.run.givennetwork import network_of, with_lengths
from rivergrad.run.periods import periods_of

MOST_NAMES = 12
"""Attributes that a line names."""


@dataclass
class Checked:
    """Attributes:
    lines: what the files hold, a line each.
    mistakes: what is wrong, in the order it was found; what needs a file that is wrong is not looked at.
    """

    lines: list[str] = field(default_factory=list)
    mistakes: list[InputError] = field(default_factory=list)

    @contextmanager
    def noting(self) -> Iterator[None]:
        """Keep a mistake and go on."""
        try:
            yield
        except InputError as error:
            self.mistakes.append(error)


def check_files(config: Workflow) -> Checked:
    """Look into the files that a workflow names: headers, axes, periods, attributes, and gauges, which are placed.

    Runoff is not read: a value that is missing in the middle of a record shows when a run reads it.

    Args:
        config: as loaded; its files are there.
    """
    found = Checked()
    if config.world is not None or config.network is None:
        return found
    network = _network(config, found)
    if network is not None:
        _attributes(config, network, found)
        _series(config, network, found)
    return found


def _network(config: Workflow, found: Checked) -> RiverNetwork | None:
    assert config.network is not None
    network = None
    with found.noting():
        network = network_of(config.network)
        outlets = int((network.downstream < 0).sum())
        names = [str(name) for name in network.attributes]
        more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
        found.lines.append(
            f"network: {network.n_reaches:,} reaches, {outlets:,} outlets; attributes "
            + (", ".join(names[:MOST_NAMES]) or "none")
            + more
        )
        network = with_lengths(network, config.network.path)
    return network


def _attributes(config: Workflow, network: RiverNetwork, found: Checked) -> None:
    """Those that the parameters are functions of."""
    parameters = config.parameters
    delay = parameters.hillslope
    for name in dict.fromkeys((*parameters.trend, *(() if delay is None else delay.trend))):
        with found.noting():
            Features.of(network.attributes, (name,))
    if parameters.prior == "physical":
        from rivergrad.model.physical import MEAN_FLOW, physical_prior  # which need torch

        told = config.runoff is not None and config.runoff.path is not None
        flow = {MEAN_FLOW: np.ones(network.n_reaches)} if told else {}
        with found.noting():
            prior = physical_prior({**flow, **network.attributes}, network.n_reaches)
            found.lines.append(f"physical prior: {prior.text()}, {prior.relation.formula}")
    if parameters.regions is not None:
        with found.noting():
            reach_classes(network, parameters.regions)
    if delay is not None and delay.regions is not None:
        with found.noting():
            delay_classes(network, delay.regions)


def _series(config: Workflow, network: RiverNetwork, found: Checked) -> None:
    """Runoff, forcings and observations: what they hold, and whether they fit each other and the periods."""
    runoff: RunoffSource | None = None
    forcings: ForcingSource | None = None
    assert config.runoff is not None
    if config.runoff.path is not None:
        with found.noting():
            runoff = runoff_of(config.runoff, network)
            found.lines.append(f"runoff: {_times(runoff.time, runoff.step)}")
            step_ratio(runoff.step, config.time.routing_step)
    if config.runoff.learned:
        with found.noting():
            forcings = forcings_of(config.runoff, network, config.runoff.forcings)
            if forcings is not None:
                found.lines.append(f"forcings: {_times(forcings.time, forcings.step)}")
    first = runoff or forcings
    observations: Observations | None = None
    if config.observations is not None:
        with found.noting():
            observations = observations_of(config, network, first)
            found.lines.append(f"observations: {_gauges(observations)}")
    if first is None:
        return
    every = 1
    if observations is not None and config.observations is not None:
        with found.noting():
            placed = on_runoff_steps(first, observations, config.observations.kind)
            every = placed.every
            both = first.time[placed.step].astype("datetime64[D]")
            found.lines.append(f"common period: {both.min()} to {both.max()}")
    with found.noting():
        periods = periods_of(config, first.time, first.step, first.path, every)
        train = periods.train[1] - periods.train[0]
        test = "" if periods.test is None else f", test of {periods.test[1] - periods.test[0]:,}"
        found.lines.append(f"periods: training of {train:,} steps after the warm-up{test}")


def _times(time: NDArray[np.datetime64], step: float) -> str:
    first, last = (np.datetime_as_string(one.astype("datetime64[m]")) for one in (time[0], time[-1]))
    return f"{time.size:,} steps of {step_text(step)}, {first} to {last}"


def _gauges(observations: Observations) -> str:
    placed = "" if observations.placement is None else f", {observations.placement.summary()}"
    values = int(np.isfinite(observations.discharge).sum())
    return f"{observations.gauge.size:,} gauges{shortened(placed, 200)}; {values:,} values; " + _times(
        observations.time, observations.step
    )
