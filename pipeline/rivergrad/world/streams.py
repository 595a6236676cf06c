"""One independent random stream per purpose, all from the world's seed."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np

Purpose = Literal["terrain", "celerity", "storms", "soil", "gauges", "holdout", "noise", "gaps"]
# The position in this tuple is the spawn key: append new purposes, so that old seeds keep their worlds.
PURPOSES: tuple[Purpose, ...] = get_args(Purpose)


def stream(seed: int, purpose: Purpose) -> np.random.Generator:
    """Return the generator of one purpose.

    It is child `PURPOSES.index(purpose)` of `SeedSequence(seed).spawn(...)`: drawing more for one purpose
    never changes what another one draws.
    """
    key = (PURPOSES.index(purpose),)
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=key)))
