"""From parameters to the tiles of aggregated responses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from rivergrad.routing.closure.contour import Contour
from rivergrad.routing.closure.plan import Chunk, Family
from rivergrad.routing.closure.product import path_product
from rivergrad.routing.schemes.base import Parameters, Scheme


@dataclass
class Leftover:
    """What lies outside the window, over all paths seen: shares of a unit input."""

    tail: float = 0.0
    """Largest sum of absolute values beyond the window (as far as the padding shows)."""
    missing: float = 0.0
    """Largest difference between the sum inside the window and one, for schemes that conserve mass."""
    enough: int = 0
    """Forcing steps after which `missing` would be within the user's tolerance (0: more than the padding)."""


def transfer_functions(
    scheme: Scheme, parameters: Parameters, step: float, contour: Contour
) -> tuple[Tensor, Tensor | None]:
    """Transfer functions for inflow and, where it differs, for runoff; (reach, points) complex128."""
    through = scheme.transfer(parameters, step, contour.z)
    if through is not None:
        return through, scheme.runoff_transfer(parameters, step, contour.z)
    through = contour.spectrum(scheme.response(parameters, step, contour.bins))
    if not scheme.separate_runoff:
        return through, None
    return through, contour.spectrum(scheme.runoff_response(parameters, step, contour.bins))


def _responses(
    family: Family, values: Tensor, contour: Contour, window: int, delay: int
) -> tuple[Tensor, Callable[[], Tensor], Callable[[], Tensor]]:
    """Responses of a family, window first: (window, path[, phase in][, phase out]), and what lies beyond.

    The other two give sums over the phases, (path, lag) with every lag of the padded length, for the measurement
    of what the window leaves out: of the values, and of their sizes (responses that alternate from one routing
    step to the next cancel in the sum of the values, but not in the series that pass between blocks).
    """
    ratio, lags = contour.ratio, contour.forcing_bins
    reported = contour.mean * contour.back(delay) if delay else contour.mean
    if family.kind == "runoff-mean":
        k = contour.to_forcing(values, contour.hold * reported)
        return k[:, :window].T, k.detach, k.detach().abs
    if family.kind == "runoff-flow":
        k = contour.to_routing(values * contour.hold).reshape(-1, lags, ratio)
        return (
            k[:, :window].transpose(0, 1),
            lambda: k.detach().mean(dim=2),
            lambda: k.detach().abs().mean(dim=2),
        )
    if family.kind == "inflow-mean":
        # Entering in phase s' shifts the response by s' routing steps; before time zero there is nothing but
        # what the mean over the step that contains time zero sees of it.
        k = torch.stack([contour.to_forcing(values, reported * contour.back(s)) for s in range(ratio)], dim=2)
        return (
            k[:, :window].transpose(0, 1),
            lambda: k.detach().sum(dim=2),
            lambda: k.detach().abs().sum(dim=2),
        )
    h = contour.to_routing(values)
    lag = torch.arange(window, device=h.device)[:, None, None] * ratio
    phase = torch.arange(ratio, device=h.device)
    delay_steps = lag + phase[None, None, :] - phase[None, :, None]  # (lag, phase in, phase out)
    k = torch.where(delay_steps >= 0, h[:, delay_steps.clamp_min(0)], 0.0)
    h = h.detach().reshape(-1, lags, ratio)
    return k.transpose(0, 1), lambda: h.sum(dim=2), lambda: h.abs().sum(dim=2)


MOST_ROUNDING = 1e-8
"""What lies beyond the window is only ever taken for rounding up to this share of a unit input."""


def _measure(
    response: Tensor,
    size: Tensor,
    contour: Contour,
    window: int,
    conserves_mass: bool,
    leftover: Leftover,
    allowed: float,
) -> None:
    """Note what a family's responses (path, lag) leave outside the window; `size` are their absolute values.

    Rounding is the same at every lag before the damping is undone. Its level is read off the last lags of the
    padding, where a response that dies away has died away most, and what stays within it is no tail: the sum
    of rounding over thousands of lags would exceed any tolerance near it, however long the window is made.
    """
    lag = torch.arange(window, size.shape[1], device=size.device, dtype=size.dtype)
    undo = torch.exp(contour.log_radius * contour.ratio * (lag - lag[-1]))
    beyond = size[:, window:]
    last = max(1, beyond.shape[1] // 4)
    level = (beyond[:, -last:] / undo[-last:]).mean(dim=1, keepdim=True)
    rounding = 6 * level * undo
    tail, rounded = torch.clamp(beyond - rounding, min=0).sum(dim=1), rounding.sum(dim=1)
    tail = torch.where(tail > rounded / 100, tail, 0.0)  # a few peaks of the rounding
    tail = torch.where(rounded <= MOST_ROUNDING, tail, beyond.sum(dim=1))
    leftover.tail = max(leftover.tail, float(tail.max()))
    if conserves_mass:
        missing = (1 - response.cumsum(dim=1)).abs().amax(dim=0)
        leftover.missing = max(leftover.missing, float(missing[window - 1]))
        short = torch.nonzero(missing > allowed)
        enough = int(short[-1]) + 2 if short.numel() else 1
        leftover.enough = max(leftover.enough, enough)


def chunk_tiles(
    chunk: Chunk,
    scheme: Scheme,
    parameters: dict[str, Tensor],
    step: float,
    contour: Contour,
    window: int,
    dtype: torch.dtype,
    leftover: Leftover | None,
    allowed: float,
    recompute: bool,
) -> Tensor:
    """Tiles of a chunk of rows, (window, tile, tile row, tile column) in `dtype`.

    Responses are computed in float64 whatever `dtype` is: phases add up along a path.

    Args:
        parameters: of the whole network, float64.
        leftover: receives what lies outside the window; None where that does not matter.
        recompute: store nothing but the parameters for the backward pass and compute it all again there.
    """
    names = list(parameters)

    def build(*values: Tensor) -> Tensor:
        local = {name: value[chunk.reaches] for name, value in zip(names, values, strict=True)}
        through, from_runoff = transfer_functions(scheme, local, step, contour)
        product = path_product(through, chunk.index)
        entering = product
        if from_runoff is not None:
            # runoff enters the first reach by another response; the rest of the path is the parent path
            rows = chunk.index.slices[0][1]
            ahead = torch.cat([torch.ones_like(product[:rows]), product[chunk.index.parent[rows:]]])
            entering = from_runoff[chunk.index.reach] * ahead
        tile = chunk.tiles.rows * chunk.tiles.columns
        tiles = torch.zeros(window, chunk.tiles.n_tiles * tile, dtype=dtype, device=product.device)
        slots, values_by_lag = [], []
        for family in chunk.families:
            source = entering if family.kind.startswith("runoff") else product[family.path]
            response, whole, size = _responses(family, source, contour, window, scheme.output_delay)
            if leftover is not None:
                with torch.no_grad():
                    _measure(whole(), size(), contour, window, scheme.conserves_mass, leftover, allowed)
            slots.append(family.slot.reshape(-1))
            values_by_lag.append(response.to(dtype).reshape(window, -1))
        tiles = tiles.index_copy(1, torch.cat(slots), torch.cat(values_by_lag, dim=1))
        return tiles.view(window, chunk.tiles.n_tiles, chunk.tiles.rows, chunk.tiles.columns)

    values = tuple(parameters.values())
    if recompute and torch.is_grad_enabled() and any(v.requires_grad for v in values):
        tiles: Tensor = checkpoint(build, *values, use_reentrant=False, preserve_rng_state=False)
        return tiles
    return build(*values)
