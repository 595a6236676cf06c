"""Processes below one, for tests that harm them."""

from __future__ import annotations

import os
from contextlib import suppress

import psutil


def children(pid: int) -> list[psutil.Process]:
    """Processes below one."""
    return psutil.Process(pid).children(recursive=True)


def workers_of(pid: int | None = None) -> list[psutil.Process]:
    """Worker processes below one, or below this one: what multiprocessing has spawned, but for what keeps its books."""
    found = []
    for below in children(os.getpid() if pid is None else pid):
        with suppress(psutil.NoSuchProcess):
            if any("spawn_main" in word for word in below.cmdline()):
                found.append(below)
    return sorted(found, key=lambda one: one.pid)


def alive(process: psutil.Process) -> bool:
    """Whether a process still runs."""
    with suppress(psutil.NoSuchProcess):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False
