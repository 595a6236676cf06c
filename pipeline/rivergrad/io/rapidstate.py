"""A warm start from RAPID's initial state, `Qinit`: discharge of every reach, from which the engine's state follows."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rivercut.network import RiverNetwork
from rivergrad.errors import InputError
from rivergrad.io.heads import head_of
from rivergrad.io.rapid import read_rapid_state

Float = NDArray[np.float64]


def is_rapid_state(path: Path) -> bool:
    """Whether a file is a `Qinit` (or a `Qout`, whose last time serves) of RAPID, and no state of rivergrad's."""
    head = head_of(path)
    return head.kind == "netcdf" and (head.has("Qinit") or head.has("Qout")) and not head.has("downstream_id")


def require_rapid_start(path: Path, scheme: str, engine: str, more: Mapping[str, bool]) -> None:
    """Raise unless discharge alone tells the state.

    Args:
        path: of the state; scheme, engine: their names; more: by name, whether it is in the way.

    Raises:
        InputError: another scheme or engine, or lakes, hillslopes and the like, whose water the file does not hold.
    """
    wrong = [name for name, there in more.items() if there]
    if scheme != "muskingum" or engine != "recurrence" or wrong:
        found = ", ".join([scheme, f"engine {engine}", *wrong])
        raise InputError(
            f"{path}: holds discharge alone, and the state of {found} is more; expected scheme muskingum with engine "
            "recurrence, or a file of --state-out",
            key="--state-in",
        )


def rapid_start(
    path: Path,
    network: RiverNetwork,
    parameters: Mapping[str, Float],
    step: float,
    runoff: Float,
    *,
    is_rapid: bool,
) -> dict[str, Float]:
    """The state of Muskingum's recurrence from the discharge that RAPID starts from.

    As RAPID does, the runoff of the first step stands for that before it. m = (C1 x + C2 q) / (1 − C0) is what the next
    routing step takes from inflow x and discharge q of the last one; RAPID's own convention adds the runoff later.

    Args:
        path: a `Qinit`, or a `Qout`; network: whose reaches.
        parameters: `k` (s) and `x` (n,); step: the routing step, s.
        runoff: (n,) of the first step, m3/s.
        is_rapid: whether the convention is RAPID's.

    Returns:
        Arrays (n,) by name, as `read_state` has them.

    Raises:
        InputError: no discharge, or a reach without one.
    """
    discharge = read_rapid_state(path, network)
    inflow = np.zeros(network.n_reaches)
    below = network.downstream
    np.add.at(inflow, below[below >= 0], discharge[below >= 0])
    if not is_rapid:
        inflow = inflow + runoff
    k, x = (np.broadcast_to(np.asarray(parameters[one], np.float64), inflow.shape) for one in ("k", "x"))
    half = step / 2
    section = ((half + k * x) * inflow + (k * (1 - x) - half) * discharge) / k
    return {"section_0": section, **({"last_outflow": discharge} if is_rapid else {})}
