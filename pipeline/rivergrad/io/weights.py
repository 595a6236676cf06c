"""Weights of a model: safetensors beside a JSON that says what they are of. Nothing in them is ever executed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from rivergrad.errors import InputError
from rivergrad.files import json_of
from rivergrad.io.atomic import atomic_path

SUFFIX = ".safetensors"


def write_weights(path: Path, tensors: Mapping[str, NDArray[Any]], description: Mapping[str, Any]) -> None:
    """Write named arrays to `path` (.safetensors) and what they are of beside it (.json), each whole or not at all.

    Raises:
        InputError: a weight that is not finite.
    """
    _refuse_not_finite(path, tensors)
    with atomic_path(path) as temporary:
        save_file({name: np.ascontiguousarray(values) for name, values in tensors.items()}, str(temporary))
    with atomic_path(path.with_suffix(".json")) as temporary:
        temporary.write_text(json.dumps(description, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def read_weights(path: Path) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """What `write_weights` wrote.

    Raises:
        InputError: a file that is not there or damaged, or a weight that is not finite.
    """
    beside = path.with_suffix(".json")
    for one in (path, beside):
        if not one.is_file():
            raise InputError(
                f"{one}: no such file; expected the weights of a runoff model and their description"
            )
    try:
        tensors = load_file(str(path))
        description = json_of(beside)
    except InputError:
        raise
    except (SafetensorError, ValueError) as error:
        raise InputError(
            f"{path}: cannot be read as safetensors with JSON, is it damaged? ({error})"
        ) from error
    _refuse_not_finite(path, tensors)
    return tensors, description


def _refuse_not_finite(path: Path, tensors: Mapping[str, NDArray[Any]]) -> None:
    for name, values in tensors.items():
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            raise InputError(f"{path}: the weights '{name}' are not finite; expected finite numbers")
