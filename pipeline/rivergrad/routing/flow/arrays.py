"""The law of flow among parameters as arrays, by name: checked at the edge."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray

from rivergrad.errors import InputError
from rivergrad.routing.flow.law import check_law
from rivergrad.routing.flow.names import EXPONENT, NO_REFERENCE, REFERENCE

Float = NDArray[np.float64]


def law_of(parameters: Mapping[str, Float], reach_id: NDArray[np.int64]) -> dict[str, Float]:
    """m and Q₀ by name, checked; nothing where there is no m, or it is 0 everywhere.

    Raises:
        InputError: m without Q₀, m outside its range, or Q₀ not above 0.
    """
    if EXPONENT not in parameters:
        return {}
    if REFERENCE not in parameters:
        raise InputError(NO_REFERENCE)
    found = {name: np.asarray(parameters[name], np.float64) for name in (EXPONENT, REFERENCE)}
    m, flow = (torch.from_numpy(value.copy()) for value in found.values())
    check_law(m, flow, reach_id)
    return found if (found[EXPONENT] != 0).any() else {}
