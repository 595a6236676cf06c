"""Adam against torch's."""

from __future__ import annotations

import numpy as np
import torch

from rivergrad.inference.adam import Adam


def test_against_torch() -> None:
    rng = np.random.default_rng(0)
    ours = rng.standard_normal((2, 9))
    theirs = torch.from_numpy(ours.copy()).requires_grad_()
    adam = Adam.at_rest(ours)
    optimiser = torch.optim.Adam([theirs], lr=0.05, betas=(0.9, 0.99), eps=1e-8)
    for step in range(60):
        gradient = rng.standard_normal(ours.shape) * 10.0 ** rng.uniform(-6, 3)
        gradient[0, 0] = 0.0
        ours = ours + adam.update(gradient, 0.05)
        theirs.grad = torch.from_numpy(gradient.copy())
        optimiser.step()
        np.testing.assert_allclose(ours, theirs.detach().numpy(), rtol=1e-10, atol=1e-12, err_msg=str(step))
    assert adam.steps == 60


def test_its_state_is_all_it_needs_to_go_on() -> None:
    rng = np.random.default_rng(1)
    gradients = rng.standard_normal((10, 4))
    whole, first = Adam.at_rest(np.zeros(4)), Adam.at_rest(np.zeros(4))
    expected = [whole.update(g, 0.1) for g in gradients]
    for g in gradients[:6]:
        first.update(g, 0.1)
    second = Adam(first.mean.copy(), first.square.copy(), first.steps)
    for g, step in zip(gradients[6:], expected[6:], strict=True):
        np.testing.assert_array_equal(second.update(g, 0.1), step)


def test_a_first_step_has_the_length_of_the_rate() -> None:
    step = Adam.at_rest(np.zeros(3)).update(np.array([1e-3, -7.0, 1e4]), 0.2)
    np.testing.assert_allclose(step, [-0.2, 0.2, -0.2], rtol=1e-4)
