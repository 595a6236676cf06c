"""How the cost of the recurrence engine grows with reaches and with steps, over three decades of each.

    python benchmarks/recurrence_scaling.py [--device cuda] [--only reaches,steps]

Muskingum, float32, 24 routing steps in a forcing step, on generated forests with all reaches wanted. The
smallest network is checked against a naive float64 sweep first. `exponent` is the slope of log time over
log size for the whole series (1: linear), `exponent_end` between its two largest sizes, where what a call
costs in any case no longer shows.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import forests
import measure
import numpy as np
import torch
from naive import route_naively
from torch import Tensor

from rivergrad.routing.recurrence.engine import RecurrenceEngine
from rivergrad.routing.schemes.muskingum import Muskingum

HOUR, DAY = 3600.0, 86400.0
RATIO = 24
CHECKED_DAYS = 5
TOLERANCE = 1e-5  # relative L2, float32


@dataclass(frozen=True)
class Series:
    """Sizes (reaches, days) of which one grows and the other stays."""

    against: str
    sizes: tuple[tuple[int, int], ...]


def series(cuda: bool, small: bool) -> list[Series]:
    """Three decades of each, four of reaches on a GPU; as large as makes a call worth timing."""
    if small:
        return [
            Series("reaches", ((100, 5), (300, 5), (1_000, 5))),
            Series("steps", ((100, 5), (100, 15), (100, 50))),
        ]
    reaches = [10**power for power in ((3, 4, 5, 6, 7) if cuda else (3, 4, 5, 6))]
    days = [30, 300, 3_000, 30_000] if cuda else [3, 30, 300, 3_000]
    return [
        Series("reaches", tuple((n, 240 if cuda else 30) for n in reaches)),
        Series("steps", tuple((100_000 if cuda else 10_000, d) for d in days)),
    ]


@dataclass(frozen=True)
class Row:
    """One measurement; the exponents are those of the series it belongs to."""

    against: str
    what: str
    exponent: float
    exponent_end: float
    reaches: int
    levels: int
    widest: int
    steps: int
    seconds: float
    ns_per_reach_step: float
    machine: str


class Case:
    """A network of some size with its parameters, runoff and engine."""

    def __init__(self, n: int, days: int, device: torch.device) -> None:
        self.device = device
        self.downstream = forests.river_forest(n)
        self.shape = forests.shape(self.downstream)
        self.k, self.x = forests.muskingum_parameters(n)
        self.parameters = {
            name: torch.from_numpy(value).to(device).requires_grad_()
            for name, value in (("k", self.k), ("x", self.x))
        }
        random = torch.Generator(device).manual_seed(0)
        self.runoff = torch.empty(1, days, n, device=device).exponential_(generator=random)
        self.engine = RecurrenceEngine(self.downstream, Muskingum(), DAY, HOUR, np.arange(n), device=device)

    def discharge(self, runoff: Tensor) -> Tensor:
        return self.engine.apply(self.engine.prepare(self.parameters), runoff)[0]

    def forward(self) -> Tensor:
        with torch.no_grad():
            return self.discharge(self.runoff)

    def gradients(self) -> tuple[Tensor, ...]:
        """Of a weighted sum of all discharge (the weights: the runoff, as memory is short)."""
        runoff = self.runoff.detach().requires_grad_()
        return torch.autograd.grad(self.discharge(runoff), [*self.parameters.values(), runoff], self.runoff)

    def check(self) -> None:
        """Against the equations."""
        runoff = self.runoff[:, :CHECKED_DAYS]
        with torch.no_grad():
            found = self.discharge(runoff)[0].cpu()
        truth = route_naively(self.downstream, self.k, self.x, runoff[0].cpu().numpy(), RATIO, HOUR)
        error = measure.relative_l2(found, torch.from_numpy(truth))
        if not error <= TOLERANCE:
            raise SystemExit(f"relative L2 {error:.3g}, expected at most {TOLERANCE:g}; nothing is timed")
        print(f"answers within {error:.1e} of the naive sweep ({self.shape.reaches} reaches)", flush=True)


def grow(wanted: Series, device: torch.device, repeats: int) -> list[Row]:
    """Time a series, forward and with the gradients."""
    found: dict[str, list[float]] = {"forward": [], "forward + gradients": []}
    shapes = []
    for position, (n, days) in enumerate(wanted.sizes):
        case = Case(n, days, device)
        if position == 0:
            case.check()
        shapes.append(case.shape)
        calls: tuple[Callable[[], object], ...] = (case.forward, case.gradients)
        for times, call in zip(found.values(), calls, strict=True):
            times.append(measure.seconds(call, device, repeats))
        del case, call, calls
        if device.type == "cuda":
            torch.cuda.empty_cache()
    where = measure.machine(device)
    rows = []
    for what, times in found.items():
        size = np.array([n * days for n, days in wanted.sizes], np.float64)
        slope = float(np.polyfit(np.log(size), np.log(times), 1)[0])
        end = float(np.log(times[-1] / times[-2]) / np.log(size[-1] / size[-2]))
        print(f"exponent {slope:.3f}, {end:.3f} at the end: {what} against {wanted.against}", flush=True)
        for (n, days), shape, taken in zip(wanted.sizes, shapes, times, strict=True):
            steps = days * RATIO
            per = taken / (n * steps) * 1e9
            rows.append(
                Row(
                    wanted.against,
                    what,
                    slope,
                    end,
                    n,
                    shape.levels,
                    shape.widest,
                    steps,
                    taken,
                    per,
                    where,
                )
            )
            print(
                f"    {n:>9} reaches {steps:>7} steps: {taken:.4g} s, {per:.4g} ns a reach and step",
                flush=True,
            )
    return rows


def main() -> None:
    """Every series in turn."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--only", default="reaches,steps")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--small", action="store_true", help="tiny sizes, to try this script")
    parser.add_argument("--output", type=Path, default=Path(__file__).with_suffix(".csv"))
    options = parser.parse_args()
    device = torch.device(options.device)
    for wanted in series(device.type == "cuda", options.small):
        if wanted.against in options.only.split(","):
            measure.write(options.output, grow(wanted, device, options.repeats))


if __name__ == "__main__":
    main()
