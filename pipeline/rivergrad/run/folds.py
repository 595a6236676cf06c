"""Cross-validation: every gauge is scored by an estimate that never saw it.

Each fold is a run of its own in RUN/folds/1, 2, …, with its own configuration and checkpoints, so that each resumes.
Generated input is made once, in RUN, and all folds read it: they differ in nothing but the gauges they hold out.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from rivergrad.config.load import load_workflow
from rivergrad.config.schema import Workflow
from rivergrad.errors import InputError
from rivergrad.files import json_of
from rivergrad.gauges.holdout import deal_folds
from rivergrad.io import atomic_path
from rivergrad.run.inputs import Inputs
from rivergrad.run.opening import settings_of
from rivergrad.run.results import Row, learned_columns, medians
from rivergrad.run.tables import notices, print_table
from rivergrad.rundir.contents import CONFIG, FOLDS, FOLDS_TABLE, INFO, METRICS, TWIN, WORLD
from rivergrad.rundir.identity import differences, read_identity
from rivergrad.rundir.reading import FOLD_COLUMNS, read_metrics
from rivergrad.rundir.record import write_rows
from rivergrad.rundir.suspects import SUSPECT
from rivergrad.rundir.written import record_of

log = logging.getLogger("rivergrad")

GENERATED = (WORLD, TWIN)
TIMES = {"gauge": "training time", "gauge_time": "held-out time"}
"""What the splits of held-out gauges are about."""


def folds_of(config: Workflow, inputs: Inputs) -> NDArray[np.int64]:
    """(gauge,) the fold of each gauge, from 1; 0 for gauges that every estimate holds out.

    Raises:
        InputError: fewer gauges, or basins with gauges, than folds.
    """
    count = inputs.held_out.size
    by_basin = config.gauges.holdout_by == "basin"
    group = inputs.network.basin[inputs.observations.reach] if by_basin else np.arange(count)
    what = "basins with gauges" if by_basin else "gauges"
    return deal_folds(group, inputs.held_out, config.gauges.folds, config.seed, what)


def fold_config(config: Workflow, run_dir: Path, fold: int, names: Sequence[str]) -> Workflow:
    """The workflow of one fold: the same, but for the gauges held out and where it goes.

    Args:
        config: the workflow that is cross-validated.
        run_dir: its run directory.
        fold: from 1.
        names: the fold's gauges; those that the workflow itself holds out by name stay held out.
    """
    gauges = config.gauges.model_copy(
        update={"holdout_ids": (*config.gauges.holdout_ids, *names), "folds": 0}
    )
    return config.model_copy(
        update={
            "name": f"{config.name}-fold-{fold}",
            "output": run_dir / FOLDS / str(fold),
            "gauges": gauges,
            "report": config.report.model_copy(update={"discharge": False}),
            "uncertainty": config.uncertainty.model_copy(update={"enabled": False}),
        }
    )


def cross_validate(
    config: Workflow, run_dir: Path, inputs: Inputs, carry_out: Callable[[Workflow], Path]
) -> dict[str, Any]:
    """Estimate once for every fold without its gauges, and write folds.csv.

    Args:
        config: the workflow, with `gauges.folds`.
        run_dir: its run directory, where generated input is.
        inputs: of the workflow.
        carry_out: runs one fold's workflow into its directory; not called for folds that are done.

    Returns:
        The summary: `count`, `by`, and by split (`gauge`, `gauge_time`) the `folds`, what they give `pooled`
        (as in `results.medians`), and the `worst_difference` of any fold's median NSE to the best uniform one.

    Raises:
        InputError: whatever the user can mend.
    """
    console = notices()
    fold_of = folds_of(config, inputs)
    rows: list[Row] = []
    for fold in range(1, config.gauges.folds + 1):
        names = [str(name) for name in inputs.observations.gauge[fold_of == fold]]
        derived = fold_config(config, run_dir, fold, names)
        done = _is_done(derived, inputs)
        console.print(
            f"fold {fold} of {config.gauges.folds}: {len(names)} gauges held out, "
            f"{int(np.count_nonzero((fold_of > 0) & (fold_of != fold)))} to train on"
            + (" (done before)" if done else ""),
            highlight=False,
            soft_wrap=True,
        )
        log.info("fold %d of %d: %s", fold, config.gauges.folds, ", ".join(names))
        if not done:
            _share_inputs(run_dir, derived.output)
            carry_out(derived)
        table = read_metrics(derived.output / METRICS)
        # gauges that no estimate sees are scored in every fold: they belong to none
        of_fold = table[table["split"].isin(list(TIMES)) & table["gauge"].isin(names)]
        rows += [{"fold": fold, SUSPECT: "", **row} for row in _records(of_fold)]
    write_rows(run_dir / FOLDS_TABLE, rows, (*FOLD_COLUMNS, *learned_columns(rows)))
    return summarise(rows, config.gauges.holdout_by, config.seed)


def require_fold(config: Workflow, fold: int) -> None:
    """Raise an InputError unless the workflow has this fold."""
    if config.gauges.folds == 0:
        raise InputError(f"--fold: found {fold} and no folds; expected a workflow with gauges.folds")
    if not 1 <= fold <= config.gauges.folds:
        raise InputError(f"--fold: found {fold}; expected 1 to {config.gauges.folds} (gauges.folds)")


def carry_out_fold(
    config: Workflow, run_dir: Path, inputs: Inputs, fold: int, carry_out: Callable[[Workflow], Path]
) -> None:
    """Carry out one fold only, as `cross_validate` would; it finds it done then.

    Raises:
        InputError: there is no such fold.
    """
    require_fold(config, fold)
    names = [str(name) for name in inputs.observations.gauge[folds_of(config, inputs) == fold]]
    derived = fold_config(config, run_dir, fold, names)
    if not _is_done(derived, inputs):
        _share_inputs(run_dir, derived.output)
        carry_out(derived)


def summarise(rows: Sequence[Row], by: str, seed: int) -> dict[str, Any]:
    """What folds.csv comes to; see `cross_validate`."""
    pooled = medians(rows, seed)
    folds = sorted({row["fold"] for row in rows})
    splits: dict[str, Any] = {}
    for split in pooled:
        each = []
        for fold in folds:
            here = [row for row in rows if row["fold"] == fold and row["split"] == split]
            nse = np.array([(row["nse"], row["nse_uniform"]) for row in here]).reshape(-1, 2)
            nse = nse[~np.isnan(nse).any(axis=1)]
            estimate, uniform = np.median(nse, axis=0) if len(nse) else (np.nan, np.nan)
            each.append(
                {
                    "fold": fold,
                    "gauges": len(here),
                    "nse_estimate": float(estimate),
                    "nse_uniform": float(uniform),
                    "nse_difference": float(estimate - uniform),
                    "nse_better": int(np.count_nonzero(nse[:, 0] > nse[:, 1])),
                }
            )
        known = [one["nse_difference"] for one in each if not np.isnan(one["nse_difference"])]
        splits[split] = {
            "folds": each,
            "pooled": pooled[split],
            "worst_difference": min(known, default=float("nan")),
        }
    return {"count": len(folds), "by": by, "splits": splits}


def print_folds(summary: dict[str, Any], console: Console) -> None:
    """Print a summary of folds as a table."""
    splits: dict[str, Any] = summary["splits"]
    table = Table(
        title=f"Cross-validation over {summary['count']} folds of {summary['by']}s: median NSE at held-out gauges",
        title_justify="left",
    )
    table.add_column("fold")
    table.add_column("gauges", justify="right")
    for split in splits:
        for name in (f"{TIMES[split]}:\nbest uniform", "\nestimate", "difference\n(better at)"):
            table.add_column(name, justify="right")
    first = next(iter(splits.values()))
    for i, one in enumerate(first["folds"]):
        cells = []
        for found in splits.values():
            fold = found["folds"][i]
            cells += [f"{fold['nse_uniform']:.4f}", f"{fold['nse_estimate']:.4f}"]
            cells += [f"{fold['nse_difference']:+.4f} ({fold['nse_better']})"]
        table.add_row(str(one["fold"]), str(one["gauges"]), *cells)
    table.add_section()
    _add_pooled(table, "all\n(90 %)", [found["pooled"] for found in splits.values()])
    without = [found["pooled"].get("without_suspects") for found in splits.values()]
    if all(without):
        _add_pooled(table, "without\nsuspects", without)
    print_table(table, console)


def _add_pooled(table: Table, name: str, splits: Sequence[dict[str, Any]]) -> None:
    """Add the row of all folds together."""
    cells = []
    for pooled in splits:
        better = f" ({pooled['nse_better']})"
        cells += [
            f"{pooled[f'nse_{name}']:{sign}.4f}{more}\n{interval_text(pooled[f'nse_{name}_interval'], sign)}"
            for name, sign, more in (("uniform", "", ""), ("estimate", "", ""), ("difference", "+", better))
        ]
    table.add_row(name, str(splits[0]["gauges"]), *cells)


def interval_text(interval: Sequence[float], sign: str = "") -> str:
    """`0.913..0.938`; nothing where there is none."""
    low, high = interval
    return "" if np.isnan(low) else f"{low:{sign}.3f}..{high:{sign}.3f}"


def _is_done(config: Workflow, inputs: Inputs) -> bool:
    """Whether a run directory holds this very workflow, carried out on this very input."""
    folder = config.output
    try:
        info = json_of(folder / INFO)
        before = load_workflow(folder / CONFIG)
        read_metrics(folder / METRICS)
    except (OSError, ValueError, InputError):
        return False
    identity = read_identity(folder)
    same = settings_of(before, paths=identity is None) == settings_of(config, paths=identity is None)
    if identity is not None and inputs.identity is not None and differences(identity, inputs.identity):
        return False
    return same and info.get("status") == "done"


def _share_inputs(run_dir: Path, folder: Path) -> None:
    """Enter a fold in the record of the run, and let it read the input that was generated for that."""
    with record_of(run_dir, make=False) as record:
        if record is not None:
            for above, kind in ((folder.parent, "made"), (folder, "run")):
                record.note_folder(record.folder / above.relative_to(run_dir), kind)
    for name in GENERATED:
        source, there = run_dir / name, folder / name
        if not source.is_dir() or there.exists():
            continue
        folder.mkdir(parents=True, exist_ok=True)
        with record_of(folder) as record:
            assert record is not None
            target = Path("..", "..", name)
            record.note_link(record.folder / name, target)
            try:
                there.symlink_to(target, target_is_directory=True)
            except OSError:  # a file system without links
                with atomic_path(there) as temporary:
                    shutil.copytree(source, temporary)


def _records(table: Any) -> list[Row]:
    records: list[Row] = table.to_dict("records")
    return records
