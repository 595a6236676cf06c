"""Which worker gets which part, and whether it has room for it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rivergrad.errors import InputError


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


def check_room(
    needed: NDArray[np.int64], home: NDArray[np.int64], room: Sequence[tuple[str, int]], device: str
) -> None:
    """Raise an InputError naming a part and sizes where the parts of a worker are more than it can hold.

    Args:
        needed: (part,) bytes that stay on its worker.
        home: (part,) its worker.
        room: (worker,) the host, and bytes free: on the host, which its workers share, or on the worker's own device.
        device: `cpu` or `cuda`.
    """
    places: list[Any] = [host if device == "cpu" else number for number, (host, _) in enumerate(room)]
    for place in dict.fromkeys(places):
        members = [number for number, other in enumerate(places) if other == place]
        mine = np.flatnonzero(np.isin(home, members))
        free = min(room[number][1] for number in members)
        if mine.size and (total := int(needed[mine].sum())) > free:
            largest = int(mine[needed[mine].argmax()])
            what = "the memory" if device == "cpu" else "the GPU memory"
            raise InputError(
                f"part {largest} needs {_size(int(needed[largest]))} for its runoff, and with the other "
                f"{mine.size - 1} parts of its {'machine' if device == 'cpu' else 'worker'} {_size(total)}; "
                f"{what} free there is {_size(free)}; expected more workers (with as many parts), or dtype float32"
            )


def free_memory(device: str) -> tuple[str, int]:
    """This process's host, and the bytes free on it or on its GPU."""
    import socket

    if device == "cuda":
        import torch

        return socket.gethostname(), int(torch.cuda.mem_get_info()[0])
    import psutil

    return socket.gethostname(), int(psutil.virtual_memory().available)


def _size(count: int) -> str:
    return f"{count / 1e9:.3g} GB"
