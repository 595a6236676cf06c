"""The command line: `rivergrad <command>`. Commands import what they need when they are called."""

from __future__ import annotations

import os

# Threads of OpenMP that wait for each other spin by default, which on a busy machine takes the time of those they wait
# for. The library reads this when torch loads it; workers inherit it.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from rivergrad.cli.app import app, main

__all__ = ["app", "main"]
