"""Boundary series that go to another worker: packed, sent, unpacked."""

from __future__ import annotations

import pickle

import numpy as np
import torch

from rivergrad.cluster.boundary import pack, unpack
from rivergrad.cluster.residence import Outcome
from rivergrad.pieces.series import apart, side_by_side


def test_series_are_packed_and_unpacked() -> None:
    rng = np.random.default_rng(5)
    values = torch.from_numpy(rng.standard_normal((2, 3, 30)))  # (window, place, routing step)
    other = rng.standard_normal((2, 30))
    series = [*apart(values[:, :2]), other, *apart(values[:, 2:])]
    bundles = pickle.loads(pickle.dumps(pack(series)))
    assert [bundle.places for bundle in bundles] == [(0, 1, 3), (2,)]
    found = unpack(bundles)
    for mine, theirs in zip(series, found, strict=True):
        np.testing.assert_array_equal(mine, theirs)
    outcome = pickle.loads(pickle.dumps(Outcome({("a", 0): series[0], ("b", 0): other})))
    assert isinstance(outcome.series["a", 0], np.ndarray)
    np.testing.assert_array_equal(outcome.series["a", 0], series[0])
    # as the next piece takes them: some from its own process, some from others, which must not be written to
    found[0].flags.writeable = False
    mixed = side_by_side([found[0], series[1], found[3]], "cpu", torch.float64)
    np.testing.assert_array_equal(mixed, values)
