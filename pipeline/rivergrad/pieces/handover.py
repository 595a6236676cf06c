"""The state of routing as named arrays: what a later job goes on from, whatever the cut of the network.

Of the recurrence (and of hillslope responses) each array is (..., reach), so that another partition can go on from it.
Of the closure it is the past of its blocks, which only the same partition can use.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rivergrad.errors import InputError, ids_text
from rivergrad.pieces.state import ResidentPiece
from rivergrad.routing.closure import ClosureState
from rivergrad.routing.flow import FlowPrepared
from rivergrad.routing.hillslope.stage import StagedPrepared, StagedState
from rivergrad.routing.pieces import Piece
from rivergrad.routing.recurrence import RecurrenceState
from rivergrad.routing.schemes.base import Recurrence

Arrays = dict[str, NDArray[np.float64]]

SECTION, LAST, WAITING, HILLSLOPE, HISTORY = "section_", "last_outflow", "waiting", "hillslope", "history_"
ROUND = "round_"
"""Names of arrays: m of each section, the last q where the output lags, inflows that are delayed (oldest first, NaN
before where a reach delays by fewer steps), the hillslope's numbers, the closure's past; and what stands before the
names of each round, where celerity depends on flow."""


def state_after(piece: ResidentPiece) -> Arrays:
    """The state of a piece after the last chunk that it routed."""
    assert piece.chunk is not None
    prepared: Any
    state: Any
    prepared, state = piece.chunk
    found: Arrays = {}
    if isinstance(state, StagedState):
        assert isinstance(prepared, StagedPrepared)
        if state.hillslope is not None:
            found[HILLSLOPE] = _numbers(state.hillslope[0])
        prepared, state = prepared.routing, state.routing
    if isinstance(state, ClosureState):
        return found | {f"{HISTORY}{i}": _numbers(one) for i, one in enumerate(state.history)}
    assert isinstance(state, RecurrenceState)
    if isinstance(prepared, FlowPrepared):
        own = _numbers(state.values[0])
        rounds = own.reshape(-1, prepared.linear.a.numel() * prepared.linear.sections)
        for number, values in enumerate(rounds):
            of = _by_name(prepared.linear, values)
            found |= {f"{ROUND}{number}_{name}": value for name, value in of.items()}
        return found
    assert isinstance(prepared, Recurrence)
    return found | _by_name(prepared, _numbers(state.values[0]))


def _numbers(values: Tensor) -> NDArray[np.float64]:
    found: NDArray[np.float64] = values.cpu().to(torch.float64).numpy()
    return found


def _by_name(prepared: Recurrence, values: NDArray[np.float64]) -> Arrays:
    n = prepared.a.numel()
    found = {f"{SECTION}{s}": values[s * n : (s + 1) * n] for s in range(prepared.sections)}
    at = prepared.sections * n
    if prepared.output_delay:
        found[LAST] = values[at : at + n]
        at += n
    if (delay := _delay(prepared)) is not None:
        reach, slot = _places(delay)
        padded = np.full((int(delay.max()), n), np.nan)
        padded[slot, reach] = values[at:]
        found[WAITING] = padded
    return found


def _delay(prepared: Recurrence) -> NDArray[np.int64] | None:
    delay = None if prepared.delay is None else prepared.delay.cpu().numpy()
    return None if delay is None or not delay.any() else delay


def _places(delay: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Reach and slot of each delayed inflow, in the order of the state; the newest is in the last slot."""
    reach = np.repeat(np.arange(delay.size), delay)
    first = np.cumsum(delay) - delay
    return reach, np.arange(reach.size) - first[reach] + int(delay.max()) - delay[reach]


def past_steps(arrays: Mapping[str, NDArray[Any]]) -> int:
    """Forcing steps of the past that the closure's state holds."""
    return max((one.shape[2] for name, one in arrays.items() if name.startswith(HISTORY)), default=0)


def state_before(piece: ResidentPiece, prepared: Any, arrays: Arrays) -> Any:
    """The state that a piece goes on from.

    Args:
        piece: whose engine takes it; prepared: what it made of the parameters.
        arrays: of the piece, as `state_after` has them.

    Raises:
        InputError: arrays of another scheme, or delays of other lengths.
    """
    if isinstance(prepared, StagedPrepared):
        if (prepared.response is None) != (HILLSLOPE not in arrays):
            there = "has one" if HILLSLOPE in arrays else "has none"
            raise InputError(f"state: {there} of a hillslope response; expected that of this run")
        slope = None
        if HILLSLOPE in arrays:  # without the room for other pieces' longer ones
            rows = ~np.isnan(arrays[HILLSLOPE]).all(axis=1)
            slope = torch.from_numpy(arrays[HILLSLOPE][rows])[None]
        rest = {name: value for name, value in arrays.items() if name != HILLSLOPE}
        return StagedState(
            None if slope is None else slope.to(piece.device), state_before(piece, prepared.routing, rest)
        )
    if isinstance(prepared, FlowPrepared):
        return _of_rounds(piece, prepared, arrays)
    if not isinstance(prepared, Recurrence):
        past = [arrays[f"{HISTORY}{i}"] for i in range(sum(one.startswith(HISTORY) for one in arrays))]
        return ClosureState(tuple(torch.from_numpy(one).to(piece.device, piece.dtype) for one in past))
    parts = [arrays[name] for name in _expected(prepared, arrays)]
    if (delay := _delay(prepared)) is not None:
        parts.append(_waiting(piece, delay, arrays[WAITING]))
    return RecurrenceState(torch.from_numpy(np.concatenate(parts))[None].to(piece.device, piece.dtype))


def _of_rounds(piece: ResidentPiece, prepared: FlowPrepared, arrays: Arrays) -> RecurrenceState:
    """The states of all rounds of a celerity that depends on flow."""
    assert piece.setup.rounds is not None
    count, sections = piece.setup.rounds.rounds + 1, prepared.linear.sections
    wanted = [f"{ROUND}{number}_{SECTION}{s}" for number in range(count) for s in range(sections)]
    if set(wanted) != set(arrays):
        raise InputError(f"state: found {ids_text(sorted(arrays))}; expected {ids_text(sorted(wanted))}")
    parts = np.concatenate([arrays[name] for name in wanted])
    return RecurrenceState(torch.from_numpy(parts)[None].to(piece.device, piece.dtype))


def _expected(prepared: Recurrence, arrays: Arrays) -> list[str]:
    """Names of a recurrence's arrays in their order, without the delayed inflows."""
    names = [f"{SECTION}{s}" for s in range(prepared.sections)] + [LAST] * bool(prepared.output_delay)
    wanted = {*names, *([WAITING] if _delay(prepared) is not None else [])}
    # delays of some pieces are all below a step
    if not wanted <= set(arrays) or set(arrays) - wanted - {WAITING}:
        raise InputError(f"state: found {ids_text(sorted(arrays))}; expected {ids_text(sorted(wanted))}")
    return names


def _waiting(
    piece: ResidentPiece, delay: NDArray[np.int64], padded: NDArray[np.float64]
) -> NDArray[np.float64]:
    held = (~np.isnan(padded)).sum(axis=0)
    if (other := np.flatnonzero(held != delay)).size:
        local = piece.setup.piece.reaches[other]
        raise InputError(
            f"state: {held[other[0]]} delayed steps at the reach in row {local[0]} of the network; expected "
            f"{delay[other[0]]}, as its delay says"
        )
    reach, slot = _places(delay)
    found: NDArray[np.float64] = padded[slot + padded.shape[0] - int(delay.max()), reach]
    return found


def joined(pieces: Sequence[Piece], states: Sequence[Arrays], n_reaches: int) -> Arrays:
    """States of pieces as one of the network; the closure's past is named by piece."""
    whole: Arrays = {}
    for piece, arrays in zip(pieces, states, strict=True):
        for name, value in arrays.items():
            if name.startswith(HISTORY):
                whole[f"piece_{piece.number}_{name}"] = value
                continue
            lead = value.shape[:-1]
            if name not in whole or whole[name].shape[:-1] != lead:
                whole[name] = _widened(whole.get(name), lead, n_reaches)
                value = _widened_piece(value, whole[name].shape[:-1])
            whole[name][..., piece.reaches] = value
    return whole


def _widened(before: NDArray[np.float64] | None, lead: tuple[int, ...], n: int) -> NDArray[np.float64]:
    """Room for delays of the longest piece so far: NaN before what is there."""
    rows = lead if before is None else tuple(map(max, zip(lead, before.shape[:-1], strict=True)))
    found = np.full((*rows, n), np.nan)
    if before is not None:
        found[found.shape[0] - before.shape[0] :] = before
    return found


def _widened_piece(value: NDArray[np.float64], lead: tuple[int, ...]) -> NDArray[np.float64]:
    if value.shape[:-1] == lead:
        return value
    return np.concatenate([np.full((lead[0] - value.shape[0], value.shape[-1]), np.nan), value])


def split(pieces: Sequence[Piece], whole: Mapping[str, NDArray[np.float64]]) -> list[Arrays]:
    """A state of the network by piece.

    Raises:
        InputError: the past of the closure's blocks, of another number of pieces.
    """
    own = {name: value for name, value in whole.items() if not name.startswith("piece_")}
    past = {name: value for name, value in whole.items() if name.startswith("piece_")}
    numbers = {int(name.split("_")[1]) for name in past}
    if past and numbers != {piece.number for piece in pieces}:
        raise InputError(
            f"state: holds the closure's past in {len(numbers)} pieces, found {len(pieces)}; expected the parts that "
            "it was written with"
        )
    found = []
    for piece in pieces:
        arrays = {name: np.ascontiguousarray(value[..., piece.reaches]) for name, value in own.items()}
        prefix = f"piece_{piece.number}_"
        arrays |= {
            name.removeprefix(prefix): value for name, value in past.items() if name.startswith(prefix)
        }
        found.append(arrays)
    return found
