"""What a Slurm queue says of jobs."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass

WAITING = frozenset({"PENDING", "REQUEUED", "REQUEUE_FED", "REQUEUE_HOLD", "SPECIAL_EXIT", "RESV_DEL_HOLD"})
ACTIVE = frozenset(
    {"RUNNING", "CONFIGURING", "COMPLETING", "SUSPENDED", "STOPPED", "SIGNALING", "RESIZING", "STAGE_OUT"}
)
"""States of jobs that have not ended, in Slurm's words: that wait, and that have begun."""

ANSWER_SECONDS = 20
"""How long Slurm may take to answer."""


@dataclass(frozen=True)
class JobState:
    """A job, or an element of a job array, as Slurm has it.

    Attributes:
        state: in Slurm's words (PENDING, RUNNING, TIMEOUT, OUT_OF_MEMORY, ...); reason: why it waits, or nothing.
        restarts: how often it was queued again; element: its number in its array, None outside one.
    """

    state: str
    reason: str = ""
    restarts: int = 0
    element: int | None = None

    @property
    def waits(self) -> bool:
        """Whether it has yet to begin, or to begin again."""
        return self.state in WAITING

    @property
    def ended(self) -> bool:
        """Whether it will not go on."""
        return self.state not in WAITING | ACTIVE

    @property
    def text(self) -> str:
        """For people: `PENDING (Resources), queued again 2 times`."""
        reason = f" ({self.reason})" if self.waits and self.reason else ""
        times = "once" if self.restarts == 1 else f"{self.restarts} times"
        return f"{self.state}{reason}" + (f", queued again {times}" if self.restarts else "")


def job_states(job: str) -> list[JobState]:
    """A job, or all elements of a job array, as the queue has them, or the accounting once the queue has forgotten.

    Returns:
        One for each element, or for the job; none where Slurm knows nothing of it, or does not answer.
    """
    return _queued(job) or _accounted(job)


def job_state(job: str) -> JobState | None:
    """A job, or that element of an array which is worst off; None where Slurm does not say."""
    found = job_states(job)
    return min(found, key=lambda one: (not one.ended, one.state == "COMPLETED", one.waits), default=None)


def job_hosts(job: str) -> set[str]:
    """The machines that a job runs on, by their names without a domain; none where it does not run."""
    nodes = _ask("squeue", "--noheader", f"--jobs={job}", "--states=RUNNING", "--format=%N")
    told = "\n".join(_ask("scontrol", "--oneliner", "show", "node", nodes[0].strip()) if nodes else [])
    return {name.partition(".")[0] for name in re.findall(r"NodeHostName=(\S+)", told)}


def slurm_time(seconds: float) -> str:
    """A time limit as Slurm takes it, in full minutes at least as long: days-hours:minutes:seconds."""
    minutes = max(1, -int(-seconds // 60))
    days, minutes = divmod(minutes, 24 * 60)
    return f"{days}-{minutes // 60:02d}:{minutes % 60:02d}:00"


def _queued(job: str) -> list[JobState]:
    lines = _ask(
        *("squeue", "--noheader", "--array", "--states=all", f"--jobs={job}"),
        "--Format=ArrayTaskID:.20,State:.30,RestartCnt:.10,Reason:.60",
    )
    found = []
    for line in lines:
        words = line.split(maxsplit=3)
        if len(words) < 3 or not words[2].isdigit():
            continue
        reason = "" if len(words) < 4 or words[3] == "None" else words[3].strip()
        found.append(JobState(words[1], reason, int(words[2]), _number(words[0])))
    return found


def _accounted(job: str) -> list[JobState]:
    found = []
    for line in _ask(
        "sacct", "--noheader", "--parsable2", "--allocations", f"--jobs={job}", "--format=JobID,State"
    ):
        name, _, state = line.partition("|")
        if state:  # `CANCELLED by 1000`
            found.append(
                JobState(
                    state.split()[0].rstrip("+"),
                    element=_number(name.rpartition("_")[2] if "_" in name else ""),
                )
            )
    return found


def _number(text: str) -> int | None:
    return int(text) if text.isdigit() else None


def _ask(*command: str) -> list[str]:
    """The lines that a command of Slurm says; none where it fails."""
    try:
        found = subprocess.run(command, capture_output=True, text=True, timeout=ANSWER_SECONDS, check=True)
    except (OSError, subprocess.SubprocessError):
        return []
    return found.stdout.splitlines()
