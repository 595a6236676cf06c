"""Opening a run directory: that it is one, that nothing of the user's is in the way, that it is of this workflow."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from rivergrad.config.load import dump_resolved, input_files, load_workflow
from rivergrad.config.schema import Workflow
from rivergrad.documents import read_document
from rivergrad.errors import InputError
from rivergrad.io import atomic_path
from rivergrad.io.output import in_the_way
from rivergrad.rundir.checkpoint import newest_of
from rivergrad.rundir.contents import CONFIG, PARTITION, SUBMITTED, is_written
from rivergrad.rundir.identity import identity_from, listed, read_identity, setting_differences
from rivergrad.rundir.written import Written, require_run_directory

log = logging.getLogger("rivergrad")

NO_PART = ("name", "output", "partition", "report")
"""Sections that results do not depend on."""
OF_COMPUTE = ("engine", "dtype", "device", "memory_budget")
"""Keys of `compute` that they do depend on."""
SAFETY = ("checkpoint_every", "checkpoints")
"""Keys of `estimate` that they do not depend on: how often a run is saved."""


def require_room(config: Workflow, sources: Sequence[Path] = ()) -> None:
    """Make sure, before anything is touched, that a run may write into its directory.

    Args:
        config: the workflow; sources: the files that it was read from.

    Raises:
        InputError: the directory is neither a run's nor empty, or what is read lies where a run writes.
    """
    run_dir = config.output
    for key, path in [*_read_by(config), *(("workflow", path) for path in sources)]:
        how = in_the_way(run_dir, path)
        if how not in (None, "holds what is read"):
            raise InputError(f"output: {run_dir} {how} ({key}: {path}); expected another folder")
        name = _name_in(path, run_dir)
        if name is not None and is_written(name) and not (key == "workflow" and name == CONFIG):
            raise InputError(
                f"output: {run_dir} holds what is read ({key}: {path}) under a name that runs write; expected it "
                "elsewhere, or another output"
            )
    require_run_directory(run_dir)


def _read_by(config: Workflow) -> Iterator[tuple[str, Path]]:
    yield from input_files(config).items()
    if config.compute.slurm.template is not None:
        yield "compute.slurm.template", config.compute.slurm.template
    if not isinstance(config.compute.tls, str):
        for name in ("ca", "cert", "key"):
            yield f"compute.tls.{name}", getattr(config.compute.tls, name)


def _name_in(path: Path, folder: Path) -> str | None:
    """The name of a path relative to a folder, as it is written or as links lead; None where it is not below."""
    for real in (os.path.abspath, os.path.realpath):
        for inside in (os.path.abspath(path), os.path.realpath(path)):
            one, above = Path(inside), Path(real(folder))
            if above in one.parents:
                return one.relative_to(above).as_posix()
    return None


def settings_of(config: Workflow, *, paths: bool = False) -> dict[str, Any]:
    """By dotted key, every value of a workflow that results depend on; `paths`: where its input is, too."""
    data = config.model_dump(mode="json")
    found = _comparable(data)
    return found if paths else {key: value for key, value in found.items() if key not in _PATHS}


_PATHS = ("network.path", "runoff.path", "runoff.forcings", "observations.path", "observations.stations")


def _comparable(data: dict[str, Any]) -> dict[str, Any]:
    data = {name: value for name, value in data.items() if name not in NO_PART}
    compute = data.get("compute") or {}
    data["compute"] = {name: compute.get(name) for name in OF_COMPUTE}
    if isinstance(estimate := data.get("estimate"), dict):
        data["estimate"] = {name: value for name, value in estimate.items() if name not in SAFETY}
    return dict(_flat(data))


def _flat(data: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(data, dict) and data:
        for name, value in data.items():
            yield from _flat(value, f"{key}.{name}" if key else str(name))
    else:
        yield key, data


def completed(settings: Mapping[str, Any], config: Workflow) -> dict[str, Any]:
    """Settings as another version may have kept them, with what this one has added at its defaults.

    Args:
        settings: see `settings_of`, without paths.
        config: the workflow now, for what settings leave out.
    """
    data: dict[str, Any] = {}
    now = config.model_dump(mode="json")
    for key, value in settings.items():
        *above, last = key.split(".")
        below = data
        for name in above:
            found = below.setdefault(name, {})
            below = found if isinstance(found, dict) else {}
        below[last] = value
    data |= {name: now[name] for name in NO_PART}
    data["compute"] = {**now["compute"], **data.get("compute", {})}
    for key in _PATHS:
        section, name = key.split(".")
        if isinstance(data.get(section), dict) and isinstance(now.get(section), dict):
            data[section][name] = now[section][name]
    try:
        return settings_of(Workflow.model_validate(data))
    except ValidationError:
        return {
            key: value for key, value in settings.items() if key not in {f"estimate.{one}" for one in SAFETY}
        }


def forget(record: Written) -> None:
    """Remove what earlier runs wrote, but for what `submit` left, and begin the record again."""
    record.clear(keep=SUBMITTED)
    record.rewrite()


def claim(config: Workflow, record: Written) -> None:
    """Make the run directory this workflow's, or make sure that it is.

    Raises:
        InputError: it is another one's, naming the keys that differ.
    """
    run_dir, resolved = config.output, dump_resolved(config)
    path = run_dir / CONFIG
    before = path.read_text(encoding="utf-8") if path.is_file() else ""
    if before == resolved:
        return
    known = _known_settings(config)
    if known is not None:
        others = setting_differences(known[0], settings_of(config, paths=known[1]))
        if others:
            raise InputError(
                f"{run_dir}: holds a run of another configuration: {listed(others)}; "
                "expected the same one, another output, or --fresh"
            )
        if before and _section(path, "partition") != config.partition.model_dump(mode="json"):
            record.remove(PARTITION)  # it is written anew
    with atomic_path(path) as temporary:
        temporary.write_text(resolved, encoding="utf-8")


def _known_settings(config: Workflow) -> tuple[dict[str, Any], bool] | None:
    """The settings that a run directory was begun with, and whether they say where the input is.

    From config.yaml, or where that is gone from what else keeps them: inputs.json, the newest checkpoint.
    """
    run_dir = config.output
    path = run_dir / CONFIG
    identity = read_identity(run_dir)
    if path.is_file() and path.stat().st_size:
        try:
            return settings_of(load_workflow(path), paths=identity is None), identity is None
        except InputError:  # of another version's schema
            found = _comparable(read_document(path))
            return {key: value for key, value in found.items() if identity is None or key not in _PATHS}, (
                identity is None
            )
    if identity is None:
        newest = newest_of(run_dir)
        identity = None if newest is None else identity_from(newest.of)
    return None if identity is None else (completed(identity.settings, config), False)


def _section(path: Path, name: str) -> Any:
    try:
        return load_workflow(path).model_dump(mode="json")[name]
    except InputError:
        return None
