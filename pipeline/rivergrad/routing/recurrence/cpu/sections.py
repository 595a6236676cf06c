"""One reach over one tile of time: the recurrence and its adjoint, all lanes at once.

    e = x[t] − m ;  q[t] = m + a e ;  m ← m + b e

A lane starts where the lane before it ends, which is only known once that one has been run. So a first pass runs
every lane from a guess (the inflow that it starts with, so that in steady state there is nothing to correct), the
lanes are joined one after the other (m is linear in the start, with the factor (1−b)^steps), and a second pass
runs from the true starts. Where runoff is the only inflow, it is constant over a forcing step, e decays by (1−b)
a step, and one pass is enough.

With a jump κ (RAPID), m stands here for the state with the jump in it: it changes by κ times the change of the
runoff between forcing steps, and is handed over without it.

The functions take addresses (see `lanes.py`). `like` is a scalar of the type computed in. `work` is scratch of
ROWS vectors (and some) for what crosses lanes.
"""

from __future__ import annotations

from typing import Any

from rivergrad.routing.recurrence.cpu.lanes import (
    VECTOR_BYTES,
    bare,
    load,
    lower_half,
    peek,
    poke,
    splat,
    store,
    upper_half,
)

# rows of `work`, in vectors
LAST, FIRST_X, FIRST_R, LAST_R, START, SUM, ROWS = 0, 1, 2, 3, 4, 5, 6
Number = Any  # a float32 or float64


@bare()
def guess(
    src: int,
    runoff: int,
    b: Number,
    jump: Number,
    jumps: bool,
    units: int,
    steps: int,
    work: int,
    like: Number,
) -> None:  # pragma: no cover - compiled
    """First pass: where each lane ends (LAST) if it starts with m = its first inflow (FIRST_X)."""
    vb = splat(b)
    vj = splat(jump)
    r = load(runoff, like)
    m = r + load(src, like)
    store(work + FIRST_X * VECTOR_BYTES, m)
    store(work + FIRST_R * VECTOR_BYTES, r)
    for u in range(units):
        if u > 0:
            before = r
            r = load(runoff + u * VECTOR_BYTES, like)
            if jumps:
                m = m + vj * (r - before)
        for _ in range(steps):
            x = load(src, like) + r
            m = m + vb * (x - m)
            src += VECTOR_BYTES
    store(work + LAST * VECTOR_BYTES, m)
    store(work + LAST_R * VECTOR_BYTES, r)


@bare()
def guess_head(
    runoff: int, rise: Number, jump: Number, jumps: bool, units: int, work: int, like: Number
) -> None:  # pragma: no cover - compiled
    """The same where runoff is the only inflow."""
    v_rise = splat(rise)
    vj = splat(jump)
    r = load(runoff, like)
    m = r
    store(work + FIRST_X * VECTOR_BYTES, m)
    store(work + FIRST_R * VECTOR_BYTES, r)
    for u in range(1, units):  # nothing changes over the first unit
        before = r
        r = load(runoff + u * VECTOR_BYTES, like)
        if jumps:
            m = m + vj * (r - before)
        m = m + v_rise * (r - m)
    store(work + LAST * VECTOR_BYTES, m)
    store(work + LAST_R * VECTOR_BYTES, r)


@bare()
def join(
    work: int, size: int, lanes: int, keep: float, jump: Number, jumps: bool, state: Number
) -> Number:  # pragma: no cover - compiled
    """Where each lane truly starts (START), from the state before the tile; returns the state after it.

    What is carried from lane to lane is the distance of m from the guess, in float64. `size` of a number, bytes.
    """
    x = work + FIRST_X * VECTOR_BYTES
    first_r, last_r = work + FIRST_R * VECTOR_BYTES, work + LAST_R * VECTOR_BYTES
    end, start = work + LAST * VECTOR_BYTES, work + START * VECTOR_BYTES
    number = type(state)
    k = float(jump)
    off = float(state) - float(peek(x, state))
    if jumps:
        off += k * float(peek(first_r, state))
        for l in range(1, lanes):  # the step of the runoff counts to where the lane before ends
            step = float(peek(first_r + l * size, state)) - float(peek(last_r + (l - 1) * size, state))
            poke(end + (l - 1) * size, number(float(peek(end + (l - 1) * size, state)) + k * step))
    poke(start, number(float(peek(x, state)) + off))
    for l in range(1, lanes):
        own = float(peek(x + l * size, state))
        off = (float(peek(end + (l - 1) * size, state)) - own) + keep * off
        poke(start + l * size, number(own + off))
    for l in range(lanes, VECTOR_BYTES // size):
        poke(start + l * size, peek(x + l * size, state))
    after = float(peek(end + (lanes - 1) * size, state)) + keep * off
    if jumps:
        after -= k * float(peek(last_r + (lanes - 1) * size, state))
    return number(after)


@bare()
def run(
    src: int,
    dst: int,
    adding: bool,
    runoff: int,
    mean: int,
    last: int,
    a: Number,
    b: Number,
    jump: Number,
    jumps: bool,
    units: int,
    steps: int,
    work: int,
    like: Number,
) -> None:  # pragma: no cover - compiled
    """Second pass: q to `dst` (or added to it), its mean over each unit to `mean`, its last to `last`."""
    va = splat(a)
    vb = splat(b)
    vj = splat(jump)
    share = splat(type(like)(1.0 / steps))
    m = load(work + START * VECTOR_BYTES, like)
    r = load(runoff, like)
    for u in range(units):
        if u > 0:
            before = r
            r = load(runoff + u * VECTOR_BYTES, like)
            if jumps:
                m = m + vj * (r - before)
        q = r
        total = r - r
        if adding:
            for _ in range(steps):
                e = load(src, like) + r - m
                q = m + va * e
                m = m + vb * e
                store(dst, load(dst, like) + q)
                total = total + q
                src += VECTOR_BYTES
                dst += VECTOR_BYTES
        else:
            for _ in range(steps):
                e = load(src, like) + r - m
                q = m + va * e
                m = m + vb * e
                store(dst, q)
                total = total + q
                src += VECTOR_BYTES
                dst += VECTOR_BYTES
        store(mean + u * VECTOR_BYTES, total * share)
        store(last + u * VECTOR_BYTES, q)


@bare()
def run_head(
    dst: int,
    adding: bool,
    silent: bool,
    runoff: int,
    mean: int,
    last: int,
    rest_a: Number,
    rest_b: Number,
    rise: Number,
    share: Number,
    jump: Number,
    jumps: bool,
    units: int,
    steps: int,
    work: int,
    like: Number,
) -> None:  # pragma: no cover - compiled
    """The same where runoff is the only inflow: q[j] = r − (1−a)(1−b)^j e. `silent`: the series isn't wanted."""
    v_rest_a = splat(rest_a)
    v_rest_b = splat(rest_b)
    v_rise = splat(rise)
    v_share = splat(share)
    vj = splat(jump)
    m = load(work + START * VECTOR_BYTES, like)
    r = load(runoff, like)
    for u in range(units):
        if u > 0:
            before = r
            r = load(runoff + u * VECTOR_BYTES, like)
            if jumps:
                m = m + vj * (r - before)
        e = r - m
        m = m + v_rise * e
        gap = v_rest_a * e
        q = r
        if adding:
            for _ in range(steps):
                q = r - gap
                gap = gap * v_rest_b
                store(dst, load(dst, like) + q)
                dst += VECTOR_BYTES
        elif not silent:
            for _ in range(steps):
                q = r - gap
                gap = gap * v_rest_b
                store(dst, q)
                dst += VECTOR_BYTES
        else:
            for _ in range(steps - 1):
                gap = gap * v_rest_b
            q = r - gap
        store(mean + u * VECTOR_BYTES, r - v_share * e)
        store(last + u * VECTOR_BYTES, q)


@bare()
def rerun(
    src: int,
    dst: int,
    adding: bool,
    runoff: int,
    errors: int,
    a: Number,
    b: Number,
    jump: Number,
    jumps: bool,
    units: int,
    steps: int,
    work: int,
    like: Number,
) -> None:  # pragma: no cover - compiled
    """`run` for the adjoint, which needs e and no means."""
    va = splat(a)
    vb = splat(b)
    vj = splat(jump)
    m = load(work + START * VECTOR_BYTES, like)
    r = load(runoff, like)
    for u in range(units):
        if u > 0:
            before = r
            r = load(runoff + u * VECTOR_BYTES, like)
            if jumps:
                m = m + vj * (r - before)
        if adding:
            for _ in range(steps):
                e = load(src, like) + r - m
                store(errors, e)
                store(dst, load(dst, like) + (m + va * e))
                m = m + vb * e
                src += VECTOR_BYTES
                dst += VECTOR_BYTES
                errors += VECTOR_BYTES
        else:
            for _ in range(steps):
                e = load(src, like) + r - m
                store(errors, e)
                store(dst, m + va * e)
                m = m + vb * e
                src += VECTOR_BYTES
                dst += VECTOR_BYTES
                errors += VECTOR_BYTES


@bare()
def rerun_head(
    dst: int,
    adding: bool,
    silent: bool,
    runoff: int,
    errors: int,
    rest_a: Number,
    rest_b: Number,
    rise: Number,
    jump: Number,
    jumps: bool,
    units: int,
    steps: int,
    work: int,
    like: Number,
) -> None:  # pragma: no cover - compiled
    """`run_head` for the adjoint, which needs the first e of each unit and no means."""
    v_rest_a = splat(rest_a)
    v_rest_b = splat(rest_b)
    v_rise = splat(rise)
    vj = splat(jump)
    m = load(work + START * VECTOR_BYTES, like)
    r = load(runoff, like)
    for u in range(units):
        if u > 0:
            before = r
            r = load(runoff + u * VECTOR_BYTES, like)
            if jumps:
                m = m + vj * (r - before)
        e = r - m
        store(errors + u * VECTOR_BYTES, e)
        m = m + v_rise * e
        gap = v_rest_a * e
        if adding:
            for _ in range(steps):
                store(dst, load(dst, like) + (r - gap))
                gap = gap * v_rest_b
                dst += VECTOR_BYTES
        elif not silent:
            for _ in range(steps):
                store(dst, r - gap)
                gap = gap * v_rest_b
                dst += VECTOR_BYTES


@bare()
def adjoint_guess(
    src: int, mean: int, last: int, rest_a: Number, b: Number, units: int, steps: int, work: int, like: Number
) -> None:  # pragma: no cover - compiled
    """First pass of the adjoint: μ at the start of each lane (LAST) if it is zero at its end.

    The gradient of q is what stands in `src`, plus `mean` of the unit (`last` in its last step).
    """
    vc = splat(rest_a)
    vb = splat(b)
    at = src + (units * steps - 1) * VECTOR_BYTES
    m = vb - vb
    for u in range(units - 1, -1, -1):
        gq = load(at, like) + load(last + u * VECTOR_BYTES, like)
        m = vc * gq + (m - vb * m)
        at -= VECTOR_BYTES
        g = load(mean + u * VECTOR_BYTES, like)
        for _ in range(steps - 1):
            gq = load(at, like) + g
            m = vc * gq + (m - vb * m)
            at -= VECTOR_BYTES
    store(work + LAST * VECTOR_BYTES, m)


@bare()
def adjoint_join(work: int, size: int, lanes: int, keep: float, state: Number) -> Number:
    """μ at the true end of each lane (START), from μ after the tile; returns μ before it."""  # pragma: no cover
    start, first = work + START * VECTOR_BYTES, work + LAST * VECTOR_BYTES
    number = type(state)
    m = float(state)
    for l in range(lanes, VECTOR_BYTES // size):
        poke(start + l * size, number(0.0))
    for l in range(lanes - 1, -1, -1):
        poke(start + l * size, number(m))
        m = float(peek(first + l * size, state)) + keep * m
    return number(m)


@bare()
def _total(work: int, size: int, like: Number) -> float:  # pragma: no cover - compiled
    """Sum of the half vector stored at SUM, in float64."""
    total = 0.0
    for l in range(VECTOR_BYTES // size // 2):
        total += float(peek(work + SUM * VECTOR_BYTES + l * size, like))
    return total


@bare()
def adjoint_run(
    src: int,
    dst: int,
    mean: int,
    last: int,
    errors: int,
    runoff: int,
    into: int,
    a: Number,
    b: Number,
    jump: Number,
    jumps: bool,
    units: int,
    steps: int,
    work: int,
    size: int,
    like: Number,
) -> tuple[float, float, float]:  # pragma: no cover - compiled
    """Second pass of the adjoint: the gradient of x to `dst`, its sum over each unit (the gradient of the runoff)
    to `into`; returns the gradients of a, b and κ. `into` may be `mean`."""
    va = splat(a)
    vb = splat(b)
    vj = splat(jump)
    offset = (units * steps - 1) * VECTOR_BYTES
    src += offset
    dst += offset
    errors += offset
    m = load(work + START * VECTOR_BYTES, like)
    ga = lower_half(vb - vb)
    gb = ga
    gj = ga
    for u in range(units - 1, -1, -1):
        m_end = m
        e = load(errors, like)
        gq = load(src, like) + load(last + u * VECTOR_BYTES, like)
        ga = ga + lower_half(gq) * lower_half(e)
        gb = gb + lower_half(m) * lower_half(e)
        ga = ga + upper_half(gq) * upper_half(e)
        gb = gb + upper_half(m) * upper_half(e)
        ge = va * gq + vb * m
        m = (gq + m) - ge
        store(dst, ge)
        total = ge
        src -= VECTOR_BYTES
        dst -= VECTOR_BYTES
        errors -= VECTOR_BYTES
        g = load(mean + u * VECTOR_BYTES, like)
        for _ in range(steps - 1):
            e = load(errors, like)
            gq = load(src, like) + g
            ga = ga + lower_half(gq) * lower_half(e)
            gb = gb + lower_half(m) * lower_half(e)
            ga = ga + upper_half(gq) * upper_half(e)
            gb = gb + upper_half(m) * upper_half(e)
            ge = va * gq + vb * m
            m = (gq + m) - ge
            store(dst, ge)
            total = total + ge
            src -= VECTOR_BYTES
            dst -= VECTOR_BYTES
            errors -= VECTOR_BYTES
        if jumps:
            change = m - m_end
            one = load(runoff + u * VECTOR_BYTES, like) * change
            gj = gj + lower_half(one) + upper_half(one)
            total = total + vj * change
        store(into + u * VECTOR_BYTES, total)
    store(work + SUM * VECTOR_BYTES, ga)
    sum_a = _total(work, size, like)
    store(work + SUM * VECTOR_BYTES, gb)
    sum_b = _total(work, size, like)
    sum_j = 0.0
    if jumps:
        store(work + SUM * VECTOR_BYTES, gj)
        sum_j = _total(work, size, like)
    return sum_a, sum_b, sum_j


@bare()
def adjoint_guess_head(
    src: int,
    mean: int,
    last: int,
    rest_a: Number,
    rest_b: Number,
    keep: Number,
    units: int,
    steps: int,
    sums: int,
    work: int,
    like: Number,
) -> None:  # pragma: no cover - compiled
    """First pass where runoff is the only inflow: of each unit Σ gq[j], Σ gq[j] (1−b)^j and its slope in 1−b.

    The three vectors of each unit go to `sums`; that pass is all that reads the series.
    """
    vc = splat(rest_a)
    vk = splat(keep)
    vr = splat(rest_b)
    at = src + (units * steps - 1) * VECTOR_BYTES
    m = vc - vc
    for u in range(units - 1, -1, -1):
        gq = load(at, like) + load(last + u * VECTOR_BYTES, like)
        at -= VECTOR_BYTES
        g = load(mean + u * VECTOR_BYTES, like)
        total = gq
        value = gq
        slope = gq - gq
        for _ in range(steps - 1):
            gq = load(at, like) + g
            slope = slope * vr + value
            value = value * vr + gq
            total = total + gq
            at -= VECTOR_BYTES
        m = vk * m + vc * value
        store(sums + (3 * u) * VECTOR_BYTES, total)
        store(sums + (3 * u + 1) * VECTOR_BYTES, value)
        store(sums + (3 * u + 2) * VECTOR_BYTES, slope)
    store(work + LAST * VECTOR_BYTES, m)


@bare()
def adjoint_run_head(
    sums: int,
    errors: int,
    runoff: int,
    into: int,
    rest_a: Number,
    rise: Number,
    keep: Number,
    slope: Number,
    jump: Number,
    jumps: bool,
    units: int,
    work: int,
    size: int,
    like: Number,
) -> tuple[float, float, float]:  # pragma: no cover - compiled
    """The rest of the adjoint there: the gradient of the runoff to `into`; returns those of a, b and κ."""
    vc = splat(rest_a)
    v_rise = splat(rise)
    vk = splat(keep)
    vs = splat(slope)
    vj = splat(jump)
    m = load(work + START * VECTOR_BYTES, like)
    ga = lower_half(vc - vc)
    gb = ga
    gj = ga
    for u in range(units - 1, -1, -1):
        e = load(errors + u * VECTOR_BYTES, like)
        value = load(sums + (3 * u + 1) * VECTOR_BYTES, like)
        one = e * value
        ga = ga + lower_half(one) + upper_half(one)
        one = e * (vs * m + vc * load(sums + (3 * u + 2) * VECTOR_BYTES, like))
        gb = gb + lower_half(one) + upper_half(one)
        total = load(sums + (3 * u) * VECTOR_BYTES, like) - vc * value + v_rise * m
        m_end = m
        m = vk * m + vc * value
        if jumps:
            change = m - m_end
            one = load(runoff + u * VECTOR_BYTES, like) * change
            gj = gj + lower_half(one) + upper_half(one)
            total = total + vj * change
        store(into + u * VECTOR_BYTES, total)
    store(work + SUM * VECTOR_BYTES, ga)
    sum_a = _total(work, size, like)
    store(work + SUM * VECTOR_BYTES, gb)
    sum_b = _total(work, size, like)
    sum_j = 0.0
    if jumps:
        store(work + SUM * VECTOR_BYTES, gj)
        sum_j = _total(work, size, like)
    return sum_a, sum_b, sum_j


@bare()
def copy(src: int, dst: int, count: int, like: Number) -> None:  # pragma: no cover - compiled
    """`count` vectors."""
    for j in range(count):
        store(dst + j * VECTOR_BYTES, load(src + j * VECTOR_BYTES, like))


@bare()
def add(src: int, dst: int, count: int, like: Number) -> None:  # pragma: no cover - compiled
    """`count` vectors, added to what stands in `dst`."""
    for j in range(count):
        store(dst + j * VECTOR_BYTES, load(dst + j * VECTOR_BYTES, like) + load(src + j * VECTOR_BYTES, like))


@bare()
def clear(dst: int, count: int, like: Number) -> None:  # pragma: no cover - compiled
    """`count` vectors of zeros."""
    zero = splat(type(like)(0.0))
    for j in range(count):
        store(dst + j * VECTOR_BYTES, zero)
