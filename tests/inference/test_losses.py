"""Every loss term against its closed form, its gradient, and where there is little or nothing to compare."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from plain_nse import nse_loss

from rivergrad.errors import InputError
from rivergrad.gauges.scores import kge, nse
from rivergrad.inference.loss import (
    MIN_VALUES,
    GaugeStatistics,
    LossSpec,
    gauge_loss,
    gauge_statistics,
)
from rivergrad.inference.loss.logarithm import log_flow
from rivergrad.inference.loss.robust import HUBER_DELTA
from rivergrad.inference.loss.statistics import OFFSET_SHARE, RESIDUAL_SHARE
from rivergrad.inference.loss.total import term
from rivergrad.inference.loss_spec import LOSS_TERMS

Array = np.ndarray[Any, np.dtype[np.float64]]

WINDOWS, TIME, GAUGES = 2, 15, 4


def record(gauges: int = GAUGES, seed: int = 4) -> tuple[Array, Array]:
    """(window, time, gauge) simulated and observed discharge, with gaps."""
    rng = np.random.default_rng(seed)
    truth = rng.gamma(1.5, 4.0, (WINDOWS, TIME, gauges)) * np.geomspace(1, 50, gauges)
    discharge = truth * np.exp(0.3 * rng.standard_normal(truth.shape))
    truth[rng.random(truth.shape) < 0.2] = np.nan
    return discharge, truth


def statistics_of(observed: Array, weight: Array | None = None, error: Any = None) -> GaugeStatistics:
    """Statistics as if the windows were the record."""
    gauges = observed.shape[-1]
    if error is not None and np.ndim(error) == 3:
        error = error.reshape(-1, gauges)
    return gauge_statistics(
        observed.reshape(-1, gauges), np.ones(gauges) if weight is None else weight, error
    )


def losses(
    loss: Any, discharge: Array, observed: Array, statistics: GaugeStatistics, error: Any = None
) -> tuple[Array, Array]:
    """Loss of each gauge, and the gradient of their sum with respect to discharge."""
    flow = torch.from_numpy(np.array(discharge)).requires_grad_()
    found = gauge_loss(
        LossSpec.parse(loss),
        flow,
        torch.from_numpy(np.array(observed)),
        statistics,
        None if error is None else torch.from_numpy(np.array(error)),
    )
    assert found.dtype == torch.float64
    assert found.shape == observed.shape[-1:]
    found.sum().backward()
    assert flow.grad is not None
    return found.detach().numpy(), flow.grad.numpy()


# --- closed forms ---------------------------------------------------------------------------------------


def test_weights_sum_to_one_and_leave_out_what_does_not_train() -> None:
    _, observed = record()
    observed[..., 2] = np.where(np.isnan(observed[..., 2]), np.nan, 3.0)  # a flat line
    found = statistics_of(observed, np.array([2.0, 1.0, 5.0, 0.0]))
    np.testing.assert_allclose(found.weight, [2 / 3, 1 / 3, 0, 0], rtol=1e-15)
    nothing = gauge_statistics(np.full((5, 2), np.nan), np.ones(2))
    assert nothing.weight.tolist() == [0.0, 0.0]
    for name in ("mean", "variance", "log_mean", "log_variance", "offset", "sigma"):
        assert bool(torch.isfinite(getattr(found, name)).all())
        assert bool(torch.isfinite(getattr(nothing, name)).all())


def test_statistics_are_those_of_the_observed_values() -> None:
    _, observed = record()
    found = statistics_of(observed)
    flat = observed.reshape(-1, GAUGES)
    np.testing.assert_allclose(found.mean, np.nanmean(flat, axis=0), rtol=1e-13)
    np.testing.assert_allclose(found.variance, np.nanvar(flat, axis=0), rtol=1e-13)
    np.testing.assert_allclose(found.offset, OFFSET_SHARE * np.nanmean(flat, axis=0), rtol=1e-13)
    logs = np.log(flat + found.offset.numpy())
    np.testing.assert_allclose(found.log_mean, np.nanmean(logs, axis=0), rtol=1e-12)
    np.testing.assert_allclose(found.log_variance, np.nanvar(logs, axis=0), rtol=1e-12)
    np.testing.assert_allclose(found.sigma, RESIDUAL_SHARE * np.nanstd(flat, axis=0), rtol=1e-13)


def test_residual_scale_is_that_of_the_flow_without_the_errors_of_its_observations() -> None:
    _, observed = record()
    error = 0.4 * np.nanstd(observed.reshape(-1, GAUGES), axis=0)
    found, without = statistics_of(observed, error=error), statistics_of(observed)
    np.testing.assert_allclose(found.sigma, without.sigma * np.sqrt(1 - 0.4**2), rtol=1e-12)
    np.testing.assert_array_equal(found.variance, without.variance)
    assert bool((statistics_of(observed, error=100 * error).sigma > 0).all())


def test_selected_statistics_are_those_of_the_gauges() -> None:
    discharge, observed = record()
    whole = statistics_of(observed)
    for name in LOSS_TERMS:
        all_of_them, _ = losses(name, discharge, observed, whole)
        columns = np.array([3, 1])
        some, _ = losses(name, discharge[..., columns], observed[..., columns], whole.select(columns))
        np.testing.assert_allclose(some, all_of_them[columns], rtol=1e-13)
    assert whole.to("cpu").weight.device.type == "cpu"


@pytest.mark.parametrize("normalised", [False, True])
def test_nse_and_nnse_are_what_they_were(normalised: bool) -> None:
    discharge, observed = record()
    observed[1:, :, 0] = observed[:, 5:, 0] = np.nan  # too few
    statistics = statistics_of(observed, np.array([1.0, 1.0, 0.0, 1.0]))
    flow = torch.from_numpy(discharge).requires_grad_()
    scale = statistics.weight / statistics.variance
    before = nse_loss(flow, torch.from_numpy(observed), scale, 1 / 3 if normalised else None)
    before.backward()
    found, gradient = losses("nnse" if normalised else "nse", discharge, observed, statistics)
    assert found.sum() == pytest.approx(float(before.detach()), rel=1e-14)
    assert flow.grad is not None
    np.testing.assert_allclose(gradient, flow.grad, rtol=1e-13, atol=0)


def test_scores_of_the_whole_record() -> None:
    """With the windows as the record, the terms are one minus the scores that the report gives."""
    discharge, observed = record()
    statistics = statistics_of(observed)
    flat = discharge.reshape(-1, GAUGES), observed.reshape(-1, GAUGES)
    logs = [np.log(values + statistics.offset.numpy()) for values in flat]
    missing = np.isnan(flat[1])
    correlation = [
        np.corrcoef(s[~gap], o[~gap])[0, 1] for s, o, gap in zip(flat[0].T, flat[1].T, missing.T, strict=True)
    ]
    expected = {
        "nse": 1 - nse(*flat),
        "nnse": 1 - 1 / (2 - nse(*flat)),
        "kge": 1 - kge(*flat),
        "log_nse": 1 - nse(*logs),
        "timing": 1 - np.array(correlation),
    }
    for name, values in expected.items():
        found, _ = losses(name, discharge, observed, statistics)
        np.testing.assert_allclose(found, values / GAUGES, rtol=1e-10, err_msg=name)


def test_huber_is_quadratic_then_linear() -> None:
    _, observed = record()
    statistics = statistics_of(observed)
    sigma, variance = statistics.sigma.numpy(), statistics.variance.numpy()
    for z in (0.3, HUBER_DELTA, 2.0, 40.0):
        found, _ = losses("huber", observed + z * sigma, observed, statistics)
        rho = z**2 / 2 if z <= HUBER_DELTA else HUBER_DELTA * (z - HUBER_DELTA / 2)
        np.testing.assert_allclose(found, 2 * rho * sigma**2 / variance / GAUGES, rtol=1e-10)


@pytest.mark.parametrize("nu", [1.0, 4.0, 30.0])
def test_student_t_is_the_log_likelihood(nu: float) -> None:
    from scipy.stats import t

    discharge, observed = record()
    statistics = statistics_of(observed)
    sigma, variance = statistics.sigma.numpy(), statistics.variance.numpy()
    z = (discharge - observed) / sigma
    against = -(t.logpdf(z, nu) - t.logpdf(0.0, nu))
    expected = np.nanmean(against, axis=(0, 1)) * 2 * nu / (nu + 1) * sigma**2 / variance
    found = gauge_loss(
        LossSpec.parse("student_t", nu), torch.from_numpy(discharge), torch.from_numpy(observed), statistics
    )
    np.testing.assert_allclose(found, expected / GAUGES, rtol=1e-10)


@pytest.mark.parametrize("name", ["huber", "student_t", "nnse"])
def test_robust_losses_are_nse_where_residuals_are_small_and_less_elsewhere(name: str) -> None:
    discharge, observed = record()
    statistics = statistics_of(observed)
    close = observed + 1e-4 * (discharge - observed)
    np.testing.assert_allclose(
        losses(name, close, observed, statistics)[0], losses("nse", close, observed, statistics)[0], rtol=1e-4
    )
    far = observed + 10 * (discharge - observed)
    assert (
        losses(name, far, observed, statistics)[0] < 0.7 * losses("nse", far, observed, statistics)[0]
    ).all()


def test_a_combination_is_the_weighted_sum() -> None:
    discharge, observed = record()
    statistics = statistics_of(observed)
    found, gradient = losses({"nse": 0.7, "log_nse": 0.3, "timing": 2.0}, discharge, observed, statistics)
    parts = [
        (w, losses(n, discharge, observed, statistics))
        for n, w in (("nse", 0.7), ("log_nse", 0.3), ("timing", 2.0))
    ]
    np.testing.assert_allclose(found, sum(w * part[0] for w, part in parts), rtol=1e-13)
    np.testing.assert_allclose(gradient, sum(w * part[1] for w, part in parts), rtol=1e-10, atol=1e-16)


@pytest.mark.parametrize("name", LOSS_TERMS)
def test_a_perfect_simulation_costs_nothing(name: str) -> None:
    _, observed = record()
    found, gradient = losses(name, observed, observed, statistics_of(observed))
    np.testing.assert_allclose(found, 0.0, atol=1e-12)
    assert np.isfinite(gradient).all()


def test_float32_discharge_is_summed_in_double_precision() -> None:
    discharge, observed = record()
    statistics = statistics_of(observed)
    small = torch.from_numpy(discharge.astype(np.float32))
    found = gauge_loss(
        LossSpec.parse("kge"), small, torch.from_numpy(observed.astype(np.float32)), statistics
    )
    again, _ = losses(
        "kge", small.double().numpy(), observed.astype(np.float32).astype(np.float64), statistics
    )
    np.testing.assert_allclose(found, again, rtol=1e-14)


def test_log_flow_goes_on_smoothly_below_zero() -> None:
    offset = torch.tensor([0.2], dtype=torch.float64)
    flow = torch.tensor([[-3.0], [-1e-9], [0.0], [1e-9], [5.0]], dtype=torch.float64, requires_grad=True)
    value = log_flow(flow, offset)
    value.sum().backward()
    assert flow.grad is not None
    np.testing.assert_allclose(
        value.detach()[:, 0], [np.log(0.2) - 15, *[np.log(0.2)] * 3, np.log(5.2)], rtol=1e-7
    )
    np.testing.assert_allclose(flow.grad[:, 0], [5.0, 5.0, 5.0, 5.0, 1 / 5.2], rtol=1e-7)


# --- observation errors ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", LOSS_TERMS)
def test_no_error_is_an_error_of_zero_or_one_not_known(name: str) -> None:
    discharge, observed = record()
    statistics = statistics_of(observed)
    expected = losses(name, discharge, observed, statistics)
    for error in (np.zeros(GAUGES), np.full(GAUGES, np.nan), np.zeros_like(observed)):
        for found, value in zip(losses(name, discharge, observed, statistics, error), expected, strict=True):
            np.testing.assert_allclose(found, value, rtol=1e-13, atol=1e-300)


@pytest.mark.parametrize("name", ["nse", "huber", "student_t"])
def test_an_error_as_large_as_the_residual_scale_halves_a_value(name: str) -> None:
    _, observed = record()
    statistics = statistics_of(observed)
    sigma = statistics.sigma.numpy()
    near = observed + 1e-4 * sigma
    without, _ = losses(name, near, observed, statistics)
    found, _ = losses(name, near, observed, statistics, sigma)
    np.testing.assert_allclose(found, without / 2, rtol=1e-6)


@pytest.mark.parametrize("name", LOSS_TERMS)
def test_values_with_huge_errors_are_as_good_as_missing(name: str) -> None:
    discharge, observed = record()
    statistics = statistics_of(observed)
    error = np.zeros_like(observed)
    error[0, :5] = 1e9
    found, gradient = losses(name, discharge, observed, statistics, error)
    gone = observed.copy()
    gone[0, :5] = np.nan
    left, there = ((~np.isnan(values)).sum(axis=(0, 1)) for values in (gone, observed))
    expected, slope = losses(name, discharge, gone, statistics)
    if name == "nnse":  # 1 − NSE is what the share of the values left applies to
        missed = expected * GAUGES / (1 - expected * GAUGES) * left / there
        np.testing.assert_allclose(found, missed / (1 + missed) / GAUGES, rtol=1e-6)
    else:
        np.testing.assert_allclose(found, expected * left / there, rtol=1e-6)
        np.testing.assert_allclose(gradient, slope * left / there, rtol=1e-5, atol=1e-12)


# --- gradients ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("with_error", [False, True])
@pytest.mark.parametrize("name", LOSS_TERMS)
def test_gradients(name: str, with_error: bool) -> None:
    discharge, observed = record(seed=7)
    discharge[0, 3] *= -1  # what routing rarely leaves, and logarithms have to live with
    observed[:, :, 3] = np.nan
    observed[0, :4, 3] = 2.0
    statistics = statistics_of(observed)
    error = torch.from_numpy(0.2 * np.nan_to_num(observed)) if with_error else None

    def loss(flow: torch.Tensor) -> torch.Tensor:
        return gauge_loss(LossSpec.parse(name), flow, torch.from_numpy(observed), statistics, error)

    flow = torch.from_numpy(discharge).requires_grad_()
    assert torch.autograd.gradcheck(loss, flow, eps=1e-6, atol=1e-7, rtol=1e-4)
    assert torch.autograd.gradgradcheck(loss, flow, eps=1e-6, atol=1e-5, rtol=1e-3)


# --- little or nothing to compare -----------------------------------------------------------------------


@pytest.mark.parametrize("name", LOSS_TERMS)
@pytest.mark.parametrize("left", [0, 1, MIN_VALUES - 1, MIN_VALUES])
def test_gauges_with_too_few_values_are_exactly_absent(name: str, left: int) -> None:
    discharge, observed = record()
    statistics = statistics_of(observed)
    values = np.random.default_rng(1).gamma(2.0, 3.0, (WINDOWS, TIME))
    values[1:] = values[:, left:] = np.nan
    observed[:, :, 0] = values
    found, gradient = losses(name, discharge, observed, statistics)
    assert (found[0] == 0.0) == (left < MIN_VALUES)
    assert (gradient[:, :, 0] == 0.0).all() == (left < MIN_VALUES)
    assert (found[1:] > 0).all()


@pytest.mark.parametrize("name", LOSS_TERMS)
def test_flat_lines_leave_everything_finite(name: str) -> None:
    discharge, observed = record()
    statistics = statistics_of(observed)
    discharge[:, :, 0] = 0.1  # simulated
    discharge[:, :, 3] = 0.0  # nothing simulated at all
    observed[:, :, 1] = 2.0  # observed in these windows
    observed[:, :, 2] = discharge[:, :, 2] = 0.0  # both, and dry
    found, gradient = losses(name, discharge, observed, statistics)
    assert np.isfinite(found).all()
    assert np.isfinite(gradient).all()
    assert (found[[0, 3]] > 0).all()
    if name in ("kge", "timing"):
        assert (found[[1, 2]] == 0).all()
        assert (gradient[:, :, [1, 2]] == 0).all()


@st.composite
def cases(draw: st.DrawFn) -> tuple[Array, Array, GaugeStatistics]:
    """Any pattern of missing values, with gauges of any size and possibly of weight 0."""
    seed = draw(st.integers(0, 2**16))
    rng = np.random.default_rng(seed)
    discharge, observed = record(seed=seed)
    discharge *= draw(st.sampled_from([1.0, 1e-6, 1e6, 0.0]))
    share = draw(st.lists(st.sampled_from([0.0, 0.3, 0.7, 0.95, 1.0]), min_size=GAUGES, max_size=GAUGES))
    statistics = statistics_of(
        observed, np.array(draw(st.lists(st.sampled_from([0.0, 1.0, 3.0]), min_size=GAUGES, max_size=GAUGES)))
    )
    observed[rng.random(observed.shape) < np.array(share)] = np.nan
    if draw(st.booleans()):
        discharge[np.isnan(observed)] = np.nan  # nobody looks there
    return discharge, observed, statistics


@settings(max_examples=60, deadline=None)
@given(case=cases(), name=st.sampled_from(LOSS_TERMS), error=st.sampled_from([None, 0.1, 1e3]))
def test_any_pattern_of_missing_values(
    case: tuple[Array, Array, GaugeStatistics], name: str, error: float | None
) -> None:
    discharge, observed, statistics = case
    given_error = None if error is None else np.full(GAUGES, error)
    found, gradient = losses(name, discharge, observed, statistics, given_error)
    assert np.isfinite(found).all()
    assert np.isfinite(gradient).all()
    assert (found >= 0).all()
    assert (gradient[np.isnan(observed)] == 0).all()
    silent = ((~np.isnan(observed)).sum(axis=(0, 1)) < MIN_VALUES) | (statistics.weight.numpy() == 0)
    assert (found[silent] == 0).all()
    assert (gradient[:, :, silent] == 0).all()


@settings(max_examples=40, deadline=None)
@given(
    case=cases(),
    scale=st.floats(1e-3, 1e3),
    shift=st.floats(-1e3, 1e3),
)
def test_timing_is_blind_to_volume_and_scale(
    case: tuple[Array, Array, GaugeStatistics], scale: float, shift: float
) -> None:
    _, observed, statistics = case
    discharge, _ = record(seed=11)
    found, _ = losses("timing", discharge, observed, statistics)
    moved, _ = losses("timing", scale * (discharge + shift), observed, statistics)
    np.testing.assert_allclose(moved, found, rtol=1e-8, atol=1e-11)


@settings(max_examples=40, deadline=None)
@given(case=cases(), name=st.sampled_from(LOSS_TERMS), at=st.integers(0, GAUGES))
def test_an_empty_gauge_more_changes_nothing(
    case: tuple[Array, Array, GaugeStatistics], name: str, at: int
) -> None:
    discharge, observed, statistics = case
    found, gradient = losses(name, discharge, observed, statistics)
    wider = [np.insert(values, at, fill, axis=2) for values, fill in ((discharge, 5.0), (observed, np.nan))]
    others = np.delete(np.arange(GAUGES + 1), at)
    columns = np.zeros(GAUGES + 1, np.int64)
    columns[others] = np.arange(GAUGES)  # the new one has another one's statistics
    found_too, gradient_too = losses(name, *wider, statistics.select(columns))
    assert found_too[at] == 0.0
    assert (gradient_too[:, :, at] == 0.0).all()
    np.testing.assert_allclose(found_too[others], found, rtol=1e-14)
    np.testing.assert_allclose(gradient_too[:, :, others], gradient, rtol=1e-12, atol=1e-300)


# --- what is asked for ----------------------------------------------------------------------------------


def test_every_name_has_a_term() -> None:
    spec = LossSpec.parse(dict.fromkeys(LOSS_TERMS, 1.0))
    assert [name for name, _ in spec.terms] == list(LOSS_TERMS)
    assert all(callable(term(name, spec)) for name in LOSS_TERMS)


def test_a_name_is_its_term_with_weight_one() -> None:
    assert LossSpec.parse("kge").weights == {"kge": 1.0}
    mapping = LossSpec.parse({"nse": 0.7, "student_t": 2}, 3.0)
    assert mapping == LossSpec.parse((("nse", 0.7), ("student_t", 2.0)), 3.0)
    assert mapping.weights == {"nse": 0.7, "student_t": 2.0}
    assert mapping.student_t_nu == 3.0


@pytest.mark.parametrize(
    ("loss", "expected"),
    [
        ("nsee", "loss 'nsee': not known; expected one of nse, nnse, .*; did you mean nse"),
        ({"nse": 1.0, "log-nse": 1.0}, "did you mean log_nse"),
        ({"nse": 0.0}, "found weight 0.0 of nse; expected a number above 0"),
        ({"nse": -1}, "found weight -1 of nse"),
        ({"nse": True}, "found weight True of nse"),
        ({"nse": float("nan")}, "found weight nan of nse"),
        ({"kge": "much"}, "found weight 'much' of kge"),
        ({}, "found no term; expected names with weights"),
        (["nse"], "expected the name of a loss, or names with weights"),
        (3, "found 3; expected the name of a loss"),
        ((("nse", 1.0), ("nse", 2.0)), "expected each term once"),
    ],
)
def test_mistakes_are_named(loss: Any, expected: str) -> None:
    with pytest.raises(InputError, match=expected):
        LossSpec.parse(loss)


def test_degrees_of_freedom_are_positive() -> None:
    with pytest.raises(InputError, match="found student_t_nu 0"):
        LossSpec.parse("student_t", 0.0)
