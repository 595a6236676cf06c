"""The sections of a workflow, one frozen class each; `schema.Workflow` puts them together."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from rivergrad import registry
from rivergrad.cluster.options import LOOPBACK, ClusterOptions, Tls
from rivergrad.config.fields import (
    Accumulated,
    AutoSwitch,
    Bounds,
    Count,
    Directive,
    Distance,
    Duration,
    Factor,
    FilePath,
    GaugeName,
    Launcher,
    LossTerms,
    Names,
    NonNegativeCount,
    NonNegativeNumber,
    NonNegativeSmallCount,
    Options,
    OutletWords,
    Period,
    PortNumber,
    PositiveDuration,
    PositiveNumber,
    QueueName,
    Share,
    ShellLines,
    Size,
    SmallCount,
    Switch,
    listed,
)
from rivergrad.errors import InputError
from rivergrad.inference.loss_spec import DEFAULT_NU
from rivergrad.world.spec import WorldSpec

DAY = timedelta(days=1)
SCRATCH = "scratch"
"""Where a stage starts that takes nothing over from an earlier one."""


class Section(BaseModel):
    """What all sections share: no unknown keys, nothing changes after construction."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class WorldSection(Section):
    """A generated world: network, runoff, true celerity and gauges, all from a seed."""

    spec: WorldSpec = Field(description="What the world is like: size, length, gauges, noise.")


class NetworkSection(Section):
    """The river network."""

    path: FilePath = Field(description="A CSV, Parquet or Zarr network, or a folder in RAPID's layout.")
    format: Literal["auto", "csv", "parquet", "rapid", "zarr"] = Field(
        default="auto", description="How the network is stored; auto tells from the path."
    )
    outlets: OutletWords = Field(
        default=(),
        description="Downstream ids and texts that mean an outlet besides -1, such as [0, -9999]; outside: any id that "
        "is not in the file; empty: an empty cell.",
    )


class RunoffSection(Section):
    """The runoff (lateral inflow) that enters every reach: given, or learned from forcings with the routing."""

    path: FilePath | None = Field(
        default=None,
        description="A NetCDF, Zarr or CSV file of runoff per reach or on a grid; for learned runoff, only where the "
        "model corrects a given one.",
    )
    variable: str | None = Field(
        default=None, description="The variable to read; needed only where the file has several."
    )
    grid: AutoSwitch = Field(
        default="auto",
        description="Whether the runoff lies on a latitude-longitude grid; auto tells from its dimensions.",
    )
    stamp: Literal["auto", "start", "middle", "end"] = Field(
        default="auto",
        description="What the times of path label: the start, middle or end of their step; auto takes the file's word "
        "(bounds, cell_methods, known sources), and the start where it says nothing.",
    )
    accumulated: Accumulated = Field(
        default="auto",
        description="Whether the amounts of path accumulate, and for how long: no, run (since the first step), 12h or "
        "1d (from 00 UTC); auto tells from the file and its values, or asks.",
    )
    kind: Literal["given", "learned"] = Field(
        default="given",
        description="given takes the runoff of path as it is; learned trains a runoff model from discharge.",
    )
    model: str | None = Field(
        default=None,
        description=f"The runoff model, shared by all reaches: {listed('runoff_model')} (of the given runoff), or the "
        "import path package.module:Class of a torch module.",
    )
    options: Options = Field(default=(), description="Further arguments of the model, such as {hidden: 64}.")
    forcings: FilePath | None = Field(
        default=None,
        description="A NetCDF or Zarr file of forcings name(time, reach), each with its units, for learned runoff.",
    )
    forcings_stamp: Literal["auto", "start", "middle", "end"] = Field(
        default="auto", description="As stamp, for the times of forcings."
    )
    forcings_accumulated: Accumulated = Field(
        default="auto", description="As accumulated, for the depths in forcings, such as precipitation."
    )
    variables: Names = Field(
        default=(),
        description="The forcings that the model takes, in order, each with its name in the file; by default "
        "precipitation, temperature and potential_evapotranspiration, or none for correction.",
    )
    season: Switch = Field(
        default=False,
        description="Whether sine and cosine of the day of the year are forcings too (not for hbv).",
    )
    attributes: tuple[str, ...] = Field(
        default=(), description="The reach attributes that the model takes, as the network has them."
    )
    learning_rate: PositiveNumber = Field(
        default=0.003, description="Adam's learning rate of the model's weights."
    )
    weight_decay: NonNegativeNumber = Field(
        default=0.0,
        description="How fast the model's matrices (not its offsets) decay towards zero, per unit of learning rate.",
    )
    write: Switch = Field(
        default=False,
        description="Whether the learned runoff is written to runoff.zarr in the run directory.",
    )

    @property
    def learned(self) -> bool:
        """Whether runoff is learned."""
        return self.kind == "learned"

    @model_validator(mode="after")
    def _kind_has_what_it_needs(self) -> Self:
        if not self.learned:
            set_here = [
                name
                for name in ("model", "options", "forcings", "variables", "season", "attributes", "write")
                if getattr(self, name)
            ]
            if set_here:
                raise InputError(
                    f"found {', '.join(set_here)} with kind given; expected none, or kind learned"
                )
            return self
        if self.model is None:
            raise InputError(
                f"found kind learned without model; expected {listed('runoff_model')} or package.module:Class"
            )
        if self.model == "hbv" and self.season:
            raise InputError("found season with model hbv; expected none, its forcings are its own")
        return self


class ObservationsSection(Section):
    """The observed discharge at gauges."""

    path: FilePath = Field(
        description="A NetCDF, Zarr or CSV file of discharge per gauge, NaN where missing."
    )
    variable: str | None = Field(
        default=None, description="The variable to read; needed only where the file has several."
    )
    stamp: Literal["auto", "start", "middle", "end"] = Field(
        default="auto",
        description="What the times label: the start, middle or end of their step; auto takes the file's word, and "
        "the start where it says nothing.",
    )


class TwinSection(Section):
    """Synthetic observations: the runoff, less any errors, routed with hidden celerities and observed with errors."""

    gauge_fraction: Annotated[Share, Field(gt=0.0)] = Field(
        default=0.02, description="The share of reaches that get a gauge."
    )
    noise: NonNegativeNumber = Field(
        default=0.05, description="Standard deviation of the multiplicative (log-normal) observation error."
    )
    gap_fraction: Annotated[Share, Field(lt=1.0)] = Field(
        default=0.1, description="The share of observations that are missing."
    )
    celerity_spread: NonNegativeNumber = Field(
        default=0.4, description="Standard deviation of the hidden celerity's logarithm about its trend."
    )
    runoff_error: Share = Field(
        default=0.0,
        description="Standard deviation of ln(given/true runoff) of an error that varies over months and along rivers.",
    )
    runoff_bias: Annotated[Share, Field(lt=1.0)] = Field(
        default=0.0,
        description="The share by which the given runoff is too large or too small, region by region, all the time.",
    )
    runoff_noise: Share = Field(
        default=0.0,
        description="Standard deviation of ln(given/true runoff) of an error that is independent by day and reach.",
    )

    @property
    def has_runoff_errors(self) -> bool:
        """Whether the given runoff differs from the one that was routed."""
        return self.runoff_error > 0 or self.runoff_bias > 0 or self.runoff_noise > 0


class SchemeSection(Section):
    """The routing scheme: the impulse response of one reach."""

    name: str = Field(
        default="muskingum",
        description=f"{listed('scheme')}, a registered scheme, or the import path package.module:Object of one.",
    )
    options: Options = Field(
        default=(), description="Further arguments of the scheme, such as {n: 5} of nash_cascade."
    )
    convention: Literal["standard", "rapid"] = Field(
        default="standard",
        description="standard follows the definition; rapid does as RAPID does (muskingum only).",
    )
    cap_x: Switch = Field(
        default=False,
        description="Lower x of muskingum at reaches whose response would be negative: 2kx above the routing step, or "
        "2k(1-x) below it.",
    )

    @model_validator(mode="after")
    def _known_with_its_options(self) -> Self:
        found = registry.entry("scheme", self.name)
        for key, said in (("convention", f"convention {self.convention}"), ("cap_x", "cap_x")):
            if getattr(self, key) != type(self).model_fields[key].default and key not in found.option_names:
                having = [one.name for one in registry.entries("scheme") if key in one.option_names]
                raise InputError(
                    f"found {said} with {self.name}; expected scheme {' or '.join(having)} with it"
                )
        unknown = [name for name, _ in self.options if name not in found.option_names]
        if unknown:
            known = ", ".join(found.option_names) or "none"
            raise InputError(f"found options {', '.join(unknown)} with {self.name}; expected one of: {known}")
        if found.outside:
            found.load()
        return self


class TimeSection(Section):
    """Routing step, warm-up, and the periods; every period names its first and last day, both included."""

    routing_step: PositiveDuration = Field(
        description="The step the routing is computed at; the runoff's own step must be a multiple of it."
    )
    warmup: Duration = Field(
        default=0.0, description="How long discharge is computed before it counts in a loss or a score."
    )
    train: Period = Field(description="The days the estimate is made from, those for validation included.")
    validation: Period | None = Field(
        default=None,
        description="The days that decide when to stop; by default the last 20 % of train, else outside it.",
    )
    test: Period | None = Field(
        default=None, description="The held-out days that the estimate is finally scored on."
    )

    @model_validator(mode="after")
    def _periods_apart(self) -> Self:
        if self.validation is None and days(self.train) < 5:
            raise InputError(
                f"found {days(self.train)} days in train; expected 5 or more, or a validation period"
            )
        named = [("train", self.train), ("validation", self.validation), ("test", self.test)]
        given = [(name, period) for name, period in named if period is not None]
        for i, (name, period) in enumerate(given):
            for other_name, other in given[i + 1 :]:
                if period[0] <= other[1] and other[0] <= period[1]:
                    raise InputError(
                        f"found {name} {_text(period)} and {other_name} {_text(other)} with days in common; "
                        "expected periods apart"
                    )
        return self

    @property
    def fit_period(self) -> tuple[date, date]:
        """The days whose observations enter the loss: train without the days kept for validation."""
        if self.validation is not None:
            return self.train
        return self.train[0], self.validation_period[0] - DAY

    @property
    def validation_period(self) -> tuple[date, date]:
        """The days that decide when to stop: those given, or the last 20 % of train (at least one)."""
        if self.validation is not None:
            return self.validation
        return self.train[1] - (days(self.train) // 5 - 1) * DAY, self.train[1]


class PlacementSection(Section):
    """How gauges are put on reaches; gauges.csv says what became of each."""

    distance: Distance = Field(
        default=5000.0,
        description="How far from its position, or along the river from its reach, a gauge may be put, such as 5km.",
    )
    area_tolerance: Annotated[float, Field(ge=1.0, strict=True, allow_inf_nan=False)] = Field(
        default=1.5,
        description="How many times larger or smaller than its reach's a gauge's drainage area may be.",
    )
    unknown: Literal["error", "drop"] = Field(
        default="error",
        description="What becomes of gauges with no position and no reach that the network has: an error, or dropped.",
    )
    scale_by_area: Switch = Field(
        default=False,
        description="Whether observations are multiplied by the reach's drainage area over the gauge's.",
    )


class ScreeningSection(Section):
    """Which gauges and values are left out as wrong, judged by time.train; screening.csv says why.

    Gauges without enough different values never train and always stand in that table.
    """

    enabled: Switch = Field(default=True, description="Whether gauges are screened.")
    flat_run: PositiveDuration = Field(
        default=30 * 86400.0,
        description="A value well above zero that stays the same for longer than this is left out.",
    )
    volume_factor: Factor = Field(
        default=10.0,
        description="A gauge with so many times more or less water than expected of its runoff is dropped; so is one "
        "with an error of unit (35.3 times).",
    )
    correlation: Share = Field(
        default=0.2,
        description="A gauge whose discharge correlates less with its upstream runoff at any travel time up to 30 "
        "days, and less than half as much as is usual, is dropped as on the wrong river.",
    )
    rating_factor: Factor = Field(
        default=2.0,
        description="Where discharge steps to so many times more or less of the runoff, the shorter side is left out.",
    )


class GaugesSection(Section):
    """Where gauges lie, which are left out, and which are held out, to score the estimate where it saw nothing."""

    holdout: Annotated[Share, Field(lt=1.0)] = Field(
        default=0.0, description="The share of gauges drawn (from the seed) to be held out."
    )
    holdout_ids: tuple[GaugeName, ...] = Field(
        default=(), description="Names of gauges to hold out in any case; they count towards the share."
    )
    validation: Annotated[Share, Field(lt=1.0)] = Field(
        default=0.0,
        description="The share of the other gauges, drawn from the seed, that decide when to stop in place of the "
        "validation days: they do not train, and all of time.train does.",
    )
    placement: PlacementSection = Field(
        default_factory=PlacementSection, description="How gauges are put on reaches."
    )
    screening: ScreeningSection = Field(
        default_factory=ScreeningSection, description="Which gauges and values are left out as wrong."
    )
    negative: Literal["missing", "error", "keep"] = Field(
        default="missing",
        description="What negative observed discharge is: a missing value, which is counted and said, an error, or (at "
        "tidal gauges) a value.",
    )
    holdout_by: Literal["gauge", "basin"] = Field(
        default="gauge",
        description="What is drawn: single gauges, or whole basins, of which the estimate then sees nothing. "
        "It goes for the share held out and for the folds.",
    )
    folds: NonNegativeSmallCount = Field(
        default=0,
        description="The number of folds of a cross-validation before the estimate: each fold is held out once, "
        "of an estimate of its own; 0 for none.",
    )

    @model_validator(mode="after")
    def _folds_hold_out_all(self) -> Self:
        if self.folds == 1:
            raise InputError("found folds 1; expected 2 or more, or 0 for no cross-validation")
        if self.folds and self.holdout:
            raise InputError(
                f"found folds {self.folds} and holdout {self.holdout}; expected no share held out besides the folds "
                "(holdout_ids names gauges that no estimate sees)"
            )
        return self


class ParameterSection(Section):
    """One estimated parameter: where it starts and what it may become."""

    initial: PositiveNumber = Field(
        description="The default value: that of the baselines, and where the fit starts."
    )
    bounds: Bounds = Field(description="The lower and upper end of what the estimate may become.")

    @model_validator(mode="after")
    def _initial_within(self) -> Self:
        if not self.bounds[0] < self.initial < self.bounds[1]:
            raise InputError(
                f"found initial {self.initial} with bounds [{self.bounds[0]}, {self.bounds[1]}]; "
                "expected an initial value between them"
            )
        return self


class CeleritySection(ParameterSection):
    """The speed of a flood wave, m/s; with the reach's length it gives the scheme's travel time."""

    initial: PositiveNumber = Field(
        default=0.6,
        description="The default celerity, m/s: one of the baselines (the fit starts from the best uniform one).",
    )
    bounds: Bounds = Field(default=(0.05, 5.0), description="The least and greatest celerity, m/s.")

    @model_validator(mode="after")
    def _lower_positive(self) -> Self:
        if self.bounds[0] <= 0:
            raise InputError(
                f"found bounds [{self.bounds[0]}, {self.bounds[1]}]; expected a lower end above 0"
            )
        return self


class SpreadingSection(ParameterSection):
    """What spreads a wave: x of muskingum (no unit), diffusivity of hayami (m2/s)."""


class NuisanceSection(Section):
    """Volume error of the runoff: a factor on the runoff of each training gauge's own increment area.

    Its logarithm is a broken line in time. It takes part in the fit, in scores if `predict` says so, and never in
    exported parameters.
    """

    knots: PositiveDuration = Field(
        default=180 * 86400.0, description="How far apart the knots of the broken line are, about."
    )
    sd: PositiveNumber = Field(
        default=0.3, description="Prior standard deviation of the logarithm of the factor."
    )
    shrinkage: NonNegativeNumber = Field(
        default=0.01,
        description="Weight of the penalty on the mean of (logarithm/sd)^2, for the optimiser adam.",
    )
    predict: Switch = Field(
        default=False,
        description="Whether the estimate is validated and scored with the factor: a correction of the given runoff "
        "that training gauges teach, for all reaches upstream of them, gauges held out among these.",
    )


class ParametersSection(Section):
    """What is estimated, and what keeps it from fitting noise."""

    celerity: CeleritySection = Field(
        default_factory=CeleritySection, description="The celerity of every reach, m/s."
    )
    spreading: SpreadingSection | None = Field(
        default=None, description="How much a wave spreads in a reach; by default as the scheme defines it."
    )
    model: Literal["uniform", "free", "regional", "attributes", "hybrid"] = Field(
        default="hybrid",
        description="What varies over the reaches: uniform nothing; free every reach on its own; regional one value "
        "a class of reaches; attributes a function of reach attributes; hybrid that function and a deviation a reach.",
    )
    trend: tuple[str, ...] = Field(
        default=(),
        description="Reach attributes whose logarithm enters the trend of celerity (models attributes and hybrid).",
    )
    hidden: NonNegativeCount = Field(
        default=0,
        description="The number of units in the hidden layer of the trend; 0 makes it log-linear, monotone in each.",
    )
    regions: str | None = Field(
        default=None,
        description="The classes of the model regional: an integer reach attribute, or basin for one class a basin.",
    )
    shrinkage: NonNegativeNumber = Field(
        default=0.0, description="Weight of the penalty on how far single reaches leave the shared trend."
    )
    smoothing: NonNegativeNumber = Field(
        default=0.0,
        description="How strongly deviations of neighbours along the river are tied, relative to shrinkage.",
    )
    deviation_sd: PositiveNumber | Literal["auto"] = Field(
        default="auto",
        description="Prior standard deviation of a reach's deviation, for gauss_newton and for uncertainty, about that "
        "of ln(celerity); auto starts from the table of priors and follows the evidence.",
    )
    nuisance: NuisanceSection | None = Field(
        default=None,
        description="Volume error of the runoff, estimated with the parameters; by default runoff is taken as it is.",
    )

    @model_validator(mode="after")
    def _model_has_what_it_needs(self) -> Self:
        if self.model in ("uniform", "free", "regional") and (self.trend or self.hidden):
            key = "trend" if self.trend else "hidden"
            raise InputError(
                f"found {key} with model {self.model}; expected none, or model attributes or hybrid"
            )
        if self.model == "attributes" and not self.trend:
            raise InputError("found model attributes without trend; expected names of reach attributes in it")
        if self.hidden and not self.trend:
            raise InputError("found hidden without trend; expected names of reach attributes in it")
        if (self.model == "regional") != (self.regions is not None):
            found = "regional without regions" if self.regions is None else f"{self.model} with regions"
            raise InputError(f"found model {found}; expected regions with model regional, and only there")
        return self


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
        description="The template of the job script; job.sh.j2 in the folder of the profile if not given.",
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
        description="A file in configs/ that is merged under this section; keys given here win over it.",
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
    threads_per_worker: Count = Field(default=1, description="The number of threads a worker computes with.")
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
        "time, such as 2GB; with less it computes more of it again, in smaller chunks.",
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


class StageSection(Section):
    """One stage of a training in stages: what it moves, from where, and for how long."""

    name: str = Field(
        pattern=r"^[a-z][a-z0-9_]*$",
        description="The stage's name; lumped and two_step are also scored, as baselines of the end-to-end estimate.",
    )
    train: tuple[Literal["runoff", "routing"], ...] = Field(
        min_length=1, description="What is trained: runoff, routing, or both; the rest is frozen."
    )
    steps: Count = Field(description="The most optimiser steps of the stage.")
    method: Literal["adam", "gauss_newton"] = Field(
        default="adam",
        description="What takes the steps, see estimate.method; gauss_newton is for train [routing] alone, and few "
        "steps of it bring every reach to where the gauges and the prior have it.",
    )
    unrouted: Switch = Field(
        default=False,
        description="Whether the stage sums runoff without routing it (lumped): for train [runoff] alone.",
    )
    start: str | None = Field(
        default=None,
        description="The earlier stage whose best step this one starts from, by default the one before; or scratch: "
        "weights drawn from the seed and the initial celerity.",
    )
    learning_rate: PositiveNumber | None = Field(
        default=None, description="The learning rate of the routing in this stage; by default estimate's."
    )
    runoff_learning_rate: PositiveNumber | None = Field(
        default=None, description="The learning rate of the runoff model in this stage; by default runoff's."
    )

    @model_validator(mode="after")
    def _unrouted_trains_runoff(self) -> Self:
        if self.unrouted and "routing" in self.train:
            raise InputError(
                f"found stage {self.name} unrouted with routing to train; expected train [runoff] alone"
            )
        return self

    @model_validator(mode="after")
    def _gauss_newton_trains_routing(self) -> Self:
        if self.method == "gauss_newton" and self.train != ("routing",):
            raise InputError(
                f"found stage {self.name} with method gauss_newton and train [{', '.join(self.train)}]; expected train "
                "[routing], or method adam, which alone can learn a runoff model"
            )
        return self


class EstimateSection(Section):
    """How the parameters are fitted."""

    method: Literal["adam", "gauss_newton"] = Field(
        default="adam",
        description="adam draws windows for every step, for any size; gauss_newton goes over all of the training time, "
        "with squared errors weighted by each gauge's own noise, a Gaussian prior and few steps.",
    )

    @field_validator("method", mode="before")
    @classmethod
    def _lbfgs_is_gone(cls, value: object) -> object:
        if value == "lbfgs":
            raise InputError(
                "found lbfgs, which rivergrad no longer has; expected gauss_newton, which is as exact in fewer steps, "
                "or adam, which takes any loss"
            )
        return value

    steps: Count = Field(default=150, description="The most optimiser steps.")
    learning_rate: PositiveNumber = Field(default=0.05, description="Adam's learning rate.")
    schedule: Literal["constant", "cosine"] = Field(
        default="constant",
        description="How adam's learning rate goes over the steps: constant, or down to a tenth along a cosine.",
    )
    clip: PositiveNumber | None = Field(
        default=None,
        description="The longest gradient (Euclidean norm) that adam takes as it is; longer are cut.",
    )
    restarts: NonNegativeCount = Field(
        default=0,
        description="How often a fit that is stuck goes back to its best step, with half the learning rate.",
    )
    inner: Count = Field(
        default=40, description="The most conjugate-gradient products in a step of gauss_newton."
    )
    window: PositiveDuration = Field(
        default=180 * 86400.0,
        description="The length of a training window, counted after its warm-up.",
    )
    windows_per_step: SmallCount = Field(
        default=1,
        description="The number of training windows drawn (from the seed) for one optimiser step.",
    )
    evaluate_every: Count = Field(
        default=10, description="The number of steps from one look at the validation period to the next."
    )
    patience: Count = Field(
        default=5, description="The number of such looks without progress after which the fit stops."
    )
    checkpoint_every: Count = Field(
        default=10,
        description="The number of steps from one checkpoint to the next; a killed run resumes there.",
    )
    checkpoints: Count = Field(
        default=2,
        description="The number of newest checkpoints that are kept; if one is damaged, the one before is taken.",
    )
    uniform_grid: SmallCount = Field(
        default=12,
        description="The number of celerities tried for the uniform baseline, even in their logarithm.",
    )
    loss: LossTerms = Field(
        default="nse",
        description="What is minimised, averaged over the training gauges, by name or as weights by name such as "
        "{nse: 0.7, log_nse: 0.3}: nse is 1 - NSE; nnse is 1 - 1/(2 - NSE), which no gauge with wrong runoff can "
        "dominate; log_nse is 1 - NSE of logarithms; kge is 1 - KGE; huber and student_t are 1 - NSE but for large "
        "residuals, which count less; timing is 1 - correlation, blind to volume and scale.",
    )
    stages: tuple[StageSection, ...] = Field(
        default=(),
        description="The stages of a fit with learned runoff, one after the other; the last is the estimate. By "
        "default lumped (runoff, unrouted), two_step (routing) and joint (both; from scratch, but for corrections); "
        "where runoff is all learned and loss is nse, the routing of two_step and a last stage, rivers, is by "
        "gauss_newton.",
    )
    student_t_nu: PositiveNumber = Field(
        default=DEFAULT_NU,
        description="The degrees of freedom of the loss student_t: the fewer, the less large residuals count.",
    )

    @model_validator(mode="after")
    def _stages_follow_each_other(self) -> Self:
        before: list[str] = []
        for stage in self.stages:
            if stage.name in before:
                raise InputError(f"found two stages {stage.name}; expected a name of its own for each")
            if stage.start not in (None, SCRATCH, *before):
                raise InputError(
                    f"found stage {stage.name} with start {stage.start}; expected {SCRATCH}, or an earlier stage"
                    + (f" ({', '.join(before)})" if before else "")
                )
            before.append(stage.name)
        if self.stages and self.stages[-1].unrouted:
            raise InputError(
                f"found {self.stages[-1].name} as the last stage, unrouted; expected the last one to route"
            )
        return self

    @model_validator(mode="after")
    def _gauss_newton_has_its_own_loss(self) -> Self:
        if "gauss_newton" in (self.method, *(stage.method for stage in self.stages)) and self.loss != "nse":
            raise InputError(
                f"found loss {self.loss} with method gauss_newton, which minimises squared errors weighted by each "
                "gauge's noise; expected no loss, or method adam"
            )
        return self


class UncertaintySection(Section):
    """How sure the parameters of every reach are, by the curvature of the fit at its end."""

    enabled: Switch = Field(default=True, description="Whether it is computed.")
    method: Literal["laplace", "ensemble"] = Field(
        default="laplace",
        description="laplace takes the curvature, with the runoff's volume error held as it was estimated; ensemble "
        "fits members to draws of noise and prior, volume error included, for any model.",
    )
    members: Annotated[Count, Field(ge=2)] = Field(
        default=24, description="The number of members of an ensemble, each as dear as a Gauss-Newton step."
    )
    bootstrap: Switch = Field(
        default=False,
        description="Whether every member of an ensemble also draws the training gauges, with replacement.",
    )
    products: Count = Field(
        default=40,
        description="The number of products with the Jacobian and its transpose, each a routing forward and one "
        "backward: one direction more for the gauges along a river, and for those along each of its tributaries.",
    )
    checks: NonNegativeCount = Field(
        default=2, description="The number of further products by which what was left out is told."
    )
    rounds: NonNegativeCount = Field(
        default=4,
        description="How often the prior's scale is measured anew from the evidence (deviation_sd auto).",
    )


class ReportSection(Section):
    """What the run writes beside parameters and scores."""

    hydrographs: Count = Field(default=6, description="The number of gauges whose hydrographs are drawn.")
    discharge: Switch = Field(
        default=False, description="Whether the estimate's discharge of every reach is written too (large)."
    )
    panels: tuple[str, ...] = Field(
        default=(),
        description="Panels of your own for the report: registered names, or import paths package.module:Object.",
    )

    @model_validator(mode="after")
    def _panels_are_known(self) -> Self:
        for name in self.panels:
            found = registry.entry("panel", name)
            if not found.outside:
                raise InputError(f"found panel {name}, which every report has; expected panels of your own")
            found.load()
        names = [name.rpartition(":")[2] for name in self.panels]
        if len(set(names)) < len(names):
            raise InputError(f"found panels {', '.join(self.panels)}; expected each name once")
        return self


def days(period: tuple[date, date]) -> int:
    """The number of days of a period, its first and last included."""
    return (period[1] - period[0]).days + 1


def _text(period: tuple[date, date]) -> str:
    return f"{period[0]}..{period[1]}"
