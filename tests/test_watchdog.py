"""A file whose opening never ends: a command ends with a line, and a session of Python waits."""

from __future__ import annotations

import subprocess
import sys

import pytest

OPEN = """
import sys, time
from pathlib import Path
from rivergrad import watchdog
from rivergrad.cli.guard import give_up
watchdog.SECONDS = 0.3
if {ends}:
    watchdog.end_with(give_up)
began = time.process_time()
with watchdog.opening(Path("p.nc")):
    if {computes}:
        while time.process_time() - began < 3.0:  # as a library that loops
            pass
    else:
        time.sleep(1.5)  # as a slow disk
"""


@pytest.mark.parametrize(("ends", "computes", "code"), [(True, True, 2), (True, False, 0), (False, True, 0)])
def test_only_a_command_that_computes_too_long_is_ended(ends: bool, computes: bool, code: int) -> None:
    script = OPEN.format(ends=ends, computes=computes)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stderr
    if code:
        assert done.stderr.startswith("rivergrad: error: p.nc: is not open after 0.3 s of computing")
        assert len(done.stderr.splitlines()) == 1
