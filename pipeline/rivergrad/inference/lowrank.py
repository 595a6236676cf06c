"""A low-rank matrix in blocks, one for each basin: how its numbers are packed, and the algebra with them.

Blocks do not interact, so that one vector serves all of them: every block has its own part of it.

Source: Hutchinson (1990), doi:10.1080/03610919008812866 (trace by random signs).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rivercut.compiling import njit
from rivergrad.model.treeprior import TreePrior

Int = NDArray[np.int64]
Float = NDArray[np.float64]
Bool = NDArray[np.bool_]

ROUNDING = 1e-13  # what float64 leaves of a difference of numbers of size 1, after many operations
DEPENDENT = 1e-10  # a vector of which less than this is new lies in the space already
NEGLIGIBLE = 1e-9  # directions with less information than this are not kept; the prior has 1


@dataclass(frozen=True, eq=False)
class Groups:
    """Where each block's numbers lie: entries `pointer[g]:pointer[g+1]` of a packed vector are block g's.

    Attributes:
        slot: (N,) position in the flattened (F, n) array of each entry of a packed vector.
        pointer: (G + 1,).
        label: (G,) the number by which the caller knows each block.
        shape: (F, n).
    """

    slot: Int
    pointer: Int
    label: Int
    shape: tuple[int, int]

    @classmethod
    def of(cls, group: ArrayLike, fields: int) -> Groups:
        """Blocks of all fields of the reaches with the same `group` (n,), any integers."""
        label, number = np.unique(np.asarray(group, np.int64), return_inverse=True)
        slot = np.argsort(np.tile(number, fields), kind="stable")
        pointer = np.concatenate([[0], np.cumsum(np.bincount(number) * fields)])
        return cls(slot, pointer, label, (fields, number.size))

    @property
    def size(self) -> Int:
        """Numbers in each block, (G,)."""
        return np.diff(self.pointer)

    def select(self, chosen: Bool) -> Groups:
        """Only the chosen blocks."""
        kept = np.repeat(chosen, self.size)
        pointer = np.concatenate([[0], np.cumsum(self.size[chosen])])
        return Groups(self.slot[kept], pointer, self.label[chosen], self.shape)

    def pack(self, v: Float) -> Float:
        """(..., F, n) to (..., N)."""
        return v.reshape(*v.shape[:-2], self.shape[0] * self.shape[1])[..., self.slot]

    def unpack(self, packed: Float) -> Float:
        """(..., N) to (..., F, n), zero outside the blocks."""
        out = np.zeros((*packed.shape[:-1], self.shape[0] * self.shape[1]))
        out[..., self.slot] = packed
        return out.reshape(*packed.shape[:-1], *self.shape)

    def sum(self, packed: Float) -> Float:
        """Sum over each block, (..., N) to (..., G)."""
        if self.pointer.size == 1:
            return np.zeros((*packed.shape[:-1], 0))
        return np.add.reduceat(packed, self.pointer[:-1], axis=-1)

    def spread(self, values: NDArray[Any]) -> NDArray[Any]:
        """Each block's value at each of its entries, (..., G) to (..., N)."""
        return np.repeat(values, self.size, axis=-1)

    def norm(self, packed: Float) -> Float:
        """Euclidean length of each block's part, (G,)."""
        return np.sqrt(self.sum(packed**2))


def gain_of(values: Float) -> Float:
    """λ/(1+λ): what the data take off the prior's variance along a direction."""
    return values / (1 + values)


def shrinking(values: Float) -> Float:
    """1/√(1+λ) − 1: what draws from the prior lose along a direction."""
    return 1 / np.sqrt(1 + values) - 1


@njit(cache=True)
def _products(left: Float, right: Float, pointer: Int, chosen: Int, size: int) -> Float:  # pragma: no cover
    """leftᵀ right of some blocks, of their first `size` columns, (len(chosen), size, size)."""
    out = np.empty((chosen.size, size, size))
    for c in range(chosen.size):
        a, b = pointer[chosen[c]], pointer[chosen[c] + 1]
        first = np.ascontiguousarray(left[a:b, :size].T)
        out[c] = np.dot(first, np.ascontiguousarray(right[a:b, :size]))
    return out


@njit(cache=True)
def _project(vectors: Float, pointer: Int, v: Float) -> Float:  # pragma: no cover - compiled
    """vectorsᵀ v in each block, v (k, N), (k, G, q)."""
    out = np.zeros((v.shape[0], pointer.size - 1, vectors.shape[1]))
    for k in range(v.shape[0]):
        for g in range(pointer.size - 1):
            for i in range(pointer[g], pointer[g + 1]):
                for j in range(vectors.shape[1]):
                    out[k, g, j] += vectors[i, j] * v[k, i]
    return out


@njit(cache=True, fastmath={"reassoc", "contract"})
def _combine(vectors: Float, pointer: Int, coefficients: Float) -> Float:  # pragma: no cover - compiled
    """vectors · coefficients in each block, coefficients (k, G, q), (k, N)."""
    out = np.empty((coefficients.shape[0], vectors.shape[0]))
    for k in range(coefficients.shape[0]):
        for g in range(pointer.size - 1):
            for i in range(pointer[g], pointer[g + 1]):
                total = 0.0
                for j in range(vectors.shape[1]):
                    total += vectors[i, j] * coefficients[k, g, j]
                out[k, i] = total
    return out


@njit(cache=True)
def _turn(columns: Float, pointer: Int, chosen: Int, by: Float) -> None:  # pragma: no cover - compiled
    """columns ← columns · by, in place, in some blocks; the columns that `by` does not reach are left."""
    size = by.shape[1]
    for c in range(chosen.size):
        a, b = pointer[chosen[c]], pointer[chosen[c] + 1]
        columns[a:b, :size] = np.dot(np.ascontiguousarray(columns[a:b, :size]), np.ascontiguousarray(by[c]))


def _eigen(columns: Float, pointer: Int, chosen: Int, size: int) -> Float:
    """Turn the columns B of some blocks into orthonormal U, in place; values s with B Bᵀ = U diag(s) Uᵀ."""
    squared, rotation = np.linalg.eigh(_products(columns, columns, pointer, chosen, size))
    squared, rotation = squared[:, ::-1], rotation[:, :, ::-1]
    scale = 1 / np.sqrt(np.maximum(squared, ROUNDING * squared[:, :1] + 1e-300))
    _turn(columns, pointer, chosen, rotation * scale[:, None, :])
    return squared


def eigen_columns(columns: Float, groups: Groups, count: Int) -> tuple[Float, Float]:
    """Eigenvalues (G, q) and vectors (N, q) of B Bᵀ in each block, B being its first `count` (G,) columns.

    `columns` (N, q) becomes the vectors.
    """
    values = np.zeros((count.size, columns.shape[1]))
    for size in np.unique(count[count > 0]):
        chosen = np.flatnonzero(count == size)
        squared = _eigen(columns, groups.pointer, chosen, int(size))
        values[chosen, :size] = np.where(squared > ROUNDING * squared[:, :1], squared, 0.0)
    return values, columns


@dataclass(frozen=True, eq=False)
class LowRank:
    """U diag(λ) Uᵀ in each block that has information, and zero in the others.

    Attributes:
        groups: the blocks with information.
        values: (G, q) λ, falling, not negative; 0 where a block has fewer.
        vectors: (N, q) orthonormal columns in each block (where λ > 0).
        complete: (G,) whether the block's range was searched to its end.
        left_out: (G,) unbiased estimate of tr(A − UλUᵀ) in each block, NaN without checks.
        left_out_variance: (G,) of that estimate.
        calls: products with A that were taken.
    """

    groups: Groups
    values: Float
    vectors: Float
    complete: Bool
    left_out: Float
    left_out_variance: Float
    calls: int

    def project(self, packed: Float) -> Float:
        """Uᵀ v in each block, (..., N) to (..., G, q)."""
        rows = np.ascontiguousarray(packed.reshape(math.prod(packed.shape[:-1]), packed.shape[-1]))
        out = _project(self.vectors, self.groups.pointer, rows)
        return out.reshape(*packed.shape[:-1], *self.values.shape)

    def combine(self, coefficients: Float) -> Float:
        """U c in each block, (..., G, q) to (..., N)."""
        count = math.prod(coefficients.shape[:-2])
        rows = np.ascontiguousarray(coefficients.reshape(count, *self.values.shape))
        out = _combine(self.vectors, self.groups.pointer, rows)
        return out.reshape(*coefficients.shape[:-2], self.groups.slot.size)

    def through(self, function: Callable[[Float], Float], v: Float) -> Float:
        """U diag(f(λ)) Uᵀ v, (..., F, n), for v (..., F, n); f(0) is 0. Zero outside of the blocks."""
        there = self.project(self.groups.pack(v))
        return self.groups.unpack(self.combine(function(self.values) * there))

    def explain(self, v: Float) -> tuple[Float, Float]:
        """With f(λ) = λ/(1+λ) and v (P, F, n): vᵀ U f Uᵀ v, (P, P), and U f Uᵀ v, (P, F, n)."""
        gain = gain_of(self.values)
        seen = self.project(np.stack([self.groups.pack(one) for one in v]))
        gram = np.einsum("agk,gk,bgk->ab", seen, gain, seen, optimize=True)
        return gram, self.groups.unpack(self.combine(gain * seen))

    def take_off(self, prior: TreePrior, variance: Float) -> Float:
        """Take what the data tell off `variance` (F, n), that of the prior; returns the diagonal of U f Uᵀ."""
        told, gain = np.zeros(self.groups.slot.size), gain_of(self.values)
        for k, column in enumerate(self.vectors.T):
            share = self.groups.spread(gain[:, k])
            variance -= prior.colour(self.groups.unpack(np.sqrt(share) * column)) ** 2
            told += share * column**2
        return self.groups.unpack(told)

    @property
    def smallest(self) -> Float:
        """(G,) the least eigenvalue that was found, infinite where there is none."""
        found: Float = np.where(self.values > 0, self.values, np.inf).min(axis=1, initial=np.inf)
        return found

    def rescaled(self, by: Float) -> LowRank:
        """D U diag(λ) Uᵀ D, where D multiplies the numbers of field f by `by[f]` (F,), in its own eigenvectors.

        What was left out is at most as much as before, times the largest factor squared.
        """
        most = float(by.max()) ** 2
        values, vectors = self.values * most, self.vectors
        if not (by == by[0]).all():
            values, vectors = self._turned(by)
        return replace(
            self,
            values=values,
            vectors=vectors,
            left_out=self.left_out * most,
            left_out_variance=self.left_out_variance * most**2,
        )

    def _turned(self, by: Float) -> tuple[Float, Float]:
        factor = self.groups.pack(np.broadcast_to(by[:, None], self.groups.shape))
        columns = self.vectors * factor[:, None]
        for k in range(columns.shape[1]):
            columns[:, k] *= self.groups.spread(np.sqrt(self.values[:, k]))
        return eigen_columns(columns, self.groups, (self.values > 0).sum(axis=1))

    def apply(self, packed: Float) -> Float:
        """U diag(λ) Uᵀ v."""
        return self.combine(self.values * self.project(packed))
