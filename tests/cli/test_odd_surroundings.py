"""Closed streams, little memory: commands end as they would, and nothing is printed into a file of the user's."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

COMMAND = [sys.executable, "-P", "-m", "rivergrad.cli"]
NETWORK = "reach_id,downstream_id,length_m\n" + "".join(
    f"{i},{i + 1 if i < 60 else -1},5000\n" for i in range(1, 61)
)


def ended(
    folder: Path, *words: str, closed: tuple[int, ...] = (), memory: int | None = None
) -> tuple[int, str]:
    """The exit code of a command with some streams closed, and what it said on standard error."""

    def prepare() -> None:
        if memory is not None:
            resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
        for stream in closed:
            os.close(stream)

    done = subprocess.run(
        [*COMMAND, *words],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
        preexec_fn=prepare,
    )
    return done.returncode, done.stderr


@pytest.mark.parametrize("closed", [(0,), (1,), (2,), (0, 1, 2)], ids=str)
def test_closed_streams_change_nothing(tmp_path: Path, closed: tuple[int, ...]) -> None:
    """A file that is opened while a stream is closed would get its number, and what METIS prints."""
    (tmp_path / "n.csv").write_text(NETWORK)
    whole, other = ("partition", "--network", "n.csv", "--parts", "3", "--output"), tmp_path / "other.zarr"
    assert ended(tmp_path, *whole, "whole.zarr")[0] == 0
    code, said = ended(tmp_path, *whole, other.name, closed=closed)
    assert code == 0, said
    files = sorted(path.relative_to(other) for path in other.rglob("*") if path.is_file())
    assert files
    for path in files:
        assert (other / path).read_bytes() == (tmp_path / "whole.zarr" / path).read_bytes(), path
    code, said = ended(tmp_path, "validate", "nix.yaml", closed=closed)
    assert code == 2
    assert ("nix.yaml: no such file" in said) == (2 not in closed)


def test_libraries_that_find_no_room(tmp_path: Path) -> None:
    (tmp_path / "n.csv").write_text(NETWORK)
    code, said = ended(tmp_path, "doctor", memory=300 << 20)
    assert code == 2, said
    assert "not enough memory" in said.splitlines()[-1]
