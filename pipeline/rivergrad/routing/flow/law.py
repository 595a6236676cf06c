"""Celerity that depends on flow: c = c₀ (Q/Q₀)^m.

Q₀ is the reach's mean flow, c₀ its celerity there and Q its mean discharge over an interval (a forcing step, or a day
of shorter ones), from the round of routing before.

Sources: Manning's equation gives m = 0.4 for a wide channel of fixed width, as c = 5/3 v and v ~ Q^0.4 (Chow 1959,
Open-Channel Hydraulics); at a station of a natural river v ~ Q^0.34 in the mean (Leopold & Maddock 1953, USGS
Professional Paper 252).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rivergrad.errors import InputError, ids_text
from rivergrad.routing.flow.names import EXPONENT, NO_REFERENCE, REFERENCE, ROUNDS, without_law
from rivergrad.routing.recurrence.varying import LawRecurrence, VaryingRecurrence
from rivergrad.routing.schemes.base import Parameters, Scheme

LEAST, MOST = 0.01, 100.0
"""Q/Q₀ is clamped to this range: beyond it celerity stays what it is at its end."""

LOWER, UPPER = 0.0, 1.0
"""Admissible m. Water that runs faster the less there is of it (m < 0) is no river's law."""

DAY = 86400.0


@dataclass(frozen=True)
class Rounds:
    """How a celerity that depends on flow is computed.

    Round 0 is the linear sweep at c₀. Each further round is a linear sweep whose coefficients change between
    intervals, from the discharge of the round before.

    Attributes:
        rounds: after round 0.
        interval: s over which coefficients are constant; None for a day, or a forcing step where that is longer.
        gradient_rounds: of the last rounds, how many the gradient goes through; discharge before those is taken as
            given. `rounds` + 1 is the whole derivative.
        damping: of the way from the flow that a round took to the one it gave, how much the next round goes. 1 is all
            of it; less where rounds wander about what they converge to, which stays the same.

    Raises:
        InputError: fewer than one round, more gradient rounds than there are, or a damping that is no share.
    """

    rounds: int = ROUNDS
    interval: float | None = None
    gradient_rounds: int = 1
    damping: float = 1.0

    def __post_init__(self) -> None:
        if self.rounds < 1:
            raise InputError("expected 1 or more", key="flow rounds", found=self.rounds)
        if not 1 <= self.gradient_rounds <= self.rounds + 1:
            raise InputError(
                f"expected 1 to {self.rounds + 1}", key="flow gradient rounds", found=self.gradient_rounds
            )

        if not 0 < self.damping <= 1:
            raise InputError("expected above 0 and up to 1", key="flow damping", found=self.damping)

    def next_flow(self, taken: Tensor | None, given: Tensor) -> Tensor:
        """What the next round takes, of what the last one took (None: round 0, which took none) and gave."""
        return given if taken is None or self.damping == 1 else torch.lerp(taken, given, self.damping)

    def hold(self, forcing_step: float) -> int:
        """Forcing steps of an interval.

        Raises:
            InputError: the interval is not a multiple of the forcing step.
        """
        wanted = max(DAY, forcing_step) if self.interval is None else self.interval
        if self.interval is None:
            return max(1, math.floor(wanted / forcing_step + 1e-9))
        steps = round(wanted / forcing_step)
        if steps < 1 or abs(steps * forcing_step - wanted) > 1e-6 * wanted:
            raise InputError(
                f"expected a multiple of the forcing step of {forcing_step:g} s",
                key="flow interval",
                found=f"{wanted:g} s",
            )
        return steps


def refuse(scheme: Scheme) -> str | None:
    """Why a scheme has no celerity that depends on flow; None where it has."""
    if getattr(scheme, "convention", "standard") != "standard":
        return (
            f"flow_exponent: not with the convention {getattr(scheme, 'convention', '')}; expected standard"
        )
    parameters = {p.name: torch.tensor([p.default], dtype=torch.float64) for p in scheme.parameters}
    one = torch.ones(1, dtype=torch.float64)
    found = scheme.faster(parameters, one, 3600.0)
    if found is None or scheme.recurrence(found, 3600.0) is None:
        return (
            f"flow_exponent: scheme {scheme.name} has no sweep with coefficients by forcing step; expected "
            "muskingum, linear_storage or nash_cascade"
        )
    return None


def check_law(exponent: Tensor, reference: Tensor, reach_ids: NDArray[np.int64]) -> None:
    """Raise an InputError that names reaches unless m is within its range and Q₀ is above 0, one each a reach."""
    for name, value, good, expected in (
        (EXPONENT, exponent, (exponent >= LOWER) & (exponent <= UPPER), f"{LOWER:g} to {UPPER:g}"),
        (REFERENCE, reference, (reference > 0) & torch.isfinite(reference), "above 0 m3/s"),
    ):
        if tuple(value.shape) != (reach_ids.size,):
            raise InputError(
                f"expected one value a reach ({reach_ids.size})",
                key=name,
                found=f"shape {tuple(value.shape)}",
            )
        if not bool(good.all()):
            where = torch.nonzero(~good)[:, 0].tolist()
            ids = ids_text([int(reach_ids[i]) for i in where])
            raise InputError(
                f"{name}: expected {expected}, found {float(value[where[0]]):g} (reach ids {ids})"
            )


def with_law(
    parameters: Parameters,
    exponent: Tensor | float | None,
    reference: Tensor | float | None,
    n_reaches: int,
) -> Parameters:
    """Parameters with m and Q₀ among them, (reach,) each, unless m is 0 everywhere and no gradient of it is wanted.

    Args:
        exponent, reference: one number, or (..., reach); None where there is none, or they stand among the parameters.

    Raises:
        InputError: one without the other.
    """
    if exponent is None and EXPONENT not in parameters:
        if reference is not None:
            raise InputError(f"found {REFERENCE} without {EXPONENT}; expected both, or none")
        return parameters
    found = dict(parameters)
    for name, value in ((EXPONENT, exponent), (REFERENCE, reference)):
        if value is None and name not in found:
            raise InputError(NO_REFERENCE)
        if value is not None:
            found[name] = torch.as_tensor(value, dtype=torch.float64)
        if found[name].ndim == 0:
            found[name] = found[name].expand(n_reaches)
    m = found[EXPONENT]
    if not m.requires_grad and not bool((m != 0).any()):
        return without_law(found)
    return found


def split_law(parameters: Parameters) -> tuple[dict[str, Tensor], tuple[Tensor, Tensor] | None]:
    """The scheme's parameters, and m and Q₀ where they are there.

    Raises:
        InputError: m without Q₀.
    """
    if EXPONENT not in parameters:
        return without_law(parameters), None
    if REFERENCE not in parameters:
        raise InputError(NO_REFERENCE)
    return without_law(parameters), (parameters[EXPONENT], parameters[REFERENCE])


def interval_means(discharge: Tensor, hold: int) -> Tensor:
    """(batch, time, reach) to (batch, interval, reach); the last interval may be shorter."""
    if hold == 1:
        return discharge
    batch, time, n = discharge.shape
    full = time // hold
    found = [discharge[:, : full * hold].reshape(batch, full, hold, n).mean(dim=2)]
    if full * hold < time:
        found.append(discharge[:, full * hold :].mean(dim=1, keepdim=True))
    return torch.cat(found, dim=1)


def factor(flow: Tensor, exponent: Tensor, reference: Tensor) -> Tensor:
    """c/c₀ = (Q/Q₀)^m with Q/Q₀ clamped; `flow` (..., reach) m³/s, the others (reach,)."""
    return (flow / reference).clamp(LEAST, MOST) ** exponent


def _has_own_wave(scheme: Scheme) -> bool:
    """Whether the scheme's wave speaks for its recurrence: a subclass may have changed that alone."""
    kinds = type(scheme).__mro__
    own = next(at for at, kind in enumerate(kinds) if "wave" in vars(kind))
    changed = (
        next(at for at, kind in enumerate(kinds) if name in vars(kind)) for name in ("recurrence", "faster")
    )
    channel = getattr(scheme, "channel", None)
    return all(own <= at for at in changed) and (channel is None or _has_own_wave(channel))


def varying(
    scheme: Scheme,
    parameters: Parameters,
    exponent: Tensor,
    reference: Tensor,
    flow: Tensor,
    step: float,
    hold: int,
) -> VaryingRecurrence | LawRecurrence:
    """The recurrence at the flows (batch, interval, reach) of a round, differentiable in everything.

    Args:
        parameters: the scheme's at c₀, (reach,) each; step: δ, s.
        exponent, reference: m and Q₀ (m³/s), (reach,).
        hold: forcing steps of an interval.
    """
    wave = scheme.wave(parameters, step) if _has_own_wave(scheme) else None
    if wave is not None:
        m = (
            exponent
            if wave.channel is None
            else torch.where(wave.channel, exponent, torch.zeros_like(exponent))
        )
        return LawRecurrence(flow, wave, m, reference, LEAST, MOST, step, hold, wave.sections)
    found = scheme.faster(parameters, factor(flow, exponent, reference), step)
    assert found is not None
    recurrence = scheme.recurrence(found, step)
    assert recurrence is not None
    return VaryingRecurrence(recurrence.a, recurrence.b, hold, recurrence.sections)
