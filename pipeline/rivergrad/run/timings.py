"""How long each part of a run takes, and how much memory it has had by then."""

from __future__ import annotations

import logging
import sys
import time
from pathlib import Path
from typing import Any

from rivergrad.rundir.contents import INFO
from rivergrad.rundir.record import write_json

log = logging.getLogger("rivergrad")


class Timer:
    """Notes in run.json how long each part of a run took."""

    def __init__(self, run_dir: Path, info: dict[str, Any]) -> None:
        self._path, self._info = run_dir / INFO, info
        self._last = time.perf_counter()

    def note(self, name: str) -> None:
        """A part has ended: its seconds go to the log and to `timings` of run.json."""
        now = time.perf_counter()
        # the last one tells how far the run is, also after a worker was lost
        self._info["timings"].pop(name, None)
        self._info["timings"][name] = round(now - self._last, 3)
        self._last = now
        log.info("%s took %.1f s", name, self._info["timings"][name])
        self._info.setdefault("peak_mb", {})[name] = peak_mb()
        write_json(self._path, self._info)


def peak_mb() -> int | None:
    """The most memory that this process has had so far, MB; None where the system does not say."""
    try:
        import resource  # not on Windows
    except ImportError:
        return None
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(most / (1 << 20 if sys.platform == "darwin" else 1 << 10))
