"""Kernels compiled before they are wanted: by one process for all of a machine, which find them in Numba's cache."""

from __future__ import annotations

from collections.abc import Iterable

import torch

from rivercut.network import RiverNetwork


def compile_kernels(dtypes: Iterable[torch.dtype], backward: bool = True) -> None:
    """Compile what the recurrence engine routes with on CPUs; a fraction of a second where that has been done.

    Args:
        dtypes: float32, float64 or both.
        backward: the gradient too.
    """
    from rivergrad.routing.operator import Router

    network = RiverNetwork.from_ids([1, 2], downstream_id=[2, -1])
    for dtype in dtypes:
        router = Router(
            network, "muskingum", forcing_step=86400.0, routing_step=43200.0, engine="recurrence", dtype=dtype
        )
        k = torch.full((2,), 1e5, dtype=torch.float64, requires_grad=backward)
        discharge, _ = router(torch.ones(2, 2, dtype=dtype), {"k": k, "x": torch.full_like(k.detach(), 0.2)})
        if backward:
            discharge.sum().backward()
