"""What the sections share."""

from __future__ import annotations

from datetime import date

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """What all sections share: no unknown keys, nothing changes after construction."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def days(period: tuple[date, date]) -> int:
    """The number of days of a period, its first and last included."""
    return (period[1] - period[0]).days + 1
