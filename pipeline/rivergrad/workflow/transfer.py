"""A fitted parameter model on paper, and its application to the reaches of another network."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from rivercut.network import RiverNetwork
from rivergrad.errors import InputError
from rivergrad.estimate.features import Features
from rivergrad.estimate.model import ParameterModel
from rivergrad.workflow.load import load_workflow
from rivergrad.workflow.parametermodel import make_model

if TYPE_CHECKING:
    from rivergrad.workflow.estimation import Estimation

Float = NDArray[np.float64]


def describe_model(work: Estimation, shared: Float) -> dict[str, Any]:
    """The parameter model for run.json: enough to apply it to other reaches."""
    model = work.model
    return {
        "kind": model.kind,
        "features": work.features.as_list(),
        "hidden": model.hidden,
        "regions": model.n_regions,
        "shared": shared[: model.n_shared].tolist(),
    }


def transferred(run_dir: Path, network: RiverNetwork) -> dict[str, Float]:
    """Parameters that a finished run's model gives the reaches of another network, from their attributes alone.

    Attributes are standardised by the statistics of the network that the model was fitted on. Deviations of single
    reaches do not travel: a model of kind hybrid gives its trend.

    Args:
        run_dir: of the run.
        network: with the attributes that the model takes, and lengths.

    Returns:
        celerity (m/s), diffusivity (m²/s) and the scheme's parameters, (reach,) each.

    Raises:
        InputError: a run that is not done, a model that knows only the reaches it was fitted on, a network without
            lengths or without an attribute.
    """
    path = run_dir / "run.json"
    if not path.is_file():
        raise InputError(f"{run_dir}: found no run.json; expected the directory of a run that is done")
    described = json.loads(path.read_text(encoding="utf-8")).get("summary", {}).get("model")
    if described is None:
        raise InputError(f"{run_dir}: found no parameter model in run.json; expected a run that is done")
    if described["kind"] not in ("uniform", "attributes", "hybrid"):
        raise InputError(
            f"{run_dir}: found a model of kind {described['kind']}, which knows only its own reaches; "
            "expected uniform, attributes or hybrid"
        )
    if network.length is None:
        raise InputError("the network has no lengths; expected length_m, to turn celerity into travel times")
    features = Features.from_list(described["features"])
    model, _ = make_model(load_workflow(run_dir / "config.yaml"), features, None)
    return model_parameters(model, features, np.array(described["shared"]), network)


def model_parameters(
    model: ParameterModel, features: Features, shared: Float, network: RiverNetwork
) -> dict[str, Float]:
    """Parameters of all reaches without deviations of their own."""
    n = network.n_reaches
    by = torch.from_numpy(features.apply(network.attributes, n))
    length = torch.from_numpy(np.array(network.length))
    arguments = torch.from_numpy(shared), torch.zeros(model.n_free, n, dtype=torch.float64), by
    celerity, spreading = model.physical(*arguments)
    values = {"celerity": celerity, "diffusivity": model.scheme.diffusivity(celerity, spreading, length)}
    values |= model.parameters(*arguments, length)
    return {name: value.numpy() for name, value in values.items()}
