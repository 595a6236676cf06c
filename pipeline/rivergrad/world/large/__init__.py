"""A world of up to millions of reaches, made piece by piece: the demo's world grown to the size of the Earth.

Land, climate, the law of celerities and errors of gauges are those of `rivergrad.world`. Rivers are drained between
cells of the runoff's grid and grown within them, so that nothing larger than the network itself is in memory.
"""

from rivergrad.world.large.gauges import LargeGauges, observe_large, place_large_gauges
from rivergrad.world.large.network import LargeWorld, generate_large
from rivergrad.world.large.runoff import Grid, generate_large_runoff, grid_for
from rivergrad.world.large.spec import LargeSpec

__all__ = [
    "Grid",
    "LargeGauges",
    "LargeSpec",
    "LargeWorld",
    "generate_large",
    "generate_large_runoff",
    "grid_for",
    "observe_large",
    "place_large_gauges",
]
