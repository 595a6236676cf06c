"""How the network is cut, and what computes the parts."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from rivergrad import registry
from rivergrad.cluster.options import LOOPBACK, ClusterOptions, Tls
from rivergrad.config.fields import (
    AutoSwitch,
    Count,
    Directive,
    FilePath,
    Launcher,
    NonNegativeCount,
    NonNegativeSmallCount,
    PortNumber,
    PositiveDuration,
    QueueName,
    ShellLines,
    Size,
    Switch,
)
from rivergrad.config.sections.base import Section
from rivergrad.errors import InputError


class PartitionSection(Section):
    """How the network is cut."""

    parts: Count = Field(default=2, description="The number of parts; a worker owns one or several.")
    block_reaches: Count | None = Field(
        default=None, description="The most reaches in a block; by default chosen from the parts' size."
    )
    spread: Switch = Field(
        default=False,
        description="Deal the blocks of large basins out over the parts: the worst case, for tests.",
    )
    shallow: AutoSwitch = Field(
        default="auto",
        description="Cut large basins so that parts wait for each other once, at the price of more cut edges; auto "
        "does so where parts are computed on GPUs.",
    )

    @model_validator(mode="after")
    def _one_way_to_cut(self) -> Self:
        if self.spread and self.shallow is True:
            raise InputError("found spread and shallow; expected one of them")
        return self


class TlsSection(Section):
    """The certificates of Dask's connections, PEM files that every process can read."""

    ca: FilePath = Field(description="The certificate of who signed the others.")
    cert: FilePath = Field(description="The certificate that every process shows.")
    key: FilePath = Field(description="Its private key.")


class SlurmSection(Section):
    """What jobs ask of Slurm: those of the workers of kind slurm, and the one that `rivergrad submit` writes."""

    partition: QueueName | None = Field(
        default=None, description="The partition; Slurm's default if not given."
    )
    account: QueueName | None = Field(default=None, description="The account that is charged.")
    time: PositiveDuration = Field(default=3600.0, description="The time limit of a job, such as 2h.")
    memory: Size = Field(default=4_000_000_000, description="The memory of one worker, such as 4GB.")
    gpus: NonNegativeCount = Field(default=0, description="The number of GPUs of one worker.")
    directives: tuple[Directive, ...] = Field(
        default=(), description="Further options of sbatch, such as --constraint=ib."
    )
    prologue: tuple[ShellLines, ...] = Field(
        default=(), description="Shell lines before anything else, such as module load."
    )
    launcher: Launcher = Field(
        default="srun --mpi=pmi2",
        description="What starts the ranks of kind mpi inside a job: srun with options, or mpiexec with options.",
    )
    notice: PositiveDuration = Field(
        default=120.0,
        description="How long before its time limit a job is told to write a checkpoint and to queue again.",
    )
    template: FilePath | None = Field(
        default=None,
        description="The template of the job script; if not given, job.sh.j2 in the profile's folder, or "
        "rivergrad's.",
    )

    @model_validator(mode="after")
    def _notice_is_before_the_end(self) -> Self:
        if self.notice >= self.time:
            raise InputError(
                f"found notice {self.notice:g} s with time {self.time:g} s; expected a shorter notice"
            )
        return self


class ComputeSection(Section):
    """Where and how the arithmetic is done. A profile's keys stand in for those not given here."""

    profile: FilePath | None = Field(
        default=None,
        description="A profile that is merged under this section: cuda, local, mpi, serial, slurm, or a file of "
        "your own; keys given here win over it.",
    )
    kind: str = Field(
        default="local",
        description="What runs the parts: serial is this process; local worker processes of this machine; cuda one "
        "of them a GPU; slurm jobs in a queue; mpi the ranks of an MPI job; or the import path package.module:Object "
        "of another kind.",
    )
    workers: NonNegativeSmallCount = Field(
        default=0,
        description="The number of worker processes; 0 does everything in this process, and with kind cuda or mpi "
        "stands for one a GPU or a rank.",
    )
    threads_per_worker: Annotated[Count, Field(le=4096)] = Field(
        default=1, description="The number of threads a worker computes with."
    )
    engine: Literal["auto", "closure", "recurrence", "reference"] = Field(
        default="auto", description="How the scheme is computed; auto picks and says which and why."
    )
    dtype: Literal["float32", "float64"] = Field(
        default="float32", description="The precision of the routing arithmetic."
    )
    device: Literal["cpu", "cuda"] = Field(default="cpu", description="What the workers compute on.")
    restarts: NonNegativeCount = Field(
        default=3,
        description="How many times a run in which a worker is lost goes on by itself from its last checkpoint.",
    )
    patience: PositiveDuration = Field(
        default=120.0,
        description="How long a worker may give no sign of life before it counts as lost, such as 2min; one at work "
        "gives some, however long its work takes.",
    )
    memory_budget: Size = Field(
        default=2_000_000_000,
        description="About how much memory a worker spends on what it keeps for the gradient and on a chunk of "
        "time, such as 2GB; with less it computes more of it again, in smaller chunks. On CPUs a quarter of it holds "
        "runoff: of a longer record, the windows of a step are read while the step before computes.",
    )
    interface: str = Field(
        default=LOOPBACK,
        description="The network interface that scheduler and workers listen on; lo can be reached from this "
        "machine only.",
    )
    port: PortNumber = Field(default=0, description="The scheduler's port; 0 takes any free one.")
    wait: PositiveDuration = Field(
        default=300.0, description="How long workers may take to come, such as 5min."
    )
    dashboard: Switch = Field(
        default=False, description="Whether Dask's dashboard is served on the interface."
    )
    dashboard_port: PortNumber = Field(default=0, description="Its port; 0 takes any free one.")
    performance_report: Switch = Field(
        default=False, description="Whether Dask's performance report is written, dask-report.html."
    )
    tls: Literal["off", "temporary"] | TlsSection = Field(
        default="off",
        description="Whether connections are encrypted: off, with temporary certificates, or with those of ca, cert "
        "and key.",
    )
    slurm: SlurmSection = Field(default_factory=SlurmSection, description="What jobs ask of Slurm.")

    @model_validator(mode="after")
    def _kind_has_its_workers(self) -> Self:
        kind = registry.entry("cluster", self.kind)
        if kind.unseen:
            raise InputError(
                f"found kind {self.kind}, whose module says what a job asks for; expected one of rivergrad's own where "
                "no module may be imported (--dry-run)"
            )
        if kind.outside:
            kind.load()
        allowed = kind.facts.get("workers", "any")
        if allowed == "none" and self.workers:
            raise InputError(
                f"found kind {self.kind} with {self.workers} workers; expected workers 0, or kind local"
            )
        if allowed == "some" and not self.workers:
            raise InputError(f"found kind {self.kind} with 0 workers; expected the number of jobs to submit")
        return self

    def cluster(self, run_dir: Path) -> ClusterOptions:
        """What the run in `run_dir` opens its executor with."""
        if isinstance(self.tls, TlsSection):
            tls: Tls | None = Tls(self.tls.ca, self.tls.cert, self.tls.key)
        else:
            tls = Tls() if self.tls == "temporary" else None
        return ClusterOptions(
            kind=self.kind,
            workers=self.workers,
            threads=self.threads_per_worker,
            interface=self.interface,
            port=self.port,
            dashboard=self.dashboard,
            dashboard_port=self.dashboard_port,
            report=run_dir / "dask-report.html" if self.performance_report else None,
            logs=run_dir / "workers",
            tls=tls,
            wait=self.wait,
            queue=dict(self.slurm),
            patience=self.patience,
            restarts=self.restarts,
        )
