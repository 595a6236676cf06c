"""The recursion of a cascade over forcing steps on CPUs: a block of reaches at a time, in double precision.

Arrays of runoff are (time, reach), those of states and coefficients (storage, reach). One pass over time. What a reach
gives does not depend on the other reaches of a block.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from rivercut.compiling import njit

Array = Any

BLOCK = 512
"""Reaches whose states and coefficients stay in the first-level cache."""


@njit(cache=True, nogil=True)
def respond(
    keep: Array, out: Array, runoff: Array, state: Array, after: Array, first: int, last: int
) -> None:  # pragma: no cover - compiled
    """The response of reaches first..last to (time, reach) `runoff`, into `after`; `state` moves on in place."""
    count = keep.shape[0]
    for low in range(first, last, BLOCK):
        size = min(BLOCK, last - low)
        y = state[:, low : low + size].copy()
        p = keep[:, low : low + size].copy()
        w = out[:, low : low + size].copy()
        d = np.empty((count, size))
        r = np.empty(size)
        total = np.empty(size)
        for t in range(runoff.shape[0]):
            if count == 1:
                row, to, y0, p0, w0 = (
                    runoff[t, low : low + size],
                    after[t, low : low + size],
                    y[0],
                    p[0],
                    w[0],
                )
                for i in range(size):
                    now = np.float64(row[i])
                    gap = y0[i] - now
                    to[i] = now + w0[i] * gap
                    y0[i] = now + p0[i] * gap
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
