"""Gauss-Newton steps: exact where the problem is linear, never uphill where it is not."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from linear_rivers import dense_precision, random_forest
from numpy.typing import NDArray

from rivercut import graph
from rivergrad.inference.gaussnewton import gauss_newton_step
from rivergrad.model.layout import Layout
from rivergrad.model.prior import Prior
from rivergrad.model.treeprior import TreePrior

Float = NDArray[np.float64]
SHAPE = (2, 15, 4)  # window, time, gauge


@dataclass
class Curved:
    """q(z) = c + A z + bend sin(B z), z = (shared, deviations): linear without bend."""

    level: Float
    matrix: Float
    inner: Float
    bend: float
    n_shared: int
    form: tuple[int, int]
    wrong: float = 1.0  # what the information is multiplied by: below one, steps go too far
    weight: Float | None = None
    visited: list[Float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.at = np.zeros(self.matrix.shape[1])

    def discharge(self, z: Float) -> Float:
        return (self.level + self.matrix @ z + self.bend * np.sin(self.inner @ z)).reshape(SHAPE)

    @property
    def jacobian(self) -> Float:
        return self.matrix + self.bend * np.cos(self.inner @ self.at)[:, None] * self.inner

    def linearise(self, shared: Float, free: Float) -> Float:
        self.at = np.concatenate([shared, free.ravel()])
        self.visited.append(self.at)
        return self.discharge(self.at)

    def weigh(self, weight: Float) -> None:
        self.weight = weight

    def _apart(self, z: Float) -> tuple[Float, Float]:
        return z[: self.n_shared], z[self.n_shared :].reshape(self.form)

    def pull(self, seed: Float) -> tuple[Float, Float]:
        return self._apart(self.jacobian.T @ seed.ravel())

    def information(self, shared: Float, free: Float) -> tuple[Float, Float]:
        assert self.weight is not None
        image = self.jacobian @ np.concatenate([shared, free.ravel()])
        return self._apart(self.wrong * self.jacobian.T @ (self.weight.ravel() * image))


@dataclass
class Setting:
    problem: Curved
    prior: Prior
    observed: Float
    weight: Float
    precision: Float  # of everything, dense

    def weigh(self, residual: Float, discharge: Float) -> Float:
        assert residual.shape == discharge.shape == SHAPE
        assert not residual[np.isnan(self.observed)].any()
        return np.where(np.isnan(self.observed), 0.0, self.weight)

    def start(self) -> tuple[Float, Float]:
        return self.prior.mean + 0.1, np.full((self.prior.n_free, self.prior.n_reaches), 0.2)

    def objective(self, shared: Float, free: Float) -> float:
        """½ Σ w r² + ½ (z − z₀)ᵀ P (z − z₀), from its definition."""
        z = np.concatenate([shared, free.ravel()])
        residual = np.nan_to_num(self.problem.discharge(z) - self.observed, nan=0.0)
        away = z - self.centre
        return 0.5 * float((self.weight * residual**2).sum() + away @ self.precision @ away)

    @property
    def centre(self) -> Float:
        return np.concatenate([self.prior.mean, np.zeros(self.prior.n_free * self.prior.n_reaches)])

    def step(self, shared: Float, free: Float, tolerance: float = 1e-12, most: int = 500):  # type: ignore[no-untyped-def]
        return gauss_newton_step(
            self.problem, self.prior, shared, free, self.problem.linearise(shared, free), self.observed, self.weigh,
            tolerance, most,
        )  # fmt: skip


def setting(seed: int, bend: float = 0.0, tree: bool = True, wrong: float = 1.0) -> Setting:
    rng = np.random.default_rng(seed)
    n_shared, n_free, n = 3, 2, 9
    down = random_forest(rng, n, 3, 0.2)
    tau, kappa = np.array([0.5, 1.5]), np.array([0.7, 0.0])
    mean, sd = rng.standard_normal(n_shared), rng.uniform(0.5, 2.0, n_shared)
    deviations = TreePrior(down, graph.topological_order(down), tau, kappa) if tree else None
    size, values = n_shared + n_free * n, int(np.prod(SHAPE))
    matrix = rng.standard_normal((values, size))
    if not tree:
        matrix[:, n_shared:] = 0.0
    inner = rng.standard_normal((values, size)) * (matrix != 0)
    observed = rng.standard_normal(SHAPE) * 3
    observed[rng.random(SHAPE) < 0.3] = np.nan
    precision = np.zeros((size, size))
    precision[:n_shared, :n_shared] = np.diag(1 / sd**2)
    if tree:
        precision[n_shared:, n_shared:] = dense_precision(down, tau, kappa)
    return Setting(
        Curved(rng.standard_normal(values), matrix, inner, bend, n_shared, (n_free, n), wrong),
        Prior(Layout.of({"all": (n_shared,)}), mean, sd, deviations, n, n_free),
        observed,
        rng.uniform(0.2, 3.0, SHAPE),
        precision,
    )


@pytest.mark.parametrize("tree", [True, False])
def test_one_step_solves_a_linear_problem(tree: bool) -> None:
    """(Aᵀ W A + P) z = Aᵀ W (observed − c) + P z₀, whatever the start; values that are missing count for nothing."""
    one = setting(1, tree=tree)
    shared, free, discharge, did = one.step(*one.start())
    present = ~np.isnan(one.observed.ravel())
    weight = np.where(present, one.weight.ravel(), 0.0)
    target = np.where(present, one.observed.ravel() - one.problem.level, 0.0)
    if not tree:
        assert (free == one.start()[1]).all()  # no prior, no deviations: they stay
        shape = slice(0, 3)
    else:
        shape = slice(None)
    matrix = one.problem.matrix[:, shape]
    precision = one.precision[shape, shape]
    exact = np.linalg.solve(
        matrix.T @ (weight[:, None] * matrix) + precision,
        matrix.T @ (weight * target) + precision @ one.centre[shape],
    )
    np.testing.assert_allclose(np.concatenate([shared, free.ravel()])[shape], exact, rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(discharge, one.problem.discharge(np.concatenate([shared, free.ravel()])))
    assert did.length == 1.0
    assert did.after < did.before
    again = one.step(shared, free)
    assert again[3].moved < 1e-7


def test_what_it_says_it_did() -> None:
    one = setting(2, bend=0.3)
    start = one.start()
    shared, free, _, did = one.step(*start)
    assert did.before == pytest.approx(one.objective(*start), rel=1e-12)
    assert did.after == pytest.approx(one.objective(shared, free), rel=1e-12)
    sizes = [float(np.sqrt(np.mean(change**2))) for change in (shared - start[0], free - start[1])]
    assert did.moved == pytest.approx(max(sizes), rel=1e-9)
    assert 0 < did.products <= 500
    # the problem is left linearised where the point is
    np.testing.assert_array_equal(one.problem.at, np.concatenate([shared, free.ravel()]))


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    bend=st.sampled_from([0.1, 1.0, 5.0, 30.0]),
    wrong=st.sampled_from([1.0, 0.1, 1e-3, 1e-6]),
    most=st.sampled_from([1, 3, 200]),
)
def test_never_uphill(seed: int, bend: float, wrong: float, most: int) -> None:
    """Whatever the curvature, and even where the information is far too small, so that steps go far too far."""
    one = setting(seed, bend, wrong=wrong)
    shared, free = one.start()
    for _ in range(4):
        before = one.objective(shared, free)
        new, moved, discharge, did = one.step(shared, free, 1e-6, most)
        after = one.objective(new, moved)
        assert after <= before
        np.testing.assert_array_equal(one.problem.at, np.concatenate([new, moved.ravel()]))
        np.testing.assert_array_equal(discharge, one.problem.discharge(one.problem.at))
        if did.length == 0.0:
            np.testing.assert_array_equal(new, shared)
            np.testing.assert_array_equal(moved, free)
            assert did.moved == 0.0
            assert did.after == did.before
        else:
            assert np.log2(did.length) == round(np.log2(did.length))
            assert after < before
        shared, free = new, moved


def test_a_prior_alone_brings_everything_back_to_it() -> None:
    """Without a single observation the most probable values are the prior's own."""
    one = setting(3, bend=0.5)
    one.observed[:] = np.nan
    shared, free, _, _ = one.step(*one.start())
    np.testing.assert_allclose(shared, one.prior.mean, atol=1e-9)
    np.testing.assert_allclose(free, 0.0, atol=1e-9)


class TestPrior:
    def test_gradient_is_that_of_its_value(self) -> None:
        one = setting(4)
        rng = np.random.default_rng(0)
        shared, free = rng.standard_normal(3), rng.standard_normal((2, 9))
        along, toward = rng.standard_normal(3), rng.standard_normal((2, 9))
        slope = one.prior.gradient(shared, free)
        h = 1e-5
        forth = one.prior.value(shared + h * along, free + h * toward)
        back = one.prior.value(shared - h * along, free - h * toward)
        expected = float(slope[0] @ along + (slope[1] * toward).sum())
        assert (forth - back) / (2 * h) == pytest.approx(expected, rel=1e-6)

    def test_is_the_identity_in_white_coordinates(self) -> None:
        """C Cᵀ = P⁻¹: from_white after to_white is the prior's covariance."""
        one = setting(5)
        rng = np.random.default_rng(1)
        shared, free = rng.standard_normal(3), rng.standard_normal((2, 9))
        back = one.prior.from_white(one.prior.to_white(shared, free))
        expected = np.linalg.solve(one.precision, np.concatenate([shared, free.ravel()]))
        np.testing.assert_allclose(np.concatenate([back[0], back[1].ravel()]), expected, rtol=1e-9)

    def test_another_scale(self) -> None:
        one = setting(6)
        twice = one.prior.scaled(np.array([1.0, 3.0]))
        free = np.random.default_rng(2).standard_normal((2, 9))
        mean = one.prior.mean
        assert twice.value(mean, free) == pytest.approx(one.prior.value(mean, free) / 4, rel=1e-12)
        np.testing.assert_array_equal(twice.sd, one.prior.sd)
