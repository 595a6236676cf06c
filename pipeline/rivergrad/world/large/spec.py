"""What a large world is made from: a seed, a number of reaches and years."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rivergrad.errors import InputError
from rivergrad.world.spec import DAY, WorldSpec

EARTH_REACHES = 6_840_000
"""Reaches of TDX-Hydro, about: a world of so many has the size of the Earth and cells of 0.25°."""
EARTH_UNITS = 80  # cells in 20 degrees, which make cells of 0.25°
SMALL_UNITS = (
    6  # of small worlds, if that leaves `CELL_REACHES` to a cell: rivers need some cells to become long
)
CELL_REACHES, UNIT_CELLS = 5, 40  # cells of land are about 40 times the units squared
REACH_AREA = 2.0e7  # m² of land a reach
REACH_LENGTH = 4_000.0  # m, median
LAND_FRACTION = 0.29
FEWEST, MOST = 1_000, 20_000_000
MOST_YEARS = 100.0
GAUGES_PER_REACH = 1e-3
FEWEST_GAUGES, MOST_GAUGED = 40, 10


@dataclass(frozen=True)
class LargeSpec:
    """The recipe of a large world; equal recipes give equal worlds, to the byte.

    The planet is as small as its rivers need: a reach has a median length of 4 km whatever their number is.

    Attributes:
        reaches: of the network, met exactly.
        years: of the record of daily runoff, each of 365.25 days.
        seed: of everything random.
        start: date of the first day.
        gauge_count: of gauges, at most one in ten reaches; by default one in 1,000.

    Raises:
        InputError: a number out of its range, or a start that is no date.
    """

    reaches: int
    years: float = 1.0
    seed: int = 1
    start: str = "2001-01-01"
    gauge_count: int | None = None

    def __post_init__(self) -> None:
        if not FEWEST <= self.reaches <= MOST:
            raise InputError(f"--reaches {self.reaches}: expected {FEWEST:,} to {MOST:,}")
        if self.gauge_count is not None and not 1 <= self.gauge_count <= self.reaches // MOST_GAUGED:
            most = self.reaches // MOST_GAUGED
            raise InputError(
                f"--gauges {self.gauge_count}: expected 1 to {most:,}, one in {MOST_GAUGED} reaches"
            )
        if not 2.0 / 365.25 <= self.years <= MOST_YEARS:
            raise InputError(f"--years {self.years:g}: expected two days to {MOST_YEARS:g} years")
        if not 0 <= self.seed < 2**32:
            raise InputError(f"--seed {self.seed}: expected 0 to {2**32 - 1}")
        try:
            _ = self.world
        except ValueError:
            raise InputError(f"--start {self.start}: expected a date such as 2001-01-01") from None

    @property
    def world(self) -> WorldSpec:
        """The recipe of what both kinds of worlds share: land, climate, the law of celerities, errors of gauges."""
        return WorldSpec(
            seed=self.seed,
            years=self.years,
            start=self.start,
            land_fraction=LAND_FRACTION,
            relief=3_000.0,
            reach_length=REACH_LENGTH,
            celerity=0.8,
            celerity_slope_exponent=0.3,
            celerity_area_exponent=0.12,
            celerity_noise=0.15,
            runoff_depth=0.35,
        )

    @property
    def days(self) -> int:
        """Forcing steps of the record."""
        return max(2, round(self.years * 365.25))

    @property
    def units(self) -> int:
        """Cells of the land in 20 degrees."""
        like_earth = round(EARTH_UNITS * float(np.sqrt(self.reaches / EARTH_REACHES)))
        room = int(np.sqrt(self.reaches / (CELL_REACHES * UNIT_CELLS)))
        return max(like_earth, min(SMALL_UNITS, room))

    @property
    def spacing(self) -> float:
        """Spacing of the runoff's grid, and size of the cells that drain into each other, degrees."""
        return 20.0 / self.units

    @property
    def gauges(self) -> int:
        """Gauges that are wanted."""
        return self.gauge_count or max(FEWEST_GAUGES, round(GAUGES_PER_REACH * self.reaches))

    @property
    def time(self) -> np.ndarray[tuple[int], np.dtype[np.datetime64]]:
        """(days,) start of each day, datetime64[ns]."""
        first = self.world.start_time
        return np.asarray(first + np.arange(self.days) * np.timedelta64(round(DAY * 1e9), "ns"))
