"""Which reaches are lakes, and what is known of their residence times before any gauge has been looked at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rivercut.network import RiverNetwork
from rivergrad.errors import InputError, ids_text
from rivergrad.model.priors import CELERITY

Float = NDArray[np.float64]
Mask = NDArray[np.bool_]

IS_LAKE = "is_lake"
AREA = ("lake_area_m2", "lake_area")
VOLUME = ("lake_volume_m3", "lake_volume")
"""Attributes of a network, in SI, by their names."""

AREA_SLOPE, AREA_LEVEL = 1.204, -0.629
"""log10 V = 1.204 log10 A − 0.629, A in m², V in m³ (Cael, Heathcote & Seekell 2017, doi:10.1002/2016GL071378)."""
DEFAULT = 456 * 86400.0
"""The median residence time of the world's lakes, s (Messager et al. 2016, doi:10.1038/ncomms13603)."""
SD = {"volume": 1.0, "area": 1.5, "default": 2.0}
"""Standard deviation of ln T by what T is from: our own choice. Wide, since T of routing is that of the part of a lake
that rises and falls: volume over mean flow is an upper end of it."""
SOURCES = ("", "volume", "area", "default", "zero length")
"""What a residence time is from, by its number in `Lakes.source`."""
FARTHEST = 8.0
"""How far ln T may go from its prior: a factor of 3,000."""


@dataclass(frozen=True, eq=False)
class Lakes:
    """The lakes of a network or of a piece of it, and reaches that water passes through.

    Attributes:
        time: (reach,) prior median of the residence time, s; 0 at reaches of zero length; NaN at channels.
        sd: (reach,) prior standard deviation of its logarithm; NaN where there is no lake.
        source: (reach,) see `SOURCES`.
    """

    time: Float
    sd: Float
    source: NDArray[np.int8]

    @property
    def stored(self) -> Mask:
        """(reach,) where there is a lake, whose residence time is estimated."""
        return ~np.isnan(self.sd)

    @property
    def apart(self) -> Mask:
        """(reach,) where there is no channel."""
        return ~np.isnan(self.time)

    def counts(self) -> dict[str, int]:
        """How many lakes there are by what their residence time is from, and reaches that pass water through."""
        return {SOURCES[i]: int((self.source == i).sum()) for i in range(1, len(SOURCES))}

    def select(self, reaches: NDArray[np.int64]) -> Lakes:
        """Those of some reaches."""
        return Lakes(self.time[reaches], self.sd[reaches], self.source[reaches])

    def own_sd(self) -> Float:
        """(reach,) prior standard deviation of deviations that stand apart, see `TreePrior.own`."""
        return np.where(self.stored, self.sd, np.where(self.apart, 1.0, np.nan))

    def shrinking(self) -> Float:
        """(reach,) factor on deviations in a penalty that is made for celerities: 1 at channels."""
        return np.where(self.stored, CELERITY.sd / np.where(self.stored, self.sd, 1.0), 1.0)

    def residence(self, deviation: Tensor) -> Tensor:
        """T = T₀ exp(u), u within ±`FARTHEST`, (reach,) s, differentiable; NaN at channels.

        Args:
            deviation: (reach,) of ln T from the prior's median, where there is a lake.
        """
        time = torch.from_numpy(self.time).to(deviation)
        lake = torch.from_numpy(self.stored).to(deviation.device)
        u = torch.where(lake, deviation, torch.zeros_like(deviation))
        return torch.where(lake, time * torch.exp(FARTHEST * torch.tanh(u / FARTHEST)), time)


def marked(network: RiverNetwork) -> Mask:
    """(reach,) which reaches an attribute says are lakes: `is_lake` true, or an area or a volume above 0.

    Raises:
        InputError: a negative area or volume.
    """
    found = np.zeros(network.n_reaches, np.bool_)
    if IS_LAKE in network.attributes:
        found |= np.nan_to_num(np.asarray(network.attributes[IS_LAKE], np.float64)) > 0
    for names in (AREA, VOLUME):
        found |= np.nan_to_num(_size(network, names)) > 0
    return found


def _size(network: RiverNetwork, names: tuple[str, ...]) -> Float:
    for name in names:
        if name in network.attributes:
            values = np.asarray(network.attributes[name], np.float64)
            if (bad := np.flatnonzero(values < 0)).size:
                raise InputError(
                    f"attribute {name} of reach ids {ids_text(network.reach_id[bad])} is {values[bad[0]]:g}; "
                    "expected 0 or more"
                )
            return values
    return np.full(network.n_reaches, np.nan)


def has_lakes(network: RiverNetwork, which: str) -> bool:
    """Whether a network needs a scheme with lakes: for lakes (`which` is not `none`) or reaches of zero length."""
    through = network.length is not None and bool((network.length == 0).any())
    return through or (which != "none" and bool(marked(network).any()))


def lakes_of(
    network: RiverNetwork, which: str, mean_flow: Float | None, default: float, sd: float | None
) -> Lakes | None:
    """Residence times before observations: volume over mean flow, else volume from area, else a default.

    Args:
        network: with the attributes that say which reaches are lakes.
        which: `auto`; `terminal`, lakes may end a river; or `none`.
        mean_flow: (reach,) m³/s; None where it is not known.
        default: s, where neither a volume nor an area tells.
        sd: of ln T, in place of `SD`.

    Returns:
        None for a network without lakes and reaches of zero length.

    Raises:
        InputError: a negative area or volume, or a lake that ends a river without `terminal`.
    """
    if not has_lakes(network, which):
        return None
    n = network.n_reaches
    lake = marked(network) if which != "none" else np.zeros(n, np.bool_)
    last = np.flatnonzero(lake & (network.downstream < 0))
    if last.size and which != "terminal":
        raise InputError(
            f"lakes of reach ids {ids_text(network.reach_id[last])} have no outlet: nothing is downstream of them; "
            "expected a reach there, or terminal for lakes that end a river",
            key="scheme.lakes",
        )
    area, volume = _size(network, AREA), _size(network, VOLUME)
    source = np.where(volume > 0, 1, np.where(area > 0, 2, 3))
    with np.errstate(divide="ignore", invalid="ignore"):
        volume = np.where(volume > 0, volume, 10**AREA_LEVEL * area**AREA_SLOPE)
        time = volume / (np.full(n, np.nan) if mean_flow is None else mean_flow)
    known = np.isfinite(time) & (time > 0)
    source = np.where(known, source, 3)
    time = np.where(known, time, default)
    each = np.array([np.nan, *SD.values()])[source] if sd is None else np.full(n, sd)
    none = np.asarray(network.length) == 0 if network.length is not None else np.zeros(n, np.bool_)
    through = none & ~lake
    return Lakes(
        time=np.where(lake, time, np.where(through, 0.0, np.nan)),
        sd=np.where(lake, each, np.nan),
        source=np.where(lake, source, np.where(through, 4, 0)).astype(np.int8),
    )


def without_lakes(attributes: Mapping[str, NDArray[Any]], lakes: Lakes | None) -> Mapping[str, NDArray[Any]]:
    """Attributes that are missing at lakes: features of channels are of channels alone."""
    if lakes is None:
        return attributes
    return {
        name: np.where(lakes.apart, np.nan, np.asarray(values, np.float64))
        for name, values in attributes.items()
    }
