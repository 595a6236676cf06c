"""An embedded world: a planet with rivers, weather and gauges, generated from a seed and nothing else."""

from rivergrad.world.basin import one_basin
from rivergrad.world.gauges import Gauges, observe, place_gauges
from rivergrad.world.nonlinear import Channels, rectangular, route_nonlinear, with_errors
from rivergrad.world.planet import World, generate_network
from rivergrad.world.runoff import generate_runoff
from rivergrad.world.runoff_error import RunoffFactor, draw_runoff_factor, given_runoff
from rivergrad.world.spec import WorldSpec
from rivergrad.world.weather import Weather, generate_weather

__all__ = [
    "Channels",
    "Gauges",
    "RunoffFactor",
    "Weather",
    "World",
    "WorldSpec",
    "draw_runoff_factor",
    "generate_network",
    "generate_runoff",
    "generate_weather",
    "given_runoff",
    "observe",
    "one_basin",
    "place_gauges",
    "rectangular",
    "route_nonlinear",
    "with_errors",
]
