"""What an optimiser of a fit is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from rivergrad.errors import InputError

Float = NDArray[np.float64]
Windows = list[tuple[int, int, int]]
SharedPenalty = Callable[[Float], tuple[float, Float]]
"""What shared coefficients add to the loss, and its gradient."""


class Optimiser(Protocol):
    """Moves an estimation step by step.

    Attributes:
        shared: the shared coefficients now; deviations are on the pieces.
        finished: whether no further step can bring anything.
        converged: whether that is because what is minimised is flat there, not for want of a step that lowers it.
    """

    shared: Float
    finished: bool
    converged: bool

    def step(self, number: int) -> float:
        """Take the step of this number (from 0); the loss before it."""

    def rest(self, shared: Float, factor: float) -> None:
        """Go on from here with steps shorter by `factor`, forgetting the past; the pieces have gone back already."""

    def state(self) -> dict[str, Float]:
        """What the next step depends on, besides shared coefficients and the pieces' state."""

    def restore(self, shared: Float, state: dict[str, Float], number: int) -> None:
        """Go on from a checkpoint after so many steps."""


def checked(found: Any, name: str) -> Any:
    """What makes an `Optimiser`: what the registry asks at first use.

    It is called as `AdamOptimiser` is: with `sweep`, `shared`, `windows`, `rate`, `penalty`, `clip`, and by name with
    `scale`, `decay` and `deviations`, which are 1, 0 and 1 but for learned runoff.

    Raises:
        InputError: what can't be called, or a class without the methods of an `Optimiser`.
    """
    needed = ("step", "rest", "state", "restore")
    lacking = [one for one in needed if not hasattr(found, one)] if isinstance(found, type) else []
    if not callable(found) or lacking:
        what = f"a class without {', '.join(lacking)}" if lacking else type(found).__name__
        raise InputError(
            f"expected a class like rivergrad.run.optimisers.AdamOptimiser, found {what}",
            key="optimiser",
            found=name,
        )
    return found
