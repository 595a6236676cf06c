"""Gauss-Newton over a real routing: the minimum that scipy finds, under any partition."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import least_squares as scipy_least_squares
from sweep_problems import Float, doubtful, off, prepare, small_problem

from rivercut.partition import Partition, partition
from rivergrad.cluster.executor import open_executor
from rivergrad.inference.gaussnewton import gauss_newton_step
from rivergrad.model.prior import Prior
from rivergrad.model.treeprior import TreePrior
from rivergrad.pieces.leastsquares import LeastSquares

REACHES = 30
STEPS = 7


@pytest.mark.slow
@pytest.mark.parametrize("kappa", [0.0, 1.5])
def test_finds_the_minimum_that_scipy_finds(kappa: float) -> None:
    one = doubtful(small_problem(n=REACHES))
    n_shared, form = one.shared.size, one.free.shape
    mean, sd = one.shared, np.concatenate([[2.0, 1.0, 1.0, 0.5], np.full(n_shared - 4, 0.3)])
    tree = TreePrior(one.network.downstream, one.network.order, np.array([0.4, 0.4]), kappa)
    prior = Prior(one.layout, mean, sd, tree, REACHES, form[0])

    def observations(problem: LeastSquares) -> tuple[Float, Float]:
        """Of other parameters, with noise and gaps, and their weights."""
        rng = np.random.default_rng(0)
        observed = problem.linearise(
            mean + 0.2 * rng.standard_normal(n_shared), 0.3 * rng.standard_normal(form)
        )
        noise = 0.05 * observed.std()
        observed += noise * rng.standard_normal(observed.shape)
        observed[rng.random(observed.shape) < 0.2] = np.nan
        return observed, np.where(np.isnan(observed), 0.0, 1 / noise**2)

    def steps(problem: LeastSquares) -> tuple[Float, list[float]]:
        observed, weight = observations(problem)
        shared, free = mean, np.zeros(form)
        q, values = problem.linearise(shared, free), []
        for _ in range(STEPS):
            shared, free, q, did = gauss_newton_step(
                problem, prior, shared, free, q, observed, lambda r, q: weight, 1e-6, 100
            )
            assert did.after <= did.before
            values.append(did.after)
        return np.concatenate([shared, free.ravel()]), values

    def scipys(problem: LeastSquares) -> tuple[Float, float]:
        """Over the same sum of squares, the prior's written as residuals, with differences for the Jacobian."""
        observed, weight = observations(problem)

        def residuals(z: Float) -> Float:
            shared, free = z[:n_shared], z[n_shared:].reshape(form)
            r = np.where(weight > 0, problem.linearise(shared, free) - observed, 0.0)
            return np.concatenate(
                [(np.sqrt(weight) * r).ravel(), (shared - mean) / sd, tree.whiten(free).ravel()]
            )

        start = np.concatenate([mean, np.zeros(np.prod(form))])
        found = scipy_least_squares(residuals, start, method="lm", xtol=1e-8, ftol=1e-10)
        return found.x, float(found.cost)

    with open_executor(0) as executor:

        def problem(cut: Partition) -> LeastSquares:
            made = prepare(replace(one, free=np.zeros(form)), cut, executor, "float64")
            return LeastSquares(made.sweep, one.windows, REACHES, n_shared, made.split, made.join)

        found, values = steps(problem(partition(one.network, 1)))
        across, _ = steps(problem(partition(one.network, 2, spread=True, block_reaches=6)))
        expected, cost = scipys(problem(partition(one.network, 1)))
    assert values[-1] == pytest.approx(cost, rel=1e-6)
    assert values[3] < 1.01 * cost  # in a few steps
    np.testing.assert_allclose(found, expected, atol=2e-3)
    assert off(across, found) < 1e-6
