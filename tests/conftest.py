"""Fixtures every test may use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

if not torch.cuda.is_available():
    os.environ.setdefault(
        "TRITON_INTERPRET", "1"
    )  # read when the kernels are imported: they run on the CPU then

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The real cases, which stay out of the project: `RIVERGRAD_DATA`, by default `../shared/data`."""
    folder = Path(os.environ.get("RIVERGRAD_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"real cases not found at {folder}: set RIVERGRAD_DATA to their folder")
    return folder
