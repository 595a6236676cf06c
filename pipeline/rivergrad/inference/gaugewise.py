"""Low-rank approximation of the information matrix, one group of gauges after the other, from JVPs and VJPs.

The gauges of a basin constrain at least as many directions as there are gauges. A search that finds one direction of a
basin with each product Jᵀ W J needs as many products. But discharge at a gauge depends only on the reaches upstream. So
gauges are grouped into stems, as rivers are into a main stem and its tributaries: each gauge joins the stem of the
upstream neighbour that has most gauges above it. Its other upstream neighbours are the ends of stems of their own. The
level of a stem is above the levels of all stems that flow into it. Stems of one level have no upstream reach in common,
so one VJP serves all of them and keeps them apart. There are at most log₂(gauges) + 1 levels. The gauges along one stem
depend on much the same reaches and share its directions; each tributary has its own.

For each stem s, H_s are the rows of its gauges in √W J C. A Krylov iteration (Golub & Kahan 1965,
doi:10.1137/0702016) finds orthonormal series U_s. The sum Σ_s (U_sᵀ H_s)ᵀ (U_sᵀ H_s) never exceeds
Σ_s H_sᵀ H_s = Cᵀ F C, even if the JVPs are inexact, because JVPs only choose the series. More products only add
information: the series of a short search are also those of a longer one. Each basin takes, at each product, the level
whose last product added most information.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rivercut.compiling import njit
from rivergrad.inference.lowrank import DEPENDENT, NEGLIGIBLE, Groups, LowRank, eigen_columns
from rivergrad.inference.stemrank import StemRank, StemRows
from rivergrad.model.treeprior import TreePrior

Int = NDArray[np.int64]
Float = NDArray[np.float64]
Bool = NDArray[np.bool_]


@njit(cache=True)
def _stems(
    downstream: Int, order: Int, first: Int, following: Int
) -> tuple[Int, Int]:  # pragma: no cover - compiled
    """The stem of each gauge (−1 for none), the level of each stem. `following` chains the gauges of one reach."""
    near = np.full(downstream.size, -1, np.int64)  # the nearest gauge downstream, the reach itself included
    below = np.full(following.size, -1, np.int64)
    for a in range(order.size - 1, -1, -1):
        i = order[a]
        further = near[downstream[i]] if downstream[i] >= 0 else -1
        near[i] = first[i] if first[i] >= 0 else further
        g = first[i]
        while g >= 0:
            below[g] = following[g] if following[g] >= 0 else further
            g = following[g]
    count = np.ones(following.size, np.int64)  # number of gauges upstream, the gauge itself included
    main = np.full(following.size, -1, np.int64)  # the upstream neighbour whose stem the gauge joins
    for i in order:
        g = first[i]
        while g >= 0:
            b = below[g]
            if b >= 0:
                count[b] += count[g]
                if main[b] < 0 or count[g] > count[main[b]]:
                    main[b] = g
            g = following[g]
    stem = np.full(following.size, -1, np.int64)
    level = np.zeros(following.size, np.int64)
    least = np.zeros(
        following.size, np.int64
    )  # least level of a gauge's stem, above those that flow in there
    stems = 0
    for i in order:
        g = first[i]
        while g >= 0:
            if main[g] >= 0:
                stem[g] = stem[main[g]]
            else:
                stem[g] = stems
                stems += 1
            s = stem[g]
            level[s] = max(level[s], least[g])
            b = below[g]
            if b >= 0 and main[b] != g:
                least[b] = max(least[b], level[s] + 1)
            g = following[g]
    return stem, level[:stems]


@njit(cache=True)
def _owners(
    downstream: Int, order: Int, first: Int, following: Int, stem: Int, level: Int, levels: int
) -> Int:  # pragma: no cover - compiled
    owner = np.full((levels, downstream.size), -1, np.int64)
    for a in range(order.size - 1, -1, -1):
        i = order[a]
        if downstream[i] >= 0:
            owner[:, i] = owner[:, downstream[i]]
        g = first[i]
        while g >= 0:
            owner[level[stem[g]], i] = stem[g]
            g = following[g]
    return owner


def gauge_stems(downstream: Int, order: Int, gauge: Int, active: Bool) -> tuple[Int, Int, Int]:
    """Group gauges into stems and stems into levels. No two stems of a level lie downstream of the same reach.

    Args:
        downstream: (n,) position of the downstream reach, −1 at an outlet.
        order: (n,) positions, upstream before downstream.
        gauge: (G,) position of each gauge's reach.
        active: (G,) whether the gauge counts.

    Returns:
        stem (G,), the stem of each gauge, −1 for gauges that do not count; level (S,), the level of each stem; and
        owner (levels, n), the stem of each level that lies downstream of the reach, −1 for none.
    """
    first = np.full(downstream.size, -1, np.int64)
    following = np.full(gauge.size, -1, np.int64)
    for g in np.flatnonzero(active)[::-1]:
        following[g], first[gauge[g]] = first[gauge[g]], g
    stem, level = _stems(downstream, order, first, following)
    levels = int(level.max(initial=-1)) + 1
    return stem, level, _owners(downstream, order, first, following, stem, level, levels)


@dataclass(eq=False)
class _Turn:
    """The series of the stems in one VJP.

    Attributes:
        column: (G,) column of each gauge in `series`, −1 for gauges of other stems.
        series: (values, columns) orthonormal series of the stems.
    """

    column: Int
    series: Float


class _Stems:
    """The state of the search: the stems that continue, the last gain of each, and all orthonormal series so far."""

    def __init__(self, prior: TreePrior, basin: Int, gauge: Int, active: Bool) -> None:
        self.stem, self.level, self.owner = gauge_stems(prior.downstream, prior.order, gauge, active)
        count = self.level.size
        home = np.zeros(count, np.int64)
        home[self.stem[active]] = basin[gauge[active]]
        self.label, self.group = np.unique(
            home, return_inverse=True
        )  # basins with gauges; (S,) that of each stem
        self.live = np.ones(count, np.bool_)
        self.gain = np.full(
            count, np.inf
        )  # (S,) information of the last direction; infinite before the first
        self.turns: list[_Turn] = []
        place = np.minimum(np.searchsorted(self.label, basin), max(self.label.size - 1, 0))
        self.place = np.where(np.isin(basin, self.label), place, -1)  # (n,) the group of each reach

    def length(self, series: Float, columns: Int) -> Float:
        """The norm of each stem's part of `series` (values, columns), (S,)."""
        square = np.einsum("tg,tg->g", series, series)
        return np.sqrt(np.bincount(self.stem[columns], square, minlength=self.level.size))

    def without(self, series: Float, columns: Int) -> Float:
        """Project each stem's earlier series out of `series`; done twice, to be orthogonal up to rounding."""
        stem = self.stem[columns]
        for _ in range(2):
            for turn in self.turns:
                at = turn.column[columns]
                if (at >= 0).any():
                    known = np.where(at >= 0, turn.series[:, at], 0.0)
                    share = np.bincount(stem, np.einsum("tg,tg->g", known, series), minlength=self.level.size)
                    series = series - known * share[stem]
        return series

    def choose(self) -> tuple[Bool, Int]:
        """Choose the stems of the next product.

        Each basin takes the level whose stems gained most information from their last product. Levels without a product
        so far come first.

        Returns:
            (S,) whether the stem takes part, and (groups,) the level that each basin takes.
        """
        worth = np.full((self.label.size, self.owner.shape[0]), -1.0)
        told = np.where(np.isinf(self.gain), 1e9, np.log1p(np.where(np.isinf(self.gain), 0.0, self.gain)))
        live = np.flatnonzero(self.live)
        worth[self.group[live], self.level[live]] = 0.0
        np.add.at(worth, (self.group[live], self.level[live]), told[live])
        level = worth.argmax(axis=1)
        return self.live & (self.level == level[self.group]), level


class _Directions:
    """The whitened rows of all stems, as columns of a matrix B for each basin. B Bᵀ is the approximation.

    If there are more columns than `most`, the principal directions of B replace them: the strongest, three quarters of
    `most`. This drops information and never adds any. `dropped` says how much.

    Args:
        groups: the basins.
        prior: gives the whitening.
        most: the largest number of columns, at least 2; None for no limit.

    Attributes:
        dropped: (groups,) information that was dropped because of `most`.
    """

    def __init__(self, groups: Groups, prior: TreePrior, most: int | None) -> None:
        self.groups, self.prior, self.most = groups, prior, most
        self.dropped = np.zeros(groups.label.size)
        self._columns = np.zeros((groups.slot.size, 0))
        self._count = np.zeros(groups.label.size, np.int64)
        self._slots = np.arange(groups.slot.size)

    def add(self, row: Float, owner: Int, stems: Int, basin_of_stem: Int, place: Int) -> None:
        """Add a column for each stem of a VJP.

        Args:
            row: (F, n) Jᵀ √W times the stems' series.
            owner: (n,) the stem that each reach's numbers belong to, −1 for none.
            stems: (k,) the stems.
            basin_of_stem: (k,) the basin of each stem, as an index of groups.
            place: (n,) the basin of each reach, as an index of groups; −1 for a basin without gauges.
        """
        order = np.argsort(basin_of_stem, kind="stable")
        several = np.bincount(basin_of_stem, minlength=self.groups.label.size)
        begin = np.cumsum(several) - several
        for k in range(int(several.max(initial=0))):
            has = several > k
            chosen = np.full(self.groups.label.size, -2, np.int64)  # the k-th stem of each basin
            chosen[has] = stems[order[begin[has] + k]]
            # whitening also fills reaches downstream of the stem, where stems overlap: whiten each stem by itself
            seen = owner == np.where(place >= 0, chosen[place], -2)
            white = self.groups.pack(self.prior.colour_transposed(np.where(seen, row, 0.0)))
            self._make_room()
            mine = self.groups.spread(has)
            self._columns[self._slots[mine], self.groups.spread(self._count)[mine]] = white[mine]
            self._count += has

    def _make_room(self) -> None:
        """Make room for one more column in each basin."""
        width, used = self._columns.shape[1], int(self._count.max(initial=0))
        if used < width:
            return
        if self.most is not None and used >= self.most:
            self._compress(self.most - max(1, self.most // 4))
            return
        more = max(width, 1) if self.most is None else min(max(width, 1), self.most - width)
        self._columns = np.concatenate([self._columns, np.zeros((self._slots.size, more))], axis=1)

    def _compress(self, keep: int) -> None:
        values, vectors = eigen_columns(self._columns, self.groups, self._count)
        self.dropped += values[:, keep:].sum(axis=1)
        vectors[:, keep:] = 0.0
        root = np.sqrt(values[:, :keep])
        for k in range(keep):
            vectors[:, k] *= self.groups.spread(root[:, k])
        self._columns, self._count = vectors, np.minimum(self._count, keep)

    def eigen(self) -> tuple[Float, Float]:
        """Eigenvalues (groups, q) and eigenvectors (N, q) of B Bᵀ. B is overwritten."""
        columns = np.ascontiguousarray(self._columns[:, : int(self._count.max(initial=0))])
        return eigen_columns(columns, self.groups, self._count)


def by_stem(
    tangent: Callable[[Float], Float],
    pull: Callable[[Float], Float],
    prior: TreePrior,
    basin: Int,
    gauge: ArrayLike,
    products: int,
    rng: np.random.Generator,
    start: Float,
    checks: int = 0,
    least: float = NEGLIGIBLE,
    most: int | None = None,
    progress: Callable[[int, int], None] | None = None,
    rows: int = 0,
) -> LowRank | StemRank:
    """Approximate Cᵀ Jᵀ W J C in each basin.

    Args:
        tangent: the JVP √W J v, (values, G), for v (F, n); 0 at a gauge without weight. It may be a finite difference.
        pull: the VJP Jᵀ √W s, (F, n), for s (values, G). It must be exact.
        prior: gives C.
        basin: (n,) the basin of each reach.
        gauge: (G,) position of each gauge's reach.
        products: the largest number of VJPs, 1 or more; JVPs are as many. The search ends early if nothing is left.
        rng: draws the random signs of the checks.
        start: (F, n) a random change of the latent values to which every gauge with weight responds.
        checks: further products, to estimate the information that was left out.
        least: a stem gets no more products once its last direction held less information than this; the prior has 1.
        most: the largest number of directions kept for a basin, to save memory; at least 2, None for no limit.
        progress: called with the number of VJPs done and the number of all VJPs.
        rows: threads that work on rows of products as they are (see `stemrank`), without `most`; 0 keeps orthonormal
            directions.

    Returns:
        The approximation for each basin with gauges, and what was left out.

    Raises:
        ValueError: fewer than one product, `most` below 2, products that are not finite, or a gauge that depends on a
            reach that is not upstream of it.
    """
    if products < 1 or checks < 0 or (most is not None and most < 2):
        raise ValueError(
            f"Must have products >= 1, checks >= 0 and most >= 2, we instead got {products}, {checks} and {most}"
        )
    at = np.asarray(gauge, np.int64)
    series = np.asarray(tangent(start), np.float64)
    active = np.linalg.norm(series, axis=0) > 0
    stems = _Stems(prior, basin, at, active)
    every = Groups.of(basin, prior.shape[0])
    groups = every.select(np.isin(every.label, stems.label))
    directions = StemRows(groups, prior, products) if rows else _Directions(groups, prior, most)
    total, done = products + checks, 0

    def pulled(seed: Float) -> Float:
        nonlocal done
        found = np.asarray(pull(seed), np.float64)
        if not np.isfinite(found).all():
            raise ValueError(f"Must have finite products, we instead got others in pull {done + 1}")
        done += 1
        if progress is not None:
            progress(done, total)
        return found

    while done < products and stems.live.any():
        mine, level = stems.choose()
        columns = np.flatnonzero(active & mine[stems.stem])
        before = stems.length(series[:, columns], columns)
        new = stems.without(series[:, columns], columns)
        left = stems.length(new, columns)
        stems.live &= ~(mine & (left <= DEPENDENT * before))
        mine &= stems.live
        if not mine.any():
            continue
        chosen = mine[stems.stem[columns]]
        columns, new = columns[chosen], new[:, chosen]
        new /= left[stems.stem[columns]]
        seed = np.zeros_like(series)
        seed[:, columns] = new
        row = pulled(seed)
        owner = np.where(stems.place >= 0, stems.owner[level[stems.place], np.arange(basin.size)], -1)
        if (row[:, owner < 0] != 0).any():
            raise ValueError(
                "Must have gauges that see only reaches upstream, we instead got one that sees others"
            )
        column = np.full(at.size, -1, np.int64)
        column[columns] = np.arange(columns.size)
        stems.turns.append(_Turn(column, new))
        these = np.flatnonzero(mine)
        directions.add(row, owner, these, stems.group[these], stems.place)
        white = prior.colour_transposed(row)
        told = np.bincount(owner[owner >= 0], (white**2).sum(axis=0)[owner >= 0], minlength=mine.size)
        stems.gain[mine] = told[mine]
        stems.live &= ~(mine & (told <= least))
        if done < products:
            image = np.asarray(tangent(prior.colour(white)), np.float64)
            series[:, columns] = image[:, columns]
    dropped = np.zeros(groups.label.size)
    if isinstance(directions, _Directions):
        values, vectors = directions.eigen()
        dropped = directions.dropped + np.where(values > NEGLIGIBLE, 0.0, values).sum(axis=1)
        rank = max(1, int((values > NEGLIGIBLE).sum(axis=1).max(initial=1)))
        values = np.where(values > NEGLIGIBLE, values, 0.0)[:, :rank]
    unfinished = np.bincount(stems.group[stems.live], minlength=groups.label.size)
    left_out = np.full(groups.label.size, np.nan)
    variance = left_out.copy()
    if checks:
        left_out, variance = dropped, np.zeros_like(left_out)
        those = np.flatnonzero(active)
        of_group = stems.group[stems.stem[those]]
        for _ in range(checks):
            signs = rng.choice([-1.0, 1.0], prior.shape)
            rest = np.zeros_like(series)
            rest[:, those] = stems.without(
                np.asarray(tangent(prior.colour(signs)), np.float64)[:, those], those
            )
            square = (rest[:, those] ** 2).sum(axis=0)
            left_out = left_out + np.bincount(of_group, square, minlength=left_out.size) / checks
            image = groups.pack(prior.colour_transposed(pulled(rest)))
            # the trace of R by random signs has variance 2 (‖R‖² − Σ R_ii²), at most twice the mean of ‖R v‖²
            variance = variance + 2 * groups.sum(image**2) / checks**2
    if isinstance(directions, StemRows):
        return directions.finish(unfinished == 0, left_out, variance, done, rows)
    return LowRank(
        groups, values, np.ascontiguousarray(vectors[:, :rank]), unfinished == 0, left_out, variance, done
    )
