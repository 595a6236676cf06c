"""A fitted parameter model on paper, and its application to the reaches of another network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from rivercut.network import RiverNetwork
from rivergrad import registry
from rivergrad.config.load import load_workflow
from rivergrad.config.schema import Workflow
from rivergrad.errors import InputError
from rivergrad.files import json_of
from rivergrad.model.features import Features
from rivergrad.model.layout import Coefficients
from rivergrad.model.parametermodel import ParameterModel
from rivergrad.model.physical import about_prior, offsets, physical_prior
from rivergrad.routing.schemes import RESIDENCE_TIME
from rivergrad.run.choice import workflow_of
from rivergrad.run.flowlaw import described_law, law_elsewhere
from rivergrad.run.hillslope import described, make_hillslope_model
from rivergrad.run.lakes import make_lakes
from rivergrad.run.modelchoice import make_choice_model
from rivergrad.run.problem import Problem

Float = NDArray[np.float64]

FAR = 3.0
"""Standard deviations of an attribute's logarithm beyond which hardly any reach lies that the model was fitted on."""


def describe_model(work: Problem, shared: Coefficients[Float]) -> dict[str, Any]:
    """The parameter model for run.json: enough to apply it to other reaches."""
    model = work.choice.model
    return {
        "kind": work.config.parameters.model,
        "features": work.choice.features.as_list(),
        "hidden": model.hidden,
        "regions": model.n_regions,
        "shared": shared.part(model.layout).values.tolist(),
        "hillslope": described(work.hillslope, shared),
        "flow": described_law(work.flow, shared),
        "prior": None if work.choice.physical is None else work.choice.physical.as_dict(),
    }


def fitted_model(run_dir: Path) -> dict[str, Any]:
    """The parameter model of a finished run, as `describe_model` wrote it, if it can say anything of other reaches.

    Raises:
        InputError: a run that is not done, or a model that knows only the reaches it was fitted on.
    """
    path = run_dir / "run.json"
    if not path.is_file():
        raise InputError(f"{run_dir}: found no run.json; expected the directory of a run that is done")
    summary = json_of(path).get("summary")
    described = summary.get("model") if isinstance(summary, dict) else None
    if not isinstance(described, dict):
        raise InputError(f"{run_dir}: found no parameter model in run.json; expected a run that is done")
    kind = described["kind"]
    if not _travels(run_dir, kind):
        known = [one.name for one in registry.entries("parameter_model") if one.facts.get("travels")]
        raise InputError(
            f"{run_dir}: found a model of kind {kind}, which knows only its own reaches; "
            f"expected {', '.join(known[:-1])} or {known[-1]}"
        )
    if described.get("regions"):
        raise InputError(
            f"{run_dir}: found a model of kind {kind} with classes of reaches, which another network does not have; "
            "expected one without parameters.regions"
        )
    return described


def _travels(run_dir: Path, kind: object) -> bool:
    """Whether a kind of models says something of reaches it was not fitted on."""
    if registry.is_path(kind):
        load_workflow(run_dir / "config.yaml")  # which knows the folders of the user's modules
    elif kind not in registry.names("parameter_model"):
        return False
    return bool(registry.entry("parameter_model", str(kind)).facts.get("travels"))


def leaves_deviations(described: dict[str, Any]) -> bool:
    """Whether a model, see `fitted_model`, had deviations of single reaches, which do not travel."""
    return bool(registry.load("parameter_model", described["kind"]).deviates)


def transferred(run_dir: Path, network: RiverNetwork, reference: Float | None = None) -> dict[str, Float]:
    """Parameters that a finished run's model gives the reaches of another network, from their attributes alone.

    Attributes are standardised by the statistics of the network that the model was fitted on. Deviations of single
    reaches do not travel: a model of kind hybrid gives its trend.

    Args:
        run_dir: of the run.
        network: with the attributes that the model takes, and lengths.
        reference: (reach,) mean flow Q₀, m³/s; without it a celerity that depends on flow is that at mean flow alone.

    Returns:
        celerity (m/s), diffusivity (m²/s) and the scheme's parameters, (reach,) each; `flow_exponent` and
        `reference_flow` where celerity depends on flow and Q₀ is known.

    Raises:
        InputError: a run that is not done, a model that knows only the reaches it was fitted on, a network without
            lengths or without an attribute.
    """
    fitted = fitted_model(run_dir)
    if network.length is None:
        raise InputError("the network has no lengths; expected length_m, to turn celerity into travel times")
    config = workflow_of(run_dir)
    features = Features.from_list(fitted["features"])
    model, _ = make_choice_model(config, len(features.each), 0)
    by = features.apply(network.attributes, network.n_reaches)
    if fitted.get("prior") is not None:
        model, by = _about_prior(model, by, fitted["prior"], network)
    shared = model.layout.coefficients(np.array(fitted["shared"]))
    found = _among_lakes(config, model_parameters(model, by, shared, network), network)
    return {**found, **_delays(config, fitted, network), **law_elsewhere(fitted.get("flow"), reference)}


def _about_prior(
    model: ParameterModel, features: Float, told: dict[str, Any], network: RiverNetwork
) -> tuple[ParameterModel, Float]:
    """The model and the features of another network's reaches, about the same physical prior as in the run.

    Raises:
        InputError: another relation serves the other network: its level would be another one.
    """
    here = physical_prior(network.attributes, network.n_reaches)
    if (here.relation.name, here.flow) != (told["relation"], told["flow"]):
        raise InputError(
            f"found attributes for the physical prior {here.text()}; expected those for {told['text']}, as the run has"
        )
    reference = float(told["reference"])
    column = offsets(model, here.celerity, reference)
    return about_prior(model, reference, here.relation.sd), np.column_stack([features, column])


def _among_lakes(config: Workflow, found: dict[str, Float], network: RiverNetwork) -> dict[str, Float]:
    """Parameters with the prior residence times of another network's lakes, which have no celerity."""
    lakes = make_lakes(config, network)
    if lakes is None:
        return found
    channels = {name: np.where(lakes.apart, np.nan, value) for name, value in found.items()}
    return {**channels, RESIDENCE_TIME: lakes.time}


def _delays(config: Workflow, fitted: dict[str, Any], network: RiverNetwork) -> dict[str, Float]:
    """Parameters of the hillslope stage for another network's reaches, (reach,) each."""
    stage = fitted.get("hillslope")
    if stage is None:
        return {}
    if stage.get("regions"):
        raise InputError(
            "found a hillslope delay by classes of reaches, which another network does not have; expected one without "
            "parameters.hillslope.regions"
        )
    features = Features.from_list(stage.get("features", []))
    model = make_hillslope_model(config, len(features.each), 0)
    assert model is not None
    shared = model.layout.coefficients(torch.tensor(stage.get("shared", []), dtype=torch.float64))
    by = torch.from_numpy(features.apply(network.attributes, network.n_reaches))
    return {name: value.numpy() for name, value in model.parameters(shared, by).items()}


def strange_reaches(described: dict[str, Any], network: RiverNetwork) -> int:
    """How many reaches have an attribute whose logarithm lies `FAR` standard deviations from the mean of the fit.

    Args:
        described: the model, see `fitted_model`; network: with the attributes that it takes.
    """
    by = Features.from_list(described["features"]).apply(network.attributes, network.n_reaches)
    return int((np.abs(by) > FAR).any(axis=1).sum())


def model_parameters(
    model: ParameterModel, features: Float, shared: Coefficients[Float], network: RiverNetwork
) -> dict[str, Float]:
    """Parameters of all reaches without deviations of their own; `features` (reach, model.n_features)."""
    n = network.n_reaches
    by = torch.from_numpy(features)
    length = torch.from_numpy(np.array(network.length))
    at = shared.layout.coefficients(torch.from_numpy(shared.values))
    arguments = at, torch.zeros(model.n_free, n, dtype=torch.float64), by
    celerity, spreading = model.physical(*arguments)
    values = {"celerity": celerity}
    if model.scheme.says_diffusivity:
        values["diffusivity"] = model.scheme.diffusivity(celerity, spreading, length)
    values |= model.parameters(*arguments, length)
    return {name: value.numpy() for name, value in values.items()}
