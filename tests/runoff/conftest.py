"""Makes the helper modules of this folder importable, whatever pytest's import mode."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(autouse=True)
def _same_weights() -> None:
    torch.manual_seed(0)
