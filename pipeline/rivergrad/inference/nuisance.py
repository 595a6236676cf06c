"""Further shared coefficients in a posterior: those that change discharge without being latent values of reaches."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from rivergrad.inference.lowrank import gain_of
from rivergrad.inference.posterior import Posterior

Float = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Beside:
    """What is known of the further coefficients t after the data.

    Attributes:
        covariance: (H, H) of t.
        correlation: (P, H) of each shared coefficient b with each of t.
        alone: (H,) variance that each would have if the latent values were known.
    """

    covariance: Float
    correlation: Float
    alone: Float


def beside(found: Posterior, pulled: Float, square: Float, sd: Float) -> tuple[Posterior, Beside]:
    """The posterior where discharge also depends on t ~ N(0, diag(sd²)) that all gauges share, q(z) + D t.

    As `with_nuisance`, for several numbers: with K = Dᵀ W D less what z explains of it, cov(t) = (diag(1/sd²) + K)⁻¹,
    and z follows t by dz/dt.

    Args:
        found: as if t were known.
        pulled: (H, F, n) Jᵀ W D; square: (H, H) Dᵀ W D; sd: (H,).

    Returns:
        The posterior with the variance of z whatever t may be (identifiability stays that where t is known), and what
        is known of t. What the low rank lacks makes variances larger.
    """
    count = sd.size
    cross = np.einsum("pfn,hfn->ph", found._follow, pulled)
    taken = found.shared_covariance @ cross  # −db/dt
    white, inner, follow = _moved(found, pulled, taken)
    told = square - np.einsum("hfn,gfn->hg", white, inner) - cross.T @ taken
    value, vector = np.linalg.eigh((told + told.T) / 2)  # rounding must not make information negative
    told = (vector * np.maximum(value, 0.0)) @ vector.T
    covariance = np.linalg.inv(np.diag(1 / sd**2) + told)
    more = np.einsum("hfn,hg,gfn->fn", follow, covariance, follow, optimize=True)
    joint = -taken @ covariance
    variance = np.diag(found.shared_covariance) + np.einsum("ph,hg,pg->p", taken, covariance, taken)
    scale = np.sqrt(np.outer(variance, np.diag(covariance)))
    correlation = np.divide(joint, scale, out=np.zeros((variance.size, count)), where=scale > 0)
    alone = np.diag(np.linalg.inv(np.diag(1 / sd**2) + (square + square.T) / 2))
    return replace(found, variance=found.variance + more), Beside(covariance, correlation, alone)


def moved(found: Posterior, pulled: Float) -> Float:
    """(H, F, n) by how much errors e of discharge move the most probable latent values.

    Args:
        found: the posterior; pulled: (H, F, n) Jᵀ W e.
    """
    taken = found.shared_covariance @ np.einsum("pfn,hfn->ph", found._follow, pulled)
    return _moved(found, pulled, taken)[2]


def _moved(found: Posterior, pulled: Float, taken: Float) -> tuple[Float, Float, Float]:
    """`pulled` where the prior is the identity, what is left of it after the data, and the latent values' move."""
    prior = found.prior
    white = np.stack([prior.colour_transposed(one) for one in pulled])
    inner = white - found.basis.through(gain_of, white)
    follow = np.stack(
        [
            prior.colour(one) + np.einsum("pfn,p->fn", found._follow, taken[:, h])
            for h, one in enumerate(inner)
        ]
    )
    return white, inner, follow
