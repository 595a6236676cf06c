"""The specification of a celerity that depends on flow: float64, one loop over time, as the equations stand.

    f_i[j] = clamp(Q_i[j] / Q₀_i)^m_i        of interval j, Q of the round before (round 0: f = 1)
    a, b   = of the scheme with waves f times as fast
    e = x − m;  q = m + a e;  m ← m + b e     at each routing step, sections in series, m held between intervals

Slow by design; plain differentiable torch.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rivergrad.routing.flow.law import Rounds, factor, interval_means
from rivergrad.routing.hillslope.base import Hillslope, split
from rivergrad.routing.hillslope.reference import delayed_reference
from rivergrad.routing.reported import MEAN, Report, reported
from rivergrad.routing.schemes.base import Parameters, Scheme
from rivergrad.routing.steps import step_ratio


def route_flow_reference(
    downstream: Sequence[int] | NDArray[np.int64],
    order: Sequence[int] | NDArray[np.int64],
    runoff: Tensor,
    parameters: Parameters,
    exponent: Tensor,
    reference: Tensor,
    scheme: Scheme,
    forcing_step: float,
    routing_step: float,
    rounds: Rounds,
    hillslope: Hillslope | None = None,
    report: Report = MEAN,
) -> Tensor:
    """Discharge of every reach from rest, (time, reach) m³/s, mean of each forcing step.

    Args:
        exponent, reference: m and Q₀ (m³/s), (reach,).
        rounds: their number and the interval; the gradient goes through `gradient_rounds` of them.
        downstream to routing_step, hillslope, report: as for `routing.reference.route_reference`.
    """
    runoff = runoff.to(torch.float64)
    if hillslope is not None:
        runoff = delayed_reference(runoff, hillslope, parameters, forcing_step)
        parameters, _ = split(parameters)
    ratio = step_ratio(forcing_step, routing_step)
    hold = rounds.hold(forcing_step)
    intervals = -(-runoff.shape[0] // hold)
    speed = torch.ones(intervals, runoff.shape[1], dtype=torch.float64)
    series = runoff.repeat_interleave(ratio, dim=0)
    flow: Tensor | None = None
    for number in range(rounds.rounds + 1):
        if number > 0:
            given = series.reshape(-1, ratio, series.shape[1]).mean(dim=1)
            flow = rounds.next_flow(flow, interval_means(given[None], hold)[0])
            if number == rounds.rounds - rounds.gradient_rounds + 1:
                flow = flow.detach()
            speed = factor(flow, exponent, reference)
        faster = parameters if number == 0 else scheme.faster(parameters, speed, routing_step)
        assert faster is not None
        series = sweep_reference(
            downstream, order, runoff, faster, scheme, routing_step, ratio, hold, intervals
        )
    return torch.stack([reported(q, ratio, report) for q in series.T], dim=1)


def sweep_reference(
    downstream: Sequence[int] | NDArray[np.int64],
    order: Sequence[int] | NDArray[np.int64],
    runoff: Tensor,
    parameters: Parameters,
    scheme: Scheme,
    routing_step: float,
    ratio: int,
    hold: int,
    intervals: int,
) -> Tensor:
    """One sweep, (routing step, reach), with parameters (interval, reach), or (reach,) where they do not change."""
    recurrence = scheme.recurrence(parameters, routing_step)
    assert recurrence is not None
    a = recurrence.a.expand(intervals, -1)
    b = recurrence.b.expand(intervals, -1)
    time = runoff.shape[0]
    arriving: dict[int, list[Tensor]] = {}
    found: dict[int, Tensor] = {}
    for i in (int(i) for i in order):
        states = [runoff.new_zeros(())] * recurrence.sections
        inflow = arriving.pop(i, None)
        series: list[Tensor] = []
        for t in range(time * ratio):
            d = t // ratio
            q = runoff[d, i] if inflow is None else runoff[d, i] + inflow[t]
            for s in range(recurrence.sections):
                e = q - states[s]
                q, states[s] = states[s] + a[d // hold, i] * e, states[s] + b[d // hold, i] * e
            series.append(q)
        found[i] = torch.stack(series)
        down = int(downstream[i])
        if down >= 0:
            above = arriving.get(down)
            arriving[down] = series if above is None else [p + q for p, q in zip(above, series, strict=True)]
    return torch.stack([found[i] for i in range(len(found))], dim=1)
