"""NetCDF and Zarr of all that a run keeps of every reach, by the CF conventions."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rivergrad.io.datasets import Variable, write_dataset
from rivergrad.io.exporters.base import Estimate, plain
from rivergrad.io.exporters.tables import columns_of
from rivergrad.io.parameters import TITLE, describe

_COORDINATES = {"lat": "latitude", "lon": "longitude"}
_UDUNITS = {"s m-1/3": "s m-0.33333"}
"""Units that UDUNITS cannot read, and how it can."""


@dataclass(frozen=True)
class Netcdf:
    """NetCDF by CF-1.11: coordinates on variables, history, licence, names of the sources."""

    endings: tuple[str, ...] = (".nc",)
    folder: bool = False
    like: bool = False
    extra: str | None = None

    def write(self, estimate: Estimate, output: Path, like: Path | None) -> list[str]:
        """See `Exporter`."""
        write_dataset(output, variables_of(estimate), global_attributes(estimate))
        return []


@dataclass(frozen=True)
class ZarrStore(Netcdf):
    """The same in a Zarr store."""

    endings: tuple[str, ...] = (".zarr",)


def global_attributes(estimate: Estimate) -> dict[str, Any]:
    """Attributes of the whole file; CF's own names first."""
    said = plain(estimate.provenance)
    return {
        "Conventions": "CF-1.11",
        "title": TITLE,
        "source": "rivergrad",
        "institution": str(said.pop("institution", "not stated")),
        "references": "https://rivergrad.readthedocs.io",
        **said,
    }


def variables_of(estimate: Estimate) -> dict[str, Variable]:
    """Variables along `reach`, with their attributes."""
    columns = columns_of(estimate)
    there = [one for one in ("lat", "lon") if one in columns]
    coordinates = " ".join(("reach_id", *there))
    found: dict[str, Variable] = {}
    for name, values in columns.items():
        known = describe(name)
        attributes: dict[str, Any] = {}
        if name == "reach_id":
            attributes = {"long_name": "reach id", "cf_role": "timeseries_id"}
        elif name == "downstream_id":
            attributes = {"long_name": "reach id of the downstream reach, -1 at an outlet"}
        elif known is not None:
            attributes = {"long_name": known[1], "units": known[0]}
        elif (unit := estimate.unit_of(name)) is not None:
            attributes = {"long_name": name.replace("_", " "), "units": unit}
        else:
            attributes = {"long_name": name.replace("_", " ")}
        if name in _COORDINATES:
            attributes["standard_name"] = _COORDINATES[name]
        if attributes.get("units") in _UDUNITS:
            attributes["units"] = _UDUNITS[attributes["units"]]
        if name not in ("reach_id", *there):
            attributes["coordinates"] = coordinates
        found[name] = Variable(("reach",), values, attributes)
    return found
