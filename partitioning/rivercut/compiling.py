"""Numba's `njit` that works where neither the installation nor the home can be written to.

Numba keeps compiled kernels beside their source or in the user's cache, and raises while a module is imported
where it can do neither: in a container, on a shared module tree, in a batch job without a home. `njit` here then
keeps them in a private folder among the temporary files, or nowhere.
"""

from __future__ import annotations

import logging
import os
import stat
import tempfile
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import numba

log = logging.getLogger("rivergrad.compiling")


def njit(function: Callable[..., Any] | None = None, **options: Any) -> Any:
    """`numba.njit`; with `cache=True` the kernel is kept wherever there is a place for it, if there is one."""
    if function is None:
        return lambda function: njit(function, **options)
    compiler: Any = numba.njit
    try:
        return compiler(**options)(function)
    except RuntimeError as error:
        if not _has_no_place(error):
            raise
    if _move_cache():
        with suppress(RuntimeError):
            return compiler(**options)(function)
    return compiler(**{**options, "cache": False})(function)


def _has_no_place(error: RuntimeError) -> bool:
    return "cannot cache" in str(error)  # "cannot cache function ...: no locator available"


@cache
def _move_cache() -> bool:
    """Have Numba keep kernels in a private folder from now on, child processes too; whether there is one."""
    folder = private_folder("kernels")
    log.warning(
        "compiled kernels: neither the installation nor the home can be written to, so they are %s; expected "
        "NUMBA_CACHE_DIR to name a folder that can",
        "compiled anew each time" if folder is None else f"kept in {folder}",
    )
    if folder is None:
        return False
    os.environ["NUMBA_CACHE_DIR"] = str(folder)
    settings: Any = numba.config
    settings.CACHE_DIR = str(folder)
    return True


def give_place(variable: str, home_folder: str) -> None:
    """Name a private folder in an environment variable where a library's own, below the home, cannot be written.

    Args:
        variable: what the library looks at, such as MPLCONFIGDIR.
        home_folder: its own folder, relative to the home.
    """
    if os.environ.get(variable):
        return
    folder = Path(os.path.expanduser("~")) / home_folder
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return
    except OSError:
        private = private_folder(variable.lower())
        if private is not None:
            os.environ[variable] = str(private)


def private_folder(purpose: str) -> Path | None:
    """A folder among the temporary files that is this user's alone; None where there can be none.

    What is kept there is run when it is read, so a folder that others own or may write to is not taken.

    Args:
        purpose: a word for its name; the same word gives the same folder again.
    """
    try:
        folder = Path(tempfile.gettempdir()) / f"rivergrad-{purpose}-{os.getuid()}"
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
            folder = Path(tempfile.mkdtemp(prefix=f"{folder.name}-"))
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except (OSError, AttributeError):  # no os.getuid on Windows, whose temporary files are private anyway
        return None
