"""Responses of schemes that are no recurrences: sampled as long as they last, transformed by matrix products.

z^-n at point (f, a) is that of frequency f times that of alias a, and of the latter only what n leaves over whole
forcing steps matters. So S short sums over the forcing steps of a response, one for each routing step of them, are
followed by a product with an S × S matrix; both are in float64, as what is tabulated is 1 − H to its last digit, and
both ways: the adjoint of a product is a product. Lengths differ by two decades between reaches; those of similar ones
are worked on together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
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
LEAST_MISSING = 1e-13
"""Shares of water that are rounding."""
WORK_BYTES = 1 << 29
"""Temporary memory, about."""
VALUES = 40
"""Numbers that a function of (parameters, times) and its gradient take for each of its values, about."""

Respond = Callable[[dict[str, Tensor], int], Tensor]


@dataclass(frozen=True)
class Lengths:
    """Responses by length.

    Attributes:
        reaches: of each class, int64.
        steps: routing steps of each class, whole forcing steps.
        missing: largest share of a reach's water that leaves later.
        whole: whether no reach has more of that than was allowed.
    """

    reaches: list[Tensor]
    steps: list[int]
    missing: float
    whole: bool


def sample(
    scheme: Scheme, parameters: dict[str, Tensor], step: float, ratio: int, most: int, allowed: float
) -> tuple[Lengths, list[Tensor]]:
    """Responses, made longer until no more than `allowed` of a unit input is left; no gradients.

    Args:
        most: forcing steps at most.

    Returns:
        how long they are, and (reach, steps) float64 of each class.
    """
    limit = min(most, max(1, MOST_STEPS // ratio)) * ratio
    steps = min(limit, -(-SHORTEST // ratio) * ratio)
    one = next(iter(parameters.values()))
    rest = torch.arange(one.shape[0], device=one.device)
    reaches, lengths, responses = [], [], []
    while True:
        here = {name: value[rest] for name, value in parameters.items()}
        response = _in_pieces(scheme, here, step, steps)
        left = _left(response, scheme.conserves_mass)
        on = left > allowed
        going = int(on.sum()) if steps < limit else 0
        done = ~on if going else torch.ones_like(on)
        if going < rest.numel():
            reaches.append(rest[done] if going else rest)
            lengths.append(steps)
            responses.append(response[done] if going else response)
        if not going:
            missing = float(left.max())
            return Lengths(reaches, lengths, missing, missing <= allowed), responses
        rest, steps = rest[on], min(limit, LONGER * steps)


def _left(response: Tensor, conserves_mass: bool) -> Tensor:
    """Share of a unit input that leaves after the last step, or about that."""
    if conserves_mass:
        return (1 - response.sum(dim=1)).abs()
    size = response.abs()
    total, half = size.sum(dim=1), size[:, size.shape[1] // 2 :].sum(dim=1)
    return torch.where(total > 0, half / total, 1.0)  # nothing yet: it may begin late


def _pieces(count: int, each: int) -> list[slice]:
    size = max(1, WORK_BYTES // each)
    return [slice(a, a + size) for a in range(0, count, size)]


def _in_pieces(scheme: Scheme, parameters: dict[str, Tensor], step: float, steps: int) -> Tensor:
    count = next(iter(parameters.values())).shape[0]
    found = [
        scheme.response({name: value[some] for name, value in parameters.items()}, step, steps)
        for some in _pieces(count, 8 * VALUES * steps)
    ]
    return found[0] if len(found) == 1 else torch.cat(found)


class _Responses(torch.autograd.Function):
    """Responses that are known, and their gradient: they are computed again there, a class at a time."""

    @staticmethod
    def forward(
        ctx: Any,
        respond: Respond,
        lengths: Lengths,
        found: list[Tensor],
        names: Sequence[str],
        *values: Tensor,
    ) -> tuple[Tensor, ...]:
        ctx.respond, ctx.lengths, ctx.names = respond, lengths, names
        ctx.save_for_backward(*values)
        return tuple(found)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        values = ctx.saved_tensors
        out = [torch.zeros_like(value) for value in values]
        for reaches, steps, grad in zip(ctx.lengths.reaches, ctx.lengths.steps, grads, strict=True):
            for some in _pieces(reaches.numel(), 8 * VALUES * steps):
                here = reaches[some]
                leaves = [value[here].detach().requires_grad_() for value in values]
                with torch.enable_grad():
                    response = ctx.respond(dict(zip(ctx.names, leaves, strict=True)), steps)
                parts = torch.autograd.grad(response, leaves, grad[some], allow_unused=True)
                for total, part in zip(out, parts, strict=True):
                    if part is not None:
                        total[here] = part
        return None, None, None, None, *out


def differentiable(
    scheme: Scheme, parameters: dict[str, Tensor], step: float, lengths: Lengths, found: list[Tensor]
) -> tuple[Tensor, ...]:
    """Responses that `sample` found, as functions of the parameters."""
    known: tuple[Tensor, ...] = _Responses.apply(
        lambda some, steps: scheme.response(some, step, steps),
        lengths,
        found,
        tuple(parameters),
        *parameters.values(),
    )
    return known


@dataclass(frozen=True)
class Sampled:
    """The source of tables for the sweeps; the tensors are responses, a class each, (reach, routing step)."""

    lengths: Lengths

    def tile_bytes(self, net: Net, tiling: Tiling) -> int:
        return net.n_slots * tiling.groups * tiling.points * 8

    def work_bytes(self, gradient: bool) -> int:
        """Responses, their gradients, and what is temporary."""
        kept = sum(r.numel() * s for r, s in zip(self.lengths.reaches, self.lengths.steps, strict=True))
        return WORK_BYTES + 8 * kept * (2 if gradient else 1)

    def transfer(
        self, net: Net, values: Sequence[Tensor], points: Points, tiling: Tiling, first: int, last: int
    ) -> Tabulated:
        size = tiling.groups * tiling.points
        table = torch.empty(net.n_slots, last - first, size, dtype=torch.complex64, device=net.device)
        to = words(table)
        for number, some, rows in self._parts(net, points, tiling, last - first):
            response = values[number][some]
            waves, aliases = points.waves(response.shape[1] // points.ratio, tiling, first, last)
            series = response.view(rows.numel(), -1, points.ratio).permute(2, 1, 0)
            short = torch.bmm(waves, series)  # (routing step, part and frequency, reach)
            found = aliases @ short.view(aliases.shape[0], -1)
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
        for number, some, rows in self._parts(net, points, tiling, last - first):
            waves, aliases = points.waves(self.lengths.steps[number] // points.ratio, tiling, first, last)
            size = (last - first) * tiling.frequencies * rows.numel()
            wanted = torch.empty(aliases.shape[0], size, dtype=torch.float64, device=net.device)
            _run(kernels.unpack_table, wanted, rows, words(found), points, tiling, first, last)
            short = (aliases.T @ wanted).view(points.ratio, waves.shape[1], rows.numel())
            del wanted
            series = torch.bmm(waves.transpose(1, 2), short)  # (routing step, forcing step, reach)
            out[number][some] = series.permute(2, 1, 0).reshape(rows.numel(), -1)
        return out

    def _parts(
        self, net: Net, points: Points, tiling: Tiling, bands: int
    ) -> Iterator[tuple[int, slice, Tensor]]:
        """Number of a class, some of its reaches, and where these stand in a table."""
        each = 2 * 16 * points.ratio * bands * tiling.frequencies
        for number, reaches in enumerate(self.lengths.reaches):
            for some in _pieces(reaches.numel(), each):
                yield number, some, net.place[reaches[some]]


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
