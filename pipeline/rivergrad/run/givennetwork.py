"""The network that a workflow names, and the lengths of one that has only travel times."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import numpy as np

from rivercut.network import RiverNetwork
from rivergrad.config.sections import NetworkSection
from rivergrad.errors import InputError, ids_text
from rivergrad.io import read_network

log = logging.getLogger("rivergrad")

NOMINAL = "k times 1 m/s: celerity is the factor by which k of the network is divided"
"""What lengths are where the network has k and none of its own."""


def network_of(section: NetworkSection) -> RiverNetwork:
    """Read the network of a workflow.

    Raises:
        InputError: see `read_network`.
    """
    return read_network(
        section.path,
        section.format,
        outlets=section.outlets,
        layer=section.layer,
        columns=dict(section.columns),
        units=dict(section.units),
        basin=section.basin,
        channel_area=section.channel_area,
    )


def with_lengths(network: RiverNetwork, path: Path) -> RiverNetwork:
    """The network as it is; where it has no lengths but k, with k times 1 m/s for lengths, which is said.

    Raises:
        InputError: neither lengths nor k, or a k that is not above 0.
    """
    if network.length is not None:
        return network
    k = network.attributes.get("k")
    if k is None:
        raise InputError(
            f"{path}: the network has no lengths; expected length_m, to turn celerity into travel times, or k"
        )
    k = np.asarray(k, np.float64)
    if (bad := ~(np.isfinite(k) & (k > 0))).any():
        raise InputError(
            f"{path}: the network has no lengths, and k of the reaches {ids_text(network.reach_id[bad])} "
            "is not above 0; expected a travel time of every reach"
        )
    log.warning("%s: no lengths; they are %s", path, NOMINAL)
    return replace(network, length=k)


def has_nominal_lengths(network: RiverNetwork) -> bool:
    """Whether lengths are k times 1 m/s (see `with_lengths`)."""
    k = network.attributes.get("k")
    return network.length is not None and k is not None and bool(np.array_equal(network.length, k))
