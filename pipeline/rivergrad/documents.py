"""YAML documents as plain data, read by the rules of YAML 1.2 and refusing what would be read silently wrong.

ruamel.yaml takes the text apart; what comes out are texts, numbers, true, false, null, lists and mappings. By the
rules of YAML 1.1 the gauge `01567000` would be the integer 452096, `1e-3` a text and `no` false; a key given twice
would count as given once. Nothing that a file holds can run code, or take more memory or time than its size allows.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)
from ruamel.yaml.representer import SafeRepresenter
from ruamel.yaml.resolver import BaseResolver, implicit_resolvers

from rivergrad.errors import InputError, shortened, value_text
from rivergrad.files import require_readable

MAX_BYTES = 4 * 2**20
"""The largest file: a workflow that names 100,000 gauges has 1.5 MB."""
MAX_DEPTH = 50
"""How deep lists and mappings may lie in each other; a workflow has four levels."""
MAX_VALUES = 500_000
"""The most values of a document, those that aliases stand for counted each time."""
MAX_DIGITS = 300
"""The most digits of an integer: every such integer has a floating-point number next to it."""
SHORT_LIST = 90
"""Characters of a list that is written on one line."""

_BOOL = r"(?:true|True|TRUE|false|False|FALSE)"
_NULL = r"(?:~|null|Null|NULL|)"
_INT = r"[-+]?(?:0|[1-9][0-9]*)"
_FLOAT = (
    r"[-+]?(?:(?:\.[0-9]+|[0-9]+\.[0-9]*)(?:[eE][-+]?[0-9]+)?|[0-9]+[eE][-+]?[0-9]+|\.(?:inf|Inf|INF))"
    r"|\.(?:nan|NaN|NAN)"
)
_TYPES = {
    "null": re.compile(_NULL),
    "bool": re.compile(_BOOL),
    "int": re.compile(_INT),
    "float": re.compile(_FLOAT),
}
"""The plain scalars that are no text, by the rules of YAML 1.2."""
_NEVER = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_PREFIX = "tag:yaml.org,2002:"
_BOMS = ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))


def read_document(path: Path) -> dict[str, Any]:
    """The mapping that a YAML file holds.

    Args:
        path: a file in UTF-8, or in UTF-16 with a byte-order mark.

    Returns:
        Texts, numbers, true, false, None, lists and mappings.

    Raises:
        InputError: a file that can't be read, that is no YAML, gives a key twice or is no mapping; naming the file, and
            the line.
        OSError: the disk fails.
    """
    require_readable(path, "file or directory", file=True, streams=True)
    with path.open("rb") as file:
        content = file.read(MAX_BYTES + 1)
    try:
        if len(content) > MAX_BYTES:
            raise InputError(
                f"has more than {MAX_BYTES // 2**20} MB; expected a workflow, a profile or the like"
            )
        data = _parsed(_decoded(content))
    except InputError as error:
        raise error.at(path) from None
    if not isinstance(data, dict):
        raise InputError(where=path, found=data, expected="'key: value' lines")
    return data


def read_text(text: str, source: object) -> dict[str, Any]:
    """The mapping that a YAML text holds; see `read_document`. `source` says whose text it is."""
    try:
        data = _parsed(text)
    except InputError as error:
        raise error.at(source) from None
    if not isinstance(data, dict):
        raise InputError(where=source, found=data, expected="'key: value' lines")
    return data


def read_value(text: str) -> Any:
    """A value as YAML reads it: `3`, `1e-3`, `true`, `[2001-01-01, 2002-12-31]`, `text`.

    Raises:
        InputError: it is no YAML, or none that a document may hold.
    """
    if len(text) > MAX_BYTES:
        raise InputError(f"found a value of {len(text)} characters; expected at most {MAX_BYTES}")
    try:
        return _parsed(text)
    except _SyntaxError:
        raise InputError(f"found {value_text(text)}; expected a YAML value") from None


def write_document(data: dict[str, Any]) -> str:
    """The YAML text of plain data, keys in their order; `read_document` reads the same data back."""
    yaml: Any = YAML(typ="safe", pure=True)
    yaml.Resolver, yaml.Representer = _Resolver, _Representer
    yaml.sort_base_mapping_type_on_output = False
    yaml.default_flow_style = False
    yaml.allow_unicode = True
    yaml.width = MAX_BYTES  # a text that is broken into lines loses a tab before a space
    stream = io.StringIO()
    yaml.dump(data, stream)
    return stream.getvalue()


class _SyntaxError(InputError):
    """A text that is no YAML."""


@dataclass
class _Open:
    """A list or mapping whose end is not reached: `key` is that of the value to come, `merged` what `<<` gives."""

    value: dict[str, Any] | list[Any]
    anchor: str | None
    size: int = 1
    key: str | None = None
    merged: list[dict[str, Any]] = field(default_factory=list)


_MERGE = "\0merge"  # no key is that: texts hold no NUL


class _Builder:
    """Makes data of events, one after the other, with a stack of its own: depth and size are counted as they grow."""

    def __init__(self) -> None:
        self.result: Any = None
        self.documents = 0
        self._stack: list[_Open] = []
        self._anchors: dict[str, tuple[Any, int]] = {}
        self._size = 0

    def take(self, event: Event) -> None:
        """Go on with the next event."""
        line = event.start_mark.line + 1
        if isinstance(event, DocumentStartEvent):
            self.documents += 1
            if self.documents > 1:
                raise _SyntaxError(f"line {line}: not YAML: found another document; expected one")
        elif isinstance(event, MappingStartEvent | SequenceStartEvent):
            self._begin(event, line)
        elif isinstance(event, MappingEndEvent | SequenceEndEvent):
            done = self._stack.pop()
            self._end(done)
            self._put(done.value, done.anchor, done.size, line)
        elif isinstance(event, AliasEvent):
            self._put(*self._aliased(event, line), line)
        elif isinstance(event, ScalarEvent):
            self._put(self._scalar(event, line), event.anchor, 1, line)

    def _begin(self, event: MappingStartEvent | SequenceStartEvent, line: int) -> None:
        kind = "map" if isinstance(event, MappingStartEvent) else "seq"
        tag = _tag(event)
        if tag not in (None, "!", kind):
            _refuse_tag(tag, line)
        if self._wants_key():
            raise InputError(
                f"line {line}: found a {'mapping' if kind == 'map' else 'list'} as a key; expected a name"
            )
        if len(self._stack) == MAX_DEPTH:
            raise InputError(
                f"line {line}: found more than {MAX_DEPTH} lists or mappings in each other; expected fewer"
            )
        if event.anchor is not None:
            self._anchors.pop(event.anchor, None)
        self._stack.append(_Open({} if kind == "map" else [], event.anchor))

    def _wants_key(self) -> bool:
        return bool(self._stack) and isinstance(self._stack[-1].value, dict) and self._stack[-1].key is None

    def _aliased(self, event: AliasEvent, line: int) -> tuple[Any, None, int]:
        if event.anchor in self._anchors:
            value, size = self._anchors[event.anchor]
            return value, None, size
        if any(one.anchor == event.anchor for one in self._stack):
            raise InputError(
                f"line {line}: *{event.anchor} stands for what it is a part of; expected no such circle"
            )
        raise _SyntaxError(f"line {line}: not YAML: found *{event.anchor}, which nothing before it is called")

    def _put(self, value: Any, anchor: str | None, size: int, line: int) -> None:
        """Give a value its place; `size` is how many values it is, itself included."""
        self._size += size
        if self._size > MAX_VALUES:
            raise InputError(
                f"line {line}: found more than {MAX_VALUES} values, counting what aliases stand for; expected fewer"
            )
        if anchor is not None:
            self._anchors[anchor] = value, size
        if not self._stack:
            self.result = value
            return
        above = self._stack[-1]
        above.size += size
        if isinstance(above.value, list):
            above.value.append(value)
        elif above.key is None:
            above.key = self._key(value, above.value, line)
        else:
            self._set(above, value, line)
            above.key = None

    def _key(self, value: Any, known: dict[str, Any], line: int) -> str:
        if not isinstance(value, str):
            raise InputError(f"line {line}: found the key {value_text(value)}; expected a name")
        if value in known:
            raise InputError(f"line {line}: the key '{shortened(value)}' is given twice; expected it once")
        return value

    def _set(self, above: _Open, value: Any, line: int) -> None:
        assert isinstance(above.value, dict)
        assert above.key is not None
        if above.key != _MERGE:
            above.value[above.key] = value
            return
        parts = value if isinstance(value, list) else [value]
        if above.merged or not all(isinstance(one, dict) for one in parts):
            raise InputError(f"line {line}: found {value_text(value)} after <<; expected mappings, once")
        above.merged = [*parts]

    def _end(self, done: _Open) -> None:
        """A key of the mapping's own wins over one that it merges, and of those the first."""
        for part in done.merged:
            for name, value in part.items():
                done.value.setdefault(name, value)  # type: ignore[union-attr]

    def _scalar(self, event: ScalarEvent, line: int) -> Any:
        tag = _tag(event)
        text = _text(event.value, line)
        plain = bool(event.implicit[0]) if tag is None else tag == "!"
        if self._wants_key() and plain and text == "<<":
            return _MERGE
        if tag in (None, "!", "str"):
            kind = next((name for name, pattern in _TYPES.items() if pattern.fullmatch(text)), "str")
            return _value(kind, text, line) if plain else text
        if tag not in _TYPES:
            _refuse_tag(tag, line)
        # an integer is also a number with a fraction of zero
        if not (_TYPES[tag].fullmatch(text) or (tag == "float" and _TYPES["int"].fullmatch(text))):
            raise InputError(
                f"line {line}: found {value_text(text)} with the tag !!{tag}; expected one that fits it"
            )
        return _value(tag, text, line)


def _value(kind: str, text: str, line: int) -> Any:
    if kind == "int":
        if len(text) > MAX_DIGITS:
            raise InputError(
                f"line {line}: found an integer of {len(text)} digits; expected at most {MAX_DIGITS}"
            )
        return int(text)
    if kind == "float":
        return float(text.replace(".inf", "inf").replace(".nan", "nan") if text[-1].isalpha() else text)
    return {"null": None, "bool": text.lower() == "true", "str": text}[kind]


def _text(text: str, line: int) -> str:
    """A text whose escapes of surrogates are the characters that they stand for in pairs.

    Raises:
        InputError: a lone surrogate, or a control character.
    """
    if any("\ud800" <= one <= "\udfff" for one in text):
        try:
            text = text.encode("utf-16", "surrogatepass").decode("utf-16")
        except UnicodeError:
            raise InputError(
                f"line {line}: found {value_text(text)} with half of a character (a lone surrogate); expected the whole"
            ) from None
    if _NEVER.search(text):
        raise InputError(
            f"line {line}: found {value_text(text)} with a control character; expected text without"
        )
    return text


def _tag(event: Any) -> str | None:
    """The tag that a value was given: `int` for `!!int`, another's as it is written, None for none."""
    tag = None if event.ctag is None else str(event.ctag)
    return tag.removeprefix(_PREFIX) if tag else None


def _refuse_tag(tag: str | None, line: int) -> NoReturn:
    name = str(tag) if str(tag).startswith("!") else f"!!{tag}"
    raise InputError(
        f"line {line}: not YAML as it is read here: found the tag {shortened(name)}; expected plain texts, numbers, "
        "lists and mappings"
    )


def _events(text: str) -> Iterator[Event]:
    yield from YAML(typ="safe", pure=True).parse(io.StringIO(text))


def _parsed(text: str) -> Any:
    """The data of a text that holds one document, or none.

    Raises:
        InputError: naming the line.
    """
    builder = _Builder()
    try:
        for event in _events(text):
            builder.take(event)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise _SyntaxError(f"{where}not YAML: {shortened(error.problem or error.context, 150)}") from None
    except (YAMLError, ValueError, OverflowError, RecursionError) as error:
        if isinstance(error, InputError):
            raise
        raise _SyntaxError(f"not a YAML text: {shortened(' '.join(str(error).split()), 150)}") from None
    return builder.result


def _decoded(content: bytes) -> str:
    encoding = next((name for mark, name in _BOMS if content.startswith(mark)), "utf-8")
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        raise InputError(
            f"not a YAML text: byte {error.start + 1} is no {encoding.upper()}; expected a text in UTF-8"
        ) from None


class _Resolver(BaseResolver):
    """Tells which texts have to be quoted: all that readers of YAML 1.1 or 1.2 would take for something else."""

    def __init__(self, version: Any = None, loader: Any = None) -> None:
        super().__init__(loader)


for _, _tag_name, _rule, _first in implicit_resolvers:
    _Resolver.add_implicit_resolver_base(_tag_name, _rule, _first)
for _name, _pattern in _TYPES.items():
    _Resolver.add_implicit_resolver_base(
        _PREFIX + _name, re.compile(f"(?:{_pattern.pattern})$"), [*"-+.0123456789tTfF~nN", ""]
    )


class _Representer(SafeRepresenter):
    """Short lists on one line, nothing by reference; 1e-05 as `1.0e-05`, as YAML 1.1 takes `1e-05` for a text."""

    def ignore_aliases(self, data: Any) -> bool:
        return True

    def represent_line(self, data: list[Any]) -> Any:
        return self.represent_sequence(f"{_PREFIX}seq", data, flow_style=len(str(data)) <= SHORT_LIST)

    def represent_text(self, data: str) -> Any:
        # in a list, readers of YAML 1.1 take a question mark, or a colon in front, for a sign
        return self.represent_scalar(
            f"{_PREFIX}str", data, style="'" if "?" in data or data.startswith(":") else None
        )

    def represent_number(self, data: float) -> Any:
        node = self.represent_float(data)
        if "e" in node.value and "." not in node.value:
            node.value = node.value.replace("e", ".0e", 1)
        return node


_Representer.add_representer(list, _Representer.represent_line)
_Representer.add_representer(str, _Representer.represent_text)
_Representer.add_representer(float, _Representer.represent_number)
