"""Parameters of a piece's reaches: from coefficients and deviations, or as they are given."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rivergrad.pieces.state import ResidentPiece
from rivergrad.routing import Prepared
from rivergrad.routing.flow.names import EXPONENT, REFERENCE
from rivergrad.routing.schemes import RESIDENCE_TIME, PureLag, Scheme


@dataclass(frozen=True)
class Given:
    """Where the parameters and the runoff of a forward run come from.

    Attributes:
        kind: of parameters. `unrouted`: discharge is the sum of the upstream runoff of the same step; `uniform`: the
            same celerity and spreading everywhere; `estimate`: shared coefficients with the piece's deviations;
            `shared`: these coefficients without deviations;
            `table`: the scheme's parameters of each reach.
        shared: (coefficient,) coefficients, for `estimate`; best: take the best deviations, not the present ones.
        celerity: m/s, spreading: the scheme's, for `uniform`; delay: on hillslopes, s, where it is estimated (a given
            one stays; None lets runoff enter as it is); exponent: of celerity by flow, None for none.
        table: (reach,) of the piece by the name of the parameter, SI, for `table`.
        runoff: (weight,) of the runoff model; None takes runoff as it is given.
        volume: take the estimated volume error out of the runoff, timing: delay it as estimated, both by `shared`.
        state: what the record goes on from (see `rivergrad.pieces.handover`); None starts from rest.
    """

    kind: str
    shared: NDArray[np.float64] | None = None
    celerity: float = 0.0
    spreading: float | None = None
    delay: float | None = None
    exponent: float | None = None
    best: bool = False
    table: dict[str, NDArray[np.float64]] | None = None
    runoff: NDArray[np.float64] | None = None
    volume: bool = False
    timing: bool = False
    state: dict[str, NDArray[np.float64]] | None = None


def parameters_at(piece: ResidentPiece, shared: Tensor, free: Tensor) -> dict[str, Tensor]:
    """The scheme's parameters (reach,) at shared coefficients and deviations, differentiable."""
    fit = piece.fit
    coefficients = piece.stage.layout.coefficients(shared)
    found = fit.setup.model.parameters(coefficients, free, fit.features, fit.length, fit.region)
    found = _with_lakes(piece, found, free[0])
    law = fit.setup.flow
    if law is not None and fit.reference_flow is not None:
        exponent = law.value(coefficients, fit.length, fit.region)
        found = {**found, EXPONENT: exponent, REFERENCE: fit.reference_flow}
    slope = fit.setup.hillslope
    if slope is None:
        return found
    assert fit.slope_features is not None
    return {**found, **slope.parameters(coefficients, fit.slope_features, fit.slope_region)}


def _with_lakes(piece: ResidentPiece, parameters: dict[str, Tensor], deviation: Tensor) -> dict[str, Tensor]:
    """The same with the residence times of lakes, whose deviations are those of celerity elsewhere."""
    lakes = piece.fit.setup.lakes
    return parameters if lakes is None else {**parameters, RESIDENCE_TIME: lakes.residence(deviation)}


def prepare(piece: ResidentPiece, given: Given, horizon: int) -> Prepared:
    """Prepare the engine with given parameters, for a record of `horizon` forcing steps."""
    scheme, parameters = _resolve(piece, given)
    prepared: Prepared = piece.engine.prepare(parameters, horizon, scheme)
    return prepared


def _resolve(piece: ResidentPiece, given: Given) -> tuple[Scheme, dict[str, Tensor]]:
    scheme: Scheme = piece.setup.scheme
    if given.kind == "unrouted":
        return PureLag(), {"delay": torch.zeros(piece.setup.piece.reaches.size, dtype=torch.float64)}
    if given.kind == "table":
        assert given.table is not None
        return scheme, {name: torch.from_numpy(np.array(v)) for name, v in given.table.items()}
    if given.kind == "uniform":
        length = piece.fit.length
        celerity = torch.full_like(length, given.celerity)
        spreading = None if given.spreading is None else torch.full_like(celerity, given.spreading)
        found = _with_lakes(
            piece, scheme.from_celerity(celerity, spreading, length), torch.zeros_like(length)
        )
        return scheme, {**found, **_uniform_delay(piece, given.delay), **_uniform_law(piece, given.exponent)}
    assert given.shared is not None
    free = piece.fit.best if given.best else piece.fit.free
    if given.kind == "shared":
        free = torch.zeros_like(free)
    return scheme, parameters_at(piece, piece.put(given.shared), free)


def _uniform_delay(piece: ResidentPiece, delay: float | None) -> dict[str, Tensor]:
    slope = piece.fit.setup.hillslope
    if slope is None or (delay is None and slope.estimated):
        return {}
    return slope.uniform(slope.delay if delay is None else delay, piece.fit.length)


def _uniform_law(piece: ResidentPiece, exponent: float | None) -> dict[str, Tensor]:
    reference = piece.fit.reference_flow
    if exponent is None or reference is None:
        return {}
    return {EXPONENT: torch.full_like(piece.fit.length, exponent), REFERENCE: reference}


def physical(piece: ResidentPiece, shared: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
    """Celerity, spreading, diffusivity and the scheme's parameters at the best deviations, (reach,) each, SI."""
    fit, model = piece.fit, piece.fit.setup.model
    leaf = piece.put(shared)
    coefficients = piece.stage.layout.coefficients(leaf)
    celerity, spreading = model.physical(coefficients, fit.best, fit.features, fit.region)
    values = {"celerity": celerity}
    if model.scheme.says_diffusivity:
        values["diffusivity"] = model.scheme.diffusivity(celerity, spreading, fit.length)
    if spreading is not None and model.scheme.spreading is not None:
        values[model.scheme.spreading.name] = spreading
    values.update(parameters_at(piece, leaf, fit.best))
    found = {name: value.cpu().numpy() for name, value in values.items()}
    if fit.setup.lakes is None:
        return found
    apart = fit.setup.lakes.apart  # they have a residence time, and no celerity
    of_channels = {"celerity", "diffusivity", *model.scheme.parameter_names} - {RESIDENCE_TIME}
    return {
        name: np.where(apart, np.nan, value) if name in of_channels else value
        for name, value in found.items()
    }
