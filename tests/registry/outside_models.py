"""Models, an optimiser and a runoff model as a user might write them, in one file of their own."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from rivergrad.model.parametermodel import ParameterModel
from rivergrad.run.optimisers import GaussNewtonOptimiser


def die_if_asked():
    """Killed as by the system, once two checkpoints are written."""
    folder = os.environ.get("DIE_AT_CHECKPOINTS_IN")
    if folder is not None and len(list(Path(folder).rglob("*.npz"))) >= 2:
        os.kill(os.getpid(), signal.SIGKILL)


@dataclass(frozen=True)
class Bent(ParameterModel):
    """A level and a bend: the square of the first feature enters too."""

    deviates = True
    facts = {"trend": "must", "regions": "none", "travels": True}  # noqa: RUF012

    def segments(self):
        bends = {"level": (), "slope": (self.n_features,), "bend": (self.n_features,)}
        return bends if self.spreading is None else {**bends, "spreading": ()}

    def common(self, shared, features, region=None):
        die_if_asked()
        found = [shared["level"] + features @ shared["slope"] + (features**2) @ shared["bend"]]
        if self.spreading is not None:
            found.append(shared["spreading"].expand(len(features)))
        return torch.stack(found)


@dataclass(frozen=True)
class Basins(ParameterModel):
    """A number for each class of reaches and no level: nothing of it is rivergrad's."""

    facts = {"trend": "none", "regions": "must"}  # noqa: RUF012

    def segments(self):
        return {"mine": (self.n_free, self.n_regions)}

    def start_values(self, celerity, spreading, seed):
        first = np.full((self.n_free, self.n_regions), self.celerity.free(celerity))
        if self.spreading is not None:
            first[1] = self.spreading.free(spreading)
        return {"mine": first}

    def middle(self, shared):
        return float(np.exp(np.mean([np.log(self.celerity.value_of(one)) for one in shared["mine"][0]])))

    def common(self, shared, features, region=None):
        die_if_asked()
        return shared["mine"][:, region]


class Raises(Basins):
    facts = {}  # noqa: RUF012

    def common(self, shared, features, region=None):
        raise RuntimeError("a fault of the user's")


class WrongShape(Basins):
    facts = {}  # noqa: RUF012

    def start_values(self, celerity, spreading, seed):
        return {}

    def common(self, shared, features, region=None):
        return torch.zeros(3, dtype=torch.float64)


class TakenName(Bent):
    facts = {}  # noqa: RUF012

    def segments(self):
        return {**super().segments(), "volume": (2,)}


NOT_A_MODEL = 3


class Damped(GaussNewtonOptimiser):
    """Gauss-Newton that goes half the way."""

    def step(self, number):
        die_if_asked()
        before, free = self.shared.copy(), self._free.copy()
        loss = super().step(number)
        self.shared, self._free = (before + self.shared) / 2, (free + self._free) / 2
        self._discharge = None
        self.finished = False
        return loss


class Tank(torch.nn.Module):
    """A single bucket with one time constant: runoff is what it loses."""

    def __init__(self, hidden: int = 1):
        super().__init__()
        self.rate = torch.nn.Parameter(torch.full((hidden,), -1.0, dtype=torch.float64))

    def forward(self, forcings, attributes, given=None):
        die_if_asked()
        rain = forcings[..., 0]
        share = torch.sigmoid(self.rate).mean()
        stored, found = torch.zeros_like(rain[..., 0, :]), []
        for step in range(rain.shape[-2]):
            stored = stored + rain[..., step, :]
            found.append(share * stored)
            stored = stored - found[-1]
        return torch.stack(found, dim=-2)
