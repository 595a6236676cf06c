"""rivercut: a river network as a graph, and how it is cut into parts.

The functions `carve` and `partition` stay in the modules of the same names. Names are imported when they are asked for
(PEP 562): numba takes half a second, and who asks for an error or a record does without.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rivercut.errors import InputError
    from rivercut.halo import Halo
    from rivercut.network import RiverNetwork
    from rivercut.partition import Partition, PartitionSummary

__all__ = ["Halo", "InputError", "Partition", "PartitionSummary", "RiverNetwork"]

_HOMES = {
    "Halo": "rivercut.halo",
    "InputError": "rivercut.errors",
    "Partition": "rivercut.partition",
    "PartitionSummary": "rivercut.partition",
    "RiverNetwork": "rivercut.network",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
