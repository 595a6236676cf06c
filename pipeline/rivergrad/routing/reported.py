"""Which discharge is reported: the mean of a step, its end, or the mean of several steps.

Observations are means over their interval, or snapshots at its end. Their interval may be several forcing steps long.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import torch
from torch import Tensor

from rivergrad.errors import InputError
from rivergrad.routing.schemes.base import Scheme
from rivergrad.routing.setup import Index

Kind = Literal["mean", "end"]


@dataclass(frozen=True)
class Report:
    """What is reported at forcing step d, with S routing steps to a forcing step.

    `mean`: Q[d] = mean of q over the routing steps of the forcing steps d − every + 1 … d (0 before the record).
    `end`: Q[d] = q at the last routing step of d, which is the discharge at the end of the forcing step.

    Attributes:
        kind: `mean` or `end`.
        every: forcing steps that a mean is over.
    """

    kind: Kind = "mean"
    every: int = 1

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind):
            raise InputError(f"found {self.kind!r}; expected mean or end", key="report")

    @property
    def is_plain(self) -> bool:
        """Whether it is the mean of each forcing step, which engines give."""
        return self.kind == "mean" and self.every == 1


MEAN = Report()


@dataclass(frozen=True, eq=False)
class ReportedState:
    """What a later chunk of time needs of the past: that of the engine, and discharge (batch, every − 1, target)."""

    routing: Any
    recent: Tensor


class ReportedEngine:
    """An engine that reports what `Report` says; exact, with gradients, by whatever engine.

    An end is the engine's own series at the routing step, which it gives at outlets: targets are outlets too.

    Args:
        make: makes the engine with given targets and outlets.
        targets, outlets: as of the engine.
        report: what is reported.
    """

    def __init__(
        self, make: Callable[[Index, Index], Any], targets: Index, outlets: Index, report: Report
    ) -> None:
        self.report, self._outlets = report, outlets.size
        if report.kind == "end":
            every, place = np.unique(np.concatenate([outlets, targets]), return_inverse=True)
            self.engine = make(np.zeros(0, np.int64), every)
            self._place: Tensor | None = torch.from_numpy(place.reshape(-1).astype(np.int64))
        else:
            self.engine = make(targets, outlets)
            self._place = None
        self.ratio: int = self.engine.ratio
        self.dtype: torch.dtype = self.engine.dtype
        self.device: torch.device = self.engine.device

    def prepare(self, parameters: dict[str, Tensor], horizon: int, scheme: Scheme | None = None) -> Any:
        """As `Engine.prepare`."""
        return self.engine.prepare(parameters, horizon, scheme)

    def apply(
        self, prepared: Any, runoff: Tensor, inflow: Tensor | None = None, state: Any = None
    ) -> tuple[Tensor, Tensor, Any]:
        """As `Engine.apply`."""
        if self._place is not None:
            _, series, after = self.engine.apply(prepared, runoff, inflow, state)
            place = self._place.to(series.device)
            last = series[series.shape[0] - runoff.shape[0] :]  # of the last round, where there are several
            ends = last[:, :, self.ratio - 1 :: self.ratio]
            discharge = ends.index_select(1, place[self._outlets :]).transpose(1, 2)
            return discharge, series.index_select(1, place[: self._outlets]), after
        before = None if state is None else state.routing
        discharge, outflow, after = self.engine.apply(prepared, runoff, inflow, before)
        batch, _, targets = discharge.shape
        past = discharge.new_zeros(batch, self.report.every - 1, targets) if state is None else state.recent
        joined = torch.cat([past.to(discharge), discharge], dim=1)
        mean = joined.unfold(1, self.report.every, 1).mean(dim=-1)
        return mean, outflow, ReportedState(after, joined[:, joined.shape[1] - self.report.every + 1 :])


def reported(q: Tensor, ratio: int, report: Report) -> Tensor:
    """What is reported of a series at the routing step, (time · ratio,) -> (time,): the definition itself."""
    steps = q.reshape(-1, ratio)
    if report.kind == "end":
        return steps[:, -1]
    means = steps.mean(dim=1)
    joined = torch.cat([means.new_zeros(report.every - 1), means])
    return joined.unfold(0, report.every, 1).mean(dim=-1)
