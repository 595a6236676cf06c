"""Gauss-Newton steps over all of the training time, with the noise of every gauge and the prior's scale measured."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from rivergrad.inference.gaussnewton import gauss_newton_step
from rivergrad.inference.noise import Noise, measure
from rivergrad.run.optimisers.base import Task

log = logging.getLogger("rivergrad")

Float = NDArray[np.float64]

EVIDENCE_FROM = 4
"""Gauss-Newton step from which on the prior's scale follows the evidence: before, deviations are on their way."""
STILL = 1e-3
"""Root mean square move of the coefficients that no longer matters: about as much in ln(celerity)."""
SETTLED = 0.03
"""Change of the logarithm of the prior's scale that no longer matters."""
TOLERANCE = 0.005
"""Of the conjugate gradients."""
FLAT = 1e-5
"""Relative change of what is minimised that no longer matters."""


class GaussNewtonOptimiser:
    """Gauss-Newton over a fixed set of windows, with the noise of every gauge measured at each step.

    The prior's scale is measured again every other step from `EVIDENCE_FROM` on, until it settles. The fit is finished
    when a step changes what is minimised by less than `FLAT`.
    """

    facts: ClassVar[Mapping[str, Any]] = {"least_squares": True}

    def __init__(self, task: Task) -> None:
        assert task.prior is not None
        given = task.squares
        self.shared, self.prior, self.inner = task.start.copy(), task.prior, task.inner
        self.problem, self.observed, self.retune = given.problem, given.observed, given.retune
        self.trains, self.spread, self.error = given.trains, given.spread, given.error
        self.finished = self.converged = False
        self.noise: Noise | None = None
        self._present = ~np.isnan(self.observed)
        self._free = given.free.copy()
        self._discharge: Float | None = None
        self._settled = False

    def weigh(self, residual: Float, discharge: Float) -> Float:
        """Weights from residuals, by noise that they are taken to show."""
        self.noise = measure(residual, discharge, self._present, self.spread)
        return self.noise.weights(self._present, self.trains, self.error)

    def step(self, number: int) -> float:
        if self._discharge is None:
            self._discharge = self.problem.linearise(self.shared, self._free)
        if self.retune is not None and number >= EVIDENCE_FROM and number % 2 == 0 and not self._settled:
            residual = np.where(self._present, self._discharge - self.observed, 0.0)
            weight = self.weigh(residual, self._discharge)
            before, self.prior = self.prior, self.retune(weight, self.prior, self.shared, self._free)
            assert before.tree is not None
            assert self.prior.tree is not None
            self._settled = bool(np.all(np.abs(np.log(self.prior.tree.tau / before.tree.tau)) < SETTLED))
        loss = self._loss(self._discharge)
        shared, free, discharge, did = gauss_newton_step(
            self.problem,
            self.prior,
            self.shared,
            self._free,
            self._discharge,
            self.observed,
            self.weigh,
            TOLERANCE,
            self.inner,
        )
        self.shared, self._free, self._discharge = shared, free, discharge
        log.info(
            "Gauss-Newton step %d: %.6g to %.6g with %d products, step length %.3g, moved %.3g",
            number + 1, did.before, did.after, did.products, did.length, did.moved,
        )  # fmt: skip
        little = FLAT * max(abs(did.before), 1.0)
        settled = did.before - did.after <= little or did.moved <= STILL
        self.finished = settled and (self.retune is None or self._settled)
        self.converged = self.finished and (did.length > 0 or did.promised <= little)
        return loss

    def _loss(self, discharge: Float) -> float:
        """Mean over training gauges of 1 − NSE, with the variance of the whole training record."""
        square = np.where(self._present, discharge - self.observed, 0.0) ** 2
        count = np.maximum(self._present.sum(axis=(0, 1)), 1)
        counts = (self.trains > 0) & (self.spread > 0)
        share = square.sum(axis=(0, 1)) / count / np.where(counts, self.spread, 1.0) ** 2
        return float(share[counts].mean())

    def rest(self, shared: Float, factor: float) -> None:
        self.finished = True  # a Newton step from the same point would be the same

    def state(self) -> dict[str, Float]:
        tau = np.zeros(0) if self.prior.tree is None else self.prior.tree.tau
        return {"free": self._free, "tau": np.array(tau), "settled": np.array([float(self._settled)])}

    def restore(self, shared: Float, state: dict[str, Float], number: int) -> None:
        self.shared, self._free, self._discharge = shared.copy(), state["free"].copy(), None
        self._settled = bool(state["settled"][0])
        if self.prior.tree is not None:
            self.prior = self.prior.scaled(state["tau"])
