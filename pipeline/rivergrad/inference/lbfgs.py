"""L-BFGS (Liu & Nocedal 1989, doi:10.1007/BF01589116) on plain arrays, so that its memory travels in checkpoints."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]

CURVATURE = 1e-10
"""A pair whose sᵀy is below this share of |s| |y| says nothing about curvature and is not kept."""


@dataclass
class Memory:
    """The last pairs of moves s and gradient changes y, oldest first."""

    size: int = 10
    moves: list[Float] = field(default_factory=list)
    changes: list[Float] = field(default_factory=list)

    def remember(self, move: Float, change: Float) -> None:
        """Keep a pair, if it has curvature."""
        if move @ change > CURVATURE * np.linalg.norm(move) * np.linalg.norm(change):
            self.moves.append(move)
            self.changes.append(change)
            del self.moves[: -self.size], self.changes[: -self.size]

    def direction(self, gradient: Float) -> Float:
        """−H g by the two-loop recursion; the first time a step along the gradient of length at most 1."""
        if not self.moves:
            return -gradient / max(1.0, float(np.abs(gradient).sum()))
        q = gradient.copy()
        weights: list[float] = []
        for s, y in zip(reversed(self.moves), reversed(self.changes), strict=True):
            weights.append(float(s @ q) / float(s @ y))
            q -= weights[-1] * y
        s, y = self.moves[-1], self.changes[-1]
        q *= float(s @ y) / float(y @ y)
        for (s, y), weight in zip(zip(self.moves, self.changes, strict=True), reversed(weights), strict=True):
            q += (weight - float(y @ q) / float(s @ y)) * s
        return -q

    def arrays(self) -> tuple[Float, Float]:
        """(pair, number) moves and changes."""
        if not self.moves:
            return np.zeros((0, 0)), np.zeros((0, 0))
        return np.stack(self.moves), np.stack(self.changes)
