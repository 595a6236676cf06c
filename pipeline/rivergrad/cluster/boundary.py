"""Boundary series on their way to another worker: copied to the host, packed into few arrays, sent by Dask.

Pieces of one worker hand each other tensors; only what goes to another worker comes through here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Bundle:
    """Series of one shape, packed.

    Attributes:
        places: which of all that were packed at the time.
        content: (series, window, routing step).
    """

    places: tuple[int, ...]
    content: NDArray[Any]


def pack(series: Sequence[Any]) -> list[Bundle]:
    """Pack series for another worker.

    Args:
        series: tensors or arrays, (window, routing step).
    """
    alike: dict[Any, list[int]] = {}
    for place, one in enumerate(series):
        alike.setdefault((type(one), one.shape, one.dtype, getattr(one, "device", None)), []).append(place)
    bundles = []
    for places in alike.values():
        these = [series[place] for place in places]
        whole = torch.stack(these).cpu().numpy() if isinstance(these[0], Tensor) else np.stack(these)
        bundles.append(Bundle(tuple(places), whole))
    return bundles


def unpack(bundles: Iterable[Bundle]) -> list[NDArray[Any]]:
    """The series of bundles that were packed together, in their order, as arrays."""
    found = {
        place: one for bundle in bundles for place, one in zip(bundle.places, bundle.content, strict=True)
    }
    return [found[place] for place in range(len(found))]


def on_host(value: Any) -> Any:
    """A series as an array."""
    return value.cpu().numpy() if isinstance(value, Tensor) else value
