"""The HBV model's buckets: one step of them, and a window of steps."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

DAY = 86_400.0
RAMP = 1.0  # °C on both sides of the threshold between which the share of snow changes from all to nothing
START = 0.5  # of the soil's capacity that is filled at first: a warm-up of a year could not fill large soils
CHUNK = 32  # steps between the states that are kept for the gradient; between them it computes again


class Bounds(NamedTuple):
    """Admissible range of a parameter, and what it is where nothing is known."""

    lower: float
    upper: float
    typical: float
    per_day: str = ""  # `amount` mm a day, or `rate`, a share of a storage that leaves within a day


PARAMETERS = {
    "threshold": Bounds(-2.5, 2.5, 0.0),  # TT, °C below which precipitation is snow and nothing melts
    "degree_day": Bounds(0.5, 10.0, 3.0, "amount"),  # CFMAX, mm of melt a day and °C
    "refreeze": Bounds(0.0, 0.1, 0.05),  # CFR, of the degree-day factor
    "hold": Bounds(0.0, 0.2, 0.1),  # CWH, mm of water that a mm of snow holds
    "beta": Bounds(1.0, 6.0, 2.0),  # shape of the soil's runoff
    "capacity": Bounds(50.0, 1000.0, 250.0),  # FC, mm
    "full_evaporation": Bounds(
        0.2, 1.0, 0.7
    ),  # LP, share of the capacity from which evaporation is potential
    "percolation": Bounds(0.0, 10.0, 2.0, "amount"),  # PERC, mm a day
    "quick_limit": Bounds(0.0, 100.0, 3.0),  # UZL, mm above which the upper zone has a second, quick outlet
    "quick": Bounds(0.05, 0.9, 0.7, "rate"),  # K0
    "upper": Bounds(0.01, 0.5, 0.2, "rate"),  # K1
    "lower": Bounds(0.001, 0.2, 0.02, "rate"),  # K2
}
"""By name; ranges as those of Feng et al. (2022), table 1. The upper zone begins quick: what holds water back at first
keeps at it, and rivers are then found too fast (by 30 % on a generated world; so, by 5 %)."""


class Storages(NamedTuple):
    """Water in each bucket, (...) mm."""

    snow: Tensor
    meltwater: Tensor
    soil: Tensor
    upper: Tensor
    lower: Tensor

    def total(self) -> Tensor:
        """All water, mm."""
        return self.snow + self.meltwater + self.soil + self.upper + self.lower


def per_step(name: str, value: Tensor, step: float) -> Tensor:
    """A parameter as a step of `step` seconds takes it."""
    days = step / DAY
    if PARAMETERS[name].per_day == "amount":
        return value * days
    if PARAMETERS[name].per_day == "rate":
        return -torch.expm1(days * torch.log1p(-value))
    return value


def at_start(parameters: dict[str, Tensor], like: Tensor) -> Storages:
    """Storages before a window: empty, but for a soil filled by `START`."""
    empty = torch.zeros_like(like)
    return Storages(empty, empty, empty + START * parameters["capacity"], empty, empty)


def one_step(
    p: dict[str, Tensor], s: Storages, precipitation: Tensor, temperature: Tensor, potential: Tensor
) -> tuple[Storages, Tensor, Tensor]:
    """Storages after a step, its runoff and its actual evapotranspiration, mm each. No water appears or is lost.

    Source: Bergström (1992), SMHI Reports RH 4; Seibert & Vis (2012), doi:10.5194/hess-16-3315-2012. Without its
    routing (MAXBAS), which is what the river does; rain and snow mix within 1 °C about the threshold.
    """
    warm = temperature - p["threshold"]
    rain = precipitation * ((warm + RAMP) / (2 * RAMP)).clamp(0.0, 1.0)
    snow = s.snow + (precipitation - rain)
    melt = _lesser(p["degree_day"] * warm.clamp_min(0.0), snow)
    snow, meltwater = snow - melt, s.meltwater + melt
    frozen = _lesser(p["refreeze"] * p["degree_day"] * (-warm).clamp_min(0.0), meltwater)
    snow, meltwater = snow + frozen, meltwater - frozen
    leaves = (meltwater - p["hold"] * snow).clamp_min(0.0)
    meltwater = meltwater - leaves

    wet = rain + leaves
    recharge = wet * (s.soil / p["capacity"]).clamp(0.0, 1.0) ** p["beta"]
    soil = s.soil + (wet - recharge)
    excess = (soil - p["capacity"]).clamp_min(0.0)
    soil = soil - excess
    dry = (soil / (p["full_evaporation"] * p["capacity"])).clamp(0.0, 1.0)
    evaporation = _lesser(potential.clamp_min(0.0) * dry, soil)
    soil = soil - evaporation

    upper = s.upper + recharge + excess
    percolation = _lesser(p["percolation"], upper)
    upper = upper - percolation
    quick = p["quick"] * (upper - p["quick_limit"]).clamp_min(0.0)
    upper = upper - quick
    interflow = p["upper"] * upper
    upper = upper - interflow
    lower = s.lower + percolation
    baseflow = p["lower"] * lower
    return (
        Storages(snow, meltwater, soil, upper, lower - baseflow),
        quick + interflow + baseflow,
        evaporation,
    )


def _lesser(a: Tensor, b: Tensor) -> Tensor:
    """The minimum; where both are equal, with the gradient of a: an empty storage b can only grow."""
    return torch.where(a <= b, a, b)


def sweep(parameters: dict[str, Tensor], forcings: Tensor) -> tuple[Tensor, Tensor, Storages]:
    """A window of steps from the start.

    Args:
        parameters: each (reach,), as a step takes them.
        forcings: (variable, time, ..., reach): precipitation, temperature, potential evapotranspiration.

    Returns:
        runoff and evapotranspiration (time, ..., reach), mm per step, and the storages at the end.
    """
    names = tuple(parameters)
    steps = forcings.shape[1]
    storages = at_start(parameters, forcings[0, 0])
    runoff, evaporation = [], []
    for a in range(0, steps, CHUNK):
        part = forcings[:, a : a + CHUNK]
        if torch.is_grad_enabled() and steps > CHUNK:
            found = checkpoint(
                _chunk,
                names,
                part,
                *storages,
                *parameters.values(),
                use_reentrant=False,
                preserve_rng_state=False,
            )
        else:
            found = _chunk(names, part, *storages, *parameters.values())
        storages = Storages(*found[2:])
        runoff.append(found[0])
        evaporation.append(found[1])
    return torch.cat(runoff), torch.cat(evaporation), storages


def _chunk(names: tuple[str, ...], forcings: Tensor, *given: Tensor) -> tuple[Tensor, ...]:
    storages, parameters = Storages(*given[:5]), dict(zip(names, given[5:], strict=True))
    runoff, evaporation = [], []
    for precipitation, temperature, potential in zip(*forcings, strict=True):
        storages, q, e = one_step(parameters, storages, precipitation, temperature, potential)
        runoff.append(q)
        evaporation.append(e)
    return torch.stack(runoff), torch.stack(evaporation), *storages
