"""k and x of Muskingum for every reach, from whatever scheme the run estimated."""

from __future__ import annotations

import numpy as np

from rivergrad.errors import InputError, ids_text
from rivergrad.io.exporters.base import Estimate, Float

SHORTEST = 1.0
"""k (s) of a reach that water passes through: others take no 0."""


def muskingum_of(estimate: Estimate) -> tuple[Float, Float, list[str]]:
    """k (n,) in s, x (n,), and sentences about how they were made.

    A run of another scheme gives k = length/celerity and x = 1/2 - diffusivity/(celerity length), within 0 and 1/2
    (Cunge 1969). A lake, a linear storage, has its residence time for k and x = 0.

    Raises:
        InputError: the run has neither k and x nor celerity with lengths.
    """
    values = estimate.values
    told = not_held(estimate)
    if "k" in values and "x" in values:
        k, x = (np.asarray(values[name], np.float64) for name in ("k", "x"))
    else:
        k, x = _from_celerity(estimate, told)
    lake = estimate.attribute("residence_time")
    if lake is not None and (is_lake := np.isfinite(lake)).any():
        k, x = np.where(is_lake, np.maximum(lake, SHORTEST), k), np.where(is_lake, 0.0, x)
        told.append(
            f"{int(is_lake.sum())} lakes have their residence time for k, and x = 0: the same linear storage"
        )
    bad = ~(np.isfinite(k) & np.isfinite(x) & (k > 0))
    if bad.any():
        raise InputError(
            f"k or x of the reaches {ids_text(estimate.network.reach_id[bad])} is no number above 0; expected an "
            "estimate of every reach"
        )
    return k, x, told


def not_held(estimate: Estimate) -> list[str]:
    """Sentences about what the run has and the models that are exported to do not."""
    told = []
    delay = estimate.attribute("hillslope_delay")
    if delay is not None and (delay > 0).any():
        hours = float(np.median(delay[delay > 0])) / 3600
        told.append(
            f"the run delays runoff on hillslopes, by {hours:.3g} h in the median: the export lacks it, the model "
            "needs runoff that is delayed already"
        )
    exponent = estimate.attribute("flow_exponent")
    if exponent is not None and (np.nan_to_num(exponent) != 0).any():
        told.append(
            "the run's celerity depends on flow: the export has the celerity at the reference flow of each reach"
        )
    return told


def _from_celerity(estimate: Estimate, told: list[str]) -> tuple[Float, Float]:
    network = estimate.network
    if "celerity" not in estimate.values or network.length is None:
        raise InputError("the run has neither k and x nor celerity with lengths; expected one of them")
    celerity = np.asarray(estimate.values["celerity"], np.float64)
    k = network.length / celerity
    diffusivity = estimate.attribute("diffusivity")
    if diffusivity is None:
        told.append("k = length/celerity; the run has no spreading: x = 0.5, translation")
        return k, np.full(k.size, 0.5)
    wanted = 0.5 - diffusivity / (celerity * network.length)
    x = np.clip(wanted, 0.0, 0.5)
    told.append(
        "k = length/celerity, x = 1/2 - diffusivity/(celerity length): the run's scheme is not muskingum"
    )
    if (cut := int((wanted < 0).sum())) > 0:
        told.append(
            f"x is set to 0 at {cut} reaches that are too short for their diffusivity: they spread less"
        )
    return k, x
