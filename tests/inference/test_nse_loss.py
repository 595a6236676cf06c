"""The masked NSE loss against NumPy, and where there is nothing to compare."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from rivergrad.inference.loss import MIN_VALUES, GaugeStatistics, LossSpec, gauge_loss


def nse_loss(
    discharge: torch.Tensor, observed: torch.Tensor, scale: torch.Tensor, share: float | None = None
) -> torch.Tensor:
    """The terms nse and nnse (with `share`, the weight of a gauge) by weight over variance, (gauge,)."""
    counts = scale > 0
    weight = torch.where(counts, 1.0 if share is None else share, 0.0).to(torch.float64)
    variance = torch.where(counts, weight / torch.where(counts, scale, 1.0), 1.0).to(torch.float64)
    other = torch.ones_like(variance)
    statistics = GaugeStatistics(other, variance, other, other, other, weight, variance.sqrt())
    return gauge_loss(
        LossSpec.parse("nse" if share is None else "nnse"), discharge, observed, statistics
    ).sum()


def draw(windows: int = 3, time: int = 20, gauges: int = 5) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(4)
    discharge = rng.exponential(5.0, (windows, time, gauges))
    observed = discharge * np.exp(0.3 * rng.standard_normal(discharge.shape))
    observed[rng.random(observed.shape) < 0.3] = np.nan
    return discharge, observed, rng.random(gauges)


def by_numpy(discharge: np.ndarray, observed: np.ndarray, scale: np.ndarray, least: int) -> float:
    total = 0.0
    for g in range(observed.shape[2]):
        o, q = observed[:, :, g].ravel(), discharge[:, :, g].ravel()
        at = ~np.isnan(o)
        if at.sum() >= least:
            total += float(np.mean((q[at] - o[at]) ** 2) * scale[g])
    return total


def test_against_numpy() -> None:
    discharge, observed, scale = draw()
    found = nse_loss(*(torch.from_numpy(a) for a in (discharge, observed, scale)))
    assert found.dtype == torch.float64
    assert found.ndim == 0
    assert float(found) == pytest.approx(by_numpy(discharge, observed, scale, MIN_VALUES), rel=1e-12)


def test_is_the_sum_of_one_minus_nse() -> None:
    rng = np.random.default_rng(5)
    observed = rng.exponential(1.0, (1, 40, 3))
    discharge = observed + 0.1 * rng.standard_normal(observed.shape)
    variance = observed[0].var(axis=0)
    loss = nse_loss(torch.from_numpy(discharge), torch.from_numpy(observed), torch.from_numpy(1 / variance))
    scores = 1 - ((discharge - observed)[0] ** 2).sum(axis=0) / (40 * variance)
    assert float(loss) == pytest.approx(float((1 - scores).sum()), rel=1e-12)


@pytest.mark.parametrize("left", [0, 1, MIN_VALUES - 1, MIN_VALUES])
def test_gauges_with_too_few_values_are_exactly_absent(left: int) -> None:
    discharge, observed, scale = draw(windows=2, time=15, gauges=3)
    observed[:, :, 0] = np.nan
    observed[0, :left, 0] = 3.0
    flow = torch.from_numpy(discharge).requires_grad_()
    loss = nse_loss(flow, torch.from_numpy(observed), torch.from_numpy(scale))
    loss.backward()
    assert flow.grad is not None
    assert bool(torch.isfinite(flow.grad).all())
    others = by_numpy(discharge[:, :, 1:], observed[:, :, 1:], scale[1:], MIN_VALUES)
    if left < MIN_VALUES:
        assert float(loss.detach()) == pytest.approx(others, rel=1e-13)
        assert bool((flow.grad[:, :, 0] == 0.0).all())
    else:
        assert float(loss.detach()) > others
        assert int((flow.grad[:, :, 0] != 0.0).sum()) == left
    assert bool((flow.grad[~torch.from_numpy(np.isnan(observed))][scale.size :] != 0).any())
    assert bool((flow.grad[torch.from_numpy(np.isnan(observed))] == 0.0).all())


def test_nothing_observed_gives_exactly_zero() -> None:
    flow = torch.ones(2, 15, 3, requires_grad=True)
    loss = nse_loss(flow, torch.full((2, 15, 3), torch.nan), torch.ones(3, dtype=torch.float64))
    loss.backward()
    assert flow.grad is not None
    assert float(loss.detach()) == 0.0
    assert bool((flow.grad == 0.0).all())


def test_windows_shorter_than_the_least_count_still_teach() -> None:
    """Ten days of a record: a window of six steps holds fewer values than `MIN_VALUES` for every gauge."""
    flow = torch.ones(1, 6, 2, dtype=torch.float64, requires_grad=True)
    observed = torch.full((1, 6, 2), 2.0)
    observed[0, 1, 0] = torch.nan  # a gap
    observed[0, 1:, 1] = torch.nan  # one value only: fewer than half
    loss = nse_loss(flow, observed, torch.ones(2, dtype=torch.float64))
    loss.backward()
    assert float(loss.detach()) == pytest.approx(1.0)
    assert flow.grad is not None
    assert int((flow.grad != 0).sum()) == 5


def test_a_gauge_of_scale_zero_has_no_say() -> None:
    discharge, observed, scale = draw()
    scale[2] = 0.0
    flow = torch.from_numpy(discharge).requires_grad_()
    nse_loss(flow, torch.from_numpy(observed), torch.from_numpy(scale)).backward()
    assert flow.grad is not None
    assert bool((flow.grad[:, :, 2] == 0).all())
    assert bool((flow.grad[:, :, 1] != 0).any())


def test_normalised_is_bounded_and_the_same_where_errors_are_small() -> None:
    """1 − NNSE with NNSE = 1/(2 − NSE), each gauge with its share."""
    rng = np.random.default_rng(6)
    observed = rng.exponential(1.0, (1, 40, 4))
    discharge = observed + np.array([1e-4, 0.3, 2.0, 50.0]) * rng.standard_normal(observed.shape)
    share = 0.25
    variance = observed[0].var(axis=0)
    one_minus_nse = ((discharge - observed)[0] ** 2).mean(axis=0) / variance
    arguments = [torch.from_numpy(a) for a in (discharge, observed, share / variance)]
    expected = (share * (1 - 1 / (1 + one_minus_nse))).sum()
    assert float(nse_loss(*arguments, share)) == pytest.approx(float(expected), rel=1e-12)
    assert float(nse_loss(*arguments, share)) < 1 < float(nse_loss(*arguments))
    close = [a[..., :1] for a in arguments]
    assert float(nse_loss(*close, share)) == pytest.approx(float(nse_loss(*close)), rel=1e-4)


def test_normalised_without_values_is_still_exactly_zero() -> None:
    flow = torch.ones(1, 20, 2, requires_grad=True)
    nothing = torch.full((1, 20, 2), torch.nan)
    loss = nse_loss(flow, nothing, torch.tensor([1.0, 0.0], dtype=torch.float64), 0.5)
    loss.backward()
    assert float(loss.detach()) == 0.0
    assert flow.grad is not None
    assert bool((flow.grad == 0.0).all())
