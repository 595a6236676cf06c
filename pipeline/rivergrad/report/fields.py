"""The fields of the report's map: what reaches can be coloured by, each a function of a `Page`.

A field of your own is a function with the same argument that returns a `Field`, or None where a run has no such values.
Name it in the workflow key `report.fields`. The map's selector lists it after rivergrad's own fields:

    def slope(page):
        values = page.run.network.attributes.get("slope")
        return None if values is None else Field("slope", "Slope", values, "m/m", scale="log")
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from rivercut import graph
from rivergrad import registry
from rivergrad.errors import InputError
from rivergrad.report.measured import held_on_twins
from rivergrad.report.panels import Page

Float = NDArray[np.float64]
Scale = Literal["log", "linear", "share", "change"]
SCALES = ("log", "linear", "share", "change")
DAY = 86400.0


@dataclass(frozen=True, eq=False)
class Field:
    """A value at every reach, to colour the map by.

    Attributes:
        name: letters, digits and underscores; what the page calls it.
        title: what the selector calls it.
        value: (reach,) in `unit`, in the order of `page.run.network`; NaN where there is none: such reaches are grey.
        unit: as text, such as `m/s`; empty for numbers without one.
        scale: `log` for positive values over a range, `linear`, `share` for 0 to 1, `change` for values about 0.
        lower, upper: (reach,) ends of the nominal 90 % interval, where known.
        note: a sentence below the map.
        sureness: whether it says how sure something is; such fields have colours of their own.
    """

    name: str
    title: str
    value: Float
    unit: str = ""
    scale: Scale = "linear"
    lower: Float | None = None
    upper: Float | None = None
    note: str = ""
    sureness: bool = False


def checked(found: Any, name: str) -> Any:
    """Check that a part is a field, `page -> Field`; the registry does so at first use.

    Raises:
        InputError: the part can't be called with a page.
    """
    if callable(found) and not isinstance(found, type):
        return found
    what = f"class {found.__name__}" if isinstance(found, type) else type(found).__name__
    raise InputError(
        f"expected a function of a page (see rivergrad.report.fields), found {what}", key="field", found=name
    )


def checked_field(field: Field, reaches: int, name: str) -> Field:
    """A field whose arrays fit the network.

    Raises:
        InputError: an array of another shape, or a scale that there is not.
    """
    for what, values in (("value", field.value), ("lower", field.lower), ("upper", field.upper)):
        if values is not None and np.shape(values) != (reaches,):
            raise InputError(
                f"{what} has the shape {np.shape(values)}; expected ({reaches},), a number a reach",
                key="field",
                found=name,
            )
    if field.scale not in SCALES:
        raise InputError(
            f"found scale {field.scale!r}; expected one of {', '.join(SCALES)}", key="field", found=name
        )
    return field


def celerity(page: Page) -> Field:
    """The estimated celerity, with its interval."""
    run = page.run
    return Field(
        "celerity", "Celerity", run.celerity, "m/s", "log", run.celerity_lower, run.celerity_upper,
        note=f"How fast a flood wave travels along each reach. {_nominal(page)}".strip(),
    )  # fmt: skip


def _nominal(page: Page) -> str:
    held = held_on_twins(page.run)
    return f"Its 90 % intervals are nominal. {held}" if held else ""


def interval_width(page: Page) -> Field | None:
    """How wide the 90 % interval of the celerity is."""
    lower, upper = page.run.celerity_lower, page.run.celerity_upper
    if lower is None or upper is None:
        return None
    with np.errstate(divide="ignore", invalid="ignore"):
        factor = np.sqrt(upper / lower)
    return Field(
        "interval", "Interval of celerity", factor, "times, either way", "log", sureness=True,
        note="The factor from the estimate to either end of its nominal 90 % interval: 1.2 is about ±20 %, "
        f"2 is from half to double. {held_on_twins(page.run)}",
    )  # fmt: skip


def identifiability(page: Page) -> Field | None:
    """How much of the variance assumed beforehand the observations removed."""
    if page.run.identifiability is None:
        return None
    return Field(
        "identifiability", "Identifiability", page.run.identifiability, "", "share", sureness=True,
        note="At 1 all that is known of a reach comes from the observations; at 0 nothing does.",
    )  # fmt: skip


def gauge_value(page: Page) -> Field | None:
    """What a gauge at each reach would tell."""
    found = page.run.parameters.get("gauge_value")
    if found is None or not (found > 0).any():
        return None
    return Field(
        "gauge_value", "Value of a new gauge", 100 * found, "%", sureness=True,
        note="The share of the uncertainty of all celerities (the sum of their variances) that one more gauge at this "
        "reach would take away.",
    )  # fmt: skip


def travel_time(page: Page) -> Field | None:
    """The travel time of a flood wave from a reach to its outlet."""
    own = reach_time(page)
    if own is None:
        return None
    network = page.run.network
    return Field(
        "travel_time", "Travel time to the outlet", graph.sum_below(network.downstream, network.order, own) / DAY,
        "days", "log", note="From the upper end of each reach to the outlet of its basin.",
    )  # fmt: skip


def k(page: Page) -> Field | None:
    """The storage constant of Muskingum, the time that a wave takes through a reach."""
    found = page.run.parameters.get("k")
    if found is None:
        return None
    run = page.run
    lower = upper = None
    if run.celerity_lower is not None and run.celerity_upper is not None:
        with np.errstate(divide="ignore", invalid="ignore"):  # a longer time is a slower wave
            lower = found * run.celerity / run.celerity_upper / 3600.0
            upper = found * run.celerity / run.celerity_lower / 3600.0
    return Field(
        "k", "Storage constant k", found / 3600.0, "hours", "log", lower, upper,
        note="The time that a flood wave takes through each reach.",
    )  # fmt: skip


def residence_time(page: Page) -> Field | None:
    """The residence time of lakes, with its interval."""
    found = page.run.parameters.get("residence_time")
    if found is None or not (found > 0).any():
        return None
    ends = (page.run.parameters.get(f"residence_time_{end}") for end in ("lower", "upper"))
    lower, upper = (None if one is None else one / DAY for one in ends)
    return Field(
        "residence_time", "Residence time of lakes", np.where(found > 0, found / DAY, np.nan), "days", "log",
        lower, upper,
        note="The time in which a lake's outflow answers its inflow: its storage over its outflow. Channels are grey.",
    )  # fmt: skip


def reach_time(page: Page) -> Float | None:
    """(reach,) seconds that a wave takes through each reach: its length over its celerity, a lake's residence time."""
    length = page.run.network.length
    if length is None:
        return page.run.parameters.get("k")
    with np.errstate(divide="ignore", invalid="ignore"):
        found = np.asarray(length / page.run.celerity, dtype=np.float64)
    lake = page.run.parameters.get("residence_time")
    return found if lake is None else np.where(np.isnan(lake), found, lake)


def fields_of(page: Page, names: Sequence[str]) -> list[Field]:
    """Rivergrad's own fields that a run has, then those that its workflow names.

    Raises:
        InputError: a field of the user's own raises something, or gives no field of this network.
    """
    own = [entry.name for entry in registry.entries("field") if not entry.outside]
    found = [field for name in (*own, *names) if (field := _made(name, page)) is not None]
    once: dict[str, Field] = {}
    for field in found:
        once.setdefault(field.name, field)
    return list(once.values())


def _made(name: str, page: Page) -> Field | None:
    make = registry.load("field", name)
    try:
        found = make(page)
    except InputError:
        raise
    except Exception as error:  # whatever a user's function does
        said = " ".join(str(error).split())[:160] or type(error).__name__
        raise InputError(f"can't be made: {said}", key="field", found=name) from error
    if found is None:
        return None
    if not isinstance(found, Field):
        raise InputError("expected a rivergrad.report.fields.Field, or None", key="field", found=name)
    return checked_field(found, page.run.network.n_reaches, name)
