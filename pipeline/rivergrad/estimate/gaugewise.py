"""Low-rank approximation of the information gauge by gauge, from products with the Jacobian and its transpose.

A basin with a hundred gauges has more than a hundred directions that they inform, and a search that takes one
direction of a basin from each product with Jᵀ W J needs as many products. But a gauge sees only what lies
upstream of it. Of gauges none of which lies upstream of another, no two see the same reach, so that one product
with Jᵀ serves all of them and still tells them apart; and gauges fall into as many such levels as lie on the
longest way down a river (five, for a thousand random gauges of the world at half a degree).

For each gauge g, with H_g its rows of √W J C, a few orthonormal series U_g are found by a Krylov iteration
(Golub & Kahan 1965, doi:10.1137/0702016), and Σ_g (U_gᵀ H_g)ᵀ (U_gᵀ H_g) never exceeds Σ_g H_gᵀ H_g = Cᵀ F C,
however inexact the products with J are: they only choose the series.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray

from rivergrad.estimate.lowrank import DEPENDENT, Groups, LowRank, eigen_columns
from rivergrad.estimate.treeprior import TreePrior

Int = NDArray[np.int64]
Float = NDArray[np.float64]
Bool = NDArray[np.bool_]

NEGLIGIBLE = 1e-9  # information, against the prior's 1, that is not kept


@njit(cache=True)
def _levels(downstream: Int, order: Int, first: Int, following: Int) -> Int:  # pragma: no cover - compiled
    """How many gauges lie upstream of each on the way with most of them; those at one reach count in turn."""
    level = np.zeros(following.size, np.int64)
    height = np.zeros(downstream.size, np.int64)
    for i in order:
        g = first[i]
        while g >= 0:
            level[g] = height[i]
            height[i] += 1
            g = following[g]
        d = downstream[i]
        if d >= 0:
            height[d] = max(height[d], height[i])
    return level


@njit(cache=True)
def _owners(
    downstream: Int, order: Int, first: Int, following: Int, level: Int, levels: int
) -> Int:  # pragma: no cover - compiled
    owner = np.full((levels, downstream.size), -1, np.int64)
    for a in range(order.size - 1, -1, -1):
        i = order[a]
        if downstream[i] >= 0:
            owner[:, i] = owner[:, downstream[i]]
        g = first[i]
        while g >= 0:
            owner[level[g], i] = g
            g = following[g]
    return owner


def gauge_levels(downstream: Int, order: Int, gauge: Int, active: Bool) -> tuple[Int, Int]:
    """Levels of gauges none of which lies upstream of another of its level.

    Args:
        downstream, order: as in `TreePrior`; gauge: (G,) position of each gauge's reach.
        active: (G,) the gauges that count.

    Returns:
        level (G,), and owner (levels, n): the gauge of each level that sees the reach, −1 for none.
    """
    first = np.full(downstream.size, -1, np.int64)
    following = np.full(gauge.size, -1, np.int64)
    for g in np.flatnonzero(active)[::-1]:
        following[g], first[gauge[g]] = first[gauge[g]], g
    level = _levels(downstream, order, first, following)
    levels = int(level[active].max(initial=-1)) + 1
    return level, _owners(downstream, order, first, following, level, levels)


def by_gauge(
    tangent: Callable[[Float], Float],
    pull: Callable[[Float], Float],
    prior: TreePrior,
    basin: Int,
    gauge: ArrayLike,
    steps: int,
    rng: np.random.Generator,
    start: Float,
    checks: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> LowRank:
    """Approximate Cᵀ Jᵀ W J C in each basin.

    Args:
        tangent: √W J v, (values, G), for v (F, n); 0 at a gauge that has no say. May be a difference quotient.
        pull: Jᵀ √W s, (F, n), for s (values, G). Exact.
        prior: gives C.
        basin: (n,) the tree of each reach.
        gauge: (G,) position of each gauge's reach.
        steps: directions sought for each gauge, 1 or more; exact for a gauge that informs no more.
        rng: for the checks.
        start: (F, n), a change of the latent values that every gauge which has a say responds to; random.
        checks: more products, to estimate what was left out.
        progress: is told the pulls done and the pulls in all.

    Raises:
        ValueError: fewer than one step, products that are not finite, or a gauge that sees a reach which is not
            upstream of it.
    """
    if steps < 1 or checks < 0:
        raise ValueError(f"Must have steps >= 1 and checks >= 0, we instead got {steps} and {checks}")
    at = np.asarray(gauge, np.int64)
    series = np.asarray(tangent(start), np.float64)
    active = np.linalg.norm(series, axis=0) > 0
    level, owner = gauge_levels(prior.downstream, prior.order, at, active)
    total, done = steps * owner.shape[0] + checks, 0

    def pulled(seed: Float) -> Float:
        nonlocal done
        found = np.asarray(pull(seed), np.float64)
        if not np.isfinite(found).all():
            raise ValueError(f"Must have finite products, we instead got others in pull {done + 1}")
        done += 1
        if progress is not None:
            progress(done, total)
        return found

    rows = np.zeros((steps, owner.shape[0], *prior.shape))  # Jᵀ √W u of each gauge, where it sees anything
    kept: list[Float] = []
    live = active
    for step in range(steps):
        length = np.linalg.norm(series, axis=0)
        series = _without(series, kept)
        left = np.linalg.norm(series, axis=0)
        live = live & (left > DEPENDENT * length)
        series = np.where(live, series / np.where(live, left, 1.0), 0.0)
        kept.append(series)
        following = np.zeros_like(series)
        for k in range(owner.shape[0]):
            mine = live & (level == k)
            if not mine.any():
                continue
            row = pulled(np.where(mine, series, 0.0))
            if (row[:, owner[k] < 0] != 0).any():
                raise ValueError(
                    "Must have gauges that see only reaches upstream, we instead got one that sees others"
                )
            rows[step, k] = row
            if step + 1 < steps:
                image = np.asarray(tangent(prior.colour(prior.colour_transposed(row))), np.float64)
                following[:, mine] = image[:, mine]
        series = following
    basis_groups = Groups.of(basin, prior.shape[0])
    with_gauges = np.isin(basis_groups.label, basin[at[active]])
    groups = basis_groups.select(with_gauges)
    columns, count = _columns(rows, level, owner, active, at, basin, prior, groups)
    values, vectors = eigen_columns(columns, groups, count)
    dropped = np.where(values > NEGLIGIBLE, 0.0, values).sum(axis=1)
    rank = max(1, int((values > NEGLIGIBLE).sum(axis=1).max(initial=1)))
    values = np.where(values > NEGLIGIBLE, values, 0.0)[:, :rank]
    of_group = np.searchsorted(groups.label, basin[at])  # of active gauges
    unfinished = np.bincount(of_group[live & active], minlength=groups.label.size + 1)[: groups.label.size]
    left_out = np.full(groups.label.size, np.nan)
    variance = left_out.copy()
    if checks:
        left_out, variance = dropped, np.zeros_like(left_out)
        for _ in range(checks):
            signs = rng.choice([-1.0, 1.0], prior.shape)
            rest = _without(np.asarray(tangent(prior.colour(signs)), np.float64), kept)
            square = (rest**2).sum(axis=0)[active]
            left_out = left_out + np.bincount(of_group[active], square, minlength=left_out.size) / checks
            image = groups.pack(prior.colour_transposed(pulled(rest)))
            # as in `low_rank`: vᵀRv has variance 2 (‖R‖² − Σ R_ii²) at most twice the mean of ‖R v‖²
            variance = variance + 2 * groups.sum(image**2) / checks**2
    return LowRank(
        groups, values, np.ascontiguousarray(vectors[:, :rank]), unfinished == 0, left_out, variance, done
    )


def _without(series: Float, kept: list[Float]) -> Float:
    """What of each gauge's series lies outside of those kept; twice, which is orthogonal to rounding."""
    for _ in range(2):
        for u in kept:
            series = series - u * np.einsum("tg,tg->g", u, series)
    return series


def _columns(
    rows: Float,
    level: Int,
    owner: Int,
    active: Bool,
    at: Int,
    basin: Int,
    prior: TreePrior,
    groups: Groups,
) -> tuple[Float, Int]:
    """Whitened rows of all gauges of a basin side by side, (N, q), and how many each basin has, (groups,)."""
    steps = rows.shape[0]
    members = np.flatnonzero(active)
    group = np.searchsorted(groups.label, basin[at[members]])
    by_group = np.argsort(group, kind="stable")
    number = np.bincount(group, minlength=groups.label.size)
    begin = np.concatenate([[0], np.cumsum(number)])
    turn = np.empty(members.size, np.int64)
    turn[by_group] = np.arange(members.size) - np.repeat(begin[:-1], number)
    columns = np.zeros((groups.slot.size, int(number.max(initial=0)) * steps))
    reach = np.arange(basin.size)
    place = np.minimum(np.searchsorted(groups.label, basin), max(groups.label.size - 1, 0))
    for k in range(int(number.max(initial=0))):
        chosen = np.full(groups.label.size, -1, np.int64)  # the gauge of each basin whose turn it is
        chosen[group[turn == k]] = members[turn == k]
        mine = chosen[place]
        its_level = level[np.maximum(mine, 0)]
        sees = (mine >= 0) & (owner[its_level, reach] == mine)
        parts = np.where(sees[:, None, None], rows[:, its_level, :, reach], 0.0)  # (n, steps, F)
        white = prior.colour_transposed(np.ascontiguousarray(parts.transpose(1, 2, 0)))
        columns[:, k * steps : (k + 1) * steps] = groups.pack(white).T
    return columns, number * steps
