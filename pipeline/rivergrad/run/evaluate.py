"""`rivergrad evaluate`: the best parameters of a run scored again."""

from __future__ import annotations

from pathlib import Path

from rivergrad.cluster.executor import open_executor
from rivergrad.config.load import load_workflow
from rivergrad.errors import InputError
from rivergrad.run.choice import resolved, written_choice
from rivergrad.run.claim import alone_in
from rivergrad.run.computing import cut_network, engine_of, note_workers, settle
from rivergrad.run.evaluation import compared, kept_uniform
from rivergrad.run.inputs import prepare_inputs
from rivergrad.run.periods import periods_of
from rivergrad.run.printing import print_scores
from rivergrad.run.problem import make_problem
from rivergrad.run.results import medians, score_rows, verdict_of, write_scores, write_series
from rivergrad.run.stages import fit_stages
from rivergrad.rundir.checkpoint import read_newest
from rivergrad.rundir.contents import CHECKPOINTS, CONFIG, HYDROGRAPHS, METRICS
from rivergrad.rundir.written import record_of, require_run_directory


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
    settle(config)
    inputs = prepare_inputs(config, run_dir)
    config = resolved(config, written_choice(run_dir, inputs.identity))
    periods = periods_of(
        config, inputs.runoff.time, inputs.runoff.step, inputs.runoff.path, inputs.report.every
    )
    engine = engine_of(config, inputs.network)
    note_workers(config, run_dir)
    with open_executor(config.compute.cluster(run_dir)) as executor:
        work = make_problem(config, inputs, periods, cut_network(config, inputs), executor, engine, run_dir)
        inputs = work.case.inputs
        if work.learned is None:
            work.sweep.restore(checkpoint.pieces, checkpoint.step)
            uniform, _ = kept_uniform(work, run_dir)
            discharge = compared(work, uniform, work.layout.coefficients(checkpoint.shared_best))
        else:  # all stages are done: each is read from its checkpoint
            staged = fit_stages(work, run_dir, lambda rows: None)
            discharge = compared(work, staged.uniform, staged.fit.shared, staged.base) | staged.discharge
    rows = score_rows(inputs, periods, discharge)
    write_scores(run_dir, rows)
    write_series(run_dir, inputs, discharge)
    print_scores({"medians": medians(rows, config.seed), "verdict": verdict_of(run_dir)})
    return run_dir
