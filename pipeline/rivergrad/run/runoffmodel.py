"""A learned runoff model as a run leaves it: its weights, what it takes, and its runoff where that is asked for."""

from __future__ import annotations

import logging
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from rivergrad.errors import InputError
from rivergrad.io import DischargeWriter
from rivergrad.io.discharge import RUNOFF_ATTRIBUTES
from rivergrad.io.weights import read_weights, write_weights
from rivergrad.model.layout import RUNOFF as RUNOFF_WEIGHTS
from rivergrad.model.layout import Coefficients
from rivergrad.pieces.learned import Scaling
from rivergrad.run.problem import Problem
from rivergrad.rundir.contents import RUNOFF, WEIGHTS
from rivergrad.runoff import FlatModule, RunoffSpec

log = logging.getLogger("rivergrad")

Float = NDArray[np.float64]


def save_runoff_model(run_dir: Path, work: Problem, shared: Coefficients[Float]) -> None:
    """Write runoff_model.safetensors (weights and scaling, by name) and runoff_model.json (what it takes)."""
    learned = work.learned
    assert learned is not None
    module = learned.spec.build()
    learned.scaling.apply(module)
    flat = FlatModule(module)
    flat.load(shared[RUNOFF_WEIGHTS])
    tensors = {name: value.detach().numpy() for name, value in module.state_dict().items()}
    write_weights(
        run_dir / WEIGHTS,
        tensors,
        {
            "model": learned.spec.model,
            "forcings": list(learned.spec.forcings),
            "attributes": list(learned.spec.attributes),
            "step_s": learned.spec.step,
            "options": dict(learned.spec.options),
            "scaling": {name: values.tolist() for name, values in asdict(learned.scaling).items()},
            "workflow": work.config.name,
        },
    )


def load_runoff_model(run_dir: Path) -> tuple[torch.nn.Module, RunoffSpec]:
    """The runoff model of a finished run, ready to be called, and what it takes.

    Raises:
        InputError: the run has none, or its weights do not fit the model.
    """
    module, spec, _ = saved_runoff_model(run_dir)
    return module, spec


def saved_runoff_model(run_dir: Path) -> tuple[torch.nn.Module, RunoffSpec, Scaling]:
    """See `load_runoff_model`; and what the model's forcings and attributes were standardised by."""
    tensors, told = read_weights(Path(run_dir) / WEIGHTS)
    try:
        spec = RunoffSpec(
            model=told["model"],
            forcings=tuple(told["forcings"]),
            attributes=tuple(told["attributes"]),
            step=float(told["step_s"]),
            options=told["options"],
        )
        scaling = Scaling(**{name: np.array(values, np.float64) for name, values in told["scaling"].items()})
    except (KeyError, TypeError) as error:
        raise InputError(
            f"{run_dir}: runoff_model.json lacks {error}; expected that of a finished run"
        ) from error
    module = spec.build()
    scaling.apply(module)
    state: dict[str, Any] = {name: torch.from_numpy(values) for name, values in tensors.items()}
    try:
        module.load_state_dict(state)
    except RuntimeError as error:
        first = str(error).strip().splitlines()[-1].strip()
        raise InputError(f"{run_dir}: the weights do not fit the model {spec.model}: {first}") from error
    return module, spec, scaling


def write_learned_runoff(run_dir: Path, work: Problem, shared: Coefficients[Float]) -> None:
    """Write runoff.zarr, the runoff of every reach by the learned model, where `runoff.write` asks for it.

    It is also what the discharge of every reach is routed from, where `report.discharge` asks for that.
    """
    section, inputs = work.config.runoff, work.case.inputs
    if section is None or not (section.write or work.config.report.discharge or work.config.report.state):
        return
    runoff = work.sweep.runoff(shared[RUNOFF_WEIGHTS], inputs.network.n_reaches)
    with DischargeWriter(
        run_dir / RUNOFF,
        inputs.network.reach_id,
        variable="runoff",
        variable_attributes=RUNOFF_ATTRIBUTES,
    ) as writer:
        writer.append(inputs.runoff.time, runoff)
    log.info("wrote the learned runoff to %s", RUNOFF)
