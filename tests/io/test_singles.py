"""Runoff in single precision: the numbers of `read`, rounded, and every error of it, whatever a file declares."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import netCDF4
import numpy as np
import pytest
from numpy.typing import NDArray

from rivercut.network import RiverNetwork
from rivergrad.errors import InputError
from rivergrad.io import open_runoff
from rivergrad.io import singles as module
from rivergrad.io.runoff import GridRunoff
from rivergrad.io.singles import single, values_of

DAYS, N = 9, 6
AREA = np.linspace(1e6, 5e6, N)


def network() -> RiverNetwork:
    lat, lon = np.array([0.3, 0.4, 0.6, 1.2, 1.4, 0.1]), np.array([0.2, 1.1, 0.6, 0.3, 1.2, 1.4])
    attributes = {"area_m2": AREA, "lat": lat, "lon": lon}
    return RiverNetwork(np.arange(N) + 1, np.array([1, 2, 5, 4, 5, -1]), attributes=attributes)


def written(path: Path, values: NDArray[Any], units: str, dtype: str = "f4", **attributes: Any) -> Path:
    """A file per reach, in another order than the network's, or of a grid."""
    grid = values.ndim == 3
    with netCDF4.Dataset(str(path), "w") as file:
        dims = ("time", "lat", "lon") if grid else ("time", "reach")
        for dim, size in zip(dims, values.shape, strict=True):
            file.createDimension(dim, size)
        time = file.createVariable("time", "i8", ("time",))
        time.units, time[:] = "days since 2001-01-01", np.arange(len(values))
        if grid:
            for dim, size in zip(dims[1:], values.shape[1:], strict=True):
                axis = file.createVariable(dim, "f8", (dim,))
                axis.units = "degrees_north" if dim == "lat" else "degrees_east"
                axis[:] = np.arange(size) * 0.5
        else:
            file.createVariable("reach_id", "i8", ("reach",))[:] = np.arange(N, 0, -1)
        endian = "big" if dtype.startswith(">") else "native"
        fill = attributes.pop("_FillValue", None)
        variable = file.createVariable("ro", dtype, dims, fill_value=fill, endian=endian)
        variable.set_auto_maskandscale(False)
        variable.setncatts({"units": units, **attributes})
        variable[:] = values
    return path


def runoff(shape: tuple[int, ...] = (DAYS, N)) -> NDArray[np.float32]:
    return np.random.default_rng(1).gamma(0.5, 3.0, shape).astype(np.float32)


def both(path: Path, of: Any = None) -> tuple[NDArray[Any], NDArray[np.float32]]:
    """What `read` gives, rounded, and what `single` gives, of some steps of a selection in another order."""
    source: Any = open_runoff(path, network()).select(np.array([4, 0, 2, 5, 3, 1]))
    if isinstance(source, GridRunoff):
        source = source.cells()
    return values_of(source, 2, DAYS).astype(np.float32), single(source, 2, DAYS)


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Notes each time that values are read the long way by `single`."""
    asked: list[str] = []
    plain = module.values_of

    def noted(source: Any, start: int, stop: int) -> NDArray[Any]:
        asked.append("read")
        return plain(source, start, stop)

    monkeypatch.setattr(module, "values_of", noted)
    return asked


@pytest.mark.parametrize(
    ("units", "dtype", "attributes", "is_quick"),
    [
        ("m3 s-1", "f4", {}, True),
        ("m3 s-1", ">f4", {"_FillValue": np.float32(np.nan)}, True),
        ("m3", "f4", {"_FillValue": np.float32(-9999.0), "missing_value": np.float32(1e20)}, True),
        ("mm/day", "f4", {"valid_range": np.array([0, 1e4], np.float32)}, True),
        ("mm/day", "f4", {"_FillValue": np.float32(5.0)}, False),  # a number that could be runoff
        ("m3 s-1", "f8", {}, False),
        ("mm/day", "i2", {"scale_factor": 0.5}, False),
    ],
)
def test_the_numbers_of_read_in_one_pass(
    tmp_path: Path, slow: list[str], units: str, dtype: str, attributes: dict[str, Any], is_quick: bool
) -> None:
    for values in (runoff(), runoff((DAYS, 4, 4))) if units == "mm/day" else (runoff(),):
        slow.clear()
        path = written(tmp_path / f"{values.ndim}.nc", values, units, dtype, **dict(attributes))
        expected, found = both(path)
        assert found.dtype == np.float32
        np.testing.assert_array_equal(found, expected)
        assert bool(slow) == (not is_quick)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -9999.0, -99.0, -5.0, 1e15, 9.96921e36, 7777.0])
@pytest.mark.parametrize("grid", [False, True])
def test_what_read_refuses_is_refused_in_its_words(tmp_path: Path, bad: float, grid: bool) -> None:
    values = runoff((DAYS, 4, 4) if grid else (DAYS, N))
    values[5, 1] = bad
    path = written(
        tmp_path / "runoff.nc", values, "mm/day", valid_max=np.float32(5000), _FillValue=np.float32(7777)
    )
    source: Any = open_runoff(path, network())
    source = source.cells() if isinstance(source, GridRunoff) else source
    with pytest.raises(InputError) as expected:
        values_of(source, 0, DAYS)
    with pytest.raises(InputError) as found:
        single(source, 0, DAYS)
    assert str(found.value) == str(expected.value)
    np.testing.assert_array_equal(single(source, 0, 5), values_of(source, 0, 5).astype(np.float32))


def test_small_negatives_and_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, slow: list[str]) -> None:
    values = runoff()
    values[4, 2] = -1e-4  # mm: rounding, which stays as it is
    path = written(tmp_path / "runoff.nc", values, "mm/day")
    expected, found = both(path)
    np.testing.assert_array_equal(found, expected)
    assert not slow
    expected, _ = both(written(tmp_path / "blocks.nc", values, "mm/day"))
    monkeypatch.setattr(module, "BLOCK_VALUES", 2 * N)
    np.testing.assert_array_equal(both(tmp_path / "blocks.nc")[1], expected)
    assert not slow
