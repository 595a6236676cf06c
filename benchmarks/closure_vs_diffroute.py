"""The closure engine on a GPU beside DiffRoute, in one run: answers first, then time and memory.

    python benchmarks/closure_vs_diffroute.py [--only check,train,schemes,simulate] [--without-diffroute]

- check: all five schemes and one registered here on a basin 3,000 reaches deep: discharge and gradients against the
  float64 reference, DiffRoute's discharge beside it, and a chain of equal reaches, where rounding has one sign.
- train: forward and all gradients of 160,000 reaches × 232 days, Muskingum: DiffRoute with windows of 16, 32 and 64
  days, ours (which has no window: it keeps as much as responses are long), ours twice bit for bit, ours with what is
  kept in bfloat16; and what bounds it: bytes over the bandwidth measured here, operations over the rate measured.
- schemes: the same step of 16,000 reaches by Hayami and by that scheme.
- simulate: 100,000 reaches × 29,220 days.

Routing step 1 h, forcing step 1 d, float32; times are medians by CUDA events, after warm-up. Errors are relative L2
against the reference, or against a naive float64 sweep where the network is large. DiffRoute runs as told in
`recurrence_vs_diffroute.py`, with parameters in days.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import forests
import measure
import numpy as np
import torch
from naive import route_naively
from recurrence_vs_diffroute import DAY, HOUR, RATIO, DiffRoute, accept, copy_seconds, fill, peak, reset_peak
from torch import Tensor

from rivergrad.routing import ClosureEngine, route_reference, schemes
from rivergrad.routing.closure.fused.engine import FusedClosure
from rivergrad.routing.schemes.base import Parameter, Scheme

WINDOWS = (16, 32, 64)
FORWARD, GRADIENT = 1e-5, 1e-4


@dataclass(frozen=True)
class Sizes:
    """How large everything is; `--small` is for trying this script on a CPU."""

    deep: tuple[int, int, int] = (3_300, 3_000, 320)  # reaches, depth and days of the check
    train: int = 160_000
    train_days: int = 232
    schemes: int = 16_000
    simulate: int = 100_000
    days: int = 29_220
    checked: int = 20
    repeats: int = 5


SMALL = Sizes((24, 12, 10), 30, 8, 16, 16, 30, 8, 1)


@dataclass(frozen=True)
class Row:
    """One measurement; `over_diffroute` is the time of DiffRoute (window 32) over this one."""

    section: str
    what: str
    scheme: str
    reaches: int
    depth: int
    days: int
    window: str = ""
    over_diffroute: float = float("nan")
    seconds: float = float("nan")
    forward_seconds: float = float("nan")
    peak_gb: float = float("nan")
    error: float = float("nan")
    gradient_error: float = float("nan")
    note: str = ""
    machine: str = ""


def _ramp(parameters: dict[str, Tensor], times: Tensor) -> Tensor:
    """A user's own scheme: an impulse leaves at a rate that falls linearly to zero at `delay`."""
    left = torch.clamp(1 - torch.cat([times, times[-1:] + times[1]]) / parameters["delay"], min=0) ** 2
    return left[:, :-1] - left[:, 1:]


def _register_ramp() -> Scheme:
    delay = Parameter("delay", "s", 9000.0, 1.0, 1e9, "Longest delay.")
    return schemes.register("ramp", _ramp, (delay,))


class Network:
    """A network with parameters of every scheme: the same travel times for all of them."""

    def __init__(self, downstream: forests.Index, device: torch.device, equal: bool = False) -> None:
        self.downstream, self.device = downstream, device
        self.shape = forests.shape(downstream)
        n = self.shape.reaches
        k, x = forests.muskingum_parameters(n)
        if equal:
            k, x = np.full(n, 9e3), np.full(n, 0.2)
        self.k, self.x = k, x
        length = k * 0.8
        tables = {
            "pure_lag": {"delay": k},
            "linear_storage": {"tau": k},
            "nash_cascade": {"tau": k / 3},
            "muskingum": {"k": k, "x": x},
            "hayami": {"celerity": length / k, "diffusivity": length**2 / k * (0.5 - x), "length": length},
            "ramp": {"delay": 3 * k},
        }
        self.parameters = {
            scheme: {name: torch.from_numpy(values).to(device) for name, values in table.items()}
            for scheme, table in tables.items()
        }

    def peer_table(self, scheme: str) -> dict[str, Any]:
        """Columns as DiffRoute wants them, in days."""
        own = {name: value.cpu().numpy() for name, value in self.parameters[scheme].items()}
        if scheme == "muskingum":
            return {"x": own["x"], "k": own["k"] / DAY}
        if scheme == "hayami":
            return {"L": own["length"], "D": own["diffusivity"] * DAY, "c": own["celerity"] * DAY}
        return {name: value / DAY for name, value in own.items()}

    def engine(self, scheme: Scheme, half: bool = False) -> ClosureEngine:
        everything = np.arange(self.shape.reaches)
        fused = True if self.device.type != "cuda" else None
        one = ClosureEngine(
            self.downstream, scheme, DAY, HOUR, everything, device=self.device, fused=fused, half=half
        )
        if one.path != "fused kernels":
            raise SystemExit(f"{scheme.name}: {one.path}")
        return one

    def truth(self, runoff: Tensor) -> Tensor:
        """Muskingum in float64, (time, reach)."""
        routed = route_naively(self.downstream, self.k, self.x, runoff.cpu().numpy(), RATIO, HOUR)
        return torch.from_numpy(routed).to(self.device)


class Peer(DiffRoute):
    """DiffRoute with any of its schemes."""

    _trees: ClassVar[dict[tuple[int, str], Any]] = {}  # the same for every window

    def tree(
        self, network: Any, unit: float = DAY, path_length: int | None = None, scheme: str = "muskingum"
    ) -> Any:
        key = id(network), scheme
        if key not in self._trees:
            self._trees.clear()
            self._trees[key] = self._make(network, unit, path_length, scheme)
        return self._trees[key]

    def _make(self, network: Any, unit: float, path_length: int | None, scheme: str) -> Any:
        import pandas

        columns = network.peer_table(scheme)

        def built(clusters: Any, transfer: Any, **options: Any) -> Any:
            options |= {"irf_fn": scheme, "param_df": pandas.DataFrame(columns)}
            return make(clusters, transfer, **options)

        make = self.package.RivTreeCluster
        self.package.RivTreeCluster = built
        try:
            return super().tree(network, unit, path_length)
        finally:
            self.package.RivTreeCluster = make


@dataclass
class Bench:
    """What all sections share."""

    sizes: Sizes
    device: torch.device
    output: Path
    peer: Callable[[int], Peer] | None

    def add(self, row: Row) -> None:
        """Print a row and add it to the table at once: a run may be cut short."""
        row = replace(row, machine=measure.machine(self.device))
        measure.write(self.output, [row])
        shown = {name: value for name, value in vars(row).items() if value == value and value != ""}
        del shown["machine"]
        print(
            "  ".join(f"{n}={v:.4g}" if isinstance(v, float) else str(v) for n, v in shown.items()),
            flush=True,
        )

    def row(
        self,
        section: str,
        what: str,
        scheme: str,
        network: Network,
        days: int,
        window: str = "",
        **measured: Any,
    ) -> None:
        shape = network.shape
        self.add(Row(section, what, scheme, shape.reaches, shape.levels, days, window, **measured))

    def runoff(self, days: int, n: int, seed: int = 0) -> Tensor:
        return fill(torch.empty(1, days, n, device=self.device), seed)


def check(bench: Bench) -> None:
    """Every scheme down 3,000 reaches."""
    n, depth, days = bench.sizes.deep
    networks = [
        ("", Network(forests.deep(n, depth), bench.device)),
        ("equal reaches in a row", Network(np.append(np.arange(1, depth), -1), bench.device, equal=True)),
    ]
    for note, network in networks:
        size = network.shape.reaches
        worst = 0.0, 0.0
        runoff, weight = bench.runoff(days, size), bench.runoff(days, size, 1)
        for name in (*schemes.BUILT_IN, _register_ramp().name):
            scheme = schemes.get(name)
            found, mine = _gradients(
                network, scheme, runoff, weight, partial(_routed, network.engine(scheme))
            )
            truth, wanted = _gradients(
                network, scheme, runoff.double(), weight.double(), partial(_reference, network, scheme)
            )
            error = measure.relative_l2(found, truth)
            apart = max(measure.relative_l2(a, b) for a, b in zip(mine, wanted, strict=True))
            worst = max(worst[0], error), max(worst[1], apart)
            bench.row("check", "ours", name, network, days, error=error, gradient_error=apart, note=note)
            del found, mine, wanted
            if bench.peer is not None and not note and name in schemes.BUILT_IN:
                theirs = _peer_error(bench.peer(32), network, name, runoff[0], truth[0])
                bench.row("check", "DiffRoute", name, network, days, "32 d", error=theirs)
        if not note:
            accept(worst[0], FORWARD, f"depth {depth}")
            accept(worst[1], GRADIENT, f"gradients, depth {depth}")


def _peer_error(peer: Peer, network: Network, scheme: str, runoff: Tensor, truth: Tensor) -> float:
    tree = peer.tree(network, scheme=scheme)
    return measure.relative_l2(peer.route(peer.daily(), tree, runoff), truth)


def _routed(engine: ClosureEngine, runoff: Tensor, parameters: dict[str, Tensor]) -> Tensor:
    return engine.apply(engine.prepare(parameters, runoff.shape[1]), runoff)[0]


def _reference(network: Network, scheme: Scheme, runoff: Tensor, parameters: dict[str, Tensor]) -> Tensor:
    order = np.arange(network.shape.reaches)
    return route_reference(network.downstream, order, runoff[0], parameters, scheme, DAY, HOUR)[None]


def _gradients(
    network: Network,
    scheme: Scheme,
    runoff: Tensor,
    weight: Tensor,
    route: Callable[[Tensor, dict[str, Tensor]], Tensor],
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Discharge, and the gradients of runoff and parameters."""
    leaves = {name: v.clone().requires_grad_() for name, v in network.parameters[scheme.name].items()}
    runoff = runoff.clone().requires_grad_()
    routed = route(runoff, leaves)
    return routed.detach(), torch.autograd.grad(routed, [runoff, *leaves.values()], weight)


def train(bench: Bench) -> None:
    """A training step of each, and what bounds ours."""
    sizes, device = bench.sizes, bench.device
    network = Network(forests.river_forest(sizes.train), device)
    days = sizes.train_days
    runoff, weight = bench.runoff(days, sizes.train), bench.runoff(days, sizes.train, 1)
    truth = network.truth(runoff[0]).to(torch.float32)
    theirs = float("nan")
    rows = []
    if bench.peer is not None:
        for window in WINDOWS:
            one = _train_peer(bench.peer(window), network, "muskingum", runoff, weight, truth)
            rows.append((f"{window} d", one))
            theirs = one["seconds"] if window == 32 else theirs
    for window, one in rows:
        one["over_diffroute"] = theirs / one["seconds"]
        bench.row("train", "DiffRoute", "muskingum", network, days, window, **one)
    del rows
    scheme = schemes.get("muskingum")
    engine = network.engine(scheme)
    first = _gradients(network, scheme, runoff, weight, partial(_routed, engine))
    again = _gradients(network, scheme, runoff, weight, partial(_routed, network.engine(scheme)))
    same = torch.equal(first[0], again[0]) and all(map(torch.equal, first[1], again[1]))
    if not same:
        raise SystemExit("the same step twice gave other bits")
    error = accept(measure.relative_l2(first[0][0], truth), FORWARD, "train")
    kept = [g.cpu() for g in first[1]]
    del first, again, truth
    taken = _train_ours(bench, network, engine, runoff, weight, theirs)
    note = f"the same twice, bit for bit; {_planned(engine, network, days)}"
    window = f"{_lead(engine, network)} d"
    bench.row("train", "ours", "muskingum", network, days, window, error=error, note=note, **taken)
    half = network.engine(scheme, half=True)
    rounded = _gradients(network, scheme, runoff, weight, partial(_routed, half))
    apart = max(measure.relative_l2(a.cpu(), b) for a, b in zip(rounded[1], kept, strict=True))
    error = measure.relative_l2(rounded[1][0].cpu(), kept[0])
    del rounded, kept
    taken = _train_ours(bench, network, half, runoff, weight, theirs)
    note = f"gradients against those of float32: runoff {error:.1e}"
    bench.row(
        "train",
        "ours, kept in bfloat16",
        "muskingum",
        network,
        days,
        window,
        gradient_error=apart,
        note=note,
        **taken,
    )
    if device.type == "cuda":
        _floor(bench, network, engine, runoff, weight)


def _fused(engine: ClosureEngine) -> FusedClosure:
    assert engine._fused is not None
    return engine._fused


def _lead(engine: ClosureEngine, network: Network) -> int:
    return _fused(engine).prepare(network.parameters["muskingum"], 10**6).lead


def _planned(engine: ClosureEngine, network: Network, days: int) -> str:
    """What the engine says beforehand that a step takes beside runoff, discharge and their gradients."""
    one = _fused(engine)
    planned = one.plan_bytes(one.prepare(network.parameters["muskingum"], days), 1, days, gradient=True)
    return f"planned {planned / 1e9:.2f} GB beside series and their gradients"


def _train_ours(
    bench: Bench, network: Network, engine: ClosureEngine, runoff: Tensor, weight: Tensor, theirs: float
) -> dict[str, float]:
    leaves = {name: v.clone().requires_grad_() for name, v in network.parameters[engine.scheme.name].items()}
    runoff = runoff.detach().requires_grad_()

    def step() -> object:
        return torch.autograd.grad(_routed(engine, runoff, leaves), [*leaves.values(), runoff], weight)

    return _timed(bench, step, lambda: _routed(engine, runoff, leaves), theirs)


def _timed(
    bench: Bench, step: Callable[[], object], forward: Callable[[], object], theirs: float = float("nan")
) -> dict[str, float]:
    only = measure.seconds(forward, bench.device, bench.sizes.repeats)
    reset_peak(bench.device)
    taken = measure.seconds(step, bench.device, bench.sizes.repeats, warm_ups=2)
    return {
        "seconds": taken,
        "forward_seconds": only,
        "peak_gb": peak(bench.device),
        "over_diffroute": theirs / taken,
    }


def _train_peer(
    peer: Peer, network: Network, scheme: str, runoff: Tensor, weight: Tensor, truth: Tensor | None
) -> dict[str, float]:
    tree, router = peer.tree(network, scheme=scheme), peer.daily()
    error = float("nan")
    if truth is not None:
        error = measure.relative_l2(peer.route(router, tree, runoff[0]), truth)
    parameters = [cluster.params.detach().clone().requires_grad_() for cluster in tree]
    series = runoff.transpose(1, 2).contiguous().requires_grad_()
    weights = weight.transpose(1, 2).contiguous()

    def forward() -> Tensor:
        found: Tensor = router(series, tree, parameters)
        return found

    def step() -> object:
        return torch.autograd.grad(forward(), [*parameters, series], weights)

    only = measure.seconds(forward, peer.device, 3)
    reset_peak(peer.device)
    taken = measure.seconds(step, peer.device, 3)
    return {"seconds": taken, "forward_seconds": only, "peak_gb": peak(peer.device), "error": error}


def _floor(bench: Bench, network: Network, engine: ClosureEngine, runoff: Tensor, weight: Tensor) -> None:
    """What a step would take were nothing but its bytes moved, or nothing but its operations done."""
    device = bench.device
    bandwidth = 2 * runoff.nbytes / copy_seconds(runoff)
    a, b = torch.randn(2, 8192, 8192, device=device)
    torch.backends.cuda.matmul.allow_tf32 = False
    rate = 8192**3 / measure.seconds(lambda: a @ b, device, 5)
    one = _fused(engine)
    days = runoff.shape[1]
    cut = one._cut(one.prepare(network.parameters["muskingum"], days), 1, 0, days)
    n = network.shape.reaches
    points = n * RATIO * cut.points.n_freq
    tiled = one._work(one.prepare(network.parameters["muskingum"], days), cut).sweeps(1)
    series, spectrum = 4 * n * cut.points.length, 8 * n * cut.points.n_freq
    daily = 4 * n * days
    # gather, transform, sweep, transform back, scatter; up: the same twice, with one spectrum more
    bytes_ = {
        "sweep_down": 2 * spectrum,
        "sweep_up": 3 * spectrum,
        "all": (2 * daily + 4 * series + 4 * spectrum) + (3 * daily + 6 * series + 6 * spectrum),
    }
    # a pass: 2 to enter, 4 for the response (a division counts two), 4 to apply it, 2 to sum up; up: a pass without
    # sums, 2 for discharge, 4 for x* g, 8 for the gradients of p and b, 4 for the response, 4 to apply it, 2 to sum up
    operations = {"sweep_down": 12 * points, "sweep_up": (10 + 24) * points}
    operations["all"] = operations["sweep_down"] + operations["sweep_up"]
    leaves = {name: v.clone().requires_grad_() for name, v in network.parameters["muskingum"].items()}
    runoff = runoff.detach().requires_grad_()

    def step() -> object:
        return torch.autograd.grad(_routed(engine, runoff, leaves), [*leaves.values(), runoff], weight)

    times = _kernel_seconds(step)
    times["all"] = sum(times.values())
    for name in ("sweep_down", "sweep_up", "all"):
        moved, done = bytes_[name] / bandwidth, operations[name] / rate
        note = (
            f"floor {1e3 * max(moved, done):.3g} ms: {bytes_[name] / 1e9:.3g} GB at {bandwidth / 1e12:.3g} TB/s is "
            f"{1e3 * moved:.3g} ms, {operations[name] / 1e9:.4g}e9 operations at {rate / 1e12:.3g}e12/s "
            f"{1e3 * done:.3g} ms; {tiled.n_tiles} tiles of {tiled.tiling.frequencies} for {cut.points.n_freq}"
            + (f"; and {16 * points / 1e9:.3g} GB kept and read again" if name == "sweep_up" else "")
        )
        bench.row("floor", f"kernels: {name}", "muskingum", network, days, seconds=times[name], note=note)
    rest = ", ".join(
        f"{name} {1e3 * t:.2f}" for name, t in sorted(times.items(), key=lambda item: -item[1])[:12]
    )
    print(f"kernels, ms: {rest}", flush=True)


def _kernel_seconds(step: Callable[[], object]) -> dict[str, float]:
    """Seconds in each kernel of a step."""
    from torch.profiler import ProfilerActivity, profile

    step()
    with profile(activities=[ProfilerActivity.CUDA]) as seen:
        step()
        torch.cuda.synchronize()
    return {
        e.key[:40]: e.self_device_time_total / 1e6 for e in seen.key_averages() if e.self_device_time_total
    }


def other_schemes(bench: Bench) -> None:
    """Schemes that are no recurrences: their responses are tabulated, the sweeps are the same."""
    sizes = bench.sizes
    network = Network(forests.river_forest(sizes.schemes), bench.device)
    days, n = sizes.train_days, sizes.schemes
    runoff, weight = bench.runoff(days, n), bench.runoff(days, n, 1)
    ramp = _register_ramp()
    for scheme in (schemes.get("muskingum"), schemes.get("hayami"), ramp):
        theirs = float("nan")
        if bench.peer is not None and scheme is not ramp:
            one = _train_peer(bench.peer(32), network, scheme.name, runoff, weight, None)
            theirs = one["seconds"]
            bench.row("schemes", "DiffRoute", scheme.name, network, days, "32 d", over_diffroute=1.0, **one)
        taken = _train_ours(bench, network, network.engine(scheme), runoff, weight, theirs)
        bench.row("schemes", "ours", scheme.name, network, days, **taken)


def simulate(bench: Bench) -> None:
    """80 years at once."""
    sizes = bench.sizes
    network = Network(forests.river_forest(sizes.simulate), bench.device)
    n, days = sizes.simulate, sizes.days
    engine = network.engine(schemes.get("muskingum"))
    parameters = network.parameters["muskingum"]
    with torch.no_grad():
        prepared = engine.prepare(parameters, days)
        some = bench.runoff(sizes.checked, n, 7)
        found = engine.apply(prepared, some)[0][0]
        error = accept(measure.relative_l2(found, network.truth(some[0])), FORWARD, "simulate")
    theirs = float("nan")
    if bench.peer is not None:
        theirs = _simulate_peer(bench, network, days)
    runoff = bench.runoff(days, n)
    with torch.no_grad():
        reset_peak(bench.device)
        taken = measure.seconds(lambda: engine.apply(prepared, runoff)[0], bench.device, 3)
        memory = peak(bench.device)
        times = (
            _kernel_seconds(lambda: engine.apply(prepared, runoff)[0]) if bench.device.type == "cuda" else {}
        )
    print(
        "kernels, ms: "
        + ", ".join(f"{k} {1e3 * t:.1f}" for k, t in sorted(times.items(), key=lambda i: -i[1])[:9])
    )
    cut = _fused(engine)._cut(prepared, 1, 0, days)
    note = f"{cut.n_segments} segments of {cut.points.length} days, {cut.hop} new ones in each"
    if times:
        note += f"; sweeps {1e3 * times['sweep_down']:.3g} ms of {1e3 * sum(times.values()):.3g}"
    bench.row(
        "simulate", "ours", "muskingum", network, days, f"{_lead(engine, network)} d",
        over_diffroute=theirs / taken, seconds=taken, peak_gb=memory, error=error, note=note,
    )  # fmt: skip


def _simulate_peer(bench: Bench, network: Network, days: int) -> float:
    assert bench.peer is not None
    peer = bench.peer(32)
    tree, router = peer.tree(network), peer.daily()
    runoff = fill(torch.empty(1, network.shape.reaches, days, device=bench.device), 0)
    reset_peak(bench.device)
    with torch.no_grad():
        taken = measure.seconds(lambda: router(runoff, tree), bench.device, 2)
    bench.row(
        "simulate", "DiffRoute", "muskingum", network, days, "32 d", over_diffroute=1.0, seconds=taken,
        peak_gb=peak(bench.device), note=f"{len(tree)} clusters",
    )  # fmt: skip
    return taken


SECTIONS = {"check": check, "train": train, "schemes": other_schemes, "simulate": simulate}


def main() -> None:
    """The sections in turn, each adding its rows to the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", default=",".join(SECTIONS), help="sections, with commas")
    parser.add_argument("--without-diffroute", action="store_true")
    parser.add_argument("--device", default="cuda")
    parser.add_argument(
        "--small", action="store_true", help="tiny networks, to try this (with TRITON_INTERPRET=1 on a CPU)"
    )
    parser.add_argument("--output", type=Path, default=Path(__file__).with_suffix(".csv"))
    options = parser.parse_args()
    device = torch.device(options.device)
    peer = None if options.without_diffroute else (lambda window: Peer(device, window, 10**5, 10**4))
    bench = Bench(SMALL if options.small else Sizes(), device, options.output, peer)
    for name in options.only.split(","):
        SECTIONS[name](bench)
        if device.type == "cuda":
            torch.cuda.empty_cache()


if __name__ == "__main__":
    main()
