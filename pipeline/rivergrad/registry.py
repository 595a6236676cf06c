"""Schemes, losses, optimisers, models, formats, clusters, panels and fields: each by its name, or by an import path.

An `Entry` says what a part is without importing it: its name, one sentence, its options. The schema of workflows,
`validate`, `--help` and the tables in the docs are made of entries, so that a name stands in one place:
`rivergrad.entries` for rivergrad's own parts. Parts of other people come in three ways:

- in Python: `rivergrad.register("loss", "mae", mae)`;
- in a workflow or on the command line: `package.module:Object`;
- by an installed package: an entry point in the group `rivergrad.<kind>s`, such as `rivergrad.formats`.

Nothing here imports torch.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import MISSING, dataclass, field, fields, is_dataclass
from difflib import get_close_matches
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any, TypeVar, overload

from rivergrad.errors import InputError, shortened

KINDS = {
    "scheme": "rivergrad.routing.schemes:checked",
    "loss": "rivergrad.inference.loss:checked",
    "optimiser": "rivergrad.run.optimisers:checked",
    "parameter_model": "rivergrad.model.parametermodel:checked",
    "runoff_model": "rivergrad.runoff.load:checked",
    "format": "rivergrad.io.formats:checked",
    "cluster": "rivergrad.cluster.clusters:checked",
    "exporter": "rivergrad.io.exporters.base:checked",
    "panel": "rivergrad.report.panels:checked",
    "field": "rivergrad.report.fields:checked",
}
"""What can be registered, each with the function `(object, name) -> object` that checks it at first use."""

IMPORT_PATH = r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*(\.[A-Za-z_]\w*)*$"
"""`package.module:Object`."""
T = TypeVar("T")


@dataclass(frozen=True)
class Option:
    """A further argument of a part.

    Attributes:
        name: as in a workflow.
        type: in words, such as `number`.
        default: what it is if not given; `...` where it has to be given.
        summary: one sentence.
    """

    name: str
    type: str
    default: Any = ...
    summary: str = ""


@dataclass(frozen=True)
class Entry:
    """What is known of a part before it is imported.

    Attributes:
        kind: one of `KINDS`.
        name: its name, or its import path.
        summary: one sentence.
        path: `package.module:Object` that it is imported from; None where `object` is given.
        options: its further arguments.
        facts: what other parts of a workflow have to know of it, such as the range of a scheme's spreading.
        object: the part itself, where it was registered in Python.
        unseen: it is named but was not imported, see `importing_nothing`: options and facts are not known.
    """

    kind: str
    name: str
    summary: str = ""
    path: str | None = None
    options: tuple[Option, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)
    object: Any = None
    unseen: bool = False

    @property
    def option_names(self) -> tuple[str, ...]:
        """The names of its options."""
        return tuple(option.name for option in self.options)

    @property
    def outside(self) -> bool:
        """Whether it is not one of rivergrad's own."""
        return self.path is None or not self.path.startswith("rivergrad.")

    def load(self) -> Any:
        """The part, imported and checked; None of one that is unseen.

        Raises:
            InputError: it can't be imported, or is no part of this kind.
        """
        if self.unseen:
            return None
        found = self.object if self.path is None else import_object(self.path, key_of(self.kind))
        check = KINDS[self.kind]
        return found if not check else import_object(check)(found, self.name)


_registered: dict[tuple[str, str], Entry] = {}
_folders: list[str] = []
_unseen: ContextVar[bool] = ContextVar("unseen", default=False)


def entries(kind: str) -> tuple[Entry, ...]:
    """The parts of a kind that have a name: rivergrad's own first, then those that were registered."""
    from rivergrad.entries import BUILT_IN

    own = tuple(entry for entry in BUILT_IN if entry.kind == _kind(kind))
    return own + tuple(entry for (one, _), entry in _registered.items() if one == kind)


def installed(kind: str) -> tuple[Entry, ...]:
    """The parts that installed packages announce by entry points."""
    found = [
        described(kind, point.name, import_object(point.value, key_of(kind)), path=point.value)
        for point in _entry_points(kind)
    ]
    return tuple(found)


def names(kind: str) -> tuple[str, ...]:
    """The names of `entries`."""
    return tuple(entry.name for entry in entries(kind))


def entry(kind: str, name: str) -> Entry:
    """The part of that name or import path; one of rivergrad's own is not imported.

    Raises:
        InputError: no such name, with the nearest; or an import path that leads to nothing.
    """
    known = {one.name: one for one in entries(kind)}
    if name in known:
        return known[name]
    if is_path(name):
        if _unseen.get():
            return Entry(kind, name, path=name, unseen=True)
        return described(kind, name, import_object(name, key_of(kind)), path=name)
    for point in _entry_points(kind):
        if point.name == name:
            if _unseen.get():
                return Entry(kind, name, path=point.value, unseen=True)
            return described(kind, name, import_object(point.value, key_of(kind)), path=point.value)
    near = get_close_matches(str(name), known, n=1, cutoff=0.5)
    hint = f"; did you mean {near[0]}?" if near else ""
    raise InputError(
        f"not known; expected one of {', '.join(known)}, or an import path package.module:Object{hint}",
        key=key_of(kind),
        found=shortened(repr(name)),
    )


def key_of(kind: str) -> str:
    """What messages call a kind of parts: the key of workflows where it has one of its own, else its words."""
    return "runoff.model" if kind == "runoff_model" else kind.replace("_", " ")


def load(kind: str, name: str) -> Any:
    """The part itself: `entry(kind, name).load()`."""
    return entry(kind, name).load()


def is_path(name: object) -> bool:
    """Whether a name is an import path, `package.module:Object`."""
    return isinstance(name, str) and re.fullmatch(IMPORT_PATH, name) is not None


@overload
def register(
    kind: str, name: str, object: T, *, summary: str | None = None, facts: Mapping[str, Any] | None = None
) -> T: ...
@overload
def register(
    kind: str, name: str, *, summary: str | None = None, facts: Mapping[str, Any] | None = None
) -> Callable[[T], T]: ...
def register(
    kind: str,
    name: str,
    object: Any = None,
    *,
    summary: str | None = None,
    facts: Mapping[str, Any] | None = None,
) -> Any:
    """Give a part of your own a name, to be used in Python and in workflows that this process runs.

    A workflow that others run names the import path instead, `package.module:Object`, which needs no registration.

    Args:
        kind: `scheme`, `loss`, `optimiser`, `parameter_model`, `runoff_model`, `format`, `exporter`,
            `cluster`, `panel` or `field`.
        name: letters, digits and underscores; none of rivergrad's own names.
        object: the part; without it, `register` is a decorator.
        summary: one sentence; by default the first line of the docstring.
        facts: what workflows have to know of it; by default read from the object.

    Returns:
        `object`.

    Raises:
        InputError: no such kind, a name that is taken or not a name, or an object that is no part of this kind.

    Example:
        >>> import rivergrad as rg
        >>> @rg.register("loss", "mean_absolute")
        ... def mean_absolute(pairs):
        ...     '''Mean absolute error over the deviation of the record.'''
        ...     return pairs.mean((pairs.simulated - pairs.observed).abs()) / pairs.statistics.variance.sqrt()
    """
    if object is None:
        return lambda made: register(kind, name, made, summary=summary, facts=facts)
    from rivergrad.entries import BUILT_IN

    _kind(kind)
    words = kind.replace("_", " ")
    if re.fullmatch(r"[A-Za-z_]\w*", name) is None:
        raise InputError(f"{words} {name!r}: expected a name of letters, digits and underscores")
    if any(one.kind == kind and one.name == name for one in BUILT_IN):
        raise InputError(f"{words} {name}: a built-in {words} has this name; choose another")
    new = described(kind, name, object, summary=summary, facts=facts)
    new.load()
    _registered[kind, name] = new
    return object


def described(
    kind: str,
    name: str,
    object: Any,
    *,
    path: str | None = None,
    summary: str | None = None,
    facts: Mapping[str, Any] | None = None,
) -> Entry:
    """The entry of an object, told from the object itself: its docstring, its arguments, its attribute `facts`."""
    text = inspect.getdoc(object if isinstance(object, type) or callable(object) else type(object)) or ""
    said = summary if summary is not None else text.partition("\n")[0]
    known = _facts(object) if facts is None else facts
    return Entry(
        kind, name, said, path, options_of(object), dict(known), None if path is not None else object
    )


def _facts(object: Any) -> Mapping[str, Any]:
    """What an object says of itself: its attribute `facts`, and the spreading of a scheme."""
    said = getattr(object, "facts", None)
    known = dict(said) if isinstance(said, Mapping) else {}
    spreading: Any = getattr(object, "spreading", None)
    if hasattr(spreading, "upper"):
        known |= {"spreading": spreading.name, "spreading_limit": spreading.upper}
    return known


def options_of(made: Any) -> tuple[Option, ...]:
    """The arguments that a class can be made with."""
    if not isinstance(made, type):
        return ()
    if is_dataclass(made):
        return tuple(
            Option(one.name, _type_text(one.type), ... if one.default is MISSING else one.default)
            for one in fields(made)
            if one.init
        )
    try:
        parameters = list(inspect.signature(made).parameters.values())
    except (TypeError, ValueError):
        return ()
    return tuple(
        Option(
            one.name,
            _type_text(one.annotation),
            ... if one.default is inspect.Parameter.empty else one.default,
        )
        for one in parameters
        if one.kind in (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    )


def made_with(part: Any, name: str, options: Mapping[str, Any], what: str) -> Any:
    """A class called with its options, or an object as it is.

    Raises:
        InputError: options that it does not take, or what its constructor raises.
    """
    if not isinstance(part, type):
        if options:
            raise InputError(
                f"{what} {name}: found options {', '.join(options)}; expected none, it takes none"
            )
        return part
    try:
        return part(**options)
    except InputError:
        raise
    except Exception as error:  # whatever a user's class does when it is made
        shown = ", ".join(f"{key}={value!r}" for key, value in options.items()) or "no options"
        raise InputError(f"{what} {name}: can't be made with {shown}: {_short(error)}") from error


def registered() -> tuple[Entry, ...]:
    """What was registered in this process."""
    return tuple(_registered.values())


def adopt(parts: Iterable[Entry]) -> None:
    """Know what was registered in another process."""
    for part in parts:
        _registered[part.kind, part.name] = part


@contextmanager
def forgetting() -> Iterator[None]:
    """What is registered meanwhile is forgotten at the end."""
    before = dict(_registered)
    try:
        yield
    finally:
        _registered.clear()
        _registered.update(before)


@contextmanager
def importing_nothing() -> Iterator[None]:
    """Meanwhile parts of other people are known by name only: a workflow is looked at, not carried out."""
    token = _unseen.set(True)
    try:
        yield
    finally:
        _unseen.reset(token)


# The rule where a workflow's own modules are looked for. What Python itself finds comes first; then the folders
# below, which are put at the end of sys.path only once a workflow names a module that lies there.


def search_in(*folders: str | os.PathLike[str]) -> None:
    """Look for modules that a workflow names in these folders too, after those that Python finds by itself."""
    for folder in folders:
        absolute = str(Path(folder).absolute())
        if absolute not in _folders:
            _folders.append(absolute)


def search_folders() -> tuple[str, ...]:
    """The folders that modules have been taken from so far: what a worker needs to find the same."""
    return tuple(folder for folder in _folders if folder in sys.path)


def extend_path(folders: Iterable[str]) -> None:
    """Make modules of these folders importable: for a worker, with the `search_folders` of its run."""
    for folder in folders:
        if folder not in _folders:
            _folders.append(folder)
        if folder not in sys.path:
            sys.path.append(folder)


def import_object(path: str, key: str | None = None) -> Any:
    """What an import path `package.module:Object` leads to.

    Args:
        path: the import path.
        key: what the messages say it is, such as `scheme`.

    Raises:
        InputError: no such module or object, or whatever the module raises when it is imported.
    """
    if not is_path(path):
        raise InputError(key=key, found=path, expected="an import path package.module:Object")
    said, found_at = (key, path) if key is not None else (path, None)
    name, _, attributes = path.partition(":")
    _make_importable(name.partition(".")[0])
    try:
        found: Any = importlib.import_module(name)
    except Exception as error:  # whatever a user's module does when it is imported
        raise InputError(
            f"module {name} can't be imported: {_short(error)}", key=said, found=found_at
        ) from error
    for attribute in attributes.split("."):
        if not hasattr(found, attribute):
            raise InputError(f"module {name} has no {attribute}", key=said, found=found_at)
        found = getattr(found, attribute)
    return found


def _make_importable(top: str) -> None:
    """Put the folder that holds a module at the end of sys.path, where Python does not find the module by itself."""
    if top in sys.modules or _found(top):
        return
    looked = [str(Path.cwd()), *_folders]
    folder = next((one for one in looked if PathFinder.find_spec(top, [one]) is not None), None)
    if folder is not None:
        extend_path([folder])
        importlib.invalidate_caches()


def _found(top: str) -> bool:
    try:
        return importlib.util.find_spec(top) is not None
    except (ImportError, ValueError):
        return False


def _entry_points(kind: str) -> Iterable[Any]:
    from importlib.metadata import entry_points

    return entry_points(group=f"rivergrad.{kind}s")


def _kind(kind: str) -> str:
    if kind not in KINDS:
        raise InputError(f"found the kind {kind!r}; expected one of {', '.join(KINDS)}", found=kind)
    return kind


def _type_text(annotation: Any) -> str:
    if annotation is inspect.Parameter.empty:
        return "any"
    return annotation if isinstance(annotation, str) else getattr(annotation, "__name__", str(annotation))


def _short(error: BaseException) -> str:
    return " ".join(str(error).split())[:160] or type(error).__name__
