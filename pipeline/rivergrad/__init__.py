"""rivergrad: distributed estimation of river-routing parameters by differentiating through the routing."""

from __future__ import annotations

import os
import sys

if sys.argv[:1] == ["-m"] and "-m" in sys.orig_argv and not sys.flags.safe_path:
    # `python -m rivergrad`: as the command, it imports nothing from the current directory
    where = sys.orig_argv.index("-m") + 1
    if sys.orig_argv[where : where + 1] in (["rivergrad"], ["rivergrad.cli"]) and sys.path[:1] == [
        os.getcwd()
    ]:
        del sys.path[0]
    del where

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rivercut.network import RiverNetwork
    from rivergrad.errors import InputError
    from rivergrad.routing import Router, route

__version__ = version("rivergrad")

_PUBLIC = {
    "InputError": "rivergrad.errors",
    "RiverNetwork": "rivercut.network",
    "Router": "rivergrad.routing",
    "route": "rivergrad.routing",
}
__all__ = ["InputError", "RiverNetwork", "Router", "__version__", "route"]


def __getattr__(name: str) -> Any:
    # torch takes a second to import: only those who route pay for it
    if name in _PUBLIC:
        return getattr(import_module(_PUBLIC[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
