"""The import direction of DESIGN.md section 1 holds, and the linter sees it when it does not."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

VIOLATIONS = {
    "rivergrad/io/planted.py": "import rivergrad.run",
    "rivergrad/routing/planted.py": "def late():\n    import rivergrad.io",
    "rivergrad/runoff/planted.py": "import rivergrad.routing",
    "rivergrad/model/planted.py": "import rivergrad.inference",
    "rivergrad/inference/planted.py": "import rivergrad.cluster",
    "rivergrad/pieces/planted.py": "import rivergrad.run",
    "rivergrad/rundir/planted.py": "import rivergrad.config",
    "rivergrad/run/planted.py": "import dask.array",
    "rivergrad/io/planted_too.py": "import distributed",
    "rivergrad/report/planted.py": "import xarray",
    "rivergrad/report/planted_too.py": "import rivergrad.pieces",
    "rivercut/planted.py": "import torch",
    "rivercut/planted_too.py": "import zarr",
    "rivercut/planted_three.py": "import rivergrad.errors",
}


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    """Run import-linter on the packages below a folder, wherever rivergrad is installed."""
    roots = os.pathsep.join(str(folder / name) for name in ("pipeline", "partitioning"))
    return subprocess.run(
        [
            sys.executable,
            "-c",
            "from importlinter.cli import lint_imports_command; lint_imports_command()",
            "--config",
            str(ROOT / "pyproject.toml"),
            "--no-cache",
        ],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": roots, "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("copy")
    for name in ("pipeline", "partitioning"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def test_imports_go_one_way(copy: Path) -> None:
    result = lint(copy)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "0 broken" in result.stdout


@pytest.mark.parametrize("path", VIOLATIONS)
def test_the_linter_catches_a_violation(copy: Path, path: str) -> None:
    planted = copy / ("partitioning" if path.startswith("rivercut") else "pipeline") / path
    planted.write_text(VIOLATIONS[path] + "\n")
    try:
        result = lint(copy)
    finally:
        planted.unlink()
    module = path.removesuffix(".py").replace("/", ".")
    assert result.returncode == 1, result.stdout + result.stderr
    assert f"{module} -> " in result.stdout
