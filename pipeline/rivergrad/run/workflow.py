"""Carrying out a workflow from its input to its report; a run that was stopped goes on where it was."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rivercut.partition import Partition
from rivercut.store import write_network, write_partition
from rivergrad import registry
from rivergrad.cluster.executor import Executor, open_executor, with_restarts
from rivergrad.cluster.lost import ClusterError
from rivergrad.cluster.mainguard import require_guard
from rivergrad.config.schema import Workflow
from rivergrad.errors import InputError, os_error_text
from rivergrad.io import atomic_path
from rivergrad.io.lines import copy_lines
from rivergrad.io.recorded import RECORD
from rivergrad.model.physical import prior_celerity
from rivergrad.routing.choice import refuse_without_cuda
from rivergrad.routing.schemes.mixed import WithLakes
from rivergrad.run.cautions import Estimated, cautions
from rivergrad.run.choice import kept_choice, resolved, widest_of, written_choice
from rivergrad.run.claim import alone_in, one_after_the_other
from rivergrad.run.computing import compile_once, cut_network, engine_of, note_workers, settle
from rivergrad.run.estimation import Estimate, estimate
from rivergrad.run.flowrounds import Routed, measured_rounds
from rivergrad.run.folds import carry_out_fold, cross_validate, require_fold
from rivergrad.run.inputs import Inputs, prepare_inputs
from rivergrad.run.jobs import note_job
from rivergrad.run.ladder import AUTO
from rivergrad.run.lakes import lakes_of_inputs
from rivergrad.run.largeworld import is_of_large_world
from rivergrad.run.opening import claim, forget, require_room
from rivergrad.run.periods import Periods, periods_of
from rivergrad.run.printing import print_scores
from rivergrad.run.problem import make_problem
from rivergrad.run.results import (
    informed_reaches,
    medians,
    rank_correlation,
    score_rows,
    sizes_of_rows,
    verdict_of,
    write_parameter_map,
    write_scores,
    write_series,
)
from rivergrad.run.tables import notices
from rivergrad.run.timings import Timer, peak_mb
from rivergrad.run.transfer import describe_model
from rivergrad.rundir.checkpoint import has_checkpoints
from rivergrad.rundir.contents import (
    CONFIG,
    FOLDS,
    FOLDS_LOCK,
    INFO,
    LINES,
    LOG,
    NETWORK,
    PARTITION,
    SUBMITTED,
    WORKERS,
)
from rivergrad.rundir.identity import Changed, read_identity
from rivergrad.rundir.record import git_hash, log_to, machine, remarks_shown, versions, write_json
from rivergrad.rundir.stopping import Stopped
from rivergrad.rundir.written import Written, record_of

log = logging.getLogger("rivergrad")

FOLDS_SECONDS = 3600.0
"""How long a fold may wait for another one that generates or reads the input."""


def run_workflow(
    config: Workflow,
    *,
    fresh: bool = False,
    report: bool = True,
    show_scores: bool = True,
) -> Path:
    """Carry out a workflow.

    Args:
        config: the workflow.
        fresh: forget what an earlier run left in the run directory.
        report: draw the maps and write report.html.
        show_scores: print the table of scores.

    Returns:
        The run directory.

    Raises:
        InputError: whatever the user can mend.

    Example:
        >>> import rivergrad as rg
        >>> if __name__ == "__main__":  # workers start anew: they import the script
        ...     folder = rg.run_workflow(rg.load_workflow("workflow.yaml"))
        ...     rg.open_run(folder).parameters
    """
    require_guard(config.compute.cluster(config.output))
    require_room(config)
    with alone_in(config.output), record_of(config.output) as record:
        assert record is not None
        return _run_alone(config, record, fresh, report, show_scores)


def _run_alone(config: Workflow, record: Written, fresh: bool, report: bool, show_scores: bool) -> Path:
    run_dir = config.output
    began = time.perf_counter()
    record.require_ours()
    if fresh:
        forget(record)
    began_before = (run_dir / CONFIG).exists()
    claim(config, record)
    before = (run_dir / INFO).read_bytes() if (run_dir / INFO).exists() else None
    info: dict[str, Any] = {
        "name": config.name,
        "status": "running",
        "seed": config.seed,
        "started": _now(),
        "finished": None,
        "seconds": None,
        "versions": versions(),
        "git": git_hash(),
        "machine": machine(),
        "record": RECORD,
        "timings": {},
        "summary": {},
    }
    if modules := registry.search_folders():
        info["modules"] = list(modules)
    if finished := _finished_before(before):
        text = f"{run_dir}: finished at {finished}; the estimate stands, scores and maps are made again (--fresh: all)"
        notices().print(text, highlight=False, soft_wrap=True)
    known = read_identity(run_dir)
    if known is not None and known.version != info["versions"]["rivergrad"]:
        info["begun_by"] = known.version
    try:
        write_json(run_dir / INFO, info)
        note_job(run_dir)
        settle(config)
        with log_to(run_dir / LOG):
            _carry_out(config, run_dir, info, show_scores)
    except BaseException as error:
        mendable = isinstance(error, InputError | OSError)
        if isinstance(error, Changed) and before is not None:
            with atomic_path(run_dir / INFO) as temporary:  # what was done is done
                temporary.write_bytes(before)
        elif mendable and not began_before and not has_checkpoints(run_dir):
            # nothing of worth yet: leave nothing that stands in the way of the mended workflow
            record.clear(
                keep=(*SUBMITTED, *((WORKERS,) if isinstance(error, ClusterError) else ()))
            )  # why it failed
        else:
            info["status"] = _how_it_ended(error)
            info["error"] = str(error) or type(error).__name__
            with suppress(OSError):  # of a full disk, the first error is the one to tell
                write_json(run_dir / INFO, info)
        if isinstance(error, OSError) and has_checkpoints(run_dir):
            raise InputError(
                f"{os_error_text(error)}; once that is mended, "
                "run the same command again to go on from the last checkpoint"
            ) from error
        raise
    info["seconds"] = round(time.perf_counter() - began, 2)
    info.update(status="done", finished=_now())
    write_json(run_dir / INFO, info)
    if report:
        from rivergrad.report import write_report

        write_report(run_dir)
        info["timings"]["report"] = round(time.perf_counter() - began - info["seconds"], 3)
        info["peak_mb"]["report"] = peak_mb()
        write_json(run_dir / INFO, info)
    return run_dir


def _finished_before(info: bytes | None) -> str | None:
    """When a run was finished, by the run.json that was there; None where it was not."""
    with suppress(ValueError, RecursionError):
        found = json.loads(info or b"null")
        if isinstance(found, dict) and found.get("status") == "done" and found.get("finished"):
            return str(found["finished"])
    return None


def _how_it_ended(error: BaseException) -> str:
    if isinstance(error, Stopped):
        return "stopped"
    return "interrupted" if isinstance(error, KeyboardInterrupt) else "failed"


def run_fold(config: Workflow, fold: int) -> Path:
    """Carry out one fold of a workflow's cross-validation; `run_workflow` finds it done, and folds may go on at once.

    Args:
        config: the workflow, with `gauges.folds`.
        fold: from 1.

    Returns:
        The fold's run directory.

    Raises:
        InputError: whatever the user can mend.
    """
    run_dir = config.output
    require_fold(config, fold)
    require_room(config)
    run_dir.mkdir(parents=True, exist_ok=True)
    settle(config)
    began_before = (run_dir / CONFIG).exists()
    with ExitStack() as stack:
        # generated input is made once, by the first
        with one_after_the_other(run_dir / FOLDS_LOCK, FOLDS_SECONDS):
            record = stack.enter_context(record_of(run_dir))
            assert record is not None
            record.note_lock(record.folder / FOLDS_LOCK)
            inputs = _inputs_of_all(config, record)
        try:
            carry_out_fold(
                config, run_dir, inputs, fold, lambda one: run_workflow(one, report=False, show_scores=False)
            )
        except (InputError, OSError):
            with one_after_the_other(run_dir / FOLDS_LOCK, FOLDS_SECONDS):
                if not began_before and not any((run_dir / FOLDS).glob("*")):  # nor has another fold
                    _leave_nothing(record)
            raise
    return run_dir / FOLDS / str(fold)


def _inputs_of_all(config: Workflow, record: Written) -> Inputs:
    """The input that all folds share, generated if need be."""
    run_dir = config.output
    record.require_ours()
    began_before = (run_dir / CONFIG).exists()
    claim(config, record)
    try:
        return prepare_inputs(config, run_dir)
    except (InputError, OSError):
        if not began_before:
            _leave_nothing(record)
        raise


def _leave_nothing(record: Written) -> None:
    """Of folds that have not begun, leave nothing in the way of the mended workflow, as in a run."""
    record.clear(keep=(*SUBMITTED, FOLDS_LOCK))  # for which other folds may be waiting


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _carry_out(config: Workflow, run_dir: Path, info: dict[str, Any], show_scores: bool) -> None:
    console = notices()
    timer = Timer(run_dir, info)
    with remarks_shown():
        inputs = prepare_inputs(config, run_dir)
    timer.note("inputs")
    periods = periods_of(
        config, inputs.runoff.time, inputs.runoff.step, inputs.runoff.path, inputs.report.every
    )
    refuse_without_cuda(config.compute.device, "compute.device")
    engine = engine_of(config, inputs.network)
    cut = cut_network(config, inputs)
    _write_partition(config, run_dir, inputs, cut)
    info["summary"] = _facts(config, inputs, cut, engine)
    console.print(
        f"{config.name}: {_sizes(info['summary'], inputs, cut)}, {periods.steps:,} steps; engine {engine}",
        highlight=False,
        soft_wrap=True,
    )
    timer.note("partition")
    if config.gauges.folds:
        info["summary"]["folds"] = cross_validate(
            config, run_dir, inputs, lambda fold: run_workflow(fold, report=False, show_scores=False)
        )
        timer.note("folds")

    def on_workers(executor: Executor) -> Estimate:
        """What needs the workers; after one was lost, all of it again, from the last checkpoint."""
        chosen = config
        if config.parameters.model == AUTO:
            chosen = resolved(config, _choice(config, inputs, periods, cut, executor, engine, run_dir, info))
            timer.note("choice")
        problem = make_problem(chosen, inputs, periods, cut, executor, engine, run_dir)
        timer.note("setup")
        return estimate(problem, timer, console)

    def say(text: str) -> None:
        log.warning("%s", text)
        console.print(text, highlight=False, soft_wrap=True)

    compile_once(config, engine)
    note_workers(config, run_dir)
    with open_executor(config.compute.cluster(run_dir)) as executor:
        found = with_restarts(executor, config.compute.restarts, partial(on_workers, executor), say)
    _write_results(found, info)
    timer.note("results")
    if show_scores:
        print_scores(info["summary"])
        if found.outside is not None and found.outside.is_negative:
            console.print(f"warning: {found.outside.text()}", highlight=False, soft_wrap=True, markup=False)


def _choice(
    config: Workflow,
    inputs: Inputs,
    periods: Periods,
    cut: Partition,
    executor: Executor,
    engine: str,
    run_dir: Path,
    info: dict[str, Any],
) -> Mapping[str, Any]:
    """The model that `auto` stands for: as it was written before, or chosen now and written before the fit."""
    found = written_choice(run_dir, inputs.identity)
    if found is None:
        widest = widest_of(config, inputs, lakes_of_inputs(config, inputs) is not None)
        problem = make_problem(widest, inputs, periods, cut, executor, engine, run_dir)
        found = kept_choice(problem, config, run_dir)
    info["summary"]["choice"] = dict(found)
    notices().print(found["text"], highlight=False, soft_wrap=True)
    return found


def _estimated(found: Estimate, informed: NDArray[np.bool_]) -> Estimated:
    problem = found.problem
    config, case = problem.config, problem.case
    return Estimated(
        inputs=case.inputs,
        trains=case.trains > 0,
        informed=informed,
        celerity=found.values["celerity"],
        bounds=config.parameters.celerity.bounds,
        discharge=found.discharge,
        start=case.periods.warmup,
        hillslope=config.scheme.hillslope is not None,
        lakes=isinstance(problem.choice.model.scheme, WithLakes),
        seed=config.seed,
    )


def _write_partition(config: Workflow, run_dir: Path, inputs: Inputs, cut: Partition) -> None:
    """Write network.zarr, partition.zarr and the lines of reaches, unless the former two are there."""
    if (run_dir / PARTITION).exists() and (run_dir / NETWORK).exists():
        return
    with atomic_path(run_dir / NETWORK) as temporary:
        write_network(inputs.network, temporary)
    section = config.network
    if section is not None:
        copy_lines(
            run_dir / LINES,
            section.path,
            inputs.network.reach_id,
            format=section.format,
            layer=section.layer,
            columns=dict(section.columns),
        )
    with atomic_path(run_dir / PARTITION) as temporary:
        write_partition(cut, temporary)


def _facts(config: Workflow, inputs: Inputs, cut: Partition, engine: str) -> dict[str, Any]:
    """What `summary` of run.json says of a run before anything is estimated."""
    network = inputs.network
    made = config.network is None or is_of_large_world(config.network.path)
    return {
        "world": "generated" if made else "real",
        "scheme": config.scheme.name,
        "engine": engine,
        "reaches": network.n_reaches,
        "basins": network.n_basins,
        "parts": cut.summary(network).parts,
        "workers": config.compute.workers,
        "gauges": int(inputs.observations.gauge.size),
        "held_out_gauges": int(inputs.held_out.sum()),
        "forcing_step_s": inputs.runoff.step,
        "routing_step_s": config.time.routing_step,
    }


def _sizes(facts: dict[str, Any], inputs: Inputs, cut: Partition) -> str:
    counts = cut.summary(inputs.network)
    log.info("partition: %s", counts.as_dict())
    return (
        f"{facts['reaches']:,} reaches in {facts['basins']:,} basins, {counts.parts} parts "
        f"({counts.cut_edges} cut edges), {facts['gauges']} gauges ({facts['held_out_gauges']} held out)"
    )


def _write_results(found: Estimate, info: dict[str, Any]) -> None:
    """Write scores, hydrographs and parameters, and put the key figures into `summary`."""
    problem, summary = found.problem, info["summary"]
    config, case, run_dir = problem.config, problem.case, problem.run_dir
    inputs = case.inputs
    rows = score_rows(inputs, case.periods, found.discharge)
    write_scores(run_dir, rows)
    write_series(run_dir, inputs, found.discharge)
    informed = informed_reaches(inputs, case.trains > 0)
    if found.stages is not None:
        summary["stages"] = found.stages
    summary.update(
        steps=found.fit.steps,
        best_step=found.fit.best_step,
        ended=found.fit.ended,
        orchestration=found.fit.overhead.as_dict(),
        uniform_celerity=found.uniform.celerity,
        uniform=found.uniform.as_dict(),
        model=describe_model(problem, found.fit.shared),
        informed_reaches=int(informed.sum()),
        validation_gauges=int(case.judges.sum()),
        medians=medians(rows, config.seed),
        sizes=sizes_of_rows(rows, inputs, case.periods),
    )
    values = found.values
    prior = prior_celerity(problem.choice.model, problem.choice.values)
    if prior is not None:
        values = values | {"celerity_prior": np.where(np.isnan(values["celerity"]), np.nan, prior)}
    if problem.flow is not None:
        routed = Routed(inputs.network, inputs.runoff, case.periods.fit, config.time.routing_step)
        summary["flow"] = measured_rounds(routed, problem.choice.model.scheme, values, problem.flow.rounds)
    if problem.choice.lakes is not None:
        summary["lakes"] = problem.choice.lakes.counts()
    if inputs.true_celerity is not None:
        known = informed & ~np.isnan(values["celerity"])  # a lake has none
        summary["celerity_rank_correlation"] = rank_correlation(
            values["celerity"][known], inputs.true_celerity[known]
        )
    if found.uncertainty is not None:
        summary["uncertainty"] = found.uncertainty.summary
        values = values | found.uncertainty.columns
        for name in ("identifiability", "identifiability_spreading"):
            if name in values and problem.choice.model.deviates:  # no gauge, nothing told: exactly
                values[name] = np.where(informed, values[name], 0.0)
    write_parameter_map(config, run_dir, inputs, values, informed, info)
    summary["verdict"] = verdict_of(run_dir)
    summary["cautions"] = cautions(_estimated(found, informed))
    for text in summary["cautions"]:
        log.warning("%s", text)
    if found.outside is not None:
        found.outside.look(found.discharge["estimate"], inputs.network.reach_id[inputs.observations.reach])
        summary["outside_range"] = found.outside.as_dict()
        log.warning("%s", found.outside.text())
