"""What the closure's own cuFFT plans save against torch.fft: a training step with both, in pairs.

    python benchmarks/fft_plans.py [--reaches 160000] [--days 232] [--repeats 11]

A step is forward and all gradients by Muskingum, routing step 1 h, forcing step 1 d, float32: the `train` section of
closure_vs_diffroute.py. The steps alternate between the two transforms, so that both see the same clock rate. Prints
the median times, the median of the paired ratios (torch.fft over own plans) and the peak memory of each. The own plans
stay in `rivergrad.routing.closure.fused.transforms` only if they are worth more than 10 % of a step.
"""

from __future__ import annotations

import argparse
import statistics
from functools import partial

import forests
import measure
import torch
from closure_vs_diffroute import Network, _routed
from recurrence_vs_diffroute import fill, peak, reset_peak

from rivergrad.routing import schemes
from rivergrad.routing.closure.fused import transforms

UNTIMED = 2
WORTH = 1.10
"""Ratio from which on the own plans stay."""
WAYS = {"own plans": True, "torch.fft": False}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--reaches", type=int, default=160_000)
    parser.add_argument("--days", type=int, default=232)
    parser.add_argument("--repeats", type=int, default=11)
    parser.add_argument(
        "--device", default="cuda", help="cpu tries this script: both ways are torch.fft there"
    )
    given = parser.parse_args()
    device = torch.device(given.device)
    if device.type == "cuda" and transforms._library() is None:
        raise SystemExit("no cuFFT was found in this process: both ways would be torch.fft")
    network = Network(forests.river_forest(given.reaches), device)
    scheme = schemes.get("muskingum")
    engine = network.engine(scheme)
    runoff, weight = (fill(torch.empty(1, given.days, given.reaches, device=device), seed) for seed in (0, 1))
    leaves = {name: v.clone().requires_grad_() for name, v in network.parameters["muskingum"].items()}
    runoff.requires_grad_()

    def forward(own: bool) -> torch.Tensor:
        transforms.IN_PLACE = own
        return _routed(engine, runoff, leaves)

    def step(own: bool) -> object:
        return torch.autograd.grad(forward(own), [*leaves.values(), runoff], weight)

    peaks = {}
    for way, own in WAYS.items():
        for _ in range(UNTIMED):
            step(own)
        reset_peak(device)
        step(own)
        peaks[way] = peak(device)
    off = measure.relative_l2(forward(False).detach(), forward(True).detach())
    print(f"{given.reaches:,} reaches, {given.days} days; discharge differs by {off:.1e} (relative L2)")
    for name, timed in (("forward", forward), ("step", step)):
        pairs = [
            {way: measure.once(partial(timed, own), device) for way, own in WAYS.items()}
            for _ in range(given.repeats)
        ]
        ratio = statistics.median(pair["torch.fft"] / pair["own plans"] for pair in pairs)
        for way in WAYS:
            median = statistics.median(pair[way] for pair in pairs)
            print(f"{name:8} {way:10} {1e3 * median:9.3f} ms   peak {peaks[way]:.2f} GB")
        print(f"{name:8} ratio torch.fft / own plans: {ratio:.3f}")
    print(
        f"the own plans {'stay' if ratio > WORTH else 'can go'}: a step by torch.fft takes {ratio:.3f} times as long"
    )
    print(measure.machine(device))


if __name__ == "__main__":
    main()
