"""Clusters that several tests use; makes the helper modules of this folder importable."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from rivergrad.cluster.executor import Executor, open_executor

sys.path.insert(0, str(Path(__file__).parent))  # sweep_problems.py, whatever pytest's import mode


@pytest.fixture(scope="module")
def one_worker() -> Iterator[Executor]:
    with open_executor(1) as executor:
        yield executor


@pytest.fixture(scope="module")
def two_workers() -> Iterator[Executor]:
    with open_executor(2) as executor:
        yield executor
