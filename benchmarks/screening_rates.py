"""How often screening drops a correct gauge, and how often it finds one that was spoilt, on twins.

    python benchmarks/screening_rates.py [--reaches 800] [--seeds 3] [--data FOLDER] [--output screening_rates.csv]

Every reach of a network has a gauge. Discharge is routed with Muskingum at celerities of 0.2 to 3 m/s and observed with
noise and gaps. Four kinds of twins: white-noise runoff, independent from reach to reach and from day to day, which long
rivers smooth most; storms that pass over all; small streams (flows of litres a second, recorded with three digits); and
hourly storms. With `--data` (a folder with network.csv and runoff.nc) a fifth: its network and its runoff. Wanted: at
most 1 % of correct gauges dropped, in each kind.

Then one gauge in twenty is spoilt in each of five ways: a wrong unit, another river's discharge, a rating that steps by
2.5, an instrument that is stuck for two months, thirty times the water.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

import rivergrad as rg
from rivercut import graph
from rivergrad.gauges.screening import DAY, FEET, ScreeningResult, screen

Float = NDArray[np.float64]

KINDS = ("white noise", "storms", "small streams", "hourly")
REAL = "real runoff"
SPOILT = ("unit", "river", "rating", "stuck", "volume")
FOUND_AS = {
    "unit": {"unit error"},
    "river": {"wrong river", "volume ratio", "unit error"},
    "rating": {"rating change"},
    "stuck": {"flat stretch"},
    "volume": {"volume ratio", "unit error"},
}


def network(n: int, rng: np.random.Generator) -> rg.RiverNetwork:
    """Trees with long main stems: a reach drains to one of the few before it."""
    down = np.array([-1] + [max(0, i - 1 - int(rng.geometric(0.35))) for i in range(1, n)])
    down[rng.random(n) < 0.01] = -1
    return rg.RiverNetwork(np.arange(1, n + 1), down, length=rng.uniform(3000.0, 12000.0, n))


def runoff_of(kind: str, n: int, steps: int, rng: np.random.Generator) -> Float:
    """(time, reach) m³/s."""
    size = rng.uniform(0.3, 3.0, n)
    if kind == "white noise":
        return size * rng.gamma(0.4, 1.0, (steps, n))
    per_day = 24 if kind == "hourly" else 1
    storms = rng.exponential(1.0, (steps, 1)) * (rng.random((steps, 1)) < 0.15 / per_day)
    local = rng.exponential(1.0, (steps, n)) * (rng.random((steps, n)) < 0.1 / per_day)
    fast = storms + local
    slow = np.empty_like(fast)
    store = np.full(n, fast.mean())
    for t in range(steps):
        store += (fast[t] - store) / (20 * per_day)
        slow[t] = store
    found = size * (0.5 * fast + 0.5 * slow)
    return found * 1e-4 if kind == "small streams" else found


def real(data: Path) -> tuple[rg.RiverNetwork, Float]:
    """A real network and its daily runoff, (time, reach) m³/s."""
    rivers = rg.read_network(data / "network.csv")
    source = rg.open_runoff(data / "runoff.nc", rivers)
    return rivers, source.read(np.arange(rivers.n_reaches), 0, min(source.time.size, 4 * 365)).astype(float)


def twin(kind: str, n: int, seed: int, data: Path | None) -> tuple[Float, Float, float]:
    """Observed discharge and unrouted runoff upstream, (time, gauge) m³/s, and the step in s."""
    rng = np.random.default_rng([seed, len(kind)])
    step = 3600.0 if kind == "hourly" else DAY
    steps = 24 * 480 if kind == "hourly" else 3 * 365
    if kind == REAL:
        assert data is not None
        rivers, runoff = real(data)
    else:
        rivers = network(n, rng)
        runoff = runoff_of(kind, n, steps, rng)
    n = rivers.n_reaches
    celerity = np.exp(rng.uniform(np.log(0.2), np.log(3.0), n))
    k = torch.from_numpy(np.asarray(rivers.length) / celerity)
    parameters = {"k": k, "x": torch.zeros(n, dtype=torch.float64)}
    discharge, _ = rg.Router(
        rivers, "muskingum", forcing_step=step, routing_step=3600.0, dtype=torch.float64
    )(torch.from_numpy(runoff), parameters)
    warm = round(60 * DAY / step)
    unrouted = graph.accumulate(rivers.downstream, rivers.order, np.ascontiguousarray(runoff.T)).T[warm:]
    observed = np.maximum(discharge.numpy()[warm:], 0.0) * np.exp(0.1 * rng.standard_normal(unrouted.shape))
    if kind == "small streams":
        digits = 10.0 ** (np.floor(np.log10(np.maximum(observed, 1e-12))) - 2)
        observed = np.round(observed / digits) * digits
    observed[rng.random(observed.shape) < 0.1] = np.nan
    unrouted = unrouted * np.exp(rng.uniform(-0.4, 0.4, unrouted.shape[1]))  # errors of the runoff's volume
    return observed, unrouted, step


def spoil(observed: Float, step: float, seed: int) -> tuple[Float, dict[int, str]]:
    """One gauge in twenty spoilt in one of five ways, and how."""
    rng = np.random.default_rng([seed, 99])
    n = observed.shape[1]
    chosen = rng.permutation(n)[: n // 20]
    found, how = observed.copy(), {}
    mean = np.nanmean(observed, axis=0)
    for i, g in enumerate(chosen):
        way = SPOILT[i % len(SPOILT)]
        how[int(g)] = way
        if way == "unit":
            found[:, g] *= FEET
        elif way == "river":
            others = np.setdiff1d(np.flatnonzero(abs(np.log(np.maximum(mean, 1e-9) / mean[g])) < 0.7), [g])
            far = others[np.argmax(abs(others - g))]
            found[:, g] = observed[::-1, far]
        elif way == "rating":
            found[: round(0.45 * len(found)), g] *= 2.5
        elif way == "stuck":
            at = int(rng.integers(0, len(found) - round(60 * DAY / step)))
            found[at : at + round(60 * DAY / step), g] = mean[g]
        else:
            found[:, g] *= 30
    return found, how


def detected(result: ScreeningResult, how: dict[int, str]) -> dict[str, tuple[int, int]]:
    """By way: how many were found as what they are, and how many there were."""
    counts = dict.fromkeys(SPOILT, (0, 0))
    for g, way in how.items():
        hit = any(one.gauge == g and one.what in FOUND_AS[way] for one in result.findings)
        counts[way] = (counts[way][0] + hit, counts[way][1] + 1)
    return counts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--reaches", type=int, default=800)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--kinds", nargs="*", default=KINDS)
    parser.add_argument("--output", type=Path)
    parser.add_argument("--data", type=Path, help="folder with network.csv and runoff.nc")
    asked = parser.parse_args()
    rows = []
    for kind in [*asked.kinds, *([REAL] if asked.data else [])]:
        row: dict[str, object] = {"twin": kind, "gauges": 0, "dropped": 0, "masked": 0}
        counts = dict.fromkeys(SPOILT, (0, 0))
        for seed in range(asked.seeds):
            observed, unrouted, step = twin(kind, asked.reaches, seed, asked.data)
            clean = screen(observed, unrouted, step=step)
            row["gauges"] = int(row["gauges"]) + observed.shape[1]  # type: ignore[call-overload]
            row["dropped"] = int(row["dropped"]) + int((~clean.keep).sum())  # type: ignore[call-overload]
            row["masked"] = int(row["masked"]) + int(clean.mask.any(axis=0).sum())  # type: ignore[call-overload]
            bad, how = spoil(observed, step, seed)
            for way, (hit, there) in detected(screen(bad, unrouted, step=step), how).items():
                counts[way] = (counts[way][0] + hit, counts[way][1] + there)
        row["false_alarms_percent"] = 100 * (int(row["dropped"]) + int(row["masked"])) / int(row["gauges"])  # type: ignore[call-overload]
        row |= {f"{way}_found": f"{hit}/{there}" for way, (hit, there) in counts.items()}
        print(row, flush=True)
        rows.append(row)
    if asked.output:
        pd.DataFrame(rows).to_csv(asked.output, index=False)


if __name__ == "__main__":
    main()
