"""Accumulated amounts are told from amounts of a step, and taken apart the same for any chunking."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from rivercut.network import RiverNetwork
from rivergrad.errors import InputError
from rivergrad.io import open_forcings, open_runoff
from rivergrad.io import runoff as runoff_module

ACCUM = {"GRIB_stepType": "accum"}
DAY, HALF = 86400.0, 43200.0
FIRST = np.datetime64("2001-01-01")


def network(count: int = 3) -> RiverNetwork:
    attributes = {
        "area_m2": np.full(count, 1e6),
        "lat": 45.1 + 0.1 * np.arange(count),
        "lon": np.full(count, 8.1),
    }
    ids = np.arange(1, count + 1)
    return RiverNetwork.from_ids(ids, np.full(count, -1), np.ones(count), attributes)


def amounts(steps: int = 96, seed: int = 1) -> np.ndarray:
    """(steps, 3) m per step: a recession and showers that come alike to all."""
    rng = np.random.default_rng(seed)
    base = 1e-4 * np.exp(-np.arange(steps) / 40.0)[:, None] * np.array([1.0, 2.0, 3.0])
    return base + 1e-4 * (rng.random((steps, 3)) < 0.1) * rng.random((steps, 3))


def accumulated(values: np.ndarray, every: int, phase: int = 0) -> np.ndarray:
    out = values.copy()
    for at in range(1, len(values)):
        if (at - phase) % every:
            out[at] += out[at - 1]
    return out


def showers(steps: int = 96) -> np.ndarray:
    """Two showers, and nothing besides."""
    out = np.zeros((steps, 3))
    out[10:14] = np.array([1.0, 2.0, 4.0, 5.0])[:, None] * 1e-3
    out[60:63] = np.array([1.0, 2.0, 4.0])[:, None] * 1e-3
    return out


def write(
    path: Path,
    values: np.ndarray,
    *,
    first: str = "2001-01-01 01:00",
    hours: int = 1,
    units: str = "m",
    more: dict[str, Any] | None = None,
    gridded: bool = False,
) -> Path:
    """ro of three reaches (or of boxes around them) with stamps that begin at `first`."""
    attributes = {"units": units, **(more or {})}
    if gridded:
        boxes = np.repeat(np.repeat(values, 2, axis=1).reshape(len(values), 3, 2), 1, axis=2)
        data = xr.Dataset({"ro": (("time", "lat", "lon"), boxes, attributes)})
        data["lat"], data["lon"] = ("lat", [45.1, 45.2, 45.3]), ("lon", [8.1, 8.2])
    else:
        data = xr.Dataset(
            {"ro": (("time", "reach"), values, attributes)}, coords={"reach_id": ("reach", [1, 2, 3])}
        )
    data["time"] = xr.Variable(("time",), np.arange(len(values)) * hours, {"units": f"hours since {first}"})
    data.to_netcdf(path)
    return path


def depth(source: Any) -> np.ndarray:
    """(T, 3) m per step of what a source reads."""
    return np.asarray(source.read(None, 0, len(source.time))) * source.step / 1e6


@pytest.mark.parametrize("gridded", [False, True])
@pytest.mark.parametrize(
    ("every", "hours", "first", "more", "told"),
    [
        (24, 1, "2001-01-01 01:00", ACCUM, "auto"),
        (24, 1, "2001-01-01 01:00", {}, DAY),
        (4, 3, "2001-01-01 03:00", ACCUM, "auto"),
        (4, 3, "2001-01-01 03:00", {}, HALF),
        (10**6, 1, "2001-01-01 01:00", {}, "run"),
        (1, 1, "2001-01-01 01:00", ACCUM, "auto"),  # ERA5: of one hour each
        (1, 1, "2001-01-01 01:00", ACCUM, "no"),
        (1, 24, "2001-01-02 00:00", ACCUM, DAY),  # of ERA5-Land, 00 UTC alone
    ],
)
def test_steps_are_taken_apart(
    tmp_path: Path,
    every: int,
    hours: int,
    first: str,
    more: dict[str, Any],
    told: Any,
    gridded: bool,
) -> None:
    true = amounts()
    path = write(
        tmp_path / "r.nc", accumulated(true, every), first=first, hours=hours, more=more, gridded=gridded
    )
    source = open_runoff(path, network(), accumulated=told)
    assert source.time[0] == FIRST  # amounts accumulate until their stamps
    assert np.allclose(depth(source), true, rtol=1e-9, atol=1e-15)


def test_stamps_that_start_steps_are_let_be(tmp_path: Path) -> None:
    true = amounts()
    path = write(tmp_path / "r.nc", accumulated(true, 24), first="2001-01-01")
    source = open_runoff(path, network(), accumulated=DAY, stamp="start")
    assert source.time[0] == FIRST
    assert np.allclose(depth(source), true, rtol=1e-9)


def test_a_first_value_from_before_the_file_is_left_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    true = amounts()
    total = np.concatenate([[[5e-3] * 3], accumulated(true, 24)])  # at 00 UTC: of the day before
    path = write(tmp_path / "r.nc", total, first="2001-01-01 00:00", more=ACCUM)
    source = open_runoff(path, network())
    assert source.time[0] == FIRST
    assert np.allclose(depth(source), true, rtol=1e-9, atol=1e-15)
    assert "accumulated since before the file begins" in caplog.text
    late = write(tmp_path / "l.nc", accumulated(true, 24)[5:], first="2001-01-01 06:00")
    source = open_runoff(late, network(), accumulated=DAY)
    assert source.time[0] == FIRST.astype("datetime64[h]") + 6
    assert np.allclose(depth(source), true[6:], rtol=1e-9, atol=1e-15)
    run = write(tmp_path / "c.nc", accumulated(true, 10**6) + 1.0)
    source = open_runoff(run, network(), accumulated="run")
    assert np.allclose(depth(source), true[1:], rtol=1e-9, atol=1e-15)


def test_resets_at_other_hours_are_found(tmp_path: Path) -> None:
    true = amounts()
    path = write(tmp_path / "r.nc", accumulated(true, 4, 2), first="2001-01-01 03:00", hours=3)
    source = open_runoff(path, network(), accumulated=HALF)
    assert np.allclose(depth(source), true[1:], rtol=1e-9, atol=1e-15)


@settings(max_examples=25, deadline=None)
@given(cuts=st.lists(st.integers(0, 96), max_size=6), block=st.integers(1, 300), gridded=st.booleans())
def test_chunked_equals_whole(
    tmp_path_factory: pytest.TempPathFactory, cuts: list[int], block: int, gridded: bool
) -> None:
    path = tmp_path_factory.getbasetemp() / f"chunked_{gridded}.nc"
    if not path.exists():
        noise = 1e-8 * np.random.default_rng(3).standard_normal((97, 3))
        total = np.concatenate([[[5e-3] * 3], accumulated(amounts(), 24)]) + noise
        write(path, total, first="2001-01-01 00:00", gridded=gridded)
    source = open_runoff(path, network(), accumulated=DAY)
    whole = source.read(None, 0, 96)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runoff_module, "BLOCK_VALUES", block)
        some = source.select([2, 0])
        pieces = [some.read(None, a, b) for a, b in pairwise([0, *sorted(cuts), 96])]
    source.close()
    some.close()
    assert (whole >= 0).all()
    assert np.array_equal(np.concatenate(pieces), whole[:, [2, 0]])


@pytest.mark.parametrize(
    ("values", "more", "message"),
    [
        (accumulated(amounts(), 24), {}, r"reset every 1 d .*runoff\.accumulated .*: 1d, or no"),
        (accumulated(amounts(), 12), {}, r"reset every 12 h"),
        (accumulated(amounts(), 10**6), {}, "rise and never fall in the 49 steps"),
        (accumulated(amounts(24), 24), ACCUM, "rise and never fall in the 24 steps"),
        (accumulated(showers(), 24), ACCUM, "rise, stay and are reset"),
        (np.zeros((500, 3)), ACCUM, "too little water to tell"),
    ],
)
def test_what_looks_accumulated_is_asked_about(
    tmp_path: Path, values: np.ndarray, more: dict[str, Any], message: str
) -> None:
    path = write(tmp_path / "r.nc", values, more=more)
    with pytest.raises(InputError, match=message):
        open_runoff(path, network())
    assert open_runoff(path, network(), accumulated="no").read(None, 0, 3).shape == (3, 3)


HOURS_OF_DAY = np.arange(200) - 6


@pytest.mark.parametrize(
    "values",
    [
        amounts(),
        showers(),
        np.full((200, 3), 1e-4),
        1e-4 * np.exp(-np.arange(200) / 1e4)[:, None] * np.ones(3),
        1e-4 * (1 + 0.9 * np.sin(2 * np.pi * HOURS_OF_DAY / 24))[:, None] * np.ones(3),
        np.repeat(amounts(9), 24, axis=0),  # days spread evenly over their hours
        np.zeros((24, 3)),
        amounts(2),
    ],
    ids=["recession", "showers", "constant", "slow", "diurnal", "daily", "dry", "two steps"],
)
@pytest.mark.parametrize("more", [{}, ACCUM])
def test_amounts_of_a_step_are_let_be(tmp_path: Path, values: np.ndarray, more: dict[str, Any]) -> None:
    source = open_runoff(write(tmp_path / "r.nc", values, more=more), network())
    assert np.allclose(depth(source), values, rtol=1e-9)


@pytest.mark.parametrize(
    ("every", "units", "told", "message"),
    [
        (24, "m", HALF, "not reset at 2001-01-01 12:00, and accumulated says every 12 h"),
        (12, "m", DAY, "are reset at .*, and accumulated says every 1 d"),
        (10**6, "m", DAY, "not reset at 2001-01-02"),
        (1, "m", DAY, "is accumulated and falls from"),
        (24, "m", "run", "is accumulated and falls from"),
        (24, "m", 5400.0, "expected a multiple of the step"),
        (24, "mm/day", DAY, "unit is one of a rate"),
        (24, "m3 s-1", "run", "unit is one of a rate"),
    ],
)
def test_an_option_that_does_not_fit_is_refused(
    tmp_path: Path, every: int, units: str, told: Any, message: str
) -> None:
    path = write(tmp_path / "r.nc", accumulated(amounts(), every), units=units)
    with pytest.raises(InputError, match=message):
        open_runoff(path, network(), accumulated=told).read(None, 0, 96)


@pytest.mark.parametrize("hole", [np.nan, -9999.0])
def test_a_missing_value_is_named_not_taken_apart(tmp_path: Path, hole: float) -> None:
    values = accumulated(amounts(), 24)
    values[40, 1] = hole
    path = write(tmp_path / "r.nc", values)
    with pytest.raises(
        InputError, match=r"has no value \(NaN\) for the reaches 2, first at 2001-01-02 16:00"
    ):
        open_runoff(path, network(), accumulated=DAY).read(None, 0, 96)


def test_bounds_that_begin_at_the_reset_accumulate(tmp_path: Path) -> None:
    true = amounts(48)
    path = write(tmp_path / "r.nc", accumulated(true, 24), more={"cell_methods": "time: sum"})
    with xr.open_dataset(path, decode_times=False) as data:
        data = data.load()
    hour = np.arange(48)
    data["time"].attrs["bounds"] = "time_bnds"
    data["time_bnds"] = xr.Variable(("time", "nv"), np.stack([hour // 24 * 24 - 1, hour], axis=1))
    data.to_netcdf(tmp_path / "b.nc")
    source = open_runoff(tmp_path / "b.nc", network())
    assert source.time[0] == FIRST
    assert np.allclose(depth(source), true, rtol=1e-9)
    data["ro"].attrs["units"] = "mm/day"
    data["ro"].attrs["cell_methods"] = "time: mean"
    data.to_netcdf(tmp_path / "rate.nc")
    with pytest.raises(InputError, match="accumulates by its bounds, and its unit is one of a rate"):
        open_runoff(tmp_path / "rate.nc", network())


def test_tables_of_flows_do_not_accumulate(tmp_path: Path) -> None:
    path = tmp_path / "r.csv"
    path.write_text("time,1,2,3\n2001-01-01,1,2,3\n2001-01-02,1,2,3\n")
    with pytest.raises(InputError, match="which do not accumulate"):
        open_runoff(path, network(), accumulated=DAY)


def test_depths_of_forcings_are_taken_apart_and_the_others_keep_step(tmp_path: Path) -> None:
    true = amounts() * 1000.0
    total = np.concatenate([[[5.0] * 3], accumulated(true, 24)])
    path = write(tmp_path / "f.nc", total, first="2001-01-01 00:00", units="mm")
    with xr.open_dataset(path, decode_times=False) as data:
        data = data.load().rename({"ro": "rain"})
    cold = np.arange(97.0)[:, None] + np.zeros(3)
    data["cold"] = (("time", "reach"), cold, {"units": "degC"})
    data.to_netcdf(tmp_path / "g.nc")
    source = open_forcings(tmp_path / "g.nc", network(), ("cold", "rain"), accumulated=DAY)
    assert source.time[0] == FIRST
    read = source.read(None, 0, 96)
    assert np.allclose(read[..., 1], true, rtol=1e-9, atol=1e-12)
    assert np.array_equal(read[..., 0], cold[1:])


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("dry", [0.0, 0.3, 0.8])
@pytest.mark.parametrize(
    ("period", "step"), [(DAY, 1), (DAY, 3), (DAY, 6), (HALF, 1), (HALF, 3), (HALF, 4), (6 * 3600.0, 1)]
)
def test_resets_show_though_storms_hide_some(
    tmp_path: Path, period: float, step: int, dry: float, dtype: str
) -> None:
    """The first amount after a reset may be larger than the whole period before it, in any cell."""
    rng = np.random.default_rng(int(period) + step)
    true = rng.exponential(1e-4, (200, 3)) * (rng.random((200, 1)) >= dry)
    total = accumulated(true, round(period / 3600 / step)).astype(dtype)
    path = write(tmp_path / "a.nc", total, first=f"2001-01-01 {step:02}:00", hours=step, more=ACCUM)
    source = open_runoff(path, network())
    assert source.time[0] == FIRST
    assert np.allclose(depth(source), true, rtol=1e-3, atol=1e-8)
    if dry > 0.5:  # too little water to tell without a word from the file
        return
    bare = write(tmp_path / "b.nc", total, first=f"2001-01-01 {step:02}:00", hours=step)
    with pytest.raises(InputError, match=r"are reset every .*expected runoff.accumulated"):
        open_runoff(bare, network())


@pytest.mark.parametrize("step", [1, 3, 6, 12, 24])
@pytest.mark.parametrize("dry", [0.0, 0.3])
@pytest.mark.parametrize("more", [{}, ACCUM], ids=["", "accum"])
def test_amounts_of_steps_stay_as_they_are(
    tmp_path: Path, step: int, dry: float, more: dict[str, str]
) -> None:
    rng = np.random.default_rng(step)
    true = rng.exponential(1e-4, (200, 3)) * (rng.random((200, 1)) >= dry)
    path = write(tmp_path / "r.nc", true, hours=step, more=more)
    assert np.allclose(depth(open_runoff(path, network(), stamp="end")), true)


@pytest.mark.parametrize("seed", range(8))
def test_amounts_that_are_the_same_all_day_long_do_not_accumulate(tmp_path: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    daily = np.repeat(rng.exponential(1e-4, (9, 3)) * (rng.random((9, 1)) >= 0.3), 24, axis=0)
    path = write(tmp_path / "r.nc", daily, first="2001-01-01 00:00")
    assert np.allclose(depth(open_runoff(path, network())), daily)


def test_forecasts_of_two_days_are_asked_about(tmp_path: Path) -> None:
    true = np.random.default_rng(1).exponential(1e-4, (96, 3))
    path = write(tmp_path / "r.nc", accumulated(true, 48), more=ACCUM)
    with pytest.raises(InputError, match="rise, stay and are reset"):
        open_runoff(path, network())
