"""What the two backends of the recurrence engine share: the problem, the filters and the gradients."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rivergrad.errors import InputError

if TYPE_CHECKING:
    import torch
    from torch import Tensor
else:
    from rivergrad.later import torch

Index = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class GridWeights:
    """Runoff of reaches as weighted sums of the cells of a grid: r_i = Σ weight · value[cell].

    Attributes:
        pointer: (reach + 1,) where the entries of each reach begin.
        cell: (entry,) position of the cell among those of the runoff given.
        weight: (entry,) from the runoff's unit to m³/s.
        n_cells: how many cells the runoff has.

    Raises:
        InputError: the arrays don't fit each other, or a cell is not among those of the runoff.

    Example:
        >>> import numpy as np, rivergrad as rg
        >>> grid = rg.GridWeights(np.array([0, 1, 3]), np.array([0, 0, 1]), np.array([2e3, 1e3, 4e3]), n_cells=2)
    """

    pointer: Index
    cell: Index
    weight: NDArray[np.float64]
    n_cells: int

    def __post_init__(self) -> None:
        ends = self.pointer[[0, -1]].tolist() if self.pointer.size else []
        fits = ends == [0, self.cell.size] and self.cell.size == self.weight.size
        if not fits or (np.diff(self.pointer) < 0).any():
            raise InputError(
                f"grid: expected pointers that rise from 0 to the number of entries, found {ends} with "
                f"{self.cell.size} cells and {self.weight.size} weights"
            )
        if self.cell.size and not (self.cell.min() >= 0 and self.cell.max() < self.n_cells):
            raise InputError(
                f"grid: expected cells 0 to {self.n_cells - 1}, found {self.cell.min()} to {self.cell.max()}"
            )

    @property
    def n_reaches(self) -> int:
        return int(self.pointer.size) - 1


def weight_matrix(grid: GridWeights, dtype: torch.dtype, device: torch.device) -> Tensor:
    """The weights as a sparse matrix (reach, cell)."""
    count = torch.from_numpy(grid.pointer[1:] - grid.pointer[:-1])
    reach = torch.repeat_interleave(torch.arange(grid.n_reaches), count)
    with warnings.catch_warnings():
        # some versions of torch say that nothing is checked where this is asked for (and compressed rows always do)
        warnings.filterwarnings("ignore", "Sparse invariant checks")
        return torch.sparse_coo_tensor(
            torch.stack([reach, torch.from_numpy(grid.cell.copy())]),
            torch.from_numpy(grid.weight.copy()),
            (grid.n_reaches, grid.n_cells),
            dtype=dtype,
            device=device,
            check_invariants=True,
        ).coalesce()


@dataclass(frozen=True, eq=False)
class Problem:
    """Everything about a (piece of a) network that does not depend on parameters.

    Attributes:
        downstream: (reach,) position of the downstream reach, −1 where the water leaves.
        ratio: S, routing steps in a forcing step.
        targets: (target,) reaches whose mean discharge is wanted.
        inlets: (inlet,) the reach that each external inflow enters.
        outlets: (outlet,) reaches whose q at the routing step is wanted.
        grid: how runoff comes from cells; None where it is given per reach.
    """

    downstream: Index
    ratio: int
    targets: Index
    inlets: Index
    outlets: Index
    grid: GridWeights | None = None

    def __post_init__(self) -> None:
        if self.grid is not None and self.grid.n_reaches != self.n_reaches:
            raise InputError(
                f"grid: expected weights of {self.n_reaches} reaches, found those of {self.grid.n_reaches}"
            )

    @property
    def n_reaches(self) -> int:
        return int(self.downstream.size)

    @property
    def n_columns(self) -> int:
        """Columns of the runoff: reaches, or cells where there is a grid."""
        return self.n_reaches if self.grid is None else self.grid.n_cells


@dataclass(frozen=True, eq=False)
class Filter:
    """What each reach does to its inflow x: a delay, then equal first-order sections in series.

    One section, with state m: e = x − m; q = m + a e; m ← m + b e. In steady state e is zero, so a section
    neither makes nor loses water however a and b are rounded.

    Attributes:
        a, b: (reach,) in the dtype computed in; tensors, or arrays where nothing but the sweep on CPUs takes them.
        jump: (reach,) κ of RAPID's convention: m rises by κ r before the first routing step of a forcing step
            and falls by as much after its last; None under the standard convention.
        sections: how many in series (1 with a jump).
        delay: (reach,) whole routing steps by which x is delayed first; None where no reach has any.
        output_delay: routing steps (0 or 1) by which the reported mean lags q.
    """

    a: Any
    b: Any
    jump: Any = None
    sections: int = 1
    delay: Index | None = None
    output_delay: int = 0

    @property
    def state_size(self) -> int:
        """Numbers carried over time: m of each section, the last q where the output lags, delayed inflows.

        They follow each other in this order: section by section, each (reach,); (reach,) last q; and the last
        `delay[i]` inflows of each reach i in turn, oldest first.
        """
        n = int(self.a.shape[0])
        waiting = 0 if self.delay is None else int(self.delay.sum())
        return n * (self.sections + self.output_delay) + waiting


@dataclass(frozen=True, eq=False)
class Gradients:
    """Of a loss: with respect to a, b and jump (float64, (reach,)), and to what was routed.

    `runoff` is (batch, time, reach), per reach also where the runoff comes as a grid, and None unless wanted.
    """

    a: Tensor
    b: Tensor
    jump: Tensor | None
    runoff: Tensor | None
    inflow: Tensor
    state: Tensor


def zeros(filter_: Filter, batch: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """The state of rest."""
    return torch.zeros(batch, filter_.state_size, dtype=dtype, device=device)
