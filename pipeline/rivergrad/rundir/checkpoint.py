"""Checkpoints of an estimation: arrays and numbers, written whole or not at all."""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from rivergrad.errors import InputError
from rivergrad.files import open_file
from rivergrad.io import atomic_path
from rivergrad.io.atomic import keeper_of
from rivergrad.rundir.contents import CHECKPOINT, CHECKPOINTS, FOLDS

log = logging.getLogger("rivergrad")

SEAL_BYTES = 32
"""After the arrays, a checksum (SHA-256) of all before it; readers of npz files pass over it."""


@dataclass
class Checkpoint:
    """Everything that the next step depends on.

    Attributes:
        step: steps done.
        shared: shared coefficients, `shared_best` those of the best validation.
        pieces: arrays (…, reach) in the network's order, whatever the partition.
        optimiser: arrays of the optimiser, by name.
        numbers: best score, step of it, and looks since without progress.
        history: rows of history.csv.
        of: what the run was begun with (see `Identity.as_dict`); empty in those of versions that kept no such thing.
    """

    step: int
    shared: NDArray[np.float64]
    shared_best: NDArray[np.float64]
    optimiser: dict[str, NDArray[np.float64]]
    pieces: dict[str, NDArray[np.float64]]
    numbers: dict[str, float]
    history: list[dict[str, float]] = field(default_factory=list)
    of: dict[str, Any] = field(default_factory=dict)

    def write(self, folder: Path, keep: int = 2) -> Path:
        """Write to `folder`/step-NNNNNN.npz; of the older ones, all but the newest `keep` − 1 are removed.

        Newer ones are removed too: the run has gone on from an older one because they were damaged.
        """
        path = folder / f"step-{self.step:06d}.npz"
        meta = {"step": self.step, "numbers": self.numbers, "history": self.history, "of": self.of}
        text = json.dumps(meta, default=str)
        arrays: dict[str, Any] = {f"piece_{name}": value for name, value in self.pieces.items()}
        arrays |= {f"optimiser_{name}": value for name, value in self.optimiser.items()}
        with atomic_path(path) as temporary:
            with temporary.open("wb") as file:
                np.savez(
                    file,
                    meta=np.frombuffer(text.encode(), dtype=np.uint8),
                    shared=self.shared,
                    shared_best=self.shared_best,
                    **arrays,
                )
            with temporary.open("r+b") as file:
                seal = _seal(file, temporary.stat().st_size)
                file.seek(0, os.SEEK_END)
                file.write(seal)
        others = [other for other in _files(folder) if other != path]
        older = [other for other in others if _step(other) < self.step]
        for other in others:
            if other not in older[: keep - 1] and _is_ours(other):
                other.unlink()
        return path


def _files(folder: Path) -> list[Path]:
    """Checkpoints by their names, the newest first."""
    found = [path for path in folder.glob("step-*.npz") if CHECKPOINT.fullmatch(path.name)]
    return sorted(found, key=_step, reverse=True)


def _step(path: Path) -> int:
    return int(path.stem.removeprefix("step-"))


def _is_ours(path: Path) -> bool:
    keeper = keeper_of(path)
    return keeper is None or keeper.owns(path)


def has_checkpoints(run_dir: Path) -> bool:
    """Whether a run, one of its stages or one of its folds has made any steps."""
    own = (path for path in (run_dir / CHECKPOINTS).rglob("*.npz") if _is_ours(path))
    folds = run_dir.glob(f"{FOLDS}/*/{CHECKPOINTS}/**/*.npz")
    return any(CHECKPOINT.fullmatch(path.name) for path in (*own, *folds))


def newest_of(run_dir: Path) -> Checkpoint | None:
    """The newest whole checkpoint of any stage of a run."""
    folders = [run_dir / CHECKPOINTS, *sorted((run_dir / CHECKPOINTS).glob("*/"))]
    for folder in folders:
        for path in _files(folder):
            with suppress(OSError, ValueError, KeyError):
                return _read(path)
    return None


def read_newest(
    folder: Path, misfit: Callable[[Checkpoint], str | None] = lambda found: None
) -> Checkpoint | None:
    """The newest checkpoint that is whole; a damaged one is passed over, saying so.

    Args:
        folder: of the checkpoints.
        misfit: says why a checkpoint cannot be of this fit, or None.

    Raises:
        InputError: there are whole ones, but they are of another fit.
    """
    strange: str | None = None
    for path in _files(folder):
        try:
            found = _read(path)
        except (OSError, ValueError, KeyError) as error:
            log.warning("%s is damaged (%s); going on from the one before", path, error)
            continue
        why = misfit(found)
        if why is None:
            return found
        log.warning("%s does not fit (%s); going on from the one before", path, why)
        strange = strange or f"{path}: {why}: the input is not what it was; expected the same, or --fresh"
    if strange is not None:
        raise InputError(strange)
    return None


def _read(path: Path) -> Checkpoint:
    """Read a checkpoint, having made sure that every byte is as it was written."""
    with open_file(path) as file:
        size = path.stat().st_size - SEAL_BYTES
        if size <= 0:
            raise ValueError("it is cut off")
        if _seal(file, size) != file.read(SEAL_BYTES):
            raise ValueError("its checksum is another")
        file.seek(0)
        with np.load(file, allow_pickle=False) as data:
            meta = json.loads(data["meta"].tobytes().decode())
            return Checkpoint(
                step=int(meta["step"]),
                shared=data["shared"],
                shared_best=data["shared_best"],
                optimiser=_under("optimiser_", data),
                pieces=_under("piece_", data),
                numbers=meta["numbers"],
                history=meta["history"],
                of=meta.get("of", {}),
            )


def _seal(file: IO[bytes], size: int) -> bytes:
    """What ends a checkpoint's file: a checksum of the `size` bytes before it."""
    digest = hashlib.sha256()
    file.seek(0)
    while size > 0:
        block = file.read(min(size, 1 << 22))
        if not block:
            break
        digest.update(block)
        size -= len(block)
    return digest.digest()


def _under(prefix: str, data: Any) -> dict[str, NDArray[np.float64]]:
    return {name.removeprefix(prefix): data[name] for name in data.files if name.startswith(prefix)}
