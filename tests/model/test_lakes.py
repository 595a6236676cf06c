"""Which reaches are lakes, their prior, and deviations that stand apart from those of channels."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from rivercut.network import RiverNetwork
from rivergrad.errors import InputError
from rivergrad.model.lakes import FARTHEST, has_lakes, lakes_of, marked, without_lakes
from rivergrad.model.smoothing import Neighbours, river_penalty, ties_of
from rivergrad.model.treeprior import TreePrior
from rivergrad.routing.pieces import Piece

DAY = 86400.0


def network(length: list[float] | None = None, **attributes: Any) -> RiverNetwork:
    """1 -> 2 -> 3 -> 5 <- 4."""
    return RiverNetwork.from_ids(
        [1, 2, 3, 4, 5],
        [2, 3, 5, 5, -1],
        length or [1e3] * 5,
        {k: np.array(v) for k, v in attributes.items()},
    )


def test_lakes_are_where_any_attribute_says_so() -> None:
    nan = np.nan
    net = network(
        is_lake=[0, 1, nan, 0, 0], lake_area_m2=[nan, nan, 4e6, 0, nan], lake_volume=[5.0, 0, nan, nan, nan]
    )
    assert marked(net).tolist() == [True, True, True, False, False]
    assert not marked(network(slope=[1.0] * 5)).any()
    assert has_lakes(net, "auto")
    assert not has_lakes(net, "none")
    assert has_lakes(network([1e3, 0, 1e3, 1e3, 1e3]), "none")
    assert lakes_of(network(), "auto", None, DAY, None) is None


def test_residence_times_are_volume_over_mean_flow() -> None:
    """From the volume, from the area by its law, else the default; so also without a flow."""
    net = network(
        is_lake=[1, 1, 1, 1, 0],
        lake_volume_m3=[2e6, np.nan, 0.0, 2e6, np.nan],
        lake_area_m2=[1e6] * 2 + [0, 1e6, 0],
    )
    flow = np.array([2.0, 4.0, 8.0, 0.0, 9.0])
    found = lakes_of(net, "auto", flow, 30 * DAY, None)
    assert found is not None
    by_area = 10 ** (1.204 * 6 - 0.629) / 4.0
    np.testing.assert_allclose(found.time[:4], [1e6, by_area, 30 * DAY, 30 * DAY])
    assert found.sd[:4].tolist() == [1.0, 1.5, 2.0, 2.0]
    assert np.isnan(found.time[4])
    assert found.counts() == {"volume": 1, "area": 1, "default": 2, "zero length": 0}
    blind = lakes_of(net, "auto", None, 30 * DAY, 0.7)
    assert blind is not None
    assert blind.time[:4].tolist() == [30 * DAY] * 4
    assert blind.sd[:4].tolist() == [0.7] * 4


def test_reaches_of_zero_length_stand_apart_without_a_residence_time() -> None:
    found = lakes_of(network([1e3, 0, 1e3, 0, 1e3], is_lake=[0, 0, 0, 1, 0]), "auto", None, DAY, None)
    assert found is not None
    np.testing.assert_array_equal(found.time, [np.nan, 0, np.nan, DAY, np.nan])
    assert found.stored.tolist() == [False, False, False, True, False]
    assert found.apart.tolist() == [False, True, False, True, False]
    none = lakes_of(network([1e3, 0, 1e3, 0, 1e3], is_lake=[0, 0, 0, 1, 0]), "none", None, DAY, None)
    assert none is not None
    assert not none.stored.any()


@pytest.mark.parametrize(
    ("attributes", "said"),
    [
        (
            {"lake_volume_m3": [0, -2.0, 0, 0, 0]},
            "attribute lake_volume_m3 of reach ids 2 is -2; expected 0 or more",
        ),
        ({"lake_area": [0, 0, 0, -1.0, 0]}, "attribute lake_area of reach ids 4 is -1"),
        ({"is_lake": [0, 0, 0, 0, 1]}, "lakes of reach ids 5 have no outlet: nothing is downstream"),
    ],
)
def test_bad_lakes_end_in_a_line(attributes: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        lakes_of(network(**attributes), "auto", None, DAY, None)


def test_terminal_lakes_may_end_a_river() -> None:
    found = lakes_of(network(is_lake=[0, 0, 0, 0, 1]), "terminal", None, DAY, None)
    assert found is not None
    assert found.stored.tolist() == [False] * 4 + [True]


def test_residence_follows_its_deviation_within_bounds() -> None:
    found = lakes_of(network([1e3, 0, 1e3, 1e3, 1e3], is_lake=[1, 0, 1, 0, 0]), "auto", None, DAY, None)
    assert found is not None
    u = torch.tensor([0.3, 9.0, 1e6, 2.0, -1.0], dtype=torch.float64, requires_grad=True)
    time = found.residence(u)
    assert float(time[0].detach() / DAY) == pytest.approx(np.exp(0.3), rel=1e-3)
    assert float(time[2].detach() / DAY) == pytest.approx(np.exp(FARTHEST))
    assert float(time[1].detach()) == 0.0
    assert torch.isnan(time[3:]).all()
    (slope,) = torch.autograd.grad(time[0] + time[1], u)
    assert slope.isfinite().all()
    assert (slope != 0).tolist() == [True, False, False, False, False]


def test_features_leave_lakes_out() -> None:
    found = lakes_of(network(is_lake=[0, 1, 0, 0, 0]), "auto", None, DAY, None)
    values = without_lakes({"slope": np.array([1, 2, 3, 4, 5])}, found)["slope"]
    np.testing.assert_array_equal(values, [1, np.nan, 3, 4, 5])


def dense(prior: TreePrior) -> np.ndarray:
    f, n = prior.shape
    return np.stack([prior.precision(one.reshape(f, n)).ravel() for one in np.eye(f * n)])


def test_reaches_that_stand_apart_have_a_prior_of_their_own() -> None:
    """Against the dense precision: lakes are independent, and channels above and below them are not tied."""
    net = network()
    own = np.array([np.nan, 1.5, np.nan, np.nan, np.nan])
    prior = TreePrior(net.downstream, net.order, np.array([0.4, 0.2]), np.array([3.0, 1.0]), own)
    q = dense(prior)
    assert q[1, 1] == pytest.approx(1 / 1.5**2)
    assert np.count_nonzero(q[1]) == 1
    assert q[0, 2] == 0.0  # not tied through the lake
    assert np.count_nonzero(q[0]) == 1
    covariance = np.linalg.inv(q)
    np.testing.assert_allclose(prior.variance().ravel(), np.diag(covariance), rtol=1e-12)
    root = np.stack([prior.colour(one.reshape(2, 5)).ravel() for one in np.eye(10)], axis=1)
    np.testing.assert_allclose(root @ root.T, covariance, atol=1e-12)
    u = np.random.default_rng(0).standard_normal((2, 5))
    np.testing.assert_allclose(prior.colour(prior.whiten(u)), u, atol=1e-12)
    white = np.stack([prior.colour_transposed(one.reshape(2, 5)).ravel() for one in np.eye(10)], axis=1)
    np.testing.assert_allclose(white, root.T, atol=1e-12)
    other = u.copy()
    other[0, 1] = 99.0  # a lake's deviation says nothing of the scale of others
    assert prior.energy(other)[0] == prior.energy(u)[0]
    again = prior.with_tau([0.8, 0.2])
    assert dense(again)[1, 1] == q[1, 1]
    assert dense(again)[3, 3] == pytest.approx(q[3, 3] / 4)


def test_the_penalty_along_the_river_passes_lakes_by() -> None:
    """The sum over two pieces is that of the whole network without the edges of the lake, across the cut too."""
    apart = np.array([False, True, False, False, False])
    free = torch.from_numpy(np.random.default_rng(1).standard_normal((1, 5)))
    above = Piece(0, 0, np.array([0, 1]), np.array([1, -1]), np.zeros(0, int), (), np.array([1]))
    below = Piece(1, 0, np.array([2, 3, 4]), np.array([2, 2, -1]), np.array([0]), ((0, 0),), np.zeros(0, int))
    pieces = (above, below)
    edge = {
        0: Neighbours(np.zeros((1, 0)), free[:, 2:3].numpy()),
        1: Neighbours(free[:, 1:2].numpy(), np.zeros((1, 0))),
    }
    total = 0.0
    for piece in pieces:
        ties = ties_of(piece, pieces, apart)
        mine, theirs = river_penalty(free[:, piece.reaches], piece, edge[piece.number], ties)
        assert float(theirs) == 0.0
        total += float(mine)
    assert total == pytest.approx(float((free[0, 2] - free[0, 4]) ** 2 + (free[0, 3] - free[0, 4]) ** 2))
    assert ties_of(below, pieces, ~apart & False).inlets.tolist() == [True]
