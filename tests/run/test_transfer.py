"""A fitted model applied to other reaches: on the network it was fitted on, it is the run's map without deviations."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import xarray as xr

from rivergrad.io import read_network
from rivergrad.run.transfer import transferred


def test_the_trend_is_what_reaches_without_evidence_have(finished: Path) -> None:
    network = read_network(finished / "network.zarr")
    found = transferred(finished, network)
    with xr.open_zarr(finished / "parameters.zarr", consolidated=False) as data:
        of_run = {name: data[name].values for name in ("celerity", "diffusivity", "k", "x")}
        informed = data["informed"].values.astype(bool)
    assert set(found) == set(of_run)
    assert informed.any()
    assert not informed.all()
    for name, values in of_run.items():  # the deviation of a reach that no gauge saw has stayed 0
        np.testing.assert_allclose(found[name][~informed], values[~informed], rtol=1e-9, err_msg=name)
    assert np.abs(np.log(found["celerity"] / of_run["celerity"])[informed]).max() > 0.01
    assert np.std(np.log(found["celerity"])) > 0.1  # the trend says something


def test_reaches_are_known_by_their_attributes_not_their_places(finished: Path) -> None:
    network = read_network(finished / "network.zarr")
    whole = transferred(finished, network)
    # half the basins: statistics of their own would be others
    some = np.flatnonzero(np.isin(network.basin, np.unique(network.basin)[::2]))
    part = transferred(finished, network.subset(some))
    assert 0 < some.size < network.n_reaches
    for name, values in part.items():
        np.testing.assert_allclose(values, whole[name][some], rtol=1e-12, err_msg=name)
