"""What goes wrong with files in the middle of a run: a clear line, nothing lost, and the same estimate once mended."""

from __future__ import annotations

import json
import os
import pickle
import resource
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from rivercut.store import read_network
from rivergrad.cli import app
from rivergrad.errors import InputError
from rivergrad.io import open_runoff, write_runoff
from rivergrad.rundir.checkpoint import Checkpoint, read_newest


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def ends_with_2(*arguments: object) -> str:
    """The line that a command says when it ends with 2."""
    result = CliRunner().invoke(app, [str(a) for a in arguments])
    assert result.exit_code == 2, result.output
    said = [line for line in result.stderr.splitlines() if line.startswith("rivergrad: error: ")]
    assert len(said) == 1
    assert said[0] == result.stderr.splitlines()[-1]
    assert "Traceback" not in result.stderr
    return said[0]


@contextmanager
def no_more_than(size: int) -> Iterator[None]:
    """No file can grow beyond so many bytes, as on a disk that is full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@contextmanager
def no_room_left(disk: Path) -> Iterator[None]:
    """A file takes all that is left of a disk."""
    filler = disk / "filler"
    try:
        with suppress(OSError), filler.open("wb", buffering=0) as file:
            while file.write(bytes(4096)):
                pass
        yield
    finally:
        filler.unlink()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of its own: nothing but the system itself can say that it is full."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=30m", "tmpfs", str(folder)]
    done = subprocess.run(mount, capture_output=True, text=True, timeout=30, check=False)
    if done.returncode:
        pytest.skip(f"no disk to fill: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], timeout=30, check=True)


def test_a_disk_that_is_full(
    finished: Path, small_disk: Path, tiny: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    full_at_a_checkpoint(
        finished, small_disk, tiny, monkeypatch, lambda: no_room_left(small_disk), "no space left on the disk"
    )


def test_a_file_that_may_not_grow(
    finished: Path, tmp_path: Path, tiny: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    full_at_a_checkpoint(finished, tmp_path, tiny, monkeypatch, lambda: no_more_than(5000), "file too large")


def full_at_a_checkpoint(
    finished: Path,
    disk: Path,
    tiny: Any,
    monkeypatch: pytest.MonkeyPatch,
    full: Callable[[], AbstractContextManager[None]],
    what: str,
) -> None:
    """The run ends with a line, keeps what was there, and goes on to the same bytes once there is room."""
    run, path = disk / "run", tiny(disk / "tiny.yaml", disk / "run")
    write = Checkpoint.write

    def write_until_full(self: Checkpoint, folder: Path, keep: int) -> Path:
        if self.step < 8:
            return write(self, folder, keep)
        with full():
            return write(self, folder, keep)

    monkeypatch.setattr(Checkpoint, "write", write_until_full)
    said = ends_with_2("estimate", path)
    monkeypatch.undo()
    assert "checkpoints" in said
    assert what in said
    assert said.endswith("run the same command again to go on from the last checkpoint")
    assert [p.name for p in (run / "checkpoints").iterdir()] == ["step-000004.npz"]
    newest = read_newest(run / "checkpoints")
    assert newest is not None
    assert newest.step == 4
    monkeypatch.setattr("rivergrad.run.workflow.git_hash", lambda: "0" * 40)
    assert CliRunner().invoke(app, ["estimate", str(path)]).exit_code == 0
    assert contents(run / "parameters.zarr") == contents(finished / "parameters.zarr")


@contextmanager
def nobody() -> Iterator[None]:
    """As a user whom permissions bind."""
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)


def test_a_run_directory_that_is_read_only(finished: Path, tiny: Any) -> None:
    folder = Path(tempfile.mkdtemp())  # that of pytest is closed to others
    try:
        run = folder / "run"
        shutil.copytree(finished, run)
        path = tiny(folder / "tiny.yaml", run)
        (run / "config.yaml").write_text((run / "config.yaml").read_text().replace(str(finished), str(run)))
        new = tiny(folder / "new.yaml", folder / "new")
        before = contents(run)
        for one in (folder, *(p for p in run.rglob("*") if p.is_dir()), run):
            one.chmod(0o555)
        with nobody():
            said = ends_with_2("estimate", path)
            assert str(run) in said
            assert "permission denied" in said
            said = ends_with_2("estimate", new)
            assert f"{folder / 'new'}" in said
            assert "permission denied" in said
        assert contents(run) == before
        assert not (folder / "new").exists()
    finally:
        for one in (folder, *(p for p in folder.rglob("*") if p.is_dir())):
            one.chmod(0o755)
        shutil.rmtree(folder)


@pytest.mark.slow
@pytest.mark.distributed
@pytest.mark.filterwarnings("default")
def test_a_chunk_that_is_cut_off(finished: Path, tmp_path: Path, tiny: Any) -> None:
    """Workers meet it; the line names the file, and nothing is left in the way of the mended workflow."""
    network = read_network(finished / "network.zarr")
    runoff = open_runoff(finished / "world" / "runoff.nc", network)
    store = tmp_path / "runoff.zarr"
    write_runoff(store, network.reach_id, runoff.time, runoff.read(None, 0, runoff.time.size))
    chunk = max((p for p in store.rglob("*") if p.is_file()), key=lambda p: p.stat().st_size)
    whole = chunk.read_bytes()
    chunk.write_bytes(whole[: len(whole) // 2])
    path = tiny(tmp_path / "tiny.yaml", tmp_path / "run")
    text = path.read_text()
    world = text.index("world:")
    inputs = (
        f"network: {{path: {finished / 'network.zarr'}}}\n"
        f"runoff: {{path: {store}}}\n"
        f"observations: {{path: {finished / 'world' / 'observations.nc'}}}\n"
    )
    path.write_text(
        text[:world] + inputs + text[text.index("time:\n") :].replace("kind: serial", "workers: 2")
    )
    said = ends_with_2("estimate", path)
    assert str(store) in said
    assert "cannot be read" in said
    assert not (tmp_path / "run").exists()


def test_a_store_that_would_run_code(finished: Path, tmp_path: Path) -> None:
    """A Zarr store can name pickle as its codec; it is refused before it is read."""
    network = read_network(finished / "network.zarr")
    store, mark = tmp_path / "runoff.zarr", tmp_path / "mark"

    class Harm:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (mark,)

    def array(name: str, data: bytes, dtype: str, shape: list[int], dims: list[str], **more: Any) -> None:
        (store / name).mkdir(parents=True)
        meta = {"zarr_format": 2, "shape": shape, "chunks": shape, "dtype": dtype, "compressor": None,
                "filters": None, "fill_value": None, "order": "C"}  # fmt: skip
        units = {"time": "days since 2000-01-01", "runoff": "m3 s-1"}
        (store / name / ".zarray").write_text(json.dumps({**meta, **more}))
        (store / name / ".zattrs").write_text(
            json.dumps({"_ARRAY_DIMENSIONS": dims, "units": units.get(name, "1")})
        )
        (store / name / ".".join("0" * len(shape))).write_bytes(data)

    n = network.n_reaches
    array("time", np.arange(3).tobytes(), "<i8", [3], ["time"])
    array("reach_id", network.reach_id.tobytes(), "<i8", [n], ["reach"])
    (store / ".zgroup").write_text('{"zarr_format": 2}')
    array("runoff", np.ones((3, n)).tobytes(), "<f8", [3, n], ["time", "reach"])
    assert open_runoff(store, network).read(None, 0, 3).shape == (3, n)
    for codec in ({"filters": [{"id": "pickle"}]}, {"compressor": {"id": "pickle"}}):
        shutil.rmtree(store / "runoff")
        array("runoff", pickle.dumps(Harm()), "<f8", [3, n], ["time", "reach"], **codec)
        with pytest.raises(InputError, match=r"runoff\.zarr: cannot be read as Zarr.*pickle"):
            open_runoff(store, network).read(None, 0, 3)
    assert not mark.exists()
    pickle.loads(pickle.dumps(Harm()))  # which it does where it is let
    assert mark.exists()
