"""Discharge at the end of a step, and means over several steps: every engine against the reference, with gradients."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from forests import DAY, EXACT, Case, case, gradients, network, off, random_forest
from torch import Tensor

from rivergrad.errors import InputError
from rivergrad.routing import Router, make_engine, schemes
from rivergrad.routing.reference import route_reference
from rivergrad.routing.reported import Report

TARGETS = np.array([11, 0, 7, 7, 3])
REPORTS = [Report("end"), Report("mean", 4), Report("end", 4)]
KINDS = [
    ("muskingum", "recurrence"),
    ("muskingum", "closure"),
    ("rapid", "recurrence"),
    ("hayami", "closure"),
]
by_engine = pytest.mark.parametrize(("name", "kind"), KINDS)
by_report = pytest.mark.parametrize("report", REPORTS, ids=str)


def engine(c: Case, kind: str, report: Report, **options: Any) -> Any:
    options = {"targets": TARGETS, "dtype": torch.float64, "downstream": c.downstream, **options}
    return make_engine(kind, options.pop("downstream"), c.scheme, DAY, c.step, report=report, **options)


def small(name: str, ratio: int = 3, time: int = 20) -> Case:
    return case(random_forest(np.random.default_rng(1), 12, 3, 0.1), name, ratio, time, 1, slow=2.0)


def reference(c: Case, runoff: Tensor, p: dict[str, Tensor], report: Report) -> Tensor:
    found = route_reference(c.downstream, c.order, runoff, p, c.scheme, DAY, c.step, report=report)
    return found[:, torch.from_numpy(TARGETS)]


def test_the_end_is_the_mean_of_the_last_routing_step() -> None:
    """Of a scheme by the same routing step with forcing steps as short; the mean of 4 is that of 4 means."""
    c = small("muskingum")
    fine = c.runoff.repeat_interleave(3, dim=0)
    every = route_reference(c.downstream, c.order, fine, c.parameters, c.scheme, c.step, c.step)
    end = route_reference(
        c.downstream, c.order, c.runoff, c.parameters, c.scheme, DAY, c.step, report=Report("end")
    )
    np.testing.assert_allclose(end, every[2::3], rtol=1e-12, atol=1e-14)
    mean = c.reference()
    four = route_reference(
        c.downstream, c.order, c.runoff, c.parameters, c.scheme, DAY, c.step, report=Report("mean", 4)
    )
    np.testing.assert_allclose(four[7], mean[4:8].mean(dim=0), rtol=1e-12)
    np.testing.assert_allclose(four[1], mean[:2].sum(dim=0) / 4, rtol=1e-12, atol=1e-14)


@by_report
@by_engine
def test_engines_equal_the_reference(name: str, kind: str, report: Report) -> None:
    """In chunks shorter than a mean is long, with all gradients."""
    c = small(name)
    runoff, p = c.leaves()
    one = engine(c, kind, report)
    prepared, state, found = one.prepare(p, 20), None, []
    for a, b in ((0, 2), (2, 3), (3, 11), (11, 20)):
        out, _, state = one.apply(prepared, runoff[None, a:b], state=state)
        found.append(out[0])
    out = torch.cat(found)
    own = c.leaves()
    expected = reference(c, *own, report)
    assert off(out, expected, c.runoff) <= EXACT
    mine, theirs = gradients(out, runoff, p), gradients(expected, *own)
    assert off(mine["runoff"], theirs["runoff"], torch.ones(out.shape)) <= EXACT
    of_parameters = [torch.cat([g[key] * c.parameters[key] for key in p]) for g in (mine, theirs)]
    assert off(*of_parameters) <= EXACT


@by_report
@pytest.mark.parametrize("kind", ["recurrence", "closure"])
def test_series_at_cuts_are_as_without_a_report(kind: str, report: Report) -> None:
    """Outlets that are targets too, and none."""
    c = small("muskingum")
    for outlets in (np.array([5, 0]), np.array([3])):
        plain = engine(c, kind, Report(), outlets=outlets)
        one = engine(c, kind, report, outlets=outlets)
        flows = [e.apply(e.prepare(c.parameters, 20), c.runoff[None])[1] for e in (plain, one)]
        assert flows[1].shape == (1, outlets.size, 60)
        assert off(flows[1], flows[0]) <= 1e-13


@pytest.mark.parametrize("kind", ["recurrence", "closure"])
def test_gradients_by_finite_differences(kind: str) -> None:
    c = small("muskingum", time=5)
    one = engine(c, kind, Report("end"), targets=np.array([11, 7]))

    def routed(runoff: Tensor, k: Tensor) -> Tensor:
        p = {"k": k * c.parameters["k"], "x": c.parameters["x"]}
        out: Tensor = one.apply(one.prepare(p, 5), runoff[None])[0]
        return out

    leaves = [c.runoff.clone().requires_grad_(), torch.ones_like(c.parameters["k"]).requires_grad_()]
    assert torch.autograd.gradcheck(routed, leaves, eps=1e-6, atol=2e-6, rtol=1e-5, fast_mode=True)


def test_a_router_reports_ends() -> None:
    c = small("muskingum")
    net = network(c.downstream)
    settings: dict[str, Any] = {
        "forcing_step": DAY,
        "routing_step": c.step,
        "dtype": torch.float64,
        "report": "end",
    }
    found = [
        Router(net, c.scheme, engine=kind, **settings)(c.runoff, c.parameters)[0]
        for kind in ("auto", "reference")
    ]
    assert off(*found) <= EXACT
    with pytest.raises(InputError, match="expected mean or end"):
        Router(net, schemes.get("muskingum"), forcing_step=DAY, routing_step=c.step, report="start")  # type: ignore[arg-type]
