"""What is damaged in the middle of a record is told with its days, and with its chunk in a Zarr store."""

from __future__ import annotations

from pathlib import Path

import netCDF4
import numcodecs
import numpy as np
import pytest
import zarr

import rivergrad as rg
from rivergrad.errors import InputError
from rivergrad.io.gridstore import GridWriter
from rivergrad.io.singles import single

DAYS, CHUNK = 60, 8
TIME = np.datetime64("2001-01-01", "ns") + np.arange(DAYS) * np.timedelta64(1, "D")
NETWORK = rg.RiverNetwork.from_ids(
    [1, 2, 3],
    [3, 3, -1],
    length=[9e3, 7e3, 12e3],
    attributes={"area_m2": [1e7, 2e7, 3e7], "lat": [10.0, 20.0, 20.0], "lon": [10.0, 10.0, 20.0]},
)
VALUES = np.random.default_rng(0).random((DAYS, 3, 3)).astype(np.float32)


def by_reach(path: Path, version: int) -> None:
    group = zarr.open_group(str(path), mode="w", zarr_format=version)
    codec = numcodecs.Blosc() if version == 2 else zarr.codecs.BloscCodec(cname="lz4")
    for name, values, dims, chunks in (
        ("runoff", VALUES[:, 0], ("time", "reach"), (CHUNK, 3)),
        ("reach", np.arange(1, 4), ("reach",), (3,)),
        ("time", np.arange(DAYS), ("time",), (DAYS,)),
    ):
        names = {"dimension_names": dims} if version == 3 else {}
        array = group.create_array(
            name, shape=values.shape, chunks=chunks, dtype=values.dtype, compressors=codec, **names
        )
        array[...] = values
        array.attrs.update(
            {"time": {"units": "days since 2001-01-01"}, "runoff": {"units": "m3 s-1"}}.get(name, {})
        )
        if version == 2:
            array.attrs["_ARRAY_DIMENSIONS"] = list(dims)


def gridded(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rivergrad.io.gridstore.LONGEST_CHUNK", CHUNK)
    with GridWriter(path, TIME, np.array([20.0, 10.0, 0.0]), np.array([0.0, 10.0, 20.0])) as writer:
        for start in range(0, DAYS, CHUNK):
            writer.write(start, VALUES[start : start + CHUNK])


def cut(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


@pytest.mark.parametrize(("version", "key"), [(2, "2.0"), (3, "c/2/0")])
def test_a_chunk_of_reaches(tmp_path: Path, version: int, key: str) -> None:
    path = tmp_path / "r.zarr"
    by_reach(path, version)
    source = rg.open_runoff(path, NETWORK)
    whole = source.read(None, 0, DAYS)
    chunk = path / "runoff" / key
    content = chunk.read_bytes()
    cut(chunk)
    source = rg.open_runoff(path, NETWORK)
    said = rf"r\.zarr: cannot be read as .*damaged\? \(chunk runoff/{key} of 2001-01-17 to 2001-01-24: "
    for read in (source.read, lambda _, start, stop: single(source, start, stop)):
        with pytest.raises(InputError, match=said) as caught:
            read(None, 3, 50)
        assert len(str(caught.value).splitlines()) == 1
        assert len(str(caught.value)) < 300 + len(str(tmp_path))
    # days before and after it are as they were, and all of them once it is mended
    assert np.array_equal(source.read(None, 0, 16), whole[:16])
    assert np.array_equal(source.read(None, 24, DAYS), whole[24:])
    chunk.write_bytes(content)
    assert np.array_equal(source.read(None, 0, DAYS), whole)


@pytest.mark.parametrize("number", [2, 3])
def test_a_chunk_of_a_grid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """Also where the file is looked at as it is opened: its middle day lies in the chunk of number 3."""
    path = tmp_path / "g.zarr"
    gridded(path, monkeypatch)
    days = ("2001-01-17 to 2001-01-24", "2001-01-25 to 2001-02-01")[number - 2]
    cut(path / f"runoff/c/{number}/0/0")
    with pytest.raises(InputError, match=rf"cannot be read .*\(chunk runoff/c/{number}/0/0 of {days}: "):
        rg.open_runoff(path, NETWORK, grid=True).read(None, 3, 50)


def test_days_of_a_netcdf(tmp_path: Path) -> None:
    path = tmp_path / "r.nc"
    with netCDF4.Dataset(str(path), "w") as file:
        file.createDimension("time", DAYS)
        file.createDimension("reach", 3)
        when = file.createVariable("time", "i8", ("time",))
        when.units = "days since 2001-01-01"
        when[:] = np.arange(DAYS)
        file.createVariable("reach", "i8", ("reach",))[:] = [1, 2, 3]
        values = file.createVariable("runoff", "f4", ("time", "reach"), zlib=True, chunksizes=(CHUNK, 3))
        values.units = "m3 s-1"
        values[:] = VALUES[:, 0]
    content = bytearray(path.read_bytes())
    # zlib's streams begin with 78; that of the third chunk is spoilt
    starts = [
        i for i in range(len(content) - 1) if content[i] == 0x78 and content[i + 1] in (0x5E, 0x01, 0x9C)
    ]
    at = starts[-4]
    content[at + 2 : at + 12] = b"\xff" * 10
    path.write_bytes(bytes(content))
    source = rg.open_runoff(path, NETWORK)
    with pytest.raises(InputError, match=r"cannot be read .*\('runoff' of 2001-01-01 to 2001-03-01: "):
        source.read(None, 0, DAYS)
