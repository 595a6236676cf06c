"""A finished run as tables and series, for people who work on in Python."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd
import xarray as xr

from rivercut.network import RiverNetwork
from rivercut.store import read_network
from rivergrad.documents import read_document
from rivergrad.errors import InputError
from rivergrad.io.datasets import open_dataset
from rivergrad.rundir.contents import CONFIG, HYDROGRAPHS, INFO, METRICS, NETWORK, PARAMETERS
from rivergrad.rundir.plots import Plots
from rivergrad.rundir.reading import read_metrics, read_parameter_map


@dataclass(frozen=True)
class Run:
    """A run directory; what it holds is read when it is first asked for.

    Attributes:
        folder: the run directory.

    Example:
        >>> import rivergrad as rg
        >>> run = rg.open_run("runs/demo")
        >>> run.parameters["celerity"].median()
    """

    folder: Path

    @cached_property
    def config(self) -> dict[str, Any]:
        """The workflow with every default written out."""
        return read_document(self._there(CONFIG))

    @cached_property
    def network(self) -> RiverNetwork:
        """The river network of the run."""
        return read_network(self._there(NETWORK))

    @cached_property
    def parameters(self) -> pd.DataFrame:
        """Estimated parameters, a row a reach (index `reach_id`), SI: celerity in m/s, the scheme's own, and more."""
        values = read_parameter_map(self._there(PARAMETERS), self.network)
        return pd.DataFrame(values, index=pd.Index(self.network.reach_id, name="reach_id"))

    @cached_property
    def metrics(self) -> pd.DataFrame:
        """Scores, a row a gauge and split."""
        return read_metrics(self._there(METRICS))

    @cached_property
    def hydrographs(self) -> xr.Dataset:
        """Observed and simulated discharge (time, gauge), m³/s."""
        path = self._there(HYDROGRAPHS)
        with open_dataset(path) as dataset:
            return xr.decode_cf(dataset.load())

    @property
    def plot(self) -> Plots:
        """Quick pictures: `map(column)`, `hydrograph(gauge)`, `skill()`."""
        return Plots(self)

    def _there(self, name: str) -> Path:
        path = self.folder / name
        if not path.exists():
            raise InputError("is not there; expected the directory of a finished run", where=path)
        return path


def open_run(run_dir: str | Path) -> Run:
    """Open the directory of a run.

    Args:
        run_dir: the directory, as `run_workflow` returns it.

    Returns:
        An object with `parameters` and `metrics` (pandas), `hydrographs` (xarray, m³/s), `network` and `config`.

    Raises:
        InputError: there is no run in it; later, when a part is asked for that the run has not written yet.

    Example:
        >>> import rivergrad as rg
        >>> run = rg.open_run("runs/demo")
        >>> best = run.metrics.sort_values("nse").tail()
        >>> run.hydrographs["estimate"].sel(gauge=best["gauge"].iloc[-1]).to_series()
    """
    folder = Path(run_dir)
    if not (folder / INFO).is_file() or not (folder / CONFIG).is_file():
        raise InputError(f"holds no {INFO} and {CONFIG}; expected the directory of a run", where=folder)
    return Run(folder)
