"""Carrying out a workflow from its input to its report; a run that was stopped goes on where it was."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from rivercut.partition import Partition, partition
from rivercut.store import write_network, write_partition
from rivergrad import registry
from rivergrad.cluster.executor import Executor, open_executor, with_restarts
from rivergrad.cluster.lost import ClusterError
from rivergrad.cluster.mainguard import require_guard
from rivergrad.config.load import load_workflow
from rivergrad.config.schema import Workflow
from rivergrad.errors import InputError, os_error_text
from rivergrad.io import atomic_path, write_parameters_store
from rivergrad.io.parameters import ALWAYS_FINITE, refuse_not_finite
from rivergrad.routing import choose_engine, schemes
from rivergrad.routing.recurrence.warm import compile_kernels
from rivergrad.run.claim import alone_in, one_after_the_other
from rivergrad.run.discharge import within_range, write_every_discharge
from rivergrad.run.evaluation import compared, kept_uniform
from rivergrad.run.fit import fit
from rivergrad.run.folds import carry_out_fold, cross_validate, interval_text, print_folds
from rivergrad.run.inputs import Inputs, prepare_inputs
from rivergrad.run.jobs import note_job
from rivergrad.run.opening import claim, forget, require_room
from rivergrad.run.periods import periods_of
from rivergrad.run.problem import make_problem
from rivergrad.run.results import (
    informed_reaches,
    medians,
    rank_correlation,
    score_rows,
    write_scores,
    write_series,
)
from rivergrad.run.runoffmodel import save_runoff_model, write_learned_runoff
from rivergrad.run.stages import fit_stages, routing_alone
from rivergrad.run.training import Training
from rivergrad.run.transfer import describe_model
from rivergrad.run.uncertainty import estimate_uncertainty
from rivergrad.rundir.checkpoint import has_checkpoints, read_newest
from rivergrad.rundir.contents import (
    CHECKPOINTS,
    CONFIG,
    FOLDS,
    FOLDS_LOCK,
    HISTORY,
    HISTORY_COLUMNS,
    HYDROGRAPHS,
    INFO,
    LOG,
    METRICS,
    NETWORK,
    PARAMETERS,
    PARTITION,
    RECORD,
    SUBMITTED,
    WORKERS,
)
from rivergrad.rundir.identity import Changed, read_identity
from rivergrad.rundir.reading import LEARNED_METHODS, methods_in, read_folds, read_metrics
from rivergrad.rundir.record import git_hash, log_to, machine, versions, write_json, write_rows
from rivergrad.rundir.stopping import Stopped
from rivergrad.rundir.verdict import verdict
from rivergrad.rundir.written import Written, record_of, require_run_directory

log = logging.getLogger("rivergrad")

FOLDS_SECONDS = 3600.0
"""How long a fold may wait for another one that generates or reads the input."""
HEADINGS = {"uniform": "best uniform", "two_step": "two-step"}
SPLIT_NAMES = {
    "train": "training gauges,\ntraining time",
    "time": "training gauges,\nheld-out time",
    "gauge": "held-out gauges,\ntraining time",
    "gauge_time": "held-out gauges,\nheld-out time",
}


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
    known = read_identity(run_dir)
    if known is not None and known.version != info["versions"]["rivergrad"]:
        info["begun_by"] = known.version
    try:
        write_json(run_dir / INFO, info)
        note_job(run_dir)
        _settle(config)
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
    return run_dir


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
    require_room(config)
    run_dir.mkdir(parents=True, exist_ok=True)
    _settle(config)
    with ExitStack() as stack:
        # generated input is made once, by the first
        with one_after_the_other(run_dir / FOLDS_LOCK, FOLDS_SECONDS):
            record = stack.enter_context(record_of(run_dir))
            assert record is not None
            record.note_lock(record.folder / FOLDS_LOCK)
            inputs = _inputs_of_all(config, record)
        carry_out_fold(
            config, run_dir, inputs, fold, lambda one: run_workflow(one, report=False, show_scores=False)
        )
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
        if not began_before:  # as in a run: leave nothing in the way of the mended workflow
            record.clear(keep=(*SUBMITTED, FOLDS_LOCK))  # for which other folds may be waiting
        raise


def _settle(config: Workflow) -> None:
    """Make this process compute the same bytes every time."""
    torch.set_num_threads(config.compute.threads_per_worker)
    # as use_deterministic_algorithms does, which imports the compiler of torch for it: 900 modules, some seconds
    torch.set_deterministic_debug_mode("error" if config.compute.device == "cpu" else "default")


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


class _Timer:
    """Notes in run.json how long each part of a run took."""

    def __init__(self, run_dir: Path, info: dict[str, Any]) -> None:
        self._path, self._info = run_dir / INFO, info
        self._last = time.perf_counter()

    def note(self, name: str) -> None:
        now = time.perf_counter()
        # the last one tells how far the run is, also after a worker was lost
        self._info["timings"].pop(name, None)
        self._info["timings"][name] = round(now - self._last, 3)
        self._last = now
        log.info("%s took %.1f s", name, self._info["timings"][name])
        write_json(self._path, self._info)


def _cut(config: Workflow, inputs: Inputs) -> Partition:
    section = config.partition
    shallow = section.shallow
    if shallow == "auto":
        shallow = config.compute.device == "cuda" and not section.spread
    return partition(
        inputs.network,
        section.parts,
        block_reaches=section.block_reaches,
        spread=section.spread,
        shallow=shallow,
        seed=config.seed,
    )


def _engine(config: Workflow) -> str:
    """The engine that estimates; it and the reason go to the log."""
    scheme = schemes.of(config.scheme)
    engine, why = choose_engine(config.compute.engine, scheme, config.compute.device)
    if engine == "reference":
        raise InputError(
            "reference can't estimate across parts; expected auto, closure or recurrence",
            key="compute.engine",
        )
    log.info("engine %s: %s", engine, why)
    return engine


def _note_workers(config: Workflow, run_dir: Path) -> None:
    """Record what workers will write by themselves."""
    if config.compute.cluster(run_dir).serial:
        return
    with record_of(run_dir) as record:
        assert record is not None
        record.note_folder(record.folder / WORKERS, "logs")


def _compile_once(config: Workflow, engine: str) -> None:
    """Compile here, where it is told, what all workers of this machine would each compile for itself, in silence."""
    compute = config.compute
    if compute.kind != "local" or engine != "recurrence" or compute.device != "cpu":
        return
    doubles = config.uncertainty.enabled or config.estimate.least_squares
    compile_kernels({getattr(torch, compute.dtype), *((torch.float64,) if doubles else ())})


def _carry_out(config: Workflow, run_dir: Path, info: dict[str, Any], show_scores: bool) -> None:
    console = Console(stderr=True)
    timer = _Timer(run_dir, info)
    inputs = prepare_inputs(config, run_dir)
    network = inputs.network
    timer.note("inputs")
    periods = periods_of(config, inputs.runoff.time, inputs.runoff.step, inputs.runoff.path)
    if config.compute.device == "cuda" and not torch.cuda.is_available():
        raise InputError(
            "found cuda, but no CUDA device is there; expected one, or cpu", key="compute.device"
        )
    engine = _engine(config)
    cut = _cut(config, inputs)
    if not ((run_dir / PARTITION).exists() and (run_dir / NETWORK).exists()):
        for name, write in (
            (NETWORK, partial(write_network, network)),
            (PARTITION, partial(write_partition, cut)),
        ):
            with atomic_path(run_dir / name) as temporary:
                write(temporary)
    counts = cut.summary(network)
    log.info("partition: %s", counts.as_dict())
    console.print(
        f"{config.name}: {network.n_reaches:,} reaches in {network.n_basins:,} basins, {counts.parts} parts "
        f"({counts.cut_edges} cut edges), {inputs.observations.gauge.size} gauges "
        f"({int(inputs.held_out.sum())} held out), {periods.steps:,} steps; engine {engine}",
        highlight=False,
        soft_wrap=True,
    )
    timer.note("partition")
    info["summary"] = {
        "world": "generated" if config.world is not None else "real",
        "scheme": config.scheme.name,
        "engine": engine,
        "reaches": network.n_reaches,
        "basins": network.n_basins,
        "parts": counts.parts,
        "workers": config.compute.workers,
        "gauges": int(inputs.observations.gauge.size),
        "held_out_gauges": int(inputs.held_out.sum()),
        "forcing_step_s": inputs.runoff.step,
        "routing_step_s": config.time.routing_step,
    }
    if config.gauges.folds:
        info["summary"]["folds"] = cross_validate(
            config, run_dir, inputs, lambda fold: run_workflow(fold, report=False, show_scores=False)
        )
        timer.note("folds")

    def write_history(rows: Sequence[dict[str, float]]) -> None:
        write_rows(run_dir / HISTORY, rows, HISTORY_COLUMNS)

    def on_workers(executor: Executor, inputs: Inputs) -> tuple[Any, ...]:
        """What needs the workers; after one was lost, all of it again, from the last checkpoint."""
        work = make_problem(config, inputs, periods, cut, executor, engine, run_dir)
        inputs = work.case.inputs
        timer.note("setup")
        staged, training = None, Training(config.estimate)
        if work.learned is None:
            uniform = kept_uniform(work, run_dir)
            console.print(
                f"best uniform celerity on the training data: {uniform:.3f} m/s",
                highlight=False,
                soft_wrap=True,
            )
            timer.note("uniform")
            start = work.start(uniform)
            result = fit(
                work,
                training,
                start,
                work.prior(start),
                folder=run_dir / CHECKPOINTS,
                write_history=write_history,
            )
        else:
            staged = fit_stages(work, run_dir, write_history)
            uniform, result = staged.uniform, staged.fit
        timer.note("estimate")
        if staged is None:
            discharge = compared(work, uniform, result.shared)
        else:
            discharge = compared(work, uniform, result.shared, staged.base) | staged.discharge
        values, beyond = within_range(work, work.sweep.physical(result.shared.values, network.n_reaches))
        timer.note("evaluation")
        sure = None
        if staged is not None:
            save_runoff_model(run_dir, work, result.shared)
            info["summary"]["stages"] = staged.stages
            write_learned_runoff(run_dir, work, result.shared)
            timer.note("runoff")
        if config.uncertainty.enabled:
            sought = result
            if staged is not None:
                training, sought = routing_alone(work, staged)
            sure = estimate_uncertainty(work, sought, training.settings, learned=staged is not None)
        timer.note("uncertainty")
        if config.report.discharge:
            write_every_discharge(work, result.shared, values, beyond)
            timer.note("discharge")
        return work, uniform, result, discharge, values, sure, beyond

    def say(text: str) -> None:
        log.warning("%s", text)
        console.print(text, highlight=False, soft_wrap=True)

    _compile_once(config, engine)
    _note_workers(config, run_dir)
    with open_executor(config.compute.cluster(run_dir)) as executor:
        work, uniform, result, discharge, values, sure, beyond = with_restarts(
            executor, config.compute.restarts, partial(on_workers, executor, inputs), say
        )
    inputs = work.case.inputs
    rows = score_rows(inputs, periods, discharge)
    write_scores(run_dir, rows)
    write_series(run_dir, inputs, discharge)
    informed = informed_reaches(inputs, work.case.trains > 0)
    summary = info["summary"]
    summary.update(
        steps=result.steps,
        best_step=result.best_step,
        ended=result.ended,
        orchestration=result.overhead.as_dict(),
        uniform_celerity=uniform,
        model=describe_model(work, result.shared),
        informed_reaches=int(informed.sum()),
        validation_gauges=int(work.case.judges.sum()),
        medians=medians(rows, config.seed),
    )
    if inputs.true_celerity is not None:
        summary["celerity_rank_correlation"] = rank_correlation(
            values["celerity"][informed], inputs.true_celerity[informed]
        )
    if sure is not None:
        summary["uncertainty"] = sure.summary
        values |= sure.columns
        for name in ("identifiability", "identifiability_spreading"):
            if name in values and work.choice.model.deviates:  # no gauge, nothing told: exactly
                values[name] = np.where(informed, values[name], 0.0)
    _write_parameters(config, run_dir, inputs, values, informed, info)
    summary["verdict"] = _verdict(run_dir)
    if beyond is not None:
        beyond.look(discharge["estimate"], network.reach_id[inputs.observations.reach])
        summary["outside_range"] = beyond.as_dict()
        log.warning("%s", beyond.text())
    timer.note("results")
    if show_scores:
        _print_scores(summary)
        if beyond is not None and beyond.is_negative:
            console.print(f"warning: {beyond.text()}", highlight=False, soft_wrap=True, markup=False)


def _verdict(run_dir: Path) -> str:
    """What the tables of scores say, as they were written: the report reads the same."""
    folds = run_dir / "folds.csv"
    return verdict(read_metrics(run_dir / METRICS), read_folds(folds) if folds.exists() else None)


def _write_parameters(
    config: Workflow,
    run_dir: Path,
    inputs: Inputs,
    values: dict[str, NDArray[np.float64]],
    informed: NDArray[np.bool_],
    info: dict[str, Any],
) -> None:
    network = inputs.network
    own = schemes.of(config.scheme).parameter_names
    refuse_not_finite(values, network.reach_id, run_dir / PARAMETERS, (*ALWAYS_FINITE, *own))
    columns: dict[str, NDArray[Any]] = {
        name: np.asarray(network.attributes[name]) for name in ("lat", "lon") if name in network.attributes
    }
    columns |= {name: value for name, value in values.items() if name != "length"}
    columns["informed"] = informed.astype(np.int8)
    if inputs.true_celerity is not None:
        columns["celerity_true"] = inputs.true_celerity
    write_parameters_store(
        run_dir / PARAMETERS,
        network.reach_id,
        columns,
        units={"informed": "1", "celerity_true": "m s-1"},
        provenance={
            "workflow": config.name,
            "scheme": config.scheme.name,
            "convention": config.scheme.convention,
            "seed": config.seed,
            "rivergrad_version": info["versions"]["rivergrad"],
            "git": str(info["git"]),
        },
    )


def _print_scores(summary: dict[str, Any]) -> None:
    console = Console() if sys.stdout.isatty() else Console(width=120)
    table = Table(title="Median NSE (KGE)", title_justify="left")
    table.add_column("gauges and time")
    table.add_column("gauges", justify="right")
    first: dict[str, Any] = next(iter(summary["medians"].values()), {})
    methods = methods_in(name.removeprefix("nse_") for name in first)
    learned = [name for name in methods if name in LEARNED_METHODS]
    if learned:  # the other baselines are in metrics.csv and in the report
        methods = (*learned, "estimate")
    for name in methods:
        table.add_column(HEADINGS.get(name, name), justify="right")
    than = learned or ["uniform"]
    for name in than:
        table.add_column(f"estimate − {name.replace('_', '-')}\n(better at)", justify="right")
    for split, row in summary["medians"].items():
        cells = [f"{row[f'nse_{name}']:.4f} ({row[f'kge_{name}']:.3f})" for name in methods]
        cells[-1] += "\n" + interval_text(row["nse_estimate_interval"])
        gains = []
        for name in than:
            key, better = (
                ("nse_difference", "nse_better")
                if name == "uniform"
                else (f"nse_over_{name}", f"nse_better_than_{name}")
            )
            gains.append(f"{row[key]:+.4f} ({row[better]})\n{interval_text(row[f'{key}_interval'], '+')}")
        table.add_row(SPLIT_NAMES[split], str(row["gauges"]), *cells, *gains)
    console.print(table)
    console.print(
        f"a..b: 90 % bootstrap interval of the median NSE; (better at): at how many gauges the estimate beats "
        f"{' and '.join(name.replace('_', '-') for name in than)}",
        highlight=False,
        soft_wrap=True,
    )
    if "folds" in summary:
        print_folds(summary["folds"], console)
    if "verdict" in summary:
        console.print(summary["verdict"], highlight=False, soft_wrap=True)
    if "celerity_rank_correlation" in summary:
        console.print(
            "Spearman correlation of estimated and true celerity over "
            f"{summary['informed_reaches']:,} reaches upstream of a training gauge: "
            f"{summary['celerity_rank_correlation']:.3f}",
            highlight=False,
            soft_wrap=True,
        )


def evaluate_run(run_dir: Path) -> Path:
    """Score a finished run's best parameters again and write metrics.csv and hydrographs.nc.

    Raises:
        InputError: the run has no checkpoint yet.
    """
    require_run_directory(run_dir)
    with alone_in(run_dir), record_of(run_dir) as record:
        assert record is not None
        for name in (METRICS, HYDROGRAPHS):
            record.allow(record.folder / name)
        return _evaluate_alone(run_dir)


def _evaluate_alone(run_dir: Path) -> Path:
    config = load_workflow(run_dir / CONFIG).model_copy(update={"output": run_dir})
    checkpoint = read_newest(run_dir / CHECKPOINTS)
    if checkpoint is None:
        raise InputError(f"{run_dir}: no checkpoint there; expected a run that has made some steps")
    _settle(config)
    inputs = prepare_inputs(config, run_dir)
    periods = periods_of(config, inputs.runoff.time, inputs.runoff.step, inputs.runoff.path)
    engine = _engine(config)
    _note_workers(config, run_dir)
    with open_executor(config.compute.cluster(run_dir)) as executor:
        work = make_problem(config, inputs, periods, _cut(config, inputs), executor, engine, run_dir)
        inputs = work.case.inputs
        if work.learned is None:
            work.sweep.restore(checkpoint.pieces, checkpoint.step)
            uniform = kept_uniform(work, run_dir)
            discharge = compared(work, uniform, work.layout.coefficients(checkpoint.shared_best))
        else:  # all stages are done: each is read from its checkpoint
            staged = fit_stages(work, run_dir, lambda rows: None)
            discharge = compared(work, staged.uniform, staged.fit.shared, staged.base) | staged.discharge
    rows = score_rows(inputs, periods, discharge)
    write_scores(run_dir, rows)
    write_series(run_dir, inputs, discharge)
    _print_scores({"medians": medians(rows, config.seed), "verdict": _verdict(run_dir)})
    return run_dir


__all__: Sequence[str] = ("evaluate_run", "run_workflow")
