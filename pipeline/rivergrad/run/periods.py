"""Periods of a workflow on the time axis of a record."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import numpy as np
from numpy.typing import NDArray

from rivergrad.config.schema import Workflow
from rivergrad.errors import InputError


@dataclass(frozen=True)
class Periods:
    """Runs of forcing steps (start, stop) of the record.

    `fit` enters the loss, `validation` decides when to stop, `train` is both, `test` is held out (None: there is
    none); `warmup` steps after a start from rest do not count.
    """

    fit: tuple[int, int]
    validation: tuple[int, int]
    train: tuple[int, int]
    test: tuple[int, int] | None
    warmup: int
    steps: int


def _steps(
    time: NDArray[np.datetime64], period: tuple[date, date], key: str, path: object
) -> tuple[int, int]:
    stamps = time.astype("datetime64[s]")  # nanoseconds do not reach beyond 1678..2262, and wrap around
    first = int(np.searchsorted(stamps, np.datetime64(period[0], "s")))
    last = int(np.searchsorted(stamps, np.datetime64(period[1], "s") + np.timedelta64(1, "D")))
    if first >= last:
        raise InputError(
            f"time.{key}: {period[0]}..{period[1]} lies outside the runoff {path}, which has "
            f"{np.datetime_as_string(time[0], 'D')}..{np.datetime_as_string(time[-1], 'D')}"
        )
    return first, last


def periods_of(
    config: Workflow, time: NDArray[np.datetime64], step: float, path: object, every: int = 1
) -> Periods:
    """The periods of a workflow on a record's time axis.

    Where observations are means over `every` steps, the first of them has to lie after the warm-up.

    Raises:
        InputError: a period outside the record, or nothing left of it after the warm-up.
    """
    warmup = max(int(np.ceil(config.time.warmup / step)), every - 1)
    fit = _steps(time, config.time.fit_period, "train", path)
    validation = _steps(time, config.time.validation_period, "validation", path)
    if config.gauges.validation:  # gauges decide when to stop, over the same days
        fit = validation = min(fit[0], validation[0]), max(fit[1], validation[1])
    test = None if config.time.test is None else _steps(time, config.time.test, "test", path)
    fit = max(fit[0], warmup), fit[1]
    validation = max(validation[0], warmup), validation[1]
    if fit[0] >= fit[1] or validation[0] >= validation[1]:
        raise InputError(
            f"{warmup} forcing steps leave nothing of train or validation; expected fewer", key="time.warmup"
        )
    train = min(fit[0], validation[0]), max(fit[1], validation[1])
    return Periods(fit, validation, train, test, warmup, time.size)
