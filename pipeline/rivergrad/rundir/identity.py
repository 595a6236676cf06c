"""What a run was begun with: digests of its input, its settings, its version; and whether that is still so.

`inputs.json`, every checkpoint and `baselines.json` hold it. Reaches and gauges are known by their ids, in order.
Values of the network and of the observations count as they were read, one by one; large files of runoff and forcings
by what `rivergrad.io.digest` samples of them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rivergrad.errors import InputError
from rivergrad.files import text_of
from rivergrad.io.digest import text_digest
from rivergrad.rundir.contents import BASELINES, INPUTS
from rivergrad.rundir.record import write_json

NETWORK_KEY, SOURCE, SUM = "network.path", "source", "every byte"
AREAS = ("area_m2",)
"""Attributes of the network that count wherever they are: without one, learned runoff takes other areas."""
NAMES_AT_MOST = 3
"""Keys that differ, told by name; the rest are counted."""


class Changed(InputError):
    """What a run is asked to go on with is not what it was begun with."""


@dataclass(frozen=True)
class Identity:
    """What a run was begun with.

    **Arguments**

    - `inputs`: by key of the workflow (`network.path`), the digests of what was read there, by what they are of.
    - `paths`: where that was; it may have moved.
    - `settings`: by dotted key, every value of the workflow that results depend on.
    - `version`: of rivergrad.
    - `stamps`: by key of the workflow, what the file system said of a large input when its sum was taken.
    """

    inputs: Mapping[str, Mapping[str, str]]
    paths: Mapping[str, str]
    settings: Mapping[str, Any]
    version: str
    stamps: Mapping[str, str] = field(default_factory=dict, compare=False)

    def as_dict(self) -> dict[str, Any]:
        """As plain data, for JSON, without stamps."""
        return {
            "inputs": {key: dict(values) for key, values in self.inputs.items()},
            "paths": dict(self.paths),
            "settings": dict(self.settings),
            "rivergrad": self.version,
        }


def identity_from(data: Any) -> Identity | None:
    """What `as_dict` made; None where it is anything else."""
    try:
        inputs = {str(key): {str(a): str(b) for a, b in one.items()} for key, one in data["inputs"].items()}
        paths = {str(key): str(one) for key, one in data["paths"].items()}
        stamps = {str(key): str(one) for key, one in data.get("stamps", {}).items()}
        return Identity(inputs, paths, dict(data["settings"]), str(data["rivergrad"]), stamps)
    except (KeyError, TypeError, AttributeError, ValueError):
        return None


def differences(before: Identity, now: Identity) -> list[str]:
    """What of the input differs, a text each: key, file, what of it.

    New attributes of the network are no difference, except areas; the source of a part of the user's own and the sum of
    a large file are none either where an earlier version did not note it.
    """
    found = []
    for key in dict.fromkeys([*before.inputs, *now.inputs]):
        path = now.paths.get(key) or before.paths.get(key, "")
        was, known = before.inputs.get(key), now.inputs.get(key)
        if was is None and set(known or ()) == {SOURCE}:
            continue
        if was is None or known is None:
            found.append(f"{key}: {path} {'is new' if was is None else 'is no longer given'}")
            continue
        new = [what for what in known if what not in {*was, SUM} and (key != NETWORK_KEY or what in AREAS)]
        others = [what for what, value in was.items() if known.get(what) != value] + new
        if others:
            found.append(f"{key}: {path} is not what the run began with ({_of(others, was, known)})")
    return found


def _of(others: list[str], was: Mapping[str, str], known: Mapping[str, str]) -> str:
    texts = []
    for what in others[:NAMES_AT_MOST]:
        if what not in was:
            texts.append(f"{what} is new")
        elif what in known and len(was[what]) < 24 and len(known[what]) < 24:  # a number, not a digest
            texts.append(f"{what} {known[what]}, was {was[what]}")
        else:
            texts.append(f"{what} {'differs' if what in known else 'is missing'}")
    more = len(others) - NAMES_AT_MOST
    return ", ".join(texts) + (f" and {more} more" if more > 0 else "")


def setting_differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Dotted keys whose values differ, each with both values."""
    texts = []
    for key in dict.fromkeys([*before, *now]):
        was, known = (json.dumps(one.get(key), default=str) for one in (before, now))
        if was != known:
            texts.append(f"{key} {_brief(was)} there, {_brief(known)} here")
    return texts


def _brief(text: str) -> str:
    text = text.strip('"')
    return text if len(text) <= 40 else f"{text[:37]}..."


def listed(texts: list[str]) -> str:
    """The first of some texts, and how many more there are."""
    more = len(texts) - NAMES_AT_MOST
    return "; ".join(texts[:NAMES_AT_MOST]) + (f" (and {more} more)" if more > 0 else "")


def seal(content: Mapping[str, Any]) -> dict[str, Any]:
    """The same content with a checksum of it."""
    return {**content, "check": _checksum(content)}


def unsealed(path: Path) -> dict[str, Any] | None:
    """What a sealed JSON file holds; None where it is not there, damaged or not sealed."""
    try:
        found = json.loads(text_of(path))
    except (OSError, ValueError, RecursionError):
        return None
    if not isinstance(found, dict) or "check" not in found:
        return None
    check = found.pop("check")
    return found if check == _checksum(found) else None


def _checksum(content: Mapping[str, Any]) -> str:
    plain = json.loads(json.dumps(content, default=str))
    return text_digest(json.dumps(plain, sort_keys=True))


def write_identity(run_dir: Path, identity: Identity) -> None:
    """Write inputs.json."""
    write_json(
        run_dir / INPUTS,
        seal(identity.as_dict() | ({"stamps": dict(identity.stamps)} if identity.stamps else {})),
    )


def read_identity(run_dir: Path) -> Identity | None:
    """What inputs.json says, if it is whole."""
    found = unsealed(run_dir / INPUTS)
    return None if found is None else identity_from(found)


@dataclass(frozen=True)
class Baselines:
    """What baselines.json holds.

    **Arguments**

    - `celerity`: the best uniform celerity, m/s.
    - `uniform`, `start`: the best parameters for all reaches, and those that a fit starts from, by name; None or less
      in files of earlier versions.
    """

    celerity: float
    uniform: Mapping[str, Any] | None = None
    start: Mapping[str, Any] | None = None


def write_baselines(
    run_dir: Path, uniform: Mapping[str, Any], start: Mapping[str, Any], identity: Identity | None
) -> None:
    """Write baselines.json: the best parameters for all reaches, those that a fit starts from, what they are of."""
    found = {
        "uniform_celerity": uniform["celerity"],
        "of": None if identity is None else mark_of(identity),
        "uniform": dict(uniform),
        "start": dict(start),
    }
    write_json(run_dir / BASELINES, seal(found))


def read_baselines(run_dir: Path, identity: Identity | None) -> Baselines | None:
    """What baselines.json says; None where it has to be found again: nothing is there, or nothing that is right.

    It is found again to the same numbers, so one that is damaged, or of another input, stops nothing.
    """
    path = run_dir / BASELINES
    found = unsealed(path)
    if found is None:
        old = _of_earlier_versions(path)
        return None if old is None else Baselines(old)
    if identity is not None and found.get("of") not in (None, mark_of(identity)):
        return None
    start = found.get("start")
    if isinstance(start, list):  # of an earlier version
        start = {"celerity": start[0], "delay": start[1]}
    return Baselines(float(found["uniform_celerity"]), found.get("uniform"), start)


def _of_earlier_versions(path: Path) -> float | None:
    try:
        found = json.loads(text_of(path))
        return float(found["uniform_celerity"]) if set(found) == {"uniform_celerity"} else None
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def mark_of(identity: Identity) -> str:
    """A digest of inputs and settings."""
    data = identity.as_dict()
    return _checksum({"inputs": data["inputs"], "settings": data["settings"]})
