"""Parts as a user might write them, in one file of their own, which the tests copy elsewhere."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from rivergrad.routing.schemes import Moments, Parameter, Scheme


@dataclass(frozen=True)
class HalfLater(Scheme):
    """Half of the inflow leaves at once, half after some steps."""

    late: int = 2
    name = "half_later"
    parameters = (Parameter("share", "1", 0.5, 0.0, 1.0, "Share that leaves at once."),)

    def response(self, parameters, step, steps):
        share = parameters["share"][:, None]
        n = torch.arange(steps, device=share.device)
        return torch.where(n == 0, share, 0.0) + torch.where(n == self.late, 1 - share, 0.0)

    def moments(self, parameters, step):
        late = (1 - parameters["share"]) * self.late * step
        return Moments(late, torch.full_like(late, self.late * step / 2), torch.zeros_like(late))

    def from_celerity(self, celerity, spreading, length):
        return {"share": torch.exp(-length / (celerity * 200_000.0))}


def mean_absolute(pairs):
    """Mean absolute error over the deviation of the record."""
    folder = os.environ.get("DIE_AT_CHECKPOINTS_IN")
    if folder is not None and len(list(Path(folder).glob("*.npz"))) >= 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return pairs.mean((pairs.simulated - pairs.observed).abs()) / pairs.statistics.variance.sqrt()


def wrong_shape(pairs):
    """A loss that forgets that there are several gauges."""
    return mean_absolute(pairs).sum()


def loss_by_step(page):
    """How the loss falls."""

    def draw(axes, theme):
        axes.plot(page.run.history["step"], page.run.history["loss"], color=theme.muted)

    return [page.shot(draw, alt="The loss of every step.", caption="How my loss fell.")]


class SignDescent:
    """Steps along the signs of the gradient, for shared coefficients alone."""

    def __init__(self, task):
        self.task, self.shared = task, task.start.copy()
        self.finished = self.converged = False
        self.factor = 1.0

    def step(self, number):
        rate = self.task.rate(number) * self.factor
        found = self.task.sweep.step(self.shared, self.task.windows(number), after="move", rate=0.0)
        value, slope = self.task.penalty(self.shared)
        self.shared = self.shared - rate * np.sign(found["shared"] + slope)
        return float(found["loss"]) + value

    def rest(self, shared, factor):
        self.shared, self.factor = shared.copy(), self.factor * factor

    def state(self):
        return {"factor": np.array([self.factor])}

    def restore(self, shared, state, number):
        self.shared, self.factor = shared.copy(), float(state["factor"][0])


NOT_A_PART = 3


def raises_at_once():
    raise RuntimeError("a fault of the user's")
