"""What a routing scheme is: parameters, an impulse response per reach, and what follows from it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from rivergrad.errors import InputError, ids_text

if TYPE_CHECKING:
    import torch
    from torch import Tensor
else:
    from rivergrad.later import torch

Parameters: TypeAlias = "Mapping[str, Tensor]"


@dataclass(frozen=True)
class Parameter:
    """One parameter of a scheme, per reach.

    Attributes:
        name: as in files and dictionaries.
        units: SI; `1` for a ratio.
        default: what a reach has when nothing is known.
        lower, upper: the admissible closed range.
        description: one sentence.
    """

    name: str
    units: str
    default: float
    lower: float
    upper: float
    description: str


@dataclass(frozen=True)
class Moments:
    """Sizes of a reach's impulse response, to guess how long a window has to be. All (reach,), seconds."""

    mean: Tensor
    """Mean delay."""
    deviation: Tensor
    """Standard deviation of the delay."""
    slowest: Tensor
    """Time constant of the exponential that the tail ends in (0 where the response ends by itself)."""


@dataclass(frozen=True)
class Recurrence:
    """A reach as a recurrence: its inflow x, delayed by whole steps, then equal sections in series.

    One section, with state m: e = x − m; q = m + a e; m ← m + b e. It conserves mass whatever a and b are.

    Attributes:
        a, b: (reach,), float64, differentiable.
        jump: (reach,) or None: m rises by jump · runoff before the first routing step of a forcing step and
            falls by as much after its last, which is how RAPID's runoff enters.
        sections: how many in series.
        delay: (reach,) whole routing steps, int64; None where there is none.
        output_delay: see `Scheme.output_delay`.
    """

    a: Tensor
    b: Tensor
    jump: Tensor | None = None
    sections: int = 1
    delay: Tensor | None = None
    output_delay: int = 0


@dataclass(frozen=True)
class Wave:
    """A reach as d = t (1 − x) + h, a = (h − t x) / d, b = δ / d of the recurrence, x capped as Muskingum's is.

    What a celerity that depends on flow changes is t alone. Muskingum has t = k and h = δ/2, a linear storage t = τ,
    x = 0 and h = δ.

    Attributes:
        time, weight: (reach,) t (s) and x, differentiable; half: (reach,) or one number, h, s.
        lower, upper: bounds of t, (reach,) or one number, s.
        channel: (reach,) where celerity depends on flow; None everywhere.
        sections: in series in every reach.
    """

    time: Tensor
    weight: Tensor
    half: Tensor | float
    lower: Tensor | float
    upper: Tensor | float
    channel: Tensor | None = None
    sections: int = 1


class Scheme(ABC):
    """A linear time-invariant routing scheme: q = h * x for each reach, at the routing step.

    A scheme is immutable data plus small pure functions of (parameters, step). It has to give `response`;
    a closed-form `transfer` is faster and exact for infinite responses.
    """

    name: str
    parameters: tuple[Parameter, ...]
    spreading: Parameter | None = None
    """The physical parameter beside celerity that estimation works with, if the scheme has one."""
    conserves_mass: bool = True
    """The response sums to one, so the mass outside a window can be measured against one."""
    output_delay: int = 0
    """Routing steps by which the reported mean lags q (RAPID averages the states before each update)."""

    @abstractmethod
    def response(self, parameters: Parameters, step: float, steps: int) -> Tensor:
        """Impulse response h of each reach.

        Args:
            parameters: each (reach,), float64.
            step: routing step, s.
            steps: how many routing steps of it.

        Returns:
            (reach, steps); h[:, n] multiplies the inflow n steps ago.
        """

    def runoff_response(self, parameters: Parameters, step: float, steps: int) -> Tensor:
        """The same for runoff entering this reach. Differs from `response` only under RAPID's convention."""
        return self.response(parameters, step, steps)

    def transfer(self, parameters: Parameters, step: float, z: Tensor) -> Tensor | None:
        """Transfer function Σ h[n] z⁻ⁿ in closed form, (reach, len(z)) complex; None where there is none."""
        return None

    def runoff_transfer(self, parameters: Parameters, step: float, z: Tensor) -> Tensor | None:
        """The same for runoff entering this reach; None where it equals `transfer`."""
        return None

    def recurrence(self, parameters: Parameters, step: float) -> Recurrence | None:
        """The scheme as a recurrence; None where its transfer function is not rational."""
        return None

    @property
    def separate_runoff(self) -> bool:
        """Whether runoff enters a reach with another response than inflow from upstream."""
        return False

    @abstractmethod
    def moments(self, parameters: Parameters, step: float) -> Moments:
        """Sizes of the response (no gradient needed)."""

    def from_celerity(self, celerity: Tensor, spreading: Tensor | None, length: Tensor) -> dict[str, Tensor]:
        """Scheme parameters of reaches of `length` (m) in which a wave travels at `celerity` (m/s)."""
        raise InputError(
            f"scheme {self.name}: it has no rule that turns celerity into its parameters "
            f"({', '.join(self.parameter_names)}), so it can't be estimated through celerity"
        )

    def diffusivity(self, celerity: Tensor, spreading: Tensor | None, length: Tensor) -> Tensor:
        """Diffusivity (m²/s) of the diffusive wave whose response in a reach has the same mean and variance.

        A reach that delays by L/c on average, with variance σ², spreads as D = σ² c³ / (2 L): the moments of the
        first passage (Folks & Chhikara 1978). NaN where the scheme does not say.
        """
        return torch.full_like(celerity, torch.nan)

    @property
    def says_diffusivity(self) -> bool:
        """Whether `diffusivity` is the scheme's own, rather than NaN."""
        return type(self).diffusivity is not Scheme.diffusivity

    def from_physical(self, celerity: Tensor, diffusivity: Tensor, length: Tensor) -> dict[str, Tensor]:
        """Scheme parameters from celerity (m/s) and diffusivity (m²/s): one map serves every scheme.

        A scheme whose spreading is fixed by its form takes the celerity alone.
        """
        return self.from_celerity(celerity, None, length)

    def faster(self, parameters: Parameters, factor: Tensor, step: float) -> dict[str, Tensor] | None:
        """Parameters of reaches in which waves travel `factor` times as fast, within the range that is admissible.

        None where the scheme has no such rule; then celerity can't depend on flow.

        Args:
            parameters: each (reach,).
            factor: (..., reach).
            step: routing step, s.

        Returns:
            Each (..., reach), differentiable.
        """
        return None

    def wave(self, parameters: Parameters, step: float) -> Wave | None:
        """The recurrence in a form whose sweep makes coefficients by flow itself; None where it has no such form.

        It has to be what `recurrence` makes of `faster`.
        """
        return None

    def outside(self, parameters: Parameters, step: float) -> Tensor:
        """Reaches (reach,) whose own response is negative somewhere: a positive inflow can make a negative outflow.

        None by default: lags, storages and first passages are shares of the inflow whatever the routing step.
        """
        value = next(iter(parameters.values()))
        return value < value

    def effective(self, parameters: Parameters, step: float) -> dict[str, Tensor]:
        """The parameters that the scheme computes with at a routing step: those given, unless it limits them."""
        return dict(parameters)

    def remedy(self, parameters: Parameters, step: float) -> str:
        """What makes sense of reaches that are `outside`: a phrase for a message."""
        return "another routing step"

    @property
    def parameter_names(self) -> tuple[str, ...]:
        return tuple(p.name for p in self.parameters)

    @property
    def defaults(self) -> dict[str, float]:
        return {p.name: p.default for p in self.parameters}

    @property
    def bounds(self) -> dict[str, tuple[float, float]]:
        return {p.name: (p.lower, p.upper) for p in self.parameters}

    def check(self, parameters: Parameters, reach_ids: Sequence[int] | NDArray[np.int64]) -> None:
        """Raise an InputError unless every parameter is there, of the right shape and in its range."""
        missing = [name for name in self.parameter_names if name not in parameters]
        unknown = [name for name in parameters if name not in self.parameter_names]
        if missing or unknown:
            found = ", ".join(parameters) or "none"
            raise InputError(
                f"scheme {self.name} takes the parameters {', '.join(self.parameter_names)}; found {found}"
            )
        for p in self.parameters:
            value = parameters[p.name]
            check_shape(p.name, value, reach_ids)
            bad = ~((value >= p.lower) & (value <= p.upper))
            refuse_where(bad, p.name, value, f"{p.lower:g} to {p.upper:g} {p.units}", reach_ids)


def check_shape(name: str, value: Any, reach_ids: Sequence[int] | NDArray[np.int64]) -> None:
    """Raise an InputError unless a parameter has one value a reach."""
    if value.shape != (len(reach_ids),):
        raise InputError(
            f"parameter {name}: expected one value a reach ({len(reach_ids)}), found shape {tuple(value.shape)}"
        )


def refuse_where(
    bad: Any, name: str, value: Any, expected: str, reach_ids: Sequence[int] | NDArray[np.int64]
) -> None:
    """Raise an InputError that names the reaches whose value of a parameter is bad.

    Args:
        bad: (reach,) mask, of NumPy or torch; value: (reach,).
        expected: what a value may be, for the message.
    """
    if not bool(bad.any()):
        return
    where = np.flatnonzero(_on_host(bad)).tolist()
    ids = ids_text([int(reach_ids[i]) for i in where])
    raise InputError(
        f"parameter {name}: expected {expected}, found {value[where[0]].item():g} (reach ids {ids})"
    )


def _on_host(mask: Any) -> NDArray[np.bool_]:
    """A mask as an array, whether it is one or a tensor on any device."""
    return mask if isinstance(mask, np.ndarray) else mask.cpu().numpy()
