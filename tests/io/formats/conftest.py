"""The samples of formats, which stay out of the project, and what is known of each."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(scope="session")
def samples(data_dir: Path) -> Path:
    """The folder `formats` of the real cases."""
    folder = data_dir / "formats"
    if not folder.is_dir():
        pytest.skip(f"no samples of formats at {folder}: set RIVERGRAD_DATA to the folder that holds them")
    return folder


@pytest.fixture(scope="session")
def facts(samples: Path) -> dict[str, Any]:
    """Right answers by folder, computed with other libraries."""
    found: dict[str, Any] = json.loads((samples / "facts.json").read_text(encoding="utf-8"))
    return found
