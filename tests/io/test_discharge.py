from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from rivergrad.errors import InputError
from rivergrad.io import DischargeWriter, write_discharge

Times = Callable[..., np.ndarray]


@pytest.mark.parametrize("suffix", [".nc", ".zarr"])
@settings(max_examples=15, deadline=None)
@given(cuts=st.lists(st.integers(0, 50), max_size=5))
def test_appended_equals_whole_for_any_chunking(
    tmp_path_factory: pytest.TempPathFactory, suffix: str, cuts: list[int]
) -> None:
    path = tmp_path_factory.getbasetemp() / f"q{suffix}"
    ids = np.array([5, 3, 9])
    time = np.datetime64("1999-12-31", "ns") + np.arange(50) * np.timedelta64(3, "h")
    values = np.random.default_rng(0).random((50, 3))
    edges = [0, *sorted(cuts), 50]
    with DischargeWriter(
        path, ids, dtype=np.float64, attributes={"scheme": "hayami"}, time_chunk=8
    ) as writer:
        for a, b in pairwise(edges):
            writer.append(time[a:b], values[a:b])
    engine = "netcdf4" if suffix == ".nc" else "zarr"
    with xr.open_dataset(path, engine=engine) as dataset:
        assert dataset["discharge"].dims == ("time", "reach")
        assert np.array_equal(dataset["discharge"].values, values)
        assert np.array_equal(dataset["time"].values.astype("datetime64[ns]"), time)
        assert dataset["reach"].values.tolist() == [5, 3, 9]
        assert dataset["discharge"].attrs["units"] == "m3 s-1"
        assert dataset["discharge"].dtype == np.float64
        assert dataset.attrs["scheme"] == "hayami"


@pytest.mark.parametrize("name", ["q.nc", "q.zarr"])
def test_nothing_is_there_before_the_end_or_after_a_failure(
    tmp_path: Path, make_times: Times, name: str
) -> None:
    path = tmp_path / name
    with DischargeWriter(path, np.arange(3)) as writer:
        writer.append(make_times(2), np.ones((2, 3)))
        assert not path.exists()
    assert path.exists()

    def fail() -> None:
        with DischargeWriter(path, np.arange(4)) as writer:
            writer.append(make_times(2), np.zeros((2, 4)))
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    with xr.open_dataset(path, engine="netcdf4" if name == "q.nc" else "zarr") as dataset:
        assert dataset["discharge"].values.tolist() == [[1.0] * 3] * 2
    assert [one.name for one in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("name", ["q.nc", "q.zarr"])
def test_wrong_shapes_and_times(tmp_path: Path, make_times: Times, name: str) -> None:
    time = make_times(4)

    def attempt(*chunks: tuple[np.ndarray, np.ndarray]) -> None:
        with DischargeWriter(tmp_path / name, np.arange(3)) as writer:
            for when, values in chunks:
                writer.append(when, values)

    with pytest.raises(ValueError, match=r"shape \(4, 2\); expected \(4, 3\)"):
        attempt((time, np.ones((4, 2))))
    with pytest.raises(ValueError, match="do not go on"):
        attempt((time, np.ones((4, 3))), (time, np.ones((4, 3))))
    assert list(tmp_path.iterdir()) == []


def test_the_name_tells_the_format(tmp_path: Path, make_times: Times) -> None:
    with pytest.raises(InputError, match=r"\.nc or \.zarr"):
        write_discharge(tmp_path / "q.csv", np.arange(3), make_times(2), np.ones((2, 3)))
    with pytest.raises(InputError, match="format is not known"):
        write_discharge(tmp_path / "q", np.arange(3), make_times(2), np.ones((2, 3)))
    assert list(tmp_path.iterdir()) == []
