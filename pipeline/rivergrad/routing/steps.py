"""Forcing step Δ and routing step δ."""

from __future__ import annotations

from rivergrad.errors import InputError

MOST = 5_000_000
"""Routing steps in a forcing step: a month in steps of 1 s has fewer. More would be a unit mistaken."""


def step_ratio(forcing_step: float, routing_step: float) -> int:
    """S = Δ/δ, the number of routing steps in a forcing step.

    Raises:
        InputError: it is not a positive whole number.
    """
    if not (forcing_step > 0 and routing_step > 0):
        raise InputError(
            f"expected positive steps; found forcing step {forcing_step:g} s, routing step {routing_step:g} s"
        )
    if forcing_step / routing_step > MOST:
        raise InputError(
            f"routing step {routing_step:g} s: found {forcing_step / routing_step:.3g} of them in the forcing step of "
            f"{forcing_step:g} s; expected at most {MOST:,}"
        )
    ratio = round(forcing_step / routing_step)
    if ratio < 1 or abs(ratio * routing_step - forcing_step) > 1e-9 * forcing_step:
        raise InputError(
            f"forcing step {forcing_step:g} s is {forcing_step / routing_step:.6g} times the routing step "
            f"{routing_step:g} s; expected a whole multiple"
        )
    return ratio
