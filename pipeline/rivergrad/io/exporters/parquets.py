"""Models that keep their parameters in Parquet: RAPID 2 and river-route."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from rivergrad.errors import InputError, ids_text
from rivergrad.io.exporters.base import SIDECAR, Estimate, plain, sidecar
from rivergrad.io.exporters.changes import K_NAMES, X_NAMES
from rivergrad.io.exporters.muskingum import muskingum_of
from rivergrad.io.exporters.tablelike import refill


@dataclass(frozen=True)
class Rapid2:
    """Tables by id: con (riv, dwn; 0 at outlets), kpr (riv, kpr), xpr (riv, xpr), bas (riv), crd (riv, lon, lat)."""

    endings: tuple[str, ...] = ()
    folder: bool = True
    like: bool = True
    extra: str | None = None

    def write(self, estimate: Estimate, output: Path, like: Path | None) -> list[str]:
        """See `Exporter`."""
        k, x, told = muskingum_of(estimate)
        output.mkdir()
        if like is not None:
            return told + _like(estimate, {"kpr": k, "xpr": x}, output, like)
        order = estimate.network.order
        ids = _int32(estimate.network.reach_id[order])
        below = estimate.downstream_id[order]
        tables: dict[str, dict[str, NDArray[np.generic]]] = {
            "bas": {"riv": ids},
            "con": {"riv": ids, "dwn": np.where(below < 0, 0, below).astype(np.int32)},
            "kpr": {"riv": ids, "kpr": k[order]},
            "xpr": {"riv": ids, "xpr": x[order]},
        }
        lat, lon = estimate.attribute("lat"), estimate.attribute("lon")
        if lat is not None and lon is not None:
            tables["crd"] = {"riv": ids, "lon": lon[order], "lat": lat[order]}
        for name, columns in tables.items():
            pq.write_table(pa.table(dict(columns)), output / f"{name}.parquet")
        units = {"kpr": "s", "xpr": "1", "lon": "degrees_east", "lat": "degrees_north"}
        sidecar(output / SIDECAR, estimate, units, [one.name for one in output.iterdir()])
        return told


def _like(estimate: Estimate, values: dict[str, NDArray[np.float64]], output: Path, like: Path) -> list[str]:
    told: list[str] = []
    for file in sorted(like.iterdir()) if like.is_dir() else []:
        stem = file.name.split("_")[0].split(".")[0]
        if file.suffix != ".parquet":
            continue
        if stem in values:
            told = refill(estimate, file, output / file.name, ("riv",), {(stem,): values[stem]})
        else:
            shutil.copyfile(file, output / file.name)
    lacking = [name for name in values if not any(output.glob(f"{name}*.parquet"))]
    if lacking:
        raise InputError(
            f"--like {like}: has no {' and no '.join(f'{name}*.parquet' for name in lacking)}; expected RAPID 2's"
        )
    sidecar(output / SIDECAR, estimate, {"kpr": "s", "xpr": "1"}, [one.name for one in output.iterdir()])
    return told


def _int32(ids: NDArray[np.int64]) -> NDArray[np.int32]:
    """Ids as RAPID 2 has them.

    Raises:
        InputError: one is too large, or is 0, which means an outlet there.
    """
    bad = (ids > np.iinfo(np.int32).max) | (ids <= 0)
    if bad.any():
        raise InputError(
            f"RAPID 2 has ids of 4 bytes above 0; found the reaches {ids_text(ids[bad])}, expected less than 2^31"
        )
    return ids.astype(np.int32)


@dataclass(frozen=True)
class RiverRoute:
    """river-route 2: river_id, downstream_river_id (-1 at outlets), k in s, x; sorted from upstream to downstream."""

    endings: tuple[str, ...] = (".parquet",)
    folder: bool = False
    like: bool = True
    extra: str | None = None

    def write(self, estimate: Estimate, output: Path, like: Path | None) -> list[str]:
        """See `Exporter`."""
        k, x, told = muskingum_of(estimate)
        if like is not None:
            ids = ("river_id", "rivid", "LINKNO", "riv")
            return told + refill(estimate, like, output, ids, {K_NAMES: k, X_NAMES: x})
        order = estimate.network.order
        table = pa.table(
            {
                "river_id": estimate.network.reach_id[order],
                "downstream_river_id": estimate.downstream_id[order],
                "k": k[order],
                "x": x[order],
            }
        )
        said = {
            "rivergrad": json.dumps(plain(estimate.provenance)),
            "units": json.dumps({"k": "s", "x": "1"}),
        }
        pq.write_table(table.replace_schema_metadata(said), output)
        return told
