"""Learned runoff of a piece. The model's weights are shared coefficients. The worker reads the forcings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rivergrad.runoff import (
    FlatModule,
    RunoffModel,
    RunoffSpec,
    check_inputs,
    check_output,
    depth_to_discharge,
)

Float = NDArray[np.float64]
ReadForcings = Callable[[int, int], Float]
"""(start, stop) -> forcings (time, reach of the piece, variable) as models take them; runs on the worker."""

RECORD_VALUES = 1 << 24
"""Forcing values whose runoff is computed at once, where no graph is kept for a gradient."""


@dataclass(frozen=True)
class Scaling:
    """Means and standard deviations of forcings (variable,) and attributes (attribute,), over the whole network."""

    forcing_mean: Float
    forcing_sd: Float
    attribute_mean: Float
    attribute_sd: Float

    def apply(self, module: torch.nn.Module) -> None:
        """Let a built-in model standardise by these; a user's module gets its inputs as they are."""
        if isinstance(module, RunoffModel):
            module.fit_scaling(
                *(
                    torch.from_numpy(np.array(values)).to(torch.float32)
                    for values in (self.forcing_mean, self.forcing_sd, self.attribute_mean, self.attribute_sd)
                )
            )


@dataclass(frozen=True)
class RunoffSetup:
    """The inputs of a piece that learns its runoff.

    Attributes:
        spec: the runoff model.
        scaling: means and standard deviations of the model's inputs.
        read: reads the piece's forcings.
        attributes: (reach, attribute) attributes of the catchments.
        area: (reach,) increment area, m².
        reach_id: (reach,) ids.
    """

    spec: RunoffSpec
    scaling: Scaling
    read: ReadForcings
    attributes: Float
    area: Float
    reach_id: NDArray[np.int64]


class PieceRunoffModel:
    """The worker's side: runoff of the piece's reaches at any weights, m³/s.

    Args:
        setup: what the model is; steps: of the record.
        dtype, device: of the arithmetic.
        memory: bytes that the forcings may take; if they need more, they are read again for every window.
    """

    def __init__(
        self, setup: RunoffSetup, steps: int, dtype: torch.dtype, device: torch.device, memory: int
    ) -> None:
        self.setup, self.dtype, self.device, self.steps = setup, dtype, device, steps
        module = setup.spec.build()
        setup.scaling.apply(module)
        self.flat = FlatModule(module.to(device=device, dtype=dtype))
        self.attributes = torch.from_numpy(np.array(setup.attributes)).to(device, dtype)
        self.area = torch.from_numpy(np.array(setup.area)).to(device, dtype)
        size = steps * setup.area.size * max(1, len(setup.spec.forcings)) * dtype.itemsize
        self._kept: Tensor | None = self._read(0, steps) if size <= memory else None
        self._checked = False
        self._takes_given = setup.spec.needs_given
        self._known: tuple[bytes, int, Tensor] | None = None

    def _read(self, start: int, stop: int) -> Tensor:
        values = torch.from_numpy(self.setup.read(start, stop)).to(self.device, self.dtype)
        check_inputs(values, self.attributes, self.setup.spec, self.setup.reach_id)
        return values

    def _forcings(self, start: int, stop: int) -> Tensor:
        return self._read(start, stop) if self._kept is None else self._kept[start:stop]

    def _depth(self, weights: Tensor, forcings: Tensor, attributes: Tensor, given: Tensor | None) -> Tensor:
        arguments = (forcings, attributes) if given is None else (forcings, attributes, given)
        depth: Tensor = self.flat(weights, *arguments)
        return depth

    def _as_depth(self, runoff: Tensor, area: Tensor) -> Tensor:
        """mm per step of runoff in m³/s."""
        return runoff / depth_to_discharge(torch.ones_like(area), area, self.setup.spec.step)

    def windows(
        self, weights: Tensor, windows: Sequence[tuple[int, int, int]], given: Tensor | None
    ) -> Tensor:
        """Runoff of some windows, differentiable in the weights.

        Args:
            weights: of the model, (weight,).
            windows: (first step, …, end), all of the same length; the model starts from rest in each.
            given: (window, time, reach) m³/s, where the model takes given runoff too.

        Returns:
            (window, time, reach) m³/s.
        """
        forcings = torch.stack([self._forcings(a, c) for a, _, c in windows])
        depth = self._depth(
            weights,
            forcings,
            self.attributes,
            self._as_depth(given.to(self.dtype), self.area)
            if self._takes_given and given is not None
            else None,
        )
        if not self._checked:
            check_output(depth, forcings, self.setup.spec.model, self.setup.reach_id)
            self._checked = True
        return depth_to_discharge(depth, self.area, self.setup.spec.step)

    @torch.no_grad()
    def record(self, weights: Float, stop: int, given: Tensor | None) -> Tensor:
        """Runoff of steps 0..stop of the record, (time, reach) m³/s. It is kept until other weights are asked for.

        Args:
            weights: (weight,) of the model.
            stop: the step to end before.
            given: (time, reach) m³/s given runoff of the record, if the model takes given runoff too.
        """
        key = weights.tobytes()
        if self._known is not None and self._known[0] == key and self._known[1] >= stop:
            return self._known[2][:stop]
        self._known = None
        leaf, n = torch.from_numpy(np.array(weights)), self.setup.area.size
        size = max(1, RECORD_VALUES // max(1, stop * max(1, len(self.setup.spec.forcings))))
        forcings, ids = self._forcings(0, stop), self.setup.reach_id
        found = torch.empty(stop, n, dtype=self.dtype, device=self.device)
        for at in range(0, n, size):
            some = slice(at, min(at + size, n))
            area, own = self.area[some], forcings[:, some]
            depth = self._depth(
                leaf,
                own,
                self.attributes[some],
                self._as_depth(given[:stop, some].to(self.dtype), area)
                if self._takes_given and given is not None
                else None,
            )
            check_output(depth, own, self.setup.spec.model, ids[some])
            found[:, some] = depth_to_discharge(depth, area, self.setup.spec.step)
        self._known = key, stop, found
        return found
