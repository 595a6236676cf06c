"""Formats of files: what each reads, how it is told from the others, and what goes wrong with it.

A format is an object like `Format`, registered as `format` (see `rivergrad.registry`): in Python, by the entry point
group `rivergrad.formats` of an installed package, or by its import path in a workflow (`network.format`). With `auto`,
formats of other people are asked first whether a path is theirs.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

from rivergrad import registry
from rivergrad.errors import InputError
from rivergrad.io.datasets import kind_of
from rivergrad.io.rapid import is_rapid_folder

Role = Literal["network", "runoff", "observations"]
ROLES: tuple[Role, ...] = ("network", "runoff", "observations")


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


def other_format(path: str | Path, role: Role, name: str = "auto") -> Format | None:
    """The format of other people that reads a path; None where it is one of rivergrad's own.

    Args:
        path: the file or folder.
        role: what is wanted of it.
        name: a name or an import path; with `auto`, each is asked.

    Raises:
        InputError: no such format, or one that does not read this role.
    """
    if name != "auto":
        entry = registry.entry("format", name)
        made: Format = entry.load()
        if role not in made.reads:
            raise InputError(
                f"reads {', '.join(made.reads)}; expected one that reads {role}", key="format", found=name
            )
        return made if entry.outside else None
    for entry in (*registry.entries("format"), *registry.installed("format")):
        if entry.outside and role in (made := entry.load()).reads and made.guess(Path(path)) is not None:
            return made
    return None
