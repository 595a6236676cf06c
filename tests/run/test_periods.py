"""Periods far beyond the record are cut to it; nanoseconds do not wrap around."""

from __future__ import annotations

from datetime import date

import numpy as np
import pytest

from rivergrad.errors import InputError
from rivergrad.run.periods import _steps

TIME = np.datetime64("2001-01-01", "ns") + np.arange(730) * np.timedelta64(1, "D")


@pytest.mark.parametrize("last", [date(2002, 12, 31), date(2299, 1, 1), date(9999, 12, 31)])
@pytest.mark.parametrize("first", [date(2001, 1, 1), date(1600, 1, 1), date(1, 1, 1)])
def test_a_period_is_cut_to_the_record(first: date, last: date) -> None:
    assert _steps(TIME, (first, last), "train", "runoff.nc") == (0, 730)


def test_a_period_outside_of_the_record_is_refused() -> None:
    assert _steps(TIME, (date(2001, 2, 1), date(2001, 2, 28)), "train", "runoff.nc") == (31, 59)
    for period in ((date(1500, 1, 1), date(1600, 1, 1)), (date(2300, 1, 1), date(2400, 1, 1))):
        with pytest.raises(InputError, match=r"lies outside the runoff runoff\.nc"):
            _steps(TIME, period, "train", "runoff.nc")
