"""rivercut: a river network as a graph, and how it is cut into parts.

The functions `carve` and `partition` stay in the modules of the same names.
"""

from rivercut.errors import InputError
from rivercut.halo import Halo
from rivercut.network import RiverNetwork
from rivercut.partition import Partition, PartitionSummary

__all__ = ["Halo", "InputError", "Partition", "PartitionSummary", "RiverNetwork"]
