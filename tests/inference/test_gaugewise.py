"""Uncertainty by stems of gauges against dense matrices, and how few products it takes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from exact_posterior import exact_posterior
from hypothesis import given, settings
from hypothesis import strategies as st
from linear_rivers import LinearRiver, by_field, forests, posterior_of, random_forest

from rivercut import graph
from rivergrad.errors import InputError
from rivergrad.inference.gaugewise import gauge_stems
from rivergrad.inference.posterior import Posterior
from rivergrad.model.treeprior import TreePrior

checked = settings(max_examples=50, deadline=None, derandomize=True, database=None)


def by_stems(river: LinearRiver, products: int, noise: float = 0.0, **options: object) -> Posterior:
    """With errors of size `noise` in the products with J."""
    rng = np.random.default_rng(0)

    def tangent(v: np.ndarray) -> np.ndarray:
        change = river.tangent(v)
        return change * (1 + noise * rng.standard_normal(change.shape))

    return posterior_of(river, products, tangent=tangent, **options)


def exact(river: LinearRiver) -> Posterior:
    return exact_posterior(
        river.jacobian, river.weights, river.prior, river.regressors, river.b_sd, river.basin
    )


def some_river(seed: int, n: int, gauges: int, **options: float) -> LinearRiver:
    """Several gauges may be at one reach."""
    rng = np.random.default_rng(seed)
    return LinearRiver.draw(random_forest(rng, n, 4, 0.1), rng.integers(0, n, gauges), seed, **options)


def upstream_of(downstream: np.ndarray) -> np.ndarray:
    """(n, n) whether reach j is reach i or lies upstream of it."""
    n = downstream.size
    out = np.eye(n, dtype=bool)
    for j in range(n):
        i = j
        while i >= 0:
            out[i, j] = True
            i = downstream[i]
    return out


@checked
@given(forests(25), st.integers(0, 12), st.integers(0, 2**32 - 1))
def test_stems(downstream: np.ndarray, gauges: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    at = rng.integers(0, downstream.size, gauges)
    active = rng.random(gauges) < 0.8
    order = graph.topological_order(downstream)
    stem, level, owner = gauge_stems(downstream, order, at, active)
    np.testing.assert_array_equal(stem >= 0, active)
    upstream = upstream_of(downstream)
    sees = np.zeros((level.size, downstream.size), bool)
    for s in range(level.size):
        members = at[stem == s]
        assert members.size
        nested = upstream[members][:, members]
        assert (nested | nested.T).all()  # one below the other
        sees[s] = upstream[members].any(axis=0)
    for k in range(owner.shape[0]):
        stems = np.flatnonzero(level == k)
        assert (sees[stems].sum(axis=0) <= 1).all()  # no two see the same reach
        np.testing.assert_array_equal(owner[k] >= 0, sees[stems].any(axis=0))
        for s in stems:
            np.testing.assert_array_equal(owner[k] == s, sees[s])
    assert owner.shape[0] <= np.log2(max(active.sum(), 1)) + 1


@checked
@given(forests(20), st.integers(0, 6), st.sampled_from([0.0, 0.7, 50.0]), st.integers(0, 2**32 - 1))
def test_exact_once_every_direction_of_each_gauge_is_found(
    downstream: np.ndarray, gauges: int, kappa: float, seed: int
) -> None:
    at = np.random.default_rng(seed).integers(0, downstream.size, gauges)
    river = LinearRiver.draw(downstream, at, seed, kappa, values=4, strength=0.5)
    found, limit = by_stems(river, 200), exact(river)
    for name in ("variance", "conditional_variance", "identifiability", "effective", "shared_covariance"):
        np.testing.assert_allclose(
            getattr(found, name), getattr(limit, name), rtol=1e-7, atol=1e-8, err_msg=name
        )
    assert found.basis.complete.all()
    assert abs(found.left_out) < 1e-7


@pytest.mark.parametrize("kappa", [0.0, 0.7])
def test_never_too_sure_even_from_inexact_products(kappa: float) -> None:
    """What it claims is exact for the series it looked at; differences only choose them."""
    river = some_river(1, n=80, gauges=12, kappa=kappa, values=40, strength=3.0)
    limit = exact(river)
    for noise in (0.0, 1e-4, 0.3):
        effective = []
        for products in (1, 3, 8, 30, 500):
            found = by_stems(river, products, noise)
            assert (found.variance > limit.variance * (1 - 1e-8)).all()
            assert (found.conditional_variance > limit.conditional_variance * (1 - 1e-8)).all()
            assert np.linalg.eigvalsh(found.shared_covariance - limit.shared_covariance)[0] > -1e-9
            if noise < 0.1:
                assert (limit.identifiability <= found.identifiability_bound() + 1e-9).all()
            effective.append(found.effective)
        assert (np.diff(effective, axis=0) > -1e-9).all()
        np.testing.assert_allclose(effective[-1], limit.effective, rtol=1e-6)


def test_takes_few_products_where_a_basin_has_many_gauges() -> None:
    """Sixty gauges in one tree of 300 reaches, values that hold a few directions each."""
    rng = np.random.default_rng(2)
    downstream = random_forest(rng, 300, 12, 0.0)
    river = LinearRiver.draw(downstream, rng.choice(300, 60, replace=False), 2, 0.0, values=3, strength=0.5)
    found, limit = by_stems(river, 30), exact(river)
    assert limit.effective.sum() > 80
    assert found.effective.sum() > 0.75 * limit.effective.sum()
    np.testing.assert_allclose(by_stems(river, 60).effective, limit.effective, rtol=1e-6)


def rivers_with_waves(reach: int, n: int = 120, gauges: int = 24) -> LinearRiver:
    """Gauges that see waves of rain come down the river, as late as it is slow, so that those below see the same."""
    rng = np.random.default_rng(3)
    downstream = random_forest(rng, n, reach, 0.02)
    order = graph.topological_order(downstream)
    at = rng.choice(n, gauges, replace=False)
    t, upstream, lag = np.arange(200), upstream_of(downstream), rng.uniform(0.5, 1.5, n)
    showers = rng.exponential(1.0, (n, 400)) * (rng.random((n, 400)) < 0.1)
    rain = np.array([np.convolve(one, np.exp(-np.arange(60) / 8), "same")[100:300] for one in showers])
    down = np.full((n, n), np.nan)  # how late water of reach j leaves reach i
    for j in range(n):
        i, late = j, 0.0
        while i >= 0:
            late += lag[i]
            down[i, j], i = late, downstream[i]
    flow = [sum(np.interp(t - down[i, j], t, rain[j]) for j in np.flatnonzero(upstream[i])) for i in range(n)]
    slope = np.gradient(np.array(flow), axis=1)
    jacobian = np.zeros((gauges, t.size, 2, n))
    for k, g in enumerate(at):
        for j in np.flatnonzero(upstream[g]):
            seen = np.interp(t - down[g, j] + lag[j], t, slope[j])
            jacobian[k, :, 0, j], jacobian[k, 2:, 1, j] = lag[j] * seen, 0.1 * np.diff(seen, 2)
    weights = np.repeat(60 / (jacobian**2).sum(axis=(1, 2, 3)), t.size)
    prior = TreePrior(downstream, order, np.array([0.5, 1.5]))
    basin, level = np.asarray(graph.basins(downstream, order)), by_field([np.ones((n, 1))] * 2)
    return LinearRiver(
        downstream, prior, basin, at, jacobian.reshape(-1, 2 * n), weights, level, np.array([2.0, 0.7])
    )


@pytest.mark.parametrize("reach", [2, 4, 30])
def test_every_product_adds_at_every_reach(reach: int) -> None:
    """From gauges nearly all one below the other to gauges nearly all on tributaries of their own."""
    river = rivers_with_waves(reach)
    limit, before = exact(river), np.zeros(river.prior.shape)
    for products in (3, 5, 10, 20, 40):
        found = by_stems(river, products, checks=0)
        assert (found.identifiability >= before - 1e-10).all()  # at every reach
        assert (found.identifiability <= limit.identifiability + 1e-8).all()
        before = found.identifiability
        assert found.calls == products
    assert found.effective.sum() > 0.65 * limit.effective.sum()


def test_says_what_was_left_out() -> None:
    river = some_river(3, n=60, gauges=8, values=40)
    matrix = river.prior.colour_transposed(river.jacobian.reshape(-1, 2, 60)).reshape(-1, 120)
    total = float((river.weights[:, None] * matrix**2).sum())
    z = []
    for seed in range(80):
        found = by_stems(river, 3, seed=seed, checks=2)
        z.append((found.left_out - (total - found.basis.values.sum())) / found.left_out_error)
    assert abs(np.mean(z)) < 4 / np.sqrt(80)
    assert 0.5 < np.std(z) < 1.2
    assert np.isnan(by_stems(river, 3, checks=0).left_out)


def test_a_gauge_without_a_say_costs_nothing_and_changes_nothing() -> None:
    river = some_river(4, n=50, gauges=6, values=5)
    n = river.prior.shape[1]
    outlet = int(np.flatnonzero(river.downstream < 0)[0])
    more = replace(
        river,
        gauges=np.append(river.gauges, [outlet, outlet]),
        jacobian=np.concatenate([river.jacobian, np.ones((10, 2 * n))]),
        weights=np.concatenate([river.weights, np.zeros(10)]),
    )
    told: list[tuple[int, int]] = []
    a, b = by_stems(river, 2), by_stems(more, 2, progress=lambda *step: told.append(step))
    np.testing.assert_allclose(a.variance, b.variance, rtol=1e-12)
    assert a.calls == b.calls == len(told)
    assert told[-1] == (a.calls, a.calls)


def test_no_gauge_has_a_say() -> None:
    river = some_river(5, n=20, gauges=2)
    found = by_stems(replace(river, weights=0 * river.weights), 3)
    assert found.calls == 2  # the checks
    assert found.left_out == 0
    assert (found.identifiability == 0).all()
    np.testing.assert_allclose(found.variance, found.prior_variance + found.prior_shared_variance, rtol=1e-12)


def test_draws_have_the_posterior_covariance() -> None:
    river = some_river(6, n=8, gauges=3, values=4, strength=0.7)
    count = 40_000
    draws = by_stems(river, 5).sample(np.random.default_rng(0), count).reshape(count, -1)
    expected = np.linalg.inv(river.matrix + river.precision)
    deviation = np.sqrt((expected**2 + np.outer(np.diag(expected), np.diag(expected))) / count)
    assert np.abs((draws.T @ draws / count - expected) / deviation).max() < 5


@pytest.mark.parametrize("kappa", [0.0, 0.7])
def test_room_for_all_directions_changes_no_bit_and_less_room_is_never_too_sure(kappa: float) -> None:
    """Many basins, one with many gauges; what has no room counts as left out, and nothing else is lost."""
    river = some_river(8, n=120, gauges=30, kappa=kappa, values=12, strength=0.5)
    whole, limit = by_stems(river, 40, checks=1), exact(river)
    rank = whole.basis.values.shape[1]
    total, before = whole.basis.values.sum(), None
    for most in (2, 3, 8, rank // 2, rank, 500):
        found = by_stems(river, 40, checks=1, most=most)
        assert found.calls == whole.calls  # the search is the same
        assert found.basis.values.shape[1] <= max(most, 1)
        assert (found.variance > limit.variance * (1 - 1e-8)).all()
        assert (found.conditional_variance > limit.conditional_variance * (1 - 1e-8)).all()
        dropped = found.left_out - whole.left_out
        assert found.basis.values.sum() + dropped == pytest.approx(total, rel=1e-9)
        assert dropped > 1e-3 * total or most >= rank // 2
        if before is not None:
            assert (found.effective >= before - 1e-9).all()
        before = found.effective
    for name in ("variance", "identifiability", "effective", "shared_covariance"):
        np.testing.assert_array_equal(getattr(found, name), getattr(whole, name))


def test_little_room_keeps_nearly_what_the_strongest_directions_hold() -> None:
    """Compressing on the way loses little against keeping everything and cutting off at the end."""
    river = rivers_with_waves(4)
    whole = by_stems(river, 20, checks=0)
    most = whole.basis.values.shape[1] // 2
    found, keep = by_stems(river, 20, checks=0, most=most), most - most // 4
    best = whole.basis.values[:, :keep].sum()
    assert found.basis.values.sum() > 0.99 * best
    gain = whole.basis.values / (1 + whole.basis.values)
    assert found.effective.sum() > 0.9 * gain[:, :keep].sum()


def test_refuses_what_does_not_fit() -> None:
    river = some_river(7, n=20, gauges=2)
    with pytest.raises(ValueError, match="most >= 2"):
        by_stems(river, 1, most=1)
    with pytest.raises(ValueError, match="products >= 1"):
        by_stems(river, 0)
    with pytest.raises(InputError, match="expected whole trees"):
        by_stems(replace(river, basin=np.arange(20), prior=river.prior), 1)
    everywhere = replace(river, jacobian=np.ones_like(river.jacobian))
    with pytest.raises(ValueError, match="see only reaches upstream"):
        by_stems(everywhere, 1)
    river.jacobian[0, river.gauges[0]] = np.nan
    with pytest.raises(ValueError, match="finite products"):
        by_stems(river, 1)
