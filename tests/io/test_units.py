from __future__ import annotations

import numpy as np
import pytest

from rivergrad.errors import InputError
from rivergrad.io.units import discharge_factor, flow_unit, parse_unit, si_factor

DAY = 86400.0


@pytest.mark.parametrize(
    "text",
    ["m3 s-1", "m^3/s", "m3/s", "m**3 s**-1", "m3 s^-1", "cms", "m³/s", "m3s-1", "m3.s-1", "m3 per second"],
)
def test_every_spelling_of_discharge_is_the_same_unit(text: str) -> None:
    unit = flow_unit(text, "f.nc", "runoff")
    assert (unit.kind, unit.factor, unit.needs_area) == ("discharge", 1.0, False)


@pytest.mark.parametrize("text", ["ft3/s", "cfs", "ft3 s-1", "ft^3/s"])
def test_cubic_feet(text: str) -> None:
    assert discharge_factor(text, "f.nc", "q") == pytest.approx(0.028316846592, rel=1e-12)


@pytest.mark.parametrize(
    ("text", "kind", "metres_per_second"),
    [
        ("mm/day", "depth rate", 1e-3 / DAY),
        ("mm d-1", "depth rate", 1e-3 / DAY),
        ("mm day-1", "depth rate", 1e-3 / DAY),
        ("m per day", "depth rate", 1 / DAY),
        ("m d-1", "depth rate", 1 / DAY),
        ("kg m-2 s-1", "depth rate", 1e-3),
        ("kg/m2/s", "depth rate", 1e-3),
        ("kg m**-2 s**-1", "depth rate", 1e-3),
        ("mm s-1", "depth rate", 1e-3),
        ("mm/h", "depth rate", 1e-3 / 3600),
        ("mm", "depth", 1e-3 / (3 * 3600)),
        ("m", "depth", 1 / (3 * 3600)),
        ("m of water equivalent", "depth", 1 / (3 * 3600)),
        ("kg m-2", "depth", 1e-3 / (3 * 3600)),
        ("mm/step", "depth", 1e-3 / (3 * 3600)),
    ],
)
def test_depths_per_step_of_three_hours(text: str, kind: str, metres_per_second: float) -> None:
    unit = flow_unit(text, "f.nc", "ro")
    assert unit.kind == kind
    assert unit.needs_area
    assert unit.to_rate(3 * 3600.0) == pytest.approx(metres_per_second, rel=1e-12)


def test_a_volume_is_per_step() -> None:
    assert flow_unit("m3", "f.nc", "m3_riv").to_rate(900.0) == pytest.approx(1 / 900)
    assert flow_unit("L/s", "f.nc", "q").factor == pytest.approx(1e-3)


@pytest.mark.parametrize("text", ["", "furlong/fortnight", "K", "m2", "m3 /", "3", "mmd-1", "m s", "degC"])
def test_an_unknown_unit_names_file_variable_and_what_is_expected(text: str) -> None:
    with pytest.raises(InputError, match=r"f\.nc: variable 'runoff'.*unit") as error:
        flow_unit(text, "f.nc", "runoff")
    assert "m3 s-1" in str(error.value)
    assert len(str(error.value).splitlines()) <= 2


def test_depth_is_no_discharge() -> None:
    with pytest.raises(InputError, match="'mm/day'"):
        discharge_factor("mm/day", "f.nc", "discharge")


def test_parameters_in_other_units_of_the_same_kind() -> None:
    assert si_factor("h", "s", "p.nc", "k") == 3600.0
    assert si_factor("km h-1", "m s-1", "p.nc", "celerity") == pytest.approx(1 / 3.6)
    assert si_factor("1", "1", "p.nc", "x") == 1.0
    with pytest.raises(InputError, match="'celerity' has the unit 's'; expected one like m s-1"):
        si_factor("s", "m s-1", "p.nc", "celerity")


def test_powers_add_up() -> None:
    parsed = parse_unit("kg m-2 s-1")
    assert parsed is not None
    assert parsed[1] == (-2, -1, 1, 0)
    assert np.isclose(parsed[0], 1.0)
