"""YAML documents as plain data, read by the rules of YAML 1.2 and refusing what would be read silently wrong.

Under PyYAML's own rules (YAML 1.1) the gauge `01567000` is the integer 452096, `1e-3` is text, `no` is false
and a key given twice counts as given once.
"""

from __future__ import annotations

import re
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from rivergrad.errors import InputError
from rivergrad.files import require_readable

_RESOLVERS = (
    ("tag:yaml.org,2002:bool", r"^(?:true|True|TRUE|false|False|FALSE)$", "tTfF"),
    ("tag:yaml.org,2002:null", r"^(?:~|null|Null|NULL|)$", ["~", "n", "N", ""]),
    ("tag:yaml.org,2002:int", r"^[-+]?(?:0|[1-9][0-9]*)$", "-+0123456789"),
    (
        "tag:yaml.org,2002:float",
        r"^[-+]?(?:(?:\.[0-9]+|[0-9]+\.[0-9]*)(?:[eE][-+]?[0-9]+)?|[0-9]+[eE][-+]?[0-9]+|\.(?:inf|Inf|INF))$"
        r"|^\.(?:nan|NaN|NAN)$",
        "-+0123456789.",
    ),
    ("tag:yaml.org,2002:merge", r"^<<$", "<"),
)


class _Loader(yaml.SafeLoader):
    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012


class _Dumper(yaml.SafeDumper):
    # Keeps the rules of YAML 1.1 beside those below, so that text stays text for either kind of reader.
    def ignore_aliases(self, data: Any) -> bool:
        return True


def _mapping(loader: _Loader, node: yaml.MappingNode) -> dict[Hashable, Any]:
    loader.flatten_mapping(node)
    mapping: dict[Hashable, Any] = {}
    for key_node, value_node in node.value:
        key = loader.construct_object(key_node, deep=True)
        line = key_node.start_mark.line + 1
        if not isinstance(key, str):
            raise InputError(f"line {line}: found the key {key!r}; expected a name")
        if key in mapping:
            raise InputError(f"line {line}: the key '{key}' is given twice; expected it once")
        mapping[key] = loader.construct_object(value_node, deep=True)
    return mapping


def _flow_list(dumper: yaml.SafeDumper, values: list[Any]) -> yaml.Node:
    return dumper.represent_sequence("tag:yaml.org,2002:seq", values, flow_style=True)


for _tag, _pattern, _first in _RESOLVERS:
    for _class in (_Loader, _Dumper):
        _class.add_implicit_resolver(_tag, re.compile(_pattern), list(_first))
_Loader.add_constructor("tag:yaml.org,2002:map", _mapping)
_Dumper.add_representer(list, _flow_list)


def read_document(path: Path) -> dict[str, Any]:
    """The mapping a YAML file holds.

    **Raises:** `InputError` naming the file and the line where it is not YAML, gives a key twice or is not a
    mapping; `OSError` where it cannot be read.
    """
    require_readable(path, "file or directory", file=True, streams=True)
    try:
        data = yaml.load(path.read_bytes(), _Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise InputError(f"{path}: {where}not YAML: {error.problem or error.context}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not a YAML text: {str(error).splitlines()[0]}") from None
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    if not isinstance(data, dict):
        raise InputError(
            f"{path}: found {'nothing' if data is None else repr(data)}; expected 'key: value' lines"
        )
    return data


def read_value(text: str) -> Any:
    """A value as YAML reads it: `3`, `1e-3`, `true`, `[2001-01-01, 2002-12-31]`, `text`.

    **Raises:** `InputError` where it is not YAML.
    """
    try:
        return yaml.load(text, _Loader)
    except yaml.YAMLError:
        raise InputError(f"found {text!r}; expected a YAML value") from None


def write_document(data: dict[str, Any]) -> str:
    """The YAML text of plain data, keys in their order; `read_document` reads the same data back."""
    return yaml.dump(data, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110)
