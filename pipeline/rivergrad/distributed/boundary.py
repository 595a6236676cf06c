"""Boundary series on their way to other workers: by Dask over the host, or by UCX from device to device.

The series that a batch of calls sends to one worker travel as one bundle; what Dask moves in their place are its rows.
A bundle over the host has the values with it, a bundle by UCX (`rivergrad.distributed.links`) the name of a message
that was posted. Both are copies: the numbers are the same either way.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from rivergrad.distributed.links import Parcel, links_of


@dataclass(frozen=True, eq=False)
class Row:
    """One series of a bundle.

    Attributes:
        bundle: (series, window, routing step), or the message that brings them.
        index: which.
    """

    bundle: NDArray[Any] | Parcel
    index: int


def sent_off(
    run: str, home: int, exports: Mapping[Any, Collection[int]], series: Mapping[Any, Any]
) -> dict[Any, Any]:
    """What goes to other workers of the series of a batch: those that are tensors in bundles, sent off where UCX is.

    Args:
        run: whose they are; home: the number of this worker.
        exports: series that later batches take, with the workers those are on.
        series: by name.
    """
    going: dict[Any, Any] = {}
    bundles: dict[Any, list[Any]] = {}
    for name, homes in exports.items():
        abroad = tuple(sorted(set(homes) - {home}))
        one = series[name]
        if abroad and isinstance(one, Tensor):
            bundles.setdefault((abroad, one.shape, one.dtype, one.device), []).append(name)
        elif abroad:
            going[name] = one
    links = links_of(run)
    for (abroad, _, _, device), names in bundles.items():
        values = torch.stack([series[name] for name in names])
        bundle: NDArray[Any] | Parcel
        if links is not None and len(abroad) == 1 and device == links.device:
            bundle = links.send(abroad[0], values)
        else:
            bundle = values.cpu().numpy()
        going.update({name: Row(bundle, k) for k, name in enumerate(names)})
    return going


def expect(run: str, values: Iterable[Any]) -> None:
    """Get ready for the messages that bring some of these."""
    links = links_of(run)
    for value in values:
        if links is not None and isinstance(value, Row) and isinstance(value.bundle, Parcel):
            links.expect(value.bundle)


def arrived(run: str, value: Any) -> Any:
    """A series as a piece takes it, waited for where it is still on its way.

    Raises:
        WorkerLostError: it does not come.
    """
    if not isinstance(value, Row):
        return value
    if isinstance(value.bundle, Parcel):
        return links_of(run, sure=True).take(value.bundle)[value.index]
    return value.bundle[value.index]
