"""Checkpoints of an estimation: arrays and numbers, written whole or not at all."""

from __future__ import annotations

import json
import logging
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rivergrad.io import atomic_path

log = logging.getLogger("rivergrad")

KEEP = 2
"""How many of the newest checkpoints are kept."""


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
    """

    step: int
    shared: NDArray[np.float64]
    shared_best: NDArray[np.float64]
    optimiser: dict[str, NDArray[np.float64]]
    pieces: dict[str, NDArray[np.float64]]
    numbers: dict[str, float]
    history: list[dict[str, float]] = field(default_factory=list)

    def write(self, folder: Path) -> Path:
        """Write to `folder`/step-NNNNNN.npz and remove all but the newest `KEEP`."""
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"step-{self.step:06d}.npz"
        text = json.dumps({"step": self.step, "numbers": self.numbers, "history": self.history})
        arrays: dict[str, Any] = {f"piece_{name}": value for name, value in self.pieces.items()}
        arrays |= {f"optimiser_{name}": value for name, value in self.optimiser.items()}
        with atomic_path(path) as temporary, temporary.open("wb") as file:
            np.savez(
                file,
                meta=np.frombuffer(text.encode(), dtype=np.uint8),
                shared=self.shared,
                shared_best=self.shared_best,
                **arrays,
            )
        for old in sorted(folder.glob("step-*.npz"))[:-KEEP]:
            old.unlink()
        return path


def read_newest(folder: Path) -> Checkpoint | None:
    """The newest readable checkpoint; a damaged one is passed over, saying so."""
    for path in sorted(folder.glob("step-*.npz"), reverse=True):
        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as data:
                meta = json.loads(data["meta"].tobytes().decode())
                return Checkpoint(
                    step=int(meta["step"]),
                    shared=data["shared"],
                    shared_best=data["shared_best"],
                    optimiser=_under("optimiser_", data),
                    pieces=_under("piece_", data),
                    numbers=meta["numbers"],
                    history=meta["history"],
                )
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            log.warning("%s is damaged (%s); going on from the one before", path, error)
    return None


def _under(prefix: str, data: Any) -> dict[str, NDArray[np.float64]]:
    return {name.removeprefix(prefix): data[name] for name in data.files if name.startswith(prefix)}
