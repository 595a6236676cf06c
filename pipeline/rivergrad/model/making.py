"""A parameter model by the name of its kind, and a first look at one that is not rivergrad's own."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rivergrad import registry
from rivergrad.errors import InputError
from rivergrad.model.bounds import Bounded
from rivergrad.model.layout import (
    DELAY,
    FLOW,
    HILLSLOPE,
    HILLSLOPE_REGIONS,
    HILLSLOPE_TREND,
    RUNOFF,
    TIMING,
    VOLUME,
)
from rivergrad.model.parametermodel import ParameterModel
from rivergrad.routing.schemes.base import Scheme

Float = NDArray[np.float64]
Range = tuple[float, float]

KEY = "parameters.model"
LOOKED_AT = 4
"""Reaches that an outside model is tried on."""


def make_model(
    kind: str,
    scheme: Scheme,
    celerity: Range,
    spreading: tuple[Range, float] | None = None,
    *,
    n_features: int = 0,
    hidden: int = 0,
    n_regions: int = 0,
) -> tuple[ParameterModel, float | None]:
    """The parameter model of a kind, and the spreading that every reach starts from.

    Args:
        kind: a name, or an import path `package.module:Class`.
        scheme: the routing scheme.
        celerity: its least and greatest value, m/s.
        spreading: its least and greatest value, and where it starts; by default as the scheme has it.
        n_features, hidden, n_regions: see `ParameterModel`.

    Raises:
        InputError: no such kind, or one that cannot be made.
    """
    bounded: Bounded | None = None
    initial: float | None = None
    if scheme.spreading is not None:
        lower, upper, initial = scheme.spreading.lower, scheme.spreading.upper, scheme.spreading.default
        if spreading is not None:
            (lower, upper), initial = spreading
        bounded = Bounded(lower, upper, logarithmic=lower > 0 and upper / lower > 20)
    options = {
        "scheme": scheme,
        "celerity": Bounded(*celerity, logarithmic=True),
        "spreading": bounded,
        "n_features": n_features,
        "hidden": hidden,
        "n_regions": n_regions,
    }
    made = registry.load("parameter_model", kind)
    try:
        return made(**options), initial
    except InputError:
        raise
    except Exception as error:  # whatever a user's class does when it is made
        raise InputError(
            f"can't be made: {' '.join(str(error).split())[:160]}", key=KEY, found=kind
        ) from error


def try_model(
    kind: str,
    model: ParameterModel,
    spreading: float | None,
    features: Float,
    region: NDArray[np.int64] | None,
) -> None:
    """Call everything of a user's model once, on a few reaches: a fault shows before pieces are placed.

    Args:
        kind: what the workflow calls it.
        model: of that kind.
        spreading: where it starts, see `make_model`.
        features, region: of all reaches, (reach, n_features) and (reach,).

    Raises:
        InputError: it raises, or does not give what `ParameterModel` says.
    """
    by, at = features[:LOOKED_AT], None if region is None else region[:LOOKED_AT]
    try:
        wrong = _wrong(model, spreading, by, at)
    except Exception as error:  # whatever a user's functions do
        text = " ".join(str(error).split())[:160]
        wrong = f"can't be tried: {type(error).__name__}: {text}"
    if wrong is not None:
        raise InputError(wrong, key=KEY, found=kind)


def _wrong(
    model: ParameterModel, spreading: float | None, features: Float, region: NDArray[np.int64] | None
) -> str | None:
    ours = (VOLUME, TIMING, FLOW, RUNOFF, DELAY, HILLSLOPE, HILLSLOPE_TREND, HILLSLOPE_REGIONS)
    taken = [name for name in model.layout.names if name in ours]
    if taken:
        return f"found a segment {taken[0]}; expected another name, rivergrad has one of this name"
    celerity = (model.celerity.lower * model.celerity.upper) ** 0.5
    start = model.start(celerity, spreading)
    if start.layout != model.layout or not np.isfinite(start.values).all():
        return "found a start that is no number for each coefficient; expected finite ones, as in segments"
    values = torch.from_numpy(start.values)
    where = None if region is None else torch.from_numpy(region)
    found = model.common(start.layout.coefficients(values), torch.from_numpy(features), where)
    expected = (model.n_free, features.shape[0])
    if not isinstance(found, Tensor) or tuple(found.shape) != expected:
        what = f"of shape {tuple(found.shape)}" if isinstance(found, Tensor) else type(found).__name__
        return f"found common {what}; expected a tensor (n_free, reach) of shape {expected}"
    if not bool(torch.isfinite(found).all()):
        return "found common not finite at its start; expected finite numbers"
    sd = model.prior_sd()
    if set(sd) != set(model.layout.names) or not all(np.min(one, initial=1.0) > 0 for one in sd.values()):
        return f"found prior_sd of {', '.join(sd)}; expected a positive number for each segment"
    if not model.middle(start) > 0:
        return f"found middle {model.middle(start)}; expected a celerity above 0"
    shape = np.shape(model.regressors(start, features, region))
    if shape != (*expected, model.layout.size):
        return f"found regressors of shape {shape}; expected {(*expected, model.layout.size)}"
    return None
