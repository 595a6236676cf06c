"""How a command ends: 0 done, 2 for what the user can mend, in one or two lines, 75 stopped, 130 interrupted."""

from __future__ import annotations

import logging
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import Any

import typer
from typer.core import TyperGroup

from rivergrad.rundir.stopping import EXIT_CODE, Stopped

DEBUG_VARIABLE = "RIVERGRAD_DEBUG"
INTERRUPTED = 130

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
        """Run a command; in standalone mode (the default), exit the process with its code."""

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
        if not standalone_mode:
            return call()
        sys.exit(exit_code(call))


def exit_code(call: Callable[[], Any]) -> int:
    """Call something and turn how it ended into an exit code; a mistake of ours keeps its traceback.

    With RIVERGRAD_DEBUG=1 the traceback of what the user can mend is printed too.
    """
    try:
        result = call()
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


def mendable(error: Exception) -> str | None:
    """What to tell the user about an error that they can mend, in at most two lines; None for any other."""
    from pydantic import ValidationError

    from rivergrad.errors import InputError, os_error_text

    if isinstance(error, InputError):
        text = str(error)
    elif isinstance(error, OSError):
        text = os_error_text(error)
    elif isinstance(error, ValidationError):
        first = error.errors(include_url=False)[0]
        key = ".".join(str(name) for name in first["loc"])
        text = f"{error.title}: {key}: found {first['input']!r}; {first['msg']}"
    elif isinstance(error, _USAGE):
        text = str(error.format_message())  # type: ignore[attr-defined]
    else:
        return None
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return "\n".join(lines) if len(lines) <= 2 else " ".join(lines)


def _say(text: str) -> None:
    print(f"rivergrad: {text}", file=sys.stderr)
