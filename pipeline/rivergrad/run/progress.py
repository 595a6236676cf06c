"""How far a long piece of work is: a bar on a terminal, a plain line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Self, TextIO

from rivergrad.errors import InputError
from rivergrad.verbosity import quiet

if TYPE_CHECKING:
    from rich.progress import Progress as Bar
    from rich.progress import TaskID

LINE_EVERY = 5.0  # seconds from one plain line to the next
LEAST_ELAPSED = 1.0  # seconds before a rate means anything: a first step may be found done


def track(total: int, description: str) -> Progress:
    """A `Progress` over `total` steps, to be used as a context manager."""
    return Progress(total, description)


class Progress:
    """Shows step, rate, time left and any further fields of some work of a known number of steps.

    ```python
    with track(150, "estimate") as progress:
        for step in range(150):
            progress.update(step + 1, loss=0.3)
    ```

    **Arguments:**

    - `total`: the number of steps.
    - `description`: one or two words.
    - `start`: steps that were done before (of a resumed run); they do not enter the rate.
    - `stream`: where to write, standard error by default.
    - `clock`: seconds; for tests.
    """

    def __init__(
        self,
        total: int,
        description: str,
        *,
        start: int = 0,
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if total < 1:
            raise InputError(f"progress over {total} steps; expected 1 or more")
        self.total, self.description, self.start = total, description, start
        self._stream = stream if stream is not None else sys.stderr
        self._clock = clock
        self._began = clock()
        self._last_line = self._began - LINE_EVERY  # the first step is shown at once
        self._shown = -1
        self._text = ""
        self._step = start
        self._bar: Bar | None = None
        self._task: TaskID | None = None
        self._silent = quiet()
        if self._stream.isatty() and not self._silent:
            self._bar = _bar(self._stream)

    def __enter__(self) -> Self:
        self._began = self._clock()
        self._last_line = self._began - LINE_EVERY
        if self._bar is not None:
            self._bar.start()
            self._task = self._bar.add_task(self.description, total=self.total, completed=self.start, text="")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()
        elif self._shown != self._step and self._text and not self._silent:
            self._line()

    def update(self, step: int, **fields: float | int | str) -> None:
        """Say that `step` steps are done; fields such as `loss=0.31` are shown beside."""
        self._step = step
        shown = [f"{name.replace('_', ' ')} {_number(value)}" for name, value in fields.items()]
        self._text = "  ".join([*shown, *self._pace()])
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=step, text=self._text)
        elif self._clock() - self._last_line >= LINE_EVERY and not self._silent:
            self._line()

    def rate(self) -> float:
        """Steps a second since the beginning; 0 before the first."""
        elapsed = self._clock() - self._began
        return (self._step - self.start) / elapsed if elapsed > 0 else 0.0

    def _pace(self) -> list[str]:
        rate = self.rate()
        if rate <= 0 or self._clock() - self._began < LEAST_ELAPSED:
            return []
        pace = f"{rate:.3g}/s" if rate >= 1 else f"{1 / rate:.3g} s each"
        return [pace, f"{time_text((self.total - self._step) / rate)} left"]

    def _line(self) -> None:
        self._last_line, self._shown = self._clock(), self._step
        print(
            f"{self.description} {self._step}/{self.total}  {self._text}".rstrip(),
            file=self._stream,
            flush=True,
        )


def _bar(stream: TextIO) -> Bar:
    # here: who has no terminal does not wait for it
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[text]}"),
        console=Console(file=stream),
    )


def time_text(seconds: float) -> str:
    """A duration for people: `0s`, `48s`, `3m 20s`, `2h 05m`, `3d 4h`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m {whole % 60:02d}s"
    if whole < 86400:
        return f"{whole // 3600}h {whole % 3600 // 60:02d}m"
    return f"{whole // 86400}d {whole % 86400 // 3600}h"


def _number(value: float | int | str) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
