"""The circle in the z-plane on which responses are evaluated, and the way back from it to time.

Responses of reservoirs never end, so a discrete Fourier transform over any window folds their tail back
onto their front. Evaluating the transfer functions on a circle of radius ρ > 1 instead of the unit circle
damps the response by ρ⁻ᵗ: what folds back from N steps later arrives ρᴺ times smaller, while undoing the
damping at lag t amplifies rounding by ρᵗ only. With N twice the window and ρᴺ = 10⁸ the fold is ≤ 1e-8 of the
tail beyond N (which the window's own check keeps below the tolerance) and rounding stays below 1e-11.

Source: Wedepohl & Wilcox (1973), "numerical Laplace transform"; Abate & Whitt (1992),
doi:10.1016/0167-6377(92)90050-D.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

CPU = torch.device("cpu")


@dataclass(frozen=True)
class Contour:
    """Frequencies for responses of `window` forcing steps of `ratio` routing steps each.

    The points are kept as (alias, forcing frequency): point (a, f) is bin f + a·M of the N = M·ratio bins, so
    that the sum over aliases gives the spectrum of the series sampled once a forcing step.
    """

    ratio: int
    window: int
    padding: int = 2
    digits: float = 8.0
    device: torch.device = CPU

    @property
    def forcing_bins(self) -> int:
        """M: padded length in forcing steps."""
        return self.padding * self.window

    @property
    def bins(self) -> int:
        """N: padded length in routing steps."""
        return self.forcing_bins * self.ratio

    @property
    def points(self) -> int:
        """Number of points at which responses are evaluated."""
        return self.ratio * (self.forcing_bins // 2 + 1)

    @property
    def log_radius(self) -> float:
        return self.digits * math.log(10) / self.bins

    @cached_property
    def _bin(self) -> Tensor:
        frequency = torch.arange(self.forcing_bins // 2 + 1, device=self.device)
        alias = torch.arange(self.ratio, device=self.device) * self.forcing_bins
        return (alias[:, None] + frequency).flatten()

    def back(self, steps: float = 1.0) -> Tensor:
        """z⁻ˢ at every point: the transfer function of a delay of s routing steps. (points,) complex128."""
        angle = self._bin.to(torch.float64) * (2 * math.pi / self.bins)
        # reduce the angle before multiplying, so that it stays exact for long delays
        turn = torch.remainder(-angle * steps, 2 * math.pi)
        return torch.polar(torch.full_like(turn, math.exp(-self.log_radius * steps)), turn)

    @cached_property
    def z(self) -> Tensor:
        """The points themselves."""
        return self.back(-1.0)

    @cached_property
    def hold(self) -> Tensor:
        """Transfer function of holding a forcing-step value over its routing steps: Σ_{s<S} z⁻ˢ."""
        return torch.stack([self.back(s) for s in range(self.ratio)]).sum(dim=0)

    @cached_property
    def mean(self) -> Tensor:
        """Transfer function of the mean over a forcing step, taken at its start: Σ_{s<S} zˢ / S."""
        return torch.stack([self.back(-s) for s in range(self.ratio)]).mean(dim=0)

    @cached_property
    def _half(self) -> tuple[Tensor, Tensor]:
        """For bins 0..N/2: where each stands among the points, and whether as its conjugate."""
        bins = torch.arange(self.bins // 2 + 1, device=self.device)
        mirrored = torch.remainder(bins, self.forcing_bins) > self.forcing_bins // 2
        bins = torch.where(mirrored, self.bins - bins, bins)
        alias = bins // self.forcing_bins
        return alias * (self.forcing_bins // 2 + 1) + torch.remainder(bins, self.forcing_bins), mirrored

    def spectrum(self, response: Tensor) -> Tensor:
        """Values at the points of responses given in time, (row, ≤ N) -> (row, points)."""
        time = torch.arange(response.shape[-1], device=response.device, dtype=torch.float64)
        damped = response * torch.exp(-self.log_radius * time)
        half = torch.fft.rfft(damped, self.bins)
        full = torch.cat([half, half[..., 1 : (self.bins + 1) // 2].flip(-1).conj()], dim=-1)
        return full[..., self._bin]

    def to_routing(self, values: Tensor) -> Tensor:
        """Series at the routing step from values at the points: (row, points) -> (row, N)."""
        where, mirrored = self._half
        half = values[..., where]
        half = torch.where(mirrored, half.conj(), half)
        time = torch.arange(self.bins, device=values.device, dtype=torch.float64)
        return torch.fft.irfft(half, self.bins) * torch.exp(self.log_radius * time)

    def to_forcing(self, values: Tensor, weight: Tensor) -> Tensor:
        """The series (weight · values) at the start of each forcing step: (row, points) -> (row, M)."""
        aliases = values.reshape(values.shape[0], self.ratio, -1)
        folded = (aliases * (weight / self.ratio).reshape(self.ratio, -1)).sum(dim=1)
        time = torch.arange(self.forcing_bins, device=values.device, dtype=torch.float64)
        return torch.fft.irfft(folded, self.forcing_bins) * torch.exp(self.log_radius * self.ratio * time)
