"""One independent random stream per purpose, all from the world's seed."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np

Purpose = Literal[
    "terrain", "celerity", "storms", "soil", "gauges", "holdout", "noise", "gaps",
    "runoff_error", "runoff_bias", "runoff_noise", "catchments", "temperature",
]  # fmt: skip
# The position in this tuple is the spawn key: append new purposes, so that old seeds keep their worlds.
PURPOSES: tuple[Purpose, ...] = get_args(Purpose)


def stream(seed: int, purpose: Purpose, *part: int) -> np.random.Generator:
    """Return the generator of one purpose, or of one numbered part of it.

    It is child `PURPOSES.index(purpose)` of `SeedSequence(seed).spawn(...)`, and a part is a child of that:
    drawing more for one purpose never changes what another one draws.
    """
    key = (PURPOSES.index(purpose), *part)
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=key)))
