"""Responses of schemes that are no recurrences: sampled as long as they last, transformed by matrix products.

z^-n at point (f, a) is that of frequency f times that of alias a, and of the latter only what n leaves over whole
forcing steps matters. So S short sums over the forcing steps of a response, one for each routing step of them, are
followed by a product with an S × S matrix; both are in float64, as what is tabulated is 1 − H to its last digit, and
both ways: the adjoint of a product is a product. Lengths differ by two decades between reaches; those of similar ones
are worked on together.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from rivergrad.routing.closure.fused import kernels
from rivergrad.routing.closure.fused.points import Points, Tiling
from rivergrad.routing.closure.fused.sweeps import Net, Tabulated, words
from rivergrad.routing.schemes.base import Scheme

SHORTEST, LONGER = 64, 4
"""Routing steps of the shortest class of responses, and how much longer those of the next are."""
MOST_STEPS = 1 << 15
"""Responses are cut after so many routing steps, with a warning."""
LEFT, ROUNDING = 1e-14, 2.0**-53
"""Share of a unit input that may leave later, and how much more for each step, as sums are rounded. So little, since a
diffusivity hardly changes what is seen at the frequencies of long paths, while what is cut is seen at all of them:
7e-13 of 3,000 equal reaches spoilt its gradient by 5e-6."""
ALMOST = 1e-9
"""Shares that sum to one but for so much do so: what is missing may be the rounding of whoever wrote the scheme."""
WORK_BYTES = 1 << 30
"""Temporary memory, at most about."""
VALUES = 40
"""Numbers that a function of (parameters, times) and its gradient take for each of its values, about."""


@dataclass(frozen=True)
class Lengths:
    """Responses by length.

    Attributes:
        reaches: of each class, int64.
        steps: routing steps of each class, whole forcing steps.
        missing: largest share of a reach's water that leaves later.
    """

    reaches: list[Tensor]
    steps: list[int]
    missing: float

    @property
    def bounds(self) -> list[int]:
        """Where each class begins among the reaches of all, and the end."""
        found = [0]
        for reaches in self.reaches:
            found.append(found[-1] + reaches.numel())
        return found


def sample(
    scheme: Scheme, parameters: dict[str, Tensor], step: float, ratio: int, most: int
) -> tuple[Lengths, list[Tensor]]:
    """Responses, made longer until hardly anything of a unit input is left; no gradients.

    Args:
        most: forcing steps at most.

    Returns:
        how long they are, and (reach, steps) float64 of each class.
    """
    limit = min(most, max(1, MOST_STEPS // ratio)) * ratio
    steps = min(limit, -(-SHORTEST // ratio) * ratio)
    here = dict(parameters)
    rest = torch.arange(next(iter(here.values())).shape[0], device=next(iter(here.values())).device)
    reaches, lengths, responses = [], [], []
    while True:
        response = _in_pieces(scheme, here, step, steps)
        left = _left(response, scheme.conserves_mass)
        allowed = LEFT + ROUNDING * steps
        going = torch.nonzero(left > allowed)[:, 0] if steps < limit else rest[:0]
        if going.numel() < rest.numel():
            lengths.append(steps)
            if going.numel():
                done = torch.nonzero(left <= allowed)[:, 0]
                rest_done, response = rest[done], response[done]
            else:
                rest_done = rest
            reaches.append(rest_done)
            responses.append(response)
        if not going.numel():
            return Lengths(reaches, lengths, float(left.max())), responses
        here = {name: value[going] for name, value in here.items()}
        rest, steps = rest[going], min(limit, LONGER * steps)


def _left(response: Tensor, conserves_mass: bool) -> Tensor:
    """Share of a unit input that leaves after the last step, or about that: as much as in the last half of them."""
    total = response.sum(dim=1)
    if conserves_mass:
        left = (1 - total).abs()
        late = response[:, response.shape[1] // 2 :].abs().sum(dim=1)
        return torch.where(left < ALMOST, torch.minimum(left, late), left)
    size = response.abs()
    total, late = size.sum(dim=1), size[:, size.shape[1] // 2 :].sum(dim=1)
    return torch.where(total > 0, late / total, 1.0)  # nothing yet: it may begin late


def _pieces(count: int, each: int) -> list[tuple[int, int]]:
    """Runs that take no more than the temporary memory, `each` bytes for one."""
    size = max(1, WORK_BYTES // each)
    return [(a, min(a + size, count)) for a in range(0, count, size)]


def _in_pieces(scheme: Scheme, parameters: dict[str, Tensor], step: float, steps: int) -> Tensor:
    count = next(iter(parameters.values())).shape[0]
    found = [
        scheme.response({name: value[a:b] for name, value in parameters.items()}, step, steps)
        for a, b in _pieces(count, 8 * VALUES * steps)
    ]
    return found[0] if len(found) == 1 else torch.cat(found)


class _Responses(torch.autograd.Function):
    """Responses that are known, and their gradient: they are computed again there, a class at a time."""

    @staticmethod
    def forward(
        ctx: Any,
        scheme: Scheme,
        step: float,
        ratio: int,
        lengths: Lengths,
        found: list[Tensor],
        names: Sequence[str],
        *values: Tensor,
    ) -> tuple[Tensor, ...]:
        ctx.known = scheme, step, lengths, names
        ctx.save_for_backward(*values)
        return tuple(h.view(h.shape[0], -1, ratio).permute(2, 1, 0).contiguous() for h in found)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        scheme, step, lengths, names = ctx.known
        values = ctx.saved_tensors
        out = [torch.zeros_like(value) for value in values]
        for reaches, steps, grad in zip(lengths.reaches, lengths.steps, grads, strict=True):
            for a, b in _pieces(reaches.numel(), 8 * VALUES * steps):
                here = reaches[a:b]
                leaves = [value[here].requires_grad_() for value in values]
                with torch.enable_grad():
                    response = scheme.response(dict(zip(names, leaves, strict=True)), step, steps)
                wanted = grad[..., a:b].permute(2, 1, 0).reshape(b - a, steps)
                parts = torch.autograd.grad(response, leaves, wanted, allow_unused=True)
                for total, part in zip(out, parts, strict=True):
                    if part is not None:
                        total[here] = part
        return None, None, None, None, None, None, *out


def differentiable(
    scheme: Scheme,
    parameters: dict[str, Tensor],
    step: float,
    ratio: int,
    lengths: Lengths,
    found: list[Tensor],
) -> tuple[Tensor, ...]:
    """Responses that `sample` found, as functions of the parameters: (routing step, forcing step, reach) each."""
    known: tuple[Tensor, ...] = _Responses.apply(
        scheme, step, ratio, lengths, found, tuple(parameters), *parameters.values()
    )
    return known


@dataclass(frozen=True)
class Sampled:
    """The source of tables for the sweeps; its tensors are responses, (routing step, forcing step, reach) a class."""

    lengths: Lengths
    _rows: dict[Net, Tensor] = field(default_factory=dict, repr=False, compare=False)

    def tile_bytes(self, net: Net, tiling: Tiling) -> int:
        return net.n_slots * tiling.groups * tiling.points * 8

    def work_bytes(self, table_bytes: int, gradient: bool) -> int:
        """Responses, their gradients, and what is temporary."""
        kept = 8 * sum(r.numel() * s for r, s in zip(self.lengths.reaches, self.lengths.steps, strict=True))
        return min(WORK_BYTES, max(VALUES * kept, 4 * table_bytes)) + kept * (2 if gradient else 1)

    def transfer(
        self, net: Net, values: Sequence[Tensor], points: Points, tiling: Tiling, first: int, last: int
    ) -> Tabulated:
        size = tiling.groups * tiling.points
        table = torch.empty(net.n_slots, last - first, size, dtype=torch.complex64, device=net.device)
        to = words(table)
        for rows, short, classes in self._parts(net, points, tiling, first, last):
            for number, waves, here, there in classes:
                torch.bmm(waves, values[number][..., here], out=short[..., there])
            found = points.aliases @ short.view(points.aliases.shape[0], -1)
            _run(kernels.pack_table, found, rows, to, points, tiling, first, last)
        return Tabulated(table)

    def gradients(
        self,
        net: Net,
        values: Sequence[Tensor],
        points: Points,
        tiling: Tiling,
        first: int,
        last: int,
        found: Tensor,
    ) -> list[Tensor]:
        out = [torch.empty_like(value) for value in values]
        for rows, short, classes in self._parts(net, points, tiling, first, last):
            flat = short.view(points.aliases.shape[0], -1)
            wanted = torch.empty_like(flat)
            _run(kernels.unpack_table, wanted, rows, words(found), points, tiling, first, last)
            torch.mm(points.aliases.T, wanted, out=flat)
            for number, waves, here, there in classes:
                torch.bmm(waves.transpose(1, 2), short[..., there], out=out[number][..., here])
        return out

    def _parts(
        self, net: Net, points: Points, tiling: Tiling, first: int, last: int
    ) -> Iterator[tuple[Tensor, Tensor, list[tuple[int, Tensor, slice, slice]]]]:
        """Runs of reaches, class after class.

        Yields:
            rows of a table; room for (routing step, part and frequency, reach); and of each class that has some of
            them its number, what transforms it, which of its own reaches these are, and which of the run's.
        """
        if net not in self._rows:
            self._rows[net] = net.place[torch.cat(self.lengths.reaches)]
        rows, bounds = self._rows[net], self.lengths.bounds
        frequencies = (last - first) * tiling.frequencies
        for a, b in _pieces(rows.numel(), 2 * 16 * points.ratio * frequencies):
            short = torch.empty(points.ratio, 2 * frequencies, b - a, dtype=torch.float64, device=net.device)
            classes = []
            for number, (begin, end) in enumerate(pairwise(bounds)):
                low, high = max(a, begin), min(b, end)
                if low < high:
                    waves = points.waves(self.lengths.steps[number] // points.ratio, tiling, first, last)
                    classes.append(
                        (number, waves, slice(low - begin, high - begin), slice(low - a, high - a))
                    )
            yield rows[a:b], short, classes


def _run(
    kernel: Any,
    values: Tensor,
    rows: Tensor,
    table: Tensor,
    points: Points,
    tiling: Tiling,
    first: int,
    last: int,
) -> None:
    """From or to transfer functions (part, alias · frequency · reach), to or from rows of a table's words."""
    bands, aliases = last - first, tiling.groups * tiling.aliases
    reaches = max(16, 1024 // tiling.frequencies)
    kernel[(-(-rows.numel() // reaches), bands, aliases)](
        values, rows, table,
        rows.numel(), points.n_freq, first * tiling.frequencies, bands, table.shape[1] // bands,
        ALIASES=aliases, BF=tiling.frequencies, RATIO=points.ratio, BR=reaches, num_warps=4,
    )  # fmt: skip
