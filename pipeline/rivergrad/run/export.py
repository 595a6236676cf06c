"""The estimate of a run in another format: what is exported, where it may be written, and what is said about it."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rivercut.network import RiverNetwork
from rivercut.store import read_network
from rivergrad.documents import read_document
from rivergrad.errors import InputError
from rivergrad.files import json_of
from rivergrad.io import atomic_path
from rivergrad.io.datasets import find_ids, find_variable, match_ids, open_dataset, reading
from rivergrad.io.exporters.arrays import Netcdf
from rivergrad.io.exporters.base import Estimate, Exporter, exporter_for
from rivergrad.io.exporters.owned import MARK, is_export, sidecar_of
from rivergrad.io.exporters.tables import Csv, Parquet
from rivergrad.io.heads import require_extra
from rivergrad.io.lines import Lines, read_lines
from rivergrad.io.output import in_the_way, is_ours_to_replace, require_no_store_around
from rivergrad.rundir.contents import CONFIG, HYDROGRAPHS, INFO, LINES, NETWORK, PARAMETERS, run_around
from rivergrad.rundir.reading import read_hydrographs, read_parameter_map

log = logging.getLogger("rivergrad")

Float = NDArray[np.float64]
DISCHARGE = "discharge.nc"
_DEPTH = re.compile(r"([0-9.]+)\s*mm\s*/\s*d(?:ay)?")


def export_run(
    run_dir: Path,
    output: Path,
    *,
    name: str | None = None,
    like: Path | None = None,
    flow: str | None = None,
    licence: str | None = None,
) -> list[str]:
    """Write the estimate of a run as another model, or a tool of GIS, reads it.

    Args:
        run_dir: the run.
        output: the file or folder; its ending says the format where it is clear.
        name: of the exporter.
        like: a file (or folder) of the user's: its order, ids, types and attributes stay, only parameters change.
        flow: what celerity is turned into roughness at, for models that need it: `1.2mm/day` of runoff, or a file of
            discharge. By default the mean of the run's discharge.nc, else the specific flow at its gauges.
        licence: of the result; it is written into the file.

    Returns:
        Sentences about what was changed, assumed or left out.

    Raises:
        InputError: what the run lacks, a format that cannot hold it, or a place that is not to be written to.
    """
    name, exporter = exporter_for(output, name)
    if like is not None:
        if not exporter.like:
            raise InputError(f"--like {like}: this format takes no template; expected none")
        if not like.exists():
            raise InputError(f"--like {like}: no such file or folder")
    _claim(output, exporter, {"the run": run_dir / PARAMETERS, "--like": like})
    estimate = estimate_of(run_dir, flow=flow, licence=licence, lines=exporter.extra == "geo")
    if not estimate.whole and not isinstance(exporter, Csv | Parquet | Netcdf):
        raise InputError(f"{run_dir}: holds no {NETWORK}; expected the directory of a run, for --as {name}")
    estimate = replace(estimate, provenance={**estimate.provenance, MARK: name})
    with atomic_path(output) as temporary:
        try:
            told = exporter.write(estimate, temporary, like)
        except InputError as error:  # of the file that was asked for, not of the one that is being written
            raise InputError(str(error).replace(str(temporary), str(output))) from error
    if isinstance(exporter, Csv):
        with atomic_path(sidecar_of(output)) as temporary:
            exporter.beside(estimate, temporary, output)
        told = [*told, f"units and provenance: {sidecar_of(output)}"]
    return told


def estimate_of(
    run_dir: Path, *, flow: str | None = None, licence: str | None = None, lines: bool = False
) -> Estimate:
    """What is exported of a run; `lines`: with the lines of its network, where its file has them."""
    if not (run_dir / PARAMETERS).is_dir():
        raise InputError(
            f"{run_dir}: holds no {PARAMETERS}; expected the directory of a run that has estimated"
        )
    whole = (run_dir / NETWORK).is_dir()
    network = read_network(run_dir / NETWORK) if whole else _without_rivers(run_dir / PARAMETERS)
    values = read_parameter_map(run_dir / PARAMETERS, network)
    with open_dataset(run_dir / PARAMETERS) as dataset:
        units = {
            str(one): str(array.attrs["units"])
            for one, array in dataset.variables.items()
            if "units" in array.attrs
        }
        attributes = {str(one): value for one, value in dataset.attrs.items()}
        kinds = {str(one): array.dtype for one, array in dataset.variables.items()}
    typed = {one: array.astype(kinds[one]) if one in kinds else array for one, array in values.items()}
    config = read_document(run_dir / CONFIG) if (run_dir / CONFIG).is_file() else {}
    geometry = _lines(run_dir, config, network) if lines else None
    rate, source = _flow(run_dir, network, flow)
    return Estimate(
        network,
        typed,
        _provenance(run_dir, config, attributes, licence),
        units,
        rate,
        source,
        None if geometry is None else geometry[0],
        "EPSG:4326" if geometry is None else geometry[1],
        whole,
    )


def _without_rivers(store: Path) -> RiverNetwork:
    """The reaches of a run that kept no network: what flows where is not known."""
    with open_dataset(store) as dataset:
        ids = find_ids(dataset, "reach", store)
    if ids is None:
        raise InputError(f"{store}: has no reach_id; expected the parameters of a run")
    return RiverNetwork(ids, np.full(ids.size, -1))


def _claim(output: Path, exporter: Exporter, inputs: Mapping[str, Path | None]) -> None:
    """Nothing of the user's, nor of a run, is written over; only an export that rivergrad wrote."""
    beside = [sidecar_of(output)] if isinstance(exporter, Csv) else []
    for target in (output, *beside):
        for what, read in inputs.items():
            if read is not None and (how := in_the_way(target, read)) is not None:
                raise InputError(
                    f"--output {target}: {how} ({what} {read}); expected another place to write to"
                )
        require_no_store_around(target, "--output")
        if (run := run_around(target)) is not None:
            raise InputError(
                f"--output {target}: is a name of what runs write in {run}; expected another place to write to"
            )
    if os.path.lexists(output) and not is_ours_to_replace(output, exporter.folder) and not is_export(output):
        raise InputError(
            f"--output {output}: is there, and is not parameters that rivergrad wrote; expected another place to "
            "write to"
        )
    if beside and os.path.lexists(beside[0]) and not is_export(output):
        raise InputError(
            f"--output {output}: {beside[0]} is there, where its units go; expected another place"
        )


def _lines(
    run_dir: Path, config: Mapping[str, Any], network: RiverNetwork
) -> tuple[list[bytes | None], str] | None:
    """WKB of every reach (None where it has no line), and the reference system: the run's own, else its network's."""
    lines = read_lines(run_dir / LINES) if (run_dir / LINES).is_file() else _lines_of_network(config)
    if lines is None:
        return None
    shapely = require_extra("shapely", "geo", run_dir)
    shapes = dict(zip(lines.reach_id.tolist(), lines.geometry, strict=True))
    chosen = np.array([shapes.get(reach) for reach in network.reach_id.tolist()], dtype=object)
    if all(one is None for one in chosen):
        return None
    return [None if one is None else bytes(one) for one in shapely.to_wkb(chosen)], str(lines.crs)


def _lines_of_network(config: Mapping[str, Any]) -> Lines | None:
    section = config.get("network")
    path = section.get("path") if isinstance(section, Mapping) else None
    if not isinstance(section, Mapping) or not isinstance(path, str) or not Path(path).exists():
        return None
    format = str(section.get("format", "auto"))
    try:
        return read_lines(path, format, layer=section.get("layer"), columns=section.get("columns"))
    except InputError as error:
        log.warning("%s: its lines are not taken: %s", path, error)
        return None


def _flow(run_dir: Path, network: RiverNetwork, flow: str | None) -> tuple[Float | None, str]:
    """(n,) discharge in m3/s, and what it is."""
    area = network.attributes.get("upstream_area_m2")
    match = None if flow is None else _DEPTH.fullmatch(flow.strip())
    if match is not None:
        if area is None:
            raise InputError(
                f"--flow {flow}: the network has no upstream_area_m2; expected a file of discharge"
            )
        rate = float(match.group(1)) / 86.4e6
        return np.asarray(
            area, np.float64
        ) * rate, f"runoff of {match.group(1)} mm/day from the upstream area"
    if flow is not None:
        return _mean_discharge(Path(flow), network), f"mean discharge of {Path(flow).name}"
    if (run_dir / DISCHARGE).is_file():
        return _mean_discharge(run_dir / DISCHARGE, network), "mean discharge of the run"
    if area is None or not (run_dir / HYDROGRAPHS).is_file():
        return None, ""
    gauges = read_hydrographs(run_dir / HYDROGRAPHS)
    at = match_ids(gauges.reach_id, network.reach_id, run_dir / HYDROGRAPHS, "network")
    with np.errstate(invalid="ignore"):
        observed = gauges.discharge["observed"]
        count = np.isfinite(observed).sum(axis=0)
        specific = np.nansum(observed, axis=0) / np.maximum(count, 1) / np.asarray(area, np.float64)[at]
    specific = specific[(count > 0) & np.isfinite(specific) & (specific > 0)]
    if not specific.size:
        return None, ""
    rate = float(np.median(specific))
    return np.asarray(
        area, np.float64
    ) * rate, f"{rate * 86.4e6:.3g} mm/day, the median at the run's gauges, by upstream area"


def _mean_discharge(path: Path, network: RiverNetwork) -> Float:
    with open_dataset(path) as dataset:
        array = find_variable(dataset, None, ("discharge", "Qout"), path)
        dim = next((str(one) for one in array.dims if str(one) != "time"), "reach")
        ids = np.asarray(
            dataset[dim].values if dim in dataset.variables else dataset["reach_id"].values, np.int64
        )
        at = match_ids(network.reach_id, ids, path, "discharge")
        with reading(path, "NetCDF or Zarr"):
            return np.asarray(array.mean("time").values, np.float64)[at]


def _provenance(
    run_dir: Path, config: Mapping[str, Any], attributes: Mapping[str, Any], licence: str | None
) -> dict[str, Any]:
    """Where an estimate comes from; of paths only names."""
    info = json_of(run_dir / INFO) if (run_dir / INFO).is_file() else {}
    kept = {
        name: value
        for name, value in attributes.items()
        if name not in ("Conventions", "title", "source", "coordinates")
    }
    names = [_name_of(config, section) for section in ("network", "runoff", "observations")]
    sources = ", ".join(f"{what}: {name}" for what, name in names if name) or "a generated world"
    when = str(info.get("finished") or info.get("started") or "")
    version = str(attributes.get("rivergrad_version", ""))
    return {
        **kept,
        "run": str(info.get("name") or run_dir.name),
        "sources": sources,
        "license": licence or f"not stated; the licences of the sources hold ({sources})",
        "history": f"{when} rivergrad {version}: estimated by the run {info.get('name') or run_dir.name}".strip(),
    }


def _name_of(config: Mapping[str, Any], section: str) -> tuple[str, str]:
    found = config.get(section)
    path = found.get("path") if isinstance(found, Mapping) else None
    many = path if isinstance(path, list) else [path] if path else []
    return section, " ".join(Path(str(one)).name for one in many[:3]) + (" …" if len(many) > 3 else "")
