"""The specification: routing in float64 that reads like the equations of DESIGN.md §3.

    x_i[t] = (g_i * r_i)[⌊t/S⌋] + Σ_{j: down(j)=i} q_j[t]
    q_i    = h_i * x_i
    Q_i[d] = mean of q_i[t] over the S routing steps of d

g_i is the hillslope response at the forcing step, see `hillslope/reference.py`; without one runoff enters as it is.

No window, no blocks, no clever order: every reach's full response is convolved with its full inflow.
Slow by design; every engine is tested against it, forward and gradient (it is plain differentiable torch).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rivergrad.routing.hillslope.base import Hillslope
from rivergrad.routing.hillslope.reference import delayed_reference
from rivergrad.routing.reported import MEAN, Report, reported
from rivergrad.routing.schemes.base import Parameters, Scheme
from rivergrad.routing.steps import step_ratio


def convolve(h: Tensor, x: Tensor) -> Tensor:
    """Causal convolution Σ_n h[n] x[t−n] of (n,) and (..., n), zero-padded so that nothing wraps."""
    size = 2 * x.shape[-1]
    return torch.fft.irfft(torch.fft.rfft(h, size) * torch.fft.rfft(x, size), size)[..., : x.shape[-1]]


def route_reference(
    downstream: Sequence[int] | NDArray[np.int64],
    order: Sequence[int] | NDArray[np.int64],
    runoff: Tensor,
    parameters: Parameters,
    scheme: Scheme,
    forcing_step: float,
    routing_step: float,
    hillslope: Hillslope | None = None,
    report: Report = MEAN,
) -> Tensor:
    """Discharge of every reach, from rest.

    Args:
        downstream: (reach,) position of the downstream reach, −1 at an outlet.
        order: (reach,) positions, upstream before downstream.
        runoff: (time, reach) mean over each forcing step, m³/s.
        parameters: the scheme's, each (reach,), and those of the hillslope response.
        forcing_step, routing_step: Δ and δ, s; Δ/δ a whole number.
        hillslope: what runoff passes before it enters a reach.
        report: which discharge is reported.

    Returns:
        (time, reach) mean discharge of each forcing step, or as `report` says, m³/s, float64.
    """
    runoff = runoff.to(torch.float64)
    parameters = {name: value.to(torch.float64) for name, value in parameters.items()}
    if hillslope is not None:
        runoff = delayed_reference(runoff, hillslope, parameters, forcing_step)
    ratio = step_ratio(forcing_step, routing_step)
    steps = runoff.shape[0] * ratio
    h = scheme.response(parameters, routing_step, steps)
    h_runoff = scheme.runoff_response(parameters, routing_step, steps)
    from_upstream: dict[int, Tensor] = {}
    discharge: dict[int, Tensor] = {}
    for i in (int(i) for i in order):
        q = convolve(h_runoff[i], runoff[:, i].repeat_interleave(ratio))
        if i in from_upstream:
            q = q + convolve(h[i], from_upstream.pop(i))
        down = int(downstream[i])
        if down >= 0:
            from_upstream[down] = from_upstream[down] + q if down in from_upstream else q
        late = scheme.output_delay if report.kind == "mean" else 0
        discharge[i] = reported(torch.cat([q.new_zeros(late), q])[:steps], ratio, report)
    return torch.stack([discharge[i] for i in range(len(discharge))], dim=1)
