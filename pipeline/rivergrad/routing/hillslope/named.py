"""Hillslope responses by name."""

from __future__ import annotations

from rivergrad.errors import InputError
from rivergrad.routing.hillslope.base import Hillslope
from rivergrad.routing.hillslope.gamma import Gamma
from rivergrad.routing.hillslope.names import NONE
from rivergrad.routing.hillslope.storage import LinearStorage, Nash

HILLSLOPES: dict[str, Hillslope] = {one.name: one for one in (LinearStorage(), Nash(), Gamma())}
"""rivergrad's responses by name."""


def get(name: str | Hillslope | None) -> Hillslope | None:
    """The hillslope response of that name; None for `none`.

    Raises:
        InputError: no such response.
    """
    if name is None or name == NONE:
        return None
    if isinstance(name, Hillslope):
        return name
    if name not in HILLSLOPES:
        raise InputError(f"hillslope {name!r} is not known; expected one of {NONE}, {', '.join(HILLSLOPES)}")
    return HILLSLOPES[name]
