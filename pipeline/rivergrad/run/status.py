"""How far a run is, read from what it wrote (run.json, history.csv, config.yaml) and from what Slurm says of it."""

from __future__ import annotations

import csv
import math
import time
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rivergrad.cluster.slurmqueue import JobState, job_states
from rivergrad.errors import InputError
from rivergrad.files import json_of, text_of
from rivergrad.run.claim import is_abandoned
from rivergrad.run.jobs import Array, read_record
from rivergrad.run.progress import time_text
from rivergrad.rundir.contents import REPORT

NEXT = {
    "inputs": "cutting the network",
    "partition": "setting up",
    "folds": "setting up",
    "estimate": "evaluating",
    "evaluation": "uncertainty",
    "runoff": "uncertainty",
    "uncertainty": "writing discharge",
    "discharge": "writing results",
    "results": "writing the report",
}
"""What a run does after each part that it has noted in run.json; while it makes steps, these say how far it is."""


@dataclass(frozen=True)
class Status:
    """The state of a run. Seconds where a time is meant; None where the run has not said it yet.

    `verdict` is what the scores of a finished run say, `report` the path of its page.
    """

    name: str
    state: str
    step: int
    steps: int | None
    loss: float | None
    validation: float | None
    seconds_per_step: float | None
    seconds_since_written: float
    workers: str | None = None
    job: str | None = None
    doing: str | None = None
    verdict: str | None = None
    report: str | None = None

    @property
    def seconds_left(self) -> float | None:
        """How long the remaining steps take at the present rate; None when finished or not known."""
        if self.state != "running" or self.steps is None or self.seconds_per_step is None or self.doing:
            return None
        return max(0, self.steps - self.step) * self.seconds_per_step

    @property
    def line(self) -> str:
        """The state in a line."""
        return ", ".join([self._head, *self._scores, *([] if self.job is None else [self.job])])

    @property
    def _head(self) -> str:
        of = f" of {self.steps}" if self.steps is not None else ""
        doing = f", {self.doing}" if self.doing and self.state == "running" else ""
        return f"{self.name}: {self.state}, step {self.step}{of}{doing}"

    @property
    def _scores(self) -> list[str]:
        scores = (("loss", self.loss), ("validation NSE", self.validation))
        return [f"{name} {value:.4g}" for name, value in scores if value is not None]

    def lines(self) -> list[str]:
        """The state for people, a line to five."""
        lines = [self._head]
        if self._scores:
            lines.append(", ".join(self._scores))
        where = [text for text in (self.workers, self.job) if text is not None]
        pace = [] if self.seconds_per_step is None else [f"{self.seconds_per_step:.3g} s a step"]
        if self.seconds_left is not None:
            pace.append(f"at most {time_text(self.seconds_left)} left")
        if self.state == "running":
            pace.append(f"last sign of life {time_text(self.seconds_since_written)} ago")
        said = [] if self.verdict is None else [self.verdict]
        said += [] if self.report is None else [f"report: {self.report}"]
        return [*lines, *([", ".join(pace)] if pace else []), *([", ".join(where)] if where else []), *said]


def status_lines(run: Path) -> list[str]:
    """How far a run is, for people; of a job array, a line for each element too.

    **Raises:** `InputError` as `read_status`.
    """
    record = read_record(run)
    if record is None or record.array is None:
        return read_status(run).lines()
    elements = _elements(run, record.array)
    counts = Counter(one.state for one in elements)
    said = ", ".join(f"{count} {state}" for state, count in counts.items())
    array, several = record.array, record.array.several
    lines = [f"{run.name}: {several.key} {several.numbers} in Slurm job {array.job}: {said}"]
    if array.job != record.job:  # what waits for them
        lines = [*read_status(run).lines(), *lines]
    return [*lines, *(f"  {one.line}" for one in elements)]


def _elements(run: Path, array: Array) -> list[Status]:
    found = {one.element: one for one in job_states(array.job)}
    return [
        replace(
            _status(folder, f"{array.job}_{number}", found.get(number)),
            name=f"{array.several.key[:-1]} {number}",
        )
        for number, folder in array.several.folders(run).items()
    ]


def require_run(run: Path) -> None:
    """Raise an `InputError` unless a folder is a run directory."""
    if not run.is_dir():
        raise InputError(f"{run}: no such run directory")
    if not (run / "run.json").is_file():
        raise InputError(f"{run}: not a run directory; expected a folder that holds run.json")


def read_status(run: Path) -> Status:
    """Read how far a run is; while it is cross-validated, how far the fold is that it is at.

    **Raises:** `InputError` where the folder is not a run directory or its files are damaged.
    """
    record = read_record(run)
    if record is None:
        require_run(run)
        return _status(run)
    states = job_states(record.job)
    return _status(run, record.job, states[0] if states else None)


def _status(run: Path, job: str | None = None, queued: JobState | None = None) -> Status:
    """See `read_status`; `job` and `queued` are of the run, where it is of a job."""
    in_queue = "no longer in the queue" if queued is None else queued.text
    told = None if job is None else f"Slurm job {job}: {in_queue}"
    if job is not None and not (run / "run.json").exists():  # submitted, and not begun
        state = _state(None, queued, run)
        return Status(run.name, state, 0, None, None, None, None, 0.0, None, told)
    info = json_of(run / "run.json")
    name, state = str(info.get("name") or run.name), _state(str(info.get("status", "unknown")), queued, run)
    fold = _fold_at(run)
    if fold is not None:
        of = _setting(run, "gauges", "folds")
        return replace(_status(fold), name=f"{name}, fold {fold.name} of {of}", state=state, job=told)
    history = _read_history(run / "history.csv")
    last = history[-1] if history else {}
    validations = [
        row["validation_nse"] for row in history if not math.isnan(row.get("validation_nse", math.nan))
    ]
    written = max(path.stat().st_mtime for path in (run / "run.json", run / "history.csv") if path.exists())
    timings = info.get("timings")
    return Status(
        name=name,
        state=state,
        step=int(last.get("step", 0)),
        steps=_planned_steps(run, info),
        loss=last.get("loss"),
        validation=validations[-1] if validations else None,
        seconds_per_step=_pace(history),
        seconds_since_written=max(0.0, time.time() - written),
        workers=_workers(run),
        job=told,
        doing=NEXT.get(next(reversed(timings), "")) if isinstance(timings, dict) else None,
        verdict=_verdict(info) if state == "done" else None,
        report=str(run / REPORT) if state == "done" and (run / REPORT).is_file() else None,
    )


def _verdict(info: dict[str, Any]) -> str | None:
    """What the scores of a finished run say of its estimate; older runs have not written it."""
    summary = info.get("summary")
    found = summary.get("verdict") if isinstance(summary, dict) else None
    return found if isinstance(found, str) else None


def _state(own: str | None, job: JobState | None, run: Path) -> str:
    """The state of a run in a word or two.

    Args:
        own: what the run has written last, None before it has begun.
        job: of the run, as far as Slurm knows it.
    """
    if own == "done":
        return own
    if job is not None and job.waits:
        return "requeued" if job.restarts else "queued"
    if (
        job is not None
        and job.ended
        and (own in (None, "running") or job.state not in ("COMPLETED", "FAILED"))
    ):
        return job.state.replace("_", " ").lower()  # cancelled, timeout, out of memory, node fail, failed
    if own is None:
        return "not begun" if job is None else "starting"
    if own == "stopped" and job is not None and not job.ended and job.state != "COMPLETING":
        return "starting"
    if own == "running" and is_abandoned(run):
        return "killed"
    return own


def _workers(run: Path) -> str | None:
    """What the cluster of a run said of itself when it was opened."""
    path = run / "workers" / "cluster.json"
    if not path.is_file():
        return None
    found = json_of(path)
    text = f"{len(found.get('workers', ()))} workers ({found.get('kind')})"
    return f"{text}, dashboard {found['dashboard']}" if "dashboard" in found else text


def _read_history(path: Path) -> list[dict[str, float]]:
    """The rows of history.csv; the last one may be half-written while the run goes on, and is left out."""
    if not path.is_file():
        return []
    lines = text_of(path).splitlines(keepends=True)
    rows = []
    for row in csv.DictReader(line for line in lines if line.endswith("\n")):
        if None in row.values():
            break
        try:
            rows.append({name: float(value) if value else math.nan for name, value in row.items() if name})
        except (TypeError, ValueError):
            break
    return rows


def _planned_steps(run: Path, info: dict[str, Any]) -> int | None:
    planned = _steps_of_stages(run) or _setting(run, "estimate", "steps")
    if planned is not None:
        return planned
    summary = info.get("summary")
    return (
        int(summary["steps"]) if isinstance(summary, dict) and isinstance(summary.get("steps"), int) else None
    )


def _steps_of_stages(run: Path) -> int | None:
    """The steps of all stages of a run that learns its runoff."""
    if not (run / "config.yaml").is_file():
        return None
    from rivergrad.documents import read_document

    runoff = read_document(run / "config.yaml").get("runoff")
    if not isinstance(runoff, dict) or runoff.get("kind") != "learned":
        return None
    from rivergrad.config.load import load_workflow
    from rivergrad.run.stages import stages_of

    return sum(stage.steps for stage in stages_of(load_workflow(run / "config.yaml")))


def _setting(run: Path, section: str, key: str) -> int | None:
    """A whole number of the run's configuration."""
    config = run / "config.yaml"
    if not config.is_file():
        return None
    from rivergrad.documents import read_document

    found = read_document(config).get(section)
    return int(found[key]) if isinstance(found, dict) and isinstance(found.get(key), int) else None


def _fold_at(run: Path) -> Path | None:
    """The folder of the fold that a run is at; None once (or where) it works on the estimate from all gauges."""
    if (run / "history.csv").is_file():
        return None
    folds = [path.parent for path in run.glob("folds/*/run.json") if path.parent.name.isdigit()]
    return max(folds, key=lambda path: int(path.name), default=None)


def _pace(history: list[dict[str, float]]) -> float | None:
    """Seconds a step over the rows since the run was last resumed (where `seconds` starts again)."""
    rows = [row for row in history if "seconds" in row and "step" in row]
    stretch = rows[-1:]
    for row in reversed(rows[:-1]):
        if not (row["seconds"] < stretch[0]["seconds"] and row["step"] < stretch[0]["step"]):
            break
        stretch.insert(0, row)
    if len(stretch) < 2:
        return None
    first, last = stretch[0], stretch[-1]
    return (last["seconds"] - first["seconds"]) / (last["step"] - first["step"])
