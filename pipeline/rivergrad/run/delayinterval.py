"""How sure the delay on hillslopes is: its interval, and whether the data can tell it from celerity."""

from __future__ import annotations

import logging

import numpy as np
import torch
from numpy.typing import NDArray

from rivergrad.inference.evidence import NORMAL_90
from rivergrad.inference.nuisance import Beside
from rivergrad.model.hillslope import regressors
from rivergrad.model.layout import HILLSLOPE, Coefficients
from rivergrad.run.problem import Problem

log = logging.getLogger("rivergrad")

Float = NDArray[np.float64]

MUCH = 0.9
"""A correlation of delay and celerity's level from which the data do not tell the two apart."""
LITTLE = 0.5
"""Share of the prior's variance that is left, from which the data do not say what the delay is."""


def delay_columns(
    work: Problem, shared: Coefficients[Float], known: Beside, sd: Float
) -> tuple[dict[str, Float], dict[str, float]]:
    """90 % intervals of the delay, (reach,) each by name, and numbers for the summary.

    Args:
        work: with the stage; shared: coefficients of the estimate.
        known: of its coefficients; sd: (H,) of their prior.
    """
    assert work.hillslope is not None
    model, choice = work.hillslope.model, work.hillslope
    assert model.bounds is not None
    features = torch.from_numpy(choice.values)
    region = None if choice.regions is None else torch.from_numpy(choice.regions)
    at = shared.layout.coefficients(torch.from_numpy(shared.values))
    latent = model.latent(at, features, region)
    by = regressors(model, features, region).numpy()
    spread = torch.from_numpy(np.sqrt(np.einsum("rh,hg,rg->r", by, known.covariance, by, optimize=True)))
    columns = {
        "hillslope_delay_lower": model.bounds.value(latent - NORMAL_90 * spread).numpy(),
        "hillslope_delay_upper": model.bounds.value(latent + NORMAL_90 * spread).numpy(),
    }
    level = float(shared[HILLSLOPE])
    width = NORMAL_90 * float(np.sqrt(known.covariance[0, 0]))
    numbers = {
        "hillslope_delay_s": model.bounds.value_of(level),
        "hillslope_delay_lower_s": model.bounds.value_of(level - width),
        "hillslope_delay_upper_s": model.bounds.value_of(level + width),
        "hillslope_identifiability": float(np.clip(1 - known.covariance[0, 0] / sd[0] ** 2, 0.0, 1.0)),
        "hillslope_correlation": float(known.correlation[0, 0]) if known.correlation.size else 0.0,
    }
    if (text := not_apart(numbers)) is not None:
        log.warning("%s", text)
    return columns, numbers


def not_apart(numbers: dict[str, float]) -> str | None:
    """A line where the data do not tell the delay on hillslopes from celerity; None where they do."""
    if "hillslope_delay_s" not in numbers:
        return None
    days = [numbers[f"hillslope_delay{end}_s"] / 86400 for end in ("", "_lower", "_upper")]
    said = f"hillslope delay {days[0]:.3g} days (90 %: {days[1]:.3g} to {days[2]:.3g})"
    if numbers["hillslope_identifiability"] < 1 - LITTLE:
        return f"{said}: the gauges say little of it; expected gauges near headwaters, or a given delay"
    if abs(numbers["hillslope_correlation"]) > MUCH:
        return (
            f"{said}: the gauges do not tell it from celerity (correlation {numbers['hillslope_correlation']:.2f}); "
            "expected gauges both near headwaters and far downstream, or a given delay"
        )
    return None
