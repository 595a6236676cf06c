"""How much of a fit's time goes to anything but the workers' own work: tasks, messages, sums, the optimiser itself."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any


@dataclass
class Aside:
    """Seconds of work on the client that is no orchestration: the algebra of the evidence."""

    seconds: float = 0.0

    @contextmanager
    def work(self, busy: Callable[[], float]) -> Iterator[None]:
        """Count what happens inside, but for the pieces' own work, which `busy` tells."""
        began, before = time.perf_counter(), busy()
        yield
        self.seconds += max(0.0, time.perf_counter() - began - (busy() - before))


@dataclass
class Overhead:
    """Steps, seconds of the clock, and seconds that they would take if nothing cost time but work on pieces.

    The latter are those of the longest way through a step's tasks, where every worker does one at a time.
    """

    steps: int = 0
    wall: float = 0.0
    busy: float = 0.0

    @contextmanager
    def step(self, busy: Callable[[], float]) -> Iterator[None]:
        """Count what happens inside as one step; `busy` tells the seconds of work up to now."""
        began, before = time.perf_counter(), busy()
        yield
        self.steps += 1
        self.wall += time.perf_counter() - began
        self.busy += busy() - before

    @property
    def share(self) -> float:
        """Overhead as a share of the time of a step."""
        return max(0.0, 1 - self.busy / self.wall) if self.wall > 0 else 0.0

    def since(self, before: Overhead) -> Overhead:
        """That of the steps after `before`."""
        return Overhead(self.steps - before.steps, self.wall - before.wall, self.busy - before.busy)

    def text(self) -> str:
        """For the log."""
        return f"orchestration {100 * self.share:.1f} % of {self.wall / max(1, self.steps):.2g} s a step"

    def as_dict(self) -> dict[str, Any]:
        """For run.json: of the steps since the run was last started."""
        return {
            "steps": self.steps,
            "seconds_per_step": round(self.wall / max(1, self.steps), 5),
            "share": round(self.share, 4),
        }
