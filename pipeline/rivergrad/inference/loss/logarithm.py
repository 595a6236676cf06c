"""A logarithm of discharge that exists for every discharge."""

from __future__ import annotations

import torch
from torch import Tensor


def log_flow(discharge: Tensor, offset: Tensor) -> Tensor:
    """ln(discharge + offset), continued below zero discharge by its tangent there.

    Routing can leave small negative discharge, and tidal gauges report it; the tangent keeps both in use, with a
    gradient that leads back.

    Args:
        discharge: (..., gauge) m³/s.
        offset: (gauge,) m³/s, positive.
    """
    flowing = torch.log(discharge.clamp_min(0.0) + offset)
    return torch.where(discharge >= 0, flowing, torch.log(offset) + discharge / offset)
