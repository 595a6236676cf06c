"""Runoff models by name or by a user's import path, made the same on every worker, and checked at first use."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rivergrad import registry
from rivergrad.errors import InputError, ids_text
from rivergrad.runoff.base import FORCING_UNITS, FORCINGS

MODELS = registry.names("runoff_model")
KEY = "runoff.model"


@dataclass(frozen=True)
class RunoffSpec:
    """Which runoff model, small enough to send to a worker.

    Attributes:
        model: `lstm`, `hbv`, `correction`, or a user's `package.module:Class`.
        forcings: names of the forcings it gets, in order.
        attributes: names of the attributes it gets, in order.
        step: forcing step, s.
        options: further arguments of its class: `hidden`, … of the built-in ones; all of a user's.
        seed: of its first weights, which are the same wherever it is built.
    """

    model: str
    forcings: tuple[str, ...] = FORCINGS
    attributes: tuple[str, ...] = ()
    step: float = 86_400.0
    options: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0

    @property
    def needs_given(self) -> bool:
        """Whether it is called with given runoff too."""
        return bool(getattr(model_class(self.model), "needs_given", False))

    def build(self) -> torch.nn.Module:
        """The module, its weights drawn from the seed; torch's own random numbers are left as they were.

        Raises:
            InputError: no such model, or its class does not take the options.
        """
        return load_runoff_model(self)


def load_runoff_model(spec: RunoffSpec) -> torch.nn.Module:
    """See `RunoffSpec.build`."""
    found = model_class(spec.model)
    options = dict(spec.options)
    if spec.model in MODELS:
        if spec.model == "hbv":
            if spec.forcings != FORCINGS:
                raise InputError(
                    f"expected the forcings {', '.join(FORCINGS)}, "
                    f"found {', '.join(spec.forcings) or 'none'}",
                    key=KEY,
                    found="hbv",
                )
            options["step"] = spec.step
        else:
            options["forcing_names"] = spec.forcings
        options["attribute_names"] = spec.attributes
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(spec.seed)
        try:
            made = found(**options)
        except InputError:
            raise
        except Exception as error:
            shown = ", ".join(f"{key}={value!r}" for key, value in spec.options.items()) or "no options"
            raise InputError(f"could not be made with {shown}: {error}", key=KEY, found=spec.model) from error
    if not isinstance(made, torch.nn.Module):
        raise InputError(
            f"expected a torch.nn.Module, found an object of {type(made).__name__}", key=KEY, found=spec.model
        )
    return made


def model_class(name: str) -> Any:
    """The class of a built-in model, or what a user's import path leads to.

    Raises:
        InputError: neither.
    """
    return registry.load("runoff_model", name)


def checked(found: Any, name: str) -> Any:
    """A class of torch modules: what the registry asks at first use.

    Raises:
        InputError: anything else.
    """
    if not (isinstance(found, type) and issubclass(found, torch.nn.Module)):
        what = f"class {found.__name__}" if isinstance(found, type) else type(found).__name__
        raise InputError(f"expected a subclass of torch.nn.Module, found {what}", key=KEY, found=name)
    return found


def check_inputs(
    forcings: Tensor,
    attributes: Tensor,
    spec: RunoffSpec,
    reach_ids: Sequence[int] | NDArray[np.int64],
) -> None:
    """Raise an InputError that names the variable and the reaches where a model would get what is no number.

    Args:
        forcings: (..., time, reach, variable); attributes: (reach, attribute), as the spec names them.
    """
    for what, values, names in (
        ("forcing", forcings, spec.forcings),
        ("attribute", attributes, spec.attributes),
    ):
        if values.shape[-1] != len(names) or values.shape[-2] != len(reach_ids):
            raise InputError(
                f"runoff {what}s: expected {len(names)} ({', '.join(names) or 'none'}) for {len(reach_ids)} reaches, "
                f"found shape {tuple(values.shape)}"
            )
        bad = ~torch.isfinite(values)
        for at, name in enumerate(names):
            if bool((mine := bad[..., at]).any()):
                unit = f" ({FORCING_UNITS[name]})" if name in FORCING_UNITS else ""
                raise InputError(
                    f"runoff {what} {name}{unit}: expected numbers, found "
                    f"missing or infinite values at reach ids {_ids(mine, reach_ids)}"
                )


def check_output(
    runoff: object, forcings: Tensor, name: str, reach_ids: Sequence[int] | NDArray[np.int64]
) -> Tensor:
    """What a model returned, if it is runoff.

    Args:
        runoff: what it returned.
        forcings: (..., time, reach, variable) that it was given.
        name: of the model, as in the workflow.
        reach_ids: (reach,).

    Raises:
        InputError: no tensor, another shape, NaN, infinite or negative values; with the ids of the reaches.
    """
    expected = tuple(forcings.shape[:-1])
    if not isinstance(runoff, Tensor):
        raise InputError(
            f"expected a tensor (..., time, reach), found {type(runoff).__name__}", key=KEY, found=name
        )
    if tuple(runoff.shape) != expected:
        raise InputError(
            f"expected runoff of shape {expected} (..., time, reach), found {tuple(runoff.shape)}",
            key=KEY,
            found=name,
        )
    with torch.no_grad():
        if bool((bad := ~torch.isfinite(runoff)).any()):
            raise InputError(
                f"expected numbers of mm per step, found NaN or infinity at reach ids {_ids(bad, reach_ids)}",
                key=KEY,
                found=name,
            )
        if bool((bad := runoff < 0).any()):
            raise InputError(
                f"expected at least 0 mm per step, found {float(runoff.min()):g} "
                f"at reach ids {_ids(bad, reach_ids)}",
                key=KEY,
                found=name,
            )
    return runoff


def _ids(bad: Tensor, reach_ids: Sequence[int] | NDArray[np.int64]) -> str:
    """Ids of the reaches (the last axis) with any bad value."""
    where = torch.nonzero(bad.reshape(-1, bad.shape[-1]).any(dim=0))[:, 0].tolist()
    return ids_text([int(reach_ids[i]) for i in where])
