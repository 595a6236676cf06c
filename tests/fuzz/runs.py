"""A finished run of the small case, and one that has learned runoff: made once, copied for each mutation."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from functools import cache
from pathlib import Path

import numpy as np
import xarray as xr
import yaml
from numpy.typing import NDArray
from tests.fuzz import arrays, inputs
from tests.fuzz.arrays import Model, Var, time_var
from tests.fuzz.readers import write_estimate
from tests.fuzz.runner import said

FORCINGS = ("precipitation", "temperature", "potential_evapotranspiration")
_FOLDERS: list[tempfile.TemporaryDirectory[str]] = []  # removed when the process ends

APPLY = ("apply", "run", "--network", "n.csv", "--output", "a.csv", "--write-runoff", "w.nc")


def apply(forcings: str = "f.nc", *more: str) -> tuple[str, ...]:
    """The arguments that apply the learned run to forcings."""
    return (*APPLY, "--forcings", forcings, *more)


def _new() -> Path:
    _FOLDERS.append(tempfile.TemporaryDirectory(prefix="fuzz-run-"))
    return Path(_FOLDERS[-1].name)


@cache
def finished() -> Path:
    """A folder with the small case and its finished run in `run`."""
    folder = _new()
    write_estimate(folder, "o.nc")
    arrays.write(arrays.observation_model(), folder / "o.nc", "nc")
    with contextlib.chdir(folder):
        said("estimate", "w.yaml")
    return folder


@cache
def other() -> Path:
    """As `finished`, of the same reaches and another estimate."""
    folder = _new()
    values = inputs.observed()
    write_estimate(folder, "o.nc", estimate={"steps": 1, "window": "20d", "uniform_grid": 5}, seed=9)
    arrays.write(arrays.observation_model(np.roll(values, 3, axis=0) + 5.0), folder / "o.nc", "nc")
    with contextlib.chdir(folder):
        said("estimate", "w.yaml")
    if np.array_equal(
        parameters_of(folder / "run")["celerity"], parameters_of(finished() / "run")["celerity"]
    ):
        raise RuntimeError("two runs of one estimate cannot be told apart")
    return folder


@cache
def learned() -> Path:
    """As `finished`, with a runoff model at its first weights in the place of given runoff, and w.nc by it."""
    from rivergrad.io.weights import write_weights
    from rivergrad.runoff import FORCINGS as NAMES
    from rivergrad.runoff import RunoffSpec

    folder = _new()
    shutil.copytree(finished(), folder, dirs_exist_ok=True)
    path = folder / "run" / "config.yaml"
    config = yaml.safe_load(path.read_text())
    config["runoff"] = {"kind": "learned", "model": "hbv", "forcings": "f.nc"}
    path.write_text(yaml.safe_dump(config))
    spec = RunoffSpec("hbv", forcings=NAMES)
    none: list[float] = []
    scaling = {
        "forcing_mean": [1.0] * 3,
        "forcing_sd": [1.0] * 3,
        "attribute_mean": none,
        "attribute_sd": none,
    }
    told = {
        "model": "hbv",
        "forcings": NAMES,
        "attributes": [],
        "options": {},
        "step_s": 86400.0,
        "scaling": scaling,
    }
    state = {name: value.numpy() for name, value in spec.build().state_dict().items()}
    write_weights(folder / "run" / "runoff_model.safetensors", state, told)
    arrays.write(forcing_model(), folder / "f.nc", "nc")
    with contextlib.chdir(folder):
        said(*apply())
    (folder / "f.nc").unlink()
    (folder / "a.csv").unlink()
    shutil.move(folder / "w.nc", folder / "right.nc")
    return folder


def place(source: Path, folder: Path) -> None:
    """Copy a folder's content into a mutation's."""
    shutil.copytree(source, folder, dirs_exist_ok=True, symlinks=True)


def forcing_values() -> dict[str, tuple[NDArray[np.float64], str]]:
    """(time, reach) rain, temperature and evaporation by name, with their units."""
    t, i = np.arange(inputs.DAYS)[:, None], np.arange(len(inputs.IDS))[None, :]
    return {
        "precipitation": (5.0 + (3 * t + i) % 7, "mm/day"),
        "temperature": (10.0 + t % 5 + i, "degC"),
        "potential_evapotranspiration": (1.0 + 0.0 * t + 0.25 * i, "mm/day"),
    }


def forcing_model() -> Model:
    """The forcings of the small case, each (time, reach)."""
    found = {
        name: Var(("time", "reach"), data, {"units": unit}) for name, (data, unit) in forcing_values().items()
    }
    return Model({"time": time_var(), "reach_id": Var(("reach",), inputs.IDS), **found})


def parameters_of(run: Path) -> dict[str, NDArray[np.float64]]:
    """Ids and estimated celerities of a run."""
    with xr.open_zarr(run / "parameters.zarr", consolidated=False) as found:
        return {
            name: np.asarray(found[name].values, np.float64) for name in ("reach_id", "celerity", "delay")
        }
