"""Adam over windows of the record drawn for each step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rivergrad.errors import InputError
from rivergrad.inference.adam import Adam
from rivergrad.pieces.sweep import Sweep
from rivergrad.run.optimisers.base import SharedPenalty, Windows

Float = NDArray[np.float64]


@dataclass
class AdamOptimiser:
    """Adam over windows drawn for each step.

    Attributes:
        rate: learning rate of a step; clip: longest gradient (Euclidean norm) that is not shortened, or None.
        windows: of a step.
        scale: multiples (coefficient,) of the rate, 0 for what is frozen; of the deviations: `deviations`.
        decay: (coefficient,) weight decay, decoupled from the gradient (Loshchilov & Hutter 2019, arXiv:1711.05101).
    """

    sweep: Sweep
    shared: Float
    windows: Callable[[int], Windows]
    rate: Callable[[int], float]
    penalty: SharedPenalty
    clip: float | None = None
    finished: bool = False
    converged: bool = False
    factor: float = 1.0
    scale: Float | float = 1.0
    decay: Float | float = 0.0
    deviations: float = 1.0

    def __post_init__(self) -> None:
        self._adam = Adam.at_rest(self.shared)

    def step(self, number: int) -> float:
        rate = self.rate(number) * self.factor
        found = self.sweep.step(
            self.shared,
            self.windows(number),
            after="move" if self.clip is None else "hold",
            rate=rate * self.deviations,
        )
        value, slope = self.penalty(self.shared)
        loss = float(found["loss"]) + value
        gradient = np.where(np.asarray(self.scale) > 0, found["shared"] + slope, 0.0)
        if not np.isfinite(loss) or not np.isfinite(gradient).all():
            raise InputError(
                f"step {number + 1}: the loss or its gradient is not a number; expected smaller learning rates, or "
                "estimate.clip"
            )
        scale = 1.0
        if self.clip is not None:
            moved = found["square"] if self.deviations else 0.0
            norm = float(np.sqrt(gradient @ gradient + moved))
            scale = min(1.0, self.clip / norm) if norm > 0 else 1.0
            self.sweep.advance(rate * self.deviations, scale)
        rates = rate * self.scale
        self.shared = self.shared * (1 - rates * self.decay) + self._adam.update(gradient * scale, rates)
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
