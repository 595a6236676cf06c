"""The halo of a part: what it receives from other parts and what it sends to them."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from rivercut.network import frozen

Int = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Halo:
    """What crosses the border of one part; positions are those of the network.

    **Arguments**: `part`; received, (r,) each: the discharge of `receive_from`, a reach of `receive_part`,
    enters `receive_at`, a reach of this part; sent, (s,) each: the discharge of `send_reach`, a reach of this
    part, goes to `send_part`. Both sides are sorted by the other part, then by the upstream reach, so that
    what one part sends another is, element by element, what that one receives.
    """

    part: int
    receive_from: Int
    receive_at: Int
    receive_part: Int
    send_reach: Int
    send_part: Int

    def __post_init__(self) -> None:
        for item in fields(self)[1:]:
            object.__setattr__(self, item.name, frozen(getattr(self, item.name), np.int64))

    def __setstate__(self, state: dict[str, Any]) -> None:
        # Pickle forgets that the arrays are read-only.
        for array in state.values():
            if isinstance(array, np.ndarray):
                array.flags.writeable = False
        self.__dict__.update(state)

    @classmethod
    def empty(cls, part: int) -> Self:
        """The halo of a part that shares no edge: all of them hold the same arrays, as there may be a million."""
        made = object.__new__(cls)
        made.__dict__.update({"part": part, **_NOTHING})
        return made

    def differs(self, other: Halo) -> str:
        """Name of the first field in which the two differ, empty if they are the same."""
        for item in fields(self):
            if not np.array_equal(getattr(self, item.name), getattr(other, item.name)):
                return item.name
        return ""


_NOTHING = dict.fromkeys((item.name for item in fields(Halo)[1:]), frozen([], np.int64))


def make_halos(downstream: Int, reach_part: Int, n_parts: int) -> tuple[Halo, ...]:
    """The halo of each part, from the part of each reach, (n,)."""
    upper = np.flatnonzero(downstream >= 0)
    upper = upper[reach_part[upper] != reach_part[downstream[upper]]]
    lower = downstream[upper]
    source, target = reach_part[upper], reach_part[lower]
    received, sent = np.lexsort((upper, source, target)), np.lexsort((upper, target, source))
    parts = np.arange(n_parts + 1)
    receive_ptr, send_ptr = np.searchsorted(target[received], parts), np.searchsorted(source[sent], parts)
    halos = []
    edges = (np.diff(receive_ptr) + np.diff(send_ptr)).tolist()
    for part in range(n_parts):
        if not edges[part]:
            halos.append(Halo.empty(part))
            continue
        r = received[receive_ptr[part] : receive_ptr[part + 1]]
        s = sent[send_ptr[part] : send_ptr[part + 1]]
        halos.append(Halo(part, upper[r], lower[r], source[r], upper[s], target[s]))
    return tuple(halos)
