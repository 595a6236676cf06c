"""From a workflow file to a checked `Workflow`, and back; every mistake is one that names its key."""

from __future__ import annotations

import difflib
import json
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from rivergrad import registry
from rivergrad.config.fields import FROM_DOCUMENT
from rivergrad.config.places import beside
from rivergrad.config.schema import Workflow
from rivergrad.config.sections import ComputeSection
from rivergrad.documents import read_document, read_value, write_document
from rivergrad.errors import InputError, shortened, value_text
from rivergrad.files import expanded, require_readable, text_of
from rivergrad.packaged import profile_names, profile_path

DATA_VARIABLE = "RIVERGRAD_DATA"
REMOVED = {"compute": {"ucx"}}
"""Keys that earlier versions wrote into the configuration of every run, by section."""
_EXPECTED = {
    "int_type": "an integer",
    "int_from_float": "an integer",
    "float_type": "a number",
    "string_type": "a text",
    "bool_type": "true or false",
    "tuple_type": "a list",
    "list_type": "a list",
}
_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


DEEPEST = 20
"""Sections within each other that an override may name: the schema has fewer."""


def load_workflow(path: str | os.PathLike[str], overrides: Sequence[str] = ()) -> Workflow:
    """Read, complete and check a workflow; the files it names are not looked at.

    `${NAME}` in any text is replaced by the environment variable. A relative path leads to the file of that name
    in the workflow's folder, or else in the current directory, where those of overrides and `output` begin. Those
    in a compute profile are relative to the profile's folder: it belongs to a cluster, whatever is run there from
    wherever. A compute profile is merged into `compute`, so that the result no longer refers to it; one that is
    given as an override also takes the place of the file's `compute.kind` and `compute.workers`.

    Args:
        path: the YAML file.
        overrides: `a.b=value` texts that replace single keys, the value read as YAML; the last one wins.

    Returns:
        The frozen workflow, durations in seconds, sizes in bytes.

    Raises:
        InputError: naming file and key, what was found and what was expected.
        OSError: the disk fails.

    Example:
        >>> import rivergrad as rg
        >>> workflow = rg.load_workflow("workflow.yaml", ["estimate.steps=50"])
        >>> workflow.time.routing_step  # s
    """
    path = Path(path)
    registry.search_in(path.parent)
    data = read_document(path)
    if _belongs_to_a_run(path):
        _drop_removed(data)
        registry.search_in(*_modules_of(path.parent))
    else:
        beside(data, path.parent)
    if any(override.partition("=")[0].strip() == "compute.profile" for override in overrides):
        _make_way(data)
    for override in overrides:
        _apply(data, override)
    sources = {
        override.partition("=")[0].strip(): f"--set {shortened(override, 100)}" for override in overrides
    }
    data = _expand(data, str(path))
    compute = data.get("compute")
    if isinstance(compute, dict) and isinstance(compute.get("profile"), str):
        data = {**data, "compute": _with_profile(compute, str(path))}
    try:
        return Workflow.model_validate(data, context={FROM_DOCUMENT: True})
    except ValidationError as error:
        raise _mistakes(error, Workflow, str(path), sources) from None


def _belongs_to_a_run(path: Path) -> bool:
    """Whether a file is the configuration that a run wrote, perhaps by an earlier version."""
    records = ("run.json", "written.jsonl")
    return path.name == "config.yaml" and any((path.parent / name).is_file() for name in records)


def _modules_of(run_dir: Path) -> list[str]:
    """The folders of the modules that a run's workflow named, as the run has recorded them."""
    try:
        found = json.loads(text_of(run_dir / "run.json"))
    except (OSError, ValueError, RecursionError):
        return []
    modules = found.get("modules") if isinstance(found, dict) else None
    return [one for one in modules if isinstance(one, str)] if isinstance(modules, list) else []


def _drop_removed(data: dict[str, Any]) -> None:
    """Drop the keys that earlier versions wrote and that no longer exist; none of them changed a result."""
    for section, keys in REMOVED.items():
        below = data.get(section)
        if isinstance(below, dict):
            data[section] = {key: value for key, value in below.items() if key not in keys}


@contextmanager
def naming(path: str | os.PathLike[str], overrides: Sequence[str] = ()) -> Iterator[None]:
    """Errors about a key that show only while a workflow runs name its file too, or the `--set` of the key.

    **Arguments:** as for `load_workflow`.

    **Raises:** `InputError` with the file, for one about a key of the workflow; any other one as it is.
    """
    try:
        yield
    except InputError as error:
        key = error.key
        if key is None or error.where is not None or key.partition(".")[0] not in Workflow.model_fields:
            raise
        names = {override: override.partition("=")[0].strip() for override in reversed(overrides)}
        said = next((one for one, name in names.items() if _within(key, name) or _within(name, key)), None)
        raise error.at(path if said is None else f"--set {shortened(said, 100)}") from error


def dump_resolved(workflow: Workflow) -> str:
    """The workflow as YAML with every default written out; `load_workflow` reads an equal workflow from it.

    **Raises:** `InputError` where a text holds `${...}`, which loading would expand.
    """
    data = workflow.model_dump(mode="json")
    for key, value in _texts(data):
        if _VARIABLE.search(value):
            raise InputError(key=key, found=value, expected="a text without ${...}")
    return write_document(data)


def input_files(workflow: Workflow) -> dict[str, Path]:
    """The files a workflow reads, by their key."""
    sections = {"network": workflow.network, "runoff": workflow.runoff, "observations": workflow.observations}
    found: dict[str, Path | None] = {}
    for name, section in sections.items():
        if section is not None and section.path is not None:
            first, *more = expanded(section.path)
            found |= {f"{name}.path": first, **{f"{name}.path[{i}]": one for i, one in enumerate(more, 1)}}
    if workflow.runoff is not None:
        found |= {f"runoff.weights[{i}]": one for i, one in enumerate(workflow.runoff.weights)}
    if workflow.observations is not None:
        found["observations.stations"] = workflow.observations.stations
    if workflow.runoff is not None:
        found["runoff.forcings"] = workflow.runoff.forcings
    return {key: path for key, path in found.items() if path is not None}


def source_files(path: str | os.PathLike[str], overrides: Sequence[str] = ()) -> list[Path]:
    """The files that a workflow is read from: its own, and its compute profile.

    **Arguments:** as for `load_workflow`, which reads them without a mistake.
    """
    path = Path(path)
    data = read_document(path)
    if not _belongs_to_a_run(path):
        beside(data, path.parent)
    for override in overrides:
        _apply(data, override)
    compute = _expand(data, str(path)).get("compute")
    profile = compute.get("profile") if isinstance(compute, dict) else None
    return [path, *([profile_path(profile)] if isinstance(profile, str) else [])]


def require_files(workflow: Workflow, source: str) -> None:
    """Raise an `InputError` naming key and path unless the files (or folders) that a workflow reads are there."""
    missing = [(key, path) for key, path in input_files(workflow).items() if not path.exists()]
    if missing:
        key, path = missing[0]
        where = "" if path.is_absolute() else " in the workflow's folder or the current one"
        others = ", ".join(f"{other} of {one}" for one, other in missing[1:3])
        more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
        also = f" (nor {'is' if len(missing) == 2 else 'are'} {others}{more})" if others else ""
        raise InputError(
            f"{path} is not there{also}; expected it{where}, or set {DATA_VARIABLE}", where=source, key=key
        )
    for key, path in input_files(workflow).items():
        try:
            require_readable(path)
        except InputError as error:
            raise error.at(source, key) from None


def _make_way(data: dict[str, Any]) -> None:
    """Leave to another profile which cluster computes; how it computes stays as the workflow has it."""
    compute = data.get("compute")
    if isinstance(compute, dict):
        data["compute"] = {key: value for key, value in compute.items() if key not in ("kind", "workers")}


def _apply(data: dict[str, Any], override: str) -> None:
    """Set one key in place, making the sections above it where they are absent."""
    key, equals, text = override.partition("=")
    names = key.strip().split(".")
    if not equals or not all(names) or len(names) > DEEPEST:
        raise InputError(
            "expected key=value, such as estimate.steps=50", where=f"--set {shortened(override, 100)}"
        )
    try:
        value = read_value(text)
    except InputError as error:
        raise error.at(f"--set {shortened(override, 100)}") from None
    for depth, name in enumerate(names[:-1]):
        below = data.get(name)
        if below is None:
            below = data[name] = {}
        if not isinstance(below, dict):
            raise InputError(
                f"{'.'.join(names[: depth + 1])} is {value_text(below)}; expected a section with keys",
                where=f"--set {shortened(override, 100)}",
            )
        data = below
    data[names[-1]] = value


def _expand(data: Any, source: str, key: str = "") -> Any:
    """The same data with `${NAME}` replaced in every text."""
    if isinstance(data, dict):
        return {
            name: _expand(value, source, f"{key}.{name}" if key else name) for name, value in data.items()
        }
    if isinstance(data, list):
        return [_expand(value, source, f"{key}[{i}]") for i, value in enumerate(data)]
    if not isinstance(data, str):
        return data

    def value_of(match: re.Match[str]) -> str:
        name = match.group(1)
        value = os.environ.get(name)
        if value is None or (name == DATA_VARIABLE and not value):
            wanted = "the folder of your data in it" if name == DATA_VARIABLE else "a value"
            raise InputError(
                f"the environment variable {name} is not set; expected {wanted} (export {name}=…)",
                where=source,
                key=key,
            )
        return value

    return _VARIABLE.sub(value_of, data)


def _with_profile(compute: dict[str, Any], source: str) -> dict[str, Any]:
    """The compute section with the keys of its profile standing in for those it lacks."""
    path = profile_path(compute["profile"])
    if not path.is_file():
        raise InputError(
            f"{path} is not a file; expected a profile: a path, or one of {', '.join(profile_names())}",
            where=source,
            key="compute.profile",
        )
    profile = _expand(read_document(path), str(path))
    if "profile" in profile:
        raise InputError(
            "a profile cannot refer to another one; expected the keys of compute", where=path, key="profile"
        )
    try:
        checked = ComputeSection.model_validate(profile, context={FROM_DOCUMENT: True})
    except ValidationError as error:
        raise _mistakes(error, ComputeSection, str(path), {}) from None
    profile = _placed(profile, checked.model_dump(exclude_unset=True), path.parent)
    return _merged(profile, {key: value for key, value in compute.items() if key != "profile"})


def _placed(data: dict[str, Any], checked: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The same keys with relative paths counted from a folder; `checked` tells which values are paths."""
    placed = dict(data)
    for key, value in checked.items():
        if isinstance(value, Path):
            placed[key] = str(folder / value)
        elif isinstance(value, dict) and isinstance(data[key], dict):
            placed[key] = _placed(data[key], value, folder)
    return placed


def _merged(under: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """Keys of both, those of sections in both too; where both have a value, the one of `over`."""
    found = {**under, **over}
    for key in under.keys() & over.keys():
        if isinstance(under[key], dict) and isinstance(over[key], dict):
            found[key] = _merged(under[key], over[key])
    return found


class Mistakes(InputError):
    """The first mistake of a document, which says how many more there are.

    Attributes:
        each: all of them, the first one too.
    """

    each: tuple[InputError, ...] = ()


def _mistakes(
    error: ValidationError, model: type[BaseModel], source: str, sources: dict[str, str]
) -> Mistakes:
    """All mistakes; unknown keys first, they explain others."""
    mistakes = sorted(
        error.errors(include_url=False), key=lambda mistake: mistake["type"] != "extra_forbidden"
    )
    each = []
    for mistake in mistakes:
        key = _key(mistake["loc"])
        where = next(
            (text for name, text in sources.items() if _within(key, name) or _within(name, key)), source
        )
        each.append(_described(mistake, key, model).at(where, key or None))
    first = each[0]
    more = f" (and {len(each) - 1} more)" if len(each) > 1 else ""
    found = Mistakes(
        first.what and first.what + more,
        where=first.where,
        key=first.key,
        found=first.found,
        expected=first.expected and first.expected + more,
        advice=first.advice,
    )
    found.each = tuple(each)
    return found


def _within(key: str, section: str) -> bool:
    """Whether a key is a section, or lies in it."""
    return (
        bool(section) and key.startswith(section) and key[len(section) : len(section) + 1] in ("", ".", "[")
    )


def _key(location: tuple[int | str, ...]) -> str:
    """`("time", "train", 0)` as `time.train[0]`, without the names of the branches of a union."""
    names = [name for name in location if isinstance(name, int) or re.fullmatch(r"[A-Za-z0-9_.-]+", name)]
    text = ""
    for name in names:
        text += f"[{name}]" if isinstance(name, int) else f".{name}" if text else name
    return text


def _described(mistake: ErrorDetails, key: str, model: type[BaseModel]) -> InputError:
    """What is wrong with a value: in words, or what was found and what was expected."""
    kind, message, found = mistake["type"], mistake["msg"], mistake["input"]
    if kind == "extra_forbidden":
        nearest = nearest_key(key, model)
        return InputError(f"unknown key; did you mean {nearest}?" if nearest else "unknown key")
    if kind == "missing":
        return InputError(f"missing; expected {description(key, model) or 'a value'}")
    if kind == "value_error":
        said = mistake["ctx"]["error"]
        if isinstance(said, InputError) and said.what and said.where is None:
            return InputError(said.what, found=said.found, expected=said.expected, advice=said.advice)
        return InputError(str(said))
    if kind in ("model_type", "dict_type", "model_attributes_type"):
        message = "a section with keys"
    elif kind == "string_pattern_mismatch":
        message = description(key, model) or message
    expected = _EXPECTED.get(kind) or message.removeprefix("Input should be ")
    if expected.startswith(("greater", "less")):
        expected = f"a value {expected}"
    return InputError(found=found, expected=expected)


def nearest_key(key: str, model: type[BaseModel] = Workflow) -> str | None:
    """The known key that an unknown one was probably meant to be: of its section if possible, else of any."""
    known = [name for name, _ in _keys(model)]
    section, _, name = key.rpartition(".")
    siblings = {
        candidate.rpartition(".")[2]: candidate
        for candidate in known
        if candidate.rpartition(".")[0] == section
    }
    for cutoff, candidates in (
        (0.6, siblings),
        (0.8, {candidate.rpartition(".")[2]: candidate for candidate in reversed(known)}),
        (0.6, {candidate: candidate for candidate in known}),
    ):
        match = difflib.get_close_matches(
            key if cutoff == 0.6 and candidates is not siblings else name, candidates, 1, cutoff
        )
        if match:
            return candidates[match[0]]
    return None


def description(key: str, model: type[BaseModel] = Workflow) -> str | None:
    """The sentence that the schema says about a key, without its full stop, or None for an unknown key."""
    text = dict(_keys(model)).get(re.sub(r"\[\d+\]", "", key))
    return f"{text[0].lower()}{text[1:].rstrip('.')}" if text else None


def _keys(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Every key of a model and of the models below it, with its description."""
    for name, field in model.model_fields.items():
        yield f"{prefix}{name}", field.description or ""
        for kind in (field.annotation, *get_args(field.annotation)):
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                yield from _keys(kind, f"{prefix}{name}.")


def _texts(data: Any, key: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(data, dict):
        for name, value in data.items():
            yield from _texts(value, f"{key}.{name}" if key else name)
    elif isinstance(data, list):
        for i, value in enumerate(data):
            yield from _texts(value, f"{key}[{i}]")
    elif isinstance(data, str):
        yield key, data
