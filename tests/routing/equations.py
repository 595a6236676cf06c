"""The equations of DESIGN.md §3, written as plain numpy loops over time and reaches.

Nothing here imports rivergrad: what the routing is tested against has to be another computation.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Array = NDArray[np.float64]


def muskingum_coefficients(k: float, x: float, step: float) -> tuple[float, float, float]:
    d = k * (1 - x) + step / 2
    return (step / 2 - k * x) / d, (step / 2 + k * x) / d, (k * (1 - x) - step / 2) / d


def muskingum(inflow: Array, k: float, x: float, step: float) -> Array:
    """q[t] = C0 x[t] + C1 x[t−1] + C2 q[t−1], from rest."""
    c0, c1, c2 = muskingum_coefficients(k, x, step)
    q = np.zeros_like(inflow)
    before_x = before_q = 0.0
    for t, now in enumerate(inflow):
        q[t] = c0 * now + c1 * before_x + c2 * before_q
        before_x, before_q = now, q[t]
    return q


def linear_storage(inflow: Array, tau: float, step: float) -> Array:
    """dV/dt = x − V/tau, V at the end of the step on the right-hand side; q = V/tau."""
    if tau == 0:
        return inflow.copy()
    q = np.zeros_like(inflow)
    volume = 0.0
    for t, now in enumerate(inflow):
        volume = (volume + step * now) / (1 + step / tau)
        q[t] = volume / tau
    return q


def nash_cascade(inflow: Array, tau: float, step: float, n: int = 3) -> Array:
    """n linear storages, one after the other."""
    for _ in range(n):
        inflow = linear_storage(inflow, tau, step)
    return inflow


def pure_lag(inflow: Array, delay: float, step: float) -> Array:
    """The inflow `delay` ago, on the straight line between the two nearest steps."""
    q = np.zeros_like(inflow)
    for t in range(inflow.size):
        position = t - delay / step
        below = int(np.floor(position))
        share = position - below
        for at, weight in ((below, 1 - share), (below + 1, share)):
            if 0 <= at <= t:
                q[t] += weight * inflow[at]
    return q


def hayami(inflow: Array, celerity: float, diffusivity: float, length: float, step: float) -> Array:
    """Shares of an impulse that pass in each step: first passage of a drifting, diffusing particle."""
    mean, shape = length / celerity, length**2 / (2 * diffusivity)
    passed = stats.invgauss(mean / shape, scale=shape).cdf(step * np.arange(inflow.size + 1))
    return np.convolve(inflow, np.diff(passed))[: inflow.size]


def triangle(inflow: Array, delay: float, step: float) -> Array:
    """A custom scheme: an impulse leaves at a rate that falls linearly to zero at `delay`."""
    left = [max(0.0, 1 - step * n / delay) ** 2 for n in range(inflow.size + 1)]
    return np.convolve(inflow, -np.diff(left))[: inflow.size]


SCHEMES = {
    "muskingum": muskingum,
    "linear_storage": linear_storage,
    "nash_cascade": nash_cascade,
    "pure_lag": pure_lag,
    "hayami": hayami,
    "triangle": triangle,
}


def upstream_first(downstream: Array) -> list[int]:
    """Reaches ordered by how many reaches lie downstream, the farthest first."""
    far = []
    for i in range(len(downstream)):
        steps, at = 0, i
        while downstream[at] >= 0:
            at = downstream[at]
            steps += 1
        far.append(steps)
    return sorted(range(len(downstream)), key=lambda i: -far[i])


def route(
    downstream: Array, runoff: Array, parameters: dict[str, Array], scheme: str, step: float, ratio: int
) -> tuple[Array, Array]:
    """x_i[t] = r_i[⌊t/S⌋] + Σ q_j[t]; q_i = h_i * x_i; Q_i[d] = mean of q_i over d.

    Returns:
        Q (time, reach) and q (routing step, reach).
    """
    x = np.repeat(runoff, ratio, axis=0)
    q = np.zeros_like(x)
    for i in upstream_first(downstream):
        q[:, i] = SCHEMES[scheme](x[:, i], **{n: float(v[i]) for n, v in parameters.items()}, step=step)
        if downstream[i] >= 0:
            x[:, downstream[i]] += q[:, i]
    return q.reshape(runoff.shape[0], ratio, -1).mean(axis=1), q


def rapid(
    downstream: Array, runoff: Array, k: Array, x: Array, step: float, ratio: int
) -> tuple[Array, Array]:
    """RAPID's update (David et al. 2011, eq. 6), one routing step after the other, all reaches in each.

    (I − C1 N) Q(t+δ) = C1 Qe + C2 (N Q(t) + Qe) + C3 Q(t), the runoff Qe of the interval at both ends of every
    step; reported is the mean of the states Q(t) before each update.

    Returns:
        Q (time, reach) and the states after each update (routing step, reach).
    """
    n = len(downstream)
    order = upstream_first(downstream)
    c = [muskingum_coefficients(float(k[i]), float(x[i]), step) for i in range(n)]
    state = np.zeros(n)
    reported = np.zeros((runoff.shape[0], n))
    states = []
    for d in range(runoff.shape[0]):
        for _ in range(ratio):
            reported[d] += state / ratio
            new = np.zeros(n)
            old_inflow, new_inflow = np.zeros(n), np.zeros(n)
            for i in order:
                c1, c2, c3 = c[i]
                lateral = runoff[d, i]
                new[i] = c1 * (new_inflow[i] + lateral) + c2 * (old_inflow[i] + lateral) + c3 * state[i]
                if downstream[i] >= 0:
                    new_inflow[downstream[i]] += new[i]
                    old_inflow[downstream[i]] += state[i]
            state = new
            states.append(state)
    return reported, np.array(states)
