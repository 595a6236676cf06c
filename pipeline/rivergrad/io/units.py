"""Units are converted once, here, from a file's own `units` attribute to SI.

A unit is read as a product of known symbols with integer powers, so that every usual spelling of the same
unit means the same: `m3 s-1`, `m^3/s`, `m**3 s**-1`, `m³/s`, `cms`. A unit that is missing or not known is
never guessed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from rivergrad.errors import InputError

Kind = Literal["discharge", "volume", "depth rate", "depth"]

# symbol -> (factor to SI, powers of metre, second, kilogram, step)
_Powers = tuple[int, int, int, int]
_BASE: dict[str, tuple[float, _Powers]] = {}


def _symbols(names: str, factor: float, powers: _Powers) -> None:
    for name in names.split():
        _BASE[name] = (factor, powers)


_symbols("m meter meters metre metres", 1.0, (1, 0, 0, 0))
_symbols("mm millimeter millimeters millimetre millimetres", 1e-3, (1, 0, 0, 0))
_symbols("cm centimeter centimeters centimetre centimetres", 1e-2, (1, 0, 0, 0))
_symbols("km kilometer kilometers kilometre kilometres", 1e3, (1, 0, 0, 0))
_symbols("ft foot feet", 0.3048, (1, 0, 0, 0))
_symbols("in inch inches", 0.0254, (1, 0, 0, 0))
_symbols("l L liter liters litre litres", 1e-3, (3, 0, 0, 0))
_symbols("s sec secs second seconds", 1.0, (0, 1, 0, 0))
_symbols("min minute minutes", 60.0, (0, 1, 0, 0))
_symbols("h hr hrs hour hours", 3600.0, (0, 1, 0, 0))
_symbols("d day days", 86400.0, (0, 1, 0, 0))
_symbols("kg", 1.0, (0, 0, 1, 0))
_symbols("step timestep", 1.0, (0, 0, 0, 1))
_symbols("cms cumec cumecs", 1.0, (3, -1, 0, 0))
_symbols("cfs cusec cusecs", 0.3048**3, (3, -1, 0, 0))

_WATER_DENSITY = 1000.0  # kg/m3, for mass fluxes such as kg m-2 s-1
_SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻·", "0123456789-.")
_TOKEN = re.compile(r"([a-zA-Z]+)([+-]?\d+)?")

FLOW_EXAMPLES = "m3 s-1, ft3/s, m3 (per step), mm/day, m (per step), kg m-2 s-1"


def parse_unit(text: str) -> tuple[float, _Powers] | None:
    """Factor to SI and the powers of (metre, second, kilogram, step) of a unit; None when it is not known."""
    cleaned = text.strip().translate(_SUPERSCRIPTS).replace("of water equivalent", "")
    cleaned = re.sub(r"\bper\b", "/", cleaned).replace("**", "").replace("^", "")
    cleaned = re.sub(r"\s*/\s*", "/", cleaned.strip())
    if cleaned in ("1", "-", "dimensionless"):
        return 1.0, (0, 0, 0, 0)
    factor, powers = 1.0, [0, 0, 0, 0]
    at, sign = 0, 1
    while at < len(cleaned):
        match = _TOKEN.match(cleaned, at)
        if match is None or match.group(1) not in _BASE:
            return None
        base, dims = _BASE[match.group(1)]
        power = sign * int(match.group(2) or 1)
        factor *= base**power
        powers = [have + power * more for have, more in zip(powers, dims, strict=True)]
        at = match.end()
        # a division holds for the one factor after it: kg/m2/s is kg m-2 s-1
        separator = re.compile(r"[\s.*]*(/?)").match(cleaned, at)
        sign = -1 if separator is not None and separator.group(1) else 1
        at = separator.end() if separator is not None else at
    if not cleaned or cleaned.endswith("/"):
        return None
    return factor, (powers[0], powers[1], powers[2], powers[3])


def unit_of(attrs: object, source: str, variable: str, expected: str) -> str:
    """The `units` attribute out of a variable's attributes; missing or not text is an InputError."""
    found = attrs.get("units") if hasattr(attrs, "get") else None
    if not isinstance(found, str) or not found.strip():
        raise InputError(
            f"{source}: variable '{variable}' has no units attribute; expected one such as {expected}"
        )
    return found


@dataclass(frozen=True)
class FlowUnit:
    """A unit of runoff or discharge: multiply by `factor` to get m3/s, m3, m/s or m, by `kind`.

    `volume` (m3) and `depth` (m) are amounts per forcing step; `depth rate` (m/s) and `depth` need an area.
    """

    kind: Kind
    factor: float

    @property
    def needs_area(self) -> bool:
        return self.kind in ("depth", "depth rate")

    def to_rate(self, step: float) -> float:
        """Factor that turns the file's numbers into m3/s, or into m/s when an area is needed.

        Args:
            step: length of a forcing step, s.
        """
        return self.factor / step if self.kind in ("volume", "depth") else self.factor


_KINDS: dict[_Powers, tuple[Kind, float]] = {
    (3, -1, 0, 0): ("discharge", 1.0),
    (3, 0, 0, 0): ("volume", 1.0),
    (3, 0, 0, -1): ("volume", 1.0),
    (1, -1, 0, 0): ("depth rate", 1.0),
    (1, 0, 0, 0): ("depth", 1.0),
    (1, 0, 0, -1): ("depth", 1.0),
    (-2, -1, 1, 0): ("depth rate", 1.0 / _WATER_DENSITY),
    (-2, 0, 1, 0): ("depth", 1.0 / _WATER_DENSITY),
    (-2, 0, 1, -1): ("depth", 1.0 / _WATER_DENSITY),
}


def flow_unit(text: str, source: str, variable: str) -> FlowUnit:
    """Read a unit of runoff or discharge.

    Args:
        text: the unit as the file states it.
        source, variable: named in the error.

    Raises:
        InputError: the unit is not known, or is not one of runoff or discharge.
    """
    parsed = parse_unit(text)
    if parsed is None or parsed[1] not in _KINDS:
        raise InputError(
            f"{source}: variable '{variable}' has the unit '{text}', which is not known for a water flow; "
            f"expected one such as {FLOW_EXAMPLES}"
        )
    kind, extra = _KINDS[parsed[1]]
    return FlowUnit(kind, parsed[0] * extra)


def discharge_factor(text: str, source: str, variable: str) -> float:
    """Factor to m3/s of a unit that must be one of discharge; anything else is an InputError."""
    parsed = parse_unit(text)
    if parsed is None or parsed[1] != (3, -1, 0, 0):
        raise InputError(
            f"{source}: variable '{variable}' has the unit '{text}', which is not known as one of discharge; "
            "expected one such as m3 s-1 or ft3/s"
        )
    return parsed[0]


def si_factor(text: str, like: str | None, source: str, variable: str) -> float:
    """Factor to SI of any known unit; with `like` (an SI unit), its dimensions must be those of `like`."""
    parsed = parse_unit(text)
    wanted = None if like is None else parse_unit(like)
    if parsed is None or (wanted is not None and parsed[1] != wanted[1]):
        expected = f"one like {like}" if like is not None else "one such as s, h, m s-1, m2 s-1 or 1"
        raise InputError(f"{source}: variable '{variable}' has the unit '{text}'; expected {expected}")
    return parsed[0]


def is_depth_of_a_step(text: str) -> bool:
    """Whether a unit is one of depth, an amount per forcing step such as mm or kg m-2."""
    parsed = parse_unit(text)
    return parsed is not None and parsed[1] in _KINDS and _KINDS[parsed[1]][0] == "depth"


def refuse_turned(unit: str, source: str, variable: str) -> None:
    """Raise an InputError for degrees that count to the south or west: signs would be read the wrong way round."""
    # plain degrees, as JULES has them, count to no side
    if re.fullmatch(r"degrees?([\s_\-]*(south|west|w)|[\s_\-]+s)|degreess", unit.strip().lower()):
        raise InputError(
            f"{source}: '{variable}' has the units '{unit}'; expected degrees_north or degrees_east, negative "
            "in the south and west"
        )


TEMPERATURES = {
    **dict.fromkeys(("degc", "celsius", "deg_c", "°c", "degrees_celsius", "degree_celsius"), (1.0, 0.0)),
    **dict.fromkeys(("k", "kelvin", "degk"), (1.0, -273.15)),
    **dict.fromkeys(("degf", "fahrenheit", "°f"), (5 / 9, -32 * 5 / 9)),
}
OTHERS = {"w m-2": 1.0, "w/m2": 1.0, "j m-2 s-1": 1.0, "pa": 1.0, "hpa": 100.0, "kpa": 1000.0, "%": 0.01}


def is_temperature(text: str) -> bool:
    """Whether a unit is one of temperature."""
    return text.strip().lower() in TEMPERATURES


def is_depth(text: str) -> bool:
    """Whether a unit is one of water as a depth, by time or by step."""
    parsed = parse_unit(text)
    return parsed is not None and _KINDS.get(parsed[1], ("", 0.0))[0] in ("depth", "depth rate")


def forcing_unit(text: str, step: float, source: str, variable: str) -> tuple[float, float]:
    """Factor and offset from a file's numbers to what runoff models take: mm per step, °C, and SI for all else.

    Args:
        text: the unit as the file states it; step: length of a forcing step, s.
        source, variable: named in the error.

    Raises:
        InputError: the unit is not known.
    """
    plain = text.strip().lower()
    if plain in TEMPERATURES:
        return TEMPERATURES[plain]
    if plain in OTHERS:
        return OTHERS[plain], 0.0
    parsed = parse_unit(text)
    if parsed is None:
        raise InputError(
            f"{source}: variable '{variable}' has the unit '{text}', which is not known; "
            "expected one such as mm/day, kg m-2 s-1, degC, K, W m-2 or 1"
        )
    if parsed[1] in _KINDS:
        kind, extra = _KINDS[parsed[1]]
        if kind in ("depth", "depth rate"):
            return FlowUnit(kind, parsed[0] * extra).to_rate(step) * step * 1000.0, 0.0
    return parsed[0], 0.0
