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
    from rivercut.partition import partition
    from rivergrad.api import scores, simulate
    from rivergrad.config.load import load_workflow
    from rivergrad.config.schema import Workflow
    from rivergrad.errors import InputError
    from rivergrad.io import (
        open_forcings,
        open_runoff,
        read_network,
        read_observations,
        read_parameters,
        write_forcings,
        write_observations,
        write_parameters,
        write_runoff,
    )
    from rivergrad.io import write_network_table as write_network
    from rivergrad.registry import register
    from rivergrad.routed import route
    from rivergrad.routing import GridWeights, Router
    from rivergrad.run.workflow import run_workflow
    from rivergrad.rundir.opened import open_run

__version__ = version("rivergrad")

_PUBLIC = {
    "GridWeights": "rivergrad.routing",
    "InputError": "rivergrad.errors",
    "RiverNetwork": "rivercut.network",
    "Router": "rivergrad.routing",
    "Workflow": "rivergrad.config.schema",
    "load_workflow": "rivergrad.config.load",
    "open_forcings": "rivergrad.io",
    "open_run": "rivergrad.rundir.opened",
    "open_runoff": "rivergrad.io",
    "partition": "rivercut.partition",
    "read_network": "rivergrad.io",
    "read_observations": "rivergrad.io",
    "read_parameters": "rivergrad.io",
    "register": "rivergrad.registry",
    "route": "rivergrad.routed",
    "run_workflow": "rivergrad.run.workflow",
    "scores": "rivergrad.api",
    "simulate": "rivergrad.api",
    "write_forcings": "rivergrad.io",
    "write_network": "rivergrad.io",
    "write_observations": "rivergrad.io",
    "write_parameters": "rivergrad.io",
    "write_runoff": "rivergrad.io",
}
_CALLED = {"write_network": "write_network_table"}
"""Public names that are called otherwise where they are defined."""

__all__ = [
    "GridWeights",
    "InputError",
    "RiverNetwork",
    "Router",
    "Workflow",
    "__version__",
    "load_workflow",
    "open_forcings",
    "open_run",
    "open_runoff",
    "partition",
    "read_network",
    "read_observations",
    "read_parameters",
    "register",
    "route",
    "run_workflow",
    "scores",
    "simulate",
    "write_forcings",
    "write_network",
    "write_observations",
    "write_parameters",
    "write_runoff",
]


def __getattr__(name: str) -> Any:
    # torch takes a second to import: only those who route pay for it
    if name in _PUBLIC:
        return getattr(import_module(_PUBLIC[name]), _CALLED.get(name, name))
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
