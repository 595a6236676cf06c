"""A scheme the user registers: a function of (parameters, times)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from rivergrad.errors import InputError, ids_text
from rivergrad.routing.schemes.base import Moments, Parameter, Parameters, Scheme

if TYPE_CHECKING:
    import torch
    from torch import Tensor
else:
    from rivergrad.later import torch

ResponseFunction: TypeAlias = "Callable[[Mapping[str, Tensor], Tensor], Tensor]"
CelerityFunction: TypeAlias = "Callable[[Tensor, Tensor | None, Tensor], dict[str, Tensor]]"

OUTSIDE_STEPS, OUTSIDE_REACHES = 64, 1 << 16
"""How many routing steps of a response are looked at for negative shares, and of how many reaches at once."""


@dataclass(frozen=True)
class CustomScheme(Scheme):
    """A scheme given by its impulse response.

    Attributes:
        name: the name under which it is registered.
        parameters: what it needs per reach.
        function: `(parameters, times) -> h`; parameters each (reach, 1), times (steps,) the starts nδ of the
            routing steps in seconds, two at least, so that times[1] is δ; returns (reach, steps), the share of
            an inflow that leaves in each step, whatever the number of steps asked for.
        conserves_mass: the shares of every reach sum to one (over a long enough time).
        celerity: how celerity, spreading and length become its parameters, if it is to be estimated.
    """

    name: str
    parameters: tuple[Parameter, ...]
    function: ResponseFunction
    conserves_mass: bool = True
    spreading: Parameter | None = None
    celerity: CelerityFunction | None = None

    def response(self, parameters: Parameters, step: float, steps: int) -> Tensor:
        columns = {name: value[:, None] for name, value in parameters.items()}
        reference = next(iter(columns.values()))
        times = step * torch.arange(max(steps, 2), dtype=reference.dtype, device=reference.device)
        h = self.function(columns, times)
        expected = (reference.shape[0], len(times))
        if tuple(h.shape) != expected:
            raise InputError(
                f"scheme {self.name}: its function returned shape {tuple(h.shape)}, expected {expected}"
            )
        return h[:, :steps]

    def moments(self, parameters: Parameters, step: float) -> Moments:
        """Measured on the response itself, which is lengthened until its tail is empty."""
        steps = 64
        while True:
            h = self.response(parameters, step, steps).abs()
            if not bool((finite := torch.isfinite(h).all(dim=1)).all()):
                at = torch.nonzero(~finite)[:, 0].tolist()
                raise InputError(
                    f"scheme {self.name}: its function returned a response that is not finite for the reaches in rows "
                    f"{ids_text(at)}; expected finite numbers"
                )
            total = h.sum(dim=1).clamp_min(1e-300)
            tail = h[:, steps // 2 :].sum(dim=1) / total
            if float(tail.max()) < 1e-9 or steps >= 1 << 14:
                break
            steps *= 2
        n = torch.arange(steps, dtype=h.dtype, device=h.device)
        mean = (h * n).sum(dim=1) / total
        variance = (h * (n - mean[:, None]) ** 2).sum(dim=1) / total
        deviation = torch.sqrt(variance)
        return Moments(mean * step, deviation * step, deviation * step)

    def outside(self, parameters: Parameters, step: float) -> Tensor:
        """Looked for in the first steps of the response itself."""
        found = []
        for rows in torch.arange(len(next(iter(parameters.values())))).split(OUTSIDE_REACHES):
            h = self.response({name: value[rows] for name, value in parameters.items()}, step, OUTSIDE_STEPS)
            found.append((h < -1e-9).any(dim=1))
        return torch.cat(found) if found else super().outside(parameters, step)

    def from_celerity(self, celerity: Tensor, spreading: Tensor | None, length: Tensor) -> dict[str, Tensor]:
        if self.celerity is None:
            return super().from_celerity(celerity, spreading, length)
        return self.celerity(celerity, spreading, length)
