"""The recursion of a cascade over forcing steps on CPUs: a block of reaches at a time, in double precision.

Arrays of runoff are (time, reach), those of states and coefficients (storage, reach). One pass over time. What a reach
gives does not depend on the other reaches of a block. One and two storages have kernels of their own: four steps at
once, so that states and coefficients are read a quarter as often.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from rivercut.compiling import njit

Array = Any

BLOCK = 512
"""Reaches whose states and coefficients stay in the first-level cache."""
WIDE = 4096
"""The same for one or two storages, which have fewer: long rows of runoff are read faster."""


@njit(cache=True, nogil=True)
def _four(
    r0: Array, r1: Array, r2: Array, r3: Array, t0: Array, t1: Array, t2: Array, t3: Array,
    y: Array, p: Array, w: Array,
) -> None:  # fmt: skip  # pragma: no cover - compiled
    """Four steps of one storage: runoff r0 to r3, the response to t0 to t3."""
    for i in range(y.size):
        kept, out, held = p[i], w[i], y[i]
        now = np.float64(r0[i])
        gap = held - now
        t0[i] = now + out * gap
        held = now + kept * gap
        now = np.float64(r1[i])
        gap = held - now
        t1[i] = now + out * gap
        held = now + kept * gap
        now = np.float64(r2[i])
        gap = held - now
        t2[i] = now + out * gap
        held = now + kept * gap
        now = np.float64(r3[i])
        gap = held - now
        t3[i] = now + out * gap
        y[i] = now + kept * gap


@njit(cache=True, nogil=True)
def _one(row: Array, to: Array, y: Array, p: Array, w: Array) -> None:  # pragma: no cover - compiled
    for i in range(y.size):
        now = np.float64(row[i])
        gap = y[i] - now
        to[i] = now + w[i] * gap
        y[i] = now + p[i] * gap


@njit(cache=True, nogil=True)
def _double(
    row: Array, to: Array, y: Array, z: Array, p: Array, q: Array, w: Array, v: Array
) -> None:  # pragma: no cover - compiled
    """Two storages, y before z."""
    for i in range(y.size):
        now = np.float64(row[i])
        gap, gap_z = y[i] - now, z[i] - now
        to[i] = now + w[i] * gap + v[i] * gap_z
        y[i] = now + p[i] * gap
        z[i] = now + p[i] * gap_z + q[i] * gap


@njit(cache=True, nogil=True)
def _double_four(
    r0: Array, r1: Array, r2: Array, r3: Array, t0: Array, t1: Array, t2: Array, t3: Array,
    y: Array, z: Array, p: Array, q: Array, w: Array, v: Array,
) -> None:  # fmt: skip  # pragma: no cover - compiled
    """Four steps of two storages."""
    for i in range(y.size):
        keep, pass_on, out, out_z, one, two = p[i], q[i], w[i], v[i], y[i], z[i]
        now = np.float64(r0[i])
        gap, gap_z = one - now, two - now
        t0[i] = now + out * gap + out_z * gap_z
        one, two = now + keep * gap, now + keep * gap_z + pass_on * gap
        now = np.float64(r1[i])
        gap, gap_z = one - now, two - now
        t1[i] = now + out * gap + out_z * gap_z
        one, two = now + keep * gap, now + keep * gap_z + pass_on * gap
        now = np.float64(r2[i])
        gap, gap_z = one - now, two - now
        t2[i] = now + out * gap + out_z * gap_z
        one, two = now + keep * gap, now + keep * gap_z + pass_on * gap
        now = np.float64(r3[i])
        gap, gap_z = one - now, two - now
        t3[i] = now + out * gap + out_z * gap_z
        y[i] = now + keep * gap
        z[i] = now + keep * gap_z + pass_on * gap


@njit(cache=True, nogil=True)
def _back(row: Array, to: Array, y: Array, p: Array, w: Array) -> None:  # pragma: no cover - compiled
    for i in range(y.size):
        g = np.float64(row[i])
        d = w[i] * g + p[i] * y[i]
        to[i] = g + y[i] - d
        y[i] = d


@njit(cache=True, nogil=True)
def _slope(
    row: Array, gradient: Array, y: Array, v: Array, p: Array, w: Array, dp: Array, dw: Array, answer: Array
) -> None:  # pragma: no cover - compiled
    for i in range(y.size):
        now = np.float64(row[i])
        gap = y[i] - now
        tangent = v[i]
        answer[i] += np.float64(gradient[i]) * (w[i] * tangent + dw[i] * gap)
        v[i] = p[i] * tangent + dp[i] * gap
        y[i] = now + p[i] * gap


@njit(cache=True, nogil=True)
def _rows(
    of: Array, t: int, low: int, high: int
) -> tuple[Array, Array, Array, Array]:  # pragma: no cover - compiled
    """Four rows by themselves: known to be contiguous."""
    return of[t, low:high], of[t + 1, low:high], of[t + 2, low:high], of[t + 3, low:high]


@njit(cache=True, nogil=True)
def _single(
    keep: Array, out: Array, runoff: Array, state: Array, after: Array, first: int, last: int
) -> None:  # pragma: no cover - compiled
    times = runoff.shape[0]
    for low in range(first, last, WIDE):
        high = min(low + WIDE, last)
        y, p, w = state[0, low:high].copy(), keep[0, low:high].copy(), out[0, low:high].copy()
        whole = times - times % 4
        for t in range(0, whole, 4):
            r0, r1, r2, r3 = _rows(runoff, t, low, high)
            t0, t1, t2, t3 = _rows(after, t, low, high)
            _four(r0, r1, r2, r3, t0, t1, t2, t3, y, p, w)
        for t in range(whole, times):
            _one(runoff[t, low:high], after[t, low:high], y, p, w)
        state[0, low:high] = y


@njit(cache=True, nogil=True)
def _pair(
    keep: Array, out: Array, runoff: Array, state: Array, after: Array, first: int, last: int
) -> None:  # pragma: no cover - compiled
    times = runoff.shape[0]
    for low in range(first, last, WIDE):
        high = min(low + WIDE, last)
        s, p, w = state[:, low:high].copy(), keep[:, low:high].copy(), out[:, low:high].copy()
        whole = times - times % 4
        for t in range(0, whole, 4):
            r0, r1, r2, r3 = _rows(runoff, t, low, high)
            t0, t1, t2, t3 = _rows(after, t, low, high)
            _double_four(r0, r1, r2, r3, t0, t1, t2, t3, s[0], s[1], p[0], p[1], w[0], w[1])
        for t in range(whole, times):
            _double(runoff[t, low:high], after[t, low:high], s[0], s[1], p[0], p[1], w[0], w[1])
        state[:, low:high] = s


@njit(cache=True, nogil=True)
def respond(
    keep: Array, out: Array, runoff: Array, state: Array, after: Array, first: int, last: int
) -> None:  # pragma: no cover - compiled
    """The response of reaches first..last to (time, reach) `runoff`, into `after`; `state` moves on in place."""
    count = keep.shape[0]
    if count == 1:
        _single(keep, out, runoff, state, after, first, last)
        return
    if count == 2:
        _pair(keep, out, runoff, state, after, first, last)
        return
    for low in range(first, last, BLOCK):
        size = min(BLOCK, last - low)
        y = state[:, low : low + size].copy()
        p = keep[:, low : low + size].copy()
        w = out[:, low : low + size].copy()
        d = np.empty((count, size))
        r = np.empty(size)
        total = np.empty(size)
        for t in range(runoff.shape[0]):
            for i in range(size):
                r[i] = runoff[t, low + i]
                total[i] = r[i]
            for k in range(count):
                for i in range(size):
                    d[k, i] = y[k, i] - r[i]
                    total[i] += w[k, i] * d[k, i]
            for i in range(size):
                after[t, low + i] = total[i]
            for k in range(count):
                for i in range(size):
                    total[i] = r[i]
                for m in range(k + 1):
                    for i in range(size):
                        total[i] += p[m, i] * d[k - m, i]
                for i in range(size):
                    y[k, i] = total[i]
        state[:, low : low + size] = y


@njit(cache=True, nogil=True)
def adjoint(
    keep: Array, out: Array, gradient: Array, state: Array, runoff: Array, first: int, last: int
) -> None:  # pragma: no cover - compiled
    """Back in time: from the gradient of the response (time, reach) to that of `runoff`; `state` in place."""
    count = keep.shape[0]
    for low in range(first, last, BLOCK):
        size = min(BLOCK, last - low)
        y = state[:, low : low + size].copy()
        p = keep[:, low : low + size].copy()
        w = out[:, low : low + size].copy()
        g = np.empty(size)
        total = np.empty(size)
        d = np.empty(size)
        for t in range(gradient.shape[0] - 1, -1, -1):
            if count == 1:
                _back(gradient[t, low : low + size], runoff[t, low : low + size], y[0], p[0], w[0])
                continue
            for i in range(size):
                g[i] = gradient[t, low + i]
                total[i] = g[i]
            for k in range(count):
                for i in range(size):
                    total[i] += y[k, i]
                    d[i] = w[k, i] * g[i]
                for j in range(k, count):
                    for i in range(size):
                        d[i] += p[j - k, i] * y[j, i]
                for i in range(size):
                    y[k, i] = d[i]
                    total[i] -= d[i]
            for i in range(size):
                runoff[t, low + i] = total[i]
        state[:, low : low + size] = y


@njit(cache=True, nogil=True)
def by_residence(
    keep: Array,
    out: Array,
    d_keep: Array,
    d_out: Array,
    runoff: Array,
    state: Array,
    gradient: Array,
    of_state: Array,
    found: Array,
    first: int,
    last: int,
) -> None:  # pragma: no cover - compiled
    """Add to `found` (reach,) the derivative by τ/Δ, with the gradient of the response and of the state after."""
    count = keep.shape[0]
    for low in range(first, last, BLOCK):
        size = min(BLOCK, last - low)
        y = state[:, low : low + size].copy()
        v = np.zeros((count, size))  # the tangent of y
        p = keep[:, low : low + size].copy()
        w = out[:, low : low + size].copy()
        dp = d_keep[:, low : low + size].copy()
        dw = d_out[:, low : low + size].copy()
        d = np.empty((count, size))
        e = np.empty((count, size))
        r = np.empty(size)
        g = np.empty(size)
        total = np.empty(size)
        slope = np.empty(size)
        answer = found[low : low + size].copy()
        for t in range(runoff.shape[0]):
            if count == 1:
                row, g_row = runoff[t, low : low + size], gradient[t, low : low + size]
                _slope(row, g_row, y[0], v[0], p[0], w[0], dp[0], dw[0], answer)
                continue
            for i in range(size):
                r[i] = runoff[t, low + i]
                g[i] = gradient[t, low + i]
            for k in range(count):
                for i in range(size):
                    d[k, i] = y[k, i] - r[i]
                    e[k, i] = v[k, i]
                    answer[i] += g[i] * (w[k, i] * v[k, i] + dw[k, i] * d[k, i])
            for k in range(count):
                for i in range(size):
                    total[i] = r[i]
                    slope[i] = 0.0
                for m in range(k + 1):
                    for i in range(size):
                        total[i] += p[m, i] * d[k - m, i]
                        slope[i] += p[m, i] * e[k - m, i] + dp[m, i] * d[k - m, i]
                for i in range(size):
                    y[k, i] = total[i]
                    v[k, i] = slope[i]
        for k in range(count):
            for i in range(size):
                answer[i] += of_state[k, low + i] * v[k, i]
        found[low : low + size] = answer
