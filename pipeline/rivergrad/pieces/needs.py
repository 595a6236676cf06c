"""How much memory a piece of the network takes on its worker, estimated before anything of it is read."""

from __future__ import annotations

from collections.abc import Sequence

from rivergrad.cluster.placement import Needs
from rivergrad.model.parametermodel import ParameterModel
from rivergrad.pieces.setup import PieceSetup
from rivergrad.pieces.streamed import BLOCK, is_streamed, record_bytes

KEPT_VALUES = {"recurrence": 2, "closure": 9}
"""Of a reach and step of a window, runoff included, what an engine keeps for the gradient (measured, with float32 and
float64, routing steps of a quarter to all of a forcing step: 1.4 and 9)."""


def chunk_steps(setup: PieceSetup) -> int:
    """The number of forcing steps that are routed at once, such that they fill a quarter of the piece's memory.

    A step needs memory for its runoff as read (float64) and as routed. It needs twice the latter again, for the closure
    engine's history and gathered columns, or for the recurrence engine's series between blocks. Discharge needs no more
    than runoff.
    """
    values = max(1, setup.columns, setup.piece.reaches.size)
    return max(16, setup.memory // 4 // (values * setup.value_bytes * 4))


def piece_needs(
    setup: PieceSetup,
    model: ParameterModel,
    *,
    stepped: tuple[int, int],
    linearised: Sequence[tuple[int, int, int]] = (),
    forcings: int = 0,
    errors: bool = False,
) -> Needs:
    """The memory that a piece takes for an estimation.

    Args:
        setup: the piece.
        model: the parameter model.
        stepped: number of windows in an optimiser's step, and forcing steps of a window with its warm-up.
        linearised: windows that are kept for JVPs and VJPs, if any.
        forcings: number of forcings of the runoff model, 0 if runoff is given.
        errors: whether the observations have errors of their own.
    """
    n, size, columns = setup.piece.reaches.size, setup.value_bytes, setup.columns
    count, length = stepped
    runoff = 0 if setup.read is None else record_bytes(setup)
    if runoff and is_streamed(setup):  # what stays, and what this step and the next need
        assert setup.room is not None
        runoff = max(setup.room, 2 * count * (length + 2 * BLOCK) * columns * size)
    values = KEPT_VALUES.get(setup.engine, KEPT_VALUES["closure"])
    kept = count * length * max(n, columns) * size * values
    if (
        forcings
    ):  # a runoff model's intermediate values are held to a share of the memory, and so are its forcings
        kept += setup.memory // 4
        runoff += min(setup.memory // 4, setup.steps * n * forcings * size)
    steps = sum(stop - start for start, _, stop in linearised)
    # features, length, region and area; deviations, the best, two moments, the gradient and its leaf
    state = 8 * n * (model.n_features + 3 + 6 * model.n_free)
    state += 4 * setup.steps * setup.targets.size * (2 if errors else 1)
    # products with the Jacobian are in double precision, and route along a direction besides
    return Needs(runoff, max(kept, 8 * (values + 1) * n * steps), state)
