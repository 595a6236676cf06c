"""What a scheme's formulas make of NumPy arrays: the numbers that they make of tensors, without torch.

Schemes are written for tensors, which estimation differentiates. Muskingum and the storages are plain arithmetic, which
arrays do as well, to the last bit. Any other scheme is given tensors, and its results come back as arrays.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rivergrad.routing.recurrence.problem import Filter
from rivergrad.routing.schemes.base import Scheme
from rivergrad.routing.schemes.muskingum import Muskingum
from rivergrad.routing.schemes.storage import LinearStorage, NashCascade

if TYPE_CHECKING:
    import torch
else:
    from rivergrad.later import torch

Float = NDArray[np.float64]
_ARITHMETIC = (Muskingum, LinearStorage, NashCascade)
"""Schemes, not classes derived from them, whose formulas arrays can be given to."""


def takes_arrays(scheme: Scheme) -> bool:
    """Whether a scheme's `recurrence`, `effective`, `outside` and `check` can be given arrays."""
    return type(scheme) in _ARITHMETIC and not (isinstance(scheme, Muskingum) and scheme.cap_x)


def given_to(scheme: Scheme, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters (reach,) in the form that a scheme's formulas take: float64 arrays, or tensors of them."""
    arrays = {name: np.array(value, np.float64) for name, value in parameters.items()}
    if takes_arrays(scheme):
        return arrays
    return {name: torch.from_numpy(value) for name, value in arrays.items()}


def as_array(value: Any) -> NDArray[Any]:
    """What a formula made of them, as an array."""
    return value if isinstance(value, np.ndarray) else value.cpu().numpy()


def filter_of(
    scheme: Scheme, parameters: Mapping[str, Float], step: float, dtype: np.dtype[Any]
) -> Filter | None:
    """The sweep's filter for parameters (reach,), as `RecurrenceEngine` makes it; None of a scheme that has none.

    Args:
        scheme: the scheme; step: routing step, s; dtype: of the sweep.
    """
    found = scheme.recurrence(given_to(scheme, parameters), step)
    if found is None:
        return None
    delay = None if found.delay is None else as_array(found.delay)
    return Filter(
        a=np.ascontiguousarray(as_array(found.a).astype(dtype)),
        b=np.ascontiguousarray(as_array(found.b).astype(dtype)),
        jump=None if found.jump is None else np.ascontiguousarray(as_array(found.jump).astype(dtype)),
        sections=found.sections,
        delay=None if delay is None or not delay.any() else delay,
        output_delay=found.output_delay,
    )
