"""What estimates are worth where the truth is nonlinear: trained on quiet months, scored on floods.

    python benchmarks/nonlinear_twin.py [--reaches 3000] [--seeds 1 2] [--steps 80] [--errors] [--output F.csv]

The truth is Muskingum-Cunge with parameters by flow (`rivergrad.world.nonlinear`) in one large basin, whose travel
times are long beside floods; exponents 1 − p differ from reach to reach (0.25 to 0.45), and roughness is what no
attribute explains. `--own` takes the law itself as the truth, with those celerities and exponents: what is lost then is
not the scheme's. Runoff is hourly. Two quiet months with small storms and fronts are for training; in the months after
them great storms come besides. `--errors` gives estimates a runoff with errors in volume (20 %) and timing (2 h) of
regions. 5 % of the reaches have gauges, without noise. Estimates:

- unrouted, best uniform celerity (of 25);
- linear law: ln c₀ = level + a ln slope + b ln Q₀, and x: four numbers; linear, and with deviations of every reach;
- law with m: the same and one exponent m: five numbers; and with deviations.

All by Adam through the router, from the same start; the last one also by the workflow (hybrid, Gauss-Newton, its own
noise and posterior). `identified` are reaches whose celerity the training record tells, by the workflow:
identifiability (1 − posterior over prior variance) above 0.5. `rank` and `level` compare c₀ with the truth at Q₀, the
mean flow of the training months, where c₀ is meant; `_known` at all reaches upstream of a gauge. `_sharp` is as
`_identified` with identifiability above 0.9. `expected` is the rank correlation that a posterior with these intervals
has with its own draws: no estimate with such intervals can be expected to rank better. `path` is the root mean square
of ln(travel time over the true one) from each gauge to the next one downstream, `reach` that of identified reaches.
`law` is the rank correlation of what attributes explain best of the truth, fitted to it, `next` the correlation of the
errors of ln c₀ between an identified reach and the next one downstream.

NSE is at reaches without a gauge, over the floods; `large` is the tenth with the largest drainage area. Differences are
paired over reaches, with 90 % intervals of their median by bootstrap.
"""

from __future__ import annotations

import argparse
import math
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import xarray as xr
import yaml
from numpy.typing import NDArray
from scipy.stats import spearmanr
from torch import Tensor

from rivercut.network import RiverNetwork
from rivergrad.config.load import load_workflow
from rivergrad.config.quantities import parse_duration
from rivergrad.gauges.bootstrap import bootstrap_median
from rivergrad.gauges.scores import nse
from rivergrad.io.network import write_network_table
from rivergrad.pieces.meanflow import accumulated
from rivergrad.routing import Router
from rivergrad.routing.allocator import keep_pages
from rivergrad.routing.flow import Rounds
from rivergrad.run.workflow import run_workflow
from rivergrad.rundir.reading import RunData, read_parameter_map, read_run
from rivergrad.world import one_basin
from rivergrad.world.nonlinear import Channels, rectangular, route_nonlinear, with_errors

Float = NDArray[np.float64]
HOUR = 3600.0
QUIET, FLOODS, WARM = 60 * 24, 75 * 24, 10 * 24
"""Hours of the training months, of the floods after them, and before a score counts."""


def weather(network: RiverNetwork, rng: np.random.Generator) -> Float:
    """Hourly runoff (time, reach) m³/s: base flow, small storms and fronts all the time, great storms late."""
    area, lat, lon = (network.attributes[name] for name in ("area_m2", "lat", "lon"))
    hours, extent = QUIET + FLOODS, max(np.ptp(lat), np.ptp(lon))
    rain = np.zeros((hours, network.n_reaches))

    def storm(begin: int, length: int, depth: float, size: float) -> None:
        at = rng.integers(0, network.n_reaches)
        far2 = (lat - lat[at]) ** 2 + (lon - lon[at]) ** 2
        rain[begin : begin + length] += depth * np.exp(-0.5 * far2 / (size * extent) ** 2) / length

    for begin in rng.integers(0, hours - 24, 200):
        storm(begin, int(rng.integers(3, 12)), rng.gamma(1.0, 4.0), rng.uniform(0.05, 0.2))
    for begin in np.sort(rng.integers(0, hours - 24, 20)):
        storm(begin, int(rng.integers(6, 24)), rng.uniform(4.0, 12.0), rng.uniform(0.2, 0.5))
    for begin in np.sort(rng.integers(QUIET + WARM, hours - WARM, 5)):
        storm(begin, int(rng.integers(12, 36)), rng.uniform(60.0, 140.0), rng.uniform(0.2, 0.5))
    runoff = np.empty_like(rain)
    quick, slow = np.zeros(area.size), np.zeros(area.size)
    for t in range(hours):
        quick += 0.5 * rain[t] - (fast := quick / 8.0)
        slow += 0.5 * rain[t] - (late := slow / 200.0)
        runoff[t] = (0.02 + fast + late) * 1e-3 * area / HOUR
    return runoff


def truth(network: RiverNetwork, flow: Float, rng: np.random.Generator) -> Channels:
    """Channels with width by mean flow, roughness that varies by a third, exponents 1 − p of 0.25 to 0.45."""
    n = network.n_reaches
    slope = np.clip(network.attributes["slope"], 1e-4, 3e-2)
    rough = 0.045 * np.exp(0.25 * rng.standard_normal(n))
    width = 6.0 * np.maximum(flow, 1e-3) ** 0.5
    return rectangular(np.asarray(network.length), slope, width, rough, rng.uniform(0.55, 0.75, n))


class Law(torch.nn.Module):
    """ln c₀ = level + a ln slope + b ln Q₀ (standardised), x, m, and deviations where they are wanted."""

    def __init__(self, features: Tensor, start: float, by_flow: bool, deviates: bool) -> None:
        super().__init__()
        self.features = features
        self.level = torch.nn.Parameter(torch.tensor(math.log(start), dtype=torch.float64))
        self.trend = torch.nn.Parameter(torch.zeros(features.shape[1], dtype=torch.float64))
        self.x = torch.nn.Parameter(torch.tensor(0.0, dtype=torch.float64))
        self.m = (
            torch.nn.Parameter(torch.tensor(0.3 if by_flow else 0.0, dtype=torch.float64))
            if by_flow
            else None
        )
        size = features.shape[0] if deviates else 0
        self.own = torch.nn.Parameter(torch.zeros(size, dtype=torch.float64))

    def celerity(self) -> Tensor:
        found = self.level + self.features @ self.trend
        return torch.exp(found + self.own if self.own.numel() else found).clamp(0.05, 8.0)

    def parameters_of(self, length: Tensor) -> dict[str, Tensor]:
        return {"k": length / self.celerity(), "x": (0.5 * torch.sigmoid(self.x)).expand(length.shape)}

    def penalty(self) -> Tensor:
        found = 0.5 * (self.own**2).sum() / 0.4**2
        if self.m is not None:
            found = found + 0.5 * ((self.m - 0.3) / 0.1) ** 2
        return found


@dataclass(frozen=True, eq=False)
class Twin:
    """A basin with its truth, what estimates are given, and what they are scored on.

    Attributes:
        runoff: as estimates have it; observed: the truth, (time, reach) m³/s.
        q0: (reach,) mean flow of the training months; true_c: celerity there.
        gauges: positions; apart: reaches without one; large: those of them with the largest drainage area.
    """

    network: RiverNetwork
    runoff: Float
    observed: Float
    q0: Float
    true_c: Float
    gauges: NDArray[np.int64]
    apart: NDArray[np.int64]
    large: NDArray[np.int64]

    def scored(self, discharge: Float) -> Float:
        """NSE of the floods at every reach."""
        return nse(discharge[QUIET + WARM :], self.observed[QUIET + WARM :])

    def celerities(self, c: Float, told: NDArray[np.bool_], name: str) -> dict[str, float]:
        """Rank correlation with the truth and median ratio to it, of some reaches."""
        rank = float(spearmanr(c[told], self.true_c[told]).statistic)
        return {f"rank{name}": rank, f"level{name}": float(np.median(c[told] / self.true_c[told]))}


def make_twin(reaches: int, seed: int, errors: bool, own: bool = False) -> Twin:
    rng = np.random.default_rng(seed)
    network = one_basin(reaches, seed)
    n = network.n_reaches
    runoff = weather(network, rng)
    channels = truth(network, accumulated(network, runoff.mean(axis=0)), rng)
    at_mean = accumulated(network, runoff[:QUIET].mean(axis=0))
    observed = (
        by_own_law(network, channels, runoff, at_mean)
        if own
        else route_nonlinear(network, channels, runoff, HOUR)
    )
    if errors:
        areas = (
            np.argsort(np.argsort(network.attributes["lat"] // 1 * 1e4 + network.attributes["lon"])) * 40 // n
        )
        runoff = with_errors(runoff, areas, HOUR, volume=0.2, late=2 * HOUR, seed=seed)
    q0 = accumulated(network, runoff[:QUIET].mean(axis=0))
    gauges = np.sort(rng.choice(n, n // 20, replace=False))
    apart = np.setdiff1d(np.arange(n), gauges)
    upstream = network.attributes["upstream_area_m2"]
    large = apart[upstream[apart] >= np.quantile(upstream[apart], 0.9)]
    return Twin(network, runoff, observed, q0, channels.celerity(at_mean), gauges, apart, large)


def by_own_law(network: RiverNetwork, channels: Channels, runoff: Float, flow: Float) -> Float:
    """Discharge by the law itself, with the true celerities and the exponents of each reach, and one x."""
    router = Router(
        network, schemes_capped(), rounds=Rounds(8, 6 * HOUR), forcing_step=HOUR, routing_step=HOUR,
        dtype=torch.float64,
    )  # fmt: skip
    k = torch.from_numpy(np.array(network.length) / channels.celerity(flow))
    law = {
        "flow_exponent": torch.from_numpy(1 - channels.area_exponent),
        "reference_flow": torch.from_numpy(flow),
    }
    found: Float = router(torch.from_numpy(runoff), {"k": k, "x": torch.full_like(k, 0.35)}, **law)[0].numpy()
    return found


def by_workflow(twin: Twin, folder: Path, seed: int, given: argparse.Namespace) -> RunData:
    """The law with m and deviations of every reach, by the workflow: Gauss-Newton, noise and posterior with it."""
    if given.again and (folder / "run").exists():
        return read_run(folder / "run")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    write_network_table(folder / "n.parquet", twin.network)
    time = np.datetime64("2001-01-01", "ns") + np.arange(QUIET + FLOODS) * np.timedelta64(1, "h")
    ids = twin.network.reach_id
    unit = {"units": "m3 s-1"}
    xr.Dataset(
        {"runoff": (("time", "reach"), twin.runoff.astype(np.float32), unit)}, {"time": time, "reach": ids}
    ).to_netcdf(folder / "r.nc")
    names = np.array([f"g{i}" for i in ids[twin.gauges]], dtype=object)
    xr.Dataset(
        {"discharge": (("time", "gauge"), twin.observed[:, twin.gauges], unit)},
        {"time": time, "gauge": names, "reach_id": ("gauge", ids[twin.gauges])},
    ).to_netcdf(folder / "o.nc")
    data = {
        "name": "nonlinear",
        "seed": seed,
        "output": str(folder / "run"),
        "network": {"path": str(folder / "n.parquet")},
        "runoff": {"path": str(folder / "r.nc")},
        "observations": {"path": str(folder / "o.nc")},
        "scheme": {"name": "muskingum", "cap_x": True},
        "time": {"routing_step": "1h", "warmup": "10d", "train": ["2001-01-01", str(time[QUIET - 1])[:10]]},
        "gauges": {"screening": {"enabled": False}},
        "parameters": {
            "model": "hybrid",
            "trend": ["slope", "mean_flow"],
            "celerity": {"initial": 1.0, "bounds": [0.05, 10.0]},
            "flow_exponent": {"gradient_rounds": 2, "interval": given.interval},
        },
        "partition": {"parts": 1},
        "compute": {"kind": "serial"},
        "estimate": {"method": "gauss_newton", "steps": given.newton, "window": "24d", "uniform_grid": 7},
        "uncertainty": {"enabled": True, "products": given.products},
    }
    path = folder / "w.yaml"
    path.write_text(yaml.safe_dump(data, sort_keys=False))
    return read_run(run_workflow(load_workflow(path), report=False, show_scores=False))


def expected_rank(celerity: Float, sd_log: Float, seed: int) -> float:
    """Rank correlation of an estimate with draws of its own posterior, the mean of 100."""
    rng, log = np.random.default_rng(seed), np.log(celerity)
    draws = (log + sd_log * rng.standard_normal(log.size) for _ in range(100))
    return float(np.mean([spearmanr(log, one).statistic for one in draws]))


def path_errors(twin: Twin, celerity: Float) -> Float:
    """ln of the travel time over the true one, from each gauge to the next one downstream."""
    down, length = twin.network.downstream, np.asarray(twin.network.length)
    gauged = np.isin(np.arange(down.size), twin.gauges)
    found = []
    for gauge in twin.gauges:
        path, at = [], int(down[gauge])
        while at >= 0:
            path.append(at)
            if gauged[at]:
                found.append(
                    float(np.log((length / celerity)[path].sum() / (length / twin.true_c)[path].sum()))
                )
                break
            at = int(down[at])
    return np.array(found)


def best_law(twin: Twin) -> Float:
    """ln of the celerity that slope, mean flow, area and length explain best, fitted to the truth itself."""
    of = twin.network.attributes
    slope = np.clip(of["slope"], 1e-4, 3e-2)
    columns = [
        np.ones(slope.size),
        *map(np.log, (slope, twin.q0, of["upstream_area_m2"], twin.network.length)),
    ]
    made = np.stack(columns, axis=1)
    found: Float = made @ np.linalg.lstsq(made, np.log(twin.true_c), rcond=None)[0]
    return found


def told_of(twin: Twin, maps: Mapping[str, Float], known: NDArray[np.bool_], seed: int) -> dict[str, float]:
    """What celerities of the workflow are worth, by identifiability; see the top of this file."""
    c = np.asarray(maps["celerity"], np.float64)
    lower, upper = (np.asarray(maps[f"celerity_{end}"], np.float64) for end in ("lower", "upper"))
    sd_log = np.log(upper / lower) / (2 * 1.645)
    off = np.log(c / twin.true_c)
    best, down = best_law(twin), twin.network.downstream
    found = {"path": float(np.sqrt(np.mean(path_errors(twin, c) ** 2)))}
    for name, least in (("identified", 0.5), ("sharp", 0.9)):
        which = known & (np.asarray(maps["identifiability"]) > least)
        pairs = np.flatnonzero(which & (down >= 0) & which[down])
        inside = (twin.true_c >= lower) & (twin.true_c <= upper)
        found |= {
            f"n_{name}": float(which.sum()), f"coverage_{name}": float(inside[which].mean()),
            f"expected_{name}": expected_rank(c[which], sd_log[which], seed),
            f"reach_{name}": float(np.sqrt(np.mean(off[which] ** 2))),
            f"spread_{name}": float(np.log(twin.true_c[which]).std()),
            f"next_{name}": float(np.corrcoef(off[pairs], off[down[pairs]])[0, 1]) if pairs.size > 2 else math.nan,
            f"law_{name}": float(spearmanr(best[which], twin.true_c[which]).statistic),
        }  # fmt: skip
        found |= twin.celerities(c, which, f"_{name}")
    return found


def case_of(given: argparse.Namespace) -> str:
    return ("errors" if given.errors else "exact") + (", own law" if given.own else "")


def carry_out(given: argparse.Namespace, seed: int) -> list[dict[str, object]]:
    began = time.perf_counter()
    twin = make_twin(given.reaches, seed, given.errors, given.own)
    network, n, gauges = twin.network, twin.network.n_reaches, twin.gauges
    print(
        f"truth: {n} reaches, {twin.runoff.shape[0]} hours, {time.perf_counter() - began:.1f} s", flush=True
    )
    slope = np.clip(network.attributes["slope"], 1e-4, 3e-2)
    logs = np.stack([np.log(slope), np.log(twin.q0)], axis=1)
    features = torch.from_numpy((logs - logs.mean(axis=0)) / logs.std(axis=0))
    length, flow = torch.from_numpy(np.array(network.length)), torch.from_numpy(twin.q0)
    forcing = torch.from_numpy(twin.runoff).float()
    steps = {"forcing_step": HOUR, "routing_step": HOUR}
    rounds = Rounds(given.rounds, parse_duration(given.interval), gradient_rounds=2)
    at_gauges = Router(network, schemes_capped(), targets=gauges, rounds=rounds, **steps)
    everywhere = Router(network, schemes_capped(), rounds=rounds, **steps)
    seen = torch.from_numpy(twin.observed[WARM:QUIET, gauges])
    spread = seen.var(dim=0).clamp_min(1e-12)

    def law_of(law: Law) -> dict[str, Tensor]:
        return {} if law.m is None else {"flow_exponent": law.m.clamp(0.0, 0.8), "reference_flow": flow}

    def fit(law: Law) -> tuple[float, float]:
        shared = [law.level, law.trend, law.x, *([] if law.m is None else [law.m])]
        optimiser = torch.optim.Adam([{"params": shared}, {"params": [law.own]}])
        start = time.perf_counter()
        for step in range(given.steps):
            for group, rate in zip(optimiser.param_groups, (0.1, 0.03), strict=True):
                group["lr"] = rate * 0.5 * (1 + math.cos(math.pi * step / given.steps)) + 1e-4
            optimiser.zero_grad()
            q, _ = at_gauges(forcing[:QUIET], law.parameters_of(length), **law_of(law))
            errors = (q[WARM:].double() - seen) ** 2
            # a tenth of a day's errors count as one of independent ones
            loss = (errors.mean(dim=0) / spread).mean() + law.penalty() / (len(gauges) * 60)
            loss.backward()
            optimiser.step()
        return float(loss.detach()), time.perf_counter() - start

    @torch.no_grad()
    def routed(parameters: dict[str, Tensor], **law: Tensor) -> Float:
        return everywhere(forcing, parameters, **law)[0].double().numpy()

    found: dict[str, Float] = {"unrouted": twin.scored(unrouted(network, twin.runoff))}
    best = min(
        np.geomspace(0.2, 5.0, 25),
        key=lambda c: loss_of(at_gauges, forcing[:QUIET], length / c, seen),
    )
    found["best uniform"] = twin.scored(routed({"k": length / best, "x": torch.full((n,), 0.2)}))
    known = upstream_of(network, gauges)
    notes: dict[str, dict[str, float]] = {"best uniform": {"level_known": float(best)}}
    identified: NDArray[np.bool_] | None = None
    celerities: dict[str, Float] = {}
    if given.workflow:
        start = time.perf_counter()
        run = by_workflow(twin, given.folder / f"{case_of(given)}_{seed}_{n}", seed, given)
        maps = read_parameter_map(run.folder / "parameters.zarr", run.network)
        told = {key: torch.from_numpy(np.asarray(maps[key], np.float64)) for key in ("k", "x")}
        law = {
            key: torch.from_numpy(np.asarray(maps[key], np.float64))
            for key in ("flow_exponent", "reference_flow")
        }
        name = "workflow, law with m per reach"
        found[name] = twin.scored(routed(told, **law))
        celerities[name] = run.celerity
        identified = known & (maps["identifiability"] > 0.5)
        notes[name] = {
            "m": float(law["flow_exponent"][0]), "x": float(told["x"].median()), "seconds": time.perf_counter() - start,
            "rounds": float(run.summary["flow"]["rounds"]), "bound": run.summary["flow"]["bound"],
            **told_of(twin, maps, known, seed),
        }  # fmt: skip
        print(name, notes[name], flush=True)
    cases: dict[str, Callable[[], Law]] = {
        "linear law": lambda: Law(features, float(best), False, False),
        "linear estimate per reach": lambda: Law(features, float(best), False, True),
        "law with m": lambda: Law(features, float(best), True, False),
        "law with m per reach": lambda: Law(features, float(best), True, True),
    }
    for name, make in cases.items():
        law_ = make()
        loss, seconds = fit(law_)
        with torch.no_grad():
            found[name] = twin.scored(routed(law_.parameters_of(length), **law_of(law_)))
            celerities[name] = law_.celerity().numpy()
        m = 0.0 if law_.m is None else float(law_.m.detach())
        x = float(0.5 * torch.sigmoid(law_.x.detach()))
        notes[name] = {"loss": loss, "seconds": seconds, "m": m, "x": x}
        print(name, notes[name], flush=True)
    for name, c in celerities.items():
        notes[name] |= twin.celerities(c, known, "_known")
        if identified is not None and identified.sum() > 2:
            notes[name] |= twin.celerities(c, identified, "_identified")
    rows: list[dict[str, object]] = []
    for name, score in found.items():
        row: dict[str, object] = {"case": case_of(given), "seed": seed, "reaches": n}
        row["method"] = name
        for part, which in (("all", twin.apart), ("large", twin.large)):
            row[f"nse_{part}"] = float(np.nanmedian(score[which]))
            gain = found["law with m"][which] - score[which]
            middle, low, high = bootstrap_median(gain[np.isfinite(gain)], [seed])
            row |= {f"law_gain_{part}": middle, f"low_{part}": low, f"high_{part}": high}
        rows.append(row | notes.get(name, {}))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--reaches", type=int, default=3000)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1])
    parser.add_argument("--steps", type=int, default=80)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--interval", default="6h", help="over which coefficients are constant")
    parser.add_argument("--newton", type=int, default=12, help="steps of the workflow")
    parser.add_argument("--products", type=int, default=100, help="of its uncertainty")
    parser.add_argument("--errors", action="store_true")
    parser.add_argument("--own", action="store_true", help="the truth is the law itself, m by reach")
    parser.add_argument("--again", action="store_true", help="take the workflow's run that is in the folder")
    parser.add_argument("--no-workflow", dest="workflow", action="store_false")
    parser.add_argument(
        "--folder", type=Path, default=Path("nonlinear_twin"), help="for files of the workflow"
    )
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "nonlinear_twin.csv")
    given = parser.parse_args()
    keep_pages()
    for seed in given.seeds:
        table = pd.DataFrame(carry_out(given, seed)).round(4)
        print(table.to_string(), flush=True)
        if given.output.exists():
            old = pd.read_csv(given.output)
            first = table.iloc[0]
            same = (
                (old["case"] == first["case"]) & (old["seed"] == seed) & (old["reaches"] == first["reaches"])
            )
            table = pd.concat([old[~same], table])
        table.to_csv(given.output, index=False)


def upstream_of(network: RiverNetwork, gauges: NDArray[np.int64]) -> NDArray[np.bool_]:
    """(reach,) whether there is a gauge at it or downstream of it."""
    known = np.zeros(network.n_reaches, bool)
    known[gauges] = True
    for i in network.order[::-1]:
        if network.downstream[i] >= 0:
            known[i] |= known[network.downstream[i]]
    return known


def schemes_capped():  # type: ignore[no-untyped-def]
    """Muskingum with x capped in every round, the linear one too."""
    from rivergrad.routing import schemes

    return schemes.get("muskingum", cap_x=True)


def loss_of(router: Router, runoff: Tensor, k: Tensor, seen: Tensor) -> float:
    """Minus the median NSE at the gauges."""
    with torch.no_grad():
        q, _ = router(runoff, {"k": k, "x": torch.full_like(k, 0.2)})
    return -float(np.nanmedian(nse(q[WARM:].double().numpy(), seen.numpy())))


def unrouted(network: RiverNetwork, runoff: Float) -> Float:
    """The sum of the upstream runoff of the same step."""
    found = runoff.copy()
    for i in network.order:
        if network.downstream[i] >= 0:
            found[:, network.downstream[i]] += found[:, i]
    return found


if __name__ == "__main__":
    main()
