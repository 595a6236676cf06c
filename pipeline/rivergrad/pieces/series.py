"""Boundary series at the cuts between pieces: discharge goes downstream, its gradient comes back upstream.

Between pieces of one process they stay tensors on the piece's device. From another process they come as arrays.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Series = NDArray[Any] | Tensor
"""(window, routing step)."""


def apart(values: Tensor) -> list[Series]:
    """Split values (window, place, routing step) into one series a place: views, detached from the graph."""
    return list(values.detach().unbind(1))


def side_by_side(series: Sequence[Series], device: torch.device | str, dtype: torch.dtype) -> Tensor:
    """Join the series of places into one tensor (window, place, routing step), always a copy."""
    arrays = [one for one in series if not isinstance(one, Tensor)]
    if len(arrays) == len(series):
        return torch.from_numpy(np.stack(arrays, axis=1)).to(device, dtype)
    # an array from Dask may be read-only, and from_numpy warns about these
    tensors = [one if isinstance(one, Tensor) else torch.tensor(one, device=device) for one in series]
    return torch.stack(tensors, dim=1).to(device, dtype)
