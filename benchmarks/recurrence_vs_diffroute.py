"""The recurrence engine on a GPU beside DiffRoute, and beside a copy of the same bytes, in one run.

    python benchmarks/recurrence_vs_diffroute.py [--only check,simulate,planet,train] [--without-diffroute]

- check: our answer against the float64 reference at depth 3,000 and 30,000 routing steps, our gradients
  against its own; and DiffRoute's answer on the same network.
- simulate: DiffRoute on 160,000 reaches × 29,220 days; ours on the same, on a generated forest of a million
  reaches and on a long thin and a short wide one; and a device-to-device copy of runoff into discharge.
  Our runoff is made on the GPU, a few years at a time, and not timed. Every network is checked against a
  naive float64 sweep first.
- planet: ours on 6.84 million reaches × 29,220 days, and a training step on 6.84 million × 400 days.
- train: forward and all gradients of 160,000 reaches × 232 days, ours and DiffRoute's.

Routing step 1 h, forcing step 1 d, Muskingum, float32. `seconds_scaled` is proportional to reaches × days:
what the same rate would take for 6.84 million reaches × 29,220 days (simulation). Times are medians, by
CUDA events, after warm-up; the kernels' compilation and the preparation of the networks are not in them.

DiffRoute runs from its wheel, as it stands (its closure, its staged router and its scheduler with their own
defaults), but for: its scheduler's notebook progress bars are replaced by none (they need a notebook), what
it prints is dropped, and its parameter k is given in its unit of time (days, or hours in `check`).
It reports other numbers than the equations: responses are cut to non-negative ones and normalised, wrap
around at `max_delay`, pass cuts as means of a forcing step, and are convolved in TF32.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import forests
import measure
import numpy as np
import torch
from naive import route_naively
from numpy.typing import NDArray
from torch import Tensor

from rivergrad.routing.recurrence import sweep_order
from rivergrad.routing.recurrence.engine import RecurrenceEngine
from rivergrad.routing.reference import route_reference
from rivergrad.routing.schemes.muskingum import Muskingum

HOUR, DAY = 3600.0, 86400.0
RATIO = 24
PLANET, RECORD = 6_840_000, 29_220  # reaches and days that simulations are scaled to
CHUNK_BYTES = 50e9  # of runoff made and routed at a time
CHECKED_DAYS, CHECKED_CHUNK = 5, 3  # of each large network, in chunks that do not divide it
TOLERANCE = {torch.float64: 1e-10, torch.float32: 1e-5}  # relative L2
GRADIENT_TOLERANCE = {torch.float64: 1e-8, torch.float32: 1e-4}


@dataclass(frozen=True)
class Sizes:
    """How large everything is; `--small` is for trying this script on a CPU."""

    deep: tuple[int, int, int]  # reaches, depth and days of the check
    gradient: tuple[int, int, int]
    peer: int  # reaches of the network that DiffRoute gets
    million: int
    thin: tuple[int, int, int]  # levels, widest, reaches
    wide: tuple[int, int, int]
    planet: int
    days: int
    train_days: int
    planet_train_days: int
    repeats: int


FULL = Sizes(
    deep=(6_000, 3_000, 1_250),
    gradient=(400, 150, 10),
    peer=160_000,
    million=1_000_000,
    thin=(2_912, 1_456, 1_500_000),
    wide=(114, 30_618, 1_000_000),
    planet=PLANET,
    days=RECORD,
    train_days=232,
    planet_train_days=400,
    repeats=5,
)
SMALL = Sizes(
    deep=(60, 30, 20),
    gradient=(40, 20, 5),
    peer=80,
    million=2_000,
    thin=(200, 8, 1_000),
    wide=(10, 150, 1_000),
    planet=3_000,
    days=40,
    train_days=10,
    planet_train_days=10,
    repeats=2,
)


@dataclass(frozen=True)
class Row:
    """One measurement; `over_diffroute` is DiffRoute's time over this one, both scaled to the same size."""

    section: str
    what: str
    network: str
    reaches: int
    levels: int
    widest: int
    days: int
    dtype: str
    over_diffroute: float = float("nan")
    over_copy: float = float("nan")
    seconds: float = float("nan")
    seconds_scaled: float = float("nan")
    peak_gb: float = float("nan")
    error: float = float("nan")
    note: str = ""
    machine: str = ""


class Network:
    """A generated network with its Muskingum parameters, and our engine for it."""

    def __init__(
        self,
        name: str,
        downstream: forests.Index,
        device: torch.device,
        parameters: tuple[NDArray[np.float64], NDArray[np.float64]] | None = None,
    ) -> None:
        # numbered as a GPU's warps take the reaches: columns next to each other are read together
        downstream = forests.relabelled(downstream, sweep_order(downstream))
        self.name, self.downstream, self.device = name, downstream, device
        self.shape = forests.shape(downstream)
        self.k, self.x = parameters or forests.muskingum_parameters(self.shape.reaches)
        self.parameters = {"k": torch.from_numpy(self.k).to(device), "x": torch.from_numpy(self.x).to(device)}
        self.chunk = max(1, int(CHUNK_BYTES / 4 / self.shape.reaches))

    def engine(self, dtype: torch.dtype = torch.float32) -> RecurrenceEngine:
        everything = np.arange(self.shape.reaches)
        return RecurrenceEngine(
            self.downstream, Muskingum(), DAY, HOUR, everything, dtype=dtype, device=self.device
        )

    def milder(self) -> Network:
        """The same reaches with parameters by which no response is negative anywhere (C0, C2 at least 0)."""
        k = np.maximum(self.k, HOUR)
        return Network(self.name, self.downstream, self.device, (k, np.minimum(self.x, HOUR / 2 / k)))


@dataclass
class Bench:
    """What all sections share, and the rows that they make."""

    sizes: Sizes
    device: torch.device
    output: Path
    peer: DiffRoute | None
    diffroute_seconds: float = float("nan")  # simulation, scaled to the planet

    def add(self, row: Row, label: str = "") -> None:
        """Print a row, the ratio first, and add it to the table at once: a run may be cut short."""
        row = replace(row, machine=measure.machine(self.device))
        measure.write(self.output, [row])
        parts = [
            f"{row.over_diffroute:.3g}x DiffRoute" if row.over_diffroute == row.over_diffroute else "",
            f"{row.over_copy:.3g} copies" if row.over_copy == row.over_copy else "",
            f"{row.what} {row.network} ({row.reaches} reaches, {row.days} days, {row.dtype})",
            f"{row.seconds:.4g} s" if row.seconds == row.seconds else "",
            f"scaled {row.seconds_scaled:.4g} s" if row.seconds_scaled == row.seconds_scaled else "",
            f"peak {row.peak_gb:.3g} GB" if row.peak_gb == row.peak_gb else "",
            f"error {row.error:.2e}" if row.error == row.error else "",
            row.note,
            label,
        ]
        print("  ".join(part for part in parts if part), flush=True)

    def runoff(self, days: int, n: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
        """(1, days, n) m³/s on the device: wet days with exponential amounts over a small steady flow."""
        found = torch.empty(1, days, n, dtype=dtype, device=self.device)
        return fill(found, seed)


def fill(runoff: Tensor, seed: int) -> Tensor:
    """New runoff in place, so that a stream of it needs memory once."""
    random = torch.Generator(runoff.device).manual_seed(seed)
    wet = torch.rand(1, runoff.shape[1], 1, generator=random, device=runoff.device) < 0.3
    return runoff.exponential_(generator=random).mul_(wet).add_(0.05)


def stream(engine: RecurrenceEngine, network: Network, buffer: Tensor, days: int) -> float:
    """Seconds to route `days`, state carried along, in chunks that are made in the buffer one by one."""
    taken = 0.0
    with torch.no_grad():
        prepared, state = engine.prepare(network.parameters), None
        for begin in range(0, days, buffer.shape[1]):
            runoff = fill(buffer[:, : days - begin], begin)

            def step(runoff: Tensor = runoff) -> None:
                nonlocal state
                _, _, state = engine.apply(prepared, runoff, state=state)

            taken += measure.once(step, network.device)
    return taken


def check_network(bench: Bench, network: Network, engine: RecurrenceEngine) -> float:
    """Error of the first days, routed in two chunks, against the naive sweep."""
    runoff = bench.runoff(CHECKED_DAYS, network.shape.reaches, seed=7)
    with torch.no_grad():
        prepared = engine.prepare(network.parameters)
        first, _, state = engine.apply(prepared, runoff[:, :CHECKED_CHUNK])
        second, _, _ = engine.apply(prepared, runoff[:, CHECKED_CHUNK:], state=state)
    found = torch.cat([first, second], dim=1)[0].cpu()
    truth = route_naively(network.downstream, network.k, network.x, runoff[0].cpu().numpy(), RATIO, HOUR)
    return accept(measure.relative_l2(found, torch.from_numpy(truth)), TOLERANCE[torch.float32], network.name)


def accept(error: float, tolerance: float, what: str) -> float:
    """The error, if it is small enough to go on."""
    if not error <= tolerance:
        raise SystemExit(f"{what}: relative L2 {error:.3g}, expected at most {tolerance:g}; nothing is timed")
    return error


class DiffRoute:
    """The peer, imported late: ours can be measured without it."""

    def __init__(self, device: torch.device, max_delay: int, path_length: int, cluster_reaches: int) -> None:
        import diffroute
        from diffroute.graph_utils import basic_clustering

        basic_clustering.tqdm = lambda items, **_: items
        self.package, self.schedule = diffroute, basic_clustering.define_schedule
        self.device, self.max_delay = device, max_delay
        self.path_length, self.cluster_reaches = path_length, cluster_reaches

    def tree(
        self,
        network: Network,
        unit: float,
        path_length: int | None = None,
    ) -> Any:
        """Its clusters of a network, with k in its unit of time (s)."""
        import networkx
        import pandas

        n = network.shape.reaches
        graph = networkx.DiGraph()
        graph.add_nodes_from(range(n))
        upstream = np.flatnonzero(network.downstream >= 0)
        graph.add_edges_from(zip(upstream.tolist(), network.downstream[upstream].tolist(), strict=True))
        table = pandas.DataFrame({"k": network.k / unit, "x": network.x})
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            clusters, transfer = self.schedule(
                graph, plength_thr=path_length or self.path_length, node_thr=self.cluster_reaches
            )
            return self.package.RivTreeCluster(
                clusters, transfer, irf_fn="muskingum", include_index_diag=True, param_df=table
            ).to(self.device)

    def router(self, max_delay: int, dt: float) -> Any:
        return self.package.LTIStagedRouter(max_delay=max_delay, dt=dt).to(self.device)

    def daily(self) -> Any:
        """Runoff and discharge by the day, impulse responses by the hour."""
        return self.router(self.max_delay, 1 / RATIO)

    @staticmethod
    def order(tree: Any) -> Tensor:
        """(reach,) position of the reach that stands at each place of its arrays."""
        return torch.from_numpy(np.asarray(tree.nodes).astype(np.int64))

    def route(self, router: Any, tree: Any, runoff: Tensor) -> Tensor:
        """Discharge (time, reach) of runoff (time, reach), in our order."""
        order = self.order(tree).to(self.device)
        with torch.no_grad():
            routed = router(runoff.T[order][None].float().contiguous(), tree)[0]
        found = torch.empty_like(runoff, dtype=torch.float32)
        found[:, order] = routed.T
        return found


def check(bench: Bench) -> None:
    """Depth 3,000, 30,000 routing steps, against the reference in float64; and the gradients."""
    n, depth, days = bench.sizes.deep
    network = Network("deep", forests.deep(n, depth), bench.device)
    runoff = bench.runoff(days, n, dtype=torch.float64)
    truth = reference(network, runoff[0], network.parameters)
    for dtype in (torch.float64, torch.float32):
        engine = network.engine(dtype)
        with torch.no_grad():
            found = engine.apply(engine.prepare(network.parameters), runoff.to(dtype))[0][0]
        error = accept(measure.relative_l2(found, truth), TOLERANCE[dtype], f"deep, {dtype}")
        bench.add(row("check", "ours against the reference", network, days, dtype, error=error))
    if bench.peer is not None:
        check_diffroute(bench, bench.peer, network, runoff[0], truth)
    check_gradients(bench)


def reference(network: Network, runoff: Tensor, parameters: dict[str, Tensor]) -> Tensor:
    """(time, reach): the specification itself, on the device."""
    order = np.arange(network.shape.reaches)
    return route_reference(network.downstream, order, runoff, parameters, Muskingum(), DAY, HOUR)


def check_diffroute(bench: Bench, peer: DiffRoute, network: Network, runoff: Tensor, truth: Tensor) -> None:
    """How far DiffRoute is from the reference: as it is used, and at the routing step with mild parameters."""
    days = runoff.shape[0]
    daily = peer.route(peer.daily(), peer.tree(network, DAY), runoff)
    note = f"daily, max_delay {peer.max_delay} days"
    error = measure.relative_l2(daily, truth)
    what = "DiffRoute against the reference"
    bench.add(row("check", what, network, days, torch.float32, error=error, note=note))
    # No negative response to cut, no daily means passed on, a window that holds each cluster's responses.
    mild = network.milder()
    truth = reference(mild, runoff, mild.parameters)
    small = bench.sizes is SMALL
    window, path_length = (256, 100) if small else (512, 5_000)
    hours = runoff.repeat_interleave(RATIO, dim=0)
    tree = peer.tree(mild, HOUR, path_length)
    hourly = peer.route(peer.router(window, 1.0), tree, hours).reshape(days, RATIO, -1).mean(dim=1)
    note = f"hourly, k at least 1 h and x at most 0.5 h / k, max_delay {window} hours"
    error = measure.relative_l2(hourly, truth)
    bench.add(row("check", what, mild, days, torch.float32, error=error, note=note))


def check_gradients(bench: Bench) -> None:
    """Gradients of every parameter and all runoff against those of the reference."""
    n, depth, days = bench.sizes.gradient
    network = Network("deep", forests.deep(n, depth, seed=1), bench.device)
    runoff = bench.runoff(days, n, seed=1, dtype=torch.float64)
    weight = bench.runoff(days, n, seed=2, dtype=torch.float64)
    wanted = {name: value.clone().requires_grad_() for name, value in network.parameters.items()}
    inputs = [*wanted.values(), runoff.requires_grad_()]
    truth = torch.autograd.grad(reference(network, runoff[0], wanted), inputs, weight[0])
    for dtype in (torch.float64, torch.float32):
        engine = network.engine(dtype)
        discharge = engine.apply(engine.prepare(wanted), runoff.to(dtype))[0]
        found = torch.autograd.grad(discharge, inputs, weight.to(dtype))
        error = max(measure.relative_l2(f, t) for f, t in zip(found, truth, strict=True))
        accept(error, GRADIENT_TOLERANCE[dtype], f"gradients, {dtype}")
        bench.add(row("check", "our gradients against the reference's", network, days, dtype, error=error))


def row(section: str, what: str, network: Network, days: int, dtype: torch.dtype, **measured: Any) -> Row:
    """What a measurement was made of, and what was measured."""
    return Row(
        section=section,
        what=what,
        network=network.name,
        reaches=network.shape.reaches,
        levels=network.shape.levels,
        widest=network.shape.widest,
        days=days,
        dtype=str(dtype).removeprefix("torch."),
        **measured,
    )


def simulate(bench: Bench) -> None:
    """DiffRoute's, then ours on every network."""
    sizes = bench.sizes
    shared = Network("forest", forests.river_forest(sizes.peer), bench.device)
    if bench.peer is not None:
        simulate_diffroute(bench, bench.peer, shared)
    levels, widest, reaches = sizes.thin
    simulate_ours(bench, shared, "simulate")
    simulate_ours(bench, Network("forest", forests.river_forest(sizes.million), bench.device), "simulate")
    thin = forests.shaped(levels, widest, reaches)
    simulate_ours(bench, Network("thin", thin, bench.device), "simulate")
    wide = forests.shaped(*sizes.wide)
    simulate_ours(bench, Network("wide", wide, bench.device), "simulate")


def to_planet(taken: float, reaches: int, days: int) -> float:
    """What the same rate takes for the world's reaches and 80 years."""
    return taken * (PLANET / reaches) * (RECORD / days)


def simulate_diffroute(bench: Bench, peer: DiffRoute, network: Network) -> None:
    """All days at once: its memory is what bounds its network here."""
    n, days = network.shape.reaches, bench.sizes.days
    started = time.perf_counter()
    tree, router = peer.tree(network, DAY), peer.daily()
    print(f"DiffRoute: network in {time.perf_counter() - started:.1f} s, {len(tree)} clusters", flush=True)
    # Its answer beside ours, for the record: they are not meant to be equal (see the top).
    some = bench.runoff(min(400, days), n)
    engine = network.engine()
    with torch.no_grad():
        ours = engine.apply(engine.prepare(network.parameters), some)[0][0]
    error = measure.relative_l2(peer.route(router, tree, some[0]), ours)
    del some, ours
    while True:
        try:
            runoff = fill(torch.empty(1, n, days, device=bench.device), 0)
            reset_peak(bench.device)
            with torch.no_grad():
                taken = measure.seconds(partial(router, runoff, tree), bench.device, repeats=2)
            break
        except torch.OutOfMemoryError:  # then fewer days, scaled
            del runoff
            days //= 2
    bench.diffroute_seconds = to_planet(taken, n, days)
    bench.add(
        row(
            "simulate",
            "DiffRoute",
            network,
            days,
            torch.float32,
            over_diffroute=1.0,
            seconds=taken,
            seconds_scaled=bench.diffroute_seconds,
            peak_gb=peak(bench.device),
            error=error,
            note=f"{len(tree)} clusters, max_delay {peer.max_delay} days; error: against ours, at most 400 days",
        )
    )


def simulate_ours(bench: Bench, network: Network, section: str) -> RecurrenceEngine:
    """Check, time the whole record in chunks, and a copy of the same bytes."""
    n, days = network.shape.reaches, bench.sizes.days
    started = time.perf_counter()
    engine = network.engine()
    ready = time.perf_counter() - started
    error = check_network(bench, network, engine)
    buffer = torch.empty(1, min(days, network.chunk), n, device=bench.device)
    reset_peak(bench.device)
    stream(engine, network, buffer, min(days, buffer.shape[1]))
    taken = statistics.median(stream(engine, network, buffer, days) for _ in range(3))
    memory = peak(bench.device)
    copy = copy_seconds(buffer) * days / buffer.shape[1]
    del buffer
    scaled = to_planet(taken, n, days)
    bench.add(
        row(
            section,
            "ours",
            network,
            days,
            torch.float32,
            over_diffroute=bench.diffroute_seconds / scaled,
            over_copy=taken / copy,
            seconds=taken,
            seconds_scaled=scaled,
            peak_gb=memory,
            error=error,
            note=f"{-(-days // network.chunk)} chunks",
        ),
        f"(engine made in {ready:.1f} s)",
    )
    bench.add(
        row(
            section,
            "copy of runoff to discharge",
            network,
            days,
            torch.float32,
            over_diffroute=bench.diffroute_seconds / to_planet(copy, n, days),
            over_copy=1.0,
            seconds=copy,
            seconds_scaled=to_planet(copy, n, days),
        )
    )
    return engine


def copy_seconds(runoff: Tensor) -> float:
    """Seconds to read the runoff and write as many numbers."""
    discharge = torch.empty_like(runoff)
    return measure.seconds(lambda: discharge.copy_(runoff), runoff.device)


def planet(bench: Bench) -> None:
    """As many reaches as the world has: nothing is scaled."""
    network = Network("planet", forests.river_forest(bench.sizes.planet), bench.device)
    engine = simulate_ours(bench, network, "planet")
    for with_runoff in (True, False):
        train_ours(bench, network, engine, bench.sizes.planet_train_days, "planet", with_runoff)


def train(bench: Bench) -> None:
    """A training step of each."""
    network = Network("forest", forests.river_forest(bench.sizes.peer), bench.device)
    days = bench.sizes.train_days
    theirs = float("nan")
    if bench.peer is not None:
        theirs = train_diffroute(bench, bench.peer, network, days)
    engine = network.engine()
    check_network(bench, network, engine)
    train_ours(bench, network, engine, days, "train", True, theirs)


def train_ours(
    bench: Bench,
    network: Network,
    engine: RecurrenceEngine,
    days: int,
    section: str,
    with_runoff: bool,
    theirs: float = float("nan"),
) -> None:
    """Forward alone (as a training step does it: keeping what the gradient needs), then with the gradients."""
    n = network.shape.reaches
    wanted = {name: value.clone().requires_grad_() for name, value in network.parameters.items()}
    runoff = bench.runoff(days, n).requires_grad_(with_runoff)
    weight = bench.runoff(days, n, seed=1)
    inputs = [*wanted.values(), runoff] if with_runoff else [*wanted.values()]

    def forward() -> Tensor:
        return engine.apply(engine.prepare(wanted), runoff)[0]

    def step() -> tuple[Tensor, ...]:
        return torch.autograd.grad(forward(), inputs, weight)

    only = measure.seconds(forward, bench.device, bench.sizes.repeats)
    reset_peak(bench.device)
    taken = measure.seconds(step, bench.device, bench.sizes.repeats)
    gradients = "k, x and runoff" if with_runoff else "k and x"
    bench.add(
        row(
            section,
            f"ours, forward + gradients of {gradients}",
            network,
            days,
            torch.float32,
            over_diffroute=theirs / taken,
            seconds=taken,
            peak_gb=peak(bench.device),
            note=f"forward {only * 1e3:.3g} ms; the peak holds runoff, discharge and all gradients",
        )
    )


def train_diffroute(bench: Bench, peer: DiffRoute, network: Network, days: int) -> float:
    """The same step in DiffRoute, k and x of each of its clusters being leaves."""
    tree, router = peer.tree(network, DAY), peer.daily()
    n = network.shape.reaches
    parameters = [cluster.params.detach().clone().requires_grad_() for cluster in tree]
    runoff = fill(torch.empty(1, n, days, device=bench.device), 0).requires_grad_()
    weight = fill(torch.empty(1, n, days, device=bench.device), 1)

    def forward() -> Tensor:
        found: Tensor = router(runoff, tree, parameters)
        return found

    def step() -> tuple[Tensor, ...]:
        return torch.autograd.grad(forward(), [*parameters, runoff], weight)

    only = measure.seconds(forward, bench.device, bench.sizes.repeats)
    reset_peak(bench.device)
    taken = measure.seconds(step, bench.device, bench.sizes.repeats)
    bench.add(
        row(
            "train",
            "DiffRoute, forward + gradients of k, x and runoff",
            network,
            days,
            torch.float32,
            over_diffroute=1.0,
            seconds=taken,
            peak_gb=peak(bench.device),
            note=f"forward {only * 1e3:.4g} ms, {len(tree)} clusters, max_delay {peer.max_delay} days",
        )
    )
    return taken


def reset_peak(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)


def peak(device: torch.device) -> float:
    """Most memory that tensors took since the last reset, GB; inputs included."""
    return torch.cuda.max_memory_allocated(device) / 1e9 if device.type == "cuda" else float("nan")


SECTIONS: dict[str, Callable[[Bench], None]] = {
    "check": check,
    "train": train,
    "simulate": simulate,
    "planet": planet,
}


def main() -> None:
    """The sections in turn, each adding its rows to the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", default=",".join(SECTIONS), help="sections, with commas")
    parser.add_argument("--without-diffroute", action="store_true")
    parser.add_argument(
        "--max-delay", type=int, default=32, help="DiffRoute's window, days (its own default)"
    )
    parser.add_argument(
        "--path-length", type=int, default=10**5, help="DiffRoute's plength_thr (its default)"
    )
    parser.add_argument(
        "--cluster-reaches", type=int, default=10**4, help="DiffRoute's node_thr (its default)"
    )
    parser.add_argument("--device", default="cuda")
    parser.add_argument(
        "--small", action="store_true", help="tiny networks, to try this (DiffRoute needs a GPU)"
    )
    parser.add_argument("--output", type=Path, default=Path(__file__).with_suffix(".csv"))
    options = parser.parse_args()
    device = torch.device(options.device)
    peer = (
        None
        if options.without_diffroute
        else DiffRoute(device, options.max_delay, options.path_length, options.cluster_reaches)
    )
    bench = Bench(SMALL if options.small else FULL, device, options.output, peer)
    for name in options.only.split(","):
        started = time.perf_counter()
        SECTIONS[name](bench)
        if device.type == "cuda":
            torch.cuda.empty_cache()
        print(f"-- {name}: {time.perf_counter() - started:.0f} s in all", flush=True)


if __name__ == "__main__":
    main()
