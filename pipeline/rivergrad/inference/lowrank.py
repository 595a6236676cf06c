"""Low-rank approximation of a block-diagonal matrix that is known only by its products with vectors.

Blocks do not interact, so that one product serves all of them: every block searches its own Krylov space in
its own part of the same vector. From orthonormal V and its images Y = A V in each block, the approximation is
Nyström's, Y (Vᵀ Y)⁻¹ Yᵀ. Unlike Rayleigh-Ritz (V Vᵀ Y Vᵀ) it never exceeds A, so that what is inferred from it
is never too sure, uses the last image too, and is exact on V and everywhere once V spans the range of A.

Sources: Saad (2011), Numerical Methods for Large Eigenvalue Problems, chapter 6 (Krylov spaces with full
reorthogonalisation); Martinsson & Tropp (2020), doi:10.1017/S0962492920000021, section 14 (Nyström with a
shift); Hutchinson (1990), doi:10.1080/03610919008812866 (trace by random signs).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rivercut.compiling import njit

Int = NDArray[np.int64]
Float = NDArray[np.float64]
Bool = NDArray[np.bool_]

ROUNDING = 1e-13  # what float64 leaves of a difference of numbers of size 1, after many operations
DEPENDENT = 1e-10  # a vector of which less than this is new lies in the space already
EXHAUSTED = 1e-12  # so does an image, by the length of the block's longest


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


@njit(cache=True, fastmath={"reassoc", "contract"})
def _project_out(basis: Float, used: int, pointer: Int, v: Float) -> None:  # pragma: no cover - compiled
    """Take from v, in place, what lies in the first `used` columns of each block's basis.

    Done twice, which makes it orthogonal to rounding ("twice is enough", Giraud et al. 2005).
    """
    share = np.empty(used)
    for g in range(pointer.size - 1):
        a, b = pointer[g], pointer[g + 1]
        for _ in range(2):
            share[:] = 0.0
            for i in range(a, b):
                for k in range(used):
                    share[k] += basis[i, k] * v[i]
            for i in range(a, b):
                total = 0.0
                for k in range(used):
                    total += basis[i, k] * share[k]
                v[i] -= total


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
def _add(columns: Float, basis: Float, pointer: Int, chosen: Int, by: Float) -> None:  # pragma: no cover
    """columns ← columns + by · basis, in place, in some blocks."""
    for c in range(chosen.size):
        for i in range(pointer[chosen[c]], pointer[chosen[c] + 1]):
            for k in range(basis.shape[1]):
                columns[i, k] += by[c] * basis[i, k]


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

    def apply(self, packed: Float) -> Float:
        """U diag(λ) Uᵀ v."""
        return self.combine(self.values * self.project(packed))


class _Search:
    """Orthonormal vectors and their images, block by block."""

    def __init__(self, apply: Callable[[Float], Float], groups: Groups, rng: np.random.Generator) -> None:
        self.apply, self.groups, self.rng = apply, groups, rng
        first = rng.standard_normal(groups.slot.size)
        first /= groups.spread(groups.norm(first))
        image = groups.pack(apply(groups.unpack(first)))
        # a block with information turns a random vector into zero with probability zero
        informed = groups.norm(image) > 0
        kept = groups.spread(informed)
        self.groups = groups.select(informed)
        self.basis = np.ascontiguousarray(first[kept, None])
        self.image = np.ascontiguousarray(image[kept, None])
        self.scale = self.groups.norm(self.image[:, 0])  # the longest image of each block
        self.columns = np.ones(self.scale.size, np.int64)
        self.full = self.columns == self.groups.size  # nothing is left to search
        self.used = 1

    def reserve(self, more: int) -> None:
        """Room for more vectors."""
        room = np.zeros((self.basis.shape[0], more))
        self.basis = np.concatenate([self.basis, room], axis=1)
        self.image = np.concatenate([self.image, room], axis=1)

    def without(self, v: Float) -> Float:
        """What of v (N,) lies outside of the space."""
        out = v.copy()
        _project_out(self.basis, self.used, self.groups.pointer, out)
        return out

    def extend(self, candidate: Float, floor: Float) -> None:
        """Add to each block what is new in its part of `candidate` and take its image.

        Where less than `floor` (G,) is new, a random vector takes its place: calls cost the same for one block
        as for all, and a range may hide from a Krylov space (equal eigenvalues).
        """
        spread = self.groups.spread
        v = self.without(candidate)
        length = self.groups.norm(v)
        spent = (length <= floor) & ~self.full
        if spent.any():
            fresh = self.rng.standard_normal(v.size)
            before = self.groups.norm(fresh)
            fresh = self.without(fresh)
            after = self.groups.norm(fresh)
            self.full |= spent & (after <= DEPENDENT * before)  # the space is the block's whole space
            v, length = np.where(spread(spent), fresh, v), np.where(spent, after, length)
        v *= spread(np.where(self.full, 0.0, 1 / np.where(length > 0, length, 1.0)))
        image = self.groups.pack(self.apply(self.groups.unpack(v)))
        size = self.groups.norm(image)
        # a random vector from outside the space which A takes to nothing: the range is inside
        done = spent & (size <= ROUNDING * self.scale)
        self.full |= done
        at = self.used
        self.basis[:, at] = np.where(spread(self.full), 0.0, v)
        self.image[:, at] = np.where(spread(self.full), 0.0, image)
        self.columns += ~self.full
        self.full |= self.columns == self.groups.size
        self.scale = np.maximum(self.scale, size)
        self.used += 1

    def factorise(self) -> Float:
        """Turn `image` into the approximation's vectors, in place; returns its values (G, q)."""
        values = np.zeros((self.scale.size, self.used))
        for size in np.unique(self.columns):
            chosen = np.flatnonzero(self.columns == size)
            values[chosen, :size] = self._factorise(chosen, int(size))
        return values

    def _factorise(self, chosen: Int, size: int) -> Float:
        pointer = self.groups.pointer
        core = _products(self.basis, self.image, pointer, chosen, size)
        turned = np.swapaxes(core, 1, 2)
        asymmetry = np.linalg.norm(core - turned, axis=(1, 2))
        ritz, rotation = np.linalg.eigh((core + turned) / 2)
        largest = np.maximum(ritz[:, -1], 0)
        # The shift lets no small Ritz value, which may be an error of the products, be divided by. How far VᵀAV
        # is from symmetric, and how far from positive, tells the size of these errors.
        shift = np.maximum.reduce(
            [ROUNDING * largest, asymmetry, -2 * ritz[:, 0], np.full(chosen.size, 1e-300)]
        )
        _add(self.image, self.basis, pointer, chosen, shift)
        _turn(self.image, pointer, chosen, rotation / np.sqrt(ritz + shift[:, None])[:, None, :])
        squared = _eigen(self.image, pointer, chosen, size)
        values = squared - shift[:, None]
        return np.where(values > ROUNDING * largest[:, None], values, 0.0)


def low_rank(
    apply: Callable[[Float], Float],
    groups: Groups,
    calls: int,
    rng: np.random.Generator,
    given: Sequence[Float] = (),
    checks: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> LowRank:
    """Approximate A, symmetric and positive semi-definite in each block, from products with it.

    Args:
        apply: A v for v (F, n); a block without information must give exactly zero.
        groups: the blocks.
        calls: vectors of each block's Krylov space, 1 or more. The result is exact to rounding for a block
            of lower rank (of the same rank, it depends on how well the start meets the range).
        rng: for the starts and the checks.
        given: further vectors (F, n), one product each, on which the result shall be exact.
        checks: further products with random signs, for `left_out`.
        progress: is told the products done and the products in all.

    Raises:
        ValueError: fewer than one call, or products that are not finite.
    """
    if calls < 1 or checks < 0:
        raise ValueError(f"Must have calls >= 1 and checks >= 0, we instead got {calls} and {checks}")
    total, done = calls + len(given) + checks, 0

    def counted(v: Float) -> Float:
        nonlocal done
        image = np.asarray(apply(v), np.float64)
        if not np.isfinite(image).all():
            raise ValueError(f"Must have finite products, we instead got others in product {done + 1}")
        done += 1
        if progress is not None:
            progress(done, total)
        return image

    search = _Search(counted, groups, rng)
    groups = search.groups
    if groups.label.size == 0:
        nothing = np.zeros(0)
        return LowRank(groups, np.zeros((0, 1)), np.zeros((0, 1)), nothing > 0, nothing, nothing, done)
    search.reserve(calls - 1 + len(given))
    for v in given:
        packed = groups.pack(v)
        search.extend(packed, DEPENDENT * groups.norm(packed))
    source = 0
    for _ in range(calls - 1):
        if search.full.all():
            break
        search.extend(search.image[:, source], EXHAUSTED * search.scale)
        source = search.used - 1
    probes = [search.without(rng.choice([-1.0, 1.0], groups.slot.size)) for _ in range(checks)]
    images = [groups.pack(counted(groups.unpack(v))) for v in probes]

    inside = groups.sum((search.basis * search.image).sum(axis=1))  # tr(VᵀAV)
    values = search.factorise()
    unknown = np.full(values.shape[0], np.nan)
    found = LowRank(
        groups,
        values,
        np.ascontiguousarray(search.image[:, : search.used]),
        search.full,
        unknown,
        unknown,
        calls=done,
    )
    if not checks:
        return found
    for column in search.basis[:, : search.used].T:
        inside -= (found.project(column) ** 2 * values).sum(axis=-1)
    rest = [image - found.apply(v) for v, image in zip(probes, images, strict=True)]
    outside = np.mean([groups.sum(v * r) for v, r in zip(probes, rest, strict=True)], axis=0)
    # the trace of R by random signs has variance 2 (‖R‖² − Σ R_ii²), and ‖R v‖² has mean ‖R‖²
    squared = np.mean([groups.sum(r**2) for r in rest], axis=0)
    return replace(found, left_out=inside + outside, left_out_variance=2 * squared / checks)
