"""Carries a mutation out through the command line, in this process or in one of its own, and judges how it ended."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import pickle
import re
import resource
import signal
import stat
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from tests.fuzz.registry import Mutation

LINES, CHARACTERS = 2, 300
"""The most that a message of exit 2 has."""
MARK = "rivergrad: error: "
MEMORY = 3 << 30  # bytes that a small case may take more than what was there before
_LIBRARY_WARNING = re.compile(r"^\S+:\d+: \w*Warning: .*", re.MULTILINE)


class Hang(BaseException):
    """The command has not ended in its time."""


@dataclass(frozen=True)
class Outcome:
    """How a command ended: `crash` is the exception that left it, or "hangs"."""

    code: int | None
    stdout: str
    stderr: str
    seconds: float
    crash: str | None = None


def carry_out(mutation: Mutation, folder: Path) -> tuple[str | None, Outcome]:
    """Prepare a mutation in an empty folder, run its command there and judge.

    Returns:
        What is wrong (None: nothing), and how the command ended.
    """
    with contextlib.chdir(folder):
        mutation.prepare(folder)
        before = snapshot(folder)
        run = {"here": _in_process, "fork": _forked, "process": _own_process}[mutation.where]
        outcome = run(list(mutation.command), mutation.limit, mutation.environment)
        return judge(mutation, folder, before, outcome), outcome


def said(*arguments: str) -> str:
    """Standard output of a command that ends with 0."""
    outcome = _in_process(list(arguments), 300.0, {})  # a compiler may have its part in it
    if outcome.code != 0:
        raise RuntimeError(f"rivergrad {' '.join(arguments)} ended with {outcome.code}: {outcome.stderr}")
    return outcome.stdout


# -- judging -------------------------------------------------------------------------------------------------


def judge(mutation: Mutation, folder: Path, before: dict[str, str], outcome: Outcome) -> str | None:
    """What is wrong with how a command ended; None where the oracle agrees."""
    expect = mutation.expect
    if outcome.crash is not None:
        return outcome.crash
    if "Traceback (most recent call last)" in outcome.stderr + outcome.stdout:
        return f"a traceback: {_tail(outcome.stderr or outcome.stdout)}"
    if found := _LIBRARY_WARNING.search(outcome.stderr):
        return f"a warning of a library: {found.group(0)[:200]}"
    after = snapshot(folder)
    kept = {name: what for name, what in before.items() if not _is_below(name, mutation.changes)}
    writes = (*mutation.writes, *mutation.changes) if outcome.code == 0 else mutation.changes
    if problem := _harm(kept, after, writes):
        return problem
    if outcome.code == 2:
        return _refusal_problem(mutation, outcome)
    if outcome.code != 0:
        return f"ended with {outcome.code}: {_tail(outcome.stderr)}"
    if expect.answer is None:
        return f"ended with 0; right is a refusal ({_tail(outcome.stderr)})"
    if problem := expect.answer.problem(folder):
        return f"ended with 0, but {problem} ({_tail(outcome.stderr)})"
    if expect.warning is not None and not _holds(outcome.stderr, expect.warning):
        return f"ended with 0 without a word of {expect.warning} ({_tail(outcome.stderr)})"
    return None


def _refusal_problem(mutation: Mutation, outcome: Outcome) -> str | None:
    expect = mutation.expect
    before, mark, message = outcome.stderr.partition(MARK)
    if not mark:
        return f"ended with 2 without a message: {_tail(outcome.stderr)}"
    if not expect.refusal:
        return f"refused: {message.strip()[:300]}"
    if MARK in message or (before and not before.endswith("\n")):
        return f"not one message on lines of its own: {_tail(outcome.stderr)}"
    lines = message.rstrip("\n").split("\n")
    if len(lines) > LINES or not message.strip():
        return f"a message of {len(lines)} lines: {message[:200]!r}"
    if longest := max(len(line) for line in lines) > CHARACTERS and max(map(len, lines)):
        return f"a line of {longest} characters: {message[:200]!r}"
    if any(ord(one) < 32 and one not in "\n\t" for one in message):
        return f"control characters in the message: {message[:200]!r}"
    if outcome.stdout:
        return f"refused, but standard output holds {outcome.stdout[:100]!r}"
    lost = [word for word in expect.words if not _holds(message, word)]
    return f"the message does not name {', '.join(lost)}: {message.strip()[:300]}" if lost else None


def _holds(text: str, word: str) -> bool:
    return any(one.lower() in text.lower() for one in word.split("|"))


def _tail(text: str) -> str:
    return " / ".join(text.strip().splitlines()[-2:])[-300:] or "nothing said"


# -- what lies in the folder ---------------------------------------------------------------------------------


def snapshot(folder: Path) -> dict[str, str]:
    """What lies in a folder: every name, with its kind, and a digest of what it holds."""
    found = {}
    for path in sorted(folder.rglob("*")):
        mode = path.lstat().st_mode
        if stat.S_ISLNK(mode):
            what = f"link to {os.readlink(path)}"
        elif stat.S_ISREG(mode):
            with path.open("rb") as file:
                what = hashlib.file_digest(file, "sha1").hexdigest()
        else:
            what = f"kind {stat.S_IFMT(mode)}"
        found[str(path.relative_to(folder))] = what
    return found


def _is_below(name: str, folders: tuple[str, ...]) -> bool:
    return any(name == one or name.startswith(f"{one}/") for one in folders)


def _harm(before: dict[str, str], after: dict[str, str], writes: tuple[str, ...]) -> str | None:
    """What a command changed or left that it may not."""
    for name, what in before.items():
        if name not in after:
            return f"{name} is gone"
        if after[name] != what:
            return f"{name} was changed"
    left = [name for name in after if name not in before and not _is_below(name, writes)]
    return f"left behind: {', '.join(left[:3])}" if left else None


# -- running -------------------------------------------------------------------------------------------------


def _in_process(arguments: list[str], limit: float, environment: dict[str, str]) -> Outcome:
    from rivergrad.cli import app

    crash, code = None, None
    with _captured() as texts, _environment(environment), _as_in_a_process():
        began = time.perf_counter()
        try:
            with _limited(limit):
                app(arguments, prog_name="rivergrad")
            code = 0
        except SystemExit as end:
            code = int(end.code or 0)
        except Hang:
            crash = f"hangs: not done after {limit:g} s"
        except BaseException as error:
            crash = _brief(error)
        seconds = time.perf_counter() - began
    return Outcome(code, texts[0], texts[1], seconds, crash)


def _forked(arguments: list[str], limit: float, environment: dict[str, str]) -> Outcome:
    """As `_in_process` in a copy of this process, which is killed where it hangs in C and hears no signal."""
    with tempfile.TemporaryFile() as said, warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of the fork, where there are threads
        began = time.perf_counter()
        child = os.fork()
        if child == 0:
            try:
                said.write(pickle.dumps(_in_process(arguments, limit, environment)))
                said.flush()
            finally:
                os._exit(0)
        while os.waitpid(child, os.WNOHANG) == (0, 0):
            if time.perf_counter() - began > limit + 2.0:
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)
                return Outcome(None, "", "", limit, f"hangs: killed after {limit:g} s")
            time.sleep(0.01)
        said.seek(0)
        outcome: Outcome = pickle.loads(said.read())
        return outcome


def _own_process(arguments: list[str], limit: float, environment: dict[str, str]) -> Outcome:
    began = time.perf_counter()
    try:
        done = subprocess.run(
            [sys.executable, "-m", "rivergrad.cli", *arguments],
            capture_output=True,
            check=False,
            timeout=2 * limit,
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
        )
    except subprocess.TimeoutExpired:
        return Outcome(None, "", "", 2 * limit, f"hangs: not done after {2 * limit:g} s")
    out, err = (text.decode("utf-8", "replace") for text in (done.stdout, done.stderr))
    return Outcome(done.returncode, out, err, time.perf_counter() - began)


def _brief(error: BaseException) -> str:
    where = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in where if "rivergrad" in frame.filename or "rivercut" in frame.filename]
    at = f" at {Path(ours[-1].filename).name}:{ours[-1].lineno}" if ours else ""
    return f"a traceback: {type(error).__name__}: {' '.join(str(error).split())[:200]}{at}"


@contextlib.contextmanager
def _captured() -> Iterator[list[str]]:
    """What is written to standard output and error, by Python or by a library in C; there after the block."""
    texts: list[str] = []
    sys.stdout.flush()
    sys.stderr.flush()
    saved = sys.stdout, sys.stderr, os.dup(1), os.dup(2)
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        os.dup2(out.fileno(), 1)
        os.dup2(err.fileno(), 2)
        sys.stdout, sys.stderr = _text(1, "strict"), _text(2, "backslashreplace")
        try:
            yield texts
        finally:
            for stream in (sys.stdout, sys.stderr):
                with contextlib.suppress(ValueError, OSError):
                    stream.flush()
            sys.stdout, sys.stderr = saved[:2]
            for old, number in zip(saved[2:], (1, 2), strict=True):
                os.dup2(old, number)
                os.close(old)
            for file in (out, err):
                file.seek(0)
                texts.append(file.read().decode("utf-8", "replace"))


def _text(number: int, errors: str) -> io.TextIOWrapper:
    raw = io.FileIO(number, "w", closefd=False)
    return io.TextIOWrapper(io.BufferedWriter(raw), encoding="utf-8", errors=errors, write_through=True)


@contextlib.contextmanager
def _environment(changes: dict[str, str]) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.update(changes)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


@contextlib.contextmanager
def _as_in_a_process() -> Iterator[None]:
    """Warnings are printed as Python does by default; threads, determinism and the directory are as before after it."""
    import torch

    threads, exact = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    folder = Path.cwd()
    try:
        with warnings.catch_warnings():
            warnings.resetwarnings()
            for kind in (DeprecationWarning, PendingDeprecationWarning, ImportWarning, ResourceWarning):
                warnings.simplefilter("ignore", kind)
            yield
    finally:
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(exact)
        os.chdir(folder)


@contextlib.contextmanager
def _limited(limit: float) -> Iterator[None]:
    """Raise `Hang` after so many seconds, and MemoryError beyond `MEMORY`."""

    def stop(number: int, frame: FrameType | None) -> Any:
        raise Hang

    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    began = time.monotonic()
    handler = signal.signal(signal.SIGALRM, stop)
    remaining, interval = signal.setitimer(signal.ITIMER_REAL, limit)
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler)
        if remaining:  # a timer of pytest's goes on
            signal.setitimer(signal.ITIMER_REAL, max(0.1, remaining - (time.monotonic() - began)), interval)
