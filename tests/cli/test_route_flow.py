"""`rivergrad route` and `simulate` with a celerity that depends on flow."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from small_river import River
from typer.testing import CliRunner, Result

import rivergrad as rg
from rivergrad.cli import app
from rivergrad.pieces.meanflow import mean_flow


@pytest.fixture
def river(tmp_path: Path) -> River:
    return River(tmp_path / "river").write()


def _route(river: River, name: str, *more: str, runoff: str = "r.nc") -> Result:
    folder = river.folder
    given = ["route", "--network", str(folder / "n.csv"), "--runoff", str(folder / runoff)]
    given += ["--scheme", "muskingum", "--routing-step", "4h", "--output", str(folder / name)]
    return CliRunner().invoke(app, [*given, *more])


def _discharge(river: River, name: str) -> np.ndarray:
    with xr.open_dataset(river.folder / name) as found:
        return found["discharge"].to_numpy()


def _table(river: River, **columns: float) -> Path:
    table = pd.DataFrame({"reach_id": pd.read_csv(river.folder / "n.csv")["reach_id"], **columns})
    table.to_csv(river.folder / "p.csv", index=False)
    return river.folder / "p.csv"


def test_route_gives_what_the_router_gives_in_parts_and_chunks_too(river: River) -> None:
    network = rg.read_network(river.folder / "n.csv")
    source = rg.open_runoff(river.folder / "r.nc", network)
    runoff = source.read(None, 0, source.time.size)
    flow = mean_flow(network, source)
    upstream = np.zeros(network.n_reaches)
    for i in network.order:
        upstream[i] += runoff[:, i].mean()
        if network.downstream[i] >= 0:
            upstream[network.downstream[i]] += upstream[i]
    assert np.allclose(flow, upstream)
    p = _table(river, k=14400.0, x=0.1)
    whole = _route(river, "q.nc", "--parameters", str(p), "--flow-exponent", "0.3")
    assert whole.exit_code == 0, whole.output
    assert "celerity depends on flow: exponent 0.3" in whole.output
    assert "reference flow: mean runoff of the record" in whole.output
    import torch

    n = network.n_reaches
    parameters = {"k": torch.full((n,), 14400.0), "x": torch.full((n,), 0.1)}
    law = {"flow_exponent": 0.3, "reference_flow": torch.from_numpy(flow)}
    expected = rg.route(
        network, torch.from_numpy(runoff).float(), parameters, forcing_step=86400, routing_step=14400, **law
    )
    assert np.allclose(_discharge(river, "q.nc"), expected.numpy(), rtol=1e-5)
    parts = _route(
        river, "c.nc", "--parameters", str(p), "--flow-exponent", "0.3", "--parts", "3", "--chunk-steps", "17"
    )
    assert parts.exit_code == 0, parts.output
    assert np.allclose(_discharge(river, "c.nc"), _discharge(river, "q.nc"), rtol=1e-5)


def test_rounds_are_chosen_or_said(river: River) -> None:
    p = str(_table(river, k=43200.0, x=0.1))
    given = ("--parameters", p, "--flow-exponent", "0.3", "--flow-rounds")
    done = _route(river, "auto.nc", *given, "auto")
    assert done.exit_code == 0, done.output
    assert "celerity by flow: " in done.output
    number = int(done.output.split("celerity by flow: ")[1].split()[0])
    for rounds, name in ((number, "same.nc"), (30, "far.nc")):
        assert _route(river, name, *given, str(rounds)).exit_code == 0
    auto, far = _discharge(river, "auto.nc"), _discharge(river, "far.nc")
    assert np.array_equal(auto, _discharge(river, "same.nc"))
    assert (np.abs(auto - far).sum(axis=0) / far.sum(axis=0)).max() < 0.011  # 1 %, in single precision
    for wrong in ("0", "51", "many", "2.5"):
        refused = _route(river, "no.nc", *given, wrong)
        assert refused.exit_code == 2
        assert f"--flow-rounds {wrong}: expected 1 to 50, or auto" in " ".join(refused.output.split())


def test_the_law_is_read_from_parameters_and_zero_is_none(river: River) -> None:
    p = _table(river, k=14400.0, x=0.1, flow_exponent=0.4, reference_flow=2.0)
    assert _route(river, "law.nc", "--parameters", str(p)).exit_code == 0
    assert _route(river, "none.nc", "--parameters", str(p), "--flow-exponent", "0").exit_code == 0
    p = _table(river, k=14400.0, x=0.1)
    assert _route(river, "plain.nc", "--parameters", str(p)).exit_code == 0
    assert np.array_equal(_discharge(river, "none.nc"), _discharge(river, "plain.nc"))
    assert not np.allclose(_discharge(river, "law.nc"), _discharge(river, "plain.nc"), rtol=1e-3)


@pytest.mark.parametrize(
    ("columns", "more", "message"),
    [
        (
            {"flow_exponent": 1.5, "reference_flow": 1.0},
            (),
            "p.csv: flow_exponent: expected 0 to 1, found 1.5",
        ),
        (
            {"flow_exponent": -0.1, "reference_flow": 1.0},
            (),
            "p.csv: flow_exponent: expected 0 to 1, found -0.1",
        ),
        (
            {"flow_exponent": math.nan, "reference_flow": 1.0},
            (),
            "parameter 'flow_exponent' has no value for",
        ),
        ({"flow_exponent": 0.3, "reference_flow": 0.0}, (), "reference_flow: expected above 0 m3/s, found 0"),
        ({"flow_exponent": 0.3}, (), "found flow_exponent without reference_flow"),
        ({}, ("--flow-exponent", "-0.2"), "--flow-exponent -0.2: expected 0 to 1"),
        ({}, ("--flow-exponent", "nan"), "--flow-exponent nan: expected 0 to 1"),
        (
            {"hillslope_delay": -5.0},
            ("--hillslope", "nash"),
            "p.csv: parameter hillslope_delay: expected 0 to",
        ),
        (
            {},
            ("--hillslope", "nash", "--hillslope-delay", "-2d"),
            "--hillslope-delay: found '-2d'; expected a dur",
        ),
        ({"residence_time": -5.0}, (), "p.csv: parameter residence_time is -5 for the reaches"),
        ({}, ("--flow-exponent", "0.3", "--engine", "closure"), "the engine closure has one response"),
    ],
)
def test_bad_laws_are_one_line(
    river: River, columns: dict[str, float], more: tuple[str, ...], message: str
) -> None:
    p = _table(river, k=14400.0, x=0.1, **columns)
    found = _route(river, "q.nc", "--parameters", str(p), *more)
    assert found.exit_code == 2, found.output
    assert message in " ".join(found.output.split())
    assert not (river.folder / "q.nc").exists()


def test_a_record_goes_on_from_its_state(river: River) -> None:
    p = _table(river, k=14400.0, x=0.1, flow_exponent=0.4, reference_flow=2.0)
    given = ("--parameters", str(p), "--dtype", "float64")
    assert _route(river, "all.nc", *given).exit_code == 0
    with xr.open_dataset(river.folder / "r.nc") as whole:
        first, second = whole.isel(time=slice(0, 50)).load(), whole.isel(time=slice(50, None)).load()
    state = str(river.folder / "s.nc")
    first.to_netcdf(river.folder / "r1.nc")
    done = _route(river, "one.nc", *given, "--state-out", state, runoff="r1.nc")
    assert done.exit_code == 0, done.output
    second.to_netcdf(river.folder / "r2.nc")
    done = _route(river, "two.nc", *given, "--state-in", state, runoff="r2.nc")
    assert done.exit_code == 0, done.output
    both = np.concatenate([_discharge(river, "one.nc"), _discharge(river, "two.nc")])
    assert np.allclose(both, _discharge(river, "all.nc"), rtol=1e-12)
