"""The true runoff behind a given one, for twins on real networks: the given one over errors drawn from the seed."""

from __future__ import annotations

from rivercut.network import RiverNetwork
from rivergrad.config.sections import TwinSection
from rivergrad.io import RunoffReader
from rivergrad.io.readers import FactoredRunoff
from rivergrad.world import draw_runoff_factor


def true_runoff(given: RunoffReader, network: RiverNetwork, twin: TwinSection, seed: int) -> RunoffReader:
    """The runoff that a twin's gauges saw; the given one itself where the twin has no runoff errors."""
    if not twin.has_runoff_errors:
        return given
    factor = draw_runoff_factor(
        network,
        given.time.size,
        given.step,
        seed=seed,
        error=twin.runoff_error,
        bias=twin.runoff_bias,
        noise=twin.runoff_noise,
    )
    return FactoredRunoff(given, factor, over=True)
