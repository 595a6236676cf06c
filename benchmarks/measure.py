"""What the benchmarks share: how time is taken, how a table is written, and on what machine it was."""

from __future__ import annotations

import csv
import os
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


def seconds(call: Callable[[], object], device: torch.device, repeats: int = 5, warm_ups: int = 1) -> float:
    """Median time of a call, s: by CUDA events on a GPU, by the clock elsewhere."""
    for _ in range(warm_ups):
        call()
    return statistics.median(once(call, device) for _ in range(repeats))


def once(call: Callable[[], object], device: torch.device) -> float:
    """Time of one call, s. What it returns is freed before this returns, and after the time is taken."""
    if device.type != "cuda":
        started = time.perf_counter()
        kept = call()
        found = time.perf_counter() - started
        del kept
        return found
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
    torch.cuda.synchronize(device)
    start.record()
    kept = call()
    end.record()
    torch.cuda.synchronize(device)
    del kept
    return float(start.elapsed_time(end)) / 1e3


def relative_l2(found: torch.Tensor, expected: torch.Tensor) -> float:
    """‖found − expected‖ / ‖expected‖, in float64."""
    expected = expected.to(torch.float64)
    return float((found.to(expected) - expected).norm() / expected.norm())


def write(path: Path, rows: Sequence[DataclassInstance]) -> None:
    """Add rows to a table, which begins with the names of their fields; a table of other fields stays as it is."""
    names = [f.name for f in fields(rows[0])]
    new = not path.exists()
    if not new and (found := path.open().readline().rstrip("\n").split(",")) != names:
        raise SystemExit(
            f"{path}: found columns {', '.join(found)}; expected {', '.join(names)}, or another --output"
        )
    with path.open("a", newline="") as file:
        table = csv.DictWriter(file, names, lineterminator="\n")
        if new:
            table.writeheader()
        table.writerows({name: _short(value) for name, value in asdict(row).items()} for row in rows)


def _short(value: Any) -> Any:
    """Numbers to the digits that a measurement has."""
    return f"{value:.4g}" if isinstance(value, float) else value


def machine(device: torch.device) -> str:
    """The GPU where there is one; processor, cores that this process may use, and memory."""
    model = platform.processor() or "unknown processor"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.split(":", 1)[1].strip()
            break
    memory = int(Path("/proc/meminfo").read_text().split()[1]) / 1024**2
    host = f"{model}, {len(os.sched_getaffinity(0))} cores, {memory:.0f} GB"
    return host if device.type != "cuda" else f"{torch.cuda.get_device_name(device)}; {host}"
