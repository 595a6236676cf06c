"""The routing schemes by name or import path. One file a scheme; `register` adds a user's own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from rivergrad import registry
from rivergrad.entries import BUILT_IN as _ENTRIES
from rivergrad.errors import InputError
from rivergrad.routing.schemes.base import Moments, Parameter, Parameters, Scheme
from rivergrad.routing.schemes.custom import CelerityFunction, CustomScheme, ResponseFunction
from rivergrad.routing.schemes.hayami import Hayami
from rivergrad.routing.schemes.lag import PureLag
from rivergrad.routing.schemes.mixed import RESIDENCE_TIME, WithLakes, channel_of, with_lakes_if
from rivergrad.routing.schemes.muskingum import Muskingum
from rivergrad.routing.schemes.storage import LinearStorage, NashCascade

BUILT_IN = tuple(entry.name for entry in _ENTRIES if entry.kind == "scheme")
CONVENTIONS = ("standard", "rapid")


class Settings(Protocol):
    """What says which scheme is wanted: the section `scheme` of a workflow."""

    @property
    def name(self) -> str: ...
    @property
    def convention(self) -> str: ...
    @property
    def cap_x(self) -> bool: ...
    @property
    def options(self) -> tuple[tuple[str, Any], ...]: ...


def names() -> tuple[str, ...]:
    """Names of all schemes, the built-in ones first."""
    return registry.names("scheme")


def get(
    name: str | Scheme,
    convention: str = "standard",
    *,
    cap_x: bool = False,
    options: Mapping[str, Any] | None = None,
) -> Scheme:
    """The scheme of that name.

    Args:
        name: a name, or an import path `package.module:Object`; a scheme is returned as it is.
        convention: `standard` or `rapid`.
        cap_x: of muskingum, see `Muskingum`.
        options: further arguments of the scheme's class.

    Raises:
        InputError: no such scheme, or a convention or an option it does not have.
    """
    if isinstance(name, Scheme):
        if convention != "standard" and getattr(name, "convention", None) != convention:
            raise InputError(
                f"convention {convention!r} goes with the name of a scheme; found a scheme object"
            )
        return name
    found = registry.entry("scheme", name)
    if convention not in CONVENTIONS:
        raise InputError(f"convention {convention!r} is not known; expected one of {', '.join(CONVENTIONS)}")
    given = dict(options or {})
    if convention != "standard":
        _require_option(found, "convention", f"convention {convention}")
        given["convention"] = convention
    if cap_x:
        _require_option(found, "cap_x", "cap_x")
        given["cap_x"] = True
    scheme = registry.made_with(found.load(), name, given, "scheme")
    assert isinstance(scheme, Scheme)
    return scheme


def of(settings: Settings) -> Scheme:
    """The scheme that a workflow's section `scheme` asks for; see `get`."""
    return get(settings.name, settings.convention, cap_x=settings.cap_x, options=dict(settings.options))


def _require_option(found: registry.Entry, option: str, said: str) -> None:
    if option not in found.option_names:
        having = [one.name for one in registry.entries("scheme") if option in one.option_names]
        raise InputError(f"{said} belongs to the scheme {', '.join(having)}; found scheme {found.name}")


def checked(found: Any, name: str) -> Any:
    """A scheme, or a class of schemes: what the registry asks at first use.

    Raises:
        InputError: anything else.
    """
    if isinstance(found, Scheme) or (isinstance(found, type) and issubclass(found, Scheme)):
        return found
    what = f"class {found.__name__}" if isinstance(found, type) else type(found).__name__
    raise InputError(f"scheme {name}: expected a rivergrad.routing.schemes.Scheme, found {what}")


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
    if not parameters:
        raise InputError(f"scheme {name}: expected at least one parameter, found none")
    scheme = CustomScheme(name, parameters, function, conserves_mass, spreading, celerity)
    registry.register("scheme", name, scheme)
    return scheme


__all__ = [
    "BUILT_IN",
    "CONVENTIONS",
    "RESIDENCE_TIME",
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
    "WithLakes",
    "channel_of",
    "checked",
    "get",
    "names",
    "of",
    "register",
    "with_lakes_if",
]
