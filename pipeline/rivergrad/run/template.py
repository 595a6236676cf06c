"""A job script from a template, which may be a stranger's: it fills gaps in a text and does nothing else."""

from __future__ import annotations

import os
import resource
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from jinja2 import StrictUndefined, TemplateError
from jinja2.exceptions import SecurityError
from jinja2.sandbox import SandboxedEnvironment

from rivergrad.errors import InputError, shortened
from rivergrad.files import require_readable

SECONDS = 10.0
"""How long a template may take."""
SCRIPT_BYTES = 1 << 20
"""The longest template, script and product of two values in it."""
MEMORY = 256 << 20
"""Bytes that a template may take, besides what the process has already."""


class _Environment(SandboxedEnvironment):
    """Jinja's sandbox, without loader, powers, huge numbers and long products."""

    intercepted_binops = frozenset(["*", "**"])

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        if operator == "**":
            raise SecurityError("found **; expected no powers in a template")
        if not (isinstance(left, int | float) and isinstance(right, int | float)):
            size, times = (len(left), right) if hasattr(left, "__len__") else (len(right), left)
            if size * times > SCRIPT_BYTES:
                raise SecurityError("found a text or list of more than a million parts")
        elif isinstance(left, int) and isinstance(right, int) and abs(left * right) >= 1 << 63:
            raise SecurityError("found a product of more than 18 digits")
        return super().call_binop(context, operator, left, right)


class _TooLongError(Exception):
    pass


@contextmanager
def _bounded_memory(more: int) -> Iterator[None]:
    """Let what goes on inside take only so many bytes more: methods of texts and filters can ask for any number."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            limit = int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE") + more
    except (OSError, ValueError):  # a system without /proc
        yield
        return
    others = [one for one in before if one != resource.RLIM_INFINITY]
    resource.setrlimit(resource.RLIMIT_AS, (min([limit, *others]), before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


@contextmanager
def _within(seconds: float) -> Iterator[None]:
    """Break off what goes on inside after a while, by looking at the clock at each line that Python executes."""
    last, before = time.monotonic() + seconds, sys.gettrace()

    def look(frame: Any, event: str, argument: Any) -> Any:
        if time.monotonic() > last:
            raise _TooLongError
        return look

    sys.settrace(look)
    try:
        yield
    finally:
        sys.settrace(before)


def fill_in(path: Path, values: Mapping[str, Any]) -> str:
    """What a template makes of these values.

    Raises:
        InputError: it can't be read, is not right, reaches for what it is not given, or takes too long.
    """
    require_readable(path, file=True)
    environment = _Environment(undefined=StrictUndefined, keep_trailing_newline=True, autoescape=False)
    environment.globals.pop("lipsum", None)
    expected = f"a template of these names: {', '.join(values)}"
    try:
        text = path.read_bytes()
        if len(text) > SCRIPT_BYTES:
            raise InputError(f"has {len(text)} bytes; expected a template of a job script", where=path)
        with _within(SECONDS), _bounded_memory(MEMORY):
            script = environment.from_string(text.decode("utf-8")).render(values)
    except _TooLongError:
        raise InputError(f"took longer than {SECONDS:g} s; expected {expected}", where=path) from None
    except MemoryError:
        raise InputError(
            f"takes more than {MEMORY >> 20} MB of memory; expected {expected}", where=path
        ) from None
    except (InputError, OSError):
        raise
    except TemplateError as error:
        raise InputError(f"{error}; expected {expected}", where=path) from None
    except Exception as error:  # whatever an expression does to the values
        raise InputError(f"{type(error).__name__}: {error}; expected {expected}", where=path) from None
    if len(script) > SCRIPT_BYTES or "\0" in script:
        raise InputError(
            f"makes {len(script)} characters that are no job script; expected {expected}", where=path
        )
    if not script.startswith("#!"):  # sbatch takes nothing else
        raise InputError(
            f"makes {shortened(repr(script[:40]))} its first line; expected a job script, which begins with #!",
            where=path,
        )
    return script
