"""Scales that the data set themselves: of the deviations, and of the observations' errors.

Sources: MacKay (1992), doi:10.1162/neco.1992.4.3.415 (evidence); Bayley & Hammersley (1946),
doi:10.2307/2983560 (effective number of correlated values).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rivergrad.inference.posterior import Posterior
from rivergrad.model.treeprior import TreePrior

Float = NDArray[np.float64]

MIN_PAIRS = 10  # values, or pairs of successive values, from which a gauge's own error is told
CLIP = 5.0  # errors beyond so many standard deviations of the others count as that
NORMAL_90 = 1.6448536269514722  # 90 % of |x| lie below it, x standard normal
MAX_CORRELATION = 0.999


def update_tau(u: Float, posterior: Posterior, prior: TreePrior, most: float = 4.0) -> Float:
    """MacKay's update of the deviations' scale, τ² = uᵀ(I + κL)u / γ, (F,).

    Args:
        u: (F, n) most probable deviations under `prior`.
        posterior: around them; γ is its `effective`.
        prior: with the present tau.
        most: factor by which tau may change at once, up or down.

    A field of which the data determine less than one number keeps its tau.
    """
    energy, gamma = prior.energy(u), posterior.effective
    told = gamma >= 1
    tau = np.sqrt(energy / np.where(told, gamma, 1.0))
    return np.where(told, np.clip(tau, prior.tau / most, prior.tau * most), prior.tau)


def noise_scale(
    residual: Float, lag_one: bool = True, floor: float | ArrayLike = 0.0, least: int = MIN_PAIRS
) -> tuple[Float, Float]:
    """Size of the errors at each gauge, and the share of its values that count as independent.

    Errors are taken about zero: a bias is an error too, and one that makes values depend on each other. Those
    beyond `CLIP` standard deviations, told by the 90 % that are smallest in size, count as that many (the
    squares of discharge errors have too heavy a tail for plain moments, and medians see base flow only).

    Args:
        residual: (time, gauge), simulated − observed, NaN where missing.
        lag_one: allow for correlation ρ of successive values, as of an AR(1) process; pairs with a gap between
            them do not count.
        floor: (gauge,) or one number, the least error.
        least: values from which a gauge is told anything.

    Returns:
        sigma (gauge,), infinite where there are too few values (weight 1/σ² = 0); and the factor
        (1 − ρ)/(1 + ρ) (gauge,), within 0 and 1, which times the number of values is the effective one.
    """
    there = np.isfinite(residual)
    size = np.abs(np.where(there, residual, np.nan))
    count = there.sum(axis=0)
    enough = count >= least
    bulk = np.zeros(residual.shape[1])
    if enough.any():
        bulk[enough] = np.nanquantile(size[:, enough], 0.9, axis=0) / NORMAL_90
    # no limit where nine in ten errors are zero: the others are all there is
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
