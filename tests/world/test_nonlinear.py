"""The nonlinear truth: a textbook's table, water kept, waves as fast as they have to be."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray

from rivercut.network import RiverNetwork
from rivergrad.world.nonlinear import Channels, rectangular, route_nonlinear, weights, with_errors

HOUR = 3600.0
ONE = RiverNetwork.from_ids([1], downstream_id=[-1])


def _pulse(hours: int, base: float, peak: float) -> NDArray[np.float64]:
    """Base flow with a flood whose rise takes 24 h (NERC 1975, as in Todini 2007)."""
    t = np.arange(hours) / 24.0
    return base + (peak - base) * (t * np.exp(1 - t)) ** 16


def test_constant_celerity_gives_the_table_of_chow_maidment_and_mays() -> None:
    """Muskingum of Applied Hydrology (1988), example 8.4.1: K = 2.3 h, X = 0.15, Δt = 1 h; flows in ft³/s."""
    inflow = [
        93,
        137,
        208,
        320,
        442,
        546,
        630,
        678,
        691,
        675,
        634,
        571,
        477,
        390,
        329,
        247,
        184,
        134,
        108,
        90,
    ]
    outflow = [
        85,
        91,
        114,
        159,
        233,
        324,
        420,
        509,
        578,
        623,
        642,
        635,
        603,
        546,
        479,
        413,
        341,
        274,
        215,
        170,
    ]
    courant, reynolds = HOUR / (2.3 * HOUR), 1 - 2 * 0.15
    share = weights(courant, reynolds, courant, reynolds)
    assert share == pytest.approx((0.0631, 0.3442, 0.5927), abs=5e-5)  # as printed there
    found = [85.0]
    for before, now in pairwise(inflow):
        found.append(share[0] * now + share[1] * before + share[2] * found[-1])
    assert np.allclose(found, outflow, atol=1.0)


def _reach() -> Channels:
    one = np.ones(1)
    return rectangular(100e3 * one, 2.5e-4 * one, 50.0 * one, 0.035 * one)


def test_a_flood_keeps_its_water_and_comes_as_fast_as_its_celerity() -> None:
    runoff = _pulse(240, 100.0, 900.0)[:, None]
    channel = _reach()
    found = route_nonlinear(ONE, channel, runoff, HOUR)
    gone, come = (runoff - 100.0).sum(), (found - 100.0).sum()
    assert come == pytest.approx(gone, rel=1e-3)
    assert 300.0 < found.max() < 900.0
    small = _pulse(240, 100.0, 101.0)[:, None]
    wave = route_nonlinear(ONE, channel, small, HOUR) - 100.0
    hours = np.arange(240)
    late = (wave[:, 0] @ hours) / wave.sum() - (small[:, 0] - 100.0) @ hours / (small - 100.0).sum()
    # runoff enters at the upper ends of all segments, whose flow grows downstream, and with it celerity
    parts = int(channel.segments(small.mean(axis=0), HOUR)[0])
    each = 100e3 / parts / channel.celerity(100.0 * np.arange(1, parts + 1) / parts) / HOUR
    expected = np.mean(each[::-1].cumsum())
    assert late == pytest.approx(expected, rel=0.005)
    assert hours[found[:, 0].argmax()] < hours[wave[:, 0].argmax()]  # larger waves are faster


def test_celerity_follows_manning() -> None:
    one = _reach()
    q = np.array([200.0])
    depth = (0.035 * q / (50.0 * np.sqrt(2.5e-4))) ** 0.6
    assert one.celerity(q) == pytest.approx(5 / 3 * q / (50.0 * depth))


def test_hillslopes_delay_and_lakes_hold_back_without_losing_water() -> None:
    runoff = _pulse(1200, 10.0, 90.0)[:, None]
    channel = _reach()
    plain = route_nonlinear(ONE, channel, runoff, HOUR)
    slow = route_nonlinear(ONE, replace(channel, hillslope=np.array([2 * 86400.0])), runoff, HOUR)
    lake = route_nonlinear(ONE, replace(channel, lake=np.array([2e7])), runoff, HOUR)
    hours = np.arange(1200)
    centre = [float((q[:, 0] - 10) @ hours / (q[:, 0] - 10).sum()) for q in (plain, slow)]
    assert 46 < centre[1] - centre[0] < 54  # two days, and a lower flood is slower
    for one in (plain, slow, lake):
        assert (one - 10.0).sum() == pytest.approx((runoff - 10.0).sum(), rel=5e-3)
    assert lake.max() < plain.max()


def test_errors_of_runoff_change_volume_and_time() -> None:
    runoff = np.zeros((200, 2))
    runoff[100] = 10.0
    found = with_errors(runoff, np.array([0, 1]), HOUR, volume=0.3, late=6 * HOUR, seed=1)
    hours = np.arange(200)
    assert not np.isclose(found.sum(axis=0), 10.0, rtol=1e-3).any()
    centre = (found.T @ hours) / found.sum(axis=0)
    assert (np.abs(centre - 100) > 0.5).any()
    same = with_errors(runoff, np.array([0, 1]), HOUR, volume=0.0, late=0.0, seed=1)
    assert np.array_equal(same, runoff)
