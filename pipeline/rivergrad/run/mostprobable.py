"""From an estimate to the most probable parameters, which intervals are about.

Adam ends where its validation score was best, with a penalty in place of the prior. Laplace's approximation holds about
the most probable parameters. A few Gauss-Newton steps from the estimate lead there. Adam moves the deviation of every
reach a little, whether a gauge says anything about it or not. Over millions of reaches that outweighs what gauges say,
so the first step looks for deviations from zero.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from rivergrad.inference.gaussnewton import gauss_newton_step
from rivergrad.model.layout import Coefficients
from rivergrad.model.prior import Prior
from rivergrad.pieces.leastsquares import LeastSquares
from rivergrad.run.allowance import Allowance

log = logging.getLogger("rivergrad")

Float = NDArray[np.float64]

STEPS = 4
"""Gauss-Newton steps at most."""
STILL = 0.01
"""Root mean square move of the coefficients below which the next step brings nothing: 1 % of celerity or so."""
TOLERANCE = 0.01
"""Of the conjugate gradients."""


def most_probable(
    problem: LeastSquares,
    prior: Prior,
    shared: Coefficients[Float],
    free: Float,
    discharge: Float,
    observed: Float,
    weigh: Callable[[Float, Float], Float],
    allowance: Allowance,
    inner: int,
) -> tuple[Coefficients[Float], Float, Float]:
    """The most probable coefficients and deviations under a prior, as far as the allowance goes.

    Args:
        problem: linearised at the estimate.
        prior: of all coefficients.
        shared, free: of the estimate; discharge: (window, time, gauge) m³/s there.
        observed: (window, time, gauge) m³/s, NaN where missing.
        weigh: as for `gauss_newton_step`.
        allowance: of products; inner: products a step at most.

    Returns:
        Shared coefficients, deviations and discharge there, where `problem` is linearised.
    """
    at, anew = shared.values, True
    for number in range(STEPS):
        if allowance.spent:
            break
        at, free, discharge, did = gauss_newton_step(
            problem, prior, at, free, discharge, observed, weigh, TOLERANCE, allowance.inner(inner), anew=anew
        )
        log.info(
            "step %d to the most probable parameters: %.6g to %.6g with %d products, step length %.3g, moved %.3g",
            number + 1, did.before, did.after, did.products, did.length, did.moved,
        )  # fmt: skip
        if did.moved <= STILL and not (anew and did.length == 0.0):  # too few products to get there from zero
            break
        anew = False
    return shared.layout.coefficients(at), free, discharge


def holding(columns: Mapping[str, Float], estimate: Mapping[str, Float]) -> dict[str, Float]:
    """Columns in which every interval holds the estimate, which is not the most probable one.

    Args:
        columns: (reach,) by name, with `NAME_lower` and `NAME_upper`; estimate: (reach,) by `NAME`.
    """
    found = dict(columns)
    for name, value in estimate.items():
        lower, upper = f"{name}_lower", f"{name}_upper"
        if lower in found and upper in found:
            found[lower], found[upper] = np.minimum(found[lower], value), np.maximum(found[upper], value)
    return found
