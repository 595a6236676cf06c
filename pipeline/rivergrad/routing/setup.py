"""What every engine is set up with: a (piece of a) network, a scheme, steps, and where and in what to compute."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray

from rivergrad.routing.schemes.base import Scheme
from rivergrad.routing.steps import step_ratio

Index = NDArray[np.int64]
CPU = torch.device("cpu")


def no_index() -> Index:
    """No positions."""
    return np.zeros(0, np.int64)


@dataclass
class EngineSetup:
    """The arguments that all engines share.

    Args:
        downstream: (reach,) position of the downstream reach or −1.
        scheme: the scheme; all reaches have the same.
        forcing_step, routing_step: Δ and δ, s.
        targets: (m,) reaches whose mean discharge is wanted.
        inlets: (e,) reach that each external inflow enters.
        outlets: (o,) reaches whose series at the routing step is wanted.
        dtype: float32 or float64, of runoff and discharge.
        device: where to compute.

    Attributes:
        ratio: S = Δ/δ.
    """

    downstream: Index
    scheme: Scheme
    forcing_step: float
    routing_step: float
    targets: Index
    inlets: Index = field(default_factory=no_index)
    outlets: Index = field(default_factory=no_index)
    dtype: torch.dtype = torch.float32
    device: torch.device = CPU

    def __post_init__(self) -> None:
        self.ratio = step_ratio(self.forcing_step, self.routing_step)
