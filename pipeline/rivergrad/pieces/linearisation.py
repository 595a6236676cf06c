"""Products with the Jacobian of discharge at the gauges, for Gauss-Newton steps and for the posterior.

All in double precision. With q(z) the discharge at the gauges and J its Jacobian at the present coefficients z:
J v (a JVP) is a forward difference, (q(z + h v) − q(z)) / h, whose error is of the order of h. Jᵀ w (a VJP) is the
routing's own adjoint, exact, on the graph of q(z), which is kept. So one product Jᵀ W J v costs one forward and one
backward routing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rivergrad.pieces.graph import RoutedWindows
from rivergrad.pieces.parameters import parameters_at
from rivergrad.pieces.runoff import runoff_of_windows
from rivergrad.pieces.series import Series, apart, side_by_side
from rivergrad.pieces.setup import Window
from rivergrad.pieces.state import Linearised, ResidentPiece
from rivergrad.routing.flow.engine import flow_engine_of, flow_given
from rivergrad.routing.flow.names import EXPONENT

Array = NDArray[Any]
Float = NDArray[np.float64]


def linearise(
    piece: ResidentPiece, inflows: Sequence[Series], *, shared: Float, windows: Sequence[Window]
) -> tuple[Array, list[Series]]:
    """Route windows at the present deviations and keep the graph.

    Args:
        inflows: (window, routing step) of each inlet.
        shared: (coefficient,) coefficients.
        windows: all of the same lengths.

    Returns:
        Discharge (window, time that counts, target) m³/s, and the series of each outlet.
    """
    piece.linearised = None  # free the last graph before the next one is made
    leaf = torch.from_numpy(shared.copy()).to(piece.fit.free).requires_grad_()
    free = piece.fit.free.clone().requires_grad_()
    inflow = _inflow(piece, inflows)
    if piece.setup.piece.sources:
        inflow.requires_grad_()
    discharge, outflow = _route(piece, windows, leaf, free, inflow)
    flow = flow_engine_of(piece.double_engine())
    routed = RoutedWindows(discharge, outflow, inflow, leaf, free)
    piece.linearised = Linearised(list(windows), routed, None if flow is None else flow.held)
    return discharge.detach().cpu().numpy(), apart(outflow)


@torch.no_grad()
def jvp(
    piece: ResidentPiece,
    inflows: Sequence[Series],
    *,
    shared: Float,
    free: Float,
    step: float,
    exponent: Float | None = None,
) -> tuple[None, list[Series]]:
    """Route at z + step · direction and keep J · direction, for `image` and `vjp`.

    Args:
        inflows: (window, routing step) of each inlet, of the same step elsewhere.
        shared: (coefficient,) the direction in shared coefficients.
        free: (n_free, reach) the direction in deviations.
        step: h, the step of the finite difference.
        exponent: (reach,) the direction in exponents of flow, each reach its own; None for none.

    Returns:
        Nothing, and the series of each outlet.
    """
    here = _linearised(piece)
    routed = here.routed
    with flow_given(piece.double_engine(), here.held):  # as the adjoint takes it
        moved, outflow = _route(
            piece,
            here.windows,
            routed.shared + step * torch.from_numpy(shared).to(routed.shared),
            routed.free + step * torch.from_numpy(free).to(routed.free),
            _inflow(piece, inflows),
            None if exponent is None else step * torch.from_numpy(exponent).to(routed.free),
        )
    here.image = (moved - routed.discharge) / step
    return None, apart(outflow)


def _inflow(piece: ResidentPiece, inflows: Sequence[Series]) -> Tensor:
    if not piece.setup.piece.sources:
        return torch.zeros(0)
    return side_by_side(inflows, piece.engine.device, torch.float64)


def _route(
    piece: ResidentPiece,
    windows: Sequence[Window],
    shared: Tensor,
    free: Tensor,
    inflow: Tensor,
    exponent: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    runoff = runoff_of_windows(piece, shared, windows, torch.float64)
    engine = piece.double_engine()
    parameters = parameters_at(piece, shared, free)
    if exponent is not None:
        parameters[EXPONENT] = parameters[EXPONENT] + exponent
    prepared = engine.prepare(parameters, runoff.shape[1])
    discharge, outflow, _ = engine.apply(prepared, runoff, inflow if inflow.numel() else None)
    return discharge[:, windows[0][1] - windows[0][0] :], outflow


def image(piece: ResidentPiece) -> Array:
    """J v of the last `jvp`, (window, time that counts, target)."""
    found = _linearised(piece).image
    assert found is not None
    return found.cpu().numpy()


def weigh(piece: ResidentPiece, *, weight: Array) -> None:
    """Keep W, (window, time that counts, target), for products Jᵀ W J v."""
    here = _linearised(piece)
    here.weight = torch.from_numpy(weight).to(here.routed.discharge)


def vjp(
    piece: ResidentPiece, gradients: Sequence[Series], *, seed: Array | None
) -> tuple[dict[str, Any], list[Series]]:
    """Jᵀ of this piece and of all downstream of it.

    Args:
        gradients: with respect to each outlet's series, (window, routing step), from downstream.
        seed: (window, time that counts, target) to pull back; None takes W J v of the last `jvp`.

    Returns:
        The gradients of `shared` and `free`, and of each inlet's series.
    """
    here = _linearised(piece)
    routed = here.routed
    if seed is None:
        assert here.image is not None
        assert here.weight is not None
        cotangent = here.weight * here.image
    else:
        cotangent = torch.from_numpy(seed).to(routed.discharge)
    shared, free, into = routed.vjp(routed.discharge, cotangent, gradients, keep=True)
    return {"shared": shared.cpu().numpy(), "free": free.cpu().numpy()}, into


def forget(piece: ResidentPiece) -> None:
    """Free what `linearise` keeps."""
    piece.linearised = None


def _linearised(piece: ResidentPiece) -> Linearised:
    assert piece.linearised is not None
    return piece.linearised
