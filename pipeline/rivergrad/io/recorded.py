"""What a run recorded of a file that it wrote, and whether the file is still so when it is read.

A run directory's `written.jsonl` has a line for each file with its size and digest; see `rivergrad.rundir.written`.
A result of another run under the same name, a chunk that is gone or a file that was changed reads well and says
something else: the record alone can tell.
"""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path
from typing import Any

from rivergrad.errors import InputError
from rivergrad.io.digest import Digest, input_digest, prefix_digest, text_digest

RECORD = "written.jsonl"
KEPT = 2
"""Digests of a name that count, the newest: a run that is killed may leave what was there before."""
_log = logging.getLogger(__name__)


def refuse_changed(path: Path) -> None:
    """Refuse a file or store of a run directory that is not what the run wrote.

    A path that no record beside it names, and a record that is damaged, say nothing.

    Raises:
        InputError: the record has another digest of it.
    """
    if _is_changed(path):
        raise InputError(
            f"{path}: is not as the run wrote it, by the record {RECORD} beside it; expected it unchanged. Move it "
            "away and give the run again to have it written anew, or copy it elsewhere to read it as it is"
        )


def warn_of_change(path: Path) -> None:
    """Warn of a table of a run directory that is not what the run wrote: somebody may have sorted it."""
    if _is_changed(path):
        _log.warning("%s is not as the run wrote it, by the record %s beside it", path, RECORD)


def line_of(content: dict[str, Any]) -> bytes:
    """A line of a record: JSON that ends in a checksum of its own."""
    text = json.dumps(content, ensure_ascii=True)
    return f'{text[:-1]}, "check": "{text_digest(text)[:16]}"}}\n'.encode()


def read_line(line: str) -> dict[str, Any] | None:
    """What a line of a record says; None where it is damaged."""
    head, comma, tail = line.rpartition(', "check": ')
    text = head + "}"
    if not comma or tail != f'"{text_digest(text)[:16]}"}}':
        return None
    found = json.loads(text)
    return found if isinstance(found, dict) else None


def _is_changed(path: Path) -> bool:
    path = Path(os.path.abspath(path))
    try:
        found = _recorded(path.parent / RECORD, path.name)
        return bool(found) and not any(_agrees(path, one) for one in found)
    except (OSError, ValueError, KeyError):  # a record that cannot be read says nothing
        return False


def _recorded(record: Path, name: str) -> list[Digest]:
    """The newest digests of a name in a record."""
    if not record.is_file():
        return []
    text = record.read_text(encoding="utf-8", errors="replace")
    mark = json.dumps(name)
    lines = [read_line(line) for line in text.splitlines() if mark in line]
    return [
        Digest(str(line["kind"]), int(line["size"]), str(line["digest"]))
        for line in lines
        if line is not None and line.get("name") == name and line.get("kind") != "link" and "digest" in line
    ][-KEPT:]


def _agrees(path: Path, recorded: Digest) -> bool:
    if recorded.kind == "grown":  # begins as its digest says
        return recorded.size <= path.stat().st_size and prefix_digest(path, recorded.size) == recorded.value
    found = input_digest(path)
    return (found.size, found.value) == (recorded.size, recorded.value)
