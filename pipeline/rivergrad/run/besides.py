"""Delays of runoff and the exponent of flow in the uncertainty: coefficients that are no reach's celerity."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from rivergrad.inference.nuisance import Beside, beside
from rivergrad.inference.posterior import Posterior
from rivergrad.model.layout import FLOW, HILLSLOPE, TIMING, Coefficients, Layout
from rivergrad.model.prior import Prior
from rivergrad.pieces.leastsquares import LeastSquares
from rivergrad.run.delayinterval import delay_columns
from rivergrad.run.flowinterval import exponent_columns
from rivergrad.run.problem import Problem
from rivergrad.run.timinginterval import timing_columns, unknown_delays

Float = NDArray[np.float64]


def segments_of(work: Problem, layout: Layout) -> tuple[str, ...]:
    """The segments of the layout that say how runoff is delayed, or in error, and how celerity depends on flow."""
    slope = () if work.hillslope is None else work.hillslope.model.layout.names
    law = () if work.flow is None else work.flow.law.layout.names
    return tuple(name for name in layout.names if name in (*slope, *unknown_delays(work), *law))


def of_besides(
    work: Problem,
    problem: LeastSquares,
    weight: Float,
    prior: Prior,
    shared: Coefficients[Float],
    found: Posterior,
) -> tuple[Posterior, dict[str, Float], dict[str, Any]]:
    """The posterior where delays and exponent are unknown too, the columns of their intervals, numbers for the summary.

    Args:
        work: with the stage and the law; without either, the posterior comes back as it is.
        problem: linearised at the estimate; weight: (window, time, gauge) of the squared residuals.
        prior: of all coefficients; shared: of the estimate.
        found: the posterior where both are known.
    """
    layout = shared.layout
    own = np.flatnonzero(layout.mask(*segments_of(work, layout)))
    if own.size == 0:
        return found, {}, {}
    nothing = np.zeros((work.choice.model.n_free, work.n_reaches))
    columns = [problem.tangent(nothing, np.eye(layout.size)[k]) for k in own]
    pulled = np.stack([problem.pull(weight * one)[1] for one in columns])
    square = np.array([[float((weight * a * b).sum()) for b in columns] for a in columns])
    found, known = beside(found, pulled, square, prior.sd[own])
    return found, *beside_columns(work, shared, known, prior.sd[own])


def beside_columns(
    work: Problem, shared: Coefficients[Float], known: Beside, sd: Float
) -> tuple[dict[str, Float], dict[str, Any]]:
    """Intervals of delays and exponent, (reach,) each by name, and numbers for the summary.

    Args:
        work: with the stage and the law; shared: coefficients of the estimate.
        known: of the coefficients of `segments_of`, in the order of the layout; sd: (H,) of their prior.
    """
    layout = shared.layout
    own = layout.mask(*segments_of(work, layout))
    columns: dict[str, Float] = {}
    numbers: dict[str, Any] = {}
    if work.hillslope is not None and HILLSLOPE in layout:
        at = np.flatnonzero(layout.mask(*work.hillslope.model.layout.names)[own])
        told = delay_columns(work, shared, _part(known, at), sd[at])
        columns |= told[0]
        numbers |= told[1]
    if work.flow is not None and FLOW in layout:
        at = np.flatnonzero(layout.mask(FLOW)[own])
        told = exponent_columns(work, shared, _part(known, at), sd[at])
        columns |= told[0]
        numbers |= told[1]
    if TIMING in unknown_delays(work):
        at = np.flatnonzero(layout.mask(TIMING)[own])
        told = timing_columns(work, shared, _part(known, at))
        columns |= told[0]
        numbers |= told[1]
    return columns, numbers


def _part(known: Beside, at: NDArray[np.int64]) -> Beside:
    return Beside(known.covariance[np.ix_(at, at)], known.correlation[:, at], known.alone[at])
