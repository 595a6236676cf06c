"""Further shared coefficients in a posterior, against the dense covariance of everything."""

from __future__ import annotations

import numpy as np

from rivergrad.inference.nuisance import beside, moved
from rivergrad.inference.posterior import gauge_posterior
from rivergrad.model.treeprior import TreePrior


def test_beside_is_the_dense_marginal() -> None:
    rng = np.random.default_rng(2)
    n, gauges, values, b_sd, t_sd = 6, 2, 30, np.array([2.0, 0.7]), np.array([1.5, 0.4])
    down = np.array([2, 2, 4, 4, 5, -1])
    prior = TreePrior(down, np.arange(n), np.array([0.8]), 0.5)
    reach = np.array([2, 5])
    upstream = {2: [0, 1, 2], 5: list(range(n))}
    jacobian = np.zeros((values, gauges, n))
    for g, r in enumerate(reach):
        jacobian[:, g, upstream[r]] = rng.standard_normal((values, len(upstream[r])))
    shared = np.stack([np.ones(n), rng.standard_normal(n)], axis=1)  # X
    direct = rng.standard_normal((values, gauges, 2))  # D
    found = gauge_posterior(
        lambda v: np.einsum("vgn,fn->vg", jacobian, v),
        lambda s: np.einsum("vgn,vg->n", jacobian, s)[None],
        prior,
        np.zeros(n, int),
        reach,
        shared[None],
        b_sd,
        40,
        1,
    )
    pulled = np.stack([np.einsum("vgn,vg->n", jacobian, direct[..., h])[None] for h in range(2)])
    square = np.einsum("vgh,vgk->hk", direct, direct)
    got, known = beside(found, pulled, square, t_sd)

    flat = jacobian.reshape(-1, n)
    design = np.concatenate([flat @ shared, direct.reshape(-1, 2), flat], axis=1)
    before = np.linalg.inv(
        np.stack([prior.colour(prior.colour_transposed(row[None])) for row in np.eye(n)])[:, 0]
    )
    precision = design.T @ design
    precision[:4, :4] += np.diag(1 / np.concatenate([b_sd, t_sd]) ** 2)
    precision[4:, 4:] += before
    covariance = np.linalg.inv(precision)
    np.testing.assert_allclose(known.covariance, covariance[2:4, 2:4], rtol=1e-6, atol=1e-12)
    alone = np.diag(np.linalg.inv(precision[2:4, 2:4]))  # all else known
    np.testing.assert_allclose(known.alone, alone, rtol=1e-9)
    assert (known.alone < np.diag(known.covariance)).all()
    root = np.sqrt(np.diag(covariance))
    dense = covariance[:2, 2:4] / np.outer(root[:2], root[2:4])
    np.testing.assert_allclose(known.correlation, dense, rtol=1e-5, atol=1e-7)
    latent = np.concatenate([shared, np.zeros((n, 2)), np.eye(n)], axis=1)
    np.testing.assert_allclose(got.variance[0], np.diag(latent @ covariance @ latent.T), rtol=1e-6)

    known_t = np.delete(np.delete(precision, [2, 3], 0), [2, 3], 1)  # the move of z after errors of discharge
    error = np.einsum("kg->gk", direct.reshape(-1, 2))
    move = np.delete(latent, [2, 3], 1) @ np.linalg.inv(known_t) @ np.delete(design, [2, 3], 1).T @ error.T
    np.testing.assert_allclose(moved(found, pulled)[:, 0].T, move, rtol=1e-6, atol=1e-9)
