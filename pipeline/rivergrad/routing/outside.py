"""A scheme outside of its range: at how many reaches, what came of it, and what to change."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rivergrad.errors import ids_text
from rivergrad.routing.arrays import as_array, given_to
from rivergrad.routing.schemes.base import Scheme

if TYPE_CHECKING:
    from torch import Tensor

Sink = Callable[[int, NDArray[Any]], None]

ROUNDING = 1e-5
"""Of a reach's largest discharge: what may be below 0 for the precision of the arithmetic alone."""


@dataclass
class Outside:
    """Reaches whose response is negative somewhere, and the least discharge that has been seen so far.

    Attributes:
        scheme: the scheme's name.
        reach_id: ids of the reaches outside; n_reaches: how many there are in all.
        remedy: what is the matter and what to change.
    """

    scheme: str
    reach_id: NDArray[np.int64]
    n_reaches: int
    remedy: str
    least: float | None = None
    _at: int | None = None
    _scale: float = 0.0

    def look(self, discharge: NDArray[Any], reach_id: NDArray[np.int64]) -> None:
        """Take discharge (time, reach) into account, of these reaches; NaN is passed over."""
        if discharge.size == 0:
            return
        low = discharge.min(axis=0)
        if np.isnan(low).any():
            if np.isnan(discharge).all():
                return
            low = np.fmin.reduce(discharge, axis=0)
        column = int(np.nanargmin(low))
        least = float(low[column])
        if self.least is None or least < self.least:
            self.least, self._at = least, int(reach_id[column])
            self._scale = float(np.nanmax(np.abs(discharge[:, column])))

    @property
    def is_negative(self) -> bool:
        """Whether discharge below 0 was seen, by more than rounding."""
        return self.least is not None and self.least < -ROUNDING * self._scale

    def text(self) -> str:
        """Two lines at most for people."""
        count = self.reach_id.size
        where = f"{count:,} of {self.n_reaches:,} reaches ({ids_text(self.reach_id)})"
        seen = ""
        if self.is_negative:
            seen = f", and discharge goes down to {self.least:.4g} m3/s (reach {self._at})"
        return f"scheme {self.scheme}: negative responses at {where}{seen}: {self.remedy}"

    def as_dict(self) -> dict[str, Any]:
        """For run.json."""
        return {
            "reaches": int(self.reach_id.size),
            "least_discharge": self.least,
            "negative": self.is_negative,
            "text": self.text(),
        }


def effective(
    scheme: Scheme, parameters: Mapping[str, NDArray[np.float64]], step: float
) -> dict[str, NDArray[np.float64]]:
    """Parameters (reach,) that a scheme computes with at a routing step (s), and others as they are."""
    own = given_to(scheme, {name: parameters[name] for name in scheme.parameter_names})
    return {**parameters, **{name: as_array(value) for name, value in scheme.effective(own, step).items()}}


def watched(sink: Sink, found: Outside | None, reach_id: NDArray[np.int64]) -> Sink:
    """A sink of discharge that has the least of it noted on the way."""
    if found is None:
        return sink

    def look(start: int, discharge: NDArray[Any]) -> None:
        found.look(discharge, reach_id)
        sink(start, discharge)

    return look


def outside(
    scheme: Scheme, parameters: Mapping[str, ArrayLike | Tensor], step: float, reach_id: NDArray[np.int64]
) -> Outside | None:
    """Which reaches a scheme is outside its range at, if there are any.

    Args:
        scheme: the scheme.
        parameters: its parameters, (reach,) each, SI.
        step: routing step, s.
        reach_id: (reach,).
    """
    values = given_to(scheme, {name: _detached(value) for name, value in parameters.items()})
    found = as_array(scheme.outside(values, step))
    if not found.any():
        return None
    return Outside(scheme.name, reach_id[found], reach_id.size, scheme.remedy(values, step))


def _detached(value: ArrayLike | Tensor) -> ArrayLike:
    """A tensor, of any device and with a gradient or not, as an array."""
    return value.detach().cpu().numpy() if hasattr(value, "detach") else value
