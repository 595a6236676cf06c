"""Muskingum routing as its equations read, in float64: what the large networks of the benchmarks are checked by.

`rivergrad.routing.route_reference` is the specification, by convolution; it takes minutes where this one
takes a second, and shares no code with the engines either.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray


@njit(cache=True)
def route_naively(
    downstream: NDArray[np.int64],
    k: NDArray[np.float64],
    x: NDArray[np.float64],
    runoff: NDArray[np.float32],
    ratio: int,
    step: float,
) -> NDArray[np.float64]:  # pragma: no cover
    """Mean discharge (forcing step, reach), from rest, of a network numbered upstream before downstream.

    Args:
        downstream: (reach,) position of the downstream reach, −1 at an outlet.
        k, x: (reach,) s and 1.
        runoff: (forcing step, reach) m³/s.
        ratio: routing steps in a forcing step.
        step: routing step, s.
    """
    n = downstream.size
    below = k * (1 - x) + step / 2
    c0, c1, c2 = (step / 2 - k * x) / below, (step / 2 + k * x) / below, (k * (1 - x) - step / 2) / below
    mean = np.zeros(runoff.shape)
    into, into_before, out = np.zeros(n), np.zeros(n), np.zeros(n)
    for d in range(runoff.shape[0]):
        for _ in range(ratio):
            into[:] = runoff[d]
            for i in range(n):
                out[i] = c0[i] * into[i] + c1[i] * into_before[i] + c2[i] * out[i]
                if downstream[i] >= 0:
                    into[downstream[i]] += out[i]
                mean[d, i] += out[i] / ratio
            into, into_before = into_before, into
    return mean
