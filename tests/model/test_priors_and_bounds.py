"""What is known before any gauge is looked at, and the slopes of the curves that keep parameters within bounds."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rivergrad.config.sections import CeleritySection
from rivergrad.model.bounds import Bounded
from rivergrad.model.priors import CELERITY, DIFFUSIVITY, MUSKINGUM_X, PRIORS, Known
from rivergrad.routing import schemes

CURVES = (Bounded(0.05, 5.0, True), Bounded(0.0, 0.5, False), Bounded(1.0, 1e5, True))


@pytest.mark.parametrize("known", PRIORS.values(), ids=list(PRIORS))
def test_priors_are_in_order_and_have_a_source(known: Known) -> None:
    assert PRIORS[known.name] is known
    assert known.lower < known.median < known.upper
    assert known.sd > 0
    assert "doi:" in known.source
    assert known.units


def test_the_same_truth_elsewhere() -> None:
    assert CeleritySection().bounds == (CELERITY.lower, CELERITY.upper)
    for scheme, known in (("muskingum", MUSKINGUM_X), ("hayami", DIFFUSIVITY)):
        spreading = schemes.get(scheme).spreading
        assert spreading is not None
        assert (spreading.name, spreading.units) == (known.name, known.units)
        assert (spreading.lower, spreading.upper) == (known.lower, known.upper)
        assert spreading.default == known.median


@pytest.mark.parametrize("bounded", CURVES)
@settings(max_examples=40, deadline=None)
@given(free=st.floats(-8, 8))
def test_slopes_are_derivatives(bounded: Bounded, free: float) -> None:
    at = torch.tensor(free, dtype=torch.float64, requires_grad=True)
    value = bounded.value(at)
    (slope,) = torch.autograd.grad(value, at)
    value = value.detach()
    assert bounded.value_of(free) == pytest.approx(float(value), rel=1e-12)
    assert bounded.slope(float(value)) == pytest.approx(float(slope), rel=1e-6)
    assert bounded.log_slope(float(value)) == pytest.approx(float(slope / value), rel=1e-6)
    assert bounded.free(float(value)) == pytest.approx(free, abs=1e-6)
