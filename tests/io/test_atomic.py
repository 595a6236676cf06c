from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from rivergrad.errors import InputError
from rivergrad.io import DischargeWriter, atomic_path, write_parameters
from rivergrad.io import atomic as atomic_module
from rivergrad.rundir.contents import strangers


def test_a_file_and_a_folder_appear_whole(tmp_path: Path) -> None:
    for target in (tmp_path / "new" / "a.txt", tmp_path / "b.zarr"):
        for content in ("one", "two"):
            with atomic_path(target) as path:
                assert path.parent == target.parent
                assert path.suffix == target.suffix
                file = path
                if target.suffix == ".zarr":
                    path.mkdir()
                    file = path / "c"
                file.write_text(content)
            found = target if target.is_file() else target / "c"
            assert found.read_text() == content
    assert sorted(one.name for one in tmp_path.iterdir()) == ["b.zarr", "new"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_failure_leaves_the_old_and_nothing_else(tmp_path: Path, error: type[BaseException]) -> None:
    target = tmp_path / "a.txt"
    target.write_text("old")

    def fail() -> None:
        with atomic_path(target) as path:
            path.write_text("half")
            raise error

    with pytest.raises(error):
        fail()
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_what_a_killed_process_left_is_removed_and_a_living_ones_is_not(tmp_path: Path) -> None:
    code = (
        "import os, signal, sys; from rivergrad.io import atomic_path\n"
        "with atomic_path(sys.argv[1]) as path:\n"
        "    path.write_text('half'); os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "a.txt")], check=False)
    assert len(list(tmp_path.iterdir())) == 1
    living = tmp_path / f".tmp-{atomic_module._host()}-{os.getppid()}-00ff00ff-a.txt"
    living.write_text("being written")
    with atomic_path(tmp_path / "a.txt") as path:
        path.write_text("whole")
    assert sorted(tmp_path.iterdir()) == sorted([tmp_path / "a.txt", living])


def test_a_store_that_a_killed_process_had_begun_is_removed(tmp_path: Path) -> None:
    """It has a temporary name made from the temporary name of what it was to be."""
    code = (
        "import os, signal, sys; import rivercut.store; from rivergrad.io import atomic_path\n"
        "with atomic_path(sys.argv[1]) as path, rivercut.store._new_store(path, 'kind'):\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "a.zarr")], check=False)
    (left,) = tmp_path.iterdir()
    assert left.name.startswith("..tmp-")
    assert strangers(tmp_path) == []  # a run directory that holds no more is as good as empty
    with atomic_path(tmp_path / "a.zarr") as path:
        path.mkdir()
    assert [one.name for one in tmp_path.iterdir()] == ["a.zarr"]


def test_a_parent_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="not a folder"), atomic_path(tmp_path / "file" / "a.txt"):
        pass


@pytest.mark.parametrize("name", ["q.nc", "q.zarr"])
@pytest.mark.parametrize("old", [False, True])
def test_full_disk_while_appending(small_disk: Path, name: str, old: bool) -> None:
    target = small_disk / name
    ids = np.arange(1000)
    if old:
        with DischargeWriter(target, ids[:2]) as writer:
            writer.append(np.array(["2000-01-01"], "datetime64[ns]"), np.ones((1, 2)))
    before = sorted(small_disk.rglob("*"))
    values = np.random.default_rng(0).random((64, 1000))

    def fill() -> None:
        with DischargeWriter(target, ids) as writer:
            for first in range(0, 640, 64):
                days = np.arange(first, first + 64) * np.timedelta64(1, "D")
                writer.append(np.datetime64("2000-01-01", "ns") + days, values)

    with pytest.raises(OSError, match="No space left") as error:
        fill()
    assert error.value.errno == errno.ENOSPC
    assert str(target) in str(error.value)
    assert sorted(small_disk.rglob("*")) == before
    # what was written is given back: a small file fits now
    (small_disk / "small").write_bytes(b"0" * 100_000)


@pytest.mark.parametrize("name", ["p.nc", "p.zarr", "p.csv", "p.parquet"])
def test_full_disk_while_writing_parameters(small_disk: Path, name: str) -> None:
    ids = np.arange(100_000)
    values = np.random.default_rng(0).random(100_000)
    with pytest.raises(OSError, match="No space left") as error:
        write_parameters(small_disk / name, ids, {"k": values})
    assert error.value.errno == errno.ENOSPC
    assert list(small_disk.iterdir()) == []


def test_a_full_disk_as_netcdf_reports_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same without a disk to fill: HDF5 tells no reason, so the free space has to."""
    monkeypatch.setattr(atomic_module, "_NEARLY_FULL", 1 << 62)

    def fail() -> None:
        with atomic_path(tmp_path / "q.nc") as path:
            path.write_bytes(b"half")
            raise RuntimeError("NetCDF: HDF error")

    with pytest.raises(OSError, match="No space left") as error:
        fail()
    assert error.value.errno == errno.ENOSPC
    assert list(tmp_path.iterdir()) == []
