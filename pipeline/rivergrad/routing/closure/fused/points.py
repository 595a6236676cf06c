"""The frequencies at which a part is routed, and how they lie in tiles."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from rivergrad.routing.closure.contour import CPU, Contour

ALIASES, POINTS = 8, 512
"""A tile: at most so many aliases, and so many points in all, of which a lane of the warp has 16."""


@dataclass(frozen=True)
class Tiling:
    """Points that one warp takes at a time: aliases × forcing-step frequencies of one series."""

    aliases: int
    frequencies: int
    ratio: int

    @classmethod
    def of(cls, ratio: int) -> Tiling:
        """Powers of two, as near to the sizes above as the ratio lets it."""
        aliases = min(ALIASES, 1 << max(0, (ratio - 1).bit_length()))
        return cls(aliases, min(256, POINTS // aliases), ratio)

    @property
    def groups(self) -> int:
        """Groups of aliases, taken one after the other."""
        return -(-self.ratio // self.aliases)

    @property
    def points(self) -> int:
        return self.aliases * self.frequencies

    def count(self, n_freq: int) -> int:
        """Tiles across the frequencies of a series. Tiles of all series at the same frequencies follow each other."""
        return -(-n_freq // self.frequencies)

    def pack(self, values: Tensor, first: int, last: int) -> Tensor:
        """(row, series, alias, frequency) -> (row, tile, group · point), tiles first to last."""
        rows, n_series, _, n_freq = values.shape
        across = self.count(n_freq)
        over = across * self.frequencies - n_freq
        padding = (0, 0, 0, over, 0, self.groups * self.aliases - self.ratio)
        padded = torch.nn.functional.pad(torch.view_as_real(values), padding)
        shape = rows, n_series, self.groups, self.aliases, across, self.frequencies, 2
        tiles = padded.view(shape).permute(0, 4, 1, 2, 3, 5, 6)
        tiles = tiles.reshape(rows, across * n_series, self.groups * self.points, 2)[:, first:last]
        return torch.view_as_complex(tiles.contiguous())

    def unpack(self, tiles: Tensor, n_series: int, n_freq: int) -> Tensor:
        """The way back, from all tiles."""
        rows, across = tiles.shape[0], self.count(n_freq)
        values = tiles.view(rows, across, n_series, self.groups, self.aliases, self.frequencies)
        values = values.permute(0, 2, 3, 4, 1, 5)
        values = values.reshape(rows, n_series, self.groups * self.aliases, across * self.frequencies)
        return values[:, :, : self.ratio, :n_freq]


@dataclass(frozen=True)
class Points:
    """Points for series of `length` forcing steps, as tables for the kernels.

    Point (a, f) is bin f + a·length, as in `Contour`. As long as nothing but runoff enters and nothing but means is
    reported, runoff is weighted once, where it enters, by what holding it over a forcing step and taking the mean
    over one do together; `plain` says that this is not so, and what flows is the discharge itself.

    Attributes:
        length: forcing steps of a transform; what is routed has to be followed by as many empty ones as responses
            are long.
        digits: damping in decades over the length, 0 for none.
        delay: routing steps by which the reported mean lags.
    """

    ratio: int
    length: int
    digits: float = 0.0
    delay: int = 0
    plain: bool = False
    device: torch.device = CPU

    @cached_property
    def contour(self) -> Contour:
        return Contour(self.ratio, self.length, padding=1, digits=self.digits, device=self.device)

    @property
    def n_freq(self) -> int:
        return self.length // 2 + 1

    @property
    def bins(self) -> int:
        return self.length * self.ratio

    @property
    def unit(self) -> bool:
        """Whether the points are on the unit circle."""
        return not self.digits

    @property
    def real(self) -> bool:
        """Whether all weights of runoff are real."""
        return not (self.plain or self.delay or self.digits)

    def _table(self, values: Tensor) -> Tensor:
        return values.to(torch.complex64).view(self.ratio, self.n_freq)

    @cached_property
    def _half_angle(self) -> Tensor:
        alias = torch.arange(self.ratio, device=self.device, dtype=torch.float64)
        frequency = torch.arange(self.n_freq, device=self.device, dtype=torch.float64)
        return (alias[:, None] * self.length + frequency) * (torch.pi / self.bins)

    @cached_property
    def d(self) -> Tensor:
        """1 − 1/z: small numbers to their last digit. On the unit circle (sin², sin) of (half the angle, the angle)."""
        if self.unit:
            half = self._half_angle
            return self._table(torch.complex(torch.sin(half) ** 2, torch.sin(2 * half)))
        return self._table(1 - 1 / self.contour.z)

    @cached_property
    def sharp(self) -> Tensor:
        """cos² of half the angle."""
        return (torch.cos(self._half_angle) ** 2).to(torch.float32)

    @cached_property
    def _gain(self) -> Tensor:
        """Weights of what leaves a reach in its mean; over the length, which the transform back leaves out."""
        return self.contour.mean * self.contour.back(self.delay) / (self.ratio * self.length)

    @cached_property
    def enter(self) -> Tensor:
        """Weights with which runoff enters."""
        hold = self.contour.hold
        return self._table(hold if self.plain else hold * self._gain)

    @cached_property
    def leave(self) -> Tensor | None:
        """Weights with which what flows counts in means; None: all are one."""
        return self._table(self._gain) if self.plain else None

    @cached_property
    def turn(self) -> tuple[Tensor, Tensor]:
        """1 − exp(−2πi k / bins) for every k, and what rounding takes from it: a thousand lags add it up."""
        angle = torch.arange(self.bins, device=self.device, dtype=torch.float64) * (2 * torch.pi / self.bins)
        exact = torch.complex(2 * torch.sin(angle / 2) ** 2, torch.sin(angle))
        rounded = exact.to(torch.complex64)
        return rounded, (exact - rounded).to(torch.complex64)

    @cached_property
    def counts(self) -> Tensor:
        """What each frequency counts in a series: it and its conjugate."""
        counts = torch.full((self.n_freq,), 2.0, device=self.device)
        counts[0] = 1
        if self.length % 2 == 0:
            counts[-1] = 1
        return counts

    @cached_property
    def undo(self) -> Tensor:
        return 1 / self.counts

    @cached_property
    def scale_in(self) -> Tensor:
        """Damping of each forcing step."""
        step = torch.arange(self.length, device=self.device, dtype=torch.float64)
        return torch.exp(-self.contour.log_radius * self.ratio * step).to(torch.float32)

    @cached_property
    def scale_out(self) -> Tensor:
        step = torch.arange(self.length, device=self.device, dtype=torch.float64)
        return torch.exp(self.contour.log_radius * self.ratio * step).to(torch.float32)
