"""Few tasks a step, sums whose bytes do not depend on who adds, and windows in groups."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest
from sweep_problems import Problem, ask, off, prepare, small_problem

from rivercut.partition import partition
from rivergrad.cluster.calls import Batch, Call, critical_seconds, make_batches
from rivergrad.cluster.executor import SerialExecutor, open_executor
from rivergrad.cluster.totals import Total
from rivergrad.errors import InputError
from rivergrad.pieces import stepcalls
from rivergrad.pieces.groups import backward_group, forward_group
from rivergrad.pieces.step import forward_and_backward


class Listening(SerialExecutor):
    """Keeps the calls of every sweep."""

    def __init__(self) -> None:
        super().__init__()
        self.heard: list[list[Call]] = []

    def repeat(self, plan: Any, given: Any) -> Any:
        self.heard.append(list(plan.calls))
        return super().repeat(plan, given)


def four_windows() -> Problem:
    return replace(small_problem(), windows=((0, 6, 26), (14, 20, 40), (4, 10, 30), (9, 15, 35)))


def function_of(call: Call) -> Any:
    """The function of a call, without the number of the group that may be bound to it."""
    return call.function.func if isinstance(call.function, partial) else call.function


def step_calls(parts: int, cut: bool) -> list[Call]:
    one = four_windows()
    executor = Listening()
    made = prepare(
        one, partition(one.network, parts, spread=cut, block_reaches=60 if cut else None), executor, "float64"
    )
    made.sweep.step(one.shared, one.windows)
    executor.close()
    return executor.heard[-1]


def test_an_uncut_step_is_one_task_a_worker() -> None:
    calls = step_calls(2, cut=False)
    assert {function_of(call) for call in calls} == {forward_and_backward}
    for workers in (1, 2):
        batches = make_batches(calls, {call.key: call.key * workers // 2 for call in calls})
        assert len(batches) == workers
        assert not any(batch.exports or batch.needs for batch in batches)


def test_a_cut_step_is_few_tasks_and_only_boundary_series_travel() -> None:
    calls = step_calls(4, cut=True)
    keys = sorted({call.key for call in calls})
    count = Counter(function_of(call) for call in calls)
    assert count[forward_group] == count[backward_group] > 4
    home = {key: key % 2 for key in keys}
    batches = make_batches(calls, home)
    assert len(batches) < len(calls) / 2
    assert sorted(id(c) for b in batches for c in b.calls) == sorted(id(c) for c in calls)
    number = {call.node: b for b, batch in enumerate(batches) for call in batch.calls}
    taken = {series for call in calls for series in call.takes if number[series[0]] != number[call.node]}
    assert {series for batch in batches for series in batch.exports} == taken
    for b, batch in enumerate(batches):
        assert all(need < b for need in batch.needs)
        for call in batch.calls:
            for node, _ in call.takes:
                assert number[node] == b or number[node] in batch.needs
    one = make_batches([replace(call, label=0) for call in calls], dict.fromkeys(keys, 0))
    assert len(one) == 1  # on one worker nothing waits for others


def test_windows_in_groups_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    one = four_windows()
    cut = partition(one.network, 4, spread=True, block_reaches=60)
    answers = {}
    for groups in (1, 2, 4):
        monkeypatch.setattr(stepcalls, "GROUPS", groups)
        with open_executor(0) as executor:
            answers[groups] = ask(one, cut, executor, "float64")
    for groups in (2, 4):
        for name in ("loss", "shared", "free"):
            assert off(getattr(answers[groups], name), getattr(answers[1], name)) < 1e-12, name


@pytest.mark.parametrize("count", [1, 2, 3, 7, 32, 45])
def test_sums_have_the_same_bytes_whoever_adds(count: int) -> None:
    rng = np.random.default_rng(count)
    results = {
        k: {"a": rng.standard_normal(5), "b": float(rng.standard_normal()), "of": k} for k in range(count)
    }
    total = Total(("a", "b"), count)
    expected, rest = total.whole([total.part(results)])
    assert {k: v["of"] for k, v in rest.items()} == {k: k for k in range(count)}
    np.testing.assert_allclose(expected["a"], sum(r["a"] for r in results.values()), rtol=1e-12)
    for workers in (2, 3, 5):
        for home in (lambda k, w=workers: k * w // count, lambda k, w=workers: k % w):
            parts = [total.part({k: r for k, r in results.items() if home(k) == w}) for w in range(workers)]
            found, _ = total.whole(parts[::-1])
            assert found["a"].tobytes() == expected["a"].tobytes()
            assert found["b"] == expected["b"]
    # a worker with neighbouring pieces sends few sums
    assert len(total.part({k: r for k, r in results.items() if k < (count + 1) // 2})[0]) <= max(
        1, count.bit_length()
    )
    with pytest.raises(ValueError, match="some are missing"):
        total.whole([total.part({k: r for k, r in results.items() if k})])


def test_the_longest_way() -> None:
    batches = [Batch(0, 0, 0), Batch(1, 0, 0), Batch(1, 1, 0, needs={0}), Batch(0, 1, 0, needs={1})]
    assert critical_seconds(batches, [3.0, 1.0, 1.0, 2.0]) == 5.0  # worker 0 is busy for 3, then for 2
    assert critical_seconds(batches, [1.0, 4.0, 1.0, 2.0]) == 6.0
    assert critical_seconds([], []) == 0.0


def slow(heard: threading.Event, series: Any, *, value: int) -> tuple[dict[str, Any], list[Any]]:
    """Ends only when a later call is made."""
    assert heard.wait(30)
    return {"loss": value}, []


def hear(heard: threading.Event) -> dict[str, Any]:
    heard.set()
    return {"loss": 1}


def fail(heard: threading.Event, series: Any) -> tuple[dict[str, Any], list[Any]]:
    raise InputError("this went wrong")


def test_later_calls_do_not_wait_for_a_concurrent_one() -> None:
    executor = SerialExecutor()
    heard = threading.Event()
    executor.gather([executor.create(key, 0.0, lambda: heard) for key in (0, 1)])
    total = Total(("loss",), 2)
    with pytest.raises(InputError, match="this went wrong"):
        executor.do([Call("f", 0, fail, linked=True, concurrent=True), Call("h", 1, hear)], total)
    heard.clear()
    concurrent = Call("slow", 0, partial(slow, value=5), linked=True, concurrent=True)
    answer = executor.do([concurrent, Call("hear", 1, hear)], total)
    assert answer.sums == {"loss": 6}
    executor.close()
