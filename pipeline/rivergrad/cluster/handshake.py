"""Whether all processes of a cluster run the same rivergrad."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rivergrad.cluster.liveness import AGAIN, PATIENCE, Watch
from rivergrad.cluster.lost import WorkerLostError
from rivergrad.errors import InputError


@cache
def code_digest() -> str:
    """Eight letters that tell one state of the source from another that has the same version number."""
    import rivercut
    import rivergrad

    total = hashlib.sha256()
    for package in (rivergrad, rivercut):
        folder = Path(str(package.__file__)).parent
        for path in sorted(folder.rglob("*.py")):
            total.update(path.relative_to(folder).as_posix().encode() + b"\0" + path.read_bytes())
    return total.hexdigest()[:8]


def check_versions(client: Any, patience: float = PATIENCE) -> None:
    """Ask every worker which rivergrad it runs.

    Raises:
        InputError: one runs another version, other source, or has none; names both.
        WorkerLostError: one ended, or gave no sign of life for `patience` seconds.
    """
    from rivergrad import __version__ as mine

    watch = Watch(client, patience)

    def ask(function: Callable[..., str], *args: str) -> Iterable[tuple[str, Any]]:
        found = watch.patiently(lambda: client.run(function, *args, on_error="return"), list(watch.workers()))
        if any(isinstance(answer, OSError) for answer in found.values()):  # a broken connection
            raise WorkerLostError("a worker ended while it started (out of memory, or killed)", advice=AGAIN)
        return sorted(found.items())

    for address, found in ask(version, "rivergrad"):
        if found != mine:
            theirs = "no rivergrad" if isinstance(found, Exception) else f"rivergrad {found}"
            _refuse(address, theirs, f"rivergrad {mine}")
    digest = code_digest()
    for address, found in ask(code_digest):
        if found != digest:
            theirs = "other source" if isinstance(found, Exception) else f"source {found}"
            _refuse(address, f"rivergrad {mine}, {theirs}", f"rivergrad {mine}, source {digest}")


def _refuse(address: str, theirs: str, mine: str) -> None:
    raise InputError(
        f"worker {address} has {theirs}, and this process {mine}; expected the same everywhere: nothing was "
        "computed, so give the workers this environment and run the command again"
    )
