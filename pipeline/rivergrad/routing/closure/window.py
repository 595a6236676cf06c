"""How many forcing steps a response has to be kept for."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from rivercut.compiling import njit
from rivergrad.routing.closure.paths import Index
from rivergrad.routing.schemes.base import Moments

USER_TOLERANCE = 1e-4
"""Share of a path's response that a window given by the user may leave out."""

_GOOD = sorted(
    {m * 2**p * 5**r for m in (1, 3, 9) for p in range(24) for r in range(4) if m * 2**p * 5**r < 1 << 24}
)


def tolerance(dtype: torch.dtype) -> float:
    """Share of a path's response that an automatic window may leave out: far below the engine's tolerance."""
    return 1e-15 if dtype == torch.float64 else 1e-8


def good_size(steps: int) -> int:
    """Smallest length ≥ steps whose transform is fast."""
    return next(size for size in _GOOD if size >= steps)


@njit(cache=True)
def _longest(inside: Index, order: Index, mean: np.ndarray, variance: np.ndarray) -> tuple[float, float]:
    """Largest mean and variance of a path, over paths inside blocks."""
    mean, variance = mean.copy(), variance.copy()
    total_mean, total_variance = mean.copy(), variance.copy()
    for i in order:
        d = inside[i]
        if d >= 0:
            total_mean[d] = max(total_mean[d], mean[d] + total_mean[i])
            total_variance[d] = max(total_variance[d], variance[d] + total_variance[i])
    return total_mean.max(), total_variance.max()


def first_guess(inside: Index, order: Index, moments: Moments, forcing_step: float, allowed: float) -> int:
    """Window that the longest path's response should fit in, in forcing steps: a pure function of parameters.

    Mean delay, plus the deviations of a normal distribution, plus the tail of the slowest reach. The engine
    measures what lies outside and lengthens the window where the guess was short.
    """

    def numbers(values: Tensor) -> np.ndarray:
        return values.detach().to("cpu", torch.float64).numpy()

    mean, variance = _longest(inside, order, numbers(moments.mean), numbers(moments.deviation) ** 2)
    decades = -np.log(allowed)
    seconds = mean + np.sqrt(2 * decades * variance) + 0.7 * decades * float(moments.slowest.max())
    return good_size(int(np.ceil(min(seconds / forcing_step, 1e6))) + 2)
