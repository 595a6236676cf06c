"""What a workflow is estimated and judged on: observations, periods and the weights of gauges, fixed once."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rivergrad.errors import InputError
from rivergrad.gauges.screening import unusable
from rivergrad.inference.loss import GaugeStatistics, LossSpec, gauge_statistics, values_needed
from rivergrad.run.inputs import Inputs
from rivergrad.run.periods import Periods

log = logging.getLogger("rivergrad")

Float = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Case:
    """Attributes:
    inputs: without the gauges and values that `gauges.screening` finds wrong.
    periods: of the record.
    record: (time, gauge) m³/s observations of the fit period, NaN elsewhere.
    trains: (gauge,) weight of each gauge that trains, all together 1; 0 for the others.
    judges: (gauge,) validation gauges: they decide when to stop and do not train.
    loss: what is minimised.
    statistics: (gauge,) of the training record.
    """

    inputs: Inputs
    periods: Periods
    record: Float
    trains: Float
    judges: NDArray[np.bool_]
    loss: LossSpec
    statistics: GaugeStatistics


def make_case(inputs: Inputs, periods: Periods, loss: LossSpec, validation: float, seed: int) -> Case:
    """Choose the gauges that train and those that decide when to stop.

    Args:
        inputs: screened.
        periods: of the record.
        loss: what is minimised.
        validation: share of the training gauges that decide when to stop instead; 0 for none.
        seed: that they are drawn from.

    Raises:
        InputError: no gauge has enough different values in the fit period, or all that have weigh 0.
    """
    steps = np.arange(periods.steps)
    in_fit = (steps >= periods.fit[0]) & (steps < periods.fit[1])
    record = np.where(in_fit[:, None], inputs.observed, np.nan)
    able = _able(inputs, periods, record)
    judges = _draw_judges(able, validation, seed)
    trains = _training_weights(inputs, periods, able, able & ~judges)
    statistics = gauge_statistics(record, trains, inputs.observed_error)
    return Case(inputs, periods, record, trains, judges, loss, statistics)


def _able(inputs: Inputs, periods: Periods, record: Float) -> NDArray[np.bool_]:
    """(gauge,) those with enough different values that are not held out."""
    needed = values_needed(periods.fit[1] - periods.fit[0])
    unable = [one.gauge for one in unusable(record, needed=needed)]
    able = ~inputs.held_out
    able[unable] = False
    return able


def _draw_judges(able: NDArray[np.bool_], share: float, seed: int) -> NDArray[np.bool_]:
    judges = np.zeros(able.size, bool)
    if share:
        there = np.flatnonzero(able)
        count = min(max(1, round(share * there.size)), there.size - 1)
        judges[np.random.default_rng([seed, 105]).permutation(there)[:count]] = True
        log.info("validation by %d gauges that do not train", count)
    return judges


def _training_weights(
    inputs: Inputs, periods: Periods, able: NDArray[np.bool_], trains: NDArray[np.bool_]
) -> Float:
    if not trains.any():
        length = periods.fit[1] - periods.fit[0]
        raise InputError(
            f"{inputs.observations.path}: no training gauge has {values_needed(length)} different values within "
            f"{length} steps of time.train; expected at least one that has"
        )
    dropped = inputs.observations.gauge[~able & ~inputs.held_out]
    if dropped.size:
        log.warning(
            "%d gauges have too few different values to train on: %s", dropped.size, ", ".join(dropped[:5])
        )
    weight = np.where(trains, 1.0 if inputs.weight is None else inputs.weight, 0.0)
    if not weight.any():
        raise InputError(
            f"{inputs.observations.path}: every training gauge has the weight 0; expected one above it"
        )
    found: Float = weight / weight.sum()
    return found
