"""Where the time of a training step goes: an LSTM that makes runoff, the routing behind it, and their gradients.

    python benchmarks/end_to_end_profile.py [--device cuda] [--reaches 10000,160000] [--days 730] [--autocast]

A generated forest, daily forcings, hourly routing, gauges on 1 % of the reaches, all weights and all celerities
learned. The step is timed whole, and once more in parts: forward and backward of the runoff model and of the routing
(with what makes its parameters of celerity), the loss, and the optimiser. `share` is of the sum of the parts. Before
anything is timed, the gradients of the parts are held against those of the whole step on a small network.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import forests
import measure
import numpy as np
import torch
from torch import Tensor

from rivercut.network import RiverNetwork
from rivergrad.routing import Router, schemes
from rivergrad.runoff import FORCINGS, RunoffSpec, depth_to_discharge

HOUR, DAY = 3600.0, 86400.0
ATTRIBUTES = ("slope", "elevation", "clay")
GAUGE_EVERY = 100
TOLERANCE = 1e-4  # relative L2 of gradients, float32
ROUTING = ("routing forward", "routing backward")
TYPICAL = {"muskingum": 0.2, "hayami": 1000.0}
"""Spreading, where a scheme has one."""


@dataclass(frozen=True)
class Row:
    """One part of a step."""

    model: str
    scheme: str
    engine: str
    precision: str
    reaches: int
    days: int
    hidden: int
    part: str
    seconds: float
    share: float
    machine: str


class Case:
    """A network with weather, a runoff model and a router."""

    def __init__(self, n: int, days: int, options: argparse.Namespace, scheme: str) -> None:
        self.device = torch.device(options.device)
        downstream = forests.river_forest(n)
        ids = np.arange(n)
        self.network = RiverNetwork.from_ids(ids, downstream)
        self.scheme = schemes.get(scheme)
        self.gauges = np.arange(GAUGE_EVERY // 2, n, GAUGE_EVERY) if n > GAUGE_EVERY else np.array([n - 1])
        self.router = Router(
            self.network,
            self.scheme,
            forcing_step=DAY,
            routing_step=HOUR,
            targets=self.gauges,
            device=self.device,
        )
        own: dict[str, object] = {"hidden": options.hidden}
        if options.model == "lstm":
            own["chunk"] = options.chunk
        self.model = RunoffSpec(options.model, FORCINGS, ATTRIBUTES, options=own).build().to(self.device)
        random = torch.Generator(self.device).manual_seed(0)
        rain = torch.empty(days, n, device=self.device).exponential_(0.25, generator=random)
        warm = 10 + 10 * torch.sin(torch.arange(days, device=self.device) / 58)[:, None].expand(days, n)
        self.forcings = torch.stack([rain, warm, (0.15 * warm).clamp_min(0)], dim=-1)
        self.attributes = torch.randn(n, len(ATTRIBUTES), device=self.device, generator=random)
        self.area = torch.full((n,), 4e8, device=self.device)
        self.length = torch.linspace(5e3, 2e4, n, dtype=torch.float64, device=self.device)
        self.latent = torch.zeros(n, dtype=torch.float64, device=self.device, requires_grad=True)
        self.observed = torch.rand(days, self.gauges.size, device=self.device, generator=random)
        self.optimiser = torch.optim.Adam([*self.model.parameters(), self.latent], lr=1e-3)
        self.autocast = options.autocast

    def runoff(self) -> Tensor:
        with torch.autocast(self.device.type, torch.bfloat16) if self.autocast else nullcontext():
            depth = self.model(self.forcings, self.attributes)
        return depth_to_discharge(depth, self.area, DAY)

    def route(self, runoff: Tensor) -> Tensor:
        celerity = torch.exp(0.1 * self.latent)
        spreading = torch.full_like(celerity, TYPICAL[self.scheme.name]) if self.scheme.spreading else None
        discharge: Tensor = self.router(runoff, self.scheme.from_celerity(celerity, spreading, self.length))[
            0
        ]
        return discharge

    def loss(self, discharge: Tensor) -> Tensor:
        half = discharge.shape[0] // 2  # the rest is warm-up
        return ((discharge[half:] - self.observed[half:]) ** 2).mean()

    def whole(self) -> None:
        """A training step as anyone writes it."""
        self.optimiser.zero_grad()
        self.loss(self.route(self.runoff())).backward()
        self.optimiser.step()

    def parts(self, clock: Callable[[str, Callable[[], object]], object]) -> None:
        """The same step, cut behind the runoff and behind the routing."""
        self.optimiser.zero_grad()
        runoff = clock("runoff forward", self.runoff)
        assert isinstance(runoff, Tensor)
        leaf = runoff.detach().requires_grad_()
        discharge = clock("routing forward", lambda: self.route(leaf))
        assert isinstance(discharge, Tensor)
        end = discharge.detach().requires_grad_()
        clock("loss", lambda: self.loss(end).backward())
        clock("routing backward", lambda: discharge.backward(end.grad))
        clock("runoff backward", lambda: runoff.backward(leaf.grad))
        clock("optimiser", self.optimiser.step)

    def gradients(self) -> Tensor:
        every = [*self.model.parameters(), self.latent]
        return torch.cat([p.grad.detach().double().cpu().ravel() for p in every if p.grad is not None])


def check(options: argparse.Namespace, scheme: str) -> None:
    """The step in parts has the gradients of the whole one."""
    case = Case(300, 20, options, scheme)
    case.optimiser.step = lambda *_: None  # type: ignore[method-assign]
    case.whole()
    expected = case.gradients()
    case.parts(lambda _, call: call())
    error = measure.relative_l2(case.gradients(), expected)
    if not error <= TOLERANCE:
        raise SystemExit(f"gradients of the parts are off by {error:.3g}, expected at most {TOLERANCE:g}")
    print(f"{scheme}: the gradients of the parts are those of the whole step within {error:.1e}", flush=True)


def profile(n: int, options: argparse.Namespace, scheme: str) -> list[Row]:
    """Time a step of one size."""
    case = Case(n, options.days, options, scheme)
    whole = measure.seconds(case.whole, case.device, options.repeats)
    times: dict[str, list[float]] = {}
    kept: dict[str, object] = {}

    def clock(part: str, call: Callable[[], object]) -> object:
        def kept_call() -> None:
            kept[part] = call()

        times.setdefault(part, []).append(measure.once(kept_call, case.device))
        return kept.pop(part)

    for _ in range(1 + options.repeats):
        case.parts(clock)
    found = {part: float(np.median(taken[1:])) for part, taken in times.items()}
    total = sum(found.values())
    found["whole step"] = whole
    where = measure.machine(case.device)
    precision = "bfloat16 autocast" if options.autocast else "float32"
    shape = forests.shape(case.network.downstream)
    print(
        f"{options.model} + {scheme} ({case.router.engine}), {n} reaches, {shape.levels} levels, "
        f"{options.days} days, {precision}:"
    )
    rows = []
    for part, taken in found.items():
        share = taken / total
        print(f"    {part:<18} {taken:>9.4f} s {100 * share:>6.1f} %", flush=True)
        rows.append(
            Row(
                options.model, scheme, case.router.engine, precision, n, options.days, options.hidden,
                part, taken, share, where,
            )
        )  # fmt: skip
    routing = sum(found[part] for part in ROUTING) / total
    print(f"    routing takes {100 * routing:.1f} % of the step", flush=True)
    if case.device.type == "cuda":
        print(f"    peak memory {torch.cuda.max_memory_allocated() / 2**30:.1f} GiB", flush=True)
    return rows


def main() -> None:
    """Every scheme and size in turn."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--model", default="lstm", choices=("lstm", "hbv"))
    parser.add_argument("--schemes", default="muskingum")
    parser.add_argument("--reaches", default="10000,160000")
    parser.add_argument("--days", type=int, default=730)
    parser.add_argument("--hidden", type=int, default=64)
    parser.add_argument(
        "--chunk", type=int, default=16384, help="series of the LSTM that are computed at a time"
    )
    parser.add_argument("--autocast", action="store_true", help="the runoff model in bfloat16")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--output", type=Path, default=Path(__file__).with_suffix(".csv"))
    options = parser.parse_args()
    for scheme in options.schemes.split(","):
        check(options, scheme)
        for n in map(int, options.reaches.split(",")):
            measure.write(options.output, profile(n, options, scheme))
            if torch.device(options.device).type == "cuda":
                torch.cuda.empty_cache()
                torch.cuda.reset_peak_memory_stats()


if __name__ == "__main__":
    main()
