"""An estimation in the middle of its way on a small network, and the same under any partition."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rivercut import graph
from rivercut.network import RiverNetwork
from rivercut.partition import Partition, partition
from rivergrad.cluster.executor import Executor
from rivergrad.inference.loss import LossSpec, gauge_statistics
from rivergrad.io import open_runoff, write_runoff
from rivergrad.model.bounds import Bounded
from rivergrad.model.kinds import Hybrid
from rivergrad.model.layout import RUNOFF, TREND, Layout
from rivergrad.model.parametermodel import ParameterModel
from rivergrad.model.volume import VolumeModel, increment_areas
from rivergrad.pieces.parameters import Given
from rivergrad.pieces.pieceread import piece_runoff
from rivergrad.pieces.setup import FitSetup, PieceSetup
from rivergrad.pieces.simulate import targets_of
from rivergrad.pieces.sweep import Sweep
from rivergrad.routing import choose_engine, schemes
from rivergrad.routing.pieces import Piece, make_pieces
from rivergrad.run.learnedrunoff import LearnedRunoff

DAY = 86400.0
TOLERANCE = {"float32": 1e-5, "float64": 1e-10}
Float = NDArray[np.float64]
MIXED = LossSpec.parse({"nse": 0.8, "kge": 0.1, "log_nse": 0.1})


@dataclass(frozen=True)
class ArrayRunoff:
    """Runoff from memory, selectable as a source on disk is."""

    values: Float
    step: float = DAY

    @property
    def time(self) -> NDArray[np.datetime64]:
        return np.datetime64("2000-01-01", "ns") + np.arange(self.values.shape[0]) * np.timedelta64(1, "D")

    def read(self, reach_positions: NDArray[np.int64] | None, start: int, stop: int) -> Float:
        chosen = self.values[start:stop]
        return np.array(chosen if reach_positions is None else chosen[:, reach_positions])

    def select(self, reach_positions: NDArray[np.int64]) -> ArrayRunoff:
        return ArrayRunoff(np.array(self.values[:, reach_positions]), self.step)


@dataclass(frozen=True, eq=False)
class Problem:
    """An estimation in the middle of its way: deviations not at zero, gauges with gaps.

    `error` is that of the observations, `volume` the volume error of the runoff and `learned` a model of it, whose
    numbers end `shared`.
    """

    network: RiverNetwork
    runoff: Any
    gauges: NDArray[np.int64]
    observed: NDArray[np.float32]
    features: Float
    length: Float
    free: Float
    model: ParameterModel
    shared: Float
    windows: tuple[tuple[int, int, int], ...]
    routing_step: float
    error: NDArray[np.float32] | None = None
    volume: VolumeModel | None = None
    learned: LearnedRunoff | None = None

    @property
    def steps(self) -> int:
        return int(self.runoff.time.size)

    @property
    def layout(self) -> Layout:
        found = self.model.layout
        for more in (self.volume, self.learned):
            found = found if more is None else found.join(more.layout)
        return found


def problem(
    network: RiverNetwork,
    runoff: Any,
    length: Float,
    gauges: NDArray[np.int64],
    mean_flow: Float,
    windows: tuple[tuple[int, int, int], ...],
    routing_step: float,
    scheme: str = "muskingum",
) -> Problem:
    rng = np.random.default_rng(11)
    chosen = schemes.get(scheme)
    spreading = None
    if chosen.spreading is not None:
        lower, upper = chosen.spreading.lower, chosen.spreading.upper
        spreading = Bounded(lower, upper, lower > 0)
    model = Hybrid(chosen, Bounded(0.05, 5.0, True), spreading, 2)
    shared = model.start(0.8, None if chosen.spreading is None else chosen.spreading.default)
    shared = shared.replace({TREND: [0.2, -0.1]}).values
    time = runoff.time.size
    observed = mean_flow * rng.uniform(0.3, 1.5, (time, gauges.size))
    observed[rng.random(observed.shape) < 0.2] = np.nan
    n = network.n_reaches
    return Problem(
        network=network,
        runoff=runoff,
        gauges=gauges,
        observed=observed.astype(np.float32),
        features=rng.standard_normal((n, 2)),
        length=length,
        free=0.3 * rng.standard_normal((model.n_free, n)),
        model=model,
        shared=shared,
        windows=windows,
        routing_step=routing_step,
    )


@dataclass(frozen=True)
class Answer:
    discharge: Float
    loss: float
    shared: Float
    free: Float


def doubtful(one: Problem) -> Problem:
    """The same with volume errors of the runoff, halfway estimated, and errors of the observations, partly known."""
    rng = np.random.default_rng(17)
    error = (0.3 * one.observed * rng.uniform(0.2, 2.0, one.observed.shape)).astype(np.float32)
    error[rng.random(error.shape) < 0.3] = np.nan
    volume = VolumeModel(one.gauges.size, first=6, last=40, knots=3, sd=0.3)
    shared = np.concatenate([one.shared, 0.3 * rng.standard_normal(volume.layout.size)])
    return replace(one, error=error, volume=volume, shared=shared)


@dataclass(frozen=True, eq=False)
class Estimate:
    """A problem on the pieces of a partition, at its deviations.

    Attributes:
        columns: gauges of each piece; order: of their columns side by side, to put them in the gauges' order.
    """

    problem: Problem
    sweep: Sweep
    pieces: list[Piece]
    columns: list[NDArray[np.int64]]
    order: NDArray[np.int64]

    def join(self, values: list[Float]) -> Float:
        """The pieces' arrays (…, gauge) as one."""
        return np.concatenate(values, axis=-1)[..., self.order]

    def split(self, values: Float) -> list[Float]:
        """Arrays (…, gauge) by piece."""
        return [np.ascontiguousarray(values[..., at]) for at in self.columns]


def prepare(
    one: Problem,
    cut: Partition,
    executor: Executor,
    dtype: str,
    engine: str = "auto",
    loss: LossSpec = MIXED,
    smoothing: float = 0.2,
    device: str = "cpu",
    room: int | None = None,
) -> Estimate:
    """Set a problem up under a partition."""
    pieces = make_pieces(one.network, cut)
    mine, order = targets_of(pieces, one.gauges, one.network.n_reaches)
    columns = np.split(np.argsort(order), np.cumsum([local.size for local in mine])[:-1])
    engine, _ = choose_engine(engine, one.model.scheme, device)
    setups = []
    for piece, local in zip(pieces, mine, strict=True):
        read, grid = piece_runoff(
            one.runoff, piece, engine if one.volume is None and one.learned is None else "closure"
        )
        setups.append(
            PieceSetup(
                piece=piece,
                scheme=one.model.scheme,
                forcing_step=one.runoff.step,
                routing_step=one.routing_step,
                targets=local,
                steps=one.steps,
                read=read,
                dtype=dtype,
                device=device,
                engine=engine,
                grid=grid,
                room=room,
            )
        )
    sweep = Sweep(executor, setups)
    sweep.load()
    statistics = gauge_statistics(one.observed, np.ones(one.gauges.size), one.error)
    area = increment_areas(one.network, one.gauges)
    sweep.prepare_fit(
        [
            FitSetup(
                model=one.model,
                layout=one.layout,
                features=one.features[piece.reaches],
                length=np.array(one.length[piece.reaches]),
                observed=np.ascontiguousarray(one.observed[:, at]),
                loss=loss,
                statistics=statistics.select(at),
                shrinkage=0.1 / one.network.n_reaches,
                rate=0.05,
                error=None if one.error is None else np.ascontiguousarray(one.error[:, at]),
                volume=one.volume,
                area=None if one.volume is None else area[piece.reaches],
                smoothing=smoothing / one.network.n_reaches,
                runoff=None if one.learned is None else one.learned.setup(piece.reaches),
            )
            for piece, at in zip(pieces, columns, strict=True)
        ]
    )
    state = sweep.collect(one.network.n_reaches) | {"free": one.free}
    sweep.restore(state, 0)
    return Estimate(one, sweep, pieces, columns, order)


def ask(
    one: Problem,
    cut: Partition,
    executor: Executor,
    dtype: str,
    engine: str = "auto",
    smoothing: float = 0.2,
    device: str = "cpu",
    room: int | None = None,
) -> Answer:
    """Loss and gradients of one step, and discharge at the gauges, under a partition."""
    made = prepare(one, cut, executor, dtype, engine, smoothing=smoothing, device=device, room=room)
    sweep = made.sweep
    loss, shared, free = sweep.gradient(one.shared, one.windows, one.network.n_reaches)
    weights = one.layout.coefficients(one.shared).get(RUNOFF)
    given = Given("estimate", shared=one.shared, runoff=weights)
    discharge = sweep.simulate([given] * len(made.pieces), 0, one.steps)
    return Answer(discharge=made.join(discharge), loss=loss, shared=shared, free=free)


def off(found: Any, expected: Any) -> float:
    found, expected = np.asarray(found, np.float64), np.asarray(expected, np.float64)
    assert found.shape == expected.shape
    assert np.isfinite(found).all()
    size = float(np.linalg.norm(expected))
    assert size > 0
    return float(np.linalg.norm(found - expected)) / size


def same(found: Answer, expected: Answer, tolerance: float) -> None:
    for name in ("discharge", "loss", "shared", "free"):
        distance = off(getattr(found, name), getattr(expected, name))
        assert distance <= tolerance, f"{name}: relative L2 distance {distance:.2e}, expected {tolerance:g}"


def small_network(n: int = 300) -> tuple[RiverNetwork, Float]:
    """Reaches in a few long basins."""
    rng = np.random.default_rng(3)
    down = np.array([min(i + 1 + int(rng.integers(5)), n) for i in range(n)])
    down[(rng.random(n) < 0.02) | (down == n)] = -1
    new = rng.permutation(n)
    shuffled = np.full(n, -1)
    shuffled[new] = np.where(down >= 0, new[np.maximum(down, 0)], -1)
    ids = 5000 - 3 * np.arange(n)
    length = rng.uniform(2e3, 4e4, n)
    return RiverNetwork.from_ids(
        ids, np.where(shuffled >= 0, ids[np.maximum(shuffled, 0)], -1), length
    ), length


def small_problem(scheme: str = "muskingum", folder: Path | None = None, n: int = 300) -> Problem:
    """With runoff in memory, or in a file for workers to read."""
    network, length = small_network(n)
    rng = np.random.default_rng(7)
    runoff = rng.exponential(1.0, (40, network.n_reaches)) ** 2 * (rng.random((40, network.n_reaches)) < 0.6)
    size = graph.upstream_count(network.downstream, network.order)
    gauges = rng.permutation(np.argsort(size)[-n // 5 :])[: n // 15]
    windows = ((0, 6, 26), (14, 20, 40))
    source: Any = ArrayRunoff(runoff)
    if folder is not None:
        write_runoff(folder / "runoff.nc", network.reach_id, source.time, runoff)
        source = open_runoff(folder / "runoff.nc", network)
    return problem(network, source, length, gauges, 1.2 * size[gauges], windows, DAY / 4, scheme)


def cuts(network: RiverNetwork, block: int) -> dict[str, Partition]:
    one = {f"{k} parts": partition(network, k) for k in (1, 2, 7)}
    forced = {
        f"{k} parts, basins cut": partition(network, k, spread=True, block_reaches=block) for k in (2, 7)
    }
    for name, cut in forced.items():
        summary = cut.summary(network)
        assert summary.cut_edges > 0, name
        assert summary.cut_basins > 0, name
    return one | forced


def moved(one: Problem, executor: Executor, device: str = "cpu") -> dict[str, Float]:
    """Parameters after some steps, on pieces that are cut wherever they can be."""
    sweep = prepare(
        one, cuts(one.network, 60)["7 parts, basins cut"], executor, "float64", device=device
    ).sweep
    for _ in range(3):
        sweep.step(one.shared, one.windows)
    sweep.keep_best()
    return sweep.collect(one.network.n_reaches)
