"""Jobs of a Slurm queue that carry out a workflow: their script, their submission, their state."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rivergrad.distributed.clusters.slurm import job_state, slurm_time
from rivergrad.errors import InputError
from rivergrad.io import atomic_path
from rivergrad.workflow.schema import Workflow

TEMPLATE = "job.sh.j2"
SCRIPT, RECORD = "job.sh", "job.json"
"""What `submit` leaves in the run directory."""
_ARRAY = re.compile(r"\d+(-\d+)?(,\d+(-\d+)?)*(%\d+)?")


@dataclass(frozen=True)
class Ensemble:
    """Runs that differ in one number, each an element of a job array with a run directory of its own.

    **Arguments**: `key`, `seeds` or `folds`; `numbers`, as Slurm writes them: `0-4`, `1,3,7`, `0-9%2` (two at a time).
    """

    key: str
    numbers: str

    def __post_init__(self) -> None:
        if not _ARRAY.fullmatch(self.numbers):
            raise InputError(f"--{self.key}: found {self.numbers!r}; expected numbers such as 0-4 or 1,3,7")


def write_script(
    config: Workflow,
    workflow: Path,
    profile: Path | None,
    settings: Sequence[str] = (),
    ensemble: Ensemble | None = None,
) -> str:
    """The job script of a workflow.

    Args:
        config: the workflow as loaded, with profile and settings.
        workflow, profile, settings: what it was loaded from.
        ensemble: for a job array.

    Raises:
        InputError: no template, one that is not right, or MPI ranks without their number.
    """
    from jinja2 import Environment, StrictUndefined, TemplateError

    compute, slurm = config.compute, config.compute.slurm
    path = slurm.template or (Path("configs") if profile is None else profile.parent) / TEMPLATE
    if not path.is_file():
        raise InputError(f"compute.slurm.template: {path} is not a file; expected a template of a job script")
    if compute.kind == "mpi" and not compute.workers:
        raise InputError("compute.workers: found 0 with kind mpi; expected the number of ranks to ask for")
    here = 1 if compute.kind == "slurm" else max(compute.workers, 1)
    ranks = here if compute.kind == "mpi" else 1
    cores = compute.threads_per_worker * (here // ranks)
    memory = slurm.memory * here / (ranks * cores)
    values: dict[str, Any] = {
        "name": config.name,
        "log": str(_log(config, ensemble).absolute()),
        "nodes": "1" if ranks == 1 else f"1-{ranks}",
        "tasks": ranks,
        "cores": cores,
        "memory_per_core_mb": max(1, round(memory / 1e6)),
        "time": slurm_time(slurm.time),
        "notice": round(slurm.notice),
        "array": None if ensemble is None else ensemble.numbers,
        "partition": slurm.partition,
        "account": slurm.account,
        "gpus": 0 if compute.kind == "slurm" else slurm.gpus * here,
        "directives": slurm.directives,
        "folder": shlex.quote(str(Path.cwd())),
        "prologue": slurm.prologue,
        "command": _command(config, workflow, profile, settings, ensemble),
        "job": "$SLURM_JOB_ID" if ensemble is None else "${SLURM_ARRAY_JOB_ID}_${SLURM_ARRAY_TASK_ID}",
    }
    environment = Environment(undefined=StrictUndefined, keep_trailing_newline=True, autoescape=False)
    try:
        return environment.from_string(path.read_text(encoding="utf-8")).render(values)
    except TemplateError as error:
        raise InputError(
            f"{path}: {error}; expected a template of these names: {', '.join(values)}"
        ) from None


def _log(config: Workflow, ensemble: Ensemble | None) -> Path:
    return config.output / ("slurm-%j.out" if ensemble is None else "slurm-%A_%a.out")


def _command(
    config: Workflow,
    workflow: Path,
    profile: Path | None,
    settings: Sequence[str],
    ensemble: Ensemble | None,
) -> str:
    """What the job runs; srun makes it a step of the job, which Slurm's signals reach."""
    arguments = [sys.executable, "-m", "rivergrad.cli", "run", str(workflow)]
    if profile is not None:
        arguments += ["--set", f"compute.profile={profile}"]
    for setting in settings:
        arguments += ["--set", setting]
    words = [shlex.quote(argument) for argument in arguments]
    if ensemble is not None:
        words += ["--set", "seed=$SLURM_ARRAY_TASK_ID"]
        words += ["--set", f"{shlex.quote(f'output={config.output}/seed-')}$SLURM_ARRAY_TASK_ID"]
    launcher = config.compute.slurm.launcher if config.compute.kind == "mpi" else "srun --ntasks=1"
    return " \\\n  ".join([launcher, " ".join(words)])


def submit(script: str, run_dir: Path) -> str:
    """Hand a job script to Slurm; it and the job's id are kept in the run directory.

    Returns:
        The job's id.

    Raises:
        InputError: there is no Slurm here, or it refuses the job.
    """
    if shutil.which("sbatch") is None:
        raise InputError(
            "sbatch is not in PATH; expected a machine of a Slurm cluster (--dry-run prints the job's script)"
        )
    run_dir.mkdir(parents=True, exist_ok=True)
    path = run_dir / SCRIPT
    with atomic_path(path) as temporary:
        temporary.write_text(script, encoding="utf-8")
    try:
        found = subprocess.run(
            ["sbatch", "--parsable", str(path)], capture_output=True, text=True, timeout=120, check=True
        )
    except subprocess.CalledProcessError as error:
        text = " ".join((error.stderr or "").split()) or f"sbatch ended with {error.returncode}"
        raise InputError(f"{path}: Slurm refused it: {text}") from None
    except subprocess.TimeoutExpired:
        raise InputError(f"{path}: sbatch did not answer within 120 s; expected a job id") from None
    job = found.stdout.strip().partition(";")[0]
    with atomic_path(run_dir / RECORD) as temporary:
        temporary.write_text(json.dumps({"slurm_job": job}) + "\n", encoding="utf-8")
    return job


def job_text(run_dir: Path) -> str | None:
    """The Slurm job of a run and its state, if it is known to have one."""
    try:
        job = json.loads((run_dir / RECORD).read_text(encoding="utf-8"))["slurm_job"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return f"Slurm job {job}: {job_state(str(job)) or 'no longer in the queue'}"


def note_job(run_dir: Path) -> None:
    """Record the Slurm job that this process is part of, if it is one, for `job_text`."""
    job = os.environ.get("SLURM_JOB_ID")
    if job is None:
        return
    array, task = os.environ.get("SLURM_ARRAY_JOB_ID"), os.environ.get("SLURM_ARRAY_TASK_ID")
    with atomic_path(run_dir / RECORD) as temporary:
        name = job if array is None else f"{array}_{task}"
        temporary.write_text(json.dumps({"slurm_job": name}) + "\n", encoding="utf-8")
