"""The examples of a Markdown page: code blocks carried out one after the other, as a reader would."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

ROOT = Path(__file__).resolve().parents[1]

_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_FILE = re.compile(r"`([\w-]+\.(?:csv|yaml))`")


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, its text, the prose before it, and the line it begins on."""

    language: str
    text: str
    before: str
    line: int


def blocks(page: Path) -> list[Block]:
    """The fenced blocks of a page."""
    text, at, found = page.read_text(encoding="utf-8"), 0, []
    for match in _BLOCK.finditer(text):
        line = text.count("\n", 0, match.start()) + 1
        found.append(Block(match[1], match[2], text[at : match.start()], line))
        at = match.end()
    return found


def prose(page: Path) -> str:
    """A page without its fenced blocks."""
    return _BLOCK.sub("", page.read_text(encoding="utf-8"))


def carry_out(page: Path) -> dict[str, str]:
    """Carry out a page in the current directory.

    `python` blocks share their names, as in one session; `csv` and `yaml` blocks are written to the file that
    the prose before them names; of `console` blocks the lines that call rivergrad are run.

    Returns:
        What each command printed, by command.
    """
    names: dict[str, Any] = {"__name__": "__example__"}
    printed = {}
    for block in blocks(page):
        if block.language == "python":
            exec(compile("\n" * block.line + block.text, str(page), "exec"), names)
        elif block.language in ("csv", "yaml"):
            file = [name for name in _FILE.findall(block.before) if name.endswith(block.language)][-1]
            Path(file).write_text(block.text, encoding="utf-8")
        elif block.language == "console":
            for line in block.text.splitlines():
                if line.startswith("rivergrad "):
                    printed[line] = run(line)
        else:
            raise AssertionError(f"{page.name}:{block.line}: nothing knows how to check {block.language!r}")
    return printed


def run(line: str) -> str:
    """Run a `rivergrad` command in this process; what it printed to standard output."""
    from rivergrad.cli import app

    result = CliRunner().invoke(app, shlex.split(line)[1:])
    assert result.exit_code == 0, (line, result.output, result.exception)
    return result.stdout
