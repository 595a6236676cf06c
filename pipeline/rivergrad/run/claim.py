"""A run directory belongs to one process at a time."""

from __future__ import annotations

import fcntl
import io
import json
import logging
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, NoReturn

from rivergrad.cluster.slurmqueue import job_state
from rivergrad.errors import InputError
from rivergrad.files import open_file
from rivergrad.rundir.contents import LOCK

log = logging.getLogger("rivergrad")

POLL_SECONDS = 0.5
"""How often a lock that another process holds is tried again."""


@contextmanager
def alone_in(run_dir: Path) -> Iterator[None]:
    """Work in a run directory that no other process works in.

    The lock ends with its process, however that ends. File systems that know no locks across machines, or none at all,
    leave what the holder wrote: then Slurm is asked whether its job goes on.

    Raises:
        InputError: another process does; who, as far as it is known.
    """
    new = make_folders(run_dir)
    path = run_dir / LOCK
    try:
        with _locked(run_dir, path):
            yield
    finally:
        with suppress(OSError):
            for folder in new:  # where nothing was left in it
                folder.rmdir()


def make_folders(folder: Path) -> list[Path]:
    """Make a folder and those above it; those that were not there, the lowest first."""
    new = [one for one in (folder, *folder.parents) if not one.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    return new


@contextmanager
def _locked(run_dir: Path, path: Path) -> Iterator[None]:
    with _opened(path) as file:
        tries = 3  # `working_in` may hold it for a moment
        while not _lock(file):
            tries -= 1
            if tries == 0:
                _refuse(run_dir, _holder(file))
            time.sleep(POLL_SECONDS)
        if _holds_elsewhere(_holder(file)):
            _refuse(run_dir, _holder(file))
        file.seek(0)
        file.truncate()
        me = {"host": socket.gethostname(), "process": os.getpid(), "job": _my_job()}
        file.write(json.dumps(me) + "\n")
        file.flush()
        try:
            yield
        finally:
            with suppress(OSError):
                path.unlink(missing_ok=True)


def _refuse(run_dir: Path, holder: dict[str, Any]) -> NoReturn:
    raise InputError(f"{run_dir}: {_who(holder)} works there; expected it to end, or another output")


def working_in(run_dir: Path) -> str | None:
    """Which process works in a run directory, None where none does, or none that can be known of."""
    try:
        with io.TextIOWrapper(open_file(run_dir / LOCK), encoding="utf-8") as file:
            holder = _holder(file)
            held = not _lock(file, fcntl.LOCK_SH) or _holds_elsewhere(holder)
    except OSError:
        return None
    return _who(holder) if held else None


def is_abandoned(run_dir: Path) -> bool:
    """Whether the process that worked in a run directory is known to have ended without a word."""
    try:
        with io.TextIOWrapper(open_file(run_dir / LOCK), encoding="utf-8") as file:
            return _holder(file).get("host") == socket.gethostname() and _lock(file, fcntl.LOCK_SH)
    except OSError:
        return False


@contextmanager
def one_after_the_other(path: Path, limit: float) -> Iterator[None]:
    """Wait for the others that do the same with this file, at most `limit` seconds.

    Raises:
        InputError: one of them takes longer.
    """
    deadline = time.monotonic() + limit
    with path.open("a") as file:
        while not _lock(file):
            if time.monotonic() > deadline:
                raise InputError(f"{path}: another process has held it for {limit:g} s; expected it to end")
            time.sleep(POLL_SECONDS)
        yield


def _opened(path: Path) -> IO[str]:
    """The file of a lock, there at the time it is locked: its last holder may just have removed it."""
    while True:
        file = path.open("a+", encoding="utf-8")
        try:
            if not _lock(file) or os.path.samestat(os.fstat(file.fileno()), path.stat()):
                return file
        except FileNotFoundError:
            pass
        file.close()


def _lock(file: IO[str], how: int = fcntl.LOCK_EX) -> bool:
    """Take a lock, or keep it; False where another process holds it. Where there are no locks, nobody holds one."""
    try:
        fcntl.flock(file, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        log.warning(
            "%s: no lock (%s): see to it that no other process works there", file.name, error.strerror
        )
    return True


def _holder(file: IO[str]) -> dict[str, Any]:
    file.seek(0)
    with suppress(ValueError):
        found = json.loads(file.read())
        if isinstance(found, dict):
            return found
    return {}


def _holds_elsewhere(holder: dict[str, Any]) -> bool:
    """Whether a process of another machine, whose lock may not be seen here, is of a Slurm job that goes on."""
    job = holder.get("job")
    if not job or job == _my_job() or holder.get("host") == socket.gethostname():
        return False
    state = job_state(str(job))
    return state is not None and not state.ended and not state.waits


def _who(holder: dict[str, Any]) -> str:
    job = f", Slurm job {holder['job']}" if holder.get("job") else ""
    known = "process" in holder
    return f"process {holder['process']} of {holder.get('host')}{job}" if known else "another process"


def _my_job() -> str | None:
    return os.environ.get("SLURM_JOB_ID")
