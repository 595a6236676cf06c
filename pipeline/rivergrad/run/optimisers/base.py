"""What an optimiser of a fit is given, and what it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from rivergrad.errors import InputError
from rivergrad.model.prior import Prior
from rivergrad.pieces.leastsquares import LeastSquares
from rivergrad.pieces.sweep import Sweep

Float = NDArray[np.float64]
Windows = list[tuple[int, int, int]]
SharedPenalty = Callable[[Float], tuple[float, Float]]
"""What shared coefficients add to the loss, and its gradient."""
Retune = Callable[[Float, Prior, Float, Float], Prior]
"""From weights, prior, shared coefficients and deviations, where the problem is linearised, the prior at the scale that
the evidence asks for."""


@dataclass(frozen=True, eq=False)
class Squares:
    """The training record as a least-squares problem, with what is known of noise and deviations.

    Attributes:
        problem: residuals' Jacobian and its transpose, over a fixed set of windows.
        observed: (window, time, gauge) m³/s, NaN where missing or not for training.
        trains: (gauge,) weight of each gauge, mean 1 over those that train, 0 for the others.
        spread: (gauge,) standard deviation of the observations, m³/s.
        error: (window, time, gauge) of the observations' own error, m³/s, or None.
        retune: see `Retune`; None where the prior's scale is given.
        free: (n_free, reach) deviations to begin with.
    """

    problem: LeastSquares
    observed: Float
    trains: Float
    spread: Float
    error: Float | None
    retune: Retune | None
    free: Float


def _no_squares() -> Squares:
    raise InputError(
        "an optimiser asked for task.squares without saying so; expected facts = {'least_squares': True} in its class",
        key="estimate.method",
    )


def _no_penalty(shared: Float) -> tuple[float, Float]:
    return 0.0, np.zeros_like(shared)


@dataclass(frozen=True, eq=False)
class Task:
    """All that an optimiser may use.

    Attributes:
        sweep: the pieces, which hold the deviations: `step`, `advance`, and what `Sweep` has more.
        start: (coefficient,) shared coefficients to begin with; take a copy.
        windows: of a step, drawn from the seed: (start of the warm-up, first step that counts, end).
        rate: learning rate of a step.
        penalty: what shared coefficients add to the loss, and its gradient.
        clip: longest gradient (Euclidean norm) that is not shortened, or None.
        scale: multiples (coefficient,) of the rate, 0 for what is frozen; of the deviations: `deviations`.
        shared_steps: first steps in which the deviations stay where they are.
        decay: (coefficient,) weight decay, decoupled from the gradient (Loshchilov & Hutter 2019, arXiv:1711.05101).
        inner: products with the information matrix in a step at most.
        prior: of everything, about `start`; None in tests of optimisers that do without.
        make_squares: what `squares` is made by, when it is first asked for.
    """

    sweep: Sweep
    start: Float
    windows: Callable[[int], Windows]
    rate: Callable[[int], float]
    penalty: SharedPenalty = _no_penalty
    clip: float | None = None
    scale: Float | float = 1.0
    decay: Float | float = 0.0
    deviations: float = 1.0
    shared_steps: int = 0
    inner: int = 40
    prior: Prior | None = None
    make_squares: Callable[[], Squares] = _no_squares

    @cached_property
    def squares(self) -> Squares:
        """The least-squares problem, for an optimiser that has the fact `least_squares`.

        Raises:
            InputError: it has not.
        """
        return self.make_squares()


class Optimiser(Protocol):
    """Moves an estimation step by step. The registry's object is called with a `Task` and returns one.

    What a workflow has to know is in the class's attribute `facts`: `least_squares`, it takes `Task.squares`, weighs
    errors by each gauge's noise and has a Gaussian prior, so that its last step is its best; `learns_runoff`, it
    moves the weights of a runoff model by `Task.scale`, `decay` and `deviations`.

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


@runtime_checkable
class MovesPrior(Protocol):
    """An optimiser that measures the prior's scale anew; the uncertainty takes the prior that it ended with."""

    prior: Prior


def checked(found: Any, name: str) -> Any:
    """What makes an `Optimiser` of a `Task`: what the registry asks at first use.

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
