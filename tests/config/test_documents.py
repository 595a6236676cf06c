"""YAML by the rules of YAML 1.2, and no key read silently wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from rivergrad.documents import read_document, read_value, write_document
from rivergrad.errors import InputError


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("01567000", "01567000"),
        ("12", 12),
        ("-3", -3),
        ("0", 0),
        ("1e-3", 1e-3),
        ("0.5", 0.5),
        ("12:30", "12:30"),
        ("no", "no"),
        ("true", True),
        ("2001-01-01", "2001-01-01"),
        ("", None),
        ("null", None),
        ("[2001-01-01, 3h]", ["2001-01-01", "3h"]),
    ],
)
def test_values(text: str, value: object) -> None:
    found = read_value(text)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb:\n  c: 1\n  c: 2\n", "line 4: the key 'c' is given twice"),
        ("a: [1\nb: 2\n", "line 2, column 2: not YAML"),
        ("- 1\n", r"found \[1\]; expected 'key: value' lines"),
        ("", "found nothing; expected 'key: value' lines"),
        ("1: 2\n", "line 1: found the key 1; expected a name"),
        ("a: !!python/object:os.system x\n", "not YAML"),
        ("a: \x00", "not a YAML text"),
    ],
)
def test_mistakes_name_file_and_line(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "w.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=message) as caught:
        read_document(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert len(str(caught.value).splitlines()) <= 2


def test_not_utf8(tmp_path: Path) -> None:
    path = tmp_path / "w.yaml"
    path.write_bytes(b"name: \xff\xfe\n")
    with pytest.raises(InputError, match=r"w\.yaml: not a YAML text"):
        read_document(path)


def test_written_text_reads_back_under_either_set_of_rules(tmp_path: Path) -> None:
    texts = ["01567000", "1e-3", "no", "12:30", "2001-01-01", "null", "3h", "a: b", "é", "", "1_000", "0x1F"]
    data: dict[str, Any] = {
        "texts": texts,
        "n": None,
        "number": 1e-05,
        "large": 1e22,
        "flag": True,
        "empty": [],
    }
    path = tmp_path / "w.yaml"
    path.write_text(write_document(data), encoding="utf-8")
    assert read_document(path) == data
    assert yaml.safe_load(path.read_text(encoding="utf-8")) == data
