"""Route_Link of the National Water Model: what t-route reads is n, not MusK and MusX."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rivergrad.io.datasets import Variable, write_dataset
from rivergrad.io.exporters.base import Estimate, Float, left_alone, matched
from rivergrad.io.exporters.hydraulics import (
    Channel,
    Roughness,
    celerity_of,
    flow_of,
    manning_n,
    said,
    slope_of,
    width_of,
)
from rivergrad.io.exporters.muskingum import muskingum_of
from rivergrad.io.exporters.netcdflike import add_history, copied, ids_in, put, values_in

SIDE = 0.5
"""Side slope of a channel without one: horizontal over vertical."""
NOTE = "t-route does not read MusK and MusX: celerity is in n"


@dataclass(frozen=True)
class RouteLink:
    """`link`, `to` (0 at outlets), `Length`, `n`, `So`, `BtmWdth`, `ChSlp`; MusK and MusX for those who read them."""

    endings: tuple[str, ...] = (".nc",)
    folder: bool = False
    like: bool = True
    extra: str | None = None

    def write(self, estimate: Estimate, output: Path, like: Path | None) -> list[str]:
        """See `Exporter`."""
        k, x, told = muskingum_of(estimate)
        if like is not None:
            return [*told, *_like(estimate, k, x, output, like)]
        width, source = width_of(estimate)
        channel = Channel(width, np.full(width.size, SIDE), slope_of(estimate))
        rough = manning_n(celerity_of(estimate), flow_of(estimate), channel)
        sentences = [*told, NOTE, *said(rough, estimate.flow_source, f"{source}, side slope {SIDE}")]
        write_dataset(output, _variables(estimate, k, x, channel, rough), _attributes(estimate, sentences))
        return sentences


def _attributes(estimate: Estimate, sentences: list[str]) -> dict[str, Any]:
    return {
        "Conventions": "CF-1.6",
        "featureType": "timeSeries",
        "comment": ". ".join(sentences),
        **estimate.provenance,
    }


def _variables(
    estimate: Estimate, k: Float, x: Float, channel: Channel, rough: Roughness
) -> dict[str, Variable]:
    dim = ("feature_id",)
    network = estimate.network
    below = estimate.downstream_id
    ids = np.int32 if network.reach_id.max() < 2**31 else np.int64
    found = {
        "link": Variable(
            dim, network.reach_id.astype(ids), {"long_name": "Link ID", "cf_role": "timeseries_id"}
        ),
        "to": Variable(
            dim, np.where(below < 0, 0, below).astype(ids), {"long_name": "To Link ID, 0 at an outlet"}
        ),
    }
    length = np.asarray(network.length if network.length is not None else np.full(k.size, np.nan))
    top = channel.width + 2 * channel.side * channel.width / 6
    numbers: dict[str, tuple[Float, str, str]] = {
        "Length": (length, "m", "Stream length"),
        "MusK": (k, "s", "Muskingum routing time"),
        "MusX": (x, "1", "Muskingum weighting coefficient"),
        "n": (rough.n, "s m-1/3", "Manning's roughness"),
        "So": (channel.slope, "1", "Slope"),
        "ChSlp": (channel.side, "1", "Channel side slope"),
        "BtmWdth": (channel.width, "m", "Bottom width of channel"),
        "TopWdth": (top, "m", "Top width"),
        "TopWdthCC": (3 * top, "m", "Compound channel top width"),
        "nCC": (2 * rough.n, "s m-1/3", "Compound channel Manning's n"),
    }
    for name in ("lat", "lon"):
        if (values := estimate.attribute(name)) is not None:
            unit = "degrees_north" if name == "lat" else "degrees_east"
            numbers[name] = (values, unit, "latitude" if name == "lat" else "longitude")
    for name, (values, unit, words) in numbers.items():
        found[name] = Variable(dim, np.asarray(values, np.float32), {"long_name": words, "units": unit})
    none = np.full(k.size, -9999, np.int32)
    found["NHDWaterbodyComID"] = Variable(dim, none, {"long_name": "Waterbody, -9999 for none"})
    found["alt"] = Variable(
        dim, np.zeros(k.size, np.float32), {"long_name": "Elevation, not known", "units": "m"}
    )
    return found


def _like(estimate: Estimate, k: Float, x: Float, output: Path, like: Path) -> list[str]:
    _, ids, dim = ids_in(like, ("link", "feature_id", "comid"))
    at, known = matched(estimate, ids, like)
    width, side, slope = (values_in(like, (name,)) for name in ("BtmWdth", "ChSlp", "So"))
    source = "BtmWdth and ChSlp of the file"
    if width is None or side is None or slope is None:
        width, source = width_of(estimate)
        width, side, slope = width[at], np.full(at.size, SIDE), slope_of(estimate)[at]
    celerity = celerity_of(estimate)[at]
    channel = Channel(np.maximum(width, 1e-3), side, slope)
    rough = manning_n(celerity, flow_of(estimate)[at], channel)
    sentences = [NOTE, *said(rough, estimate.flow_source, source)]
    with copied(like, output) as file:
        put(file, "MusK", dim, k[at], known, {"long_name": "Muskingum routing time (s)"})
        put(file, "MusX", dim, x[at], known, {"long_name": "Muskingum weighting coefficient"})
        put(file, "n", dim, rough.n, known, {"long_name": "Manning's roughness"})
        add_history(
            file, f"{estimate.provenance.get('history', 'rivergrad')}: n, MusK, MusX. {'. '.join(sentences)}"
        )
    return [*sentences, *left_alone(known, estimate, like)]
