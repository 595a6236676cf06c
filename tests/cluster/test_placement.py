"""Parts go to workers by weight, the same way every time; what does not fit is said."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import psutil
import pytest
from cluster_runs import write_workflow
from hypothesis import given
from hypothesis import strategies as st

from rivercut.partition import partition
from rivergrad.cluster.executor import open_executor
from rivergrad.cluster.placement import Needs, Room, fit_parts, place_parts, room_here, worker_order
from rivergrad.config.load import load_workflow
from rivergrad.errors import InputError
from rivergrad.pieces import placed
from rivergrad.pieces.pieceread import PieceRunoff
from rivergrad.run.inputs import prepare_inputs
from rivergrad.run.periods import periods_of
from rivergrad.run.problem import make_problem


@given(st.lists(st.integers(1, 1000), min_size=1, max_size=60), st.integers(1, 12))
def test_longest_first(weights: list[int], workers: int) -> None:
    home = place_parts(weights, workers)
    load = np.bincount(home, weights, minlength=workers)
    assert load.sum() == sum(weights)
    # the last part that the fullest worker got was given to it when it had least: at most the mean of the others
    assert load.max() <= (sum(weights) - max(weights)) / workers + max(weights) + 1e-9
    assert np.count_nonzero(load) == min(workers, len(weights))
    assert np.array_equal(home, place_parts(weights, workers))


def test_by_hand() -> None:
    assert place_parts([5, 1, 4, 3, 3], 2).tolist() == [0, 1, 1, 1, 0]  # 5+3, 4+3+1
    assert place_parts([2, 2, 2, 2], 2).tolist() == [0, 1, 0, 1]  # equals in order
    assert place_parts([1, 9, 4], 3).tolist() == [0, 1, 2]  # one each


def test_workers_in_the_order_of_their_names() -> None:
    names = {"tcp://c": "w-10", "tcp://b": "w-9", "tcp://a": 11, "tcp://d": 2}
    assert worker_order({address: {"name": name} for address, name in names.items()}) == [
        *("tcp://d", "tcp://a", "tcp://b", "tcp://c")
    ]


GB = 10**9


def test_parts_go_where_there_is_room() -> None:
    """Workers of other sizes get what fits; with room enough, memory changes nothing."""
    weight, needs = [3.0, 2.0, 4.0, 1.0], [Needs(w * GB) for w in (3, 2, 4, 1)]
    plenty = [Room("one", 20 * GB), Room("two", 20 * GB)]
    assert fit_parts(weight, needs, plenty).tolist() == place_parts(weight, 2).tolist() == [1, 1, 0, 0]
    assert fit_parts(weight, needs, [Room("one", 4 * GB), Room("two", 6 * GB)]).tolist() == [1, 1, 0, 1]
    needs, room = [Needs(GB), Needs(4 * GB)], [Room("one", 5 * GB), Room("two", 2 * GB)]
    assert fit_parts([2.0, 1.0], needs, room).tolist() == [1, 0]
    # by weight the first two would leave no room for the third
    needs, room = [Needs(3 * GB), Needs(3 * GB), Needs(5 * GB)], [Room("one", 6 * GB), Room("two", 5 * GB)]
    assert fit_parts([9.0, 8.0, 1.0], needs, room).tolist() == [0, 0, 1]
    assert fit_parts([5.0, 5.0], [Needs(2 * GB)] * 2, [Room("same", 4 * GB)] * 2).tolist() == [0, 1]


def test_a_part_without_room() -> None:
    needs = [Needs(3 * GB), Needs(2 * GB), Needs(1 * GB, 2 * GB, 1 * GB)]
    one_host = [Room("here", 9 * GB)] * 2
    assert fit_parts([3, 2, 4], needs, one_host).tolist() == place_parts([3, 2, 4], 2).tolist()
    with pytest.raises(
        InputError,
        match=r"part \d needs .*, and there is no room for it beside the others, which need \d GB; free for all "
        r"workers are 8.5 GB; expected more workers \(with as many parts\)",
    ):
        fit_parts([3, 2, 4], needs, [Room("here", 85 * 10**8)] * 2)
    with pytest.raises(
        InputError,
        match=r"part 2 needs 4 GB \(runoff 1 GB, what is kept for gradients 2 GB, .* optimiser 1 GB\); the most memory "
        r"that is free for a worker is 3.5 GB; expected more parts",
    ):
        fit_parts([3, 2, 4], needs, [Room("here", 35 * 10**8), Room("there", 35 * 10**8)])


def test_refused_before_anything_is_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A workflow whose part does not fit ends with the part's name and what it needs, and no runoff was read."""
    path = write_workflow(tmp_path)
    config = load_workflow(path, [f"output={tmp_path / 'run'}", "estimate.windows_per_step=3"])
    inputs = prepare_inputs(config, tmp_path)
    network, steps = inputs.network, inputs.runoff.time.size
    periods = periods_of(config, inputs.runoff.time, inputs.runoff.step, inputs.runoff.path)
    monkeypatch.setattr(PieceRunoff, "__call__", lambda *_: pytest.fail("it was read"))
    asked: list[Needs] = []

    def fit(weight: object, needs: Sequence[Needs], room: Sequence[Room]) -> object:
        asked.extend(needs)
        return fit_parts([1.0], needs, [Room("here", 1000)])

    monkeypatch.setattr(placed, "fit_parts", fit)
    with (
        open_executor(0) as executor,
        pytest.raises(InputError, match=r"part 0 needs .* free for a worker is 1e-06 GB"),
    ):
        make_problem(config, inputs, periods, partition(network, 1), executor, "closure", tmp_path)
    n, gauges = network.n_reaches, inputs.observations.gauge.size
    # float32; three windows of 60 days and 20 before; one feature, celerity and spreading of every reach
    assert asked == [Needs(4 * steps * n, 4 * 9 * 3 * 80 * n, 8 * n * (1 + 3 + 6 * 2) + 4 * steps * gauges)]
    room = room_here("cpu")
    assert 0 < room.free <= psutil.virtual_memory().total
