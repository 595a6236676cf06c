"""What the gauges say about each reach: Laplace's approximation around the estimate, matrix-free.

The latent values of field f are z = X b + u with b ~ N(0, diag(s²)) shared by all reaches and u ~ N(0, Q⁻¹), see
`treeprior`. The prior of b is that of the fit: a standard deviation s for each coefficient. The information of the
data is F = Jᵀ W J (Gauss-Newton), known by products only. With C Cᵀ = Q⁻¹
and the low-rank approximation U diag(λ) Uᵀ of Cᵀ F C, block by block of basins,

    cov(u | b) = C (I − U diag(λ/(1+λ)) Uᵀ) Cᵀ
    cov(b)     = S = (diag(1/s²) + X̃ᵀ U diag(λ/(1+λ)) Uᵀ X̃)⁻¹,   X̃ = C⁻¹ X
    cov(z)     = cov(u | b) + w S wᵀ,                        w = C (X̃ − U diag(λ/(1+λ)) Uᵀ X̃)

The approximation never exceeds Cᵀ F C, so that variances come out too large rather than too small, and fall
towards the exact ones with every further product.

Sources: Bui-Thanh, Ghattas, Martin & Stadler (2013), doi:10.1137/12089586X; Spantini et al. (2015),
doi:10.1137/140977308 (low-rank updates of the prior); MacKay (1992), doi:10.1162/neco.1992.4.3.415 (effective
number of parameters).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rivergrad.errors import InputError, ids_text
from rivergrad.inference.gaugewise import by_stem
from rivergrad.inference.lowrank import NEGLIGIBLE, LowRank, gain_of, shrinking
from rivergrad.inference.stemrank import StemRank
from rivergrad.model.treeprior import TreePrior

Int = NDArray[np.int64]
Float = NDArray[np.float64]


AT_ONCE = 8
"""Draws that are made at once: more take more memory."""


@dataclass(frozen=True, eq=False)
class Posterior:
    """Uncertainty of the latent values, (F, n) arrays in the network's order.

    Attributes:
        variance: of z = X b + u.
        conditional_variance: of u where b is known.
        prior_variance: of u.
        prior_shared_variance: of X b.
        identifiability: 1 − conditional_variance / prior_variance, 0 to 1: 0 where no gauge informs the reach.
        effective: (F,) effective number of deviations that the data determine, N − tr(Q cov(u)); with κ = 0
            and known b the sum of the identifiabilities. Reaches that stand apart do not count.
        shared_covariance: (P, P) of all coefficients b.
        smallest: (groups,) smallest eigenvalue that was found in each group: directions that hold less
            information may be missing. 0 in a group without information or without anything missing.
        left_out: estimated information (trace of Cᵀ F C) that the low rank lacks, all groups together, and
        left_out_error: its standard error (not too small); NaN without checks.
        calls: products with the information (or with Jᵀ, each with one with J) that were taken.
        basis: the low-rank approximation; prior: the prior that it refers to.
    """

    variance: Float
    conditional_variance: Float
    prior_variance: Float
    prior_shared_variance: Float
    identifiability: Float
    effective: Float
    shared_covariance: Float
    smallest: Float
    left_out: float
    left_out_error: float
    calls: int
    basis: LowRank | StemRank
    prior: TreePrior
    _follow: Float  # w, (P, F, n)

    def identifiability_bound(self, errors: float = 2.0) -> Float:
        """What the identifiability may be at most, (F, n), given what was left out and `errors` standard errors.

        With R what the approximation lacks, cov(u | b) is at least the approximate one over 1 + ‖R‖, and ‖R‖
        is at most the trace of R in the group. NaN in the groups with information where there were no checks.
        """
        basis = self.basis
        rest = np.maximum(basis.left_out + errors * np.sqrt(basis.left_out_variance), 0.0)
        factor = basis.groups.unpack(basis.groups.spread(rest))
        return 1 - (1 - self.identifiability) / (1 + factor)

    def sample(self, rng: np.random.Generator, count: int, *, shared: bool = False) -> Float:
        """Draws of u where b is known, or with `shared` of z = X b + u, around zero: (count, F, n)."""
        return self._sample(rng, count, slice(None), shared)

    def sample_field(
        self, rng: np.random.Generator, count: int, field: int, *, shared: bool = False
    ) -> Float:
        """The same of one field, (count, n), with little memory besides."""
        return self._sample(rng, count, field, shared)

    def _sample(self, rng: np.random.Generator, count: int, field: int | slice, shared: bool) -> Float:
        draws = []
        for start in range(0, count, AT_ONCE):  # the numbers are those of all draws at once
            white = rng.standard_normal((min(AT_ONCE, count - start), *self.prior.shape))
            white += self.basis.through(shrinking, white)
            draws.append(np.ascontiguousarray(self.prior.colour(white)[:, field]))
        found = np.concatenate(draws)
        if shared and self._follow.shape[0]:
            root = np.linalg.cholesky(self.shared_covariance)
            b = rng.standard_normal((count, root.shape[0])) @ root.T
            follow = self._follow[:, field]
            for draw, coefficients in zip(found, b, strict=True):
                draw += np.tensordot(coefficients, follow, axes=1)
        return found


def with_nuisance(found: Posterior, pulled: Float, square: float, sd: float) -> tuple[Posterior, float]:
    """The posterior where discharge also depends on one number t ~ N(0, sd²) that all gauges share, q(z) + t d.

    Args:
        found: as if t were known.
        pulled: (F, n) Jᵀ W d; square: dᵀ W d.

    Returns:
        The posterior with the variance of z whatever t may be; what is said of u where b is known stays that where t
        is known as well. And the standard deviation of t after the data, at most sd: what the low rank lacks makes it
        larger.
    """
    basis, prior = found.basis, found.prior
    white = prior.colour_transposed(pulled)
    inner = white - basis.through(gain_of, white[None])[0]
    cross = np.einsum("pfn,fn->p", found._follow, pulled)
    taken = found.shared_covariance @ cross
    told = square - float((white * inner).sum()) - float(cross @ taken)
    precision = 1 / sd**2 + max(told, 0.0)
    follow = prior.colour(inner) + np.einsum("pfn,p->fn", found._follow, taken)  # −dz/dt
    return replace(found, variance=found.variance + follow**2 / precision), precision**-0.5


def gauge_posterior(
    tangent: Callable[[Float], Float],
    pull: Callable[[Float], Float],
    prior: TreePrior,
    basin: ArrayLike,
    gauge: ArrayLike,
    regressors: Float | None,
    b_sd: ArrayLike,
    products: int,
    seed: int,
    *,
    checks: int = 2,
    least: float = NEGLIGIBLE,
    most: int | None = None,
    progress: Callable[[int, int], None] | None = None,
    rows: int = 0,
) -> Posterior:
    """Uncertainty of every reach from products with the Jacobian and its transpose, see `gaugewise`.

    More products never find less.

    Args:
        tangent: √W J v, (values, G), for v (F, n); exactly 0 at a gauge that has no say.
        pull: Jᵀ √W s, (F, n), for s (values, G).
        basin: (n,) the tree of each reach.
        gauge: (G,) position of each gauge's reach.
        products: pulls, and as many tangents, 1 or more. It ends early where nothing more is to be found.
        regressors: X, (F, n, P), of each latent value by each coefficient; None for none.
        b_sd: (P,) prior standard deviation of each coefficient, or one number for all.
        seed: of the random start and checks.
        checks: more products, to estimate what was left out.
        least: information of a direction, against the prior's 1, below which its gauges are looked at no more.
        most: directions of a basin that are kept at once, for want of memory; None for all.
        progress: called with the products done and the products in all.
        rows: threads that work on rows of products, see `by_stem`; 0 keeps directions.

    Raises:
        InputError: arrays that do not fit, a group that splits a tree, or a b_sd that is not positive.
    """
    group = _checked_groups(basin, prior)
    columns, sd = _shared(regressors, b_sd, prior)
    rng = np.random.default_rng(seed)
    start = prior.sample(rng, 1)[0]
    for column, scale in zip(columns, sd, strict=True):
        start += scale * rng.standard_normal() * column
    basis = by_stem(
        tangent, pull, prior, group, gauge, products, rng, start, checks, least, most, progress, rows
    )
    return assemble(basis, prior, columns, sd, group)


def at_scale(
    found: Posterior, prior: TreePrior, regressors: Float | None, b_sd: ArrayLike, basin: ArrayLike
) -> Posterior:
    """The posterior under a prior whose deviations have another scale, without products.

    Cᵀ F C depends on the scale by a factor on each field, and the linearisation not at all. So the directions that were
    found serve again. A scale that is much larger would have asked for more of them.

    Args:
        found: under another scale; prior: with the new one; regressors, b_sd, basin: see `gauge_posterior`.
    """
    columns, sd = _shared(regressors, b_sd, prior)
    basis = found.basis.rescaled(prior.tau / found.prior.tau)
    return assemble(basis, prior, columns, sd, _checked_groups(basin, prior))


def _checked_groups(basin: ArrayLike, prior: TreePrior) -> Int:
    group = np.asarray(basin, np.int64)
    if group.shape != prior.downstream.shape:
        raise InputError(f"basin has shape {group.shape}; expected {prior.downstream.shape}")
    down = prior.downstream
    split = np.flatnonzero((down >= 0) & (group != group[down]))
    if split.size:
        raise InputError(
            f"basin: reaches at positions {ids_text(split)} flow into another group; expected whole trees"
        )
    return group


def _shared(regressors: Float | None, b_sd: ArrayLike, prior: TreePrior) -> tuple[Float, Float]:
    """The columns of X, (P, F, n), and the standard deviation of each coefficient, (P,)."""
    x = np.zeros((*prior.shape, 0)) if regressors is None else np.asarray(regressors, np.float64)
    if x.shape[:-1] != prior.shape:
        raise InputError(
            f"regressors have shape {x.shape}; expected {prior.shape} and a column for each coefficient"
        )
    sd = np.asarray(b_sd, np.float64)
    if sd.shape not in ((), x.shape[-1:]) or not (np.isfinite(sd) & (sd > 0)).all():
        raise InputError(
            f"b_sd is {sd.tolist()}; expected a positive number for each of {x.shape[-1]} coefficients"
        )
    return np.ascontiguousarray(np.moveaxis(x, -1, 0)), np.broadcast_to(sd, x.shape[-1:])


def assemble(basis: LowRank | StemRank, prior: TreePrior, columns: Float, sd: Float, group: Int) -> Posterior:
    """The posterior from the information as the low-rank approximation has it.

    Args:
        basis: of Cᵀ F C.
        prior: of the deviations.
        columns: X, (P, F, n); sd: (P,) prior standard deviations of the coefficients.
        group: (n,) basin of each reach.
    """
    groups, shape = basis.groups, prior.shape
    prior_variance = prior.variance()
    conditional = prior_variance.copy()
    told: Float = basis.take_off(prior, conditional)  # diag(U λ/(1+λ) Uᵀ)
    # what subtracting leaves of a variance that the data nearly take away
    conditional = np.maximum(conditional, np.finfo(np.float64).eps * prior_variance)

    p = len(columns)
    follow = np.zeros((p, *shape))
    shared_prior = np.zeros(shape)
    covariance: Float = np.zeros((p, p))
    if p:
        information, explained = basis.explain(np.stack([prior.whiten(x) for x in columns]))
        covariance = np.asarray(np.linalg.inv(np.diag(1 / sd**2) + information), np.float64)
        covariance = (covariance + covariance.T) / 2
        follow = columns - prior.colour(explained)
        told = told - np.einsum("pfn,pfn->fn", explained, np.tensordot(covariance, explained, axes=1))
        shared_prior = np.einsum("pfn,p->fn", columns**2, sd**2)
    variance = conditional + np.einsum(
        "pfn,pfn->fn", follow, np.tensordot(covariance, follow, axes=1), optimize=True
    )

    labels = np.unique(group)
    smallest = np.zeros(labels.size)
    found = basis.smallest
    smallest[np.searchsorted(labels, groups.label)] = np.where(
        basis.complete | ~np.isfinite(found), 0.0, found
    )
    return Posterior(
        variance=variance,
        conditional_variance=conditional,
        prior_variance=prior_variance,
        prior_shared_variance=shared_prior,
        identifiability=np.clip(1 - conditional / prior_variance, 0.0, 1.0),
        effective=np.where(prior.apart, 0.0, told).sum(axis=1),
        shared_covariance=covariance,
        smallest=smallest,
        left_out=float(basis.left_out.sum()),
        left_out_error=float(np.sqrt(basis.left_out_variance.sum())),
        calls=basis.calls,
        basis=basis,
        prior=prior,
        _follow=follow,
    )
