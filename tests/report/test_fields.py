"""The fields of the report's map: their numbers, and those of other people."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from rivercut import graph
from rivercut.network import RiverNetwork
from rivergrad import registry
from rivergrad.errors import InputError
from rivergrad.report.fields import Field, fields_of, reach_time
from rivergrad.report.panels import Page
from rivergrad.rundir.reading import read_run

sys.path.insert(0, str(Path(__file__).parent))  # dummies.py, whatever pytest's import mode

from dummies import dummy_network, dummy_run


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Page:
    folder = tmp_path_factory.mktemp("fields") / "run"
    return Page(read_run(dummy_run(folder, dummy_network(60), uncertainty=True)))


def test_the_sum_below_is_the_sum_along_the_way() -> None:
    network = RiverNetwork([1, 2, 3, 4, 5], [2, 2, 3, -1, -1])
    own = np.array([1.0, 2.0, 4.0, 8.0, 16.0])
    assert graph.sum_below(network.downstream, network.order, own).tolist() == [13.0, 14.0, 12.0, 8.0, 16.0]
    with pytest.raises(InputError, match=r"values must be \(5,\)"):
        graph.sum_below(network.downstream, network.order, own[:3])


def test_every_own_field_is_there_with_its_units(page: Page) -> None:
    found = {one.name: one for one in fields_of(page, ())}
    assert list(found) == ["celerity", "interval", "identifiability", "travel_time", "k"]
    run = page.run
    assert run.celerity_upper is not None
    own = reach_time(page)
    assert own is not None
    assert run.network.length is not None
    np.testing.assert_allclose(own, run.network.length / run.celerity)
    np.testing.assert_allclose(found["k"].value * 3600.0, run.parameters["k"])
    np.testing.assert_allclose(found["interval"].value, run.celerity_upper / run.celerity, rtol=1e-9)
    i = int(run.network.order[0])
    way, days = i, 0.0
    while way >= 0:
        days += own[way] / 86400.0
        way = int(run.network.downstream[way])
    assert found["travel_time"].value[i] == pytest.approx(days)
    # a longer time is a slower wave: the ends change sides
    k = found["k"]
    assert k.lower is not None
    assert k.upper is not None
    assert ((k.lower < k.value) & (k.value < k.upper)).all()


def test_a_field_of_somebody_elses_is_listed_after(page: Page) -> None:
    with registry.forgetting():
        registry.register("field", "ones", lambda page: Field("ones", "Ones", np.ones(60), "m"))
        registry.register("field", "nothing", lambda page: None)
        names = [one.name for one in fields_of(page, ("ones", "nothing"))]
    assert names[-1] == "ones"
    assert len(names) == 6


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda page: Field("x", "X", np.ones(3)), "expected (60,), a number a reach"),
        (lambda page: Field("x", "X", np.ones(60), scale="lg"), "expected one of log, linear"),
        (lambda page: np.ones(60), "expected a rivergrad.report.fields.Field"),
        (lambda page: page.run.nothing, "can't be made"),
    ],
)
def test_a_field_that_does_not_fit_is_one_line(page: Page, make: object, said: str) -> None:
    with registry.forgetting():
        registry.register("field", "mine", make)
        with pytest.raises(InputError) as caught:
            fields_of(page, ("mine",))
    assert said in str(caught.value)
    assert "mine" in str(caught.value)
