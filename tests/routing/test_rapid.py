"""Texas-Gulf: RAPID's own files and RAPID's own answer, all 67,313 reaches."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from forests import off
from numpy.typing import NDArray

from rivercut.network import RiverNetwork
from rivergrad.io import open_runoff, read_network, read_parameters, read_rapid_qout
from rivergrad.routing import Router, route, route_reference, schemes

ROUTING_STEP = 900.0
LIMIT = 2e-5  # RAPID computes in single precision; a repetition in double precision differs by 1.0e-5


@dataclass
class Texas:
    network: RiverNetwork
    runoff: torch.Tensor  # (8, reach) m³/s
    parameters: dict[str, torch.Tensor]
    forcing_step: float
    qout: NDArray[np.float64]  # (8, reach), by network position

    @property
    def options(self) -> dict[str, object]:
        return {
            "forcing_step": self.forcing_step,
            "routing_step": ROUTING_STEP,
            "convention": "rapid",
        }

    def basin(self, least: int, most: int) -> tuple[RiverNetwork, NDArray[np.int64]]:
        """The largest whole basin of `least` to `most` reaches."""
        sizes = np.bincount(self.network.basin)
        fitting = np.flatnonzero((sizes >= least) & (sizes <= most))
        members = np.flatnonzero(self.network.basin == fitting[np.argmax(sizes[fitting])])
        return self.network.subset(members), members


@pytest.fixture(scope="module")
def texas(data_dir: Path) -> Texas:
    folder = data_dir / "texas_gulf_rapid"
    if not folder.is_dir():
        pytest.skip(f"{folder} is not there")
    network = read_network(folder)
    source = open_runoff(folder / "m3_riv_bas_erai_t511_3hr_19800101.nc", network)
    ids, qout = read_rapid_qout(folder / "Qout_erai_t511_3hr_19800101.nc", folder / "riv_bas_id.csv")
    by_position = np.full((len(source.time), network.n_reaches), np.nan)
    by_position[:, network.positions(ids)] = qout
    assert np.isfinite(by_position).all()
    return Texas(
        network,
        torch.from_numpy(source.read(None, 0, len(source.time))),
        {n: torch.from_numpy(np.array(v)) for n, v in read_parameters(folder, ["k", "x"], network).items()},
        source.step,
        by_position,
    )


def test_the_files_are_what_they_are_known_to_be(texas: Texas) -> None:
    assert texas.network.n_reaches == 67313
    assert texas.runoff.shape == (8, 67313)
    assert texas.forcing_step == 10800


@pytest.mark.parametrize("engine", ["closure", "recurrence"])
def test_engines_reproduce_rapid(texas: Texas, engine: str) -> None:
    """In single precision, blocks chosen by the engine."""
    found = route(texas.network, texas.runoff.float(), texas.parameters, engine=engine, **texas.options)
    assert off(found, texas.qout) <= LIMIT


@pytest.mark.slow
@pytest.mark.parametrize("options", [{"block_reaches": 16}, {"engine": "recurrence"}])
def test_engines_reproduce_rapid_in_double_precision(texas: Texas, options: dict[str, Any]) -> None:
    """The closure in small blocks; in two chunks of time."""
    router = Router(texas.network, dtype=torch.float64, **options, **texas.options)
    prepared = router.prepare(texas.parameters, 8)
    first, state = router(texas.runoff[:3], prepared=prepared)
    second, _ = router(texas.runoff[3:], state=state, prepared=prepared)
    assert off(torch.cat([first, second]), texas.qout) <= LIMIT


def test_reference_reproduces_rapid_and_the_engines_the_reference(texas: Texas) -> None:
    """On one large basin, where the reference takes no time."""
    network, members = texas.basin(1000, 6000)
    runoff, p = texas.runoff[:, members], {n: v[members] for n, v in texas.parameters.items()}
    rapid = schemes.get("muskingum", "rapid")
    reference = route_reference(
        network.downstream, network.order, runoff, p, rapid, texas.forcing_step, ROUTING_STEP
    )
    assert off(reference, texas.qout[:, members]) <= LIMIT
    for engine in ("closure", "recurrence"):
        assert off(route(network, runoff, p, engine=engine, **texas.options), reference) <= 1e-10


def test_parameters_in_the_wrong_order_are_noticed(texas: Texas, data_dir: Path) -> None:
    """k and x go by rapid_connect, Qout by riv_bas_id: the two orders differ, and taking one for the other shows.

    That is what matching ids, not positions, is for; and the limit above is tight enough to catch it.
    """
    folder = data_dir / "texas_gulf_rapid"
    ids, qout = read_rapid_qout(folder / "Qout_erai_t511_3hr_19800101.nc", folder / "riv_bas_id.csv")
    assert set(ids) == set(texas.network.reach_id)
    assert (ids != texas.network.reach_id).mean() > 0.9
    network, members = texas.basin(1000, 6000)
    runoff = texas.runoff[:, members]
    right = route(network, runoff, {n: v[members] for n, v in texas.parameters.items()}, **texas.options)
    wrong = texas.network.positions(ids)  # the k at each row of riv_bas_id, read as if by rapid_connect
    confused = {**texas.parameters, "k": texas.parameters["k"][torch.from_numpy(wrong)]}
    mixed = route(network, runoff, {n: v[members] for n, v in confused.items()}, **texas.options)
    assert off(right, texas.qout[:, members]) <= LIMIT
    assert off(mixed, texas.qout[:, members]) > 1e-2
    assert off(right, qout[:, members]) > 1e-2  # and the discharge taken by position
