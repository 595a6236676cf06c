"""A script that starts workers outside of a guard ends with a line, where it would start itself for ever."""

from __future__ import annotations

import multiprocessing
import subprocess
import sys
from pathlib import Path

import pytest

from rivergrad.cluster.executor import open_executor
from rivergrad.cluster.mainguard import _is_guarded, require_guard
from rivergrad.cluster.options import ClusterOptions
from rivergrad.errors import InputError

WORKFLOW = """\
name: basin
output: run
world: {spec: {seed: 1, reaches: 60, years: 1, gauge_fraction: 0.1, start: 2001-01-01}}
time: {routing_step: 1d, warmup: 20d, train: [2001-01-01, 2001-12-30]}
compute: {kind: local, workers: 1, engine: closure}
estimate: {steps: 1, window: 90d}
uncertainty: {enabled: false}
"""
RUN = """\
from rivergrad.config.load import load_workflow
from rivergrad.run.workflow import run_workflow

def go():
    print(run_workflow(load_workflow("w.yaml"), report=False, show_scores=False))

"""


def execute(folder: Path, script: str) -> subprocess.CompletedProcess[str]:
    (folder / "w.yaml").write_text(WORKFLOW)
    (folder / "mine.py").write_text(script)
    return subprocess.run(
        [sys.executable, "mine.py"], cwd=folder, capture_output=True, text=True, timeout=240, check=False
    )


def test_a_script_without_a_guard_ends_with_a_line(tmp_path: Path) -> None:
    found = execute(tmp_path, RUN + "go()\n")
    assert found.returncode == 1
    last = found.stderr.splitlines()[-1]
    assert "mine.py: line 7 starts worker processes" in last
    assert '`if __name__ == "__main__":`' in last
    assert found.stderr.count("Traceback") == 1  # of the script itself, not of workers
    assert not (tmp_path / "run").exists()


@pytest.mark.distributed
def test_a_script_with_a_guard_runs(tmp_path: Path) -> None:
    found = execute(tmp_path, RUN + 'if __name__ == "__main__":\n    go()\n')
    assert found.returncode == 0, found.stderr
    assert found.stdout.splitlines()[-1] == "run"


def test_a_worker_that_imports_such_a_script_ends_in_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the script can't be judged, its workers still do not start workers."""
    monkeypatch.setattr(multiprocessing.current_process(), "_inheriting", True, raising=False)
    with pytest.raises(SystemExit):
        require_guard(ClusterOptions("local", 1))
    require_guard(ClusterOptions("local", 0))
    require_guard(ClusterOptions("serial", 4))
    require_guard(ClusterOptions("slurm", 4))  # whose workers are jobs


@pytest.mark.parametrize("kind", ["local", "cuda", "mpi"])
def test_interactive_use_is_no_script(kind: str) -> None:
    require_guard(ClusterOptions(kind, 2))  # as here: the main script is that of pytest


def test_more_workers_than_a_machine_can_have() -> None:
    message = r"compute\.workers: found 1000000000; expected at most 4096"
    with pytest.raises(InputError, match=message), open_executor(10**9):
        pass


@pytest.mark.parametrize(
    ("script", "line", "guarded"),
    [
        ("x()\n", 1, False),
        ('if __name__ == "__main__":\n    x()\n', 2, True),
        ('if "__main__" == __name__:\n    x()\n', 2, True),
        ("import multiprocessing as m\nif m.parent_process() is None:\n    x()\n", 3, True),
        ('try:\n    if __name__ == "__main__":\n        x()\nfinally:\n    pass\n', 3, True),
        ('if __name__ != "__main__":\n    raise SystemExit\nx()\n', 3, True),
        ('if __name__ == "__main__":\n    pass\nx()\n', 3, False),
        ("for i in range(3):\n    x()\n", 2, False),
        ("if 1:\n    x()\n", 2, False),
        ("not python at all (\n", 1, True),
    ],
)
def test_what_a_guard_is(tmp_path: Path, script: str, line: int, guarded: bool) -> None:
    path = tmp_path / "s.py"
    path.write_text(script)
    assert _is_guarded(path, line) is guarded
