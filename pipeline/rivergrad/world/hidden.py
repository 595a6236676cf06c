"""How a world with weather really makes runoff: what a runoff model is to learn, and not one of those that learn it.

Its soils shed water by how much of a catchment is full, its groundwater is not linear and its snow melts by the
season: HBV's buckets come near it and never reach it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rivercut.network import RiverNetwork
from rivergrad.world.noise import fractal_noise, sphere_points
from rivergrad.world.spec import DAY, WorldSpec
from rivergrad.world.streams import stream

Float = NDArray[np.float64]

SOIL_WAVES = 3.0  # of the fields of soils, per planet radius
SOIL_DEPTH = (60.0, 500.0)  # mm of water that soils can hold
CLAY = (0.05, 0.6)


def draw_soils(spec: WorldSpec, network: RiverNetwork) -> dict[str, Float]:
    """Attributes of the catchments of a world with weather: soil_depth_mm and clay_fraction, (reach,) each.

    Both vary smoothly over the planet; soils are thin where the ground is steep.
    """
    rng = stream(spec.seed, "catchments")
    points = sphere_points(network.attributes["lat"], network.attributes["lon"])
    depth, clay = (fractal_noise(points, rng, frequency=SOIL_WAVES, octaves=3) for _ in range(2))
    steep = np.log(network.attributes["slope"])
    steep = (steep - steep.mean()) / max(float(steep.std()), 1e-9)
    return {
        "soil_depth_mm": np.clip(200.0 * np.exp(0.5 * depth - 0.25 * steep), *SOIL_DEPTH),
        "clay_fraction": CLAY[0] + (CLAY[1] - CLAY[0]) / (1 + np.exp(-1.5 * clay)),
    }


@dataclass(frozen=True)
class HiddenBuckets:
    """Parameters of the true runoff, (reach,) each.

    Attributes:
        capacity: mm that the soil can hold; shape: of the distribution of capacity within a catchment.
        drainage: mm a day from a full soil to the groundwater.
        melt: mm a day and K, in the year's mean.
        quick_days: residence time of what runs off at the surface.
        slow: the groundwater loses `slow` · √storage of itself in a day.
        summer: +1 where July is summer, −1 where it is winter, less near the equator.
    """

    capacity: Float
    shape: Float
    drainage: Float
    melt: Float
    quick_days: Float
    slow: Float
    summer: Float


def hidden_buckets(spec: WorldSpec, network: RiverNetwork) -> HiddenBuckets:
    """The truth of a world: power laws of attributes, and noise that none of them explains."""
    rng = stream(spec.seed, "catchments", 1)
    a = network.attributes
    clay, steep = a["clay_fraction"], a["slope"] / 2e-3
    height = np.maximum(a["elevation_m"], 0.0) / 1000.0
    noise = np.exp(spec.bucket_noise * rng.standard_normal((6, network.n_reaches)))
    return HiddenBuckets(
        capacity=a["soil_depth_mm"] * noise[0],
        shape=np.clip((0.1 + 1.2 * clay**1.5) * noise[1], 0.05, 2.0),
        drainage=np.clip(12.0 * (1 - clay) ** 2 * noise[2], 0.2, 30.0),
        melt=np.clip((2.2 + 0.6 * np.minimum(height, 3.0)) * noise[3], 0.5, 8.0),
        quick_days=np.clip(0.6 * steep**-0.2 * noise[4], 0.15, 2.5),
        slow=np.clip(0.004 * steep**0.2 * noise[5], 5e-4, 0.03),
        summer=np.tanh(a["lat"] / 8.0),
    )


class HiddenState:
    """Water of every catchment, mm, and how it moves on; begins with half-full soils."""

    def __init__(self, buckets: HiddenBuckets, dt: float) -> None:
        self.buckets, self.days = buckets, dt / DAY
        n = buckets.capacity.size
        self.snow, self.quick, self.ground = np.zeros(n), np.zeros(n), np.full(n, 30.0)
        self.soil = 0.5 * buckets.capacity
        self.evaporation = np.zeros(n)
        self._leaves = 1 - np.exp(-self.days / buckets.quick_days)

    @property
    def total(self) -> Float:
        """All water, (reach,) mm."""
        return self.snow + self.soil + self.quick + self.ground

    def step(self, precipitation: Float, temperature: Float, potential: Float, day: float) -> Float:
        """Runoff of a step, (reach,) mm.

        Args:
            precipitation, potential: (reach,) mm in the step; temperature: (reach,) °C.
            day: of the year.

        Soil: Wood et al. (1992), doi:10.1029/91JD01786, with the variable infiltration capacity of Zhao's Xinanjiang
        model.
        """
        b = self.buckets
        falls = precipitation / (1 + np.exp(-(temperature - 0.7) / 0.6))
        light = 1 + 0.35 * b.summer * np.cos(2 * np.pi * (day - 172.0) / 365.25)
        self.snow += precipitation - falls
        melt = np.minimum(b.melt * light * np.maximum(temperature - 0.3, 0.0) * self.days, self.snow)
        self.snow -= melt
        wet = falls + melt

        largest = b.capacity * (1 + b.shape)
        room = np.clip(1 - self.soil / b.capacity, 0.0, 1.0)
        level = 1 - room ** (1 / (1 + b.shape))  # of the saturated part, of the largest capacity
        after = np.maximum(1 - level - wet / largest, 0.0)
        takes = b.capacity * (room - after ** (1 + b.shape))
        takes = np.clip(takes, 0.0, wet)
        self.soil += takes
        self.quick += wet - takes

        share = self.soil / b.capacity
        self.evaporation = np.minimum(potential * (1 - np.exp(-3.5 * share)), self.soil)
        self.soil -= self.evaporation
        drains = np.minimum(b.drainage * self.days * share**3, self.soil)
        self.soil -= drains
        self.ground += drains

        runs = self._leaves * self.quick
        self.quick -= runs
        seeps = self.ground * np.minimum(b.slow * np.sqrt(self.ground) * self.days, 1.0)
        self.ground -= seeps
        return np.asarray(runs + seeps, dtype=np.float64)
