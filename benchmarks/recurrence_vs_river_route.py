"""The recurrence engine on a CPU beside river_route's Muskingum kernel: same network, parameters and runoff.

    python benchmarks/recurrence_vs_river_route.py [--river-route DIR] [--threads 1,2] [--only thin]

DIR holds the package river_route (unpacked from its wheel, say); without it, the installed one is used. Only
the file with its kernels is loaded. `rapid_route` is serial Numba: for each routing step it goes down the
reaches, upstream before downstream, with runoff standing at both ends of the step (RAPID's convention), and
reports the mean of the discharges after each step, negative means set to zero. Ours: the same convention
(`muskingum`, rapid) with the mean taken after each step too.

The answers are compared before anything is timed. In float64, river_route's source is compiled a second
time with its two float32 work arrays in float64, as they would else hide everything below 1e-7; what is
timed is its own code as it stands (float32 work arrays, also where its inputs are float64).
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib.util
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import forests
import measure
import numba
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rivergrad.routing import schemes
from rivergrad.routing.recurrence.engine import RecurrenceEngine
from rivergrad.routing.schemes.base import Recurrence

STEP = 3600.0  # routing step, s
RATIO = 24  # routing steps in a forcing step
CPU = torch.device("cpu")
TOLERANCE = {torch.float64: 1e-8, torch.float32: 1e-4}  # relative L2 of all discharge
CHECKED_DAYS = 10
NUDGE = 1e-5  # relative, of the differences that the gradients are checked by
GRADIENT_TOLERANCE = 1e-5  # relative, of a derivative along one direction
PEER, FORWARD, GRADIENTS = "river_route forward", "ours forward", "ours forward + gradients"


@dataclass(frozen=True)
class Case:
    """A network, and how many days of runoff go through it."""

    name: str
    network: Callable[[], forests.Index]
    days: int


@dataclass(frozen=True)
class Row:
    """One measurement; `speedup` is the throughput over that of river_route in the same dtype and case."""

    case: str
    reaches: int
    levels: int
    widest: int
    days: int
    dtype: str
    what: str
    threads: int
    speedup: float
    seconds: float
    reach_steps_per_second: float
    over_forward: float
    error: float
    machine: str


CASES = (
    Case("wide", lambda: forests.shaped(114, 2000, 67_000), 120),
    Case("thin", lambda: forests.shaped(2912, 100, 100_000), 80),
    Case("world", lambda: forests.river_forest(1_000_000), 20),
)
SMALL = (Case("small", lambda: forests.shaped(100, 100, 5_000), 12),)


def load(path: Path) -> ModuleType:
    """One Python file as a module, without the package around it."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise SystemExit(f"{path}: not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module  # where Numba's cache looks for it
    spec.loader.exec_module(module)
    return module


def kernels(directory: Path | None, scratch: Path) -> dict[torch.dtype, ModuleType]:
    """river_route's kernels as they are (float32), and with every work array in float64."""
    if directory is None:
        spec = importlib.util.find_spec("river_route")
        if spec is None or spec.origin is None:
            raise SystemExit(
                "river_route is not installed: give the directory of its wheel, --river-route DIR"
            )
        directory = Path(spec.origin).parent.parent
    source = (directory / "river_route" / "routers" / "_numba_kernels.py").read_text()
    as_is, doubled = scratch / "river_route_kernels.py", scratch / "river_route_kernels_in_float64.py"
    as_is.write_text(source)
    doubled.write_text(source.replace("np.float32", "np.float64"))
    return {torch.float32: load(as_is), torch.float64: load(doubled)}


@dataclass(frozen=True)
class RiverRoute:
    """What `rapid_route` takes: the adjacency by columns, and the coefficients of each reach."""

    pointer: NDArray[np.int32]
    row: NDArray[np.int32]
    c1: NDArray[np.float64]
    c2: NDArray[np.float64]
    c3: NDArray[np.float64]

    def __call__(self, module: ModuleType, runoff: NDArray[np.floating]) -> NDArray[np.floating]:
        """Discharge (day, reach), from rest, in the dtype of the runoff."""
        dtype, n = runoff.dtype, self.c1.size
        found = np.zeros(runoff.shape, dtype)
        module.rapid_route(
            self.pointer,
            self.row,
            (-self.c1[self.row]).astype(dtype),
            self.c2.astype(dtype),
            self.c3.astype(dtype),
            (self.c1 + self.c2).astype(dtype),
            np.zeros(n, dtype),
            runoff,
            found,
            RATIO,
        )
        return found


def river_route(downstream: forests.Index, k: NDArray[np.float64], x: NDArray[np.float64]) -> RiverRoute:
    """Its arrays, with its own formulas for the coefficients (each column has one entry or none)."""
    by_k = STEP / k
    below = by_k + 2 * (1 - x)
    pointer = np.concatenate([[0], np.cumsum(downstream >= 0)]).astype(np.int32)
    row = downstream[downstream >= 0].astype(np.int32)
    return RiverRoute(
        pointer, row, (by_k - 2 * x) / below, (by_k + 2 * x) / below, (2 * (1 - x) - by_k) / below
    )


class Ours:
    """The engine for a network, all reaches wanted, with the mean of the discharges after each step."""

    def __init__(self, downstream: forests.Index, dtype: torch.dtype) -> None:
        scheme = schemes.get("muskingum", "rapid")
        self.engine = RecurrenceEngine(
            downstream, scheme, RATIO * STEP, STEP, targets=np.arange(downstream.size), dtype=dtype
        )

    def prepare(self, k: Tensor, x: Tensor) -> Recurrence:
        found = self.engine.prepare({"k": k, "x": x})
        return dataclasses.replace(found, output_delay=0)  # RAPID itself averages before each step

    def forward(self, k: Tensor, x: Tensor, runoff: Tensor) -> Tensor:
        """Discharge (day, reach)."""
        return self.engine.apply(self.prepare(k, x), runoff[None])[0][0]

    def gradients(self, k: Tensor, x: Tensor, runoff: Tensor, weight: Tensor) -> list[Tensor]:
        """Gradients of Σ weight · discharge with respect to k, x and all runoff; the forward pass included."""
        wanted = [tensor.detach().requires_grad_() for tensor in (k, x, runoff)]
        return list(torch.autograd.grad(self.forward(*wanted), wanted, weight))


def check(
    peer: RiverRoute,
    modules: dict[torch.dtype, ModuleType],
    downstream: forests.Index,
    k: Tensor,
    x: Tensor,
    runoff: NDArray[np.float32],
) -> dict[torch.dtype, float]:
    """How far the two answers are apart, for each dtype; an error where that is too far."""
    error = {}
    for dtype, module in modules.items():
        numbers = torch.from_numpy(runoff[:CHECKED_DAYS]).to(dtype)
        theirs = torch.from_numpy(peer(module, numbers.numpy()))
        ours = Ours(downstream, dtype).forward(k, x, numbers).clamp_min(0)  # as river_route does
        error[dtype] = measure.relative_l2(ours, theirs)
        if not error[dtype] <= TOLERANCE[dtype]:
            raise SystemExit(f"{dtype}: the answers differ by {error[dtype]:.3g} > {TOLERANCE[dtype]:g}")
    return error


def check_gradients(
    module: ModuleType, downstream: forests.Index, k: Tensor, x: Tensor, runoff: NDArray[np.float32]
) -> float:
    """Our derivatives along k, x and runoff beside differences of river_route's answers, all in float64."""
    random = torch.Generator().manual_seed(0)
    numbers = torch.from_numpy(runoff[:CHECKED_DAYS]).double()
    wanted = [tensor.clone().requires_grad_() for tensor in (k, x, numbers)]
    weight = torch.rand(numbers.shape, generator=random, dtype=torch.float64)
    discharge = Ours(downstream, torch.float64).forward(*wanted).clamp_min(0)
    found = torch.autograd.grad(discharge, wanted, weight)
    worst = 0.0
    tensors = [k, x, numbers]
    for position, gradient in enumerate(found):
        along = tensors[position] * torch.rand(tensors[position].shape, generator=random, dtype=torch.float64)
        ends = []
        for sign in (1, -1):
            moved = [t + sign * NUDGE * along if i == position else t for i, t in enumerate(tensors)]
            peer = river_route(downstream, moved[0].numpy(), moved[1].numpy())
            ends.append(float((torch.from_numpy(peer(module, moved[2].numpy())) * weight).sum()))
        difference = (ends[0] - ends[1]) / (2 * NUDGE)
        worst = max(worst, abs(float((gradient * along).sum()) / difference - 1))
    if not worst <= GRADIENT_TOLERANCE:
        raise SystemExit(f"derivatives differ from river_route's by {worst:.3g} > {GRADIENT_TOLERANCE:g}")
    return worst


def times(
    peer: RiverRoute,
    module: ModuleType,
    downstream: forests.Index,
    k: Tensor,
    x: Tensor,
    runoff: Tensor,
    options: argparse.Namespace,
) -> dict[tuple[str, int], float]:
    """Seconds of each (what, threads) in the dtype of the runoff."""
    numbers, repeats = runoff.numpy(), options.repeats
    found = {(PEER, 1): measure.seconds(lambda: peer(module, numbers), CPU, repeats)}
    if options.peer_only:
        return found
    weight = torch.rand_like(runoff)
    ours = Ours(downstream, runoff.dtype)
    with torch.no_grad():
        for count in options.threads:
            use(count)
            found[FORWARD, count] = measure.seconds(lambda: ours.forward(k, x, runoff), CPU, repeats)
    for count in options.threads:
        use(count)
        taken = measure.seconds(lambda: ours.gradients(k, x, runoff, weight), CPU, repeats)
        found[GRADIENTS, count] = taken
    return found


def use(threads: int) -> None:
    """So many threads, in Numba's loops and torch's."""
    numba.set_num_threads(threads)
    torch.set_num_threads(threads)


def compare(case: Case, modules: dict[torch.dtype, ModuleType], options: argparse.Namespace) -> list[Row]:
    """Check a case, then time it."""
    downstream = case.network()
    size = forests.shape(downstream)
    k_array, x_array = forests.muskingum_parameters(size.reaches)
    k, x = torch.from_numpy(k_array), torch.from_numpy(x_array)
    runoff = forests.daily_runoff(case.days, size.reaches)
    peer = river_route(downstream, k_array, x_array)
    error = {} if options.peer_only else check(peer, modules, downstream, k, x, runoff)
    if not options.peer_only:
        apart = check_gradients(modules[torch.float64], downstream, k, x, runoff)
        print(
            f"{case.name}: derivatives within {apart:.1e} of differences of river_route's answers", flush=True
        )
    work = size.reaches * case.days * RATIO
    where = measure.machine(CPU)
    rows = []
    for dtype in options.dtypes:
        numbers = torch.from_numpy(runoff).to(dtype)
        found = times(peer, modules[torch.float32], downstream, k, x, numbers, options)
        for (what, threads), taken in found.items():
            row = Row(
                case=case.name,
                reaches=size.reaches,
                levels=size.levels,
                widest=size.widest,
                days=case.days,
                dtype=str(dtype).removeprefix("torch."),
                what=what,
                threads=threads,
                speedup=found[PEER, 1] / taken,
                seconds=taken,
                reach_steps_per_second=work / taken,
                over_forward=taken / found.get((FORWARD, threads), float("nan"))
                if what != PEER
                else float("nan"),
                error=error.get(dtype, float("nan")),
                machine=where,
            )
            rows.append(row)
            print(
                f"{row.speedup:6.2f}x river_route  {row.case:6} {row.dtype} {what}, {threads} thread(s): "
                f"{taken:.3f} s, {row.reach_steps_per_second:.3g} reach·steps/s, "
                f"{row.over_forward:.2f}x our forward, answers within {row.error:.1e}",
                flush=True,
            )
    return rows


def integers(text: str) -> list[int]:
    return [int(part) for part in text.split(",")]


def dtypes(text: str) -> list[torch.dtype]:
    return [{"float32": torch.float32, "float64": torch.float64}[part] for part in text.split(",")]


def main() -> None:
    """Every case in turn; rows are added to the table as each is done."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--river-route", type=Path, help="directory that holds the package river_route")
    cores = min(2, numba.get_num_threads())
    parser.add_argument("--threads", type=integers, default=sorted({1, cores}), help="such as 1,2")
    parser.add_argument("--dtypes", type=dtypes, default=[torch.float32, torch.float64])
    names = ", ".join(case.name for case in CASES)
    parser.add_argument("--only", default="", help=f"names of cases, with commas: {names}")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--small", action="store_true", help="a small network, to try this script")
    parser.add_argument("--peer-only", action="store_true", help="time river_route alone")
    parser.add_argument("--output", type=Path, default=Path(__file__).with_suffix(".csv"))
    options = parser.parse_args()
    wanted = set(filter(None, options.only.split(",")))
    with tempfile.TemporaryDirectory() as scratch:
        modules = kernels(options.river_route, Path(scratch))
        for case in SMALL if options.small else CASES:
            if not wanted or case.name in wanted:
                measure.write(options.output, compare(case, modules, options))


if __name__ == "__main__":
    main()
