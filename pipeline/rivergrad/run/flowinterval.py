"""How sure the exponent of celerity by flow is: its interval, and whether the data can tell it from celerity."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rivergrad.inference.evidence import NORMAL_90
from rivergrad.inference.nuisance import Beside
from rivergrad.model.layout import FLOW, Coefficients
from rivergrad.routing.flow.names import EXPONENT
from rivergrad.run.problem import Problem

Float = NDArray[np.float64]


def exponent_columns(
    work: Problem, shared: Coefficients[Float], known: Beside, sd: Float
) -> tuple[dict[str, Float], dict[str, float]]:
    """90 % intervals of m, (reach,) each by name, and numbers for the summary, where all reaches have one m.

    Args:
        work: with the law; shared: coefficients of the estimate.
        known: of the law's coefficients; sd: (H,) of their prior.
    """
    assert work.flow is not None
    law = work.flow.law
    at = np.atleast_1d(np.asarray(shared[FLOW], np.float64))
    width = NORMAL_90 * np.sqrt(np.diag(known.covariance))
    ends = {
        f"{EXPONENT}{end}": np.array([law.exponent.value_of(float(one)) for one in value])
        for end, value in (("", at), ("_lower", at - width), ("_upper", at + width))
    }
    region = work.choice.regions if law.classes else np.zeros(work.n_reaches, np.int64)
    assert region is not None
    columns = {name: value[region] for name, value in ends.items() if name != EXPONENT}
    if law.classes:
        return columns, {}
    numbers = {name: float(value[0]) for name, value in ends.items()}
    numbers["flow_exponent_identifiability"] = float(
        np.clip(1 - known.covariance[0, 0] / sd[0] ** 2, 0.0, 1.0)
    )
    numbers["flow_exponent_correlation"] = float(known.correlation[0, 0]) if known.correlation.size else 0.0
    return columns, numbers
