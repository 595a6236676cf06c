"""The prior of the deviations: independent reaches, or reaches correlated with their neighbours along the river.

The graph Laplacian of a forest factorises without fill-in if reaches are eliminated from upstream to downstream. So
everything here is exact, and takes time in proportion to the number of reaches.

Source: Rue & Held (2005), Gaussian Markov Random Fields, sections 2.4 and 2.6.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rivercut.compiling import njit
from rivercut.graph import as_index
from rivercut.network import frozen
from rivergrad.errors import InputError

Int = NDArray[np.int64]
Float = NDArray[np.float64]


@njit(cache=True)
def _pivots(downstream: Int, order: Int, kappa: Float) -> Float:  # pragma: no cover - compiled
    """Pivots d of I + κL, (F, n).

    A pivot is 1 + κ[has a downstream reach] + Σ κe/(e + κ), summed over the reaches upstream, with e = d − κ of each of
    them. All terms are positive, so nothing cancels for any κ.
    """
    pivot = np.ones((kappa.size, downstream.size))
    for f in range(kappa.size):
        for i in order:
            d = downstream[i]
            if d >= 0:
                beyond = pivot[f, i]
                pivot[f, i] = beyond + kappa[f]
                pivot[f, d] += kappa[f] * beyond / pivot[f, i]
    return pivot


@njit(cache=True)
def _gather(downstream: Int, order: Int, weight: Float, v: Float) -> None:  # pragma: no cover - compiled
    """v ← G⁻¹ v in place, v (k, F, n): each reach adds its weighted value to the reach downstream, going down."""
    for k in range(v.shape[0]):
        for f in range(v.shape[1]):
            for i in order:
                if downstream[i] >= 0:
                    v[k, f, downstream[i]] += weight[f, i] * v[k, f, i]


@njit(cache=True)
def _scatter(downstream: Int, order: Int, weight: Float, v: Float) -> None:  # pragma: no cover - compiled
    """v ← G⁻ᵀ v in place, v (k, F, n): each reach adds a share of the value downstream, going up from the outlets."""
    for k in range(v.shape[0]):
        for f in range(v.shape[1]):
            for a in range(order.size - 1, -1, -1):
                i = order[a]
                if downstream[i] >= 0:
                    v[k, f, i] += weight[f, i] * v[k, f, downstream[i]]


@dataclass(frozen=True, eq=False)
class TreePrior:
    """The prior u ~ N(0, Q⁻¹) of each field, with Q = (I + κL)/τ² and L the graph Laplacian of the forest of reaches.

    With κ = 0, all deviations are independent with standard deviation τ. Otherwise I + κL = G D Gᵀ, with G unit
    triangular in the order of the reaches. The square root of the covariance is C = τ G⁻ᵀ D^(-1/2): C Cᵀ = Q⁻¹.

    All vectors are (..., F, n): any leading axes, then fields, then reaches in the network's order.

    Attributes:
        downstream: (n,) position of the downstream reach, -1 at an outlet.
        order: (n,) positions, upstream before downstream.
        tau: (F,) scale of each field's deviations, in the unit of the latent value; positive.
        kappa: strength of the correlation with neighbours, one number or (F,), 0 or more.
        own: (n,) standard deviation of the first field at reaches that stand apart, such as lakes, NaN elsewhere. They
            are tied to no neighbour and have no part in tau.

    Raises:
        InputError: a tau that is not positive, a negative kappa, or arrays of different lengths.
    """

    downstream: Int
    order: Int
    tau: Float
    kappa: Float | float = 0.0
    own: Float | None = None

    def __post_init__(self) -> None:
        set_ = object.__setattr__
        set_(self, "downstream", as_index(self.downstream))
        set_(self, "order", as_index(self.order))
        set_(self, "tau", frozen(np.atleast_1d(self.tau), np.float64))
        if self.order.shape != self.downstream.shape:
            raise InputError(f"order has shape {self.order.shape}; expected {self.downstream.shape}")
        if self.tau.ndim != 1 or not (np.isfinite(self.tau) & (self.tau > 0)).all():
            raise InputError(f"prior: tau is {self.tau.tolist()}; expected a positive number per field")
        kappa = np.asarray(self.kappa, np.float64)
        if kappa.shape not in ((), self.tau.shape) or not (np.isfinite(kappa) & (kappa >= 0)).all():
            raise InputError(f"prior: kappa is {kappa.tolist()}; expected 0 or more, once or per field")
        set_(self, "kappa", frozen(np.broadcast_to(kappa, self.tau.shape), np.float64))

    @property
    def shape(self) -> tuple[int, int]:
        """(fields, reaches)."""
        return self.tau.size, self.downstream.size

    def with_tau(self, tau: ArrayLike) -> TreePrior:
        """The same prior with another scale `tau` (F,)."""
        other = TreePrior(self.downstream, self.order, np.asarray(tau, np.float64), self.kappa, self.own)
        if other.shape == self.shape:
            other.__dict__["_pivot"] = self._pivot  # pivots do not depend on tau
        return other

    @cached_property
    def apart(self) -> NDArray[np.bool_]:
        """(n,) reaches with a standard deviation of their own."""
        return np.zeros(self.downstream.size, np.bool_) if self.own is None else ~np.isnan(self.own)

    @cached_property
    def _ties(self) -> Int:
        """(n,) the reach downstream that a reach is tied to, -1 for none."""
        down = self.downstream
        if self.own is None:
            return down
        return np.where((down < 0) | self.apart | self.apart[down], -1, down)

    @property
    def _kappa(self) -> Float:
        return np.asarray(self.kappa)  # (F,) after __post_init__

    @property
    def _tied(self) -> bool:
        return bool(np.any(self.kappa))

    @cached_property
    def _pivot(self) -> Float:
        return _pivots(self._ties, self.order, self._kappa)

    @cached_property
    def _weight(self) -> Float:
        """κ/d (F, n): a reach's deviation includes this share of the deviation downstream."""
        return self._kappa[:, None] / self._pivot

    @cached_property
    def _root(self) -> Float:
        """τ/√d (F, n): the standard deviation of the independent part of a reach's deviation."""
        root: Float = self.tau[:, None] / np.sqrt(self._pivot)
        if self.own is not None:
            root[0, self.apart] = self.own[self.apart]
        return root

    def _checked(self, v: Float) -> Float:
        if v.shape[-2:] != self.shape:
            raise ValueError(f"Must have vectors of shape (..., {self.shape}), we instead got {v.shape}")
        return v

    def _stacked(self, v: Float) -> Float:
        """A view (k, F, n) of a contiguous array."""
        return v.reshape(math.prod(v.shape[:-2]), *self.shape)

    def _laplacian(self, v: Float) -> Float:
        """L v, (..., F, n)."""
        inner = np.flatnonzero(self._ties >= 0)
        to, n = self._ties[inner], v.shape[-1]
        rows = v.reshape(v.size // n, n)
        drop = rows[:, inner] - rows[:, to]
        out = np.zeros(rows.shape)
        out[:, inner] = drop
        for row, d in zip(out, drop, strict=True):
            row -= np.bincount(to, d, minlength=n)
        return out.reshape(v.shape)

    def precision(self, v: Float) -> Float:
        """Q v, (..., F, n), for v (..., F, n)."""
        out = self._checked(v)
        if self._tied:
            out = out + self._kappa[:, None] * self._laplacian(v)
        found = out / self.tau[:, None] ** 2
        if self.own is not None:
            found[..., 0, self.apart] = v[..., 0, self.apart] / self.own[self.apart] ** 2
        return found

    def energy(self, u: Float) -> Float:
        """uᵀ(I + κL)u of each field, (..., F), for u (..., F, n), without reaches that stand apart."""
        if self.own is not None:
            u = np.where(self.apart, 0.0, u)
        return self.tau**2 * np.einsum("...fn,...fn->...f", u, self.precision(u))

    def colour(self, v: Float) -> Float:
        """C v, (..., F, n): turns independent standard normal numbers v into deviations."""
        out: Float = np.multiply(self._checked(v), self._root, order="C")
        if self._tied:
            _scatter(self._ties, self.order, self._weight, self._stacked(out))
        return out

    def colour_transposed(self, v: Float) -> Float:
        """Cᵀ v, (..., F, n): turns a gradient by deviations into a gradient by the input of `colour`."""
        if not self._tied:
            return self._checked(v) * self._root
        out = np.array(self._checked(v), np.float64, order="C")
        _gather(self._ties, self.order, self._weight, self._stacked(out))
        out *= self._root
        return out

    def whiten(self, u: Float) -> Float:
        """C⁻¹ u, (..., F, n): turns deviations into independent standard normal numbers."""
        self._checked(u)
        if not self._tied:
            return u / self._root
        below = np.where(self._ties >= 0, u[..., self._ties], 0.0)
        return (u - self._weight * below) / self._root

    def variance(self) -> Float:
        """The prior variance of each deviation, diag(Q⁻¹), (F, n).

        A reach's deviation is κ/d times the deviation downstream, plus an independent part of variance τ²/d.
        """
        out = self._root**2
        if self._tied:
            _scatter(self._ties, self.order, self._weight**2, self._stacked(out))
        return out

    def sample(self, rng: np.random.Generator, count: int) -> Float:
        """Draws from the prior, (count, F, n)."""
        return self.colour(rng.standard_normal((count, *self.shape)))
