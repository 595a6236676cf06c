"""The command line: `rivergrad <command>`. Commands import what they need when they are called."""

from __future__ import annotations

from rivergrad.cli.app import app, main

__all__ = ["app", "main"]
