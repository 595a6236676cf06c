"""The hillslope response that options and a parameter file ask for, and its parameters per reach."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from rivercut.network import RiverNetwork
from rivergrad.errors import InputError, ids_text
from rivergrad.io.datasets import kind_of, open_dataset
from rivergrad.io.parameters import STORE, names_in, read_parameters
from rivergrad.routing import hillslope as hillslopes

if TYPE_CHECKING:
    from rivergrad.routing.hillslope import Hillslope

Float = NDArray[np.float64]

ATTRIBUTE = "hillslope"
"""Name of the response, among the global attributes of parameters that a run wrote."""


def read_hillslope(
    path: str | Path | None,
    network: RiverNetwork,
    *,
    name: str | None = None,
    delay: float | None = None,
    shape: float | None = None,
) -> tuple[Hillslope | None, dict[str, Float], list[str]]:
    """The response, its parameters for the reaches of a network, and what is to be said of them.

    Args:
        path: parameters per reach, see `read_parameters`; their columns `hillslope_delay` and `hillslope_shape` are
            taken where no number is given. None where there are none.
        network: whose reaches.
        name: of the response; None takes what a run that wrote `path` used, `none` elsewhere.
        delay, shape: the same for all reaches, s and 1.

    Raises:
        InputError: no such response, no delay for it, a delay without a response, or a number it can't take.
    """
    there = set() if path is None else names_in(path) & set(hillslopes.NAMES)
    numbers = {hillslopes.DELAY: delay, hillslopes.SHAPE: shape}
    given = {key: value for key, value in numbers.items() if value is not None}
    notes = []
    if name is None and there and path is not None and (name := _written(path)) is not None:
        notes.append(f"{path}: runoff passes the hillslope {name} of its run")
    response = None if name in (None, hillslopes.NONE) else hillslopes.get(name)
    if response is None:
        if given:
            option = "--" + next(iter(given)).replace("_", "-")
            raise InputError(
                f"found {option} without --hillslope; expected linear_storage, nash or gamma with it"
            )
        if name is None and there:
            notes.append(f"{path}: {ids_text(sorted(there))} is not used without --hillslope")
        return None, {}, notes
    values: dict[str, Float] = {}
    for one in response.parameter_names:
        if one in given:
            values[one] = np.full(network.n_reaches, given.pop(one))
        elif one in there and path is not None:
            values |= read_parameters(path, [one], network)
        elif one == hillslopes.DELAY:
            raise InputError(
                f"hillslope {response.name}: found no delay; expected --hillslope-delay, or a column {one} in "
                f"{path or '--parameters'}"
            )
    if given:
        raise InputError(f"found --hillslope-shape with hillslope {response.name}; expected none with it")
    _require_admissible(response, values, network, path)
    return response, values, notes


def _written(path: str | Path) -> str | None:
    """The response that a run used, by the attributes of what it wrote."""
    path = Path(path)
    if path.is_dir() and (path / STORE).is_dir():
        path = path / STORE
    if kind_of(path) in ("csv", "parquet"):
        return None
    with open_dataset(path) as dataset:
        found = dataset.attrs.get(ATTRIBUTE)
    return None if found is None else str(found)


def _require_admissible(
    response: Hillslope, values: dict[str, Float], network: RiverNetwork, path: str | Path | None
) -> None:
    import torch

    tensors = {name: torch.from_numpy(np.array(value)) for name, value in values.items()}
    try:
        response.check(tensors, network.reach_id)
    except InputError as error:
        raise InputError(str(error) if path is None else f"{path}: {error}") from None
