"""A workflow that estimates how celerity depends on flow."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr
from small_river import REACHES, River, call, the_line

import rivergrad as rg
from rivergrad.pieces.meanflow import mean_flow

TRUE = 0.5


@pytest.fixture(scope="module")
def river(tmp_path_factory: pytest.TempPathFactory) -> River:
    """Observations that a celerity of 0.5 m/s at mean flow and m = 0.5 make."""
    one = River(tmp_path_factory.mktemp("flow") / "river").write()
    network = rg.read_network(one.folder / "n.csv")
    source = rg.open_runoff(one.folder / "r.nc", network)
    runoff = torch.from_numpy(np.array(source.read(None, 0, source.time.size)))
    k = torch.from_numpy(np.array(network.length)) / 0.5
    flow = torch.from_numpy(mean_flow(network, source, 10, 110))
    parameters = {"k": k, "x": torch.full((REACHES,), 0.2)}
    law = {"flow_exponent": TRUE, "reference_flow": flow}
    found = rg.route(network, runoff, parameters, forcing_step=86400, routing_step=21600, **law)
    with xr.open_dataset(one.folder / "o.nc") as old:
        new = old.load()
    at = network.positions(new["reach_id"].to_numpy())
    new["discharge"] = (("time", "gauge"), found[:, at].numpy(), {"units": "m3 s-1"})
    new.to_netcdf(one.folder / "o.nc")
    return one


@pytest.fixture(autouse=True)
def _there(river: River, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(river.folder)


def _run(river: River, name: str, more: dict[str, object], **sections: object) -> Path:
    path = river.workflow(output=name, parameters={"model": "uniform", "flow_exponent": more}, **sections)  # type: ignore[arg-type]
    code, said = call("run", path)
    assert code == 0, said
    return river.folder / name


def _exponent(run: Path) -> np.ndarray:
    with xr.open_zarr(run / "parameters.zarr") as found:
        assert (found["reference_flow"] > 0).all()
        return found["flow_exponent"].to_numpy()


GAUSS_NEWTON = {"method": "gauss_newton", "steps": 8}
ADAM = {"method": "adam", "steps": 30, "learning_rate": 0.1, "evaluate_every": 30}


def test_the_exponent_is_found_whatever_the_cut(river: River) -> None:
    whole = _run(river, "whole", {"sd": 0.3}, estimate=GAUSS_NEWTON)
    m = _exponent(whole)
    assert np.ptp(m) == 0
    assert m[0] == pytest.approx(TRUE, abs=0.03)
    parts = _run(river, "parts", {"sd": 0.3}, estimate=GAUSS_NEWTON, partition={"parts": 2})
    assert _exponent(parts)[0] == pytest.approx(m[0], abs=1e-4)


def test_adam_moves_the_exponent_and_none_keeps_the_prior(river: River) -> None:
    moved = _exponent(_run(river, "adam", {"sd": 0.3}, estimate=ADAM))
    assert moved[0] > 0.32
    kept = _run(river, "kept", {"estimate": "none"}, estimate=GAUSS_NEWTON)
    assert (_exponent(kept) == 0.3).all()


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"flow_exponent": {"prior": 0.9}}, "expected 0 <= lower < prior < upper <= 1"),
        ({"flow_exponent": {"bounds": [0.1, 1.5]}}, "expected 0 <= lower < prior < upper <= 1"),
        ({"flow_exponent": {"estimate": "regional"}}, "expected regions, or shared"),
        ({"flow_exponent": {"gradient_rounds": 9}}, "expected at most 4"),
    ],
)
def test_a_law_outside_its_range_is_one_line(
    river: River, parameters: dict[str, object], message: str
) -> None:
    code, said = call("validate", river.workflow(output="none", parameters=parameters))
    assert code == 2
    assert message in " ".join(the_line(said).split())


def test_mean_flow_is_a_feature_of_every_network(river: River) -> None:
    path = river.workflow(
        output="feature",
        parameters={"model": "attributes", "trend": ["slope", "mean_flow"], "flow_exponent": {}},
        estimate={"method": "gauss_newton", "steps": 3},
    )
    code, said = call("run", path)
    assert code == 0, said
    with xr.open_zarr(river.folder / "feature" / "parameters.zarr") as found:
        assert float(found["celerity"].std()) > 0
