"""Quick pictures of a run: what is drawn, and what is said where it cannot be."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
import xarray as xr

from rivercut.network import RiverNetwork
from rivergrad.errors import InputError
from rivergrad.rundir.plots import Plots
from rivergrad.rundir.reading import METHODS, score_column

mpl.use("Agg")


def plots(**changes: Any) -> Plots:
    network = RiverNetwork.from_ids(
        [1, 2, 3], [3, 3, -1], attributes={"lat": [50.0, 51.0, 50.5], "lon": [179.0, -179.0, 179.5]}
    )
    times = pd.date_range("2001-01-01", periods=5)
    series = {name: (("time", "gauge"), np.ones((5, 1)) * i) for i, name in enumerate(("observed", *METHODS))}
    columns = {score_column("nse", method): [0.1 * i, 0.5] for i, method in enumerate(METHODS)}
    run: Any = SimpleNamespace(
        folder=Path("run"),
        network=network,
        parameters=pd.DataFrame({"celerity": [1.0, 2.0, 3.0]}, index=[1, 2, 3]),
        hydrographs=xr.Dataset(series, coords={"time": times, "gauge": ["01"]}),
        metrics=pd.DataFrame({"split": ["train", "time"], **columns}),
    )
    return Plots(SimpleNamespace(**{**vars(run), **changes}))  # type: ignore[arg-type]


def test_a_map_draws_each_reach_but_those_around_the_globe() -> None:
    (lines,) = plots().map().collections
    assert lines.get_array().tolist() == [1.0, 3.0]
    with pytest.raises(InputError, match="no column speed; expected one of celerity"):
        plots().map("speed")
    with pytest.raises(InputError, match="no lat and lon"):
        plots(network=RiverNetwork.from_ids([1, 2, 3], [3, 3, -1])).map()


def test_a_hydrograph_has_what_was_observed_and_computed() -> None:
    lines = plots().hydrograph("01").get_lines()
    assert [line.get_label() for line in lines] == ["observed", "uniform", "estimate"]
    assert [line.get_ydata()[0] for line in lines] == [0.0, 3.0, 4.0]
    with pytest.raises(InputError, match="no gauge 1; expected one of 01"):
        plots().hydrograph("1")


def test_skill_is_of_the_hardest_split() -> None:
    axes = plots().skill()
    assert axes.get_title() == "time"
    assert [line.get_xdata().tolist() for line in axes.get_lines()] == [[0.5]] * 4
