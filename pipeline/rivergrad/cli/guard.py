"""How a command ends: 0 done, 1 for a fault of rivergrad, 2 for what the user can mend, 75 stopped, 130 interrupted.

Whatever goes wrong is told in one or two short lines.
"""

from __future__ import annotations

import codecs
import io
import logging
import os
import sys
import tempfile
import traceback
import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import typer
from typer.core import TyperGroup

from rivergrad.rundir.stopping import EXIT_CODE, Stopped

DEBUG_VARIABLE = "RIVERGRAD_DEBUG"
INTERRUPTED = 130
MAX_LINE = 300
"""Characters of a line of a message, of which there are two at most."""

# What typer raises for an unknown option or a missing argument: the base of its BadParameter's base (click's
# ClickException, which some versions of typer bundle and others import).
_USAGE = typer.BadParameter.__mro__[2]


class Commands(TyperGroup):
    """A group of commands whose mistakes end as `exit_code` has it, called from a shell or from a test."""

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        windows_expand_args: bool = True,
        **extra: Any,
    ) -> Any:
        """Run a command, or print the help where none is given; in standalone mode exit with the command's code."""
        args = list(sys.argv[1:] if args is None else args) or ["--help"]

        def call(standalone: bool = False) -> Any:
            return super(Commands, self).main(
                args=args,
                prog_name=prog_name,
                complete_var=complete_var,
                standalone_mode=standalone,
                windows_expand_args=windows_expand_args,
                **extra,
            )

        if logging.lastResort is not None:  # to standard error, whoever else listens
            logging.getLogger("rivergrad.compiling").addHandler(logging.lastResort)
        # of several chunks that are read at once and are damaged, one error is told, and asyncio would print the others
        logging.getLogger("asyncio").addFilter(_is_told_nowhere)
        if not standalone_mode:
            return call()
        sys.exit(exit_code(call))


def _is_told_nowhere(record: logging.LogRecord) -> bool:
    return not str(record.msg).startswith("Task exception was never retrieved")


def exit_code(call: Callable[[], Any]) -> int:
    """Call something and turn how it ended into an exit code; a mistake of ours keeps its traceback.

    With RIVERGRAD_DEBUG=1 the traceback of what the user can mend is printed too.
    """
    try:
        result = call()
        if sys.stdout is not None:  # closed by whoever called
            sys.stdout.flush()
        code = result if isinstance(result, int) else 0
        if code == INTERRUPTED:  # some versions of typer turn Ctrl-C into an exit code themselves
            _say("interrupted")
        return code
    except (KeyboardInterrupt, typer.Abort):
        _say("interrupted")
        return INTERRUPTED
    except Stopped as error:
        _say(str(error))
        return EXIT_CODE
    except BrokenPipeError:
        # The reader (head, say) has had enough. Python would complain when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:
        text = mendable(error)
        if text is None:
            raise
        if os.environ.get(DEBUG_VARIABLE) == "1":
            traceback.print_exc()
        _say(f"error: {text}")
        return 2


def one_line_for_any(call: Callable[[], Any]) -> None:
    """Call something that ends by itself; what went wrong inside rivergrad is a line too, and exit code 1.

    The traceback goes to a file among the temporary files, or to standard error with RIVERGRAD_DEBUG=1.
    """
    try:
        call()
    except Exception as error:
        if os.environ.get(DEBUG_VARIABLE) == "1":
            raise
        where = _keep_traceback() or "--debug shows it"
        from rivergrad.errors import shortened

        found = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        _say(
            f"internal error: {shortened(found, 120)}; this is a fault of rivergrad, please report it ({where})"
        )
        sys.exit(1)


def give_up(text: str) -> None:
    """End the process at once with a line and exit code 2: its main thread is in a library and comes back to nobody."""
    _say(f"error: {text}")
    sys.stderr.flush()
    os._exit(2)


def _keep_traceback() -> str | None:
    try:
        with tempfile.NamedTemporaryFile(
            "w", prefix="rivergrad-traceback-", suffix=".txt", delete=False, errors="backslashreplace"
        ) as file:
            file.write(f"rivergrad {' '.join(sys.argv[1:])}\n{traceback.format_exc()}")
            return f"traceback: {file.name}"
    except OSError:
        return None


def settle_streams() -> None:
    """Nothing that is printed fails for its characters, and libraries do not warn beside our own lines."""
    _open_streams()
    codecs.register_error("rivergrad", _printable_bytes)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="rivergrad" if stream is sys.stdout else "backslashreplace")
    if not sys.warnoptions and os.environ.get(DEBUG_VARIABLE) != "1":
        warnings.simplefilter("ignore")


def _open_streams() -> None:
    """Put /dev/null where standard streams were closed: the next file that is opened would take the place of one, and
    what libraries print would go into it."""
    while True:
        number = os.open(os.devnull, os.O_RDWR)
        if number > 2:
            os.close(number)
            break
        os.set_inheritable(number, True)
    if sys.stdout is None:
        sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115
    if sys.stderr is None:
        sys.stderr = open(2, "w", closefd=False)  # noqa: SIM115


def _printable_bytes(error: UnicodeError) -> tuple[str | bytes, int]:
    # Names of files are printed as the bytes that they are; what the terminal has no sign for, as an escape.
    for name in ("surrogateescape", "backslashreplace"):
        with suppress(UnicodeError):
            return codecs.lookup_error(name)(error)
    raise error


def mendable(error: Exception) -> str | None:
    """What to tell the user about an error that they can mend, in at most two lines; None for any other."""
    from pydantic import ValidationError

    from rivergrad.errors import InputError, os_error_text, shortened

    if isinstance(error, InputError):
        text = str(error)
    elif isinstance(error, OSError):
        text = os_error_text(error)
    elif isinstance(error, ValidationError):
        first = error.errors(include_url=False)[0]
        key = ".".join(str(name) for name in first["loc"])
        text = f"{error.title}: {key}: found {shortened(repr(first['input']))}; {first['msg']}"
    elif isinstance(error, _USAGE):
        text = str(error.format_message())  # type: ignore[attr-defined]
    elif isinstance(error, UnicodeEncodeError):
        text = (
            f"{shortened(repr(error.object))}: cannot be written as {error.encoding}; expected another name"
        )
    elif _is_of_memory(error):
        found = shortened(str(error).partition("\n")[0], 120) or "an allocation failed"
        text = f"not enough memory: {found}; expected smaller input, or a machine or job with more memory"
    else:
        return None
    return text or type(error).__name__


def _is_of_memory(error: Exception) -> bool:
    """Whether memory was short: Python's, NumPy's, that of torch on the host or on a device."""
    if isinstance(error, MemoryError) or type(error).__name__ in ("OutOfMemoryError", "ArrowMemoryError"):
        return True
    if isinstance(error, ImportError):  # of a library that finds no room for its code
        return any(said in str(error).lower() for said in ("failed to map segment", "cannot allocate memory"))
    return isinstance(error, RuntimeError) and "DefaultCPUAllocator" in str(error)


def _say(text: str) -> None:
    if sys.stderr is not None:  # print would take standard output then
        print(message(f"rivergrad: {text}"), file=sys.stderr)


def message(text: str) -> str:
    """A text as one or two lines of at most `MAX_LINE` characters, without signs that a terminal would act on."""
    lines = ["".join(map(_visible, line)).strip() for line in text.split("\n")]
    lines = [line for line in lines if line]
    if len(lines) <= 2 and all(len(line) <= MAX_LINE for line in lines):
        return "\n".join(lines)
    from rivergrad.errors import shortened

    whole = shortened(" ".join(lines), 2 * MAX_LINE - 20)
    if len(whole) <= MAX_LINE:
        return whole
    at = whole.rfind(" ", max(1, len(whole) - MAX_LINE - 1), MAX_LINE + 1)
    return f"{whole[:at]}\n{whole[at + 1 :]}" if at > 0 else f"{whole[:MAX_LINE]}\n{whole[MAX_LINE:]}"


def _visible(sign: str) -> str:
    if sign.isprintable():
        return sign
    return " " if sign.isspace() else sign.encode("unicode_escape").decode("ascii")
