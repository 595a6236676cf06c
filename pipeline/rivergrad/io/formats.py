"""Formats of files: what each reads, how it is told from the others, and what goes wrong with it.

A format is an object like `Format`, registered as `format` (see `rivergrad.registry`): in Python, by the entry point
group `rivergrad.formats` of an installed package, or by its import path in a workflow (`network.format`). With `auto`,
formats of other people are asked first whether a path is theirs, then rivergrad's own formats of models and data sets
in the order of `rivergrad.entries`, and last the plain ones (`NATIVE`), which go by the name of a file.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

from rivergrad import registry
from rivergrad.errors import InputError
from rivergrad.io.datasets import kind_of
from rivergrad.io.heads import head_of
from rivergrad.io.rapid import is_rapid_folder

log = logging.getLogger("rivergrad")

Role = Literal["network", "runoff", "observations"]
ROLES: tuple[Role, ...] = ("network", "runoff", "observations")
NATIVE = ("csv", "parquet", "netcdf", "rapid", "zarr")
"""Formats that `read_network`, `open_runoff` and `read_observations` read themselves."""
CANONICAL = {
    "network": ("reach_id", "downstream_id", "length_m"),
    "runoff": ("time", "reach_id", "runoff"),
    "observations": ("time", "reach_id", "discharge"),
}
"""Columns or variables by which a file is in rivergrad's own form, whatever else it holds."""


@runtime_checkable
class Format(Protocol):
    """A format.

    Attributes:
        reads: of `ROLES`, what it can hold.
        traps: sentences about what is easily read wrongly.
        extra: the extra of rivergrad, or the package, that it needs; None for none.
    """

    reads: tuple[str, ...]
    traps: tuple[str, ...]
    extra: str | None

    def guess(self, path: Path) -> str | None:
        """Why a path is of this format; None where it is not. Nothing large is read."""
        ...

    def read(self, path: Path, role: str, **options: Any) -> Any:
        """What a path holds: a `RiverNetwork`, a source of runoff like `RunoffSource`, or `Observations`.

        Args:
            path: the file or folder.
            role: one of `reads`.
            options: those of `read_network`, `open_runoff` or `read_observations`; `network` for the latter two.

        Raises:
            InputError: it can't be read.
        """
        ...


@dataclass(frozen=True)
class OwnFormat:
    """One of rivergrad's own formats, read by `read_network`, `open_runoff` and `read_observations`."""

    name: str
    reads: tuple[str, ...]
    traps: tuple[str, ...] = ()
    extra: str | None = None

    def guess(self, path: Path) -> str | None:
        """Why a path is of this format, by its name and, for a folder, by what lies in it."""
        if is_rapid_folder(path):
            return "holds rapid_connect.csv" if self.name == "rapid" else None
        try:
            found = kind_of(path)
        except InputError:
            return None
        return f"its name is that of {self.name}" if found == self.name else None

    def read(self, path: Path, role: str, **options: Any) -> Any:
        """See `Format`."""
        from rivergrad.io import open_runoff, read_network, read_observations

        readers = {"network": read_network, "runoff": open_runoff, "observations": read_observations}
        return readers[role](path, **options)  # type: ignore[operator]


CSV = OwnFormat("csv", ROLES, ("Times are UTC and label the start of a step; discharge is m3/s.",))
PARQUET = OwnFormat("parquet", ("network", "runoff", "observations"), CSV.traps)
NETCDF = OwnFormat(
    "netcdf", ("runoff", "observations"), ("A file without a unit is refused, except m3_riv of RAPID.",)
)
ZARR = OwnFormat("zarr", ROLES, NETCDF.traps)
RAPID = OwnFormat("rapid", ("network",), ("A RAPID folder has no lengths of reaches.",))


def checked(found: Any, name: str) -> Any:
    """A format: what the registry asks at first use. A class is made without arguments.

    Raises:
        InputError: what lacks `reads`, `guess` or `read`.
    """
    made = registry.made_with(found, name, {}, "format") if isinstance(found, type) else found
    lacking = [one for one in ("reads", "traps", "extra", "guess", "read") if not hasattr(made, one)]
    if lacking:
        raise InputError(
            f"expected a format (see rivergrad.io.formats), found one without {', '.join(lacking)}",
            key="format",
            found=name,
        )
    return made


@dataclass(frozen=True)
class Found:
    """A format that reads a path, and how it was told.

    Attributes:
        name: of the format; format: itself; why: what in the path says so; outside: whether it is not rivergrad's own.
    """

    name: str
    format: Format
    why: str
    outside: bool = False

    @property
    def native(self) -> bool:
        """Whether `read_network`, `open_runoff` and `read_observations` read it themselves."""
        return self.name in NATIVE and not self.outside


def detect(path: str | Path, role: Role | None = None, name: str = "auto") -> Found | None:
    """The format of a path.

    Args:
        path: the file or folder.
        role: what is wanted of it; None for anything.
        name: a name or an import path; with `auto`, each is asked.

    Returns:
        What was found; None where no format knows the path.

    Raises:
        InputError: no such format, or one that does not read this role.
    """
    if name != "auto":
        return _named(Path(path), role, name)
    return next(candidates(path, role), None)


def candidates(path: str | Path, role: Role | None = None) -> Iterator[Found]:
    """All formats that know a path, the most special first."""
    path = Path(path)
    known = (*registry.entries("format"), *registry.installed("format"))
    others = [one for one in known if one.outside]
    special = [one for one in known if not one.outside and one.name not in NATIVE]
    native = [one for one in known if not one.outside and one.name in NATIVE]
    if role is not None and head_of(path).has(
        *CANONICAL[role]
    ):  # where rivergrad's own readers read such a file
        special = [] if any(_knowing(native, path, role)) else special
    yield from _knowing((*others, *special, *native), path, role)


def _knowing(entries: Iterable[registry.Entry], path: Path, role: Role | None) -> Iterator[Found]:
    for entry in entries:
        made: Format = entry.load()
        if (role is None or role in made.reads) and (why := made.guess(path)) is not None:
            yield Found(entry.name, made, why, entry.outside)


def _named(path: Path, role: Role | None, name: str) -> Found:
    entry = registry.entry("format", name)
    made: Format = entry.load()
    if role is not None and role not in made.reads:
        raise InputError(
            f"reads {', '.join(made.reads)}; expected one that reads {role}", key="format", found=name
        )
    return Found(entry.name, made, "as asked for", entry.outside)


def other_format(path: str | Path, role: Role, name: str = "auto") -> Format | None:
    """The format that reads a path; None where `read_network` and its like read it themselves. What is found is said.

    Args:
        path: the file or folder.
        role: what is wanted of it.
        name: a name or an import path; with `auto`, each is asked.

    Raises:
        InputError: no such format, or one that does not read this role.
    """
    found = detect(path, role, name)
    if found is None or found.native:
        return None
    if name == "auto":
        log.info("%s: %s, read as %s (%s)", path, role, found.name, found.why)
    return found.format
