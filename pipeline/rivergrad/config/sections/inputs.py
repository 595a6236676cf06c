"""Where the input of a run comes from: a generated world, or files."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from rivergrad.config.fields import (
    Accumulated,
    AutoSwitch,
    BasinChoice,
    ClockOffset,
    FilePath,
    FilePaths,
    FlagWords,
    FormatName,
    Names,
    NonNegativeNumber,
    Options,
    OutletWords,
    PositiveDuration,
    PositiveNumber,
    Several,
    SeveralPaths,
    Share,
    Switch,
    listed,
)
from rivergrad.config.sections.base import Section
from rivergrad.errors import InputError
from rivergrad.world.spec import WorldSpec


class WorldSection(Section):
    """A generated world: network, runoff, true celerity and gauges, all from a seed."""

    spec: WorldSpec = Field(description="What the world is like: size, length, gauges, noise.")


class NetworkSection(Section):
    """The river network."""

    path: FilePath = Field(
        description="A CSV, Parquet or Zarr network, a folder in RAPID's layout, or a file of another model or data "
        "set."
    )
    format: FormatName = Field(
        default="auto", description="How the network is stored; auto tells from what is in the path."
    )
    layer: str | None = Field(
        default=None, description="The layer to read; needed only where the file has several."
    )
    columns: Names = Field(
        default=(),
        description="The file's names of columns, such as {reach_id: LINKNO, downstream_id: DSLINKNO}.",
    )
    units: Names = Field(
        default=(), description="Units of columns that the file does not state, such as {length_m: km, k: d}."
    )
    basin: BasinChoice | None = Field(
        default=None,
        description="Read only what drains to the reach of this id, or to reaches in [west, south, east, north].",
    )
    channel_area: PositiveNumber | None = Field(
        default=None,
        description="Of a raster of flow directions, the m2 that drain to a cell from which on it is a reach.",
    )
    outlets: OutletWords = Field(
        default=(),
        description="Downstream ids and texts that mean an outlet besides -1, such as [0, -9999]; outside: any id that "
        "is not in the file; empty: an empty cell.",
    )


class RunoffSection(Section):
    """The runoff (lateral inflow) that enters every reach: given, or learned from forcings with the routing."""

    path: FilePaths | None = Field(
        default=None,
        description="A NetCDF, Zarr or CSV file of runoff per reach or on a grid, a pattern such as runoff_*.nc or a "
        "list of files that follow one another; for learned runoff, only where the model corrects a given one.",
    )
    variable: Several | None = Field(
        default=None,
        description="The variable to read, or a list of those to sum; needed only where the file has several.",
    )
    format: FormatName = Field(
        default="auto", description="How the runoff is stored; auto tells from the path."
    )
    weights: SeveralPaths = Field(
        default=(),
        description="A table of the cells or catchments that drain to each reach, or two that follow one another.",
    )
    absent: Literal["error", "zero"] = Field(
        default="error",
        description="What of reaches that the runoff lacks: an error, or zero inflow.",
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
    start: str | None = Field(
        default=None, description="The first time of a path that has no times, such as 1980-01-01."
    )
    step: PositiveDuration | None = Field(
        default=None, description="The step of a path that has no times, or a single one, such as 3h."
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


class QualitySection(Section):
    """Which observations stay, by the words of their quality flags; a flag such as `A:e` is the words A and e."""

    drop: FlagWords = Field(
        default=(), description="Values with one of these flags are left out, such as [e]."
    )
    keep: FlagWords = Field(default=(), description="Only values with one of these flags stay, such as [A].")


class ObservationsSection(Section):
    """The observed discharge at gauges."""

    path: FilePaths = Field(
        description="A NetCDF, Zarr or CSV file of discharge per gauge, NaN where missing; or files of archives (USGS, "
        "GRDC, CAMELS, Caravan, …): one, a list, a pattern such as gauges/*.txt, or a folder."
    )
    format: FormatName = Field(
        default="auto", description="How the observations are stored; auto tells from the path."
    )
    variable: str | None = Field(
        default=None, description="The variable to read; needed only where the file has several."
    )
    stamp: Literal["auto", "start", "middle", "end"] = Field(
        default="auto",
        description="What the times label: the start, middle or end of their step; auto takes the file's word, and "
        "the start where it says nothing.",
    )
    kind: Literal["mean", "end"] = Field(
        default="mean",
        description="What values are: means over their interval, or snapshots at its end (with their times, or stamp). "
        "Intervals may be several steps of the runoff.",
    )
    stations: FilePath | None = Field(
        default=None,
        description="A table of stations by gauge: any of reach_id, lat and lon, area_km2 and utc_offset.",
    )
    quality: QualitySection = Field(
        default_factory=QualitySection, description="Which values stay, by their quality flags."
    )
    utc_offset: ClockOffset | None = Field(
        default=None,
        description="By how much the gauges' clocks are ahead of UTC, such as -5h or Asia/Tokyo; file takes the files' "
        "word. The table of stations may say it by gauge. Without it, times are UTC.",
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
