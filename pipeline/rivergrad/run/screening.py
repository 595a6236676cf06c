"""Gauges and values that are left out of a run as wrong (`rivergrad.gauges.screening` finds them)."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rivergrad.config.schema import Workflow
from rivergrad.errors import InputError, ids_text
from rivergrad.gauges.screening import DROPPED, Finding, ScreeningSettings, screen, unusable
from rivergrad.inference.loss import values_needed
from rivergrad.run.inputs import Inputs
from rivergrad.run.periods import periods_of
from rivergrad.rundir.contents import SCREENING
from rivergrad.rundir.record import write_rows

log = logging.getLogger("rivergrad")

SCREENING_COLUMNS = ("gauge", "reach_id", "what", "found", "expected", "start", "action")


def screen_inputs(inputs: Inputs, unrouted: NDArray[np.float64], config: Workflow, run_dir: Path) -> Inputs:
    """Leave out gauges and values that are wrong, as `gauges.screening` says, and write screening.csv.

    Only observations of time.train are looked at, and held-out gauges are reported but never touched, so that no
    score at them is better for what was left out. A gauge that is dropped has no observation left, in held-out time
    neither: it neither trains nor is scored. Gauges that lack different values are reported even where screening is
    off; they stay, as they cannot train anyway.

    Args:
        inputs: as read.
        unrouted: (time, gauge) runoff upstream of the gauges summed in the same step, over the record, m³/s.
        config: the workflow.
        run_dir: where screening.csv is written.

    Returns:
        The same inputs where nothing was found, else with NaN in `observed` and `observed_error` where something was
        left out, and with the held-out gauges that would have been dropped as `suspects`.

    Raises:
        InputError: no training gauge is left.
    """
    section = config.gauges.screening
    periods = periods_of(
        config, inputs.runoff.time, inputs.runoff.step, inputs.runoff.path, inputs.report.every
    )
    needed = values_needed(periods.fit[1] - periods.fit[0])
    if section.enabled and not inputs.runoff_is_given:
        log.info(
            "screening compares discharge with given runoff; none is given, so only unusable gauges are found"
        )
    if not section.enabled or not inputs.runoff_is_given:
        found = unusable(
            inputs.observed[inputs.compared(*periods.fit)], needed=needed, judged=~inputs.held_out
        )
        _write_screening(run_dir, inputs, found, periods.fit)
        return inputs
    window = inputs.compared(*periods.train)
    steps = np.arange(inputs.runoff.time.size)[window]
    in_fit, in_validation = (
        (steps >= first) & (steps < last) for first, last in (periods.fit, periods.validation)
    )
    # a test period may lie between the two
    observed = np.where((in_fit | in_validation)[:, None], inputs.observed[window], np.nan)
    result = screen(
        observed,
        unrouted[window],
        ScreeningSettings(**{name: value for name, value in section if name != "enabled"}),
        step=inputs.runoff.step * inputs.report.every,
        needed=needed,
        fit=in_fit,
        judged=~inputs.held_out,
    )
    _write_screening(run_dir, inputs, result.findings, periods.train)
    if not (result.keep & ~inputs.held_out).any():
        one = next(one for one in result.findings if one.action == DROPPED)
        raise InputError(
            f"{inputs.observations.path}: gauges.screening drops every training gauge within time.train: "
            f"{inputs.observations.gauge[one.gauge]} ({one.what}: found {one.found}; expected {one.expected})"
        )
    out = np.zeros(inputs.observed.shape, bool)
    out[window] = result.mask
    out[:, result.wrong] = True
    suspects = {one.gauge: one.what for one in result.findings if one.spared}
    if not out.any():
        return replace(inputs, suspects=suspects) if suspects else inputs
    error = inputs.observed_error
    return replace(
        inputs,
        suspects=suspects,
        observed=np.where(out, np.nan, inputs.observed),
        observed_error=None if error is None else np.where(out, np.nan, error),
    )


def _write_screening(
    run_dir: Path, inputs: Inputs, findings: Sequence[Finding], period: tuple[int, int]
) -> None:
    """Steps of the findings are counted among those of a period that may have observations."""
    time = inputs.runoff.time[inputs.compared(*period)]
    names = inputs.observations.gauge
    ids = inputs.network.reach_id[inputs.observations.reach]
    rows = [
        {
            "gauge": str(names[one.gauge]),
            "reach_id": int(ids[one.gauge]),
            "what": one.what,
            "found": one.found,
            "expected": one.expected,
            "start": "" if one.start < 0 else np.datetime_as_string(time[one.start], "s"),
            "action": one.action,
        }
        for one in findings
    ]
    write_rows(run_dir / SCREENING, rows, SCREENING_COLUMNS)
    for row in rows:
        log.warning("gauge %(gauge)s: %(what)s, found %(found)s; expected %(expected)s: %(action)s", row)
    if rows:
        dropped = [row["gauge"] for row in rows if row["action"] == DROPPED]
        log.info("screening: %d findings; dropped: %s", len(rows), ids_text(dropped) or "none")
