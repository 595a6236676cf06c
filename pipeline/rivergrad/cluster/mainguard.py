"""Worker processes import the main script again: one that opens workers outside of a guard would do so for ever.

Python starts a worker as a new process that imports `__main__` under another name. A script that calls rivergrad at
its top level would call it in every worker again. It has to stand under `if __name__ == "__main__":`.
"""

from __future__ import annotations

import ast
import multiprocessing
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

from rivergrad.cluster.options import ClusterOptions
from rivergrad.errors import InputError

_GUARDS = ("__name__", "parent_process", "current_process", "main_process")


def require_guard(options: ClusterOptions) -> None:
    """Raise where workers would run the script again that opens them; in such a worker, end it in silence.

    Raises:
        InputError: the main script calls this outside of `if __name__ == "__main__":`.
    """
    if options.serial or options.facts.get("own_jobs"):  # else this very process starts the workers
        return
    if getattr(multiprocessing.current_process(), "_inheriting", False):
        # this is a worker that imports the script; whoever started it says what is wrong
        sys.exit(1)
    main = sys.modules.get("__main__")
    path = getattr(main, "__file__", None)
    frame = None if main is None or path is None else _top_level(vars(main), path)
    if path is None or frame is None:  # interactive: there is no script to import
        return
    if not _is_guarded(Path(path), frame.f_lineno):
        raise InputError(
            f"line {frame.f_lineno} starts worker processes, which import this script and would start it again; "
            'expected that line under `if __name__ == "__main__":`, or compute.kind serial',
            where=path,
        )


def _top_level(names: dict[str, object], path: str) -> FrameType | None:
    """The frame of the main script's own lines, if this thread was called from them."""
    frame: FrameType | None = sys._getframe()
    while frame is not None:
        code = frame.f_code
        if code.co_name == "<module>" and frame.f_globals is names and _same(code.co_filename, path):
            return frame
        frame = frame.f_back
    return None


def _same(one: str, other: str) -> bool:
    return os.path.abspath(one) == os.path.abspath(other)


def _is_guarded(path: Path, line: int) -> bool:
    """Whether a line of a script stands under a condition that asks whether this is the main process."""
    try:
        tree = ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError):  # no script in Python: whatever it is, it is not ours to judge
        return True
    return any(
        isinstance(node, ast.If) and any(word in ast.unparse(node.test) for word in _GUARDS)
        for node in _around(tree, line)
    ) or _leaves_before(tree, line)


def _around(tree: ast.Module, line: int) -> Iterator[ast.stmt]:
    """The statements that a line stands in."""
    for node in ast.walk(tree):
        if isinstance(node, ast.stmt) and node.lineno <= line <= (node.end_lineno or node.lineno):
            yield node


def _leaves_before(tree: ast.Module, line: int) -> bool:
    """Whether `if __name__ != "__main__": raise SystemExit` or the like stands above."""
    return any(
        isinstance(node, ast.If)
        and (node.end_lineno or node.lineno) < line
        and any(word in ast.unparse(node.test) for word in _GUARDS)
        and isinstance(node.body[-1], ast.Raise | ast.Expr)
        and any(word in ast.unparse(node.body[-1]) for word in ("exit", "Exit"))
        for node in tree.body
    )
