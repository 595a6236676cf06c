"""A module whose parameters come from one vector, so that what all pieces share stays one vector."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Float = NDArray[np.float64]


class FlatModule:
    """A module and where its parameters stand in a vector, in the order of `named_parameters`.

    A gradient with respect to the vector is summed over pieces like that of any other shared coefficients. Frozen
    parameters (`requires_grad=False`) are no part of it.

    Attributes:
        module: the module; calls leave its own parameters alone.
        names: of its parameters; slices: where each stands.
        size: of the vector.
    """

    def __init__(self, module: torch.nn.Module) -> None:
        self.module = module
        learned = {name: value for name, value in module.named_parameters() if value.requires_grad}
        self.names = tuple(learned)
        ends = np.cumsum([0, *(value.numel() for value in learned.values())])
        self.slices = tuple(slice(int(a), int(b)) for a, b in pairwise(ends))
        self.size = int(ends[-1])

    def vector(self) -> Float:
        """The module's parameters, (size,) float64."""
        values = dict(self.module.named_parameters())
        if not self.names:
            return np.zeros(0)
        parts = [values[name].detach().to("cpu", torch.float64).reshape(-1) for name in self.names]
        return np.asarray(torch.cat(parts).numpy())

    def load(self, vector: Float) -> None:
        """Put a vector into the module."""
        self._expect(vector.shape)
        values = dict(self.module.named_parameters())
        with torch.no_grad():
            for name, part in zip(self.names, self.slices, strict=True):
                values[name].copy_(torch.from_numpy(vector[part].copy()).reshape(values[name].shape))

    def tensors(self, vector: Tensor) -> dict[str, Tensor]:
        """Its parameters as parts of a vector, differentiable, each in its own dtype and on its own device."""
        self._expect(vector.shape)
        values = dict(self.module.named_parameters())
        return {
            name: vector[part].reshape(values[name].shape).to(values[name])
            for name, part in zip(self.names, self.slices, strict=True)
        }

    def __call__(self, vector: Tensor, *arguments: Any) -> Any:
        """Call the module with the parameters of a vector, (size,)."""
        return torch.func.functional_call(self.module, self.tensors(vector), arguments)

    def groups(self) -> dict[str, NDArray[np.bool_]]:
        """(size,) masks by child module: for learning rates of their own. Those of the module itself: ''."""
        found: dict[str, NDArray[np.bool_]] = {}
        for name, part in zip(self.names, self.slices, strict=True):
            child = name.rpartition(".")[0].partition(".")[0]
            found.setdefault(child, np.zeros(self.size, dtype=np.bool_))[part] = True
        return found

    def decays(self) -> NDArray[np.bool_]:
        """(size,) where weight decay belongs: matrices, not offsets, which say where the mean is."""
        values = dict(self.module.named_parameters())
        found = np.zeros(self.size, dtype=np.bool_)
        for name, part in zip(self.names, self.slices, strict=True):
            found[part] = values[name].ndim >= 2
        return found

    def _expect(self, shape: tuple[int, ...]) -> None:
        if tuple(shape) != (self.size,):
            raise ValueError(f"expected a vector of {self.size} numbers, found shape {tuple(shape)}")
