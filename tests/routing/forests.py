"""River networks, parameters and comparisons for the routing tests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor

from rivercut.network import RiverNetwork
from rivergrad.routing import ClosureEngine, GridWeights, RecurrenceEngine, RecurrenceState, schemes
from rivergrad.routing.reference import route_reference
from rivergrad.routing.schemes.base import Parameter, Scheme
from rivergrad.routing.schemes.custom import CustomScheme

Index = NDArray[np.int64]
DAY = 86400.0


def _triangle(parameters: dict[str, Tensor], times: Tensor) -> Tensor:
    """Shares of an impulse that leaves at a rate falling linearly to zero at `delay`."""
    left = torch.clamp(1 - torch.cat([times, times[-1:] + times[1]]) / parameters["delay"], min=0) ** 2
    return left[:, :-1] - left[:, 1:]


TRIANGLE = CustomScheme("triangle", (Parameter("delay", "s", 7200.0, 1.0, 1e9, "Longest delay."),), _triangle)
"""The custom scheme of these tests; `equations.triangle` is its equation."""

ALL: dict[str, Scheme] = {
    **{name: schemes.get(name) for name in schemes.BUILT_IN},
    "rapid": schemes.get("muskingum", "rapid"),
    "triangle": TRIANGLE,
}


RATIONAL = ("linear_storage", "muskingum", "nash_cascade", "pure_lag", "rapid")
"""Those of them that are recurrences."""

EXACT, SINGLE = 1e-10, 1e-5
"""How far from the reference an engine may be in float64 and in float32, relative L2."""

SETTINGS = settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
"""Of the searches over forests: the same cases in every run."""


def chain(n: int) -> Index:
    return np.append(np.arange(1, n), -1)


def star(n: int) -> Index:
    """n − 1 reaches that all flow into the last one."""
    return np.append(np.full(n - 1, n - 1), -1)


def random_forest(rng: np.random.Generator, n: int, reach: int, basins: float) -> Index:
    """Each reach flows into one of the next `reach`, or is an outlet with probability `basins`; relabelled."""
    down = np.array([min(i + 1 + int(rng.integers(reach)), n) for i in range(n)])
    down[(rng.random(n) < basins) | (down == n)] = -1
    return shuffled(down, rng.permutation(n))


def shuffled(downstream: Index, new: Index) -> Index:
    """The same forest with reach i called new[i]."""
    out = np.full(downstream.size, -1)
    out[new] = np.where(downstream >= 0, new[np.maximum(downstream, 0)], -1)
    return out


def network(downstream: Index) -> RiverNetwork:
    """With ids that are not positions."""
    ids = 1000 - 3 * np.arange(downstream.size) + 10**6
    return RiverNetwork.from_ids(ids, np.where(downstream >= 0, ids[np.maximum(downstream, 0)], -1))


def draw_parameters(
    scheme: Scheme, n: int, step: float, rng: np.random.Generator, slow: float = 1.0
) -> dict[str, Tensor]:
    """Travel times around `slow` routing steps, over two decades, as far as the scheme lets them vary."""
    travel = slow * step * 10 ** rng.uniform(-1.3, 0.7, n)
    if scheme.name == "muskingum":
        values = {"k": travel, "x": rng.uniform(0, 0.5, n)}
    elif scheme.name == "hayami":
        length = 10 ** rng.uniform(3, 5, n)
        celerity = length / travel
        values = {
            "celerity": celerity,
            "diffusivity": celerity * length * 10 ** rng.uniform(-2, 0, n),
            "length": length,
        }
    else:
        values = {scheme.parameter_names[0]: travel}
    return {name: torch.from_numpy(values[name]) for name in scheme.parameter_names}


def draw_runoff(rng: np.random.Generator, *shape: int) -> Tensor:
    """Spiky, and zero in between."""
    return torch.from_numpy(rng.exponential(1.0, shape) ** 2 * (rng.random(shape) < 0.6))


@dataclass
class Case:
    """A forest with everything needed to route on it."""

    downstream: Index
    scheme: Scheme
    ratio: int
    runoff: Tensor  # (time, reach)
    parameters: dict[str, Tensor]
    forcing_step: float = DAY

    @property
    def step(self) -> float:
        return self.forcing_step / self.ratio

    @property
    def order(self) -> Index:
        return network(self.downstream).order

    def reference(self, runoff: Tensor | None = None, parameters: dict[str, Tensor] | None = None) -> Tensor:
        runoff = self.runoff if runoff is None else runoff
        parameters = self.parameters if parameters is None else parameters
        return route_reference(
            self.downstream, self.order, runoff, parameters, self.scheme, self.forcing_step, self.step
        )

    def engine(
        self, dtype: torch.dtype = torch.float64, kind: str = "closure", **options: Any
    ) -> ClosureEngine | RecurrenceEngine:
        """The engine of that kind, all of whose reaches are wanted unless options say otherwise."""
        options.setdefault("targets", np.arange(self.downstream.size))
        options.setdefault("downstream", self.downstream)
        one = {"closure": ClosureEngine, "recurrence": RecurrenceEngine}[kind]
        return one(
            scheme=self.scheme, forcing_step=self.forcing_step, routing_step=self.step, dtype=dtype, **options
        )

    def leaves(self, dtype: torch.dtype = torch.float64) -> tuple[Tensor, dict[str, Tensor]]:
        """Runoff and parameters as fresh leaves that collect gradients."""
        runoff = self.runoff.to(dtype).detach().clone().requires_grad_()
        return runoff, {name: v.detach().clone().requires_grad_() for name, v in self.parameters.items()}


def case(
    downstream: Index, scheme: str, ratio: int, time: int, seed: int = 0, slow: float | None = None
) -> Case:
    rng = np.random.default_rng(seed)
    n = downstream.size
    one = ALL[scheme]
    step = DAY / ratio
    slow = 10 ** rng.uniform(-0.5, 1.2) if slow is None else slow
    return Case(downstream, one, ratio, draw_runoff(rng, time, n), draw_parameters(one, n, step, rng, slow))


@st.composite
def forests(draw: st.DrawFn, most: int = 24) -> Index:
    """Chains, stars with in-degree 150, single reaches, many basins and everything in between."""
    kind = draw(st.sampled_from(["random", "random", "chain", "star", "single", "lone", "comb"]))
    n = draw(st.integers(2, most))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    if kind == "random":
        return random_forest(rng, n, draw(st.sampled_from([1, 3, 8])), draw(st.sampled_from([0.0, 0.1, 0.5])))
    if kind == "single":
        return np.array([-1])
    if kind == "lone":
        return np.full(n, -1)
    if kind == "comb":  # a main stem with a tributary at every reach, next to a single reach
        stem = chain(n)
        down = np.concatenate([stem, np.arange(n), [-1]])
    elif kind == "star":  # 150 reaches into one, which flows on
        down = np.append(np.full(150, 150), [151, -1])
    else:
        down = chain(n)
    return shuffled(down, rng.permutation(down.size))


@st.composite
def cases(
    draw: st.DrawFn, ratios: tuple[int, ...] = (1, 3, 24, 93), names: Sequence[str] = tuple(ALL)
) -> Case:
    down = draw(forests())
    ratio = draw(st.sampled_from(ratios))
    most = {1: 60, 3: 30, 24: 10, 93: 5}[ratio]
    return case(
        down,
        draw(st.sampled_from(sorted(names))),
        ratio,
        draw(st.integers(2, most)),
        draw(st.integers(0, 2**32)),
    )


def off(found: Tensor | NDArray, expected: Tensor | NDArray, floor: Tensor | None = None) -> float:
    """Relative L2 distance; with `floor`, to no less than a thousandth of its size.

    (A wanted reach that nothing has reached yet has a discharge like 1e-120, of which no digit can be right.)
    """
    found, expected = (np.asarray(torch.as_tensor(a).detach(), dtype=np.float64) for a in (found, expected))
    assert found.shape == expected.shape, f"shape {found.shape}, expected {expected.shape}"
    size = float(np.linalg.norm(expected))
    if floor is not None:
        size = max(size, 1e-3 * float(floor.detach().norm()))
    return float(np.linalg.norm(found - expected)) / (size or 1.0)


def gradients(output: Tensor, runoff: Tensor, parameters: dict[str, Tensor]) -> dict[str, Tensor]:
    """Of Σ weight · output with fixed uneven weights (so that no two of its terms count the same)."""
    weight = 1 + 0.5 * torch.sin(torch.arange(output.numel(), dtype=output.dtype)).reshape(output.shape)
    found = torch.autograd.grad((weight * output).sum(), [runoff, *parameters.values()])
    return dict(zip(["runoff", *parameters], found, strict=True))


def sensitivities(found: dict[str, Tensor], c: Case) -> Tensor:
    """Gradients of all parameters as what a relative change of each would do: one vector, one unit.

    A parameter that hardly matters (x of a reach passed in a tenth of a step) has a gradient that is the small
    difference of large terms; its error is measured against what the parameters do together.
    """
    return torch.cat([found[name] * p for name, p in c.parameters.items()])


def compare(c: Case, out: Tensor, leaves: tuple, targets: Index, tolerance: float) -> None:
    """Discharge of the targets and its gradients against the reference."""
    runoff, p = c.leaves()
    expected = c.reference(runoff, p)[:, torch.from_numpy(targets)]
    assert off(out, expected, c.runoff) <= tolerance
    want, found = gradients(expected, runoff, p), gradients(out, *leaves)
    assert off(found["runoff"], want["runoff"], torch.ones(out.shape)) <= tolerance
    scale = float(sensitivities(want, c).norm()) + 1e-3 * float(c.runoff.norm())
    error = float((sensitivities(found, c) - sensitivities(want, c)).norm())
    assert error <= tolerance * scale


def in_chunks(one: Any, p: dict[str, Tensor], runoff: Tensor, cuts: list[int]) -> Tensor:
    """Discharge (time, target) by an engine, chunk by chunk of time."""
    prepared = one.prepare(p, len(runoff))
    state, pieces = None, []
    for a, b in zip([0, *cuts], [*cuts, len(runoff)], strict=True):
        piece, _, state = one.apply(prepared, runoff[None, a:b], state=state)
        pieces.append(piece[0])
    return torch.cat(pieces)


def in_two_engines(
    c: Case,
    seeds: Sequence[int],
    runoff: Tensor,
    p: dict[str, Tensor],
    upper: dict[str, Any],
    lower: dict[str, Any],
) -> Tensor:
    """Discharge (time, reach); the reaches downstream of a few seeds are one engine, all others another.

    What leaves the upper engine at the routing step enters the lower one. Time runs in two chunks. `upper` and
    `lower` are options of the engines.
    """
    n, time = c.downstream.size, len(runoff)
    below = np.zeros(n, bool)
    for i in seeds:
        while i >= 0 and not below[i]:
            below[i], i = True, c.downstream[i]
    up, low = np.flatnonzero(~below), np.flatnonzero(below)
    new = np.empty(n, np.int64)
    new[up], new[low] = np.arange(up.size), np.arange(low.size)

    def inside(members: Index) -> Index:
        down = c.downstream[members]
        same = (down >= 0) & (below[down] == below[members])
        return np.where(same, new[down], -1)

    crossing = up[(c.downstream[up] >= 0)]
    crossing = crossing[below[c.downstream[crossing]]]
    chunks = [runoff] if time < 2 else [runoff[: time // 2], runoff[time // 2 :]]
    pieces: list[Tensor] = []
    state: list[Any] = [None, None]
    if up.size:
        above = c.engine(downstream=inside(up), targets=np.arange(up.size), outlets=new[crossing], **upper)
        above_prepared = above.prepare({k: v[up] for k, v in p.items()}, time)
    under = c.engine(
        downstream=inside(low), targets=np.arange(low.size), inlets=new[c.downstream[crossing]], **lower
    )
    under_prepared = under.prepare({k: v[low] for k, v in p.items()}, time)
    for chunk in chunks:
        out = torch.zeros(len(chunk), n, dtype=runoff.dtype)
        flow = None
        if up.size:
            found, flow, state[0] = above.apply(above_prepared, chunk[None][..., up], state=state[0])
            assert flow.shape == (1, crossing.size, len(chunk) * c.ratio)
            out = out.index_add(1, torch.from_numpy(up), found[0].cpu())
        found, _, state[1] = under.apply(under_prepared, chunk[None][..., low], flow, state[1])
        pieces.append(out.index_add(1, torch.from_numpy(low), found[0].cpu()))
    return torch.cat(pieces)


def grid_of(rng: np.random.Generator, n: int, n_cells: int) -> GridWeights:
    """Up to four cells a reach (one may come twice, or a reach have none), more cells than are used."""
    pointer = np.append(0, np.cumsum(rng.integers(0, 5, n)))
    return GridWeights(pointer, rng.integers(0, n_cells, pointer[-1]), rng.random(pointer[-1]), n_cells)


def everything(one: RecurrenceEngine, c: Case, inputs: list[Tensor]) -> list[Tensor]:
    """Outputs of a chunk that goes on from a state, and the gradients of all inputs and parameters."""
    leaves = [tensor.detach().clone().requires_grad_() for tensor in inputs]
    p = {name: value.detach().clone().requires_grad_() for name, value in c.parameters.items()}
    runoff, inflow, state = leaves
    out, flow, after = one.apply(one.prepare(p), runoff, inflow, RecurrenceState(state))
    outputs = [out, flow, after.values]
    rng = np.random.default_rng(0)
    weights = [torch.from_numpy(rng.standard_normal(tuple(tensor.shape))).to(tensor) for tensor in outputs]
    found = torch.autograd.grad(outputs, [*leaves, *p.values()], weights)
    return [*outputs, *found[:3], sensitivities(dict(zip(p, found[3:], strict=True)), c)]
