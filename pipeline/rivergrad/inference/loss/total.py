"""The weighted sum of loss terms of each gauge."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from rivergrad import registry
from rivergrad.errors import InputError
from rivergrad.inference.loss.enough import values_needed
from rivergrad.inference.loss.pairs import Pairs, compare
from rivergrad.inference.loss.statistics import GaugeStatistics
from rivergrad.inference.loss_spec import LossSpec


def term(name: str, spec: LossSpec) -> Callable[[Pairs], Tensor]:
    """The function of a term, pairs -> (gauge,); `spec` has the settings of terms."""
    function = registry.load("loss", name)
    settings = spec.settings.get(name)
    return partial(function, **settings) if settings else function


def checked(found: Any, name: str) -> Any:
    """A loss, `pairs -> (gauge,)`: what the registry asks at first use.

    Raises:
        InputError: what can't be called with pairs.
    """
    if callable(found) and not isinstance(found, type):
        return found
    what = f"class {found.__name__}" if isinstance(found, type) else type(found).__name__
    raise InputError(
        f"loss {name}: expected a function of pairs (see rivergrad.inference.loss), found {what}"
    )


def _values(name: str, spec: LossSpec, pairs: Pairs) -> Tensor:
    """The values of a term, (gauge,).

    Raises:
        InputError: a term of the user's own returns something else.
    """
    found = term(name, spec)(pairs)
    expected = tuple(pairs.count.shape)
    if not isinstance(found, Tensor) or tuple(found.shape) != expected:
        shape = tuple(found.shape) if isinstance(found, Tensor) else type(found).__name__
        raise InputError(
            f"loss {name}: expected a tensor of shape {expected}, a value a gauge, found {shape}"
        )
    return found


def gauge_loss(
    spec: LossSpec,
    discharge: Tensor,
    observed: Tensor,
    statistics: GaugeStatistics,
    error: Tensor | None = None,
) -> Tensor:
    """The loss of each gauge; its sum is the loss.

    With observation errors, residuals are taken to have variance σ² + error², with σ the gauge's residual scale
    (`GaugeStatistics.sigma`): a value counts σ²/(σ² + error²) of one without error, in every term. That an error
    as large as what the model misses anyway halves a value's weight is the usual weighted least squares.

    Args:
        spec: the terms and their weights.
        discharge: (window, time, gauge) m³/s, simulated, of any float type; read only where something was observed.
        observed: (window, time, gauge) m³/s, NaN where missing.
        statistics: of the gauges' training records, with their weights, on the same device.
        error: standard deviation of the observation error, m³/s, (window, time, gauge) or (gauge,); NaN where not
            known, which counts as 0.

    Returns:
        (gauge,) float64. Exactly 0, with a gradient of exactly 0, for a gauge of weight 0 or with fewer than
        `values_needed` values in the windows.
    """
    pairs = compare(discharge, observed, statistics, error)
    total = torch.zeros_like(statistics.weight)
    for name, weight in spec.terms:
        total = total + weight * _values(name, spec, pairs)
    needed = values_needed(observed.shape[0] * observed.shape[1])
    counts = (pairs.count >= needed) & (statistics.weight > 0)
    return torch.where(counts, statistics.weight * total, 0.0)
