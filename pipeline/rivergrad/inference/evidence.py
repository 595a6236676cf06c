"""Two scales that are estimated from the data: of the deviations, and of the errors at each gauge.

Sources: MacKay (1992), doi:10.1162/neco.1992.4.3.415 (evidence); Bayley & Hammersley (1946),
doi:10.2307/2983560 (effective number of correlated values).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rivergrad.inference.posterior import Posterior
from rivergrad.model.treeprior import TreePrior

Float = NDArray[np.float64]

MIN_PAIRS = 10  # least number of values, or of pairs of successive values, to estimate a gauge's error
CLIP = 5.0  # larger errors are clipped to this many standard deviations
NORMAL_90 = 1.6448536269514722  # 90 % of |x| lie below this, for x standard normal
MAX_CORRELATION = 0.999


def update_tau(u: Float, posterior: Posterior, prior: TreePrior, most: Float | float = 4.0) -> Float:
    """MacKay's update of the deviations' scale: τ² = uᵀ(I + κL)u / γ.

    A field keeps its tau if the data determine less than one number of it (γ < 1).

    Args:
        u: (F, n) most probable deviations under `prior`.
        posterior: the posterior at `u`; γ is its `effective`.
        prior: the prior with the present tau.
        most: the largest factor by which tau may rise or fall in one update, one number or (F,).

    Returns:
        (F,) the new tau.
    """
    energy, gamma = prior.energy(u), posterior.effective
    told = gamma >= 1
    tau = np.sqrt(energy / np.where(told, gamma, 1.0))
    return np.where(told, np.clip(tau, prior.tau / most, prior.tau * most), prior.tau)


def noise_scale(
    residual: Float, lag_one: bool = True, floor: float | ArrayLike = 0.0, least: int = MIN_PAIRS
) -> tuple[Float, Float]:
    """The size of the errors at each gauge, and the share of its values that count as independent.

    Errors are measured from zero and not from their mean: a bias is an error too, and it correlates the values. Errors
    above `CLIP` standard deviations are clipped to that size; the 90 % smallest errors give the standard deviation for
    this. Plain moments fail because squared discharge errors have a heavy tail. Medians fail because they reflect base
    flow only.

    Args:
        residual: (time, gauge) simulated − observed, NaN where missing.
        lag_one: account for the correlation ρ of successive values, as in an AR(1) process. Pairs across a gap do not
            count.
        floor: (gauge,) or one number, the least error, in the unit of `residual`.
        least: the least number of values for an estimate.

    Returns:
        sigma (gauge,), in the unit of `residual`, infinite where there are too few values (weight 1/σ² = 0); and the
        factor (1 − ρ)/(1 + ρ) (gauge,), between 0 and 1. Multiply the number of values by it for the effective one.
    """
    there = np.isfinite(residual)
    size = np.abs(np.where(there, residual, np.nan))
    count = there.sum(axis=0)
    enough = count >= least
    bulk = np.zeros(residual.shape[1])
    if enough.any():
        bulk[enough] = np.nanquantile(size[:, enough], 0.9, axis=0) / NORMAL_90
    # no clipping where nine in ten errors are 0: the scale is then 0 and would clip all the others away
    limit = np.where(bulk > 0, CLIP * bulk, np.inf)
    errors = np.where(there, np.clip(np.where(there, residual, 0.0), -limit, limit), 0.0)
    square = (errors**2).sum(axis=0) / np.maximum(count, 1)
    sigma = np.where(enough, np.maximum(np.sqrt(square), floor), np.inf)
    if not lag_one:
        return sigma, np.ones(residual.shape[1])
    both = there[1:] & there[:-1]
    first, second = errors[:-1] * both, errors[1:] * both
    scale = np.sqrt((first**2).sum(axis=0) * (second**2).sum(axis=0))
    told = enough & (both.sum(axis=0) >= least) & (scale > 0)
    rho = np.where(told, (first * second).sum(axis=0) / np.where(told, scale, 1.0), 0.0)
    rho = np.clip(rho, 0.0, MAX_CORRELATION)
    return sigma, (1 - rho) / (1 + rho)
