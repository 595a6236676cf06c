"""Coefficients of the sweep from the flow of an interval, and their adjoint: c = c₀ (Q/Q₀)^m inside of a tile.

With r = Q/Q₀ within bounds, k' = k r^−m within bounds and k' x' = p = max(0, min(k' x, δ/2, k' − δ/2)),

    d = k' − p + h;   a = (h − p) / d;   b = δ / d

h is δ/2 for Muskingum, and δ, with x = 0, for linear storages. All lanes of a vector at once.
"""

from __future__ import annotations

import math
from typing import Any

from rivergrad.routing.recurrence.cpu.lanes import VECTOR_BYTES, bare, load, splat, store
from rivergrad.routing.recurrence.cpu.varying.vectors import (
    binary_logarithm,
    larger,
    power_of_two,
    reciprocal,
    smaller,
    total,
    where_below,
)

Number = Any
K, X, M, RATE, H, LOWER, UPPER, STEP, LEAST, MOST, NUMBERS = range(11)
"""Columns of a law: k, x, m, 1/Q₀, h, bounds of k', δ, bounds of Q/Q₀."""
LN_2 = math.log(2.0)
BY_K, BY_X, BY_M, BY_LOG, GRADIENTS = range(5)
"""Rows of gradients of a reach; the last is that by ln Q₀."""


@bare()
def coefficients(flow: int, a: int, b: int, count: int, law: Any) -> None:  # pragma: no cover - compiled
    """a and b at `count` vectors of flow, of the reach whose numbers `law` has."""
    k, x, m, rate = splat(law[K]), splat(law[X]), splat(-law[M]), splat(law[RATE])
    h, step = splat(law[H]), splat(law[STEP])
    half = splat(type(law[K])(0.5) * law[STEP])
    zero = splat(type(law[K])(0.0))
    like = law[K]
    for u in range(count):
        at = u * VECTOR_BYTES
        r = smaller(larger(load(flow + at, like) * rate, splat(law[LEAST])), splat(law[MOST]))
        now = smaller(larger(k * power_of_two(m * binary_logarithm(r)), splat(law[LOWER])), splat(law[UPPER]))
        part = larger(smaller(now * x, smaller(half, now - half)), zero)
        inverse = reciprocal((now - part) + h)
        store(a + at, (h - part) * inverse)
        store(b + at, step * inverse)


@bare()
def adjoint(
    flow: int, by_a: int, by_b: int, into: int, count: int, lanes: int, law: Any, sums: Any, at_reach: int,
    wanted_flow: bool,
) -> None:  # fmt: skip  # pragma: no cover - compiled
    """Gradients of the law's numbers, added to `sums` (number, reach), and of flow to `into` from those of a and b."""
    like = law[K]
    k, x, m, rate = splat(law[K]), splat(law[X]), splat(-law[M]), splat(law[RATE])
    h, step = splat(law[H]), splat(law[STEP])
    half = splat(type(like)(0.5) * law[STEP])
    one, zero = splat(type(like)(1.0)), splat(type(like)(0.0))
    least, most = splat(law[LEAST]), splat(law[MOST])
    lower, upper = splat(law[LOWER]), splat(law[UPPER])
    ln_2 = splat(type(like)(LN_2))
    g_k, g_x, g_m, g_log = zero, zero, zero, zero
    for u in range(count):
        at = u * VECTOR_BYTES
        free = load(flow + at, like) * rate
        r = smaller(larger(free, least), most)
        logarithm = binary_logarithm(r)
        factor = power_of_two(m * logarithm)
        wanted = k * factor
        now = smaller(larger(wanted, lower), upper)
        own = now * x
        cap = smaller(half, now - half)
        part = larger(smaller(own, cap), zero)
        inverse = reciprocal((now - part) + h)
        va = (h - part) * inverse
        vb = step * inverse
        ga, gb = load(by_a + at, like), load(by_b + at, like)
        g_now = zero - inverse * (ga * va + gb * vb)
        g_part = inverse * (gb * vb - ga * (one - va))
        free_x = where_below(cap, own, zero, g_part)
        g_x = g_x + free_x * now
        g_now = g_now + free_x * x
        capped = where_below(zero, cap, g_part - free_x, zero)
        g_now = g_now + where_below(half, now - half, zero, capped)
        g_now = where_below(wanted, lower, zero, where_below(upper, wanted, zero, g_now))
        g_k = g_k + g_now * factor
        g_power = zero - g_now * wanted  # by ln of r^m
        g_m = g_m + g_power * (ln_2 * logarithm)
        g_ln = where_below(free, least, zero, where_below(most, free, zero, zero - g_power * m))
        g_log = g_log - g_ln
        if wanted_flow:
            store(into + at, g_ln * rate * reciprocal(r))
    sums[BY_K, at_reach] += total(g_k, lanes)
    sums[BY_X, at_reach] += total(g_x, lanes)
    sums[BY_M, at_reach] += total(g_m, lanes)
    sums[BY_LOG, at_reach] += total(g_log, lanes)
