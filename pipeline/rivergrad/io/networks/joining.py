"""Two tables into one, by ids; and the lengths that lakes lack."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from rivergrad.errors import ids_text
from rivergrad.io.datasets import missing
from rivergrad.io.frames import Frame, column_of
from rivergrad.io.tables import id_column

log = logging.getLogger("rivergrad")

LAKE_LENGTH = 1.0
"""m that a reach without a length of its own has: water passes a lake by its storage, not by its length."""


def joined(left: Frame, left_id: str, right: Frame, right_id: str, names: Sequence[str]) -> Frame:
    """The left frame with columns of the right one, matched by id; NaN where the right one lacks a row.

    A second row of the same id is left out, which is said.

    Raises:
        InputError: a column that is missing, or ids that are no integers.
    """
    for frame, name in ((left, left_id), (right, right_id)):
        if column_of(frame, name) is None:
            raise missing(frame.path, "column", name, frame.table.columns)
    ids = id_column(left.table, column_of(left, left_id) or left_id, left.path)
    key = id_column(right.table, column_of(right, right_id) or right_id, right.path)
    found = right.table.assign(_key=key)
    twice = found["_key"].duplicated()
    if twice.any():
        log.warning(
            "%s: ids %s appear more than once; the first row of each counts",
            *(right.path, ids_text(np.unique(key[twice.to_numpy()]))),
        )
        found = found[~twice]
    kept = [one for one in (column_of(right, name) for name in names) if one is not None]
    rows = found.set_index("_key")[kept].reindex(ids).reset_index(drop=True)
    table = left.table.reset_index(drop=True).drop(columns=[one for one in kept if one in left.table.columns])
    for one in kept:
        table[one] = rows[one]
    units = {**left.units, **{one: right.units[one] for one in kept if one in right.units}}
    return replace(left, table=table, units=units)


def lengths_with_lakes(frame: Frame, length: str, is_lake: NDArray[np.bool_]) -> Frame:
    """The frame with `LAKE_LENGTH` m for lakes that have no length or 0, which is said."""
    values = np.asarray(frame.table[length], np.float64)
    bare = is_lake & ~(values > 0)
    if not bare.any():
        return frame
    log.warning("%s: %d lakes have no length; they get %g m", frame.path, int(bare.sum()), LAKE_LENGTH)
    unit = {"km": 1e-3}.get(frame.units.get(length, "m"), 1.0)
    return replace(frame, table=frame.table.assign(**{length: np.where(bare, LAKE_LENGTH * unit, values)}))
