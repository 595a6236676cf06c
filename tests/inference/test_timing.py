"""Runoff that is late by one number: its least-squares problem, and what not knowing it does to intervals."""

from __future__ import annotations

import numpy as np
import pytest
from exact_posterior import exact_posterior
from linear_rivers import LinearRiver, posterior_of, random_forest

from rivergrad.inference.gaussnewton import gauss_newton_step
from rivergrad.inference.posterior import with_nuisance
from rivergrad.inference.timing import Delayed, delay_slope, delayed, delayed_transposed
from rivergrad.model.layout import Layout
from rivergrad.model.prior import Prior

Float = np.ndarray


def test_a_delayed_parabola_is_the_parabola_later() -> None:
    t = np.arange(9.0)
    series = np.stack([t**2 - 3 * t, 2 * t], axis=-1)[None]
    for delay in (-0.7, 0.0, 0.3):
        late = np.stack([(t - delay) ** 2 - 3 * (t - delay), 2 * (t - delay)], axis=-1)[None]
        np.testing.assert_allclose(delayed(series, delay)[:, 1:-1], late[:, 1:-1], atol=1e-12)
        np.testing.assert_array_equal(delayed(series, delay)[:, [0, -1]], series[:, [0, -1]])


def test_slope_and_transpose() -> None:
    rng = np.random.default_rng(0)
    series, seed = rng.standard_normal((2, 2, 12, 3))
    h = 1e-6
    slope = (delayed(series, 0.3 + h) - delayed(series, 0.3 - h)) / (2 * h)
    np.testing.assert_allclose(delay_slope(series, 0.3), slope, atol=1e-8)
    left, right = (delayed(series, 0.3) * seed).sum(), (series * delayed_transposed(seed, 0.3)).sum()
    assert left == pytest.approx(right, rel=1e-12)


class Linear:
    """Discharge (1, time, gauge) that is linear in one shared coefficient and the deviations."""

    def __init__(self, base: Float, by_shared: Float, jacobian: Float) -> None:
        self.base, self.by_shared, self.jacobian = base, by_shared, jacobian  # (t, g), (t, g), (t, g, F, n)

    def linearise(self, shared: Float, free: Float) -> Float:
        return self.base[None] + self.tangent(free, shared)

    def tangent(self, free: Float, shared: Float | None = None) -> Float:
        found = np.einsum("tgfn,fn->tg", self.jacobian, free)[None]
        return found if shared is None else found + shared[0] * self.by_shared

    def pull(self, seed: Float) -> tuple[Float, Float]:
        return np.array([(self.by_shared * seed[0]).sum()]), np.einsum("tgfn,tg->fn", self.jacobian, seed[0])

    def weigh(self, weight: Float) -> None:
        raise AssertionError("not asked for")

    def information(self, shared: Float, free: Float) -> tuple[Float, Float]:
        raise AssertionError("not asked for")


def linear_problem() -> tuple[Linear, LinearRiver]:
    rng = np.random.default_rng(1)
    river = LinearRiver.draw(random_forest(rng, 12, 3, 0.1), np.array([9, 4, 11]), 1, 0.7, values=30)
    t = np.arange(30)
    base = np.stack([np.sin(t / (4 + g)) + np.cos(t / 3) for g in range(3)], axis=-1)
    jacobian = np.moveaxis(river.jacobian.reshape(3, 30, 2, 12), 0, 1)
    return Linear(base, rng.standard_normal((30, 3)), 0.05 * jacobian), river


def test_celerities_and_delay_are_found_together() -> None:
    """From discharge that is late by 0.3 steps, with deviations that gauges tell of: both come out."""
    problem, river = linear_problem()
    rng = np.random.default_rng(2)
    timed = Delayed(problem, Layout.of({"one": ()}))
    truth = np.array([0.4, 0.3]), river.prior.sample(rng, 1)[0]
    seen = timed.linearise(*truth)
    prior = Prior(timed.layout, np.zeros(2), np.array([1.0, 0.5]), river.prior, 12, 2)
    weight = np.full(seen.shape, 1e6)
    at, free = np.zeros(2), np.zeros((2, 12))
    discharge = timed.linearise(at, free)
    for _ in range(6):
        at, free, discharge, _ = gauss_newton_step(
            timed, prior, at, free, discharge, seen, lambda r, q: weight, 1e-8, 200
        )
    np.testing.assert_allclose(at, truth[0], atol=0.01)
    assert np.abs(discharge - seen).max() < 1e-2
    timed.weigh(weight)
    direction = rng.standard_normal(2), rng.standard_normal((2, 12))
    other = rng.standard_normal(2), rng.standard_normal((2, 12))
    one, two = timed.information(*direction), timed.information(*other)
    assert (one[0] * other[0]).sum() + (one[1] * other[1]).sum() == pytest.approx(
        (two[0] * direction[0]).sum() + (two[1] * direction[1]).sum(), rel=1e-9
    )


@pytest.mark.parametrize("sd", [0.01, 0.5, 100.0])
def test_not_knowing_the_delay_against_the_dense_joint_inverse(sd: float) -> None:
    problem, river = linear_problem()
    toward = delay_slope(problem.base[None], 0.0)[0].T.ravel()  # gauge after gauge, as the river's values
    pulled = (river.jacobian.T @ (river.weights * toward)).reshape(river.prior.shape)
    square = float(river.weights @ toward**2)
    found = exact_posterior(
        river.jacobian, river.weights, river.prior, river.regressors, river.b_sd, river.basin
    )
    known, delay_sd = with_nuisance(found, pulled, square, sd)
    both = np.concatenate([river.jacobian @ river.design, river.jacobian, toward[:, None]], axis=1)
    p = river.design.shape[1]
    precision = both.T @ (river.weights[:, None] * both)
    precision[:p, :p] += np.diag(1 / river.b_sd**2)
    precision[p:-1, p:-1] += river.precision
    precision[-1, -1] += 1 / sd**2
    joint = np.linalg.inv(precision)
    latent = np.concatenate([river.design, np.eye(24), np.zeros((24, 1))], axis=1)
    np.testing.assert_allclose(known.variance.ravel(), np.diag(latent @ joint @ latent.T), rtol=1e-7)
    assert delay_sd == pytest.approx(joint[-1, -1] ** 0.5, rel=1e-7)
    np.testing.assert_array_equal(known.identifiability, found.identifiability)
    few = posterior_of(river, 3, 0, checks=0)
    less, _ = with_nuisance(few, pulled, square, sd)
    assert (less.variance > known.variance * (1 - 1e-8)).all()
    assert (known.variance >= found.variance).all()
