"""Logs of scheduler and workers in the run directory, and how a worker takes signals."""

from __future__ import annotations

import faulthandler
import logging
import os
import re
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from distributed import WorkerPlugin
from distributed.protocol import pickle

from rivergrad import registry

FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
LOGGERS = ("rivergrad", "distributed")
GRACE_SECONDS = 300.0
"""How long a worker that was told to end waits for its run to write a checkpoint and end it."""


def log_path(folder: Path, name: object) -> Path:
    """Where a worker of that name writes."""
    return folder / f"{re.sub(r'[^A-Za-z0-9_.-]+', '-', str(name))}.log"


class _File(logging.FileHandler):
    """A log that cannot be written is given up: what is wrong with the disk is said by the run."""

    def handleError(self, record: logging.LogRecord) -> None:
        pass


def _open(path: Path) -> logging.Handler | None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handler = _File(path, encoding="utf-8")
    except OSError:
        return None
    handler.setFormatter(logging.Formatter(FORMAT))
    return handler


class _OnlyErrors(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        return record.levelno >= logging.ERROR


_only_errors = _OnlyErrors()


def quiet_console() -> None:
    """Keep what Dask logs off the terminal, but for errors. (Levels would not last: Dask sets them itself.)"""
    for handler in logging.getLogger("distributed").handlers:
        if not isinstance(handler, _File):
            handler.addFilter(_only_errors)


class WorkerSetup(WorkerPlugin):
    """Sends a worker's log, and where it was if it crashed, to a file; leaves signals to the run's own process.

    Schedulers of clusters tell every process of a job to end, workers too. The run's own process writes a checkpoint
    then, for which it needs them: they end when it ends them, or by themselves `GRACE_SECONDS` later.
    """

    name = "rivergrad-worker-setup"

    def __init__(self, folder: Path | None, parts: tuple[tuple[str, ...], bytes] = ((), b"")) -> None:
        self.folder = folder
        self.parts = parts

    def setup(self, worker: Any) -> None:
        adopt(*self.parts)
        quiet_console()
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGUSR1, signal.SIG_IGN)
            signal.signal(signal.SIGTERM, _end_later)
        handler = None if self.folder is None else _open(log_path(self.folder, worker.name))
        if handler is None:
            return
        for name in LOGGERS:
            logger = logging.getLogger(name)
            logger.addHandler(handler)
            logger.setLevel(logging.INFO)
        for logger in _below_distributed():
            logger.setLevel(logging.NOTSET)
        with suppress(AttributeError, ValueError):
            faulthandler.enable(handler.stream)  # type: ignore[attr-defined]
        logging.getLogger("rivergrad").info(
            "worker %s, process %d, at %s, scheduler %s", worker.name, os.getpid(), worker.address,
            worker.scheduler.address,
        )  # fmt: skip


def exported() -> tuple[tuple[str, ...], bytes]:
    """The folders of modules that this run's workflow names, and the parts that were registered, for `adopt`."""
    return registry.search_folders(), pickle.dumps(registry.registered())


def adopt(folders: tuple[str, ...], parts: bytes) -> None:
    """Make the user's own parts known in this process as they are in the run's."""
    registry.extend_path(folders)  # first: parts may be of modules that lie there
    if parts:
        registry.adopt(pickle.loads(parts))


def _end_later(number: int, frame: object) -> None:
    timer = threading.Timer(GRACE_SECONDS, os._exit, (128 + number,))
    timer.daemon = True
    timer.start()


def _below_distributed() -> list[logging.Logger]:
    names = list(logging.Logger.manager.loggerDict)
    return [logging.getLogger(name) for name in names if name.startswith("distributed.")]


@contextmanager
def scheduler_log(folder: Path | None) -> Iterator[None]:
    """Send what Dask logs in this process (of the scheduler, and of workers that are started again) to a file."""
    handler = None if folder is None else _open(log_path(folder, "scheduler"))
    if handler is None:
        yield
        return
    top = logging.getLogger("distributed")
    levels = {logger: logger.level for logger in (top, *_below_distributed())}
    for logger in levels:
        logger.setLevel(logging.NOTSET)
    top.addHandler(handler)
    top.setLevel(logging.INFO)
    try:
        yield
    finally:
        top.removeHandler(handler)
        for logger, level in levels.items():
            logger.setLevel(level)
        handler.close()
