"""Which worker gets which part, and whether it has room for it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rivergrad.errors import InputError


@dataclass(frozen=True)
class Needs:
    """Bytes on the device that computes a piece.

    Attributes:
        runoff: the record, which stays there; kept: what the widest sweep keeps for its gradients.
        state: features, observations, deviations and their optimiser.
    """

    runoff: int = 0
    kept: int = 0
    state: int = 0

    @property
    def total(self) -> int:
        return self.runoff + self.kept + self.state

    def __add__(self, other: Needs) -> Needs:
        return Needs(self.runoff + other.runoff, self.kept + other.kept, self.state + other.state)


def place_parts(weight: ArrayLike, workers: int) -> NDArray[np.int64]:
    """The worker of each part, by weight only: the same parts and number of workers are placed the same.

    Parts are taken from the heaviest to the lightest and go to the worker with least so far (longest processing time
    first: Graham 1969, at most 4/3 of the best possible largest load). As many workers as parts get one each, in order.

    Args:
        weight: (part,) what a part costs.
        workers: how many there are.

    Returns:
        (part,) numbers of workers, 0 to workers − 1.
    """
    weights = np.asarray(weight, np.float64)
    if weights.size <= workers:
        return np.arange(weights.size)
    home = np.empty(weights.size, np.int64)
    load = np.zeros(workers)
    for part in np.lexsort((np.arange(weights.size), -weights)):
        home[part] = load.argmin()  # the first of equals
        load[home[part]] += weights[part]
    return home


def worker_order(workers: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Addresses of a cluster's workers by their names, numbers in names as numbers: the same in every run."""

    def key(address: str) -> list[tuple[int, int | str]]:
        pieces = re.split(r"(\d+)", str(workers[address].get("name", address)))
        return [(0, int(piece)) if piece.isdigit() else (1, piece) for piece in pieces]

    return sorted(workers, key=key)


@dataclass(frozen=True)
class Room:
    """Where a worker computes.

    Attributes:
        place: names the memory, which it may share with others; free: bytes there.
    """

    place: str
    free: int


def fit_parts(weight: ArrayLike, needs: Sequence[Needs], room: Sequence[Room]) -> NDArray[np.int64]:
    """The worker of each part: by weight, as `place_parts` has it, where there is room for what the parts need.

    Where some place has too little, parts go from the heaviest to the lightest to the worker with least among those
    with room; and where that leaves no room for one, from the neediest to the least to where they fit most tightly.

    Args:
        weight: (part,) what a part costs in time; needs: (part,) what it takes.
        room: (worker,) what is free.

    Returns:
        (part,) numbers of workers.

    Raises:
        InputError: a part that nobody has room for, by itself or beside the others.
    """
    weights, need = np.asarray(weight, np.float64), np.array([one.total for one in needs], np.int64)
    names = list(dict.fromkeys(one.place for one in room))
    place = np.array([names.index(one.place) for one in room])
    free = np.array([min(one.free for one in room if one.place == name) for name in names], np.int64)

    def left(home: NDArray[np.int64]) -> NDArray[np.int64]:
        taken = np.zeros(len(names), np.int64)
        placed = home >= 0
        np.add.at(taken, place[home[placed]], need[placed])
        return free - taken

    home = place_parts(weights, len(room))
    if (left(home) >= 0).all():
        return home
    largest = int(need.argmax())
    if need[largest] > free.max():
        raise InputError(
            f"part {largest} needs {_text(needs[largest])}; the most memory that is free for a worker is "
            f"{_size(int(free.max()))}; expected more parts (partition.parts), {_LESS}"
        )
    for order, by_load in (
        (np.lexsort((np.arange(need.size), -weights)), True),
        (np.argsort(-need, kind="stable"), False),
    ):
        home = np.full(need.size, -1, np.int64)
        load = np.zeros(len(room))
        for part in order:
            here = left(home)[place]
            fits = np.flatnonzero(here >= need[part])
            if fits.size == 0:
                break
            tight, light = here[fits], load[fits]
            best = fits[np.lexsort((tight, light) if by_load else (light, tight))[0]]
            home[part] = best
            load[best] += weights[part]
        else:
            return home
    raise InputError(
        f"part {part} needs {_text(needs[part])}, and there is no room for it beside the others, which need "
        f"{_size(int(need.sum() - need[part]))}; free for all workers are {_size(int(free.sum()))}; "
        f"expected more workers (with as many parts), {_LESS}"
    )


_LESS = "a smaller compute.memory_budget, shorter windows, or dtype float32"


def room_here(device: str) -> Room:
    """What is free for this process: on its GPU, or in the machine and in what its job may take of it."""
    import os
    import socket

    host = socket.gethostname()
    if device.startswith("cuda"):
        import torch

        return Room(f"{host} {os.getpid()}", int(torch.cuda.mem_get_info()[0]))
    import psutil
    from distributed.system import MEMORY_LIMIT

    job = re.sub(r"/task_\d+.*", "", _control_group())  # ranks of a step share what their job may take
    mine = MEMORY_LIMIT - psutil.Process().memory_info().rss
    return Room(f"{host} {job}", max(0, min(int(psutil.virtual_memory().available), int(mine))))


def _control_group() -> str:
    try:
        return Path("/proc/self/cgroup").read_text(encoding="utf-8")
    except OSError:
        return ""


def _text(needs: Needs) -> str:
    return (
        f"{_size(needs.total)} (runoff {_size(needs.runoff)}, what is kept for gradients {_size(needs.kept)}, "
        f"observations, parameters and optimiser {_size(needs.state)})"
    )


def _size(count: int) -> str:
    return f"{count / 1e9:.3g} GB"
