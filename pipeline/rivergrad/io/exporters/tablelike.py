"""Templates in Parquet: the columns of parameters change, all else stays."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from rivergrad.errors import InputError, ids_text
from rivergrad.io.datasets import reading
from rivergrad.io.exporters.base import Estimate, Float, left_alone, matched
from rivergrad.io.missing import exact_integers


def refill(
    estimate: Estimate,
    like: Path,
    output: Path,
    ids: tuple[str, ...],
    columns: Mapping[tuple[str, ...], Float],
) -> list[str]:
    """Write a Parquet file like the user's, with the values of a run in some of its columns.

    Args:
        estimate: the run.
        like: the user's file.
        output: where to.
        ids: names that the column of ids may have.
        columns: values (n,) by the names that their column may have; at least one of them has to be there.

    Raises:
        InputError: no such column, or ids that are no integers.
    """
    with reading(like, "Parquet"):
        table = pq.read_table(like)
    name = next((one for one in ids if one in table.column_names), None)
    if name is None:
        raise InputError(
            f"--like {like}: found the columns {ids_text(table.column_names)}; expected one of {', '.join(ids)}"
        )
    found, bad = exact_integers(table.column(name).to_numpy())
    if bad.any():
        raise InputError(
            f"--like {like}: column '{name}' holds what is no integer in row {int(bad.argmax()) + 1}"
        )
    at, known = matched(estimate, found, like)
    changed = 0
    for names, values in columns.items():
        column = next((one for one in names if one in table.column_names), None)
        if column is None:
            continue
        place = table.column_names.index(column)
        kind = table.schema.field(column)
        old = table.column(column).to_numpy().astype(np.float64)
        new = np.where(known, values[at], old)
        if pa.types.is_integer(kind.type):
            new = np.round(new)
        table = table.set_column(place, kind, pa.array(new).cast(kind.type))
        changed += 1
    if not changed:
        wanted = ", ".join(names[0] for names in columns)
        raise InputError(
            f"--like {like}: found the columns {ids_text(table.column_names)}; expected one of {wanted}"
        )
    pq.write_table(table, output)
    return left_alone(known, estimate, like)
