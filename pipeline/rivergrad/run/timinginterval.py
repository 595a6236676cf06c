"""How sure the delays of runoff are: their intervals, and what the data cannot tell from celerity."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from rivergrad.inference.evidence import NORMAL_90
from rivergrad.inference.nuisance import Beside
from rivergrad.model.layout import TIMING, Coefficients
from rivergrad.run.problem import Problem

log = logging.getLogger("rivergrad")

Float = NDArray[np.float64]

MOST_AREAS = 200
"""Delays of up to so many increment areas are unknown in the intervals: each takes a product with the Jacobian."""
TOLD = 0.5
"""Share of the prior's variance that data take away where they tell a delay."""
TELLS, CELERITY, NOTHING = "delay", "delay or celerity", "nothing"


def unknown_delays(work: Problem) -> tuple[str, ...]:
    """The segment of the runoff's delays, where they are estimated and few enough to be unknown in the intervals."""
    if work.timing is None:
        return ()
    if work.timing.areas > MOST_AREAS:
        log.warning(
            "uncertainty: found delays of runoff at %d gauges; expected at most %d, intervals take them as known",
            work.timing.areas,
            MOST_AREAS,
        )
        return ()
    return (TIMING,)


def timing_columns(
    work: Problem, shared: Coefficients[Float], known: Beside
) -> tuple[dict[str, Float], dict[str, Any]]:
    """90 % intervals of the delays, (reach,) each by name, and what the summary says of each training gauge.

    Args:
        work: with the model of the delays; shared: coefficients of the estimate.
        known: of the delays' coefficients, whose prior variance is 1.
    """
    model, area = work.timing, work.increment_area
    assert model is not None
    assert area is not None
    at, width = shared[TIMING], NORMAL_90 * np.sqrt(np.diag(known.covariance))
    step = work.case.inputs.runoff.step
    ends = {
        f"runoff_delay{end}": model.delays(torch.from_numpy(value)).numpy() * step
        for end, value in (("", at), ("_lower", at - width), ("_upper", at + width))
    }
    told = np.clip(1 - np.diag(known.covariance), 0.0, 1.0)
    alone = np.clip(1 - known.alone, 0.0, 1.0)
    says = np.where(told >= TOLD, TELLS, np.where(alone >= TOLD, CELERITY, NOTHING))
    columns = {
        name: np.where(area < 0, np.nan, value[area])
        for name, value in {**ends, "identifiability_runoff_delay": told}.items()
    }
    gauges = work.case.inputs.observations.gauge[np.flatnonzero(work.case.trains > 0)]
    rows = [
        {
            "gauge": str(gauge),
            **{f"{name}_s": round(float(value[g]), 1) for name, value in ends.items()},
            "identifiability": round(float(told[g]), 4),
            "identifiability_celerity_known": round(float(alone[g]), 4),
            "told": str(says[g]),
        }
        for g, gauge in enumerate(gauges)
    ]
    if (text := not_apart(rows)) is not None:
        log.warning("%s", text)
    return columns, {"runoff_delays": rows}


def not_apart(rows: list[dict[str, Any]]) -> str | None:
    """A line where the data do not tell delays of runoff from celerity; None where they do, or tell neither."""
    same = [row["gauge"] for row in rows if row["told"] == CELERITY]
    if not same:
        return None
    few = ", ".join(same[:4]) + (", ..." if len(same) > 4 else "")
    return (
        f"runoff delay: at {len(same)} of {len(rows)} gauges the data do not tell late runoff from slow rivers "
        f"({few}); intervals of celerity there are as wide as that"
    )
