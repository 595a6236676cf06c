"""Named coefficients: every segment by its name, whatever lies before it."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rivergrad.model.layout import Coefficients, Layout

LAYOUT = Layout.of({"level": (), "trend": (2,), "none": (0,), "weight": (2, 3), "delay": ()})

shapes = st.lists(st.integers(0, 3), max_size=2).map(tuple)
layouts = st.dictionaries(st.text("abcde", min_size=1, max_size=3), shapes, max_size=6).map(Layout.of)


def some(layout: Layout) -> Coefficients:
    return layout.coefficients(np.random.default_rng(0).standard_normal(layout.size))


def test_views_by_name() -> None:
    values = np.arange(10.0)
    found = LAYOUT.coefficients(values)
    assert LAYOUT.size == 10
    assert found["level"] == 0.0
    assert found["trend"].tolist() == [1.0, 2.0]
    assert found["none"].shape == (0,)
    assert found["weight"].tolist() == [[3.0, 4.0, 5.0], [6.0, 7.0, 8.0]]
    assert found["delay"] == 9.0
    assert found.get("delay") == 9.0
    assert found.get("volume") is None
    assert "volume" not in found
    found["weight"][1, 2] = -1.0  # a view, no copy
    assert values[8] == -1.0


@settings(max_examples=100, deadline=None)
@given(layouts)
def test_segments_are_the_vector_in_order(layout: Layout) -> None:
    found = some(layout)
    parts = [np.ravel(found[name]) for name in layout.names]
    np.testing.assert_array_equal(np.concatenate([np.zeros(0), *parts]), found.values)
    again = layout.coefficients(layout.fill({name: found[name] for name in layout.names}))
    np.testing.assert_array_equal(again.values, found.values)
    masks = [layout.mask(name) for name in layout.names]
    np.testing.assert_array_equal(np.sum([np.zeros(layout.size), *masks], axis=0), 1.0)
    for name, mask in zip(layout.names, masks, strict=True):
        np.testing.assert_array_equal(found.values[mask], np.ravel(found[name]))
    assert pickle.loads(pickle.dumps(layout)) == layout


@settings(max_examples=100, deadline=None)
@given(layouts, layouts, st.data())
def test_join_and_part(one: Layout, other: Layout, data: st.DataObject) -> None:
    other = other.without(*one.names)
    both = some(one).join(some(other))
    assert both.layout.names == one.names + other.names
    for layout in (one, other):
        np.testing.assert_array_equal(both.part(layout).values, some(layout).values)
    chosen = data.draw(st.lists(st.sampled_from(both.layout.names), unique=True)) if both.layout.names else []
    part = both.part(both.layout.only(*chosen))
    assert set(part.layout.names) == set(chosen)
    for name in chosen:
        np.testing.assert_array_equal(part[name], both[name])


def test_tensors_keep_their_graph() -> None:
    leaf = torch.arange(10.0, dtype=torch.float64).requires_grad_()
    found = LAYOUT.coefficients(leaf)
    (found["level"] + found["weight"].sum() + 2 * found["delay"]).backward()
    np.testing.assert_array_equal(leaf.grad, [1, 0, 0, 1, 1, 1, 1, 1, 1, 2])


def test_replacing_makes_a_copy() -> None:
    before = some(LAYOUT)
    kept = before.values.copy()
    after = before.replace({"trend": [3.0, 4.0], "weight": np.ones((2, 3)), "level": 1.0})
    np.testing.assert_array_equal(before.values, kept)
    assert after["trend"].tolist() == [3.0, 4.0]
    assert after["level"] == 1.0
    assert (after["weight"] == 1).all()
    assert after["delay"] == before["delay"]
    with pytest.raises(KeyError):
        before.replace({"volume": 1.0})


def test_a_number_or_an_array_for_each_segment() -> None:
    found = LAYOUT.fill({"trend": [0.1, 0.2], "weight": 0.5, "volume": 7.0}, default=2.0)
    assert found.tolist() == [2.0, 0.1, 0.2, *[0.5] * 6, 2.0]


def test_what_does_not_fit() -> None:
    with pytest.raises(
        ValueError, match=r"Must have 10 coefficients, we instead got an array of shape \(9,\)"
    ):
        LAYOUT.coefficients(np.zeros(9))
    with pytest.raises(ValueError, match="different names"):
        LAYOUT.join(Layout.of({"level": ()}))
    with pytest.raises(ValueError, match="broadcast"):
        some(LAYOUT).replace({"trend": [1.0, 2.0, 3.0]})
