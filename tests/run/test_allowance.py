"""What the uncertainty may cost: as much as the fit, beyond what is quick; and what it does where memory is short."""

from __future__ import annotations

import json
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import rivergrad as rg
from rivergrad.run import allowance, evidence


def work(
    steps: int, *, device: str = "cpu", least_squares: bool = False, budget: float = 1.0, reaches: int = 10**9
) -> Any:
    settings = SimpleNamespace(
        window=30 * 86400.0, windows_per_step=2, least_squares=least_squares, inner=7, steps=steps
    )
    return SimpleNamespace(
        config=SimpleNamespace(
            estimate=settings,
            time=SimpleNamespace(routing_step=3600.0),
            compute=SimpleNamespace(device=device),
            uncertainty=SimpleNamespace(budget=budget),
        ),
        case=SimpleNamespace(
            periods=SimpleNamespace(fit=(10, 110), warmup=10),
            inputs=SimpleNamespace(runoff=SimpleNamespace(step=86400.0)),
        ),
        learned=None,
        n_reaches=reaches,
    )


def allowed(**options: Any) -> allowance.Allowance:
    problem: Any = SimpleNamespace(windows=[(0, 10, 110)], products=5)
    result: Any = SimpleNamespace(steps=options["steps"])
    return allowance.allowance_of(work(**options), problem, result)


def test_a_fit_s_work_is_what_products_may_take() -> None:
    # 33 steps route 2 windows of 10 + 30 steps; a product routes 110 in double precision, and passes over reaches
    product = 2 * 110 + 300 / 24
    assert allowed(steps=33).most == pytest.approx(33 * 2 * 40 / product)
    assert allowed(steps=33, budget=3.0).most == pytest.approx(3 * 33 * 2 * 40 / product)
    assert allowed(steps=4, least_squares=True).most == pytest.approx(2 * 110 * 4 * 7 / product)
    # what is quick is never too much
    assert allowed(steps=1, reaches=1000).most == pytest.approx(allowance.QUICK / (product * 24 * 1000))
    # on a GPU routing costs little beside the passes
    assert allowed(steps=33, device="cuda").most == pytest.approx(33 * 2 * 40 / (2 * 110 + 60_000 / 24))


def test_products_are_counted_as_they_are_taken() -> None:
    one = allowed(steps=165)
    one.most = 60.0
    assert (one.inner(100), one.directions(40)) == (15, 40)
    one.problem.products += 50
    assert one.taken == 50
    assert (one.inner(100), one.directions(40)) == (4, 10)
    assert not one.spent
    one.problem.products += 50
    assert (one.inner(100), one.directions(40), one.directions(2)) == (4, 4, 2)
    assert math.isclose(one.left, 0.0)
    assert one.spent


def test_a_run_says_what_the_budget_left_out(files: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(allowance, "QUICK", 0.0)
    run: Path = files.run(
        estimate={"method": "adam", "steps": 3, "window": "60d"}, uncertainty={"budget": 0.5, "rounds": 1}
    )
    said = json.loads((run / "run.json").read_text())["summary"]["uncertainty"]
    assert said["products_wanted"] == 40
    assert said["products"] < 20
    assert said["left_out"] > 0
    assert "uncertainty: 4 products, where uncertainty.products is 40" in (run / "log.txt").read_text()


def test_rows_of_products_where_directions_do_not_fit(files: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same uncertainty by either way to keep what products gave."""
    found = []
    monkeypatch.setattr(evidence, "FEW", 0)
    for number in range(2):
        if number:
            monkeypatch.setattr(evidence, "_breadth", lambda *_: (1, 10**9))
        run = files.run(
            estimate={"method": "adam", "steps": 3, "window": "60d"},
            uncertainty={"products": 12},
            output=str(files.folder / f"run-{number}"),
        )
        found.append(rg.open_run(run).parameters)
    for name in ("celerity_log_sd", "identifiability", "celerity_upper"):
        np.testing.assert_allclose(found[1][name], found[0][name], rtol=1e-4, atol=1e-5, err_msg=name)
