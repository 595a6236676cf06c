"""The routing schemes by name. One file a scheme; `register` adds a user's own."""

from __future__ import annotations

from difflib import get_close_matches

from rivergrad.errors import InputError
from rivergrad.routing.schemes.base import Moments, Parameter, Parameters, Scheme
from rivergrad.routing.schemes.custom import CelerityFunction, CustomScheme, ResponseFunction
from rivergrad.routing.schemes.hayami import Hayami
from rivergrad.routing.schemes.lag import PureLag
from rivergrad.routing.schemes.muskingum import Muskingum
from rivergrad.routing.schemes.storage import LinearStorage, NashCascade

_SCHEMES: dict[str, Scheme] = {
    scheme.name: scheme for scheme in (PureLag(), LinearStorage(), NashCascade(), Muskingum(), Hayami())
}
BUILT_IN = tuple(_SCHEMES)

CONVENTIONS = ("standard", "rapid")


def names() -> tuple[str, ...]:
    """Names of all schemes, the built-in ones first."""
    return tuple(_SCHEMES)


def get(name: str | Scheme, convention: str = "standard", *, cap_x: bool = False) -> Scheme:
    """The scheme of that name.

    Args:
        name: a name; a scheme is returned as it is.
        convention: `standard` or `rapid`.
        cap_x: of muskingum, see `Muskingum`.

    Raises:
        InputError: no such scheme, or a convention or an option it does not have.
    """
    if isinstance(name, Scheme):
        if convention != "standard" and getattr(name, "convention", None) != convention:
            raise InputError(
                f"convention {convention!r} goes with the name of a scheme; found a scheme object"
            )
        return name
    if name not in _SCHEMES:
        near = get_close_matches(name, _SCHEMES, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise InputError(f"scheme {name!r} is not known; expected one of {', '.join(_SCHEMES)}{hint}")
    if convention not in CONVENTIONS:
        raise InputError(f"convention {convention!r} is not known; expected one of {', '.join(CONVENTIONS)}")
    if convention == "rapid":
        if name != "muskingum":
            raise InputError(f"convention rapid belongs to the scheme muskingum; found scheme {name}")
        return Muskingum("rapid", cap_x)
    if cap_x:
        if name != "muskingum":
            raise InputError(f"cap_x belongs to the scheme muskingum; found scheme {name}")
        return Muskingum(convention, cap_x)
    return _SCHEMES[name]


def register(
    name: str,
    function: ResponseFunction,
    parameters: tuple[Parameter, ...],
    *,
    conserves_mass: bool = True,
    spreading: Parameter | None = None,
    celerity: CelerityFunction | None = None,
) -> Scheme:
    """Add a scheme given by a function of (parameters, times); see `CustomScheme` for the arguments.

    Raises:
        InputError: a built-in scheme has that name, or it has no parameter.
    """
    if name in BUILT_IN:
        raise InputError(f"scheme {name}: a built-in scheme has this name; choose another")
    if not parameters:
        raise InputError(f"scheme {name}: expected at least one parameter, found none")
    scheme = CustomScheme(name, parameters, function, conserves_mass, spreading, celerity)
    _SCHEMES[name] = scheme
    return scheme


__all__ = [
    "BUILT_IN",
    "CONVENTIONS",
    "CustomScheme",
    "Hayami",
    "LinearStorage",
    "Moments",
    "Muskingum",
    "NashCascade",
    "Parameter",
    "Parameters",
    "PureLag",
    "Scheme",
    "get",
    "names",
    "register",
]
