"""A low-rank matrix in blocks whose columns are rows of the information, each over the reaches of one stem.

`LowRank` keeps orthonormal directions of each basin, dense. A large basin has hundreds of stems, whose columns hardly
overlap, so that dense ones fill any memory with zeros. Here the columns B stay as products gave them: one number for
each product, field and reach, and which column of its basin it belongs to. All that is asked of U diag(λ) Uᵀ = B Bᵀ
goes through the small matrices BᵀB = V diag(λ) Vᵀ of basins:

    U diag(f(λ)) Uᵀ = B M Bᵀ,   M = V diag(f(λ)/λ) Vᵀ.

Where the prior ties neighbours, a gauge tells a little of the reaches below it too, less with each: a column would
reach beyond its stem. There it is cut off. Below a gauge with many reaches above it that is a small part of the column.
Reaches just below gauges are then less sure than they could be.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from rivercut.compiling import njit
from rivergrad.inference.lowrank import NEGLIGIBLE, Groups, gain_of
from rivergrad.model.treeprior import TreePrior

Int = NDArray[np.int64]
Float = NDArray[np.float64]
Function = Callable[[Float], Float]
"""Of eigenvalues."""


@njit(cache=True, nogil=True)
def _grams(rows: Float, column: Int, members: Int, size: int) -> Float:  # pragma: no cover - compiled
    """BᵀB of one basin, by field: (F, size, size)."""
    turns, fields = rows.shape[0], rows.shape[1]
    out = np.zeros((fields, size, size))
    at, held = np.empty(turns, np.int64), np.empty((fields, turns))
    for i in members:
        count = 0
        for t in range(turns):
            if column[t, i] >= 0:
                at[count] = column[t, i]
                for f in range(fields):
                    held[f, count] = rows[t, f, i]
                count += 1
        for f in range(fields):
            for a in range(count):
                for b in range(a + 1):
                    out[f, at[a], at[b]] += held[f, a] * held[f, b]
    for f in range(fields):
        for a in range(size):
            for b in range(a):
                out[f, a, b] += out[f, b, a]
                out[f, b, a] = out[f, a, b]
    return out


@njit(cache=True, nogil=True)
def _diagonal(
    rows: Float, column: Int, members: Int, inner: Float, out: Float
) -> None:  # pragma: no cover - compiled
    """Diagonal of B M Bᵀ of one basin, by field, to `out` (F, n)."""
    turns, fields = rows.shape[0], rows.shape[1]
    at, held = np.empty(turns, np.int64), np.empty(turns)
    for i in members:
        for f in range(fields):
            count = 0
            for t in range(turns):
                if column[t, i] >= 0:
                    at[count], held[count] = column[t, i], rows[t, f, i]
                    count += 1
            total = 0.0
            for a in range(count):
                part = 0.5 * inner[at[a], at[a]] * held[a]
                for b in range(a):
                    part += inner[at[a], at[b]] * held[b]
                total += held[a] * part
            out[f, i] = 2.0 * total


@njit(cache=True, nogil=True)
def _project(
    rows: Float, column: Int, members: Int, v: Float, by: Float, size: int
) -> Float:  # pragma: no cover - compiled
    """Bᵀ v of one basin, v (k, F, n): (k, size)."""
    out = np.zeros((v.shape[0], size))
    for t in range(rows.shape[0]):
        for i in members:
            c = column[t, i]
            if c >= 0:
                for f in range(rows.shape[1]):
                    for k in range(v.shape[0]):
                        out[k, c] += by[f] * rows[t, f, i] * v[k, f, i]
    return out


@njit(cache=True, nogil=True)
def _combine(
    rows: Float, column: Int, members: Int, coefficients: Float, by: Float, out: Float
) -> None:  # pragma: no cover - compiled
    """B c of one basin, c (k, size), to `out` (k, F, n)."""
    for t in range(rows.shape[0]):
        for i in members:
            c = column[t, i]
            if c >= 0:
                for f in range(rows.shape[1]):
                    for k in range(coefficients.shape[0]):
                        out[k, f, i] += by[f] * rows[t, f, i] * coefficients[k, c]


@dataclass(frozen=True, eq=False)
class StemRank:
    """B Bᵀ for each basin with gauges.

    Attributes:
        groups: the basins.
        rows: (turn, F, n) float32, what each product gave at each reach, whitened.
        column: (turn, n) int32, the column of its basin that this belongs to, -1 for none.
        size: (G,) columns of each basin.
        by: (F,) factor of each field.
        complete, left_out, left_out_variance, calls: as `LowRank` has them.
        threads: that compute.
    """

    groups: Groups
    rows: NDArray[np.float32]
    column: NDArray[np.int32]
    size: Int
    by: Float
    complete: NDArray[np.bool_]
    left_out: Float
    left_out_variance: Float
    calls: int
    threads: int = 1

    @cached_property
    def _members(self) -> list[Int]:
        """Positions of the reaches of each basin."""
        n, pointer = self.groups.shape[1], self.groups.pointer
        slot = self.groups.slot
        return [np.unique(slot[a:b] % n) for a, b in pairwise(pointer)]

    @cached_property
    def _grams(self) -> list[Float]:
        """BᵀB of each basin by field, for factors of 1."""
        return self._each(lambda g, members: _grams(self.rows, self.column, members, int(self.size[g])))

    @cached_property
    def _eigen(self) -> list[tuple[Float, Float]]:
        """Eigenvalues and vectors of BᵀB of each basin."""
        return [np.linalg.eigh(np.tensordot(self.by**2, gram, axes=1)) for gram in self._grams]

    def _each(self, call: Callable[[int, Int], Float]) -> list[Float]:
        """What a function of number and members gives for each basin, the largest first on all threads."""
        order = np.argsort([-one.size for one in self._members], kind="stable")
        found: list[Float] = [np.empty(0)] * order.size
        with ThreadPoolExecutor(self.threads, "stems") as pool:
            calls = [(int(g), pool.submit(call, int(g), self._members[g])) for g in order]
            for g, one in calls:
                found[g] = one.result()
        return found

    def _inner(self, function: Function) -> list[Float]:
        """M of each basin."""
        found = []
        for values, vectors in self._eigen:
            there = values > NEGLIGIBLE
            gain = np.zeros_like(values)
            gain[there] = function(values[there]) / values[there]
            found.append((vectors * gain) @ vectors.T)
        return found

    @property
    def smallest(self) -> Float:
        """(G,) the least eigenvalue that was found, infinite where there is none."""
        found = [values[values > NEGLIGIBLE] for values, _ in self._eigen]
        return np.array([one.min(initial=np.inf) for one in found])

    def through(self, function: Function, v: Float) -> Float:
        """U diag(f(λ)) Uᵀ v, (k, F, n), for v (k, F, n); zero outside of the basins."""
        inner, given = self._inner(function), np.ascontiguousarray(v)
        out = np.zeros(v.shape)

        def one(g: int, members: Int) -> Float:
            seen = _project(self.rows, self.column, members, given, self.by, int(self.size[g]))
            _combine(self.rows, self.column, members, seen @ inner[g], self.by, out)
            return seen

        self._each(one)
        return out

    def explain(self, v: Float) -> tuple[Float, Float]:
        """See `LowRank.explain`."""
        explained = self.through(gain_of, v)
        return np.einsum("afn,bfn->ab", v, explained), explained

    def take_off(self, prior: TreePrior, variance: Float) -> Float:
        """See `LowRank.take_off`."""
        told = self.diagonal(gain_of)
        if not np.any(prior.kappa):
            variance -= prior.colour(np.sqrt(told)) ** 2
            return told
        coloured = np.empty_like(self.rows)
        for out, row in zip(coloured, self.rows, strict=True):
            out[...] = prior.colour(row.astype(np.float64))  # upstream of a stem's reaches are its own alone
        variance -= replace(self, rows=coloured)._through_diagonal(self._inner(gain_of))
        return told

    def diagonal(self, function: Function) -> Float:
        """The diagonal of U diag(f(λ)) Uᵀ, (F, n)."""
        return self._through_diagonal(self._inner(function))

    def _through_diagonal(self, inner: list[Float]) -> Float:
        """The diagonal of B M Bᵀ, (F, n)."""
        out = np.zeros(self.groups.shape)
        self._each(
            lambda g, members: _diagonal(self.rows, self.column, members, inner[g], out) or np.empty(0)
        )
        return out * self.by[:, None] ** 2

    def rescaled(self, by: Float) -> StemRank:
        """See `LowRank.rescaled`."""
        most = float(by.max()) ** 2
        found = replace(
            self,
            by=self.by * by,
            left_out=self.left_out * most,
            left_out_variance=self.left_out_variance * most**2,
        )
        found.__dict__["_members"], found.__dict__["_grams"] = self._members, self._grams
        return found


class StemRows:
    """Gathers the rows of products for a `StemRank`, where `_Directions` of `gaugewise` would keep dense columns.

    Args:
        groups: the basins with gauges.
        prior: gives the whitening.
        turns: products at most.
    """

    def __init__(self, groups: Groups, prior: TreePrior, turns: int) -> None:
        self.groups, self.prior = groups, prior
        fields, n = prior.shape
        self._rows = np.zeros((turns, fields, n), np.float32)
        self._column = np.full((turns, n), -1, np.int32)
        self._size = np.zeros(groups.label.size, np.int64)
        self._turns = 0

    def add(self, row: Float, owner: Int, stems: Int, basin_of_stem: Int, place: Int) -> None:
        """Add a column for each stem of a VJP; arguments as those of `_Directions.add`."""
        column = np.full(int(stems.max(initial=-1)) + 2, -1, np.int64)  # the last entry serves owner == -1
        order = np.argsort(basin_of_stem, kind="stable")
        several = np.bincount(basin_of_stem, minlength=self._size.size)
        rank = np.arange(order.size) - np.repeat(np.cumsum(several) - several, several)
        column[stems[order]] = self._size[basin_of_stem[order]] + rank
        known = np.where(owner < column.size - 1, owner, -1)
        self._column[self._turns] = column[known]
        self._rows[self._turns] = np.where(known >= 0, self.prior.colour_transposed(row), 0.0)
        self._size += several
        self._turns += 1

    def finish(
        self, complete: NDArray[np.bool_], left_out: Float, variance: Float, calls: int, threads: int
    ) -> StemRank:
        """The matrix of all rows up to now."""
        return StemRank(
            self.groups,
            self._rows[: self._turns],
            self._column[: self._turns],
            self._size,
            np.ones(self.prior.shape[0]),
            complete,
            left_out,
            variance,
            calls,
            threads,
        )


def turns_that_fit(memory: float, fields: int, n: int) -> int:
    """How many products' rows fit into so many bytes."""
    return int(memory // (4 * n * (fields + 1)))
