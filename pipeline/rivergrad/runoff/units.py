"""From a depth of water over a catchment to the discharge that it makes."""

from __future__ import annotations

from torch import Tensor


def depth_to_discharge(depth: Tensor, area: Tensor, step: float) -> Tensor:
    """Mean lateral inflow of each step.

    Args:
        depth: (..., time, reach) runoff, mm per step.
        area: (reach,) area that drains into each reach without another one between, m².
        step: length of a step, s.

    Returns:
        (..., time, reach) m³/s, in the depth's dtype and on its device.
    """
    return depth * (area.to(depth) * (1e-3 / step))
