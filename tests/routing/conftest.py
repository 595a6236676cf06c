"""Fixtures of the routing tests; makes the helper modules of this folder importable."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent))  # forests.py and equations.py, whatever pytest's import mode


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> Iterator[None]:
    """The problems here are tiny: threads only wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True)
def _clean_registry() -> Iterator[None]:
    """A test that registers a scheme leaves no trace of it."""
    from rivergrad import registry

    with registry.forgetting():
        yield
