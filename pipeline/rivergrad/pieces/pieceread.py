"""What reads the runoff of a piece, on its worker: of its reaches, or of the cells of a grid where there are fewer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from rivergrad.io.readers import RunoffReader
from rivergrad.io.runoff import CellRunoff, GridRunoff
from rivergrad.io.singles import single, values_of
from rivergrad.routing.pieces import Piece
from rivergrad.routing.recurrence.problem import GridWeights


@dataclass(frozen=True)
class PieceRunoff:
    """Reads the runoff of one piece on its worker.

    Attributes:
        source: a reader of reaches, or a `CellRunoff`; dtype: that is computed in.
    """

    source: RunoffReader | CellRunoff
    dtype: str = "float64"

    def __call__(self, start: int, stop: int) -> NDArray[Any]:
        """(time, reach or cell), float32 where no more is needed."""
        if self.dtype == "float32":
            return single(self.source, start, stop)
        return values_of(self.source, start, stop)


def piece_runoff(
    source: RunoffReader, piece: Piece, engine: str, dtype: str = "float64"
) -> tuple[PieceRunoff, GridWeights | None]:
    """The reader of a piece's runoff, and the weights of grid cells for its reaches if it reads cells.

    It reads cells if the engine accepts them and there are fewer cells than reaches. Then the runoff of the reaches is
    never in memory.
    """
    mine = source.select(piece.reaches)
    if engine == "recurrence" and isinstance(mine, GridRunoff):
        cells = mine.cells()
        if cells.n_cells < piece.reaches.size:
            return PieceRunoff(cells, dtype), GridWeights(
                cells.pointer, cells.cell, cells.weight, cells.n_cells
            )
    return PieceRunoff(mine, dtype), None
