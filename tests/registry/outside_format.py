"""A format as a user might write it: text with a line for each reach, and one for each time."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

import rivergrad as rg


@dataclass(frozen=True, eq=False)
class Lines:
    """Runoff as lines of numbers, one for each day."""

    path: Path
    time: np.ndarray
    step: float
    reach_id: np.ndarray
    values: np.ndarray

    def read(self, reach_positions, start, stop):
        every = slice(None) if reach_positions is None else np.asarray(reach_positions)
        return self.values[start:stop, every]

    def select(self, reach_positions):
        at = np.asarray(reach_positions)
        return Lines(self.path, self.time, self.step, self.reach_id[at], self.values[:, at])

    def close(self):
        pass


class Plain:
    """Networks and runoff as plain lines."""

    reads = ("network", "runoff")
    traps = ("Reaches have to be in the order of the network.",)
    extra = None

    def guess(self, path):
        return "its name ends in .plain" if path.suffix == ".plain" else None

    def read(self, path, role, **options):
        table = np.loadtxt(path, ndmin=2)
        if role == "network":
            return rg.RiverNetwork.from_ids(
                table[:, 0].astype(int), table[:, 1].astype(int), length=table[:, 2]
            )
        network = options["network"]
        time = np.datetime64("2001-01-01", "ns") + np.arange(len(table)) * np.timedelta64(1, "D")
        return Lines(Path(path), time, 86400.0, network.reach_id, table)
