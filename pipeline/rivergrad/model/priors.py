"""What is known of routing parameters before any gauge has been looked at, with sources."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Known:
    """A parameter before observations.

    Attributes:
        name, units: SI.
        lower, upper: beyond which no river is believed to be.
        median: of reaches; sd: standard deviation of single reaches about what attributes or neighbours say, of ln for
            celerity and diffusivity, of the value for x.
        source: where the numbers come from.
    """

    name: str
    units: str
    lower: float
    upper: float
    median: float
    sd: float
    source: str


CELERITY = Known(
    "celerity", "m s-1", 0.05, 5.0, 0.8, 0.4,
    "of the order of 1 m/s for flood waves in the world's rivers (Allen et al. 2018, doi:10.1029/2018GL077914), less "
    "where floodplains and lakes store water (David et al. 2011, doi:10.1175/2011JHM1345.1); sd: a factor of 1.5, our "
    "own choice, which the evidence replaces",
)  # fmt: skip
MUSKINGUM_X = Known(
    "x", "1", 0.0, 0.5, 0.2, 0.1,
    "0 to 0.5, above which waves would grow (Cunge 1969, doi:10.1080/00221686909500264); about 0.2 in natural "
    "streams (Chow 1959, Open-Channel Hydraulics); sd: our own choice",
)  # fmt: skip
DIFFUSIVITY = Known(
    "diffusivity", "m2 s-1", 1.0, 1e5, 1000.0, 1.0,
    "Q / (2 B S) for discharge Q, width B and slope S (Cunge 1969, doi:10.1080/00221686909500264), from steep "
    "headwaters to large lowland rivers; median and sd: our own choice",
)  # fmt: skip

PRIORS = {known.name: known for known in (CELERITY, MUSKINGUM_X, DIFFUSIVITY)}
