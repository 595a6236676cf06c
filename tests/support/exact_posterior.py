"""The posterior from the dense Jacobian, without approximation: what the one from products has to agree with."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rivergrad.inference.lowrank import Groups, LowRank
from rivergrad.inference.posterior import Posterior, assemble
from rivergrad.model.treeprior import TreePrior

Float = NDArray[np.float64]


def exact_posterior(
    jacobian: Float,
    weights: ArrayLike,
    prior: TreePrior,
    regressors: Float | None,
    b_sd: ArrayLike,
    basin: ArrayLike | None = None,
) -> Posterior:
    """As `gauge_posterior`, from J (values, F n) and weights (values,) of squared residuals, or W (values, values)."""
    fields, n = prior.shape
    w = np.asarray(weights, np.float64)
    weighted = w[:, None] * jacobian if w.ndim == 1 else w @ jacobian
    group = np.zeros(n, np.int64) if basin is None else np.asarray(basin)
    rows = prior.colour_transposed(jacobian.reshape(-1, fields, n))
    images = prior.colour_transposed(weighted.reshape(-1, fields, n))
    every = Groups.of(group, fields)
    label, number = np.unique(group, return_inverse=True)
    touched = (rows != 0).any(axis=(0, 1))
    groups = every.select(np.bincount(number, touched, minlength=label.size) > 0)
    left, right = groups.pack(rows), groups.pack(images)
    q = int(groups.size.max(initial=1))
    values, vectors = np.zeros((groups.label.size, q)), np.zeros((groups.slot.size, q))
    for g in range(groups.label.size):
        at = slice(groups.pointer[g], groups.pointer[g + 1])
        full = left[:, at].T @ right[:, at]
        found, turned = np.linalg.eigh((full + full.T) / 2)
        values[g, : found.size] = np.maximum(found[::-1], 0)
        vectors[at, : found.size] = turned[:, ::-1]
    nothing = np.zeros(groups.label.size)
    basis = LowRank(groups, values, vectors, nothing == 0, nothing, nothing, calls=0)
    columns = np.zeros((0, *prior.shape)) if regressors is None else np.moveaxis(regressors, -1, 0)
    return assemble(basis, prior, columns, np.broadcast_to(b_sd, columns.shape[:1]), group)
