"""Low-rank approximation of the information river by river, from products with the Jacobian and its transpose.

A basin with a hundred gauges has more than a hundred directions that they inform, and a search that takes one
direction of a basin from each product with Jᵀ W J needs as many products. But a gauge sees only what lies upstream
of it. So gauges are put together into stems, as rivers are into a main stem and its tributaries: each gauge goes
with the one upstream of it that has most gauges above, and the others begin stems of their own. A stem's level is
above those of all that flow into it; stems of one level see no reach in common, so that one product with Jᵀ serves
all of them and still tells them apart. There are at most log₂(gauges) + 1 levels. Gauges one below the other, which
see much the same, are one stem, and share its directions; tributaries have directions each.

For each stem s, with H_s the rows of its gauges in √W J C, orthonormal series U_s are found by a Krylov iteration
(Golub & Kahan 1965, doi:10.1137/0702016), and Σ_s (U_sᵀ H_s)ᵀ (U_sᵀ H_s) never exceeds Σ_s H_sᵀ H_s = Cᵀ F C,
however inexact the products with J are: they only choose the series. What further products add is only ever more:
the series of fewer are among those of more, and each basin takes in turn the level that last told most.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rivercut.compiling import njit
from rivergrad.inference.lowrank import DEPENDENT, Groups, LowRank, eigen_columns
from rivergrad.model.treeprior import TreePrior

Int = NDArray[np.int64]
Float = NDArray[np.float64]
Bool = NDArray[np.bool_]

NEGLIGIBLE = 1e-9  # information, against the prior's 1, that is not kept


@njit(cache=True)
def _stems(
    downstream: Int, order: Int, first: Int, following: Int
) -> tuple[Int, Int]:  # pragma: no cover - compiled
    """The stem of each gauge (−1 for none), and the level of each stem; gauges at one reach follow in turn."""
    near = np.full(downstream.size, -1, np.int64)  # the first gauge on the way down
    below = np.full(following.size, -1, np.int64)
    for a in range(order.size - 1, -1, -1):
        i = order[a]
        further = near[downstream[i]] if downstream[i] >= 0 else -1
        near[i] = first[i] if first[i] >= 0 else further
        g = first[i]
        while g >= 0:
            below[g] = following[g] if following[g] >= 0 else further
            g = following[g]
    count = np.ones(following.size, np.int64)  # gauges upstream, itself included
    main = np.full(following.size, -1, np.int64)  # the gauge that it goes with
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
    least = np.zeros(following.size, np.int64)  # level of a gauge's stem, for those that flow in there
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
    """Stems of gauges, and their levels, in each of which no two stems see the same reach.

    Args:
        downstream, order: as in `TreePrior`; gauge: (G,) position of each gauge's reach.
        active: (G,) the gauges that count.

    Returns:
        stem (G,), −1 for gauges that do not count; level (S,); and owner (levels, n): the stem of each level that
        sees the reach, −1 for none.
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
    """One pull: the series of some stems, and what Jᵀ makes of them.

    Attributes:
        stems: (k,) whose turn it was.
        column: (G,) where a gauge's series stands in `series` (values, …), −1 for gauges of other stems.
        row: (F, n) Jᵀ √W of them; owner: (n,) the stem that each reach's numbers belong to, −1 for none.
    """

    stems: Int
    column: Int
    series: Float
    row: Float
    owner: Int


class _Stems:
    """The stems at work: whose turn it is, what each was last told, and the orthonormal series of all."""

    def __init__(self, prior: TreePrior, basin: Int, gauge: Int, active: Bool) -> None:
        self.stem, self.level, self.owner = gauge_stems(prior.downstream, prior.order, gauge, active)
        count = self.level.size
        home = np.zeros(count, np.int64)
        home[self.stem[active]] = basin[gauge[active]]
        self.label, self.group = np.unique(
            home, return_inverse=True
        )  # basins with gauges; (S,) that of each stem
        self.live = np.ones(count, np.bool_)
        self.gain = np.full(count, np.inf)  # information of the last direction; none was looked at yet
        self.turns: list[_Turn] = []
        place = np.minimum(np.searchsorted(self.label, basin), max(self.label.size - 1, 0))
        self.place = np.where(np.isin(basin, self.label), place, -1)  # (n,) the group of each reach

    def length(self, series: Float, columns: Int) -> Float:
        """Length of each stem's part of `series` (values, columns), (S,)."""
        square = np.einsum("tg,tg->g", series, series)
        return np.sqrt(np.bincount(self.stem[columns], square, minlength=self.level.size))

    def without(self, series: Float, columns: Int) -> Float:
        """What of each stem's series lies outside of its own; twice, which is orthogonal to rounding."""
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
        """The stems whose turn it is, (S,), and the level at which each group is, (groups,).

        Each basin's is the level whose stems were told most when last asked, those that were not asked yet before.
        """
        worth = np.full((self.label.size, self.owner.shape[0]), -1.0)
        told = np.where(np.isinf(self.gain), 1e9, np.log1p(np.where(np.isinf(self.gain), 0.0, self.gain)))
        live = np.flatnonzero(self.live)
        worth[self.group[live], self.level[live]] = 0.0
        np.add.at(worth, (self.group[live], self.level[live]), told[live])
        level = worth.argmax(axis=1)
        return self.live & (self.level == level[self.group]), level


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
    progress: Callable[[int, int], None] | None = None,
) -> LowRank:
    """Approximate Cᵀ Jᵀ W J C in each basin.

    Args:
        tangent: √W J v, (values, G), for v (F, n); 0 at a gauge that has no say. May be a difference quotient.
        pull: Jᵀ √W s, (F, n), for s (values, G). Exact.
        prior: gives C.
        basin: (n,) the tree of each reach.
        gauge: (G,) position of each gauge's reach.
        products: pulls, and as many tangents, 1 or more. It ends early where there is nothing more to find.
        rng: for the checks.
        start: (F, n), a change of the latent values that every gauge which has a say responds to; random.
        checks: more products, to estimate what was left out.
        least: a stem of which the last direction held less information than this is looked at no more.
        progress: is told the pulls done and the pulls in all.

    Raises:
        ValueError: fewer than one product, products that are not finite, or a gauge that sees a reach which is not
            upstream of it.
    """
    if products < 1 or checks < 0:
        raise ValueError(f"Must have products >= 1 and checks >= 0, we instead got {products} and {checks}")
    at = np.asarray(gauge, np.int64)
    series = np.asarray(tangent(start), np.float64)
    active = np.linalg.norm(series, axis=0) > 0
    stems = _Stems(prior, basin, at, active)
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
        stems.turns.append(_Turn(np.flatnonzero(mine), column, new, row, owner))
        white = prior.colour_transposed(row)
        told = np.bincount(owner[owner >= 0], (white**2).sum(axis=0)[owner >= 0], minlength=mine.size)
        stems.gain[mine] = told[mine]
        stems.live &= ~(mine & (told <= least))
        if done < products:
            image = np.asarray(tangent(prior.colour(white)), np.float64)
            series[:, columns] = image[:, columns]
    basis_groups = Groups.of(basin, prior.shape[0])
    groups = basis_groups.select(np.isin(basis_groups.label, stems.label))
    found, count = _columns(stems, prior, groups)
    values, vectors = eigen_columns(found, groups, count)
    dropped = np.where(values > NEGLIGIBLE, 0.0, values).sum(axis=1)
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
            # as in `low_rank`: vᵀRv has variance 2 (‖R‖² − Σ R_ii²) at most twice the mean of ‖R v‖²
            variance = variance + 2 * groups.sum(image**2) / checks**2
    return LowRank(
        groups, values, np.ascontiguousarray(vectors[:, :rank]), unfinished == 0, left_out, variance, done
    )


def _columns(stems: _Stems, prior: TreePrior, groups: Groups) -> tuple[Float, Int]:
    """Whitened rows of all stems of a basin side by side, (N, q), and how many each basin has, (groups,)."""
    groups_of = [stems.group[turn.stems] for turn in stems.turns]
    number = [np.bincount(group, minlength=groups.label.size) for group in groups_of]
    count = np.zeros(groups.label.size, np.int64)
    for several in number:
        count += several
    columns = np.zeros((groups.slot.size, int(count.max(initial=0))))
    slots, filled = np.arange(groups.slot.size), np.zeros(groups.label.size, np.int64)
    for turn, group, several in zip(stems.turns, groups_of, number, strict=True):
        order = np.argsort(group, kind="stable")
        begin = np.cumsum(several) - several
        for k in range(int(several.max(initial=0))):
            has = several > k
            chosen = np.full(groups.label.size, -2, np.int64)  # the k-th stem of each basin
            chosen[has] = turn.stems[order[begin[has] + k]]
            # whitening carries numbers downstream, beyond what the stem sees: each stem's by itself
            seen = turn.owner == np.where(stems.place >= 0, chosen[stems.place], -2)
            white = groups.pack(prior.colour_transposed(np.where(seen, turn.row, 0.0)))
            mine = groups.spread(has)
            columns[slots[mine], groups.spread(filled)[mine]] = white[mine]
            filled += has
    return columns, count
