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
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from rivergrad import registry
from rivergrad.cluster.slurmqueue import job_states, slurm_time
from rivergrad.config.fields import require_line
from rivergrad.errors import InputError
from rivergrad.files import text_of
from rivergrad.io import atomic_path
from rivergrad.io.atomic import keeper_of
from rivergrad.io.recorded import RECORD
from rivergrad.packaged import job_template
from rivergrad.run.claim import make_folders, working_in
from rivergrad.run.template import fill_in
from rivergrad.rundir.contents import ARRAY_SCRIPT, JOB, JOB_SCRIPT
from rivergrad.rundir.written import record_of

if TYPE_CHECKING:
    from rivergrad.config.schema import Workflow

TEMPLATE = "job.sh.j2"
SIGNAL_SECONDS = 60.0
"""How much earlier than it was asked to Slurm may send a signal (sbatch --signal)."""
SAFE_PATH = "PYTHONSAFEPATH"
"""What keeps our own child processes from importing out of the current directory; not the job's other programs."""
SBATCH_SECONDS = 120
"""How long sbatch may take to answer."""
_ARRAY = re.compile(r"[0-9]{1,7}(-[0-9]{1,7})?(,[0-9]{1,7}(-[0-9]{1,7})?)*(%[0-9]{1,7})?")


@dataclass(frozen=True)
class Ensemble:
    """Runs that differ in one number, each an element of a job array with a run directory of its own.

    **Arguments**: `key`, `seeds` or `folds`; `numbers`, as Slurm writes them: `0-4`, `1,3,7`, `0-9%2` (two at a time).
    """

    key: Literal["seeds", "folds"]
    numbers: str

    def __post_init__(self) -> None:
        if not _ARRAY.fullmatch(self.numbers) or _backwards(self.numbers):
            raise InputError(f"--{self.key}: found {self.numbers!r}; expected numbers such as 0-4 or 1,3,7")

    @property
    def folder(self) -> str:
        """What the name of an element's run directory begins with, below the run's; its number follows."""
        return "folds/" if self.key == "folds" else "seed-"

    def folders(self, run_dir: Path) -> dict[int, Path]:
        """The run directory of each element."""
        return {number: run_dir / f"{self.folder}{number}" for number in _expanded(self.numbers)}

    def words(self, output: Path) -> list[str]:
        """What an element adds to the command of the run."""
        if self.key == "folds":
            return ["--fold", "$SLURM_ARRAY_TASK_ID"]
        folder = shlex.quote(f"output={output}/{self.folder}")
        return ["--set", "seed=$SLURM_ARRAY_TASK_ID", "--set", f"{folder}$SLURM_ARRAY_TASK_ID"]


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
    compute, slurm = config.compute, config.compute.slurm
    path = template_path(config, profile)
    kind = registry.entry("cluster", compute.kind).facts
    if kind.get("ranks") and not compute.workers:
        raise InputError(
            f"found 0 with kind {compute.kind}; expected the number of ranks to ask for",
            key="compute.workers",
        )
    here = 1 if kind.get("own_jobs") else max(compute.workers, 1)
    ranks = here if kind.get("ranks") else 1
    cores = compute.threads_per_worker * (here // ranks)
    memory = slurm.memory * here / (ranks * cores)
    values: dict[str, Any] = {
        "name": config.name,
        "log": shlex.quote(str(_log(config, ensemble).absolute())),
        "nodes": "1" if ranks == 1 else f"1-{ranks}",
        "tasks": ranks,
        "cores": cores,
        "memory_per_core_mb": max(1, round(memory / 1e6)),
        "time": slurm_time(slurm.time),
        "notice": round(slurm.notice),
        "in_vain": round(max(slurm.time - slurm.notice - SIGNAL_SECONDS, (slurm.time - slurm.notice) / 2)),
        "run": _run_word(config.output, ensemble),
        "array": None if ensemble is None else ensemble.numbers,
        "partition": slurm.partition,
        "account": slurm.account,
        "gpus": 0 if kind.get("own_jobs") else slurm.gpus * here,
        "directives": slurm.directives,
        "folder": shlex.quote(str(Path.cwd())),
        "prologue": slurm.prologue,
        "command": _command(config, workflow, profile, settings, ensemble, cores),
        "job": "$SLURM_JOB_ID" if ensemble is None else "${SLURM_ARRAY_JOB_ID}_${SLURM_ARRAY_TASK_ID}",
    }
    for name, key in (
        ("name", "name"),
        ("log", "output"),
        ("run", "output"),
        ("folder", "current directory"),
    ):
        require_line(str(values[name]), key)
    return fill_in(path, values)


def template_path(config: Workflow, profile: Path | None) -> Path:
    """The template of a workflow's job script: the one it names, the one beside the profile, or rivergrad's own.

    Raises:
        InputError: the one it names is not there.
    """
    beside = (Path("configs") if profile is None else profile.parent) / TEMPLATE
    path = config.compute.slurm.template or (beside if beside.is_file() else job_template())
    if not path.is_file():
        raise InputError(
            f"{path} is not a file; expected a template of a job script", key="compute.slurm.template"
        )
    return path


def _run_word(output: Path, ensemble: Ensemble | None) -> str:
    """The run directory of a job, as a word of its script."""
    if ensemble is None:
        return shlex.quote(str(output))
    return shlex.quote(f"{output}/{ensemble.folder}") + "$SLURM_ARRAY_TASK_ID"


def _log(config: Workflow, ensemble: Ensemble | None) -> Path:
    return config.output / ("slurm-%j.out" if ensemble is None else "slurm-%A_%a.out")


def _command(
    config: Workflow,
    workflow: Path,
    profile: Path | None,
    settings: Sequence[str],
    ensemble: Ensemble | None,
    cores: int,
) -> str:
    """What the job runs; srun makes it a step of the job, which Slurm's signals reach."""
    # -P: nothing is imported from where the data lie, but for modules that the workflow names
    arguments = [sys.executable, "-P", "-m", "rivergrad.cli", "run", str(workflow)]
    if profile is not None:
        arguments += ["--set", f"compute.profile={profile}"]
    for setting in settings:
        arguments += ["--set", setting]
    words = [shlex.quote(argument) for argument in arguments]
    if ensemble is not None:
        words += ensemble.words(config.output)
    ranks = registry.entry("cluster", config.compute.kind).facts.get("ranks", False)
    launcher = config.compute.slurm.launcher if ranks else "srun --ntasks=1"
    if launcher.split()[0] == "srun":  # which does not take it from the job
        launcher += f" --cpus-per-task={cores}"
        if ranks and "bad-exit" not in launcher:
            launcher += " --kill-on-bad-exit=1"  # else ranks would wait for one that is lost
    return " \\\n  ".join([launcher, " ".join(words)])


def submit(scripts: Sequence[str], run_dir: Path, several: Ensemble | None = None) -> str:
    """Hand job scripts to Slurm, each to begin once the one before has ended well; all of them, or none.

    The scripts and the jobs' ids are kept in the run directory.

    Args:
        scripts: see `write_script`.
        run_dir: of the workflow.
        several: what the first one is a job array of.

    Returns:
        The id of the last job.

    Raises:
        InputError: there is no Slurm here, it refuses a job, or the run directory is in use; nothing is left then.
    """
    if shutil.which("sbatch") is None:
        raise InputError(
            "sbatch is not in PATH; expected a machine of a Slurm cluster (--dry-run prints the job's script)"
        )
    _require_idle(run_dir)
    new = make_folders(run_dir)  # a job's output goes there from its beginning
    begins = not (run_dir / RECORD).exists()
    with record_of(run_dir):
        return _hand_over(scripts, run_dir, several, new, begins)


def _hand_over(
    scripts: Sequence[str], run_dir: Path, several: Ensemble | None, new: list[Path], begins: bool
) -> str:
    """See `submit`; `new` are the folders, and `begins` says that the record, to be removed if Slurm refuses."""
    jobs: list[str] = []
    try:
        for script in scripts:
            after = [f"--dependency=afterok:{jobs[-1]}", "--kill-on-invalid-dep=yes"] if jobs else []
            jobs.append(_sbatch(script, after))
    except InputError:
        for job in jobs:
            with suppress(OSError, subprocess.SubprocessError):
                subprocess.run(["scancel", job], timeout=SBATCH_SECONDS, check=False)
        if begins:
            (run_dir / RECORD).unlink(missing_ok=True)
        for folder in new:
            with suppress(OSError):  # what a job has written meanwhile
                folder.rmdir()
        raise
    for name, script in zip(
        [JOB_SCRIPT] if len(scripts) == 1 else [ARRAY_SCRIPT, JOB_SCRIPT], scripts, strict=True
    ):
        with atomic_path(run_dir / name) as temporary:
            temporary.write_text(script, encoding="utf-8")
    array = None if several is None else Array(jobs[0], several)
    _write_record(run_dir, Record(jobs[-1], array))
    return jobs[-1]


def _sbatch(script: str, options: Sequence[str]) -> str:
    """The id of a new job; what Slurm says besides goes to standard error."""
    refused = "Slurm refused the job (--dry-run prints its script)"
    try:
        found = subprocess.run(
            ["sbatch", "--parsable", *options],
            input=script, capture_output=True, text=True, timeout=SBATCH_SECONDS, check=True,
            env={name: value for name, value in os.environ.items() if name != SAFE_PATH},
        )  # fmt: skip
    except subprocess.CalledProcessError as error:
        text = " ".join((error.stderr or "").split()) or f"sbatch ended with {error.returncode}"
        raise InputError(f"{refused}: {text}") from None
    except subprocess.TimeoutExpired:
        raise InputError(
            f"sbatch did not answer within {SBATCH_SECONDS} s; expected a job id (see squeue --me)"
        ) from None
    sys.stderr.write(found.stderr)
    return found.stdout.strip().partition(";")[0]


@dataclass(frozen=True)
class Array:
    """The job array of a run's seeds or folds. **Arguments**: its `job`, and what it is an array of."""

    job: str
    several: Ensemble


@dataclass(frozen=True)
class Record:
    """The Slurm jobs of a run. **Arguments**: the `job` of the run itself, and its `array` if it has one."""

    job: str
    array: Array | None = None


def read_record(run_dir: Path) -> Record | None:
    """Which Slurm jobs a run is of, if it is known to be of any."""
    try:
        found = json.loads(text_of(run_dir / JOB))
        array = found.get("array")
        known = None if array is None else Array(str(array["job"]), Ensemble(array["key"], array["numbers"]))
        return Record(str(found["slurm_job"]), known)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, InputError):
        return None


def _write_record(run_dir: Path, record: Record) -> None:
    content: dict[str, Any] = {"slurm_job": record.job}
    if record.array is not None:
        several = record.array.several
        content["array"] = {"job": record.array.job, "key": several.key, "numbers": several.numbers}
    with atomic_path(run_dir / JOB) as temporary:
        temporary.write_text(json.dumps(content) + "\n", encoding="utf-8")


def _require_idle(run_dir: Path) -> None:
    """Raise an `InputError` where a process or a Slurm job works in a run directory, or waits to."""
    worker = working_in(run_dir)
    if worker is not None:
        raise InputError(f"{run_dir}: {worker} works there; expected it to end, or another output")
    record = read_record(run_dir)
    if record is None:
        return
    for job in dict.fromkeys([record.job, *([] if record.array is None else [record.array.job])]):
        going = [one for one in job_states(job) if not one.ended]
        if going:
            raise InputError(
                f"{run_dir}: Slurm job {job} of this run is {going[0].text}; expected it to end (scancel {job}), or "
                "another output"
            )


def note_job(run_dir: Path) -> None:
    """Record the Slurm job that this process is part of, or that it is part of none, for `rivergrad status`."""
    job = os.environ.get("SLURM_JOB_ID")
    before = read_record(run_dir)
    if job is None:
        keeper = keeper_of(run_dir / JOB)
        if keeper is None or keeper.owns((run_dir / JOB).absolute()):
            (run_dir / JOB).unlink(missing_ok=True)  # of an earlier one
        return
    array, task = os.environ.get("SLURM_ARRAY_JOB_ID"), os.environ.get("SLURM_ARRAY_TASK_ID")
    name = job if array is None else f"{array}_{task}"
    _write_record(run_dir, Record(name, None if before is None else before.array))


def _backwards(numbers: str) -> bool:
    """Whether a span ends before it begins, or none may run at a time: Slurm refuses that only when it is asked."""
    spans, _, at_once = numbers.partition("%")
    ends = [span.split("-") for span in spans.split(",")]
    return any(int(one[0]) > int(one[-1]) for one in ends) or (at_once != "" and int(at_once) == 0)


def _expanded(numbers: str) -> list[int]:
    """The numbers of an array: `0-2,7%2` is 0, 1, 2, 7."""
    found: list[int] = []
    for span in numbers.partition("%")[0].split(","):
        first, _, last = span.partition("-")
        found += range(int(first), int(last or first) + 1)
    return found
