"""A part of every family of mutations ends as its oracle expects; all of them: `python -m tests.fuzz`."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from tests.fuzz.registry import Mutation, all_mutations, subset
from tests.fuzz.runner import carry_out

SHARE, LEAST = 0.02, 8


@pytest.mark.parametrize("mutation", subset(SHARE, LEAST), ids=lambda one: one.name)
def test_mutation(mutation: Mutation, tmp_path: Path) -> None:
    problem, _ = carry_out(mutation, tmp_path)
    assert problem is None, f"{mutation.name}: {problem}"


def test_there_are_enough() -> None:
    assert len(all_mutations()) >= 500
    assert min(Counter(one.family for one in all_mutations()).values()) >= 6
