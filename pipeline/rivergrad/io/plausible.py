"""Whether a network can be one in SI: lengths, areas and travel times that no river has name the likely unit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rivercut.network import RiverNetwork
from rivergrad.errors import InputError

Float = NDArray[np.float64]

CELERITIES = (0.02, 20.0)
"""m/s that the median of length over k may have."""
SHORTEST = 20.0
"""m of the median length."""
AREAS = (1e3, 1e12)
"""m2 of the median local area: a thousandth of a square kilometre to a million of them."""
LARGEST = 1e13
"""m2 of the largest upstream area: the Amazon has 6e12."""
ENOUGH = 100_000
"""Reaches that a median is taken of, spread over all."""
_TIMES = {"days": 86400.0, "hours": 3600.0, "minutes": 60.0}


def require_plausible(network: RiverNetwork, path: Path) -> None:
    """Raise where the medians of a network are beyond reason.

    Args:
        network: as read, in what is meant to be SI.
        path: the file, for the message.

    Raises:
        InputError: names the column, what was found and the likely unit.
    """
    length = network.length
    k = _numbers(network, "k")
    if length is not None and (middle := _median(np.asarray(length))) < SHORTEST:
        unit = "degrees" if middle < 0.2 and _spans_degrees(network, middle) else "km"
        raise InputError(
            f"{path}: the median length is {middle:.3g} m; expected {SHORTEST:g} m or more: are lengths in {unit}? "
            f"{_how('length_m', unit)}"
        )
    if length is not None and k is not None:
        _require_celerity(np.asarray(length), k, path)
    _require_areas(network, path)


def _require_celerity(length: Float, k: Float, path: Path) -> None:
    usable = np.isfinite(k) & (k > 0)
    if not usable.any():
        return
    celerity = _median(length[usable] / k[usable])
    low, high = CELERITIES
    if low <= celerity <= high:
        return
    unit = min(
        _TIMES, key=lambda one: abs(np.log(celerity / _TIMES[one]))
    )  # the one that brings it next to 1 m/s
    if celerity < low:
        raise InputError(
            f"{path}: length over k is {celerity:.3g} m/s in the median; expected {low:g} to {high:g} m/s: are lengths "
            f"in km? {_how('length_m', 'km')}"
        )
    raise InputError(
        f"{path}: length over k is {celerity:.3g} m/s in the median; expected {low:g} to {high:g} m/s: is k in {unit}? "
        f"{_how('k', {'days': 'd', 'hours': 'h', 'minutes': 'min'}[unit])}"
    )


def _require_areas(network: RiverNetwork, path: Path) -> None:
    local = _numbers(network, "area_m2")
    total = _numbers(network, "upstream_area_m2")
    if local is not None and (middle := _median(local[local > 0])) < AREAS[0]:
        raise InputError(
            f"{path}: the median of area_m2 is {middle:.3g} m2; expected {AREAS[0]:g} or more: are areas in km2? "
            f"{_how('area_m2', 'km2')}"
        )
    if local is not None and (middle := _median(local[local > 0])) > AREAS[1]:
        raise InputError(
            f"{path}: the median of area_m2 is {middle:.3g} m2; expected {AREAS[1]:g} or less: are areas in "
            f"m2 already? "
            f"{_how('area_m2', 'm2')}"
        )
    if total is not None and np.isfinite(total).any() and (most := float(np.nanmax(total))) > LARGEST:
        raise InputError(
            f"{path}: the largest upstream_area_m2 is {most:.3g} m2; expected {LARGEST:g} or less: are areas in m2 "
            f"already? {_how('upstream_area_m2', 'm2')}"
        )


def _how(name: str, unit: str) -> str:
    if unit == "degrees":
        return "expected metres over the ground"
    return f"say so with units: {{{name}: {unit}}}, or a header such as {name} [{unit}]"


def _median(values: Float) -> float:
    values = values[:: max(1, values.size // ENOUGH)]
    known = values[np.isfinite(values)]
    return float(np.median(known)) if known.size else np.nan


def _numbers(network: RiverNetwork, name: str) -> Float | None:
    found = network.attributes.get(name)
    return None if found is None else np.asarray(found, np.float64)


def _spans_degrees(network: RiverNetwork, middle: float) -> bool:
    """Whether neighbouring reaches are about as many degrees apart as they are long."""
    if not {"lat", "lon"} <= set(network.attributes):
        return False
    lat, lon = (np.asarray(network.attributes[one], np.float64) for one in ("lat", "lon"))
    has = network.downstream >= 0
    below = network.downstream[has]
    apart = np.hypot(lat[has] - lat[below], lon[has] - lon[below])
    apart = apart[np.isfinite(apart) & (apart > 0)]
    return bool(apart.size and 0.1 < middle / float(np.median(apart)) < 10.0)
