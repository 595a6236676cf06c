"""`rivergrad doctor`: is everything here that a run needs."""

from __future__ import annotations

import os
import platform
import shutil
import sys
import tempfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import typer

PACKAGES = (
    "rivergrad",
    "torch",
    "numpy",
    "numba",
    "scipy",
    "pymetis",
    "dask",
    "distributed",
    "xarray",
    "zarr",
    "netCDF4",
    "pandas",
    "pyarrow",
    "pydantic",
    "matplotlib",
    "pyflwdir",
)


def doctor() -> None:
    """Say what is installed, what there is, what is missing."""
    from rivergrad.errors import InputError

    problems: list[str] = []
    rows = [("python", f"{platform.python_version()} ({sys.executable})"), ("system", platform.platform())]
    for name in PACKAGES:
        try:
            rows.append((name, version(name)))
        except PackageNotFoundError:
            rows.append((name, "missing"))
            problems.append(f"package {name} is missing (install rivergrad again: pip install rivergrad)")
    rows.append(("cuda", "no torch" if "package torch" in " ".join(problems) else cuda_text()))
    rows.append(("cores", str(usable_cores())))
    rows.append(("memory", f"{memory_bytes() / 1e9:.1f} GB"))
    rows.append(("data", _data_text()))
    for what, folder in (("current directory", Path.cwd()), ("temporary files", Path(tempfile.gettempdir()))):
        problem = write_problem(folder)
        free = shutil.disk_usage(folder).free / 1e9
        rows.append((what, f"{folder}: {problem or f'writable, {free:.1f} GB free'}"))
        if problem:
            problems.append(f"{folder}: {problem}; expected to write there")
    width = max(len(name) for name, _ in rows)
    for name, value in rows:
        typer.echo(f"{name:<{width}}  {value}")
    if problems:
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        raise InputError(problems[0] + more)


def cuda_text() -> str:
    """Whether torch can compute on a GPU, and if not what it takes."""
    import torch

    if torch.cuda.is_available():
        count = torch.cuda.device_count()
        return f"{torch.version.cuda}: {count} x {torch.cuda.get_device_name(0)}"
    has_gpu = shutil.which("nvidia-smi") is not None
    if torch.version.cuda is None:
        return (
            "none: this torch is built for CPUs only"
            + ("; a driver is here" if has_gpu else "")
            + " (for GPUs: a CUDA build of torch, then pip install 'rivergrad[cuda]')"
        )
    return f"none: torch is built for CUDA {torch.version.cuda}, but no GPU " + (
        "answers (see nvidia-smi)" if has_gpu else "or driver was found"
    )


def usable_cores() -> int:
    """The cores this process may use, which a batch system can make fewer than the machine's."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def memory_bytes() -> int:
    """The memory this process may use: the machine's, or the limit of its control group if that is less."""
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for name in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        try:
            text = Path(name).read_text(encoding="ascii").strip()
        except OSError:
            continue
        if text.isdigit():
            return min(machine, int(text))
    return machine


def write_problem(folder: Path) -> str | None:
    """Why a file cannot be written in a folder, or None if it can."""
    try:
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".rivergrad-doctor-") as file:
            file.write(b"0")
    except OSError as error:
        return (error.strerror or str(error)).lower()
    return None


def _data_text() -> str:
    folder = os.environ.get("RIVERGRAD_DATA")
    if not folder:
        return "RIVERGRAD_DATA is not set (the folder of data that workflows may name as ${RIVERGRAD_DATA})"
    return f"RIVERGRAD_DATA is {folder}" + ("" if Path(folder).is_dir() else ", which is not there")
