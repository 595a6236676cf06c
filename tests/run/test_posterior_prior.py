"""The posterior starts from the prior of the fit, whatever the parameter model."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from rivercut import graph
from rivergrad import registry
from rivergrad.model.bounds import Bounded
from rivergrad.model.parametermodel import ParameterModel
from rivergrad.model.physical import about_prior
from rivergrad.model.prior import Prior
from rivergrad.model.treeprior import TreePrior
from rivergrad.routing import schemes
from rivergrad.run.evidence import posterior

Float = NDArray[np.float64]
DOWNSTREAM = np.array([2, 2, 4, 4, -1, 6, -1])
REGION = np.array([0, 0, 1, 1, 2, 2, 2])
GAUGE = 4
SETTINGS = {
    "uniform": {},
    "free": {},
    "regional": {"n_regions": 3},
    "attributes": {"n_features": 2},
    "attributes, one feature": {"n_features": 1},
    "attributes, hidden": {"n_features": 2, "hidden": 4},
    "hybrid": {"n_features": 2},
    "hybrid, three features": {"n_features": 3},
    "hybrid, hidden": {"n_features": 2, "hidden": 3},
}


def parameter_model(setting: str, scheme: str) -> ParameterModel:
    chosen = schemes.get(scheme)
    spreading = None
    if chosen.spreading is not None:
        spreading = Bounded(chosen.spreading.lower, chosen.spreading.upper, chosen.spreading.lower > 0)
    kind = setting.split(",")[0]
    made: ParameterModel = registry.load("parameter_model", kind)(
        chosen, Bounded(0.05, 5.0, True), spreading, **SETTINGS[setting]
    )
    return made


class Linear:
    """Discharge at one gauge, linear in the latent values of the reaches upstream of it."""

    def __init__(self, n_free: int, strength: float) -> None:
        upstream = np.isin(np.arange(DOWNSTREAM.size), [0, 1, 2, 3, GAUGE])
        self.rows = (
            strength * np.random.default_rng(3).standard_normal((6, n_free, DOWNSTREAM.size)) * upstream
        )

    def tangent(self, free: Float) -> Float:
        return np.einsum("tfn,fn->t", self.rows, free)[None, :, None]

    def pull(self, seed: Float) -> tuple[Float, Float]:
        return np.zeros(0), np.einsum("tfn,t->fn", self.rows, seed[0, :, 0])


def test_all_kinds_are_here() -> None:
    assert {name.split(",")[0] for name in SETTINGS} == set(registry.names("parameter_model")) - {"auto"}


@pytest.mark.parametrize("prior_kind", ["none", "physical"])
@pytest.mark.parametrize("scheme", ["muskingum", "linear_storage", "hayami"])
@pytest.mark.parametrize("setting", SETTINGS)
def test_the_posterior_starts_from_the_prior_of_the_fit(setting: str, scheme: str, prior_kind: str) -> None:
    """Its prior and its result are those of the dense joint inverse, with the standard deviations of the fit."""
    model, n = parameter_model(setting, scheme), DOWNSTREAM.size
    if prior_kind == "physical":
        model = about_prior(model, 0.8, 0.4)
    order = graph.topological_order(DOWNSTREAM)
    features = np.random.default_rng(1).standard_normal((n, model.n_features))
    region = REGION if model.n_regions else None
    spread = None if model.spreading is None else 0.3 * model.spreading.upper
    start = model.start(0.9, spread, 3)
    shared = start.layout.coefficients(
        start.values + 0.2 * np.random.default_rng(2).standard_normal(start.layout.size)
    )
    tau = np.array([0.5, 1.2])[: model.n_free]
    sd = model.layout.fill(model.prior_sd())
    prior = Prior(model.layout, shared.values, sd, TreePrior(DOWNSTREAM, order, tau), n, model.n_free)
    network = SimpleNamespace(
        basin=graph.basins(DOWNSTREAM, order), downstream=DOWNSTREAM, order=order, n_reaches=n
    )
    work: Any = SimpleNamespace(
        choice=SimpleNamespace(model=model, values=features, regions=region, lakes=None),
        case=SimpleNamespace(
            inputs=SimpleNamespace(network=network, observations=SimpleNamespace(reach=np.array([GAUGE])))
        ),
        config=SimpleNamespace(compute=SimpleNamespace(memory_budget=1 << 30), seed=0),
    )
    problem: Any = Linear(model.n_free, 1.0)
    found = posterior(work, problem, np.ones((1, 6, 1)), prior, shared, 40)

    by = model.regressors(shared, features, region)
    expected = np.einsum("fnp,p->fn", by**2, prior.sd**2)
    np.testing.assert_allclose(found.prior_shared_variance, expected, rtol=1e-12)
    design = by.reshape(-1, model.layout.size)
    covariance = design @ np.diag(prior.sd**2) @ design.T + np.diag(np.repeat(tau, n) ** 2)
    rows = problem.rows.reshape(6, -1)
    seen = covariance @ rows.T
    dense = covariance - seen @ np.linalg.solve(rows @ seen + np.eye(6), seen.T)
    np.testing.assert_allclose(found.variance.ravel(), np.diag(dense), rtol=1e-7)
