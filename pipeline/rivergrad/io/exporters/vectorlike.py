"""A GeoPackage like the user's: its layers, lines and columns stay, and the estimate comes beside them."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from rivergrad.errors import InputError, ids_text
from rivergrad.io.exporters.base import Estimate, left_alone, matched
from rivergrad.io.exporters.tables import columns_of
from rivergrad.io.heads import layers_of, require_extra
from rivergrad.io.missing import exact_integers

IDS = ("reach_id", "id", "COMID", "LINKNO", "HYRIV_ID", "SubId", "divide_id", "link", "seg_id", "river_id")
_PREFIX = re.compile(r"^[A-Za-z]+-")


def write_like(estimate: Estimate, output: Path, like: Path, driver: str) -> list[str]:
    """Write the user's file with the estimate in the layer whose ids are the run's.

    Raises:
        InputError: no layer has ids of the run.
    """
    pyogrio = require_extra("pyogrio", "geo", output)
    if like.suffix.lower() != ".gpkg":
        raise InputError(f"--like {like}: expected a GeoPackage (.gpkg), as the output is one")
    for layer, kind in layers_of(like):
        if kind is None:
            continue
        frame = pyogrio.read_dataframe(like, layer=layer)
        name = next((one for one in IDS if one in frame.columns), None)
        if name is None:
            continue
        texts = frame[name].map(lambda one: _PREFIX.sub("", one) if isinstance(one, str) else one)
        ids, bad = exact_integers(texts.to_numpy())
        if bad.any() or not np.isin(ids, estimate.network.reach_id).any():
            continue
        at, known = matched(estimate, ids, like)
        shutil.copyfile(like, output)
        pyogrio.write_dataframe(_filled(frame, estimate, at, known), output, layer=layer, driver=driver)
        return [*left_alone(known, estimate, like), f"the estimate is in the layer {layer} of {like}'s"]
    raise InputError(
        f"--like {like}: no layer has ids of the run's reaches ({ids_text(estimate.network.reach_id)}); expected "
        f"one with a column such as {', '.join(IDS[:4])}"
    )


def _filled(frame: Any, estimate: Estimate, at: Any, known: Any) -> Any:
    for column, values in columns_of(estimate).items():
        if column in ("reach_id", "downstream_id", "length_m", "lat", "lon"):
            continue
        numbers = np.where(known, np.asarray(values, np.float64)[at], np.nan)
        if column in frame.columns and frame[column].dtype.kind in "iuf":
            numbers = np.where(known, numbers, frame[column].to_numpy(np.float64))
        frame[column] = numbers
    return frame
