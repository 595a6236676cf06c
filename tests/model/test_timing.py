"""The delay of runoff: what it leaves as it is, where it is exact, and its gradient."""

from __future__ import annotations

import numpy as np
import torch

from rivergrad.model.timing import FURTHEST, TimingModel

AREA = torch.tensor([0, 1, -1, 1])


def wide(model: TimingModel, steps: int) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(1).gamma(0.5, 2.0, (steps + 2 * model.reach, AREA.numel())))


def coefficients(model: TimingModel, delays: list[float]) -> torch.Tensor:
    """Coefficients at which delays (steps) are these."""
    return FURTHEST * torch.atanh(torch.tensor(delays, dtype=torch.float64) / (FURTHEST * model.sd))


def test_no_delay_is_the_same_runoff() -> None:
    model = TimingModel(2, 0.5)
    runoff = wide(model, 20).float()
    found = model.delayed(runoff, torch.zeros(2, dtype=torch.float64), AREA)
    assert torch.equal(found, runoff[model.reach : -model.reach])


def test_whole_steps_are_exact_and_areas_apart() -> None:
    model = TimingModel(2, 1.0)
    runoff = wide(model, 20)
    found = model.delayed(runoff, coefficients(model, [2.0, -3.0]), AREA)
    pad = model.reach
    for column, shift in enumerate([2, -3, 0, -3]):
        expected = runoff[pad - shift : pad - shift + 20, column]
        torch.testing.assert_close(found[:, column], expected, rtol=1e-9, atol=1e-9)


def test_between_steps_a_parabola_is_exact_and_volume_is_kept() -> None:
    model = TimingModel(2, 1.0)
    time = torch.arange(20 + 2 * model.reach, dtype=torch.float64) - model.reach
    values, delays = coefficients(model, [0.3, -1.6]), [0.3, -1.6, 0.0, -1.6]
    parabola = (3 - 0.4 * time + 0.1 * time**2)[:, None].expand(-1, 4)
    found = model.delayed(parabola, values, AREA)
    for column, delay in enumerate(delays):
        at = time[model.reach : -model.reach] - delay
        torch.testing.assert_close(found[:, column], 3 - 0.4 * at + 0.1 * at**2, rtol=1e-9, atol=1e-9)
    pulse = (time == 9.0).double()[:, None].expand(-1, 4)
    torch.testing.assert_close(
        model.delayed(pulse, values, AREA).sum(0), torch.ones(4, dtype=torch.float64), rtol=1e-12, atol=1e-12
    )


def test_gradient_also_at_no_delay() -> None:
    """Also where a delay passes from one step to the next, and at the start of a fit."""
    model = TimingModel(2, 0.7)
    runoff = wide(model, 12)
    for delays in ([0.0, 0.0], [0.45, -1.3], [1.0, -1.0]):
        values = coefficients(model, delays).requires_grad_()
        assert torch.autograd.gradcheck(lambda v: model.delayed(runoff, v, AREA), values, eps=1e-6, atol=1e-5)
