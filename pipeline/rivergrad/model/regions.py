"""Classes of reaches, for parameter models with a value a class."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rivercut.network import RiverNetwork
from rivergrad.errors import InputError
from rivergrad.io.missing import exact_integers

BASIN = "basin"
KEY = "parameters.regions"


def reach_classes(network: RiverNetwork, regions: str) -> NDArray[np.int64]:
    """The class (reach,) of each reach, numbered from 0.

    Args:
        network: the river network.
        regions: an integer reach attribute, or `basin`.

    Raises:
        InputError: the network lacks the attribute, or it is not of whole numbers.
    """
    if regions == BASIN:
        classes = np.asarray(network.basin)
    elif regions in network.attributes:
        values = np.asarray(network.attributes[regions])
        classes, bad = exact_integers(values.astype(np.int8) if values.dtype.kind == "b" else values)
        if bad.any():
            raise InputError(
                f"attribute {regions} is {values[bad][0]:g} at reach "
                f"{network.reach_id[bad][0]}; expected a whole number for every reach",
                key=KEY,
            )
    else:
        known = ", ".join(network.attributes) or "none"
        raise InputError(
            f"the network has no attribute {regions}; expected {BASIN}, or one of {known}", key=KEY
        )
    _, region = np.unique(classes, return_inverse=True)
    return region.reshape(-1).astype(np.int64)


EACH, MOST_EACH = "reach", 1000
"""`regions` of a delay that give each reach a deviation of its own, and of how many reaches at most."""


def delay_classes(network: RiverNetwork, regions: str) -> NDArray[np.int64]:
    """The class (reach,) of each reach; `reach` is one for each, so that it has a deviation of its own.

    Raises:
        InputError: more reaches than that can be done for, or see `reach_classes`.
    """
    if regions != EACH or EACH in network.attributes:
        return reach_classes(network, regions)
    if network.n_reaches > MOST_EACH:
        raise InputError(
            f"regions {EACH}: expected {MOST_EACH:,} reaches at most, each of which is a coefficient that all workers "
            f"share, found {network.n_reaches:,}; basin or an attribute are for more"
        )
    return np.arange(network.n_reaches)
