"""What a run directory records about the run itself: run.json, log.txt, history.csv."""

from __future__ import annotations

import json
import logging
import os
import platform
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rivergrad.io import atomic_path
from rivergrad.rundir.stopping import Stopped

PACKAGES = ("rivergrad", "numpy", "numba", "torch", "dask", "xarray", "zarr", "pymetis", "pyflwdir")


def versions() -> dict[str, str]:
    """Versions of Python and of what the results depend on."""
    return {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}}


def git_hash() -> str | None:
    """The commit that this package runs from, with `-dirty` where files differ; None outside a checkout."""
    here = Path(__file__).resolve().parent
    try:
        found = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"],
            cwd=here, capture_output=True, text=True, timeout=10, check=True,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return None
    return found.stdout.strip() or None


def machine() -> dict[str, Any]:
    """Processor, cores and memory; no names of hosts or users."""
    processor = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        processor = next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        pass
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    return {"processor": processor, "cores": os.cpu_count(), "memory_gb": round(memory, 1)}


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write JSON whole or not at all."""
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(content, indent=2, default=str) + "\n", encoding="utf-8")


def write_rows(path: Path, rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> None:
    """Write a CSV table whole or not at all; numbers with 8 significant digits."""

    def cell(value: Any) -> str:
        if isinstance(value, float):
            return "" if value != value else f"{value:.8g}"
        text = str(value)
        return '"' + text.replace('"', '""') + '"' if any(c in text for c in ',"\n') else text

    lines = [",".join(columns), *(",".join(cell(row[name]) for name in columns) for row in rows)]
    with atomic_path(path) as temporary:
        temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _now() -> str:
    """As the lines of a log begin."""
    return logging.Formatter().formatTime(logging.makeLogRecord({"created": time.time()}))


class _LogFile(logging.FileHandler):
    """A log that cannot be written (a full disk) is given up; what is wrong is said elsewhere."""

    def handleError(self, record: logging.LogRecord) -> None:
        pass

    def close(self) -> None:
        with suppress(OSError):
            super().close()


class _Kept(logging.Handler):
    """Keeps the texts of warnings."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(record.getMessage())


@contextmanager
def remarks_shown() -> Iterator[None]:
    """Print what is remarked on input files, once all are read: it stands on standard error and in the log."""
    logger, kept = logging.getLogger("rivergrad"), _Kept()
    logger.addHandler(kept)
    try:
        yield
    finally:
        logger.removeHandler(kept)
    for text in dict.fromkeys(kept.texts):
        print(text, file=sys.stderr)


@contextmanager
def log_to(path: Path) -> Iterator[None]:
    """Send rivergrad's log to a file, after what is there already."""
    logger = logging.getLogger("rivergrad")
    if not path.exists() or not path.stat().st_size:
        with atomic_path(path) as temporary:  # by its first line it is known again
            temporary.write_text(f"{_now()} INFO log of rivergrad {version('rivergrad')}\n", encoding="utf-8")
    elif (
        path.stat().st_nlink > 1
    ):  # another name of the file may be the user's: what is added goes into a copy
        with atomic_path(path) as temporary:
            temporary.write_bytes(path.read_bytes())
    handler = _LogFile(path, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    except Stopped as error:
        logger.info("%s", error)
        raise
    except BaseException as error:
        logger.error("%s: %s", type(error).__name__, error)
        raise
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
        handler.close()
