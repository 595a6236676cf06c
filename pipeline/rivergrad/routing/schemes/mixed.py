"""A channel scheme with lakes: a linear storage of its own residence time where a reach is one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from rivergrad.errors import InputError
from rivergrad.routing.schemes.base import (
    Moments,
    Parameter,
    Parameters,
    Recurrence,
    Scheme,
    Wave,
    check_shape,
    refuse_where,
)
from rivergrad.routing.schemes.storage import LinearStorage

if TYPE_CHECKING:
    import torch
    from torch import Tensor
else:
    from rivergrad.later import torch

RESIDENCE_TIME = "residence_time"
"""The parameter that makes a reach a lake: NaN at a channel, 0 where water passes through without delay."""

LONGEST = 1e12
"""Residence time (s) at most. The longest of a great lake is some 1e10 s."""

_LAKE = LinearStorage()
_RESIDENCE = Parameter(
    RESIDENCE_TIME, "s", np.nan, 0.0, LONGEST, "Residence time of a lake; NaN at a channel."
)


@dataclass(frozen=True)
class WithLakes(Scheme):
    """A channel scheme everywhere but where `residence_time` T is a number: there dS/dt = x − q with q = S/T.

    It is stepped implicitly as `linear_storage`: q[t] = q[t−1] + a (x[t] − q[t−1]), a = 1/(1 + T/δ). At T = 0 that is
    q = x: reaches of zero length pass water through. The channel's parameters do not matter at a lake; they may be
    NaN there.

    Attributes:
        channel: the scheme of all other reaches.
    """

    channel: Scheme

    def __post_init__(self) -> None:
        channel = self.channel
        if isinstance(channel, WithLakes):
            raise InputError(f"scheme {channel.name}: it has lakes already; expected a channel's scheme")
        set_ = object.__setattr__
        set_(self, "name", f"{channel.name} with lakes")
        set_(self, "parameters", (*channel.parameters, _RESIDENCE))
        set_(self, "spreading", channel.spreading)
        set_(self, "conserves_mass", channel.conserves_mass)
        set_(self, "output_delay", channel.output_delay)
        set_(self, "convention", getattr(channel, "convention", "standard"))

    @property
    def separate_runoff(self) -> bool:
        return self.channel.separate_runoff

    @property
    def says_diffusivity(self) -> bool:
        return self.channel.says_diffusivity

    def response(self, parameters: Parameters, step: float, steps: int) -> Tensor:
        rows, lakes = _lakes(parameters)
        found = self.channel.response(_channels(self.channel, parameters), step, steps)
        return found.index_copy(0, rows, _LAKE.response(lakes, step, steps).to(found))

    def runoff_response(self, parameters: Parameters, step: float, steps: int) -> Tensor:
        rows, lakes = _lakes(parameters)
        found = self.channel.runoff_response(_channels(self.channel, parameters), step, steps)
        return found.index_copy(0, rows, _LAKE.response(lakes, step, steps).to(found))

    def transfer(self, parameters: Parameters, step: float, z: Tensor) -> Tensor | None:
        return _placed(
            self.channel.transfer(_channels(self.channel, parameters), step, z), parameters, step, z
        )

    def runoff_transfer(self, parameters: Parameters, step: float, z: Tensor) -> Tensor | None:
        found = self.channel.runoff_transfer(_channels(self.channel, parameters), step, z)
        return _placed(found, parameters, step, z)

    def recurrence(self, parameters: Parameters, step: float) -> Recurrence | None:
        """None also for a channel of several equal sections: a lake has one, and sections of a reach are alike."""
        found = self.channel.recurrence(_channels(self.channel, parameters), step)
        if found is None or found.sections > 1:
            return None
        lake, time = is_lake(parameters), parameters[RESIDENCE_TIME]
        share = 1 / (1 + torch.where(lake, time, torch.zeros_like(time)) / step)
        delay, jump = found.delay, found.jump
        return Recurrence(
            torch.where(lake, share, found.a),
            torch.where(lake, share, found.b),
            jump=None if jump is None else torch.where(lake, torch.zeros_like(jump), jump),
            delay=None if delay is None else torch.where(lake, torch.zeros_like(delay), delay),
            output_delay=found.output_delay,
        )

    def faster(self, parameters: Parameters, factor: Tensor, step: float) -> dict[str, Tensor] | None:
        """Of channels; a lake's residence time does not depend on flow."""
        found = self.channel.faster(_channels(self.channel, parameters), factor, step)
        if found is None:
            return None
        return {**found, RESIDENCE_TIME: parameters[RESIDENCE_TIME].expand(factor.shape)}

    def wave(self, parameters: Parameters, step: float) -> Wave | None:
        """Lakes among channels of one section, whose residence time does not depend on flow."""
        found = self.channel.wave(_channels(self.channel, parameters), step)
        if found is None:
            return None
        lake, time = is_lake(parameters), parameters[RESIDENCE_TIME]

        def either(of_lake: Tensor | float, of_channel: Tensor | float) -> Tensor:
            one, other = (torch.as_tensor(v, dtype=found.time.dtype) for v in (of_lake, of_channel))
            return torch.where(lake, one, other)

        return Wave(
            torch.where(lake, torch.where(lake, time, torch.zeros_like(time)), found.time),
            either(0.0, found.weight),
            either(step, found.half),
            either(0.0, found.lower),
            either(LONGEST, found.upper),
            ~lake,
        )

    def moments(self, parameters: Parameters, step: float) -> Moments:
        rows, lakes = _lakes(parameters)
        found, own = (
            self.channel.moments(_channels(self.channel, parameters), step),
            _LAKE.moments(lakes, step),
        )
        return Moments(
            found.mean.index_copy(0, rows, own.mean),
            found.deviation.index_copy(0, rows, own.deviation),
            found.slowest.index_copy(0, rows, own.slowest),
        )

    def from_celerity(self, celerity: Tensor, spreading: Tensor | None, length: Tensor) -> dict[str, Tensor]:
        """As the channel has it; a reach of zero length passes through. Where lakes are is for the caller to say."""
        found = self.channel.from_celerity(celerity, spreading, _positive(length))
        return {**found, RESIDENCE_TIME: passing(length)}

    def diffusivity(self, celerity: Tensor, spreading: Tensor | None, length: Tensor) -> Tensor:
        return self.channel.diffusivity(celerity, spreading, length)

    def from_physical(self, celerity: Tensor, diffusivity: Tensor, length: Tensor) -> dict[str, Tensor]:
        """See `from_celerity`."""
        found = self.channel.from_physical(celerity, diffusivity, _positive(length))
        return {**found, RESIDENCE_TIME: passing(length)}

    def outside(self, parameters: Parameters, step: float) -> Tensor:
        """Of channels alone: a lake's response is a share of its inflow."""
        return self.channel.outside(_channels(self.channel, parameters), step) & ~is_lake(parameters)

    def effective(self, parameters: Parameters, step: float) -> dict[str, Tensor]:
        """As the channel limits them; those of lakes as they are."""
        lake, limited = is_lake(parameters), self.channel.effective(_channels(self.channel, parameters), step)
        own = {name: torch.where(lake, parameters[name], value) for name, value in limited.items()}
        return {**parameters, **own}

    def remedy(self, parameters: Parameters, step: float) -> str:
        rows = torch.nonzero(~is_lake(parameters))[:, 0]
        return self.channel.remedy({p.name: parameters[p.name][rows] for p in self.channel.parameters}, step)

    def check(self, parameters: Parameters, reach_ids: Sequence[int] | NDArray[np.int64]) -> None:
        """See `Scheme.check`; the channel's parameters count where there is no lake."""
        time = parameters.get(RESIDENCE_TIME)
        if time is None or set(parameters) != set(self.parameter_names):
            super().check(parameters, reach_ids)  # which says what is there and what is not
            return
        check_shape(RESIDENCE_TIME, time, reach_ids)
        expected = f"0 to {LONGEST:g} s, or NaN where there is no lake"
        refuse_where((time < 0) | (time > LONGEST), RESIDENCE_TIME, time, expected, reach_ids)
        for p in self.channel.parameters:
            check_shape(p.name, parameters[p.name], reach_ids)
        with torch.no_grad():
            channel = _channels(self.channel, parameters)
        self.channel.check(channel, reach_ids)


def is_lake(parameters: Parameters) -> Tensor:
    """(reach,) where the parameters of `WithLakes` say that there is a lake, or that water passes through."""
    return ~torch.isnan(parameters[RESIDENCE_TIME].detach())


def _channels(channel: Scheme, parameters: Parameters) -> dict[str, Tensor]:
    """A channel's parameters; its defaults at lakes, where nothing may come of them, NaN least of all."""
    lake = is_lake(parameters)
    return {
        p.name: torch.where(lake, torch.full_like(parameters[p.name], p.default), parameters[p.name])
        for p in channel.parameters
    }


def _lakes(parameters: Parameters) -> tuple[Tensor, dict[str, Tensor]]:
    """Positions of lakes, and their own parameters."""
    rows = torch.nonzero(is_lake(parameters))[:, 0]
    return rows, {"tau": parameters[RESIDENCE_TIME][rows]}


def _placed(found: Tensor | None, parameters: Parameters, step: float, z: Tensor) -> Tensor | None:
    """Transfer functions of a channel with those of lakes in their places."""
    if found is None:
        return None
    rows, lakes = _lakes(parameters)
    return found.index_copy(0, rows, _LAKE.transfer(lakes, step, z).to(found))


def with_lakes_if(scheme: Scheme, names: Iterable[str]) -> Scheme:
    """The scheme, with lakes where parameters of these names have residence times and it does not take them."""
    if RESIDENCE_TIME in names and RESIDENCE_TIME not in scheme.parameter_names:
        return WithLakes(scheme)
    return scheme


def channel_of(scheme: Scheme) -> Scheme:
    """The scheme of channels: of `WithLakes` its own, else the scheme itself."""
    return scheme.channel if isinstance(scheme, WithLakes) else scheme


def passing(length: Tensor) -> Tensor:
    """(reach,) residence times of reaches without lakes: 0 at those of zero length, NaN at channels."""
    none = torch.full_like(length, torch.nan)
    return torch.where(length > 0, none, torch.zeros_like(length))


def _positive(length: Tensor) -> Tensor:
    return torch.where(length > 0, length, torch.ones_like(length))
