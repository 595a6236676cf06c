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


def _to_console_only_errors() -> None:
    for handler in logging.getLogger("distributed").handlers:
        if type(handler) is logging.StreamHandler:
            handler.setLevel(logging.ERROR)


class WorkerSetup(WorkerPlugin):
    """Sends a worker's log, and where it was if it crashed, to a file; leaves signals to the run's own process.

    Schedulers of clusters tell every process of a job to end, workers too. The run's own process writes a checkpoint
    then, for which it needs them: they end when it ends them, or by themselves `GRACE_SECONDS` later.
    """

    name = "rivergrad-worker-setup"

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder

    def setup(self, worker: Any) -> None:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGUSR1, signal.SIG_IGN)
            signal.signal(signal.SIGTERM, _end_later)
        handler = None if self.folder is None else _open(log_path(self.folder, worker.name))
        if handler is None:
            return
        _to_console_only_errors()
        for name in LOGGERS:
            logger = logging.getLogger(name)
            logger.addHandler(handler)
            logger.setLevel(logging.INFO)
        for name in list(logging.Logger.manager.loggerDict):
            if name.startswith("distributed."):
                logging.getLogger(name).setLevel(logging.NOTSET)
        with suppress(AttributeError, ValueError):
            faulthandler.enable(handler.stream)  # type: ignore[attr-defined]
        logging.getLogger("rivergrad").info(
            "worker %s, process %d, at %s, scheduler %s", worker.name, os.getpid(), worker.address,
            worker.scheduler.address,
        )  # fmt: skip


def _end_later(number: int, frame: object) -> None:
    timer = threading.Timer(GRACE_SECONDS, os._exit, (128 + number,))
    timer.daemon = True
    timer.start()


@contextmanager
def scheduler_log(folder: Path | None) -> Iterator[None]:
    """Send what Dask logs in this process (of the scheduler, and of workers that are started again) to a file."""
    handler = None if folder is None else _open(log_path(folder, "scheduler"))
    if handler is None:
        yield
        return
    logger = logging.getLogger("distributed")
    level = logger.level
    _to_console_only_errors()
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
        handler.close()
