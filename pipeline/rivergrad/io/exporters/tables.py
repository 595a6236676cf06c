"""Tables of all that a run keeps of every reach: CSV and Parquet, with downstream ids, lengths, units, provenance."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from rivergrad.io.digest import digest_of
from rivergrad.io.exporters.base import Estimate, plain, sidecar
from rivergrad.io.parameters import DESCRIPTIONS
from rivergrad.io.tables import column_names, write_table


def columns_of(estimate: Estimate) -> dict[str, NDArray[Any]]:
    """All columns: ids, length, then what the run keeps, what is known first."""
    columns: dict[str, NDArray[Any]] = {"reach_id": estimate.network.reach_id}
    if estimate.whole:
        columns["downstream_id"] = estimate.downstream_id
    if estimate.network.length is not None:
        columns["length_m"] = np.asarray(estimate.network.length)
    rank = {name: place for place, name in enumerate(DESCRIPTIONS)}
    names = sorted(set(estimate.values) - set(columns), key=lambda name: (rank.get(name, len(rank)), name))
    return columns | {name: np.asarray(estimate.values[name]) for name in names}


def units_of(estimate: Estimate) -> dict[str, str | None]:
    """The unit of each column; None where it has none."""
    return {name: None if name.endswith("_id") else estimate.unit_of(name) for name in columns_of(estimate)}


def metadata_of(estimate: Estimate) -> dict[str, str]:
    """Where an estimate comes from and the units of its columns, as JSON: what a file's metadata say."""
    units = {name: unit for name, unit in units_of(estimate).items() if unit is not None}
    return {"rivergrad": json.dumps(plain(estimate.provenance), sort_keys=True), "units": json.dumps(units)}


@dataclass(frozen=True)
class Csv:
    """CSV, also gzipped, with a sidecar of units and provenance beside it."""

    endings: tuple[str, ...] = (".csv", ".csv.gz")
    folder: bool = False
    like: bool = True
    extra: str | None = None
    sidecar: bool = True

    def write(self, estimate: Estimate, output: Path, like: Path | None) -> list[str]:
        """See `Exporter`."""
        if like is not None:
            from rivergrad.io.exporters.tablelike import csv_like

            return csv_like(estimate, output, like)
        write_table(output, pd.DataFrame(columns_of(estimate)))
        return []

    def beside(self, estimate: Estimate, path: Path, table: Path) -> None:
        """Write the sidecar of a table."""
        there, units = column_names(table), units_of(estimate)
        columns = {name: unit for name, unit in units.items() if name in there}
        sidecar(path, estimate, columns, [table.name], digest_of(table).text)


@dataclass(frozen=True)
class Parquet:
    """Parquet with units on its columns, and units and provenance in its metadata."""

    endings: tuple[str, ...] = (".parquet", ".pq")
    folder: bool = False
    like: bool = True
    extra: str | None = None

    def write(self, estimate: Estimate, output: Path, like: Path | None) -> list[str]:
        """See `Exporter`."""
        columns, units, said = columns_of(estimate), units_of(estimate), metadata_of(estimate)
        if like is not None:
            from rivergrad.io.exporters.tablelike import parquet_like

            return parquet_like(estimate, output, like, said, add=False)
        table = pa.table({name: pa.array(values) for name, values in columns.items()})
        fields = [
            field.with_metadata({"units": unit}) if (unit := units[field.name]) is not None else field
            for field in table.schema
        ]
        pq.write_table(table.cast(pa.schema(fields, metadata=said)), output)
        return []
