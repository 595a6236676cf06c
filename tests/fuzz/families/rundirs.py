"""Damaged run directories: every file of a finished run, for every command that reads one.

Whatever is damaged, nothing of the user's is lost, and what comes out is the run's own result or exit 2.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tests.fuzz import runs
from tests.fuzz.families.damage import cut, flip
from tests.fuzz.registry import Expect, Mutation, either

FILES = (
    "baselines.json",
    "config.yaml",
    "gauges.csv",
    "history.csv",
    "hydrographs.nc",
    "inputs.json",
    "log.txt",
    "metrics.csv",
    "run.json",
    "screening.csv",
    "written.jsonl",
    "checkpoints/step-000001.npz",
    "network.zarr/zarr.json",
    "network.zarr/length/c/0",
    "parameters.zarr/zarr.json",
    "parameters.zarr/celerity/c/0",
    "parameters.zarr/celerity/zarr.json",
    "partition.zarr/zarr.json",
    "partition.zarr/order/c/0",
)
READ_BY_ALL = ("run.json", "config.yaml", "written.jsonl")
OF_BYTES = ("cut", "emptied", "flipped", "text", "binary", "list", "object", "nested")
STORES = ("checkpoints", "network.zarr", "parameters.zarr", "partition.zarr")
COMMANDS: dict[str, tuple[str, ...]] = {
    "estimate": ("estimate", "w.yaml"),
    "evaluate": ("evaluate", "run"),
    "export": ("export", "run", "--format", "csv", "--output", "a.csv"),
    "status": ("status", "run"),
    "apply": ("apply", "run", "--network", "n.csv", "--output", "a.csv"),
    "report": ("report", "run"),
}
OUTSIDE = "outside"
"""A folder of the user's that links in a run directory lead to."""


@dataclass(frozen=True)
class Kept:
    """The user's files are as they were, and what was estimated is what it was."""

    table: bool = False
    estimate: bool = False

    def problem(self, folder: Path) -> str | None:
        """See `Answer`."""
        right = runs.parameters_of(runs.finished() / "run")
        if self.estimate and not (folder / "run" / "parameters.zarr").is_dir():
            return "run/parameters.zarr is not there"
        found = runs.parameters_of(folder / "run") if self.estimate else {}
        if self.table:
            import pandas as pd

            table = pd.read_csv(folder / "a.csv")
            found = {name: table[name].to_numpy(np.float64) for name in right if name in table}
        for name, values in found.items():
            if not np.allclose(values, right[name], rtol=1e-9):
                return f"{name} is {values.tolist()}; right is {right[name].tolist()}"
        return None


def _bytes(change: Callable[[bytes], bytes]) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(change(path.read_bytes()))


def _replaced(make: Callable[[Path], object]) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        shutil.rmtree(path) if path.is_dir() else path.unlink()
        make(path)

    return change


def _folder(path: Path) -> None:
    path.mkdir()
    (path / "mine.txt").write_text("mine")


def _away(path: Path) -> None:
    """The same content, where a link leads to."""
    Path(OUTSIDE).mkdir(exist_ok=True)
    there = Path(OUTSIDE).absolute() / path.name
    shutil.move(path, there)
    path.symlink_to(there)


def _swapped(path: Path) -> None:
    """That of another run."""
    other = runs.other() / "run" / path.relative_to(Path("run").absolute())
    if path.is_dir():
        shutil.rmtree(path)
        shutil.copytree(other, path)
    elif other.is_file():
        shutil.copy(other, path)
    else:
        path.unlink()


def _hard(path: Path) -> None:
    """Another name of the same file, which is the user's."""
    Path(OUTSIDE).mkdir(exist_ok=True)
    os.link(path, Path(OUTSIDE) / path.name)


DAMAGE: dict[str, Callable[[Path], object]] = {
    "cut": _bytes(cut(0.5)),
    "emptied": _bytes(lambda data: b""),
    "flipped": _bytes(flip(0.4)),
    "text": _bytes(lambda data: b"not what it was\n"),
    "binary": _bytes(lambda data: bytes(range(256)) * 8),
    "list": _bytes(lambda data: b"[1, 2]\n"),
    "object": _bytes(lambda data: b"{}\n"),
    "nested": _bytes(lambda data: b"[" * 100_000),
    "folder": _replaced(_folder),
    "fifo": _replaced(os.mkfifo),
    "gone": _replaced(lambda path: None),
    "link_to_nothing": _replaced(lambda path: path.symlink_to("nowhere")),
    "link_to_itself": _replaced(lambda path: path.symlink_to(path.name)),
    "linked": _away,
    "hard_link": _hard,
    "swapped": _swapped,
}


def mutations() -> Iterator[Mutation]:
    """All of the family."""
    names = list(COMMANDS)
    for at, file in enumerate((*FILES, *STORES)):
        for number, damage in enumerate(DAMAGE):
            if file in STORES and damage in (*OF_BYTES, "hard_link"):
                continue
            # a run goes on, and one other command, in turn; what all commands read, all of them
            others = names[1:]
            whole = file in READ_BY_ALL and damage in OF_BYTES
            for name in names if whole else ("estimate", others[(at + number) % len(others)]):
                yield _one(file, damage, name)


def _one(file: str, damage: str, name: str) -> Mutation:
    def prepare(folder: Path) -> None:
        runs.place(runs.finished(), folder)
        (folder / "run" / "mine.txt").write_text("mine")
        (folder / "run" / "checkpoints" / "mine.npz").write_bytes(b"mine")
        DAMAGE[damage](folder.absolute() / "run" / file)

    return Mutation(
        f"rundirs/{file.replace('/', '.')}/{damage}/{name}",
        prepare,
        COMMANDS[name],
        _expect(name),
        writes=("a.csv", "a.csv.json", "run/checkpoints"),
        changes=tuple(f"run/{one}" for one in WRITTEN),
        where="process" if name in ("report", "export") else "fork",  # whose threads a fork lacks,
    )


def _expect(name: str) -> Expect:
    return either(Kept(table=name == "export", estimate=name == "estimate"))


WRITTEN = (
    *(file for file in FILES if "/" not in file),
    "checkpoints/step-000001.npz",
    *(store for store in STORES if store != "checkpoints"),
    "report.html",
    "maps",
    "folds.csv",
)
"""What a run writes in its directory, and may write anew."""
