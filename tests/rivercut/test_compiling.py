"""Kernels compile where nothing can be written beside their source, nor in the home."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

KERNEL = """
from rivercut.compiling import njit

@njit(cache=True)
def twice(x):
    return 2 * x
"""


def compute(tmp_path: Path, temporary: str) -> subprocess.CompletedProcess[str]:
    """Import and call a kernel whose folder and home cannot hold a cache."""
    source = tmp_path / "source"
    source.mkdir(exist_ok=True)
    (source / "kernel.py").write_text(KERNEL)
    (source / "__pycache__").touch()  # not a folder: even root cannot write below it
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("NUMBA", "XDG"))}
    environment |= {"HOME": "/proc/none", "TMPDIR": temporary, "PYTHONDONTWRITEBYTECODE": "1"}
    environment["PYTHONPATH"] = os.pathsep.join([str(source), os.environ.get("PYTHONPATH", "")])
    code = "import kernel, os; print(kernel.twice(21), os.environ.get('NUMBA_CACHE_DIR'))"
    return subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=120
    )


def test_a_kernel_without_a_place_is_kept_in_a_private_folder(tmp_path: Path) -> None:
    found = compute(tmp_path, str(tmp_path))
    assert found.returncode == 0, found.stderr
    folder = tmp_path / f"rivergrad-kernels-{os.getuid()}"
    assert found.stdout.split() == ["42", str(folder)]
    assert found.stderr.count("\n") == 1
    assert "NUMBA_CACHE_DIR" in found.stderr
    assert list(folder.rglob("*.nbc"))


def test_a_folder_that_others_can_write_to_is_not_taken(tmp_path: Path) -> None:
    folder = tmp_path / f"rivergrad-kernels-{os.getuid()}"
    folder.mkdir()
    folder.chmod(0o777)  # whoever writes there could have us run what they like
    found = compute(tmp_path, str(tmp_path))
    assert found.stdout.startswith("42 "), found.stderr
    assert found.stdout.split()[1] != str(folder)
    assert not list(folder.iterdir())


def test_a_kernel_compiles_where_no_folder_at_all_can_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    import tempfile

    from rivercut import compiling

    monkeypatch.setattr(tempfile, "tempdir", "/proc/none")
    assert compiling.private_folder("kernels") is None

    compiling._move_cache.cache_clear()
    monkeypatch.setattr(compiling, "_has_no_place", lambda error: True)

    def refuse(**options: object) -> object:
        if options["cache"]:
            raise RuntimeError("cannot cache function")
        return lambda function: function

    monkeypatch.setattr(compiling.numba, "njit", refuse)
    kernel = compiling.njit(cache=True)(lambda x: 2 * x)
    assert kernel(21) == 42
    assert "compiled anew each time" in caplog.text
    compiling._move_cache.cache_clear()


def test_a_library_gets_a_place_only_where_its_own_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import tempfile

    from rivercut.compiling import give_place

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("SOME_CACHE_DIR", raising=False)
    give_place("SOME_CACHE_DIR", ".some/cache")
    assert "SOME_CACHE_DIR" not in os.environ
    monkeypatch.setenv("HOME", "/proc/none")
    monkeypatch.setenv("SOME_CACHE_DIR", "")
    give_place("SOME_CACHE_DIR", ".some/cache")
    assert os.environ["SOME_CACHE_DIR"] == str(tmp_path / f"rivergrad-some_cache_dir-{os.getuid()}")
