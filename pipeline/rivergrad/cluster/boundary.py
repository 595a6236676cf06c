"""Boundary series on their way to another worker: by Dask over the host, or by UCX from device to device.

What one worker has for another at one time is packed into one bundle. A bundle by Dask has the values with it, one by
UCX (`rivergrad.cluster.links`) the name of a message that was posted. Both are copies: the numbers are the same
either way.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rivergrad.cluster.links import Parcel, links_of


@dataclass(frozen=True, eq=False)
class Bundle:
    """Series of one shape, packed.

    Attributes:
        places: which of all that were packed at the time.
        content: (series, window, routing step), or the message that brings them.
    """

    places: tuple[int, ...]
    content: NDArray[Any] | Parcel


@dataclass(frozen=True)
class Expected:
    """A series that a message brings, by its number there."""

    parcel: Parcel
    index: int


def pack(run: str, address: str, series: Sequence[Any]) -> list[Bundle]:
    """Series as they go to a worker; what UCX moves is on its way then.

    Args:
        run: whose they are.
        address: of the worker, Dask's.
        series: tensors or arrays, (window, routing step).
    """
    alike: dict[Any, list[int]] = {}
    for place, one in enumerate(series):
        alike.setdefault((type(one), one.shape, one.dtype, getattr(one, "device", None)), []).append(place)
    links = links_of(run)
    bundles = []
    for places in alike.values():
        these = [series[place] for place in places]
        content: NDArray[Any] | Parcel
        if not isinstance(these[0], Tensor):
            content = np.stack(these)
        elif links is not None and links.reaches(address) and these[0].device == links.device:
            content = links.send(address, torch.stack(these))
        else:
            content = torch.stack(these).cpu().numpy()
        bundles.append(Bundle(tuple(places), content))
    return bundles


def unpack(bundles: Iterable[Bundle]) -> list[Any]:
    """The series of bundles that came together, in their order: arrays, or what is `Expected`."""
    found: dict[int, Any] = {}
    for bundle in bundles:
        for k, place in enumerate(bundle.places):
            content = bundle.content
            found[place] = Expected(content, k) if isinstance(content, Parcel) else content[k]
    return [found[place] for place in range(len(found))]


def expect(run: str, values: Iterable[Any]) -> None:
    """Get ready for what some of these are brought by."""
    for value in values:
        if isinstance(value, Expected):
            links_of(run, sure=True).expect(value.parcel)


def arrived(run: str, value: Any) -> Any:
    """A series as a piece takes it, waited for where it is still on its way.

    Raises:
        WorkerLostError: it does not come.
    """
    if isinstance(value, Expected):
        return links_of(run, sure=True).take(value.parcel)[value.index]
    return value


def on_host(value: Any) -> Any:
    """A series as an array."""
    return value.cpu().numpy() if isinstance(value, Tensor) else value
