"""One reach over one tile of time with coefficients a, b by forcing step: as `cpu/sections.py` where they are constant.

    e = x[t] − m ;  q[t] = m + a[d] e ;  m ← m + b[d] e

m, a discharge, is held where a and b change. Lanes are joined as there, with the product of (1 − b) over the steps
of a lane, which differs from lane to lane here. `a` and `b` are addresses of one vector a forcing step.
"""

from __future__ import annotations

from typing import Any

from rivergrad.routing.recurrence.cpu.lanes import VECTOR_BYTES, bare, load, peek, poke, splat, store
from rivergrad.routing.recurrence.cpu.sections import FIRST_X, LAST, START

KEEP = 2
"""Row of `work`: the product of (1 − b) over the steps of each lane."""
Number = Any  # a float32 or float64


@bare()
def power(base: Any, exponent: int, one: Any) -> Any:  # pragma: no cover - compiled
    """base^exponent of a vector."""
    result = one
    while exponent > 0:
        if exponent & 1:
            result = result * base
        base = base * base
        exponent >>= 1
    return result


@bare()
def guess(
    src: int, runoff: int, b: int, units: int, steps: int, work: int, like: Number
) -> None:  # pragma: no cover - compiled
    """First pass: where each lane ends (LAST) if it starts with m = its first inflow (FIRST_X), and KEEP."""
    one = splat(type(like)(1.0))
    keep = one
    m = load(runoff, like) + load(src, like)
    store(work + FIRST_X * VECTOR_BYTES, m)
    for u in range(units):
        r = load(runoff + u * VECTOR_BYTES, like)
        vb = load(b + u * VECTOR_BYTES, like)
        for _ in range(steps):
            m = m + vb * ((load(src, like) + r) - m)
            src += VECTOR_BYTES
        keep = keep * power(one - vb, steps, one)
    store(work + LAST * VECTOR_BYTES, m)
    store(work + KEEP * VECTOR_BYTES, keep)


@bare()
def guess_head(
    runoff: int, b: int, units: int, steps: int, work: int, like: Number
) -> None:  # pragma: no cover - compiled
    """The same where runoff is the only inflow."""
    one = splat(type(like)(1.0))
    keep = one
    m = load(runoff, like)
    store(work + FIRST_X * VECTOR_BYTES, m)
    for u in range(units):
        r = load(runoff + u * VECTOR_BYTES, like)
        rest = power(one - load(b + u * VECTOR_BYTES, like), steps, one)
        m = r + rest * (m - r)
        keep = keep * rest
    store(work + LAST * VECTOR_BYTES, m)
    store(work + KEEP * VECTOR_BYTES, keep)


@bare()
def join(work: int, size: int, lanes: int, state: Number) -> Number:  # pragma: no cover - compiled
    """Where each lane truly starts (START), from the state before the tile; returns the state after it."""
    x, keep = work + FIRST_X * VECTOR_BYTES, work + KEEP * VECTOR_BYTES
    end, start = work + LAST * VECTOR_BYTES, work + START * VECTOR_BYTES
    number = type(state)
    off = float(state) - float(peek(x, state))
    poke(start, number(float(peek(x, state)) + off))
    for l in range(1, lanes):
        own = float(peek(x + l * size, state))
        before = l - 1
        off = (float(peek(end + before * size, state)) - own) + float(peek(keep + before * size, state)) * off
        poke(start + l * size, number(own + off))
    for l in range(lanes, VECTOR_BYTES // size):
        poke(start + l * size, peek(x + l * size, state))
    last = lanes - 1
    return number(float(peek(end + last * size, state)) + float(peek(keep + last * size, state)) * off)


@bare()
def run(
    src: int,
    dst: int,
    adding: bool,
    runoff: int,
    mean: int,
    a: int,
    b: int,
    units: int,
    steps: int,
    work: int,
    like: Number,
) -> None:  # pragma: no cover - compiled
    """Second pass: q to `dst` (or added to it), its mean over each unit to `mean`."""
    share = splat(type(like)(1.0 / steps))
    m = load(work + START * VECTOR_BYTES, like)
    for u in range(units):
        r = load(runoff + u * VECTOR_BYTES, like)
        va = load(a + u * VECTOR_BYTES, like)
        vb = load(b + u * VECTOR_BYTES, like)
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


@bare()
def run_head(
    dst: int,
    adding: bool,
    silent: bool,
    runoff: int,
    mean: int,
    a: int,
    b: int,
    units: int,
    steps: int,
    work: int,
    like: Number,
) -> None:  # pragma: no cover - compiled
    """The same where runoff is the only inflow: q[j] = r − (1−a)(1−b)^j e. `silent`: the series isn't wanted."""
    one = splat(type(like)(1.0))
    share = splat(type(like)(1.0 / steps))
    m = load(work + START * VECTOR_BYTES, like)
    for u in range(units):
        r = load(runoff + u * VECTOR_BYTES, like)
        e = r - m
        gap = (one - load(a + u * VECTOR_BYTES, like)) * e
        left = one - load(b + u * VECTOR_BYTES, like)
        now = one
        total = one - one
        if adding:
            for _ in range(steps):
                total = total + now
                store(dst, load(dst, like) + (r - gap * now))
                now = now * left
                dst += VECTOR_BYTES
        elif not silent:
            for _ in range(steps):
                total = total + now
                store(dst, r - gap * now)
                now = now * left
                dst += VECTOR_BYTES
        else:
            for _ in range(steps):
                total = total + now
                now = now * left
        m = r - now * e
        store(mean + u * VECTOR_BYTES, r - gap * (total * share))


@bare()
def rerun(
    src: int,
    dst: int,
    adding: bool,
    runoff: int,
    errors: int,
    a: int,
    b: int,
    units: int,
    steps: int,
    work: int,
    like: Number,
) -> None:  # pragma: no cover - compiled
    """`run` for the adjoint, which needs e and no means."""
    m = load(work + START * VECTOR_BYTES, like)
    for u in range(units):
        r = load(runoff + u * VECTOR_BYTES, like)
        va = load(a + u * VECTOR_BYTES, like)
        vb = load(b + u * VECTOR_BYTES, like)
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
def adjoint_guess(
    src: int, mean: int, a: int, b: int, units: int, steps: int, work: int, like: Number
) -> None:  # pragma: no cover - compiled
    """First pass of the adjoint: μ at the start of each lane (LAST) if it is zero at its end, and KEEP."""
    one = splat(type(like)(1.0))
    keep = one
    at = src + (units * steps - 1) * VECTOR_BYTES
    m = one - one
    for u in range(units - 1, -1, -1):
        vc = one - load(a + u * VECTOR_BYTES, like)
        vb = load(b + u * VECTOR_BYTES, like)
        g = load(mean + u * VECTOR_BYTES, like)
        for _ in range(steps):
            gq = load(at, like) + g
            m = vc * gq + (m - vb * m)
            at -= VECTOR_BYTES
        keep = keep * power(one - vb, steps, one)
    store(work + LAST * VECTOR_BYTES, m)
    store(work + KEEP * VECTOR_BYTES, keep)


@bare()
def adjoint_join(work: int, size: int, lanes: int, state: Number) -> Number:  # pragma: no cover - compiled
    """μ at the true end of each lane (START), from μ after the tile; returns μ before it."""
    start, first = work + START * VECTOR_BYTES, work + LAST * VECTOR_BYTES
    keep = work + KEEP * VECTOR_BYTES
    number = type(state)
    m = float(state)
    for l in range(lanes, VECTOR_BYTES // size):
        poke(start + l * size, number(0.0))
    for l in range(lanes - 1, -1, -1):
        poke(start + l * size, number(m))
        m = float(peek(first + l * size, state)) + float(peek(keep + l * size, state)) * m
    return number(m)


@bare()
def adjoint_run(
    src: int,
    dst: int,
    mean: int,
    errors: int,
    into: int,
    a: int,
    b: int,
    into_a: int,
    into_b: int,
    adding: bool,
    units: int,
    steps: int,
    work: int,
    like: Number,
) -> None:  # pragma: no cover - compiled
    """Second pass of the adjoint: the gradient of x to `dst`, its sum over each unit (the gradient of the runoff) to
    `into`, which may be `mean`, and those of a and b by unit to `into_a` and `into_b` (or added to them)."""
    offset = (units * steps - 1) * VECTOR_BYTES
    src += offset
    dst += offset
    errors += offset
    m = load(work + START * VECTOR_BYTES, like)
    for u in range(units - 1, -1, -1):
        at = u * VECTOR_BYTES
        va = load(a + at, like)
        vb = load(b + at, like)
        g = load(mean + at, like)
        total = va - va
        ga = total
        gb = total
        for _ in range(steps):
            e = load(errors, like)
            gq = load(src, like) + g
            ga = ga + gq * e
            gb = gb + m * e
            ge = va * gq + vb * m
            m = (gq + m) - ge
            store(dst, ge)
            total = total + ge
            src -= VECTOR_BYTES
            dst -= VECTOR_BYTES
            errors -= VECTOR_BYTES
        store(into + at, total)
        if adding:
            ga = ga + load(into_a + at, like)
            gb = gb + load(into_b + at, like)
        store(into_a + at, ga)
        store(into_b + at, gb)
