"""Clusters that several tests use."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from rivergrad.cluster.executor import Executor, open_executor


@pytest.fixture(scope="module")
def one_worker() -> Iterator[Executor]:
    with open_executor(1) as executor:
        yield executor


@pytest.fixture(scope="module")
def two_workers() -> Iterator[Executor]:
    with open_executor(2) as executor:
        yield executor
