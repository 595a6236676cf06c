"""Boundary series between workers: in bundles by Dask, or by UCX, and what is said where that does not work."""

from __future__ import annotations

import logging
import pickle
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from sweep_problems import Problem, cuts, prepare, small_problem

from rivergrad.distributed import links
from rivergrad.distributed.boundary import arrived, sent_off
from rivergrad.distributed.executor import DaskExecutor, open_executor
from rivergrad.distributed.options import ClusterOptions
from rivergrad.distributed.residence import Outcome
from rivergrad.errors import InputError
from rivergrad.estimate.series import apart, side_by_side


def test_series_go_over_the_host_in_one_bundle_for_each_worker() -> None:
    rng = np.random.default_rng(5)
    values = torch.from_numpy(rng.standard_normal((2, 4, 30)))  # (window, place, routing step)
    series: dict[Any, Any] = {("a", i): one for i, one in enumerate(apart(values))}
    series["b", 0] = rng.standard_normal((2, 30))
    exports = {("a", 0): {1}, ("a", 1): {0}, ("a", 2): {0, 1}, ("a", 3): {2}, ("b", 0): {1}}
    going = sent_off("run", 0, exports, series)
    assert set(going) == set(exports) - {("a", 1)}  # which is taken on the worker itself
    found = pickle.loads(pickle.dumps(Outcome(going, here={("a", 1): series["a", 1]})))
    assert found.here == {}
    for name, row in found.series.items():
        np.testing.assert_array_equal(arrived("run", row), series[name])
    assert found.series["a", 0].bundle is not found.series["a", 3].bundle
    # as the next piece takes them: some from its own process, some from others
    taken = [arrived("run", found.series["a", 0]), series["a", 1], arrived("run", found.series["a", 3])]
    taken[0].flags.writeable = False
    mixed = side_by_side(taken, "cpu", torch.float64)
    np.testing.assert_array_equal(mixed, values[:, [0, 1, 3]])


class Workers:
    """Answers for the workers: what the steps of `link_workers` give on each."""

    def __init__(self, opened: Any = (b"address", "1.0"), connected: str | None = None) -> None:
        self.opened, self.connected, self.closed = opened, connected, False

    def __call__(self, function: Callable[..., Any], *args: Any) -> list[Any]:
        if function is links.close_links:
            self.closed = True
        answer = {links.open_links: self.opened, links.connect_links: self.connected}.get(function)
        return [answer, answer]


def test_what_is_said_of_ucx(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "rivergrad")

    def said(workers: Workers, device: str, ucx: Any) -> str:
        caplog.clear()
        links.link_workers(workers, "run", device, ucx)
        return "\n".join(caplog.messages)

    monkeypatch.setattr(links, "find_spec", lambda name: None)
    assert said(Workers(), "cpu", "auto") == ""
    assert "by Dask (UCX is off)" in said(Workers(), "cuda", False)
    assert "by Dask (the package ucxx is not installed: " in said(Workers(), "cuda", "auto")
    with pytest.raises(InputError, match=r"compute.ucx: found true, but the package ucxx is not .*\[ucx\]"):
        said(Workers(), "cuda", True)
    monkeypatch.setattr(links, "find_spec", lambda name: name)
    assert "by UCX 1.0, from device to device" in said(Workers(), "cuda", "auto")
    for workers in (Workers("no such device"), Workers(connected="no such device")):
        assert "by Dask (UCX does not work here: no such device)" in said(workers, "cuda", "auto")
        assert workers.closed
    with pytest.raises(InputError, match=r"compute.ucx: found true, but .* no such device; expected UCX to"):
        said(Workers("no such device"), "cpu", True)


def moved(one: Problem, executor: Any, device: str = "cpu") -> dict[str, np.ndarray]:
    """Parameters after some steps, on pieces that are cut wherever they can be."""
    sweep = prepare(
        one, cuts(one.network, 60)["7 parts, basins cut"], executor, "float64", device=device
    ).sweep
    for _ in range(3):
        sweep.step(one.shared, one.windows)
    sweep.keep_best()
    return sweep.collect(one.network.n_reaches)


@pytest.mark.distributed
def test_workers_that_send_each_other_series_by_ucx() -> None:
    """Through shared memory, with no GPU."""
    pytest.importorskip("ucxx", reason="needs ucxx (rivergrad[ucx])")
    one = small_problem()
    one = replace(one, free=np.zeros_like(one.free))
    with open_executor(0) as alone:
        expected = moved(one, alone)
    with open_executor(ClusterOptions(workers=2, ucx=True)) as executor:
        assert isinstance(executor, DaskExecutor)
        found = moved(one, executor)
        sent, received = zip(*executor.everywhere(links.traffic), strict=True)
        assert sum(sent) == sum(received) > 0
    for name, value in expected.items():
        np.testing.assert_array_equal(found[name], value, err_msg=name)


def _wait_for_nothing(run: str) -> None:
    """A message that nobody sends, on links that are closed meanwhile."""
    mine = links.links_of(run, sure=True)
    mine.close()
    mine.take(links.Parcel(1 << 40 | 999_999, (1, 2, 3), "float64"))
