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
    from rivergrad.routing.schemes import Parameter, Scheme

Float = NDArray[np.float64]

RESIDENCE_TIME = "residence_time"
"""As `rivergrad.routing.schemes` has it, which imports torch."""


def read_scheme_parameters(
    path: str | Path, scheme: Scheme, network: RiverNetwork
) -> tuple[dict[str, Float], tuple[str, ...]]:
    """Read a scheme's parameters for the reaches of a network from whatever the file has of them.

    The scheme's own parameters, where the file has them all. Else those that follow from `celerity` and, for a
    scheme that spreads as it is told to, `diffusivity`, with the lengths of the network. A scheme with lakes has them
    where the file has a `residence_time`; what it has of channels may be missing there.

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
    lakes = _residence_time(path, scheme, there, network)
    if lakes is not None:
        own = tuple(name for name in own if name != RESIDENCE_TIME)
    if there.issuperset(own) or not there.issuperset(physical):
        values = _read(path, own, network, lakes)
        if lakes is not None and network.length is not None:
            # k = L / c of a reach without length is 0
            through = (network.length == 0) & np.any(
                [_beyond(values[p.name], p) for p in scheme.parameters if p.name in own], axis=0
            )
            values[RESIDENCE_TIME] = np.where(through & np.isnan(lakes), 0.0, lakes)
        _require_admissible(path, scheme, values, network)
        return values, scheme.parameter_names
    if network.length is None:
        raise InputError(
            f"{path}: found no {ids_text(sorted(set(own) - there))} for scheme {scheme.name}, and no reach lengths "
            f"in the network to make them from {' and '.join(physical)}; expected one or the other"
        )
    read = _read(path, physical, network, lakes)
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
    made = {
        name: value.numpy() for name, value in scheme.from_physical(celerity, diffusivity, length).items()
    }
    if lakes is not None:
        made[RESIDENCE_TIME] = np.where(np.isnan(lakes), made[RESIDENCE_TIME], lakes)
    return {name: made[name] for name in scheme.parameter_names}, physical


def lakes_in(path: str | Path | None, network: RiverNetwork) -> bool:
    """Whether a scheme has to have lakes: the file of parameters has residence times, or a reach no length."""
    if path is not None and RESIDENCE_TIME in names_in(path):
        return True
    return network.length is not None and bool((network.length == 0).any())


def _residence_time(path: str | Path, scheme: Scheme, there: set[str], network: RiverNetwork) -> Float | None:
    """(n,) residence times, NaN at channels; None where the scheme has no lakes."""
    if RESIDENCE_TIME not in scheme.parameter_names:
        return None
    if RESIDENCE_TIME not in there:
        return np.full(network.n_reaches, np.nan)
    nowhere = np.zeros(network.n_reaches, np.bool_)
    return read_parameters(path, [RESIDENCE_TIME], network, needed={RESIDENCE_TIME: nowhere})[RESIDENCE_TIME]


def _read(
    path: str | Path, names: tuple[str, ...], network: RiverNetwork, lakes: Float | None
) -> dict[str, Float]:
    """Parameters of channels, NaN or not at lakes; with the residence times of these."""
    if lakes is None:
        return read_parameters(path, names, network)
    channel = np.isnan(lakes)
    values = read_parameters(path, names, network, needed=dict.fromkeys(names, channel))
    return {**values, RESIDENCE_TIME: lakes}


def _require_admissible(
    path: str | Path, scheme: Scheme, values: Mapping[str, Float], network: RiverNetwork
) -> None:
    lake = ~np.isnan(values.get(RESIDENCE_TIME, np.full(network.n_reaches, np.nan)))
    for one in scheme.parameters:
        counts = lake if one.name == RESIDENCE_TIME else ~lake
        bad = counts & _beyond(values[one.name], one)
        if bad.any():
            raise InputError(
                f"{path}: parameter {one.name} is {values[one.name][bad][0]:g} for the reaches "
                f"{ids_text(network.reach_id[bad])}; expected {one.lower:g} to {one.upper:g} {one.units}"
            )


def _beyond(values: Float, one: Parameter) -> NDArray[np.bool_]:
    """Where values are outside a parameter's range, or none."""
    return ~((values >= one.lower) & (values <= one.upper))
