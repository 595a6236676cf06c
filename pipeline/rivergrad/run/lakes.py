"""The lakes of a workflow's network."""

from __future__ import annotations

import logging

import numpy as np
from numpy.typing import NDArray

from rivercut import graph
from rivercut.network import RiverNetwork
from rivergrad.config.schema import Workflow
from rivergrad.model.lakes import SOURCES, Lakes, has_lakes, lakes_of, marked
from rivergrad.routing import schemes
from rivergrad.run.inputs import Inputs

log = logging.getLogger("rivergrad")

Float = NDArray[np.float64]

BLOCKS, LOOKED_AT = 12, 1 << 26
"""The mean flow is that of so many stretches of the record, spread evenly, with about so many values in all."""


def scheme_for(config: Workflow, network: RiverNetwork) -> schemes.Scheme:
    """The scheme that a workflow asks for, with lakes where the network has some."""
    scheme = schemes.of(config.scheme)
    return schemes.WithLakes(scheme) if has_lakes(network, config.scheme.lakes) else scheme


def make_lakes(config: Workflow, network: RiverNetwork, mean_flow: Float | None = None) -> Lakes | None:
    """The lakes of a network with their prior residence times; see `lakes_of`.

    Args:
        config: the workflow.
        network: the river network.
        mean_flow: (reach,) m³/s, where it is known.
    """
    section = config.parameters.residence_time
    sd = None if section.sd == "auto" else float(section.sd)
    return lakes_of(network, config.scheme.lakes, mean_flow, section.default, sd)


def lakes_of_inputs(config: Workflow, inputs: Inputs) -> Lakes | None:
    """The lakes of a run, by the mean flow of its runoff."""
    network = inputs.network
    if not has_lakes(network, config.scheme.lakes):
        return None
    any_lake = config.scheme.lakes != "none" and bool(marked(network).any())
    flow = mean_flow(inputs) if any_lake and inputs.runoff_is_given else None
    found = make_lakes(config, network, flow)
    assert found is not None
    counts = [f"{int((found.source == i).sum())} by {SOURCES[i]}" for i in (1, 2, 3)]
    log.info(
        "lakes: %d (residence times %s), %d reaches pass water through",
        int(found.stored.sum()), ", ".join(counts), int((found.source == 4).sum()),
    )  # fmt: skip
    return found


def mean_flow(inputs: Inputs) -> Float:
    """(reach,) mean of the runoff upstream, m³/s, over stretches of the record."""
    network, steps = inputs.network, inputs.runoff.time.size
    blocks = min(BLOCKS, steps)
    length = max(1, min(steps // blocks, LOOKED_AT // (blocks * network.n_reaches)))
    starts = np.linspace(0, steps - length, blocks).astype(np.int64)
    total = np.zeros(network.n_reaches)
    for start in starts.tolist():
        total += inputs.runoff.read(None, start, start + length).mean(axis=0)
    found: Float = graph.accumulate(network.downstream, network.order, total / blocks)
    return found
