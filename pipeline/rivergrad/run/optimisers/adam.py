"""Adam over windows of the record drawn for each step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from rivergrad.errors import InputError
from rivergrad.inference.adam import Adam
from rivergrad.run.optimisers.base import Task

Float = NDArray[np.float64]


class AdamOptimiser:
    """Adam over windows drawn for each step, by the task's rate, clip, scale, decay and deviations."""

    facts: ClassVar[Mapping[str, Any]] = {"learns_runoff": True}

    def __init__(self, task: Task) -> None:
        self.task = task
        self.shared = task.start.copy()
        self.finished = self.converged = False
        self.factor = 1.0
        self._adam = Adam.at_rest(self.shared)

    def step(self, number: int) -> float:
        task = self.task
        rate = task.rate(number) * self.factor
        moved = task.deviations if number >= task.shared_steps else 0.0
        found = task.sweep.step(
            self.shared,
            task.windows(number),
            after="move" if task.clip is None else "hold",
            rate=rate * moved,
            ahead=task.windows(number + 1),
        )
        value, slope = task.penalty(self.shared)
        loss = float(found["loss"]) + value
        gradient = np.where(np.asarray(task.scale) > 0, found["shared"] + slope, 0.0)
        if not np.isfinite(loss) or not np.isfinite(gradient).all():
            raise InputError(
                f"step {number + 1}: the loss or its gradient is not a number; expected smaller learning rates, or "
                "estimate.clip"
            )
        scale = 1.0
        if task.clip is not None:
            of_deviations = found["square"] if moved else 0.0
            norm = float(np.sqrt(gradient @ gradient + of_deviations))
            scale = min(1.0, task.clip / norm) if norm > 0 else 1.0
            task.sweep.advance(rate * moved, scale)
        rates = rate * task.scale
        self.shared = self.shared * (1 - rates * task.decay) + self._adam.update(gradient * scale, rates)
        return loss

    def rest(self, shared: Float, factor: float) -> None:
        self.shared, self.factor = shared.copy(), self.factor * factor
        self._adam = Adam.at_rest(self.shared)

    def state(self) -> dict[str, Float]:
        steps = np.array([self._adam.steps, self.factor], np.float64)
        return {"mean": self._adam.mean, "square": self._adam.square, "steps": steps}

    def restore(self, shared: Float, state: dict[str, Float], number: int) -> None:
        self.shared = shared.copy()
        steps, factor = state.get("steps", np.array([number, 1.0]))
        self._adam = Adam(state["mean"].copy(), state["square"].copy(), int(steps))
        self.factor = float(factor)
