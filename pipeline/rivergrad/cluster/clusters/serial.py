"""No cluster: everything is done in this process."""

from __future__ import annotations

from contextlib import AbstractContextManager

from rivergrad.cluster.clusters import Ground, Started
from rivergrad.cluster.options import ClusterOptions
from rivergrad.errors import InputError


def start(options: ClusterOptions, ground: Ground) -> AbstractContextManager[Started]:
    """Nothing is started for this kind: the executor works in the process that asks."""
    raise InputError("found serial, which starts no workers; expected another kind", key="compute.kind")
