"""RAPID's folder of CSV, and DiffRoute's, which is one with its own rules."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from rivergrad.errors import InputError
from rivergrad.io.exporters.base import SIDECAR, Estimate, Float, left_alone, matched, sidecar
from rivergrad.io.exporters.muskingum import muskingum_of
from rivergrad.io.tables import id_column, read_table

UNITS = {"k": "s", "x": "1"}


@dataclass(frozen=True)
class Rapid:
    """rapid_connect.csv with upstream columns, riv_bas_id.csv from upstream to downstream, k.csv in s, x.csv."""

    endings: tuple[str, ...] = ()
    folder: bool = True
    like: bool = True
    extra: str | None = None

    def write(self, estimate: Estimate, output: Path, like: Path | None) -> list[str]:
        """See `Exporter`."""
        k, x, told = muskingum_of(estimate)
        if like is not None:
            return told + _like(estimate, k, x, output, like)
        output.mkdir()
        network, order = estimate.network, estimate.network.order
        ids, below = network.reach_id[order], estimate.downstream_id[order]
        _lines(output / "rapid_connect.csv", _connect(ids, np.where(below < 0, 0, below)))
        _lines(output / "riv_bas_id.csv", ids.tolist())
        _lines(output / "k.csv", k[order].tolist())
        _lines(output / "x.csv", x[order].tolist())
        _positions(output, estimate, order)
        sidecar(output / SIDECAR, estimate, UNITS, [one.name for one in output.iterdir()])
        return told


@dataclass(frozen=True)
class DiffRoute:
    """As DiffRoute reads RAPID's folders: two columns, -1 at outlets, k in the order of riv_bas_id; and k in days."""

    endings: tuple[str, ...] = ()
    folder: bool = True
    like: bool = False
    extra: str | None = None

    def write(self, estimate: Estimate, output: Path, like: Path | None) -> list[str]:
        """See `Exporter`."""
        k, x, told = muskingum_of(estimate)
        output.mkdir()
        order = estimate.network.order
        ids, below = estimate.network.reach_id[order], estimate.downstream_id[order]
        _lines(output / "rapid_connect.csv", [f"{a},{b}" for a, b in zip(ids, below, strict=True)])
        _lines(output / "riv_bas_id.csv", ids.tolist())
        _lines(output / "k.csv", k[order].tolist())
        _lines(output / "x.csv", x[order].tolist())
        table = pd.DataFrame({"k": k[order] / 86400.0, "x": x[order]}, index=pd.Index(ids, name="river_id"))
        table.to_parquet(output / "param_df_muskingum.parquet")
        units = {**UNITS, "param_df_muskingum.k": "d"}
        sidecar(output / SIDECAR, estimate, units, [one.name for one in output.iterdir()])
        return [*told, "k.csv is in s, as read_rapid_graph expects; param_df_muskingum.parquet has k in days"]


def _connect(ids: NDArray[np.int64], below: NDArray[np.int64]) -> list[str]:
    above: dict[int, list[int]] = {}
    for reach, to in zip(ids.tolist(), below.tolist(), strict=True):
        above.setdefault(to, []).append(reach)
    widest = max((len(above.get(reach, [])) for reach in ids.tolist()), default=0)
    rows = []
    for reach, to in zip(ids.tolist(), below.tolist(), strict=True):
        up = above.get(reach, [])
        rows.append(",".join(map(str, [reach, to, len(up), *up, *[0] * (widest - len(up))])))
    return rows


def _lines(path: Path, rows: Sequence[object]) -> None:
    path.write_text(
        "".join(f"{row!r}\n" if isinstance(row, float) else f"{row}\n" for row in rows), encoding="utf-8"
    )


def _positions(output: Path, estimate: Estimate, order: NDArray[np.int64]) -> None:
    lat, lon = estimate.attribute("lat"), estimate.attribute("lon")
    if lat is None or lon is None or not (np.isfinite(lat) & np.isfinite(lon)).all():
        return
    rows = zip(estimate.network.reach_id[order], lat[order], lon[order], strict=True)
    _lines(
        output / "comid_lat_lon_z.csv",
        ["comid,lat,lon,z", *(f"{a},{b!r},{c!r},0" for a, b, c in map(_plain, rows))],
    )


def _plain(row: tuple[np.int64, np.float64, np.float64]) -> tuple[int, float, float]:
    return int(row[0]), float(row[1]), float(row[2])


def _like(estimate: Estimate, k: Float, x: Float, output: Path, like: Path) -> list[str]:
    """The user's folder, with other k and x: in the order of its rapid_connect, under the names that it has."""
    if not like.is_dir():
        raise InputError(f"--like {like}: expected a folder in RAPID's layout")
    connect, k_file, x_file = (_one(like, stem) for stem in ("rapid_connect", "k", "x"))
    table = read_table(connect, header=None).iloc[:, :1].set_axis(["reach_id"], axis=1)
    ids = id_column(table, "reach_id", connect)
    at, known = matched(estimate, ids, like)
    output.mkdir()
    for file in sorted(like.iterdir()):
        if file.is_file() and file.suffix.lower() == ".csv":
            shutil.copyfile(file, output / file.name)
    for file, values in ((k_file, k), (x_file, x)):
        given = file.read_text(encoding="utf-8").split()
        if len(given) != ids.size:
            raise InputError(
                f"--like {file}: has {len(given)} values; expected {ids.size}, as {connect.name} has reaches"
            )
        new = [
            repr(float(values[i])) if there else old for i, there, old in zip(at, known, given, strict=True)
        ]
        _lines(output / file.name, new)
    sidecar(output / SIDECAR, estimate, UNITS, [one.name for one in output.iterdir()])
    return left_alone(known, estimate, like)


def _one(folder: Path, stem: str) -> Path:
    """`k.csv`, or the one file such as `k_Sandbox.csv`."""
    if (folder / f"{stem}.csv").is_file():
        return folder / f"{stem}.csv"
    found = sorted(folder.glob(f"{stem}_*.csv"))
    if len(found) != 1:
        raise InputError(
            f"--like {folder}: has {len(found)} files {stem}_*.csv; expected {stem}.csv, or one of them"
        )
    return found[0]
