"""Quick pictures of a finished run, as axes of matplotlib to go on with. The report has the finished ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd
import xarray as xr

from rivercut.network import RiverNetwork
from rivergrad.errors import InputError, ids_text


class Run(Protocol):
    """What is drawn of a run; `rivergrad.rundir.opened.Run` is one."""

    @property
    def folder(self) -> Path: ...
    @property
    def network(self) -> RiverNetwork: ...
    @property
    def parameters(self) -> pd.DataFrame: ...
    @property
    def metrics(self) -> pd.DataFrame: ...
    @property
    def hydrographs(self) -> xr.Dataset: ...


class Plots:
    """Pictures of a run; see `rivergrad.open_run`. Each method takes `axes` to draw on, new ones by default."""

    def __init__(self, run: Run) -> None:
        self._run = run

    def map(self, column: str = "celerity", *, axes: Any = None, log: bool = True) -> Any:
        """A value of every reach, on lines from reach to reach.

        Args:
            column: of `run.parameters`, such as `celerity` (m/s) or `identifiability`.
            axes: to draw on.
            log: whether colours are even in the logarithm; where a value is not above 0 they never are.

        Returns:
            Axes of matplotlib.

        Raises:
            InputError: no such column, or the network has no lat and lon.
        """
        from matplotlib.collections import LineCollection
        from matplotlib.colors import LogNorm, Normalize

        parameters, network = self._run.parameters, self._run.network
        if column not in parameters:
            known = ", ".join(map(str, parameters.columns))
            raise InputError(f"found no column {column}; expected one of {known}", where=self._run.folder)
        if not {"lat", "lon"} <= set(network.attributes):
            raise InputError("the network has no lat and lon; expected positions", where=self._run.folder)
        values = parameters[column].to_numpy(np.float64)
        here = np.stack([network.attributes["lon"], network.attributes["lat"]], axis=1).astype(np.float64)
        down = network.downstream
        there = np.where((down >= 0)[:, None], here[down], here)
        known_at = np.isfinite(values) & (np.abs(here[:, 0] - there[:, 0]) < 180)  # not around the globe
        norm = LogNorm if log and (values[known_at] > 0).all() else Normalize
        lines = LineCollection(np.stack([here, there], axis=1)[known_at], cmap="viridis", norm=norm())
        lines.set_array(values[known_at])
        axes = _axes(axes)
        axes.add_collection(lines)
        axes.autoscale()
        axes.set_aspect(1 / np.cos(np.deg2rad(np.nanmean(here[:, 1]))))
        axes.set(xlabel="longitude (°)", ylabel="latitude (°)", title=column.replace("_", " "))
        axes.figure.colorbar(lines, ax=axes, label=column)
        return axes

    def hydrograph(self, gauge: str, *, axes: Any = None) -> Any:
        """Observed discharge, the estimate and the best uniform celerity at a gauge, m³/s.

        Raises:
            InputError: no such gauge.
        """
        series = self._run.hydrographs
        names = [str(name) for name in series["gauge"].to_numpy()]
        if gauge not in names:
            raise InputError(
                f"found no gauge {gauge}; expected one of {ids_text(names)}", where=self._run.folder
            )
        one = series.isel(gauge=names.index(gauge))
        axes = _axes(axes)
        for name, style in (("observed", "k-"), ("uniform", "C1:"), ("estimate", "C0-")):
            axes.plot(one["time"], one[name], style, label=name, linewidth=1)
        axes.set(ylabel="discharge (m³/s)", title=gauge)
        axes.legend()
        return axes

    def skill(self, *, score: str = "nse", axes: Any = None) -> Any:
        """The share of gauges at or below each score (`nse`, `kge`) for every method, where it was tested hardest."""
        from rivergrad.rundir.reading import SPLITS, methods_of, score_column

        table = self._run.metrics
        split = next(name for name in reversed(SPLITS) if (table["split"] == name).any())
        part = table[table["split"] == split]
        axes = _axes(axes)
        for method in methods_of(table):
            values = np.sort(part[score_column(score, method)].dropna().to_numpy(np.float64))
            axes.step(values, (np.arange(values.size) + 1) / max(values.size, 1), where="post", label=method)
        axes.set(
            xlim=(-1, 1),
            ylim=(0, 1),
            xlabel=score.upper(),
            ylabel="share of gauges",
            title=split.replace("_", ", "),
        )
        axes.legend()
        return axes


def _axes(axes: Any) -> Any:
    if axes is not None:
        return axes
    from matplotlib import pyplot

    return pyplot.subplots()[1]
