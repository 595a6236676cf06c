"""The buckets on a CPU: a compiled sweep over a window and its adjoint, in place of some ten thousand small operations.

The equations are those of `buckets.one_step`, written once more, number by number. Every column (a reach in a window)
goes by itself; blocks of columns are shared among threads.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.autograd.function import once_differentiable

from rivercut.compiling import njit
from rivergrad.runoff.buckets import PARAMETERS, RAMP, START

Array = NDArray[np.floating]

STATES = 5
LEAST_COLUMNS = 256  # of a thread: below, handing them out takes longer than they do


def runoff_on_cpu(parameters: dict[str, Tensor], forcings: Tensor) -> Tensor:
    """As `buckets.sweep`, but for the runoff alone; differentiable by the parameters.

    Args:
        parameters: each (reach,), as a step takes them; forcings: (variable, time, ..., reach), on the CPU.

    Returns:
        (time, ..., reach) mm per step.
    """
    table = torch.stack([parameters[name] for name in PARAMETERS])
    columns = forcings.reshape(*forcings.shape[:2], -1).contiguous()
    found: Tensor = _Sweep.apply(table, columns, torch.is_grad_enabled())
    return found.reshape(forcings.shape[1:])


class _Sweep(torch.autograd.Function):
    """Parameters (12, reach) and forcings (3, time, window * reach) to runoff (time, window * reach)."""

    @staticmethod
    def forward(ctx: Any, parameters: Tensor, forcings: Tensor, recorded: bool) -> Tensor:
        p, f = parameters.detach().contiguous().numpy(), forcings.detach().numpy()
        runoff = np.empty(f.shape[1:], f.dtype)
        keep = recorded and ctx.needs_input_grad[0]  # which says yes for leaves even under no_grad
        states = np.empty((f.shape[1] if keep else 1, STATES, f.shape[2]), f.dtype)
        _in_blocks(_forward, f.shape[2], p, f, runoff, states, keep)
        if keep:
            ctx.arrays = (p, f, states)
        return torch.from_numpy(runoff)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        p, f, states = ctx.arrays
        found = np.zeros((p.shape[0], f.shape[2]))
        _in_blocks(_backward, f.shape[2], p, f, gradient.contiguous().numpy(), states, found)
        by_reach = found.reshape(p.shape[0], -1, p.shape[1]).sum(axis=1)
        return torch.from_numpy(by_reach).to(gradient.dtype), None, None


def _in_blocks(kernel: Any, columns: int, *arguments: Any) -> None:
    """Run a kernel over all columns, in as many threads as torch computes with."""
    threads = max(1, min(torch.get_num_threads(), columns // LEAST_COLUMNS))
    bounds = [columns * i // threads for i in range(threads + 1)]
    if threads == 1:
        kernel(0, columns, *arguments)
        return
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(lambda a, b: kernel(a, b, *arguments), bounds[:-1], bounds[1:]))


@njit(cache=True, nogil=True, error_model="numpy")
def _forward(
    first: int, last: int, p: Array, f: Array, runoff: Array, states: Array, keep: bool
) -> None:  # pragma: no cover - compiled
    n = p.shape[1]
    for m in range(first, last):
        tt, dd, rf, hold, beta, cap, lp, pc, ql, k0, k1, k2 = p[:, m % n]
        snow, water, upper, lower = cap * 0, cap * 0, cap * 0, cap * 0
        soil = cap * START
        for t in range(f.shape[1]):
            if keep:
                states[t, 0, m] = snow
                states[t, 1, m] = water
                states[t, 2, m] = soil
                states[t, 3, m] = upper
                states[t, 4, m] = lower
            rain = f[0, t, m]
            warm = f[1, t, m] - tt
            share = min(max((warm + RAMP) / (2 * RAMP), 0.0), 1.0)
            fallen = rain * share
            snow += rain - fallen
            melt = min(dd * max(warm, 0.0), snow)
            snow -= melt
            water += melt
            frozen = min(rf * dd * max(-warm, 0.0), water)
            snow += frozen
            water -= frozen
            leaves = max(water - hold * snow, 0.0)
            water -= leaves
            wet = fallen + leaves
            recharge = wet * min(max(soil / cap, 0.0), 1.0) ** beta if wet > 0 else wet * 0
            soil += wet - recharge
            excess = max(soil - cap, 0.0)
            soil -= excess
            dry = min(max(soil / (lp * cap), 0.0), 1.0)
            soil -= min(max(f[2, t, m], 0.0) * dry, soil)
            upper += recharge + excess
            seeps = min(pc, upper)
            upper -= seeps
            quick = k0 * max(upper - ql, 0.0)
            upper -= quick
            inter = k1 * upper
            upper -= inter
            lower += seeps
            base = k2 * lower
            lower -= base
            runoff[t, m] = quick + inter + base


@njit(cache=True, nogil=True, error_model="numpy")
def _backward(
    first: int, last: int, p: Array, f: Array, g_runoff: Array, states: Array, found: NDArray[np.float64]
) -> None:  # pragma: no cover - compiled
    n = p.shape[1]
    for m in range(first, last):
        tt, dd, rf, hold, beta, cap, lp, pc, ql, k0, k1, k2 = p[:, m % n]
        g_tt, g_dd, g_rf, g_hold, g_beta, g_cap = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
        g_lp, g_pc, g_ql, g_k0, g_k1, g_k2 = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
        # of the storages after the step
        g_snow, g_water, g_soil, g_upper, g_lower = 0.0, 0.0, 0.0, 0.0, 0.0
        for t in range(f.shape[1] - 1, -1, -1):
            soil0 = states[t, 2, m]
            # the step once more
            rain = f[0, t, m]
            warm = f[1, t, m] - tt
            raw_share = (warm + RAMP) / (2 * RAMP)
            fallen = rain * min(max(raw_share, 0.0), 1.0)
            snow1 = states[t, 0, m] + (rain - fallen)
            could_melt = dd * max(warm, 0.0)
            melt = min(could_melt, snow1)
            snow2 = snow1 - melt
            water1 = states[t, 1, m] + melt
            could_freeze = rf * dd * max(-warm, 0.0)
            frozen = min(could_freeze, water1)
            snow3 = snow2 + frozen
            water2 = water1 - frozen
            spill = water2 - hold * snow3
            wet = fallen + max(spill, 0.0)
            ratio = soil0 / cap
            power = min(max(ratio, 0.0), 1.0) ** beta
            recharge = wet * power
            soil1 = soil0 + (wet - recharge)
            excess = max(soil1 - cap, 0.0)
            soil2 = soil1 - excess
            dryness = soil2 / (lp * cap)
            potential = max(f[2, t, m], 0.0)
            wants = potential * min(max(dryness, 0.0), 1.0)
            upper1 = states[t, 3, m] + recharge + excess
            seeps = min(pc, upper1)
            upper2 = upper1 - seeps
            above = upper2 - ql
            upper3 = upper2 - k0 * max(above, 0.0)
            lower1 = states[t, 4, m] + seeps

            # and back
            g_q = np.float64(g_runoff[t, m])
            g_base = g_q - g_lower
            g_lower += g_base * k2
            g_k2 += g_base * lower1
            g_inter = g_q - g_upper
            g_upper += g_inter * k1
            g_k1 += g_inter * upper3
            g_quick = g_q - g_upper
            if above >= 0:
                g_upper += g_quick * k0
                g_k0 += g_quick * above
                g_ql -= g_quick * k0
            g_seeps = g_lower - g_upper
            if pc <= upper1:
                g_pc += g_seeps
            else:
                g_upper += g_seeps
            g_recharge = g_upper
            g_excess = g_upper

            g_takes = -g_soil
            if wants <= soil2:
                if 0 <= dryness <= 1:
                    g_dry = g_takes * potential
                    g_soil += g_dry / (lp * cap)
                    g_lp -= g_dry * dryness / lp
                    g_cap -= g_dry * dryness / cap
            else:
                g_soil += g_takes
            g_excess -= g_soil
            if soil1 >= cap:
                g_soil += g_excess
                g_cap -= g_excess
            g_wet = g_soil
            g_recharge -= g_soil
            g_wet += g_recharge * power
            if 0 < ratio <= 1:
                g_power = g_recharge * recharge
                g_beta += g_power * np.log(ratio)
                g_soil += g_power * beta / soil0
                g_cap -= g_power * beta / cap

            g_rain = g_wet
            g_spill = g_wet - g_water
            if spill >= 0:
                g_water += g_spill
                g_hold -= g_spill * snow3
                g_snow -= g_spill * hold
            g_frozen = g_snow - g_water
            if could_freeze <= water1:
                if warm <= 0:
                    g_rf -= g_frozen * dd * warm
                    g_dd -= g_frozen * rf * warm
                    g_tt += g_frozen * rf * dd
            else:
                g_water += g_frozen
            g_melt = g_water - g_snow
            if could_melt <= snow1:
                if warm >= 0:
                    g_dd += g_melt * warm
                    g_tt -= g_melt * dd
            else:
                g_snow += g_melt
            g_rain -= g_snow
            if 0 <= raw_share <= 1:
                g_tt -= g_rain * rain / (2 * RAMP)
        g_cap += g_soil * START
        found[0, m] = g_tt
        found[1, m] = g_dd
        found[2, m] = g_rf
        found[3, m] = g_hold
        found[4, m] = g_beta
        found[5, m] = g_cap
        found[6, m] = g_lp
        found[7, m] = g_pc
        found[8, m] = g_ql
        found[9, m] = g_k0
        found[10, m] = g_k1
        found[11, m] = g_k2
