"""Parameters for any scheme from one map: a scheme's own columns, or celerity and diffusivity in their place."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from rivercut.network import RiverNetwork
from rivergrad.errors import InputError, ids_text
from rivergrad.io.parameters import names_in, read_parameters

if TYPE_CHECKING:
    from rivergrad.routing.schemes import Scheme

Float = NDArray[np.float64]


def read_scheme_parameters(
    path: str | Path, scheme: Scheme, network: RiverNetwork
) -> tuple[dict[str, Float], tuple[str, ...]]:
    """Read a scheme's parameters for the reaches of a network from whatever the file has of them.

    The scheme's own parameters, where the file has them all. Else those that follow from `celerity` and, for a
    scheme that spreads as it is told to, `diffusivity`, with the lengths of the network.

    Args:
        path: see `read_parameters`.
        scheme: the scheme.
        network: whose reaches.

    Returns:
        name -> (n,) float64 in SI, in the order of the network; and the names that were read.

    Raises:
        InputError: as `read_parameters`, for a celerity or diffusivity that no wave has, and for a network without
            lengths where they are needed.
    """
    own, physical = (
        scheme.parameter_names,
        ("celerity",) if scheme.spreading is None else ("celerity", "diffusivity"),
    )
    there = names_in(path)
    if there.issuperset(own) or not there.issuperset(physical):
        values = read_parameters(path, own, network)
        _require_admissible(path, scheme, values, network)
        return values, own
    if network.length is None:
        raise InputError(
            f"{path}: found no {ids_text(sorted(set(own) - there))} for scheme {scheme.name}, and no reach lengths "
            f"in the network to make them from {' and '.join(physical)}; expected one or the other"
        )
    read = read_parameters(path, physical, network)
    for name, least in (("celerity", np.nextafter(0.0, 1.0)), ("diffusivity", 0.0)):
        bad = read.get(name, np.full(1, np.inf)) < least
        if bad.any():
            raise InputError(
                f"{path}: {name} is {read[name][bad][0]:g} for the reaches {ids_text(network.reach_id[bad])}; "
                f"expected {'above 0' if least else '0 or more'}"
            )
    import torch  # here: who only looks at files does not wait for it

    celerity, length = torch.from_numpy(read["celerity"]), torch.from_numpy(np.array(network.length))
    diffusivity = (
        torch.from_numpy(read["diffusivity"]) if "diffusivity" in read else torch.zeros_like(celerity)
    )
    made = scheme.from_physical(celerity, diffusivity, length)
    return {name: made[name].numpy() for name in own}, physical


def _require_admissible(
    path: str | Path, scheme: Scheme, values: Mapping[str, Float], network: RiverNetwork
) -> None:
    for one in scheme.parameters:
        bad = ~((values[one.name] >= one.lower) & (values[one.name] <= one.upper))
        if bad.any():
            raise InputError(
                f"{path}: parameter {one.name} is {values[one.name][bad][0]:g} for the reaches "
                f"{ids_text(network.reach_id[bad])}; expected {one.lower:g} to {one.upper:g} {one.units}"
            )
