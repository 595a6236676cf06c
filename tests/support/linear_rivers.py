"""Small forests on which everything about a Gaussian prior and linear data can be written down densely."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from rivercut import graph
from rivergrad.inference.posterior import Posterior, gauge_posterior
from rivergrad.model.treeprior import TreePrior

Int = NDArray[np.int64]
Float = NDArray[np.float64]


def random_forest(rng: np.random.Generator, n: int, reach: int, basins: float) -> Int:
    """Each reach flows into one of the next `reach`, or is an outlet with probability `basins`; relabelled."""
    down = np.array([min(i + 1 + int(rng.integers(reach)), n) for i in range(n)])
    down[(rng.random(n) < basins) | (down == n)] = -1
    new = rng.permutation(n)
    out = np.full(n, -1)
    out[new] = np.where(down >= 0, new[np.maximum(down, 0)], -1)
    return out


@st.composite
def forests(draw: st.DrawFn, most: int = 30) -> Int:
    """Chains, bushes, stars, single reaches, one basin or many."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n = draw(st.integers(1, most))
    reach = draw(st.sampled_from([1, 3, most]))
    return random_forest(rng, n, reach, draw(st.sampled_from([0.0, 0.1, 0.4, 1.0])))


def dense_precision(downstream: Int, tau: Float, kappa: Float) -> Float:
    """Q of all fields, (F n, F n), edge by edge."""
    n = downstream.size
    blocks = np.zeros((tau.size * n, tau.size * n))
    for f in range(tau.size):
        q = np.eye(n)
        for i, d in enumerate(downstream):
            if d >= 0:
                e = np.zeros(n)
                e[i], e[d] = 1, -1
                q += kappa[f] * np.outer(e, e)
        blocks[f * n : (f + 1) * n, f * n : (f + 1) * n] = q / tau[f] ** 2
    return blocks


def by_field(each: list[Float]) -> Float:
    """X, (F, n, P), of coefficients that each belong to one field, (n, p) for each field."""
    size = np.cumsum([0, *(x.shape[1] for x in each)])
    out = np.zeros((len(each), each[0].shape[0], size[-1]))
    for f, x in enumerate(each):
        out[f, :, size[f] : size[f + 1]] = x
    return out


@dataclass
class LinearRiver:
    """Gauges that see all reaches upstream of them in some way, linearly; z = X b + u with F = 2 fields.

    Attributes:
        gauges: (G,) their reaches; jacobian: (G values, F n), gauge after gauge; weights: (G values,);
        regressors: (F, n, P); b_sd: (P,), another one for each coefficient.
    """

    downstream: Int
    prior: TreePrior
    basin: Int
    gauges: Int
    jacobian: Float
    weights: Float
    regressors: Float
    b_sd: Float

    @classmethod
    def draw(
        cls,
        downstream: Int,
        gauges: Int,
        seed: int,
        kappa: float = 0.7,
        values: int = 12,
        columns: tuple[int, int] = (2, 1),
        strength: float = 2.0,
    ) -> LinearRiver:
        """`values` values at each of the gauged reaches, each with all reaches upstream in it."""
        rng = np.random.default_rng(seed)
        n = downstream.size
        order = graph.topological_order(downstream)
        rows = []
        for gauge in gauges:
            upstream = np.zeros(n, bool)
            upstream[gauge] = True
            for i in order[::-1]:
                if downstream[i] >= 0 and upstream[downstream[i]]:
                    upstream[i] = True
            rows.append(strength * rng.standard_normal((values, 2, n)) * upstream)
        jacobian = np.concatenate(rows).reshape(-1, 2 * n) if rows else np.zeros((0, 2 * n))
        prior = TreePrior(downstream, order, np.array([0.5, 1.5]), np.array([kappa, 0.3 * kappa]))
        each = [np.column_stack([np.ones(n), rng.standard_normal((n, 3))])[:, :k] for k in columns]
        regressors = by_field(each)
        b_sd = np.concatenate([sd / (1 + np.arange(k)) for sd, k in zip((2.0, 0.7), columns, strict=True)])
        weights = rng.uniform(0.2, 2.0, len(jacobian))
        basin = np.asarray(graph.basins(downstream, order))
        return cls(downstream, prior, basin, np.asarray(gauges), jacobian, weights, regressors, b_sd)

    @property
    def matrix(self) -> Float:
        """F, (F n, F n)."""
        return self.jacobian.T @ (self.weights[:, None] * self.jacobian)

    def information(self, v: Float) -> Float:
        return (self.matrix @ v.ravel()).reshape(v.shape)

    def tangent(self, v: Float) -> Float:
        """√W J v, (values, G)."""
        change = np.sqrt(self.weights) * (self.jacobian @ v.ravel())
        return change.reshape(self.gauges.size, change.size // max(self.gauges.size, 1)).T

    def pull(self, seed: Float) -> Float:
        """Jᵀ √W s."""
        return (self.jacobian.T @ (np.sqrt(self.weights) * seed.T.ravel())).reshape(self.prior.shape)

    @property
    def precision(self) -> Float:
        return dense_precision(self.downstream, self.prior.tau, np.asarray(self.prior.kappa))

    @property
    def design(self) -> Float:
        """X of all fields, (F n, P)."""
        return self.regressors.reshape(-1, self.regressors.shape[-1])

    def joint(self) -> Float:
        """Covariance of (b, u) after the data, from the inverse of their joint precision."""
        both = np.concatenate([self.design, np.eye(self.design.shape[0])], axis=1)
        precision = both.T @ self.matrix @ both
        p = self.design.shape[1]
        precision[:p, :p] += np.diag(1 / self.b_sd**2)
        precision[p:, p:] += self.precision
        return np.linalg.inv(precision)


def posterior_of(
    river: LinearRiver, products: int, seed: int = 1, *, tangent: Any = None, **options: Any
) -> Posterior:
    """`gauge_posterior` of a river; `tangent` stands in for its own."""
    return gauge_posterior(
        river.tangent if tangent is None else tangent,
        river.pull,
        river.prior,
        river.basin,
        river.gauges,
        river.regressors,
        river.b_sd,
        products,
        seed,
        **options,
    )
