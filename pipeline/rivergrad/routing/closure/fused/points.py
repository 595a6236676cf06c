"""The frequencies at which a part is routed, and how they lie in tiles."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor

from rivergrad.routing.closure.contour import CPU, Contour

POINTS = 512
"""A tile: at most so many points, of which a lane of the warp has 16."""
LARGEST_SETS, LEAST_FREQUENCIES = 3, 8


@dataclass(frozen=True)
class Tiling:
    """Points that one warp takes at a time: aliases × forcing-step frequencies of one series.

    Attributes:
        aliases: of a tensor in the kernels, a power of two.
        sets: tensors held at once.
        passes: taken one after the other, until all aliases have been.
        frequencies: of a tile.
        ratio: routing steps of a forcing step: aliases that there are.
    """

    aliases: int
    sets: int
    passes: int
    frequencies: int
    ratio: int

    @classmethod
    def of(cls, ratio: int) -> Tiling:
        """Few aliases that are none, then few passes, then few tensors."""
        found = []
        for sets in range(1, LARGEST_SETS + 1):
            most = 1 << ((POINTS // sets).bit_length() - 1)
            for aliases in (1 << k for k in range((most // LEAST_FREQUENCIES).bit_length())):
                passes = -(-ratio // (sets * aliases))
                found.append((passes * sets * aliases, passes, sets, aliases, min(256, most // aliases)))
        _, passes, sets, aliases, frequencies = min(found)
        return cls(aliases, sets, passes, frequencies, ratio)

    @property
    def groups(self) -> int:
        """Tensors in all."""
        return self.sets * self.passes

    @property
    def padded(self) -> bool:
        """Whether some aliases are none."""
        return self.groups * self.aliases > self.ratio

    @property
    def points(self) -> int:
        """Of a tensor."""
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
    _waves: dict[tuple[int, int, int], Tensor] = field(default_factory=dict, repr=False, compare=False)

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
        kind = torch.complex64 if values.is_complex() else torch.float32
        return values.to(kind).view(self.ratio, self.n_freq)

    @property
    def _half_angle(self) -> Tensor:
        alias = torch.arange(self.ratio, device=self.device, dtype=torch.float64)
        frequency = torch.arange(self.n_freq, device=self.device, dtype=torch.float64)
        return (alias[:, None] * self.length + frequency) * (torch.pi / self.bins)

    @cached_property
    def inverse(self) -> tuple[Tensor, Tensor]:
        """Of 1 / d for d = 1 - 1/z the two numbers that `kernels._section` takes: small d to their last digit.

        On the unit circle 1 / sin² and the cotangent of half the angle; at no frequency at all, where they have no
        end, numbers so large that nothing is left of what the reach takes away.
        """
        if self.unit:
            half = self._half_angle
            half[0, 0] = 2.0**-30
            return self._table(1 / torch.sin(half) ** 2), self._table(1 / torch.tan(half))
        inverse = 1 / (1 - 1 / self.contour.z)
        return self._table(inverse.real), self._table(inverse.imag)

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
    def gain(self) -> Tensor:
        """Those weights where they are real: at each frequency this times `inverse[0]`, whatever the alias."""
        hold = (self.contour.hold * self._gain).real.view(self.ratio, self.n_freq)[0]
        return (hold / self.inverse[0][0]).to(torch.float32)

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

    def waves(self, blocks: int, tiling: Tiling, first: int, last: int) -> Tensor:
        """What turns series of `blocks` forcing steps into their values at the points, but for `aliases`; float64.

        Returns:
            (routing step s, part · frequency, forcing step d): z^-(dS + s) at the frequencies of tiles first to last,
            its real and its imaginary part.
        """
        key = blocks, first, last
        if key not in self._waves:
            if len(self._waves) > 64:
                self._waves.clear()
            frequency = torch.arange(
                first * tiling.frequencies, last * tiling.frequencies, device=self.device
            )
            step = torch.arange(blocks * self.ratio, device=self.device).view(blocks, self.ratio).T
            turn = torch.remainder(frequency[:, None] * step[:, None, :], self.bins).to(torch.float64)
            angle = turn * (-2 * torch.pi / self.bins)
            size = torch.exp(-self.contour.log_radius * step.to(torch.float64))
            wave = torch.polar(size[:, None, :].expand_as(angle), angle)
            self._waves[key] = torch.cat([wave.real, wave.imag], dim=1).contiguous()
        return self._waves[key]

    @cached_property
    def aliases(self) -> Tensor:
        """The rest of z^-(dS + s), (part · alias, s · part): what the alias turns that by, whatever the frequency."""
        number = torch.arange(self.ratio, device=self.device)
        turn = torch.remainder(number[:, None] * number, self.ratio).to(torch.float64)
        real, imag = (
            torch.cos(turn * (2 * torch.pi / self.ratio)),
            torch.sin(turn * (-2 * torch.pi / self.ratio)),
        )
        both = torch.stack([torch.stack([real, -imag], dim=2), torch.stack([imag, real], dim=2)])
        return both.view(2 * self.ratio, 2 * self.ratio)

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
