"""The Gaussian prior of all coefficients: one for the fit, the evidence and the uncertainty."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rivergrad.model.layout import Coefficients, Layout
from rivergrad.model.parametermodel import ParameterModel
from rivergrad.model.priors import PRIORS
from rivergrad.model.treeprior import TreePrior

Float = NDArray[np.float64]

LEAST_SLOPE = 0.4
"""Slope of a bounded curve, as a share of that in its middle, that the prior's scale goes by at least."""


@dataclass(frozen=True, eq=False)
class Prior:
    """The Gaussian prior of everything that is estimated.

    Attributes:
        layout: of the shared coefficients.
        mean, sd: (layout.size,) of the shared coefficients, which are independent.
        tree: of the deviations; None where reaches have none.
        n_reaches: reaches of the network.
        n_free: deviations a reach.
    """

    layout: Layout
    mean: Float
    sd: Float
    tree: TreePrior | None
    n_reaches: int
    n_free: int

    def scaled(self, tau: Float) -> Prior:
        """The same prior with deviations of another scale, (n_free,)."""
        assert self.tree is not None
        return replace(self, tree=self.tree.with_tau(tau))

    def sd_of(self, layout: Layout) -> Float:
        """Standard deviations (layout.size,) of another layout's segments, all of which are here."""
        return self.layout.coefficients(self.sd).part(layout).values

    def join(self, layout: Layout, mean: float, sd: float) -> Prior:
        """The same prior with more coefficients, all of one mean and standard deviation."""
        return replace(
            self,
            layout=self.layout.join(layout),
            mean=np.append(self.mean, np.full(layout.size, mean)),
            sd=np.append(self.sd, np.full(layout.size, sd)),
        )

    def value(self, shared: Float, free: Float) -> float:
        """Minus the log density, but for a constant."""
        total = 0.5 * float((((shared - self.mean) / self.sd) ** 2).sum())
        return total if self.tree is None else total + 0.5 * float((free * self.tree.precision(free)).sum())

    def gradient(self, shared: Float, free: Float) -> tuple[Float, Float]:
        """Of `value`."""
        return (shared - self.mean) / self.sd**2, (
            np.zeros_like(free) if self.tree is None else self.tree.precision(free)
        )

    def to_white(self, shared: Float, free: Float) -> Float:
        """A gradient in coordinates in which the prior is the identity."""
        first = self.sd * shared
        return (
            first if self.tree is None else np.concatenate([first, self.tree.colour_transposed(free).ravel()])
        )

    def whitened(self, shared: Float, free: Float) -> Float:
        """A direction in those coordinates: the inverse of `from_white`."""
        first = shared / self.sd
        return first if self.tree is None else np.concatenate([first, self.tree.whiten(free).ravel()])

    def from_white(self, vector: Float) -> tuple[Float, Float]:
        """A direction from those coordinates."""
        n = self.mean.size
        if self.tree is None:
            return self.sd * vector, np.zeros((self.n_free, self.n_reaches))
        return self.sd * vector[:n], self.tree.colour(vector[n:].reshape(self.n_free, self.n_reaches))


def make_prior(
    model: ParameterModel,
    about: Coefficients[Float],
    sd: Mapping[str, ArrayLike],
    tau: Float,
    smoothing: float,
    downstream: NDArray[np.int64],
    order: NDArray[np.int64],
    own: Float | None = None,
) -> Prior:
    """The prior of a parameter model's coefficients, of further ones, and of the deviations where there are any.

    Args:
        model: gives the standard deviations of its own coefficients.
        about: the mean, with the layout of all coefficients.
        sd: standard deviations of the other segments, by name.
        tau: (n_free,) standard deviation of deviations, see `deviation_sd`.
        smoothing: strength of the tie between neighbouring reaches.
        downstream, order: of the network, own: of reaches that stand apart, see `TreePrior`.
    """
    tree = TreePrior(downstream, order, tau, smoothing, own) if model.deviates else None
    each = about.layout.fill({**sd, **model.prior_sd()})
    if not (each > 0).all():
        missing = [name for name in about.layout.names if (about.layout.view(each, name) == 0).any()]
        raise ValueError(f"Must have a standard deviation for each segment, we lack {missing}")
    return Prior(about.layout, about.values.copy(), each, tree, downstream.size, model.n_free)


def deviation_sd(
    model: ParameterModel, about: Coefficients[Float], spreading: float | None, log_celerity_sd: float | None
) -> Float:
    """Prior standard deviation of deviations in the units of the bounded curves' arguments.

    How far a curve's argument has to move for a given change of ln(celerity) depends on where it is.

    Args:
        model: the parameter model.
        about: its coefficients, which give the celerity that deviations are about.
        spreading: that deviations are about; None for a scheme without.
        log_celerity_sd: of ln(celerity); None for what is known of rivers (`model/priors.py`).

    Returns:
        (n_free,).
    """
    celerity = model.middle(about)
    # near a bound the curve is flat, and any movement there would be "probable"
    inner = math.exp(0.5 * (math.log(model.celerity.lower) + math.log(model.celerity.upper)))
    slope = max(model.celerity.log_slope(celerity), LEAST_SLOPE * model.celerity.log_slope(inner))
    found = [(model.log_celerity_sd if log_celerity_sd is None else log_celerity_sd) / slope]
    if model.spreading is not None:
        assert spreading is not None
        assert model.scheme.spreading is not None
        known = PRIORS.get(model.scheme.spreading.name)
        sd = 0.25 * (model.spreading.upper - model.spreading.lower) if known is None else known.sd
        slope = (
            model.spreading.log_slope(spreading)
            if model.spreading.logarithmic
            else model.spreading.slope(spreading)
        )
        found.append(sd / slope)
    return np.array(found)
