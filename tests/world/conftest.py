"""One middle-sized world that the tests of this folder look at."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from rivergrad.world import World, WorldSpec, generate_network, generate_runoff


@pytest.fixture(scope="session")
def spec() -> WorldSpec:
    return WorldSpec(seed=5, reaches=800, years=2.0)


@pytest.fixture(scope="session")
def world(spec: WorldSpec) -> World:
    return generate_network(spec)


@pytest.fixture(scope="session")
def runoff(spec: WorldSpec, world: World) -> tuple[NDArray[np.datetime64], NDArray[np.float64]]:
    return generate_runoff(spec, world.network)
