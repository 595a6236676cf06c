"""Numbers as a file stores them, where that is as good as decoding them: float32, neither packed nor scaled."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

STORED = "stored_values"
"""Where a variable's encoding keeps its `Stored`."""
_PACKED = ("scale_factor", "add_offset", "_Unsigned")


@dataclass(frozen=True, eq=False)
class Stored:
    """A variable as it stands in the file.

    Attributes:
        variable: not decoded, lazily read.
        fills: what the file declares to mean that there is no value.
    """

    variable: xr.Variable
    fills: NDArray[np.float32]

    def read(self, dims: tuple[str, ...], selection: dict[str, slice]) -> NDArray[np.float32]:
        """Some values, over `dims`: all of the variable's that are longer than one."""
        values = self.variable.isel(
            {**dict.fromkeys(set(map(str, self.variable.dims)) - set(dims), 0), **selection}
        )
        return np.ascontiguousarray(values.values, np.float32)

    def has(self, dims: tuple[str, ...]) -> bool:
        """Whether those are its dimensions, in this order, but for some of length one."""
        return tuple(dim for dim in map(str, self.variable.dims) if dim in dims) == dims and all(
            size == 1 for dim, size in self.variable.sizes.items() if dim not in dims
        )

    def passes(self, least: float, most: float) -> bool:
        """Whether no number from `least` to `most` means that there is none."""
        return not ((self.fills >= least) & (self.fills <= most)).any()


def keep_stored(raw: xr.Dataset) -> None:
    """Note the `Stored` of each variable of float32 in its encoding, where decoding takes it along."""
    for variable in raw.variables.values():
        if (
            variable.dtype.kind == "f"
            and variable.dtype.itemsize == 4
            and not set(_PACKED) & set(variable.attrs)
        ):
            fills = [
                np.ravel(variable.attrs[name])
                for name in ("_FillValue", "missing_value")
                if name in variable.attrs
            ]
            numbers = np.concatenate(fills).astype(np.float32) if fills else np.zeros(0, np.float32)
            variable.encoding[STORED] = Stored(variable, numbers)


def stored_of(variable: Any) -> Stored | None:
    """The `Stored` of a decoded variable; None where its values have to be decoded."""
    found: Stored | None = variable.encoding.get(STORED)
    return found
