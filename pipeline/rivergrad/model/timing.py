"""Runoff error in time kept apart from celerity: a delay of the runoff of each gauge's own increment area.

Runoff that comes half a day early everywhere makes every celerity too low. The delay d_g takes that out, as the
factor of `rivergrad.model.volume` takes out volume: g is the nearest training gauge downstream of a reach. The delayed
runoff r(t − d) is interpolated by cubic convolution (Keys 1981, doi:10.1109/TASSP.1981.1163711) of four steps. It is
r itself at d = 0, exact at every whole number of steps, once differentiable in d, and keeps the volume. Between steps
it may be a little below 0 next to a peak.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from rivergrad.model.layout import TIMING, Layout

FURTHEST = 4.0
"""A delay is at most so many standard deviations of its prior."""
TAPS = (-1, 0, 1, 2)
"""Steps before the whole steps of a delay that its fraction is interpolated from."""


@dataclass(frozen=True)
class TimingModel:
    """Delays of the runoff of increment areas, whose coefficients have the standard deviation 1.

    Attributes:
        areas: increment areas, each with a delay of its own.
        sd: prior standard deviation of a delay, forcing steps.
    """

    areas: int
    sd: float

    @property
    def layout(self) -> Layout:
        """The coefficients."""
        return Layout.of({TIMING: (self.areas,)})

    @property
    def reach(self) -> int:
        """Forcing steps before and after a window that its delayed runoff may come from."""
        return math.ceil(FURTHEST * self.sd) + len(TAPS)

    def delays(self, values: Tensor) -> Tensor:
        """Delays in forcing steps, negative where runoff is to come earlier, of coefficients of any shape."""
        return FURTHEST * self.sd * torch.tanh(values / FURTHEST)

    def around(self, start: int, stop: int, steps: int) -> tuple[int, int, Tensor]:
        """What of a record `delayed` takes for the runoff of steps start..stop.

        Args:
            steps: of the record, which goes on beyond its ends as it is there.

        Returns:
            First and last step (exclusive) to read, and which of these rows make `delayed`'s `runoff`.
        """
        before, after = max(start - self.reach, 0), min(stop + self.reach, steps)
        return before, after, torch.arange(start - self.reach, stop + self.reach).clamp(0, steps - 1) - before

    def delayed(self, runoff: Tensor, values: Tensor, area: Tensor) -> Tensor:
        """Delay runoff, differentiable in the coefficients.

        Args:
            runoff: (time, reach), with `reach` steps more at either end.
            values: (area,) coefficients.
            area: (reach,) of each reach, −1 for none.

        Returns:
            (time, reach) without those steps, in the dtype of `runoff`.
        """
        delay = torch.cat([self.delays(values), values.new_zeros(1)])[torch.where(area < 0, self.areas, area)]
        whole = delay.detach().floor()
        part = delay - whole
        steps = torch.arange(self.reach, runoff.shape[0] - self.reach, device=runoff.device)
        at = steps[:, None] - whole.to(torch.int64)
        return torch.stack(
            [kernel((part - tap).abs()).to(runoff) * runoff.gather(0, at - tap) for tap in TAPS]
        ).sum(dim=0)


def kernel(distance: Tensor) -> Tensor:
    """Keys' kernel at distances from 0 to 2 steps: the weights of four neighbours, whose sum is 1."""
    near = (1.5 * distance - 2.5) * distance**2 + 1
    far = ((-0.5 * distance + 2.5) * distance - 4) * distance + 2
    return torch.where(distance <= 1, near, far)
