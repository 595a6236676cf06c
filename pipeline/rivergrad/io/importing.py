"""Files of other people become files in rivergrad's own form: read once, with all that is converted, then written."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np

from rivercut import store
from rivercut.network import RiverNetwork
from rivergrad.errors import InputError
from rivergrad.files import Paths
from rivergrad.io.datasets import Variable, kind_of, write_dataset
from rivergrad.io.discharge import (
    DISCHARGE_ATTRIBUTES,
    REACH_ATTRIBUTES,
    RUNOFF_ATTRIBUTES,
    DischargeWriter,
    write_observations,
)
from rivergrad.io.network import write_network_table
from rivergrad.io.observations import read_observations
from rivergrad.io.observed.gather import ArchiveOptions, read_archive
from rivergrad.io.placement import NONE
from rivergrad.io.runoff import open_runoff
from rivergrad.io.times import TIME_ATTRIBUTES, encode_time

log = logging.getLogger("rivergrad")

VALUES = 1 << 24
"""Values of runoff read and written at once."""


def import_network(network: RiverNetwork, output: Path) -> str:
    """Write a network as `read_network` reads it without options: a table, or a store.

    Args:
        network: as it was read; output: ends in .csv, .csv.gz, .parquet or .zarr.

    Returns:
        A sentence about it.

    Raises:
        InputError: another ending, or a table of a network without lengths.
    """
    if kind_of(output, writing=True) == "zarr":
        store.write_network(network, output)
    else:
        write_network_table(output, network)
    return f"{network.n_reaches:,} reaches, {int((network.downstream < 0).sum()):,} outlets"


def import_runoff(paths: Paths, network: RiverNetwork, output: Path, **options: Any) -> str:
    """Write runoff of a network's reaches, mean m3/s of each step from its start on.

    Args:
        paths: see `open_runoff`; network: whose reaches; output: ends in .nc or .zarr; options: those of `open_runoff`.

    Returns:
        A sentence about it.

    Raises:
        InputError: as `open_runoff`; values that are missing or impossible.
    """
    source = open_runoff(paths, network, **options)
    count, total = source.time.size, 0.0
    block = max(1, VALUES // max(1, network.n_reaches))
    said = {"comment": "imported by rivergrad"}
    with DischargeWriter(
        output,
        network.reach_id,
        variable="runoff",
        variable_attributes=RUNOFF_ATTRIBUTES,
        attributes=said,
    ) as writer:
        for start in range(0, count, block):
            stop = min(count, start + block)
            values = source.read(None, start, stop)
            total += float(values.sum())
            writer.append(source.time[start:stop], values)
    mean = total / count
    return f"{network.n_reaches:,} reaches, {count:,} steps of {source.step:g} s, {mean:,.6g} m3/s in all on average"


def import_observations(
    paths: Paths, network: RiverNetwork | None, output: Path, format: str, options: ArchiveOptions
) -> str:
    """Write observations in m3/s, with reach ids where a network places them, else with positions and areas.

    Args:
        paths: see `read_observations`; network: whose reaches gauges are put on; output: ends in .nc or .zarr;
            format, options: how it is read.

    Returns:
        A sentence about it.

    Raises:
        InputError: as `read_observations`.
    """
    if network is not None:
        found = read_observations(
            _single(paths),
            network,
            format=format,
            stations=options.stations,
            quality=options.quality,
            utc_offset=options.utc_offset
            if options.utc_offset in (None, "file")
            else _hours(options.utc_offset),
            stamp=options.stamp,
        )
        write_observations(output, found.gauge, network.reach_id[found.reach], found.time, found.discharge)
        return _said(found.gauge.size, found.discharge)
    raw = read_archive(paths, format, options, None)
    sites = raw.sites
    dims = ("gauge",)
    columns = {
        "lat": Variable(dims, sites.lat, {"units": "degrees_north", "standard_name": "latitude"}),
        "lon": Variable(dims, sites.lon, {"units": "degrees_east", "standard_name": "longitude"}),
        "area_m2": Variable(dims, sites.area, {"units": "m2", "long_name": "drainage area"}),
    }
    if (sites.reach_id != NONE).all():
        columns["reach_id"] = Variable(dims, sites.reach_id, REACH_ATTRIBUTES)
    elif not (np.isfinite(sites.lat) & np.isfinite(sites.lon)).all():
        raise InputError(
            f"{output}: gauges have neither reach nor position; expected --stations with them, or --network and it"
        )
    write_dataset(
        output,
        {
            "time": Variable(("time",), encode_time(raw.time), TIME_ATTRIBUTES),
            "gauge": Variable(dims, sites.gauge, {"long_name": "gauge", "cf_role": "timeseries_id"}),
            **columns,
            "discharge": Variable(("time", "gauge"), raw.discharge, DISCHARGE_ATTRIBUTES),
        },
        {"Conventions": "CF-1.11", "source": "rivergrad", "featureType": "timeSeries"},
    )
    return _said(sites.gauge.size, raw.discharge)


def _single(paths: Paths) -> Paths:
    """A list of one file is that file, which may be of rivergrad's own form."""
    return paths if isinstance(paths, str | Path) or len(paths) != 1 else paths[0]


def _hours(seconds: float | str | None) -> float:
    return float(seconds or 0) / 3600


def _said(gauges: int, discharge: np.ndarray[Any, np.dtype[np.float64]]) -> str:
    there = int(np.isfinite(discharge).sum())
    return f"{gauges:,} gauges, {there:,} values"
