"""Celerity turned into Manning's n: for models that route by roughness and shape of the channel."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rivergrad.errors import InputError
from rivergrad.io.exporters.base import Estimate, Float

LEAST_SLOPE = 1e-5
"""Taken where the slope is less, as t-route does."""
LOWEST, HIGHEST = 0.005, 1.0
"""Between these n stays."""
_ROUNDS = 80


@dataclass(frozen=True, eq=False)
class Channel:
    """Cross-sections (n,): bottom width m, side slope (horizontal over vertical; 0 is a rectangle), bed slope."""

    width: Float
    side: Float
    slope: Float


@dataclass(frozen=True, eq=False)
class Roughness:
    """`n` (n,), and how many were cut off at `LOWEST` and `HIGHEST`."""

    n: Float
    low: int
    high: int


def manning_n(celerity: Float, flow: Float, channel: Channel) -> Roughness:
    """n at which a channel has a kinematic celerity at a flow.

    c = dQ/dA = V (5/3 - 2/3 R dP/dA), with V = Q/A = R^(2/3) S^(1/2)/n (t-route's Muskingum-Cunge has the same c).
    At a given Q the celerity falls as the depth h rises, so that h is found by bisection, and n from it.

    Args:
        celerity: (n,) m/s.
        flow: (n,) m3/s.
        channel: the cross-sections.
    """
    flow = np.maximum(flow, 1e-6)
    low, high = np.full(flow.shape, -7.0), np.full(flow.shape, 3.0)  # log10 of the depth, m
    for _ in range(_ROUNDS):
        middle = (low + high) / 2
        too_fast = _celerity(10**middle, flow, channel) > celerity
        low, high = np.where(too_fast, middle, low), np.where(too_fast, high, middle)
    depth = 10 ** ((low + high) / 2)
    area, perimeter, _ = _section(depth, channel)
    n = (area / perimeter) ** (2 / 3) * np.sqrt(np.maximum(channel.slope, LEAST_SLOPE)) * area / flow
    return Roughness(np.clip(n, LOWEST, HIGHEST), int((n < LOWEST).sum()), int((n > HIGHEST).sum()))


def _section(depth: Float, channel: Channel) -> tuple[Float, Float, Float]:
    """Area, wetted perimeter and width at the water."""
    top = channel.width + 2 * channel.side * depth
    return (
        (channel.width + channel.side * depth) * depth,
        channel.width + 2 * depth * np.sqrt(1 + channel.side**2),
        top,
    )


def _celerity(depth: Float, flow: Float, channel: Channel) -> Float:
    area, perimeter, top = _section(depth, channel)
    change = 2 * np.sqrt(1 + channel.side**2) / top  # dP/dA
    found: Float = flow / area * (5 / 3 - 2 / 3 * area / perimeter * change)
    return found


def wide_manning_n(celerity: Float, flow: Float, width: Float, slope: Float) -> Roughness:
    """n of a wide rectangle, where c = 5/3 V and R is the depth: mizuRoute's kinematic wave.

    Args:
        celerity: (n,) m/s; flow: (n,) m3/s; width: (n,) m; slope: (n,).
    """
    velocity = 0.6 * celerity
    depth = np.maximum(flow, 1e-6) / (width * velocity)
    n = depth ** (2 / 3) * np.sqrt(np.maximum(slope, LEAST_SLOPE)) / velocity
    return Roughness(np.clip(n, LOWEST, HIGHEST), int((n < LOWEST).sum()), int((n > HIGHEST).sum()))


def celerity_of(estimate: Estimate) -> Float:
    """(n,) celerity, m/s.

    Raises:
        InputError: the run has none.
    """
    if "celerity" not in estimate.values:
        raise InputError("the run has no celerity, as its network has no lengths; expected one that has")
    return np.asarray(estimate.values["celerity"], np.float64)


def flow_of(estimate: Estimate) -> Float:
    """(n,) the flow at which n is found, m3/s.

    Raises:
        InputError: none is known.
    """
    if estimate.flow is None:
        raise InputError(
            "celerity becomes Manning's n at a flow, and the run has neither discharge.nc nor areas of its gauges; "
            "expected --flow, mm/day of runoff or a file of discharge"
        )
    return estimate.flow


def width_of(estimate: Estimate) -> tuple[Float, str]:
    """(n,) width of the channel in m, and where it is from: the network's, else by drainage area.

    The latter is 2.70 A^0.352 of bankfull flow, A in km2 (Bieger et al. 2015, JAWRA 51, 842-858, all regions).

    Raises:
        InputError: the network has neither.
    """
    width = estimate.attribute("width_m")
    if width is not None and (np.isfinite(width) & (width > 0)).all():
        return width, "width_m of the network"
    area = estimate.attribute("upstream_area_m2")
    if area is not None and (area > 0).any():
        area = np.where(
            area == 0, area[area > 0].min(), area
        )  # a reach without a catchment has a channel, too
    if area is None or not (np.isfinite(area) & (area > 0)).all():
        raise InputError(
            "celerity becomes Manning's n at a width, and the network has neither width_m nor upstream_area_m2 of "
            "every reach; expected one of them, or --like with a file that has widths"
        )
    return 2.70 * (area / 1e6) ** 0.352, "2.70 A^0.352 m, A the upstream area in km2 (Bieger et al. 2015)"


def slope_of(estimate: Estimate) -> Float:
    """(n,) slope of the bed.

    Raises:
        InputError: the network has none.
    """
    slope = estimate.attribute("slope")
    if slope is None or not np.isfinite(slope).all():
        raise InputError(
            "celerity becomes Manning's n at a slope, and the network has no slope of every reach; expected the "
            "attribute slope, or --like with a file that has slopes"
        )
    return slope


def said(rough: Roughness, flow_source: str, width_source: str) -> list[str]:
    """Sentences about how n was found."""
    told = [f"celerity is turned into Manning's n at one flow ({flow_source}) and width ({width_source})"]
    if rough.low or rough.high:
        told.append(
            f"n is set to {LOWEST} at {rough.low} and to {HIGHEST} at {rough.high} reaches: no n gives their celerity"
        )
    return told
