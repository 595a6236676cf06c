"""What an exporter is, and what it is given: the network of a run with the estimate of every reach."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from rivercut.network import RiverNetwork
from rivergrad import registry
from rivergrad.errors import InputError, ids_text
from rivergrad.io.parameters import describe

Float = NDArray[np.float64]
SIDECAR = "rivergrad.json"
"""In a folder, and behind the name of a file, where an export says what it comes from."""


@dataclass(frozen=True, eq=False)
class Estimate:
    """What is exported.

    Attributes:
        network: of n reaches.
        values: by name, (n,) in SI in the order of the network: the estimate and all that is kept beside it.
        provenance: where it comes from: run, versions, names of the inputs, licence, history; texts and numbers.
        units: of names that are not known by themselves (see `describe`).
        flow: (n,) discharge that celerity is turned into roughness at, m3/s; None where none is known.
        flow_source: what `flow` is, in words.
        geometry: (n,) lines or points as WKB, or None; with its `crs`.
    """

    network: RiverNetwork
    values: Mapping[str, NDArray[Any]]
    provenance: Mapping[str, Any]
    units: Mapping[str, str] = field(default_factory=dict)
    flow: Float | None = None
    flow_source: str = ""
    geometry: Sequence[bytes | None] | None = None
    crs: str = "EPSG:4326"
    whole: bool = True
    """Whether the network says what flows where; without it there are tables only."""

    @property
    def downstream_id(self) -> NDArray[np.int64]:
        """(n,) ids of downstream reaches, -1 at outlets."""
        below = self.network.downstream
        return np.where(below >= 0, self.network.reach_id[below], -1).astype(np.int64)

    def attribute(self, name: str) -> Float | None:
        """(n,) an attribute of the network, or what the run keeps of it; None where there is none."""
        found = self.network.attributes.get(name, self.values.get(name))
        return None if found is None else np.asarray(found, np.float64)

    def unit_of(self, name: str) -> str | None:
        """The unit of one of the values."""
        if name in self.units:
            return self.units[name]
        known = describe(name)
        return None if known is None else known[0]


@runtime_checkable
class Exporter(Protocol):
    """An exporter.

    Attributes:
        endings: of names that mean it.
        folder: whether it writes a folder.
        like: whether it takes a file of the user's as a template.
        extra: the extra of rivergrad that it needs; None for none.
    """

    endings: tuple[str, ...]
    folder: bool
    like: bool
    extra: str | None

    def write(self, estimate: Estimate, output: Path, like: Path | None) -> list[str]:
        """Write an estimate.

        Args:
            estimate: what.
            output: a path that nothing is at yet; its name ends as that of the target.
            like: a file or folder of the user's whose form is kept.

        Returns:
            Sentences about what was changed, assumed or left out.

        Raises:
            InputError: what the format cannot hold, or a template that does not fit.
        """
        ...


def checked(found: Any, name: str) -> Any:
    """An exporter: what the registry asks at first use. A class is made without arguments.

    Raises:
        InputError: what lacks one of an exporter's parts.
    """
    made = registry.made_with(found, name, {}, "exporter") if isinstance(found, type) else found
    lacking = [one for one in ("endings", "folder", "like", "extra", "write") if not hasattr(made, one)]
    if lacking:
        raise InputError(
            f"expected an exporter (see rivergrad.io.exporters.base), found one without {', '.join(lacking)}",
            key="exporter",
            found=name,
        )
    return made


def exporter_for(output: Path, name: str | None) -> tuple[str, Exporter]:
    """The exporter of a name, or the one that an ending means.

    Raises:
        InputError: no such exporter, an ending that is not clear, or one that does not fit.
    """
    if name is not None:
        name = name.replace("-", "_")
        made: Exporter = registry.load("exporter", name)
        if made.endings and not output.name.lower().endswith(made.endings):
            raise InputError(
                f"{output}: expected a name that ends in {' or '.join(made.endings)}, as the format is {name}"
            )
        return name, made
    fits = [
        one.name
        for one in registry.entries("exporter")
        if output.name.lower().endswith(one.facts.get("endings") or ("/",))
    ]
    if len(fits) == 1:
        return fits[0], registry.load("exporter", fits[0])
    known = ", ".join(registry.names("exporter"))
    between = f" ({', '.join(fits)} have this ending)" if fits else ""
    raise InputError(
        f"--output {output}: its ending does not say the format{between}; expected --as with one of {known}"
    )


def matched(
    estimate: Estimate, ids: NDArray[np.int64], like: Path
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """For each id of a template its position in the network, and whether it has one.

    Raises:
        InputError: no id of the template is in the run.
    """
    network = estimate.network
    order = np.argsort(network.reach_id, kind="stable")
    ranked = network.reach_id[order]
    slot = np.minimum(np.searchsorted(ranked, ids), max(ranked.size - 1, 0))
    known = ranked[slot] == ids
    if not known.any():
        raise InputError(
            f"--like {like}: none of its reaches ({ids_text(ids)}) is in the run; expected a file of the same network"
        )
    return order[slot], known


def left_alone(known: NDArray[np.bool_], estimate: Estimate, like: Path) -> list[str]:
    """Sentences about reaches that only one of template and run has."""
    told = []
    if not known.all():
        told.append(
            f"{like}: {int((~known).sum())} of its {known.size} reaches are not in the run and keep their values"
        )
    others = estimate.network.n_reaches - int(known.sum())
    if others > 0:
        told.append(f"{others} reaches of the run are not in {like} and are left out")
    return told


def sidecar(
    path: Path,
    estimate: Estimate,
    columns: Mapping[str, str | None],
    files: Iterable[str] = (),
    digest: str | None = None,
) -> None:
    """Write what an export comes from, and the units of its columns, as JSON.

    Args:
        path: of the JSON; estimate: what was exported; columns: units by name; files: that the export has;
            digest: of the one file that it is about.
    """
    content = {
        "written_by": "rivergrad",
        "provenance": plain(estimate.provenance),
        "columns": {name: unit or "" for name, unit in columns.items()},
        "files": sorted(files),
        **({} if digest is None else {"digest": digest}),
    }
    path.write_text(
        json.dumps(content, indent=1, ensure_ascii=False, sort_keys=True) + "\n", encoding="utf-8"
    )


def plain(provenance: Mapping[str, Any]) -> dict[str, Any]:
    """Provenance with numpy's numbers as Python's."""
    return {
        name: value.item() if isinstance(value, np.generic) else value for name, value in provenance.items()
    }
