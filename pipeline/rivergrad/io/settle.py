"""What a file of observations holds, in SI, becomes observations at reaches: placed, checked, with gaps as NaN."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rivercut.network import RiverNetwork
from rivergrad.errors import InputError, ids_text
from rivergrad.io.missing import without_absent
from rivergrad.io.placement import GaugeSites, Placement, PlacementSettings, place
from rivergrad.io.times import TimeArray, text
from rivergrad.io.units import discharge_factor, parse_unit

Float = NDArray[np.float64]

ERROR = "discharge_error"
Negative = Literal["missing", "error", "keep"]
"""What a negative discharge is taken for: rivers have none, but where the tide turns them."""

RELATIVE_FLOOR = 0.01
"""A relative error is taken of at least this share of the gauge's mean flow: a flow near zero is not known exactly."""


@dataclass(frozen=True, eq=False)
class Observations:
    """Observed discharge at the gauges that have a place on the network.

    gauge (G,) names; reach (G,) positions in the network; time (T,) start of each step; step in s; discharge
    (T, G) in m3/s with NaN where missing. A gauge may hold no value at all as long as some gauge does.

    Where the file has them: error (T, G), the standard deviation of each observation in m3/s, above 0, NaN where it
    has none; weight (G,), 0 or more, 1 where it has none. placement says how every gauge of the file got its reach,
    also those that were dropped. remark is a line about negative values that were taken for missing, or empty.
    """

    path: Path
    gauge: NDArray[np.str_]
    reach: NDArray[np.int64]
    time: TimeArray
    step: float
    discharge: Float
    error: Float | None = None
    weight: Float | None = None
    placement: Placement | None = None
    remark: str = ""

    def select(self, gauges: ArrayLike) -> Observations:
        """The observations of some gauges, by their positions."""
        at = np.asarray(gauges, dtype=np.int64)
        return replace(
            self,
            gauge=self.gauge[at],
            reach=self.reach[at],
            discharge=self.discharge[:, at],
            error=None if self.error is None else self.error[:, at],
            weight=None if self.weight is None else self.weight[at],
        )

    def during(self, steps: slice) -> Observations:
        """The observations of a run of time steps (see `overlap`)."""
        return replace(
            self,
            time=self.time[steps],
            discharge=self.discharge[steps],
            error=None if self.error is None else self.error[steps],
        )


@dataclass(frozen=True, eq=False)
class RawObservations:
    """What a file holds, in SI; `error` as in the file with its unit, (T, G) or (G,); `factor` brought the
    discharge from the file's `unit` to m3/s."""

    sites: GaugeSites
    time: TimeArray
    step: float
    discharge: Float
    error: tuple[Float, str] | None
    weight: Float | None
    factor: float = 1.0
    unit: str = "m3/s"


def settle(
    raw: RawObservations,
    network: RiverNetwork,
    placement: PlacementSettings | None,
    negative: Negative,
    path: Path,
) -> Observations:
    """Put what a file holds on the reaches of a network.

    Args:
        raw: what it holds.
        network: whose reaches the gauges lie on.
        placement: how gauges get their reaches.
        negative: what a negative discharge is.
        path: for messages.

    Raises:
        InputError: a gauge without a place, an infinite value, a negative one that is an error, or no value at all.
    """
    placed = place(raw.sites, network, placement, source=path)
    kept = placed.kept
    gauge, scale = raw.sites.gauge[kept], placed.scale[kept]
    discharge = raw.discharge[:, kept]
    _refuse_infinite(discharge, gauge, raw.time, path)
    discharge, remark = _negatives(discharge, gauge, raw, negative, path)
    _refuse_empty(discharge, gauge, remark, path)
    return Observations(
        path.absolute(),
        gauge,
        placed.reach[kept],
        raw.time,
        raw.step,
        discharge * scale,
        _error(raw, kept, discharge, path, scale),
        _weight(raw, kept, path),
        placed,
        remark,
    )


# -- checks --------------------------------------------------------------------------------------------------


def sites_of(
    gauge: NDArray[np.str_], reach_id: NDArray[np.int64], lat: Float, lon: Float, area: Float, path: Path
) -> GaugeSites:
    """With NaN for what is missing, and for an area that is not above 0."""
    for name, values in (("lat", lat), ("lon", lon), ("drainage area", area)):
        if (bad := np.isinf(values)).any():
            raise InputError(
                f"{path}: the gauges {ids_text(gauge[bad])} have an infinite {name}; expected a number"
            )
    # no place is as far south as -99, but some are as far west
    lat, lon, area = without_absent(lat, short=True), without_absent(lon), without_absent(area)
    return GaugeSites(gauge, reach_id, lat, lon, np.where(area > 0, area, np.nan))


def _refuse_infinite(discharge: Float, gauge: NDArray[np.str_], time: TimeArray, path: Path) -> None:
    if (infinite := np.isinf(discharge)).any():
        raise InputError(
            f"{path}: the gauges {ids_text(gauge[infinite.any(axis=0)])} hold a discharge that is not finite, first at "
            f"{text(time[int(infinite.any(axis=1).argmax())])}; expected a number, or NaN where there is none"
        )


def _negatives(
    discharge: Float, gauge: NDArray[np.str_], raw: RawObservations, negative: Negative, path: Path
) -> tuple[Float, str]:
    """The discharge with what is negative treated as `negative` says, and what to tell about it."""
    with np.errstate(invalid="ignore"):
        below = discharge < 0
    if negative == "keep" or not below.any():
        return discharge, ""
    found, counts = np.unique(discharge[below], return_counts=True)
    most = f"{found[counts.argmax()] / raw.factor:g} {raw.unit} ({int(counts.max())} times)"
    gauges = gauge[below.any(axis=0)]
    if negative == "error":
        raise InputError(
            f"{path}: the gauges {ids_text(gauges)} hold {int(below.sum())} negative values of discharge, first at "
            f"{text(raw.time[int(below.any(axis=1).argmax())])}, most often {most}; expected 0 or more "
            "(gauges.negative: missing or keep)"
        )
    remark = (
        f"{int(below.sum())} negative values of discharge at {len(gauges)} gauges are taken for missing, most often "
        f"{most}; gauges.negative: keep leaves them, as tidal gauges need"
    )
    return np.where(below, np.nan, discharge), remark


def _refuse_empty(discharge: Float, gauge: NDArray[np.str_], remark: str, path: Path) -> None:
    if not len(gauge) or np.isnan(discharge).all():
        raise InputError(
            f"{path}: has no observation at all: every value of the gauges "
            f"{ids_text(gauge) or '(none)'} is missing" + (f" ({remark})" if remark else "")
        )


def _error(
    raw: RawObservations, kept: NDArray[np.int64], discharge: Float, path: Path, scale: Float
) -> Float | None:
    """(T, G) standard deviation of the kept gauges' observations, m3/s."""
    if raw.error is None:
        return None
    values, unit = raw.error
    error = without_absent(np.broadcast_to(values, raw.discharge.shape)[:, kept], short=True)
    parsed = parse_unit(unit)
    present = ~np.isnan(discharge)
    bad = present & ((error <= 0) | np.isinf(error))
    if bad.any():
        at = np.flatnonzero(bad.any(axis=0))[0]
        found = error[bad[:, at], at][0]
        raise InputError(
            f"{path}: gauge {raw.sites.gauge[kept][at]} has a {ERROR} of {found:g}; expected it above 0"
        )
    if parsed is not None and not any(parsed[1]):  # a number without dimension: relative
        count = present.sum(axis=0)
        mean = np.where(present, np.abs(discharge), 0.0).sum(axis=0) / np.maximum(count, 1)
        error = error * parsed[0] * np.maximum(np.abs(discharge), RELATIVE_FLOOR * mean)
    else:
        error = error * discharge_factor(unit, str(path), ERROR)
    # without a value there is no error of it; a gauge of zeros alone has no relative one
    return np.where(present & (error > 0), error * scale, np.nan)


def _weight(raw: RawObservations, kept: NDArray[np.int64], path: Path) -> Float | None:
    if raw.weight is None:
        return None
    given = without_absent(raw.weight, short=True)
    weight = np.where(np.isnan(given), 1.0, given)[kept]
    bad = ~np.isfinite(weight) | (weight < 0)
    if bad.any():
        at = int(bad.argmax())
        raise InputError(
            f"{path}: gauge {raw.sites.gauge[kept][at]} has the weight {weight[at]:g}; expected 0 or more"
        )
    if not weight.any():
        raise InputError(f"{path}: every gauge has the weight 0; expected one above it")
    return weight
