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
from sweep_problems import moved, small_problem

from rivergrad.cluster import links
from rivergrad.cluster.boundary import arrived, pack, unpack
from rivergrad.cluster.executor import DaskExecutor, open_executor
from rivergrad.cluster.options import ClusterOptions
from rivergrad.cluster.residence import Outcome
from rivergrad.errors import InputError
from rivergrad.pieces.series import apart, side_by_side


def test_series_are_packed_and_unpacked() -> None:
    rng = np.random.default_rng(5)
    values = torch.from_numpy(rng.standard_normal((2, 3, 30)))  # (window, place, routing step)
    other = rng.standard_normal((2, 30))
    series = [*apart(values[:, :2]), other, *apart(values[:, 2:])]
    bundles = pickle.loads(pickle.dumps(pack("run", "tcp://there", series)))
    assert [bundle.places for bundle in bundles] == [(0, 1, 3), (2,)]
    found = [arrived("run", value) for value in unpack(bundles)]
    for mine, theirs in zip(series, found, strict=True):
        np.testing.assert_array_equal(mine, theirs)
    outcome = pickle.loads(pickle.dumps(Outcome({("a", 0): series[0], ("b", 0): other})))
    assert isinstance(outcome.series["a", 0], np.ndarray)
    np.testing.assert_array_equal(outcome.series["a", 0], series[0])
    # as the next piece takes them: some from its own process, some from others, which must not be written to
    found[0].flags.writeable = False
    mixed = side_by_side([found[0], series[1], found[3]], "cpu", torch.float64)
    np.testing.assert_array_equal(mixed, values)


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
        links.link_workers(workers, "run", ["tcp://a", "tcp://b"], device, ucx)
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
