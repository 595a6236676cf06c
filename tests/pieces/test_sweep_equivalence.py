"""Any partition, any number of workers and any chunking in time give the same discharge, loss and gradient."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from numpy.typing import NDArray
from sweep_problems import (
    DAY,
    TOLERANCE,
    ArrayRunoff,
    Float,
    Problem,
    ask,
    cuts,
    doubtful,
    off,
    prepare,
    problem,
    same,
    small_problem,
)

from rivercut import graph
from rivercut.network import RiverNetwork
from rivercut.partition import Partition, partition
from rivergrad.cluster.executor import Executor, open_executor
from rivergrad.inference.loss import LossSpec
from rivergrad.io import open_runoff, read_network
from rivergrad.model.kinds import Attributes
from rivergrad.pieces.direct import Routing
from rivergrad.pieces.pieceread import piece_runoff
from rivergrad.pieces.simulate import simulate
from rivergrad.routing import schemes
from rivergrad.routing.pieces import make_pieces


@pytest.mark.parametrize(
    ("scheme", "dtype", "engine"),
    [
        ("muskingum", "float32", "closure"),
        ("muskingum", "float64", "closure"),
        ("hayami", "float64", "closure"),
        ("muskingum", "float32", "recurrence"),
        ("muskingum", "float64", "recurrence"),
        ("pure_lag", "float64", "recurrence"),
        ("nash_cascade", "float64", "recurrence"),
    ],
)
def test_small_serial(scheme: str, dtype: str, engine: str) -> None:
    one = small_problem(scheme)
    with open_executor(0) as executor:
        expected = ask(one, partition(one.network, 1), executor, dtype, engine)
        for cut in cuts(one.network, 60).values():
            same(ask(one, cut, executor, dtype, engine), expected, TOLERANCE[dtype])


@pytest.mark.parametrize(
    ("scheme", "dtype", "engine"),
    [
        ("muskingum", "float32", "recurrence"),
        ("muskingum", "float64", "recurrence"),
        ("hayami", "float64", "closure"),
        ("nash_cascade", "float64", "recurrence"),
    ],
)
def test_with_volume_errors_and_errors_of_observations(scheme: str, dtype: str, engine: str) -> None:
    one = small_problem(scheme)
    other = doubtful(one)
    with open_executor(0) as executor:
        whole = partition(one.network, 1)
        expected = ask(other, whole, executor, dtype, engine)
        plain = ask(one, whole, executor, dtype, engine)
        assert np.abs(expected.shared[one.shared.size :]).max() > 1e-3
        assert abs(expected.loss - plain.loss) > 1e-3
        # forward runs take runoff as it is given
        np.testing.assert_array_equal(expected.discharge, plain.discharge)
        for cut in cuts(one.network, 60).values():
            same(ask(other, cut, executor, dtype, engine), expected, TOLERANCE[dtype])


@pytest.mark.parametrize(("scheme", "engine"), [("hayami", "closure"), ("muskingum", "recurrence")])
def test_without_deviations(scheme: str, engine: str) -> None:
    """Pieces that no gauge hears have nothing to say at all, not even a penalty."""
    one = small_problem(scheme)
    one = replace(
        one,
        model=Attributes(**{f.name: getattr(one.model, f.name) for f in fields(one.model)}),
        free=np.zeros_like(one.free),
    )
    with open_executor(0) as executor:
        expected = ask(one, partition(one.network, 1), executor, "float64", engine)
        for cut in cuts(one.network, 20).values():
            found = ask(one, cut, executor, "float64", engine)
            assert not found.free.any()
            assert found.loss == pytest.approx(expected.loss, rel=1e-10)
            assert off(found.shared, expected.shared) < 1e-10


def test_engines_give_the_same_estimate() -> None:
    """Loss and gradients by the closure without cuts, by the recurrence with some."""
    one = small_problem()
    with open_executor(0) as executor:
        expected = ask(one, partition(one.network, 1), executor, "float64", "closure")
        cut = partition(one.network, 7, spread=True, block_reaches=60)
        same(ask(one, cut, executor, "float64", "recurrence"), expected, TOLERANCE["float64"])


@pytest.mark.parametrize("change", [lambda one: one, doubtful], ids=["plain", "doubtful"])
def test_the_gradient_is_that_of_the_loss(change: Callable[[Problem], Problem]) -> None:
    """Central differences of the loss under cuts: the same sweep without its backward half."""
    one = change(small_problem())
    cut = partition(one.network, 2, spread=True, block_reaches=60)
    with open_executor(0) as executor:
        answer = ask(one, cut, executor, "float64")
        rng = np.random.default_rng(0)
        for _ in range(3):
            toward = rng.standard_normal(one.free.shape)
            along = rng.standard_normal(one.shared.shape)
            h = 1e-4
            losses = []
            for sign in (1, -1):
                moved = Problem(
                    **{
                        **one.__dict__,
                        "free": one.free + sign * h * toward,
                        "shared": one.shared + sign * h * along,
                    }
                )
                losses.append(ask(moved, partition(one.network, 1), executor, "float64").loss)
            expected = float((answer.free * toward).sum() + (answer.shared * along).sum())
            assert (losses[0] - losses[1]) / (2 * h) == pytest.approx(expected, rel=1e-5)


@pytest.mark.slow
@pytest.mark.distributed
@pytest.mark.parametrize("change", [lambda one: one, doubtful], ids=["plain", "doubtful"])
def test_small_on_workers(
    tmp_path: Path, one_worker: Executor, two_workers: Executor, change: Callable[[Problem], Problem]
) -> None:
    """In double precision; the world below goes through workers in both."""
    one = change(small_problem(folder=tmp_path))
    with open_executor(0) as serial:
        expected = ask(one, partition(one.network, 1), serial, "float64")
    chosen = cuts(one.network, 150)
    for executor, names in (
        (one_worker, ("2 parts", "7 parts")),
        (two_workers, ("1 parts", "2 parts", "7 parts", "2 parts, basins cut")),
    ):
        for name in names:
            same(ask(one, chosen[name], executor, "float64"), expected, TOLERANCE["float64"])
    # chunks of a record, a few under way at once
    parameters = {"k": one.length / 0.8, "x": np.full(one.length.size, 0.2)}
    arguments = one.network, one.runoff, parameters, one.routing_step
    cut, chunks = chosen["2 parts, basins cut"], {"chunk_steps": 6, "dtype": "float64"}
    found = route_all(*arguments, cut=cut, executor=two_workers, **chunks)
    np.testing.assert_array_equal(found, route_all(*arguments, cut=cut, **chunks))


def test_an_optimiser_step_moves_every_partition_alike() -> None:
    one = small_problem()
    one = replace(one, free=np.zeros_like(one.free))
    moved = []
    for cut in (partition(one.network, 1), partition(one.network, 2, spread=True, block_reaches=60)):
        with open_executor(0) as executor:
            sweep = prepare(one, cut, executor, "float64", loss=LossSpec.parse("nse"), smoothing=0.1).sweep
            for _ in range(3):
                sweep.step(one.shared, one.windows)
            sweep.keep_best()
            state = sweep.collect(one.network.n_reaches)
            physical = sweep.physical(one.shared, one.network.n_reaches)
            moved.append((state, physical))
    for found, expected in zip(moved[1], moved[0], strict=True):
        assert set(found) == set(expected)
        for name, value in expected.items():
            assert off(found[name], value) < 1e-7, name
    state, physical = moved[0]
    assert np.abs(state["free"]).max() > 0.1
    np.testing.assert_array_equal(state["best"], state["free"])
    np.testing.assert_allclose(physical["k"], one.length / physical["celerity"], rtol=1e-12)


def test_ties_along_the_river_hold_across_cuts() -> None:
    """The loss changes by Σ (u − u downstream)² over all edges of the network, and the gradient by its gradient."""
    one = small_problem()
    weight = 0.3 / one.network.n_reaches
    tied = np.flatnonzero(one.network.downstream >= 0)
    drop = one.free[:, tied] - one.free[:, one.network.downstream[tied]]
    slope = np.zeros_like(one.free)
    for field in range(len(slope)):
        np.add.at(slope[field], tied, 2 * weight * drop[field])
        np.add.at(slope[field], one.network.downstream[tied], -2 * weight * drop[field])
    with open_executor(0) as executor:
        for name, cut in cuts(one.network, 60).items():
            with_ties, without = (ask(one, cut, executor, "float64", smoothing=s) for s in (0.3, 0.0))
            assert with_ties.loss - without.loss == pytest.approx(weight * (drop**2).sum(), rel=1e-9), name
            assert off(with_ties.free - without.free, slope) < 1e-9, name
            np.testing.assert_allclose(with_ties.shared, without.shared, rtol=1e-9)


# --- forward only, in chunks of time -------------------------------------------------------------------------


def route_all(
    network: RiverNetwork, runoff: Any, parameters: dict[str, Float], step: float, **options: Any
) -> Float:
    chunks: list[Any] = []
    starts: list[int] = []

    def sink(start: int, discharge: NDArray[Any]) -> None:
        starts.append(start)
        chunks.append(discharge)

    how = {name: options.pop(name) for name in ("engine", "device", "dtype") if name in options}
    simulate(
        network=network,
        runoff=runoff,
        parameters=parameters,
        how=Routing(schemes.get(options.pop("scheme", "muskingum")), step, **how),
        sink=sink,
        **options,
    )
    assert starts == np.cumsum([0, *(c.shape[0] for c in chunks)])[:-1].tolist()
    return np.concatenate(chunks)


@pytest.mark.parametrize("engine", ["closure", "recurrence"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_chunks_of_time_and_parts(dtype: str, engine: str) -> None:
    one = small_problem()
    parameters = {"k": one.length / 0.8, "x": np.full(one.length.size, 0.2)}
    arguments = one.network, one.runoff, parameters, one.routing_step
    exact = route_all(*arguments, engine="reference", dtype="float64")
    for name, cut in cuts(one.network, 60).items():
        for chunk in (8,) if name == "1 parts" else (None, 8):  # 5 chunks, and 1
            found = route_all(*arguments, cut=cut, chunk_steps=chunk, dtype=dtype, engine=engine)
            assert off(found, exact) <= TOLERANCE[dtype], (name, chunk)


def test_targets_come_in_the_order_asked_for() -> None:
    one = small_problem()
    parameters = {"k": one.length / 0.8, "x": np.full(one.length.size, 0.2)}
    arguments = one.network, one.runoff, parameters, one.routing_step
    everything = route_all(*arguments, dtype="float64")
    wanted = np.random.default_rng(0).permutation(one.network.n_reaches)[:50]
    cut = partition(one.network, 7, spread=True, block_reaches=60)
    found = route_all(*arguments, dtype="float64", targets=wanted, cut=cut)
    assert off(found, everything[:, wanted]) <= 1e-10


@pytest.fixture
def gridded(tmp_path: Path) -> Problem:
    """The small problem with depths on a coarse grid, of whose boxes every reach covers up to four."""
    one = small_problem()
    rng = np.random.default_rng(9)
    n = one.network.n_reaches
    place = {
        "lat": rng.uniform(2, 18, n),
        "lon": rng.uniform(2, 18, n),
        "area_m2": 1e9 * rng.uniform(1, 4, n),
    }
    downstream = one.network.downstream
    ids = one.network.reach_id
    network = RiverNetwork.from_ids(
        ids, np.where(downstream >= 0, ids[np.maximum(downstream, 0)], -1), one.length, place
    )
    points = np.arange(0.0, 21.0, 2.0)
    depth = rng.exponential(1.0, (one.steps, points.size, points.size)) ** 2
    xr.Dataset(
        {"ro": (("time", "lat", "lon"), depth, {"units": "mm/day"})},
        coords={"time": one.runoff.time, "lat": points, "lon": points},
    ).to_netcdf(tmp_path / "ro.nc", engine="netcdf4")
    source = open_runoff(tmp_path / "ro.nc", network, cell=1.0)
    return Problem(**{**one.__dict__, "network": network, "runoff": source})


@pytest.mark.parametrize("parts", [1, 2])
def test_cells_are_weighted_on_the_way(gridded: Problem, parts: int) -> None:
    """Where cells are fewer than reaches they are what is held; discharge, loss and gradients stay the same."""
    one = gridded
    runoff = one.runoff.read(None, 0, one.steps)
    by_reach = Problem(**{**one.__dict__, "runoff": ArrayRunoff(runoff)})
    cut = partition(one.network, parts, spread=True, block_reaches=150)
    for piece in make_pieces(one.network, partition(one.network, 1)):
        read, grid = piece_runoff(one.runoff, piece, "recurrence")
        assert grid is not None
        assert read(3, 5).shape == (2, grid.n_cells)
        assert grid.n_cells <= 11 * 11 < piece.reaches.size
        assert piece_runoff(one.runoff, piece, "closure")[1] is None
        assert piece_runoff(by_reach.runoff, piece, "recurrence")[1] is None
    with open_executor(0) as executor:
        found, expected = (ask(problem, cut, executor, "float64") for problem in (one, by_reach))
    same(found, expected, 1e-12)
    parameters = {"k": one.length / 0.8, "x": np.full(one.length.size, 0.2)}
    for engine in ("recurrence", "closure"):
        found, expected = (
            route_all(
                one.network,
                source,
                parameters,
                DAY / 4,
                cut=cut,
                chunk_steps=9,
                dtype="float64",
                engine=engine,
            )
            for source in (one.runoff, by_reach.runoff)
        )
        assert off(found, expected) <= 1e-12


# --- the world at half a degree ------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class World:
    network: RiverNetwork
    runoff: Any
    length: Float
    inflow: Float
    forced: Partition


@pytest.fixture(scope="module")
def ddm30(data_dir: Path) -> World:
    folder = data_dir / "global_ddm30"
    network = read_network(folder / "network.csv.gz")
    runoff = open_runoff(folder / "era5_runoff_19800101-10.nc", network, variable="ro", grid=True)
    assert network.length is not None
    forced = partition(network, 7, spread=True, block_reaches=600)
    largest = np.bincount(network.basin).argmax()
    parts_there = np.unique(forced.reach_part[network.basin == largest])
    assert parts_there.size >= 5  # the largest basin is cut many times
    return World(network, runoff, np.array(network.length), runoff.read(None, 0, runoff.time.size), forced)


def test_global_mean_inflow(ddm30: World) -> None:
    assert ddm30.inflow.shape == (10, 67420)
    assert ddm30.inflow.sum(axis=1).mean() == pytest.approx(1.208e6, rel=0.005)


def muskingum_sweep(
    network: RiverNetwork, runoff: Float, k: Float, x: float, ratio: int
) -> tuple[Float, float]:
    """Muskingum level by level and step by step: no engine of ours.

    Returns daily mean discharge (time, reach) in m³/s, and what the rivers hold at the end in m³, from the
    scheme's definition of storage, k (x inflow + (1 − x) outflow), of which the trapezoidal rule is the balance.
    """
    delta = DAY / ratio
    d = k * (1 - x) + delta / 2
    c0, c1, c2 = (delta / 2 - k * x) / d, (delta / 2 + k * x) / d, (k * (1 - x) - delta / 2) / d
    by_level = np.argsort(network.level, kind="stable")
    levels = np.split(by_level, np.cumsum(np.bincount(network.level))[:-1])
    n = network.n_reaches
    q, inflow = np.zeros(n), np.zeros(n)
    mean = np.zeros_like(runoff)
    for t in range(runoff.shape[0] * ratio):
        before, inflow = inflow, runoff[t // ratio].copy()
        for at in levels:
            q[at] = c0[at] * inflow[at] + c1[at] * before[at] + c2[at] * q[at]
            below = network.downstream[at]
            np.add.at(inflow, below[below >= 0], q[at][below >= 0])
        mean[t // ratio] += q / ratio
    # the trapezoidal rule counts the last step by half: add its other half
    held = k * (x * inflow + (1 - x) * q) + delta / 2 * (inflow - q)
    return mean, float(held.sum())


def test_mass_of_a_drained_network() -> None:
    one = small_problem()
    wet = np.array(one.runoff.values[:10])
    runoff = ArrayRunoff(np.concatenate([wet, np.zeros((150, wet.shape[1]))]))
    parameters = {"k": one.length / 0.8, "x": np.full(one.length.size, 0.2)}
    outlets = np.flatnonzero(one.network.downstream < 0)
    forced = partition(one.network, 7, spread=True, block_reaches=60)
    arguments = one.network, runoff, parameters, DAY / 4
    for cut, engine in ((partition(one.network, 1), "closure"), (forced, "closure"), (forced, "recurrence")):
        out = route_all(*arguments, targets=outlets, cut=cut, chunk_steps=32, engine=engine)
        assert float(out.sum()) == pytest.approx(float(wet.sum()), rel=1e-5)
        assert float(out[-1].sum()) < 1e-6 * float(wet.sum())


@pytest.mark.slow
def test_global_discharge_and_mass(ddm30: World) -> None:
    """All 67,420 reaches, S = 8, with and without cuts through the largest basins, in 1 and 5 chunks of time."""
    k = ddm30.length / 0.8
    x = np.full(k.size, 0.2)
    exact, held = muskingum_sweep(ddm30.network, ddm30.inflow, k, 0.2, 8)
    outlets = ddm30.network.downstream < 0
    arguments = ddm30.network, ddm30.runoff, {"k": k, "x": x}, DAY / 8
    entered = float(ddm30.inflow.sum()) * DAY
    for dtype, options in (
        ("float32", {"parts": 1, "engine": "closure"}),
        ("float32", {"cut": ddm30.forced, "chunk_steps": 2, "engine": "closure"}),
        ("float64", {"cut": ddm30.forced, "chunk_steps": 2, "engine": "closure"}),
        ("float32", {"parts": 1, "engine": "recurrence"}),
        ("float32", {"cut": ddm30.forced, "chunk_steps": 2, "engine": "recurrence"}),
        ("float64", {"cut": ddm30.forced, "chunk_steps": 2, "engine": "recurrence"}),
    ):
        found = route_all(*arguments, dtype=dtype, **options)
        assert off(found, exact) <= TOLERANCE[dtype], (dtype, options)
        left = float(found[:, outlets].sum(dtype=np.float64)) * DAY
        assert left + held == pytest.approx(entered, rel=1e-5)
        assert held > 0.1 * entered  # there is something to forget


@pytest.fixture(scope="module")
def global_problem(ddm30: World) -> Problem:
    rng = np.random.default_rng(5)
    size = graph.upstream_count(ddm30.network.downstream, ddm30.network.order)
    mean = graph.accumulate(ddm30.network.downstream, ddm30.network.order, ddm30.inflow.mean(axis=0))
    gauges = rng.choice(np.flatnonzero((size >= 8) & (mean > 10)), round(0.02 * size.size), replace=False)
    windows = ((0, 2, 10),)
    return problem(ddm30.network, ddm30.runoff, ddm30.length, gauges, mean[gauges], windows, DAY / 4)


@pytest.mark.slow
@pytest.mark.distributed
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_global_gradient(ddm30: World, global_problem: Problem, two_workers: Executor, dtype: str) -> None:
    one = global_problem
    whole = partition(one.network, 1)
    with open_executor(0) as executor:
        expected = ask(one, whole, executor, dtype)
    same(ask(one, ddm30.forced, two_workers, dtype), expected, TOLERANCE[dtype])
