"""Everything that a run writes into its directory, by name: one table for writers, readers, `--fresh` and the docs.

A name that is not here is nobody's but the user's.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from rivergrad.documents import read_document
from rivergrad.errors import InputError
from rivergrad.files import open_file, text_of
from rivergrad.io.recorded import RECORD

CONFIG, INFO, BASELINES, INPUTS = "config.yaml", "run.json", "baselines.json", "inputs.json"
NETWORK, PARTITION, PARAMETERS = "network.zarr", "partition.zarr", "parameters.zarr"
LINES = "reaches.parquet"
METRICS, HISTORY, GAUGES, SCREENING = "metrics.csv", "history.csv", "gauges.csv", "screening.csv"
HYDROGRAPHS, DISCHARGE, STATE = "hydrographs.nc", "discharge.nc", "state.nc"
WEIGHTS, WEIGHTS_DESCRIBED, RUNOFF = "runoff_model.safetensors", "runoff_model.json", "runoff.zarr"
REPORT, MAPS, LOG, WORKERS, DASK_REPORT = "report.html", "maps", "log.txt", "workers", "dask-report.html"
GAUGE_PAGES = "report-gauges"
"""Further pages of hydrographs, of runs with more gauges than one page holds."""
CHOICE = "choice.json"
CHECKPOINTS, WORLD, TWIN = "checkpoints", "world", "twin"
FOLDS, FOLDS_TABLE, FOLDS_LOCK = "folds", "folds.csv", ".folds.lock"
LOCK = ".lock"
"""Held by the process that works in a run directory, which has written there who it is; gone when it has ended."""
JOB_SCRIPT, ARRAY_SCRIPT, JOB = "job.sh", "job-array.sh", "job.json"
"""What `submit` leaves in the run directory."""

HISTORY_COLUMNS = ("step", "loss", "validation_nse", "seconds")

CHECKPOINT = re.compile(r"step-\d{6,}\.npz")
WORKER_LOG = re.compile(r"[A-Za-z0-9_.-]+\.(log|out|err)")
_LOG_LINE = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d+ [A-Z]+ ")
_ALWAYS = ("name", "output", "time", "scheme", "parameters", "partition", "compute", "estimate", "report")


def _of_yaml(path: Path) -> bool:
    """Whether every default is written out, which nobody does by hand."""
    try:
        found = read_document(path)
    except (OSError, InputError):
        return False
    return all(name in found for name in _ALWAYS)


def _of_json(*keys: str) -> Callable[[Path], bool]:
    def looks(path: Path) -> bool:
        try:
            found = json.loads(text_of(path))
        except (OSError, ValueError, RecursionError):
            return False
        return isinstance(found, dict) and all(key in found for key in keys)

    return looks


def _begins(*beginnings: bytes) -> Callable[[Path], bool]:
    def looks(path: Path) -> bool:
        try:
            with open_file(path) as file:
                return file.read(64).startswith(beginnings)
        except OSError:
            return False

    return looks


def _of_table(*columns: str) -> Callable[[Path], bool]:
    return _begins(",".join(columns).encode())


def _of_store(*words: str) -> Callable[[Path], bool]:
    """Whether the root of a Zarr store says that it is one of ours."""

    def looks(path: Path) -> bool:
        try:
            text = text_of(path / "zarr.json")
        except (OSError, ValueError):
            return False
        return any(f'"{word}"' in text for word in words)

    return looks


def _of_log(path: Path) -> bool:
    try:
        with open_file(path) as file:
            line = file.read(64).decode("utf-8", "replace")
    except OSError:
        return False
    return not line or _LOG_LINE.match(line) is not None


_HDF5 = _begins(b"\x89HDF", b"CDF")
_PNG = _begins(b"\x89PNG")
_PARQUET = _begins(b"PAR1")


@dataclass(frozen=True)
class Item:
    """Something that a run writes.

    **Arguments**

    - `what`: for people.
    - `looks`: whether a file or store under the name looks as if a run had written it.
    - `folder`: whether it is a folder of items of its own; whose names match `inside`.
    - `state`: whether resuming reads it. Another content under the name is then told from what it says, where it looks
      right; the content of anything else has to be as it was written.
    - `grows`: whether it is written on and on.
    """

    what: str
    looks: Callable[[Path], bool] | None = None
    folder: bool = False
    inside: dict[str, Item] | None = None
    state: bool = False
    grows: bool = False


_GENERATED = {
    "network.parquet": Item("network", _PARQUET),
    "runoff.nc": Item("runoff", _HDF5),
    "runoff_true.nc": Item("true runoff", _HDF5),
    "forcings.zarr": Item("forcings", _of_store("rivergrad")),
    "observations.nc": Item("observations", _HDF5),
    "truth.parquet": Item("hidden parameters", _PARQUET),
    "land.npz": Item("relief", _begins(b"PK")),
}
_PANEL = re.compile(r"panel-\w+\.png")
_VECTOR = re.compile(r"[\w-]+\.(pdf|svg)")
_GAUGE_PAGE = re.compile(r"\d{4,}\.html")
_PAGE = _begins(b"<!doctype html", b"<!DOCTYPE html")
_PICTURES = ("celerity", "skill", "hydrographs", "identifiability", "uncertainty", "coverage")

ITEMS: dict[str, Item] = {
    CHECKPOINTS: Item("checkpoints", folder=True),
    BASELINES: Item("best uniform celerity", _of_json("uniform_celerity"), state=True),
    CHOICE: Item("model that was chosen", _of_json("chosen", "rungs"), state=True),
    INPUTS: Item("what the input was", _of_json("inputs", "settings"), state=True),
    CONFIG: Item("workflow", _of_yaml, state=True),
    INFO: Item("about the run", _of_json("name", "status"), state=True),
    NETWORK: Item("network", _of_store("rivergrad network")),
    LINES: Item("lines of reaches", _PARQUET),
    PARTITION: Item("partition", _of_store("rivergrad partition")),
    PARAMETERS: Item("parameters", _of_store("rivergrad")),
    METRICS: Item("scores", _of_table("gauge", "reach_id", "split")),
    HISTORY: Item("history", _of_table(*HISTORY_COLUMNS), state=True),
    HYDROGRAPHS: Item("hydrographs", _HDF5),
    DISCHARGE: Item("discharge", _HDF5),
    STATE: Item("state", _HDF5),
    RUNOFF: Item("learned runoff", _of_store("rivergrad")),
    WEIGHTS: Item("weights"),
    WEIGHTS_DESCRIBED: Item("weights", _of_json("model", "scaling")),
    GAUGES: Item("placement", _of_table("gauge", "reach_id_given")),
    SCREENING: Item("screening", _of_table("gauge", "reach_id", "what")),
    FOLDS_TABLE: Item("scores of folds", _of_table("fold", "gauge", "reach_id")),
    FOLDS: Item("folds", folder=True),
    FOLDS_LOCK: Item("lock", lambda path: path.stat().st_size == 0, grows=True),
    REPORT: Item("report", _PAGE),
    GAUGE_PAGES: Item("further hydrographs", folder=True),
    MAPS: Item("maps", folder=True, inside={f"{name}.png": Item("map", _PNG) for name in _PICTURES}),
    LOG: Item("log", _of_log, state=True, grows=True),
    WORKERS: Item("logs of workers", folder=True),
    DASK_REPORT: Item("Dask's report", grows=True),
    WORLD: Item("generated world", folder=True, inside=_GENERATED),
    TWIN: Item("twin", folder=True, inside=_GENERATED),
    RECORD: Item("record of all this", grows=True),
}
"""By name in the run directory, what `--fresh` forgets first coming first: a run that is killed meanwhile does not
resume from half of what was there."""

SUBMITTED = (JOB_SCRIPT, ARRAY_SCRIPT, JOB)
_OTHERS = re.compile(r"slurm-[0-9_]+\.out|\.nfs\w+|lost\+found|\.DS_Store|\.{1,2}tmp-.+")
"""What queues and file systems put into a folder."""


def item_of(name: str) -> Item | None:
    """What a run writes under a name, relative to its directory; None for names that runs do not write."""
    first, _, below = name.partition("/")
    item = ITEMS.get(first)
    if item is None or not below:
        return item
    if first == CHECKPOINTS:
        return Item("checkpoint", state=True) if CHECKPOINT.fullmatch(below.rsplit("/", 1)[-1]) else None
    if first == WORKERS:
        return Item("log", _of_log, grows=True) if WORKER_LOG.fullmatch(below) else Item("workers")
    if first == FOLDS:
        return item_of(below.partition("/")[2]) if "/" in below else Item("fold", folder=True)
    if first == MAPS and _PANEL.fullmatch(below):
        return Item("panel of the user's own", _PNG)
    if first == MAPS and _VECTOR.fullmatch(below):
        return Item("map", _begins(b"%PDF", b"<?xml"))
    if first == GAUGE_PAGES:
        return Item("further hydrographs", _PAGE) if _GAUGE_PAGE.fullmatch(below) else None
    return None if item.inside is None else item.inside.get(below)


def is_written(name: str) -> bool:
    """Whether a path relative to a run directory is, or lies in, what runs or `submit` write there."""
    first = name.partition("/")[0]
    return first in ITEMS or first in SUBMITTED or first == LOCK


def run_around(path: Path) -> Path | None:
    """The run directory where a path lies under a name that runs write there; None where it does not."""
    real = Path(os.path.realpath(path))
    for folder in real.parents:
        is_run = (folder / RECORD).is_file() or ((folder / CONFIG).is_file() and (folder / INFO).is_file())
        if is_run and is_written(real.relative_to(folder).as_posix()):
            return folder
    return None


def strangers(folder: Path) -> list[str]:
    """Names in a folder that neither `submit`, nor a queue, nor a lock accounts for, sorted."""
    own = {LOCK, FOLDS_LOCK, *(SUBMITTED if _of_json("slurm_job")(folder / JOB) else ())}
    names = sorted(path.name for path in folder.iterdir())
    return [name for name in names if name not in own and not _OTHERS.fullmatch(name)]


def from_before(folder: Path) -> bool:
    """Whether a folder without a record is the directory of a run by a version that kept none."""
    if not (folder / CONFIG).is_file() or not _of_yaml(folder / CONFIG):
        return False
    if (folder / INFO).is_file():
        return _of_json("name", "status")(folder / INFO) and not kept_a_record(folder)
    return any(_of_json("name", "status")(path) for path in folder.glob(f"{FOLDS}/*/{INFO}"))


def kept_a_record(folder: Path) -> bool:
    """Whether run.json says that there was a record: runs of earlier versions kept none."""
    return _of_json("name", "status", "record")(folder / INFO)


def known_in(folder: Path) -> Iterator[str]:
    """Names of files and stores below a run directory without a record that look as if runs had written them."""
    for name, item in ITEMS.items():
        path = folder / name
        if path.is_symlink() or not path.exists() or name in (FOLDS, RECORD):
            continue
        for below in _files_of(folder, name, item):
            one = item_of(below)
            there = folder / below
            if one is None or there.is_symlink() or (one.looks is not None and not one.looks(there)):
                continue
            yield below


def _files_of(folder: Path, name: str, item: Item) -> list[str]:
    if not item.folder:
        return [name]
    if not (folder / name).is_dir():
        return []
    if name == CHECKPOINTS:
        found = (folder / name).glob("**/step-*.npz")
    elif name == WORKERS:
        found = (folder / name).iterdir()
    else:
        found = (folder / name / inside for inside in item.inside or ())
    return sorted(path.relative_to(folder).as_posix() for path in found if path.exists())
