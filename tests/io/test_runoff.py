from __future__ import annotations

import pickle
import shutil
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from rivercut.network import RiverNetwork
from rivergrad.errors import InputError
from rivergrad.io import open_runoff, overlap, read_network, read_observations, write_runoff
from rivergrad.io import runoff as runoff_module

MakeRunoff = Callable[..., xr.Dataset]


def _write(dataset: xr.Dataset, path: Path) -> Path:
    if path.suffix == ".zarr":
        dataset.to_zarr(path, consolidated=False, zarr_format=3)
    else:
        dataset.to_netcdf(path, engine="netcdf4")
    return path


def _expected(network: RiverNetwork, start: int, stop: int) -> np.ndarray:
    return 1000.0 * network.reach_id + np.arange(start, stop)[:, None]


@pytest.mark.parametrize("name", ["r.nc", "r.zarr"])
def test_reaches_are_matched_by_id(
    tmp_path: Path, network: RiverNetwork, make_runoff: MakeRunoff, name: str
) -> None:
    source = open_runoff(_write(make_runoff(), tmp_path / name), network)
    assert source.step == 86400.0
    assert source.time[1] == np.datetime64("2000-01-02")
    runoff = source.read(None, 0, 6)
    assert runoff.dtype == np.float64
    assert np.array_equal(runoff, _expected(network, 0, 6))
    assert np.array_equal(source.read([4, 0], 2, 5), runoff[2:5][:, [4, 0]])
    assert source.read([], 0, 6).shape == (6, 0)
    with pytest.raises(ValueError, match=r"not within 0\.\.6"):
        source.read(None, 0, 7)


@pytest.mark.parametrize("name", ["r.nc", "r.zarr"])
def test_a_source_goes_to_a_worker(
    tmp_path: Path, network: RiverNetwork, make_runoff: MakeRunoff, name: str
) -> None:
    source = open_runoff(_write(make_runoff(), tmp_path / name), network)
    whole = source.read(None, 0, 6)  # opens the file, which must not be pickled
    part = pickle.loads(pickle.dumps(source.select([1, 3])))
    assert np.array_equal(part.reach_id, network.reach_id[[1, 3]])
    assert np.array_equal(part.read(None, 1, 4), whole[1:4][:, [1, 3]])
    source.close()
    assert np.array_equal(source.read(None, 0, 6), whole)


def test_threads_that_read_first_at_once_open_the_file_once(
    tmp_path: Path, network: RiverNetwork, make_runoff: MakeRunoff, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = open_runoff(_write(make_runoff(), tmp_path / "r.nc"), network)
    source.close()
    opened, together = [], threading.Barrier(4)
    plain = runoff_module.open_dataset

    def slowly(path: Path) -> xr.Dataset:
        opened.append(path)
        time.sleep(0.05)  # in which the others would open it too
        return plain(path)

    monkeypatch.setattr(runoff_module, "open_dataset", slowly)

    def read(start: int) -> np.ndarray:
        together.wait()
        return source.read(None, start, start + 2)

    with ThreadPoolExecutor(4) as pool:
        for start, found in enumerate(pool.map(read, range(4))):
            assert np.array_equal(found, _expected(network, start, start + 2))
    assert len(opened) == 1


@settings(max_examples=25, deadline=None)
@given(cuts=st.lists(st.integers(0, 40), max_size=6), block=st.integers(1, 300))
def test_chunked_equals_whole_for_any_chunking(
    tmp_path_factory: pytest.TempPathFactory, cuts: list[int], block: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "chunked.nc"
    ids = np.arange(1, 12)
    network = RiverNetwork.from_ids(ids[::-1], np.full(11, -1))
    values = np.random.default_rng(0).random((40, 11))
    if not path.exists():
        time = np.datetime64("2000-01-01", "ns") + np.arange(40) * np.timedelta64(3, "h")
        write_runoff(path, ids, time, values, dtype=np.float64)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runoff_module, "BLOCK_VALUES", block)
        source = open_runoff(path, network)
        edges = [0, *sorted(cuts), 40]
        pieces = [source.read(None, a, b) for a, b in pairwise(edges)]
        source.close()
    assert np.array_equal(np.concatenate(pieces), values[:, ::-1])


@pytest.mark.parametrize(
    ("units", "to_m3s"),
    [
        ("m3 s-1", lambda area: 1.0),
        ("ft3/s", lambda area: 0.3048**3),
        ("m3", lambda area: 1 / 86400.0),
        ("mm/day", lambda area: 1e-3 * area / 86400.0),
        ("m", lambda area: area / 86400.0),
        ("kg m-2 s-1", lambda area: 1e-3 * area),
    ],
)
def test_units_come_from_the_file(
    tmp_path: Path,
    network: RiverNetwork,
    make_runoff: MakeRunoff,
    units: str,
    to_m3s: Callable[[np.ndarray], np.ndarray],
) -> None:
    source = open_runoff(_write(make_runoff(units=units), tmp_path / "r.nc"), network)
    expected = _expected(network, 0, 6) * to_m3s(network.attributes["area_m2"])
    assert np.allclose(source.read(None, 0, 6), expected, rtol=1e-12)


def test_packed_values_and_a_transposed_file(
    tmp_path: Path, network: RiverNetwork, make_runoff: MakeRunoff
) -> None:
    dataset = make_runoff(scale=1e-3).transpose("reach", "time")
    packing = {"runoff": {"dtype": "i4", "scale_factor": 1e-3, "_FillValue": -1}}
    dataset.to_netcdf(tmp_path / "r.nc", engine="netcdf4", encoding=packing)
    read = open_runoff(tmp_path / "r.nc", network).read(None, 0, 6)
    assert np.allclose(read, 1e-3 * _expected(network, 0, 6), atol=1e-9)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d.rename({"runoff": "other"}).assign(more=d["runoff"]), "several variables"),
        (lambda d: d.isel(reach=[0, 1, 2]), r"lacks the reaches 10, 20 of the network"),
        (lambda d: d.assign_coords(reach=[50, 40, 30, 20, 20]), "20 appear more than once"),
        (lambda d: d.drop_vars("reach"), "no reach ids along 'reach'"),
        (lambda d: d.assign_coords(reach=["a", "b", "c", "d", "e"]), "integer ids"),
        (lambda d: d.isel(time=[0, 1, 3]), "one regular step"),
        (lambda d: d.isel(time=[1, 0]), "before its predecessor"),
        (lambda d: d.isel(time=[0, 0]), "twice"),
        (lambda d: d.isel(time=[0]), "1 time"),
        (lambda d: d.drop_vars("time"), "no readable times"),
        (lambda d: d.drop_vars("time").rename({"time": "t"}), "must be time"),
    ],
)
def test_bad_files(
    tmp_path: Path,
    network: RiverNetwork,
    make_runoff: MakeRunoff,
    change: Callable[[xr.Dataset], xr.Dataset],
    message: str,
) -> None:
    path = _write(change(make_runoff()), tmp_path / "r.nc")
    with pytest.raises(InputError, match=message) as error:
        open_runoff(path, network)
    assert str(path) in str(error.value)
    assert len(str(error.value).splitlines()) <= 2


@pytest.mark.parametrize(("units", "message"), [(None, "no units attribute"), ("furlong", "'furlong'")])
def test_a_missing_or_unknown_unit(
    tmp_path: Path, network: RiverNetwork, make_runoff: MakeRunoff, units: str | None, message: str
) -> None:
    path = _write(make_runoff(units=units), tmp_path / "r.nc")
    with pytest.raises(InputError, match=message) as error:
        open_runoff(path, network)
    assert str(path) in str(error.value)
    assert "'runoff'" in str(error.value)


def test_a_depth_needs_areas(tmp_path: Path, make_runoff: MakeRunoff, network: RiverNetwork) -> None:
    path = _write(make_runoff(units="mm/day"), tmp_path / "r.nc")
    bare = RiverNetwork(network.reach_id, network.downstream)
    with pytest.raises(InputError, match="area_m2"):
        open_runoff(path, bare)


def test_the_nearest_variable_is_named(
    tmp_path: Path, network: RiverNetwork, make_runoff: MakeRunoff
) -> None:
    path = _write(make_runoff(), tmp_path / "r.nc")
    with pytest.raises(InputError, match=r"'runof' is missing \(nearest: 'runoff'\)"):
        open_runoff(path, network, variable="runof")
    with pytest.raises(InputError, match="grid is set"):
        open_runoff(path, network, grid=True)


def test_nan_names_the_reaches_and_the_time(
    tmp_path: Path, network: RiverNetwork, make_runoff: MakeRunoff
) -> None:
    dataset = make_runoff()
    dataset["runoff"].loc[{"reach": 20}][3] = np.nan
    source = open_runoff(_write(dataset, tmp_path / "r.nc"), network)
    assert source.read(None, 0, 3).shape == (3, 5)
    with pytest.raises(InputError, match=r"reaches 20, first at 2000-01-04"):
        source.read(None, 1, 6)


@pytest.mark.parametrize("keep", [0.02, 0.6])
def test_a_truncated_netcdf(tmp_path: Path, keep: float) -> None:
    ids = np.arange(500)
    time = np.datetime64("2000-01-01", "ns") + np.arange(300) * np.timedelta64(1, "D")
    path = tmp_path / "r.nc"
    write_runoff(path, ids, time, np.random.default_rng(0).random((300, 500)))
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * keep)])
    network = RiverNetwork.from_ids(ids, np.full(500, -1))
    with pytest.raises(InputError, match="cannot be read as NetCDF") as error:
        open_runoff(path, network).read(None, 0, 300)
    assert str(path) in str(error.value)


def test_a_damaged_zarr(tmp_path: Path, network: RiverNetwork, make_runoff: MakeRunoff) -> None:
    path = _write(make_runoff(), tmp_path / "r.zarr")
    chunk = next((path / "runoff" / "c").rglob("0"))
    while chunk.is_dir():
        chunk = chunk / "0"
    chunk.write_bytes(b"nonsense")
    with pytest.raises(InputError, match=r"r\.zarr: cannot be read"):
        open_runoff(path, network).read(None, 0, 6)
    shutil.rmtree(path)
    path.mkdir()
    with pytest.raises(InputError, match="cannot be read as Zarr"):
        open_runoff(path, network)
    with pytest.raises(InputError, match="no such file"):
        open_runoff(tmp_path / "none.nc", network)


def test_a_chunk_that_was_lost_is_not_zero_flow(tmp_path: Path, network: RiverNetwork) -> None:
    path = tmp_path / "r.zarr"
    time = np.datetime64("2000-01-01", "ns") + np.arange(6) * np.timedelta64(1, "D")
    write_runoff(path, network.reach_id, time, np.ones((6, 5)))
    shutil.rmtree(path / "runoff" / "c")
    with pytest.raises(InputError, match="NaN"):
        open_runoff(path, network).read(None, 0, 6)


def _m3_riv(path: Path, values: np.ndarray) -> Path:
    xr.Dataset({"m3_riv": (("Time", "FEATUREID"), values.astype(np.float32))}).to_netcdf(
        path, engine="netcdf4"
    )
    return path


def test_rapid_runoff_by_position_of_rapid_connect(rapid_folder: Path) -> None:
    volume = np.array([[7.0, 3.0, np.nan], [70.0, 30.0, 50.0]]) * 10800.0
    path = _m3_riv(rapid_folder / "m3_riv_bas_erai_t511_3hr_19800101.nc", volume)
    network = read_network(rapid_folder)
    source = open_runoff(path, network)
    assert source.step == 10800.0
    assert source.time.tolist() == [
        np.datetime64(one, "ns").item() for one in ("1980-01-01T00", "1980-01-01T03")
    ]
    assert np.allclose(source.read(None, 0, 2), [[7, 3, 0], [70, 30, 50]])
    # ids, not positions: the same reaches in another order, or only some of them
    assert np.allclose(open_runoff(path, network.subset([2, 0])).read(None, 0, 2), [[0, 7], [50, 70]])


def test_rapid_runoff_away_from_its_folder(tmp_path: Path, rapid_folder: Path) -> None:
    network = read_network(rapid_folder)
    path = _m3_riv(tmp_path / "volumes.nc", np.ones((2, 3)))
    with pytest.raises(InputError, match=r"or runoff\.start and runoff\.step"):
        open_runoff(path, network)
    source = open_runoff(path, network, start="1990-01-01", step=3600.0)
    assert source.time[1] == np.datetime64("1990-01-01T01")
    assert np.allclose(source.read(None, 0, 2), 1 / 3600.0)
    with pytest.raises(InputError, match="has 3 reaches and no ids; expected 2"):
        open_runoff(path, network.subset([0, 1]), start="1990-01-01", step=3600.0)


@pytest.mark.parametrize("long", [False, True])
def test_runoff_from_csv(tmp_path: Path, network: RiverNetwork, long: bool) -> None:
    values = _expected(network, 0, 3)
    wide = pd.DataFrame(values, columns=[str(one) for one in network.reach_id])
    wide.insert(0, "time", ["2000-01-01", "2000-01-02", "2000-01-03"])
    table = wide.melt("time", var_name="reach_id", value_name="runoff") if long else wide
    table.to_csv(tmp_path / "r.csv", index=False)
    source = open_runoff(tmp_path / "r.csv", network)
    assert source.step == 86400.0
    assert np.array_equal(source.read([2, 0], 1, 3), values[1:3][:, [2, 0]])
    table.iloc[:-1].to_csv(tmp_path / "r.csv", index=False)
    if long:
        with pytest.raises(InputError, match=r"no value \(NaN\) for the reaches 40, first at 2000-01-03"):
            open_runoff(tmp_path / "r.csv", network)


def test_the_unrouted_sum_of_juniata(data_dir: Path) -> None:
    folder = data_dir / "juniata"
    network = read_network(folder / "network.csv")
    source = open_runoff(folder / "runoff.nc", network)
    observations = read_observations(folder / "discharge.nc", network)
    common = overlap(source.time, observations.time)
    test = (common.time >= np.datetime64("1995-10-01")) & (common.time <= np.datetime64("2010-09-30"))
    total = source.read(None, common.a.start, common.a.stop).sum(axis=1)[test]
    observed = observations.during(common.b).discharge[test, 0]
    nse = 1 - ((total - observed) ** 2).sum() / ((observed - observed.mean()) ** 2).sum()
    assert nse == pytest.approx(0.6947, abs=5e-4)


def test_rapid_volumes_of_texas(data_dir: Path) -> None:
    folder = data_dir / "texas_gulf_rapid"
    network = read_network(folder)
    source = open_runoff(folder / "m3_riv_bas_erai_t511_3hr_19800101.nc", network)
    with xr.open_dataset(source.path, engine="netcdf4") as dataset:
        volume = np.nan_to_num(dataset["m3_riv"].values.astype(np.float64))
    assert source.step == 10800.0
    assert np.allclose(source.read(None, 0, 8), volume / 10800.0, rtol=1e-14)
