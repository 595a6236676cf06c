"""Runoff error kept apart from timing: a slowly varying factor on the runoff of each gauge's own increment area.

Routing conserves water, so where given runoff is a third too large no celerity can make up for it; but a fit that
only has celerities will bend them to try. The factor exp(β_g(t)) takes the volume error out: g is the nearest training
gauge downstream of a reach, β_g a broken line through knots that lie months apart, which no single flood can move.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rivercut.network import RiverNetwork
from rivergrad.model.layout import VOLUME, Layout

Float = NDArray[np.float64]
Index = NDArray[np.int64]


def increment_areas(network: RiverNetwork, reaches: Index) -> Index:
    """Which gauge's own increment area each reach lies in.

    Args:
        network: the network.
        reaches: (gauge,) reach of each gauge; of several on one reach the first counts.

    Returns:
        (reach,) position of the nearest gauge at or downstream of the reach; −1 where there is none.
    """
    area = np.full(network.n_reaches, -1, np.int64)
    area[reaches[::-1]] = np.arange(reaches.size)[::-1]
    down = network.downstream
    for i in network.order[::-1]:
        if area[i] < 0 and down[i] >= 0:
            area[i] = area[down[i]]
    return area


@dataclass(frozen=True)
class VolumeModel:
    """Broken lines β through equidistant knots, constant before the first and after the last.

    Attributes:
        areas: increment areas, each with a line of its own.
        first, last: steps of the record at which the first and last knots stand.
        knots: how many, at least 1 (a constant).
        sd: standard deviation of the Gaussian prior of every β, about 0 (of ln of the factor).
    """

    areas: int
    first: int
    last: int
    knots: int
    sd: float

    @property
    def layout(self) -> Layout:
        """The numbers β."""
        return Layout.of({VOLUME: (self.areas, self.knots)})

    def weights(self, steps: Tensor) -> Tensor:
        """(step, knot) weights by which β at these steps of the record is made of its knots."""
        if self.knots == 1:
            return steps.new_ones(steps.numel(), 1, dtype=torch.float64)
        spacing = (self.last - self.first) / (self.knots - 1)
        at = ((steps.to(torch.float64) - self.first) / spacing).clamp(0, self.knots - 1)
        return (
            1 - (at[:, None] - torch.arange(self.knots, dtype=torch.float64, device=steps.device)).abs()
        ).clamp_min(0)

    def factor(self, values: Tensor, area: Tensor, start: int, stop: int) -> Tensor:
        """Factors on the runoff of steps start..stop.

        Args:
            values: (area, knot) β.
            area: (reach,) of each reach, −1 for none.
            start, stop: steps of the record.

        Returns:
            (time, reach), 1 where there is no area.
        """
        lines = self.weights(torch.arange(start, stop, device=values.device)) @ values.T
        lines = torch.cat([lines, lines.new_zeros(stop - start, 1)], dim=1)
        return torch.exp(lines)[:, torch.where(area < 0, self.areas, area)]


def make_volume(areas: int, first: int, last: int, spacing: float, sd: float) -> VolumeModel:
    """Lines with knots about `spacing` steps apart over steps first..last."""
    knots = max(1, round((last - first) / spacing) + 1) if spacing < last - first else 1
    return VolumeModel(areas, first, last, knots, sd)
