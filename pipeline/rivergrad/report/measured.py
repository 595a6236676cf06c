"""What the intervals held where the truth is known: a nominal 90 % stands beside what was measured on twins."""

from __future__ import annotations

from rivergrad.documents import read_text
from rivergrad.rundir.reading import RunData

NOMINAL = "nominal 90 % interval"

HELD = {"gauss_newton": (95, 93), "adam": (94, 92)}
"""Percent of true celerities that intervals held on three twins, by optimiser: over all reaches that a gauge informs,
and over those with an identifiability above 0.2. From `benchmarks/interval_coverage.csv`; a test compares them."""

HELD_WITH_FLOW = (71, 92)
"""The same with an identifiability above 0.2 where celerity depends on flow: on a twin of Muskingum-Cunge's equations,
and on one whose law is the estimate's own."""

NO_DEVIATION = ("uniform", "attributes")
"""Models that give reaches nothing of their own: their intervals are about the law."""


def held_on_twins(run: RunData) -> str:
    """In one sentence, how many true values intervals like these held; nothing where there are none."""
    if run.celerity_lower is None:
        return ""
    model = run.summary.get("model")
    about = model if isinstance(model, dict) else {}
    if about.get("kind") in NO_DEVIATION:
        return (
            "On twins whose reaches differ from the law, such intervals held at most 5 % of the true celerities: "
            "they are about the law, not about a reach."
        )
    if about.get("flow"):
        low, high = HELD_WITH_FLOW
        return f"On twins whose celerity depends on flow, such intervals held {low} to {high} % of the true celerities."
    method = _method(run)
    everywhere, told = HELD.get(method, HELD["adam"])
    return (
        f"On twins that were routed by the scheme of the estimate, such intervals held {everywhere} % of the true "
        f"celerities, {told} % where the identifiability is above 0.2."
    )


def _method(run: RunData) -> str:
    section = read_text(run.config, "config.yaml").get("estimate")
    return str(section.get("method", "")) if isinstance(section, dict) else ""
