"""The recursion of a cascade over forcing steps on CPUs: a block of reaches at a time, in double precision.

Arrays of runoff are (time, reach), those of states and coefficients (storage, reach). One pass over time. What a reach
gives does not depend on the other reaches of a block. A single storage has kernels of its own: two steps at once, so
that its state is read and written half as often.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from rivercut.compiling import njit

Array = Any

BLOCK = 512
"""Reaches whose states and coefficients stay in the first-level cache."""
WIDE = 4096
"""The same for a single storage, which has fewer: long rows of runoff are read faster."""


@njit(cache=True, nogil=True)
def _two(
    early: Array, late: Array, to_early: Array, to_late: Array, y: Array, p: Array, w: Array
) -> None:  # pragma: no cover - compiled
    for i in range(y.size):
        kept, out = p[i], w[i]
        now = np.float64(early[i])
        gap = y[i] - now
        to_early[i] = now + out * gap
        held = now + kept * gap
        now = np.float64(late[i])
        gap = held - now
        to_late[i] = now + out * gap
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
def _single(
    keep: Array, out: Array, runoff: Array, state: Array, after: Array, first: int, last: int
) -> None:  # pragma: no cover - compiled
    times = runoff.shape[0]
    for low in range(first, last, WIDE):
        high = min(low + WIDE, last)
        y, p, w = state[0, low:high].copy(), keep[0, low:high].copy(), out[0, low:high].copy()
        for t in range(0, times - 1, 2):
            _two(
                runoff[t, low:high],
                runoff[t + 1, low:high],
                after[t, low:high],
                after[t + 1, low:high],
                y,
                p,
                w,
            )
        if times % 2:
            _one(runoff[times - 1, low:high], after[times - 1, low:high], y, p, w)
        state[0, low:high] = y


@njit(cache=True, nogil=True)
def respond(
    keep: Array, out: Array, runoff: Array, state: Array, after: Array, first: int, last: int
) -> None:  # pragma: no cover - compiled
    """The response of reaches first..last to (time, reach) `runoff`, into `after`; `state` moves on in place."""
    count = keep.shape[0]
    if count == 1:
        _single(keep, out, runoff, state, after, first, last)
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
            if count == 2:
                row, to = runoff[t, low : low + size], after[t, low : low + size]
                _double(row, to, y[0], y[1], p[0], p[1], w[0], w[1])
                continue
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
