"""Files in and out: the only place, besides rivercut's store, that knows NetCDF, Zarr and tables.

Names are imported when they are asked for: xarray and numba take a second, and who only reads a record does without.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rivergrad.later import names_from

if TYPE_CHECKING:
    from rivergrad.io.atomic import atomic_path
    from rivergrad.io.discharge import DischargeWriter, write_discharge, write_observations, write_runoff
    from rivergrad.io.forcings import ForcingSource, open_forcings, write_forcings
    from rivergrad.io.gridded import regular_grid_weights
    from rivergrad.io.layout import Steps
    from rivergrad.io.network import read_network, write_network_table
    from rivergrad.io.observations import Observations, read_observations
    from rivergrad.io.observed.quality import Quality
    from rivergrad.io.parameters import (
        export_parameters,
        read_parameters,
        write_parameters,
        write_parameters_store,
    )
    from rivergrad.io.physical import read_scheme_parameters
    from rivergrad.io.placement import Placement, PlacementSettings, write_placement
    from rivergrad.io.rapid import read_rapid_qout
    from rivergrad.io.readers import RunoffReader
    from rivergrad.io.runoff import CellRunoff, GridRunoff, RunoffSource, open_runoff
    from rivergrad.io.times import Overlap, overlap

__all__ = [
    "CellRunoff",
    "DischargeWriter",
    "ForcingSource",
    "GridRunoff",
    "Observations",
    "Overlap",
    "Placement",
    "PlacementSettings",
    "Quality",
    "RunoffReader",
    "RunoffSource",
    "Steps",
    "atomic_path",
    "export_parameters",
    "open_forcings",
    "open_runoff",
    "overlap",
    "read_network",
    "read_observations",
    "read_parameters",
    "read_rapid_qout",
    "read_scheme_parameters",
    "regular_grid_weights",
    "write_discharge",
    "write_forcings",
    "write_network_table",
    "write_observations",
    "write_parameters",
    "write_parameters_store",
    "write_placement",
    "write_runoff",
]

__getattr__ = names_from(
    __name__,
    {
        "CellRunoff": "rivergrad.io.runoff",
        "DischargeWriter": "rivergrad.io.discharge",
        "ForcingSource": "rivergrad.io.forcings",
        "GridRunoff": "rivergrad.io.runoff",
        "Observations": "rivergrad.io.observations",
        "Overlap": "rivergrad.io.times",
        "Placement": "rivergrad.io.placement",
        "PlacementSettings": "rivergrad.io.placement",
        "Quality": "rivergrad.io.observed.quality",
        "RunoffReader": "rivergrad.io.readers",
        "RunoffSource": "rivergrad.io.runoff",
        "Steps": "rivergrad.io.layout",
        "atomic_path": "rivergrad.io.atomic",
        "export_parameters": "rivergrad.io.parameters",
        "open_forcings": "rivergrad.io.forcings",
        "open_runoff": "rivergrad.io.runoff",
        "overlap": "rivergrad.io.times",
        "read_network": "rivergrad.io.network",
        "read_observations": "rivergrad.io.observations",
        "read_parameters": "rivergrad.io.parameters",
        "read_rapid_qout": "rivergrad.io.rapid",
        "read_scheme_parameters": "rivergrad.io.physical",
        "regular_grid_weights": "rivergrad.io.gridded",
        "write_discharge": "rivergrad.io.discharge",
        "write_forcings": "rivergrad.io.forcings",
        "write_network_table": "rivergrad.io.network",
        "write_observations": "rivergrad.io.discharge",
        "write_parameters": "rivergrad.io.parameters",
        "write_parameters_store": "rivergrad.io.parameters",
        "write_placement": "rivergrad.io.placement",
        "write_runoff": "rivergrad.io.discharge",
    },
)
