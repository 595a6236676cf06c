"""YAML that is damaged, hostile or strange: right, or one or two short lines; never a traceback, never a hang."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from rivergrad.cli.app import app
from rivergrad.cli.guard import MAX_LINE
from rivergrad.config.load import load_workflow
from rivergrad.documents import MAX_BYTES, read_document, read_value, write_document
from rivergrad.errors import InputError

BOMB = "a0: &a0 [x, x]\n" + "".join(f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]\n" for i in range(1, 60))
MERGE_BOMB = "b0: &b0 {x: 1}\n" + "".join(
    f"b{i}: &b{i} {{k{i}: *b{i - 1}, l: *b{i - 1}}}\n" for i in range(1, 60)
)

MISTAKES: dict[str, tuple[str, str]] = {
    "int tag": ("a: !!int x\n", "line 1: found 'x' with the tag !!int"),
    "float tag": ("a: !!float x\n", "line 1: found 'x' with the tag !!float"),
    "bool tag": ("a: !!bool maybe\n", "line 1: found 'maybe' with the tag !!bool"),
    "null tag": ("a: !!null x\n", "line 1: found 'x' with the tag !!null"),
    "map tag on a list": ("a: !!map [1]\n", "line 1: .*tag !!map"),
    "object": ("b: 1\na: !!python/object:os.system x\n", "line 2: .*tag !!python/object:os.system"),
    "apply": ("a: !!python/object/apply:os.system ['true']\n", "line 1: .*tag !!python"),
    "binary": ("a: !!binary AAAA\n", "line 1: .*tag !!binary"),
    "timestamp": ("a: !!timestamp 2001-01-01\n", "line 1: .*tag !!timestamp"),
    "set": ("a: !!set {x}\n", "line 1: .*tag !!set"),
    "include": ("a: !include other.yaml\n", "line 1: .*tag !include"),
    "long tag": (f"a: !{'x' * 5000} 1\n", "line 1: .*tag !xxx"),
    "digits": (f"a: {'9' * 5000}\n", "line 1: found an integer of 5000 digits"),
    "tagged digits": (f"a: !!int {'9' * 5000}\n", "line 1: found an integer of 5000 digits"),
    "brackets": ("a: " + "[" * 10_000, "line 1: found more than 50 lists or mappings in each other"),
    "closed brackets": ("a: " + "[" * 10_000 + "]" * 10_000, "line 1: found more than 50"),
    "braces": ("a: " + "{a: " * 10_000, "line 1: found more than 50"),
    "dashes": ("a:\n " + "- " * 10_000 + "x", "line 2: found more than 50"),
    "indents": ("\n".join(" " * i + "a:" for i in range(2000)), "line 51: found more than 50"),
    "bomb": (BOMB, r"line \d+: found more than 500000 values, counting what aliases stand for"),
    "merge bomb": (MERGE_BOMB, r"line \d+: found more than 500000 values, counting what aliases stand for"),
    "circle": ("a: &a [1, *a]\n", r"line 1: \*a stands for what it is a part of"),
    "circle of mappings": ("a: &a\n  b: *a\n", r"line 2: \*a stands for what it is a part of"),
    "merge of itself": ("a: &a\n  <<: *a\n", r"line 2: \*a stands for what it is a part of"),
    "no anchor": ("a: *b\n", r"line 1: not YAML: found \*b"),
    "merge of a number": ("a:\n  <<: 3\n", "line 2: found 3 after <<; expected mappings"),
    "two merges": ("x: &x {a: 1}\ny:\n  <<: *x\n  <<: *x\n", "line 4: .*<<"),
    "surrogate": ('a: "\\ud800"\n', "line 1: .*lone surrogate"),
    "surrogates the wrong way": ('a: "\\udc00\\ud800"\n', "line 1: .*lone surrogate"),
    "surrogate in a key": ('"\\ud800": 1\n', "line 1: .*lone surrogate"),
    "NUL": ('a: "x\\0y"\n', "line 1: .*control character"),
    "bell": ('a: "x\\ay"\n', "line 1: .*control character"),
    "escape in a key": ('"\\e[2J": 1\n', "line 1: .*control character"),
    "raw NUL": ("a: \x00", "not a YAML text"),
    "raw escape": ("a: \x1b[2J", "not a YAML text"),
    "empty": ("", "found nothing; expected 'key: value' lines"),
    "comment": ("# nothing\n", "found nothing; expected 'key: value' lines"),
    "two documents": ("a: 1\n---\nb: 2\n", "line 2: not YAML: found another document"),
    "three dots": ("a: 1\n...\nb: 2\n", "not YAML"),
    "list": ("- a\n", r"found \['a'\]; expected 'key: value' lines"),
    "text": ("just words\n", "found 'just words'; expected 'key: value' lines"),
    "long text": ("x" * 100_000, "found 'xxx"),
    "number key": ("a: 1\n5: 2\n", "line 2: found the key 5; expected a name"),
    "null key": ("~: 2\n", "line 1: found the key nothing; expected a name"),
    "true key": ("true: 2\n", "line 1: found the key True; expected a name"),
    "no key": (": 2\n", "line 1: found the key nothing; expected a name"),
    "list key": ("? [a, b]\n: 2\n", "line 1: found a list as a key; expected a name"),
    "mapping key": ("{a: 1}: 2\n", "line 1: found a mapping as a key; expected a name"),
    "alias key": ("a: &a [1]\n*a : 2\n", "line 2: found the key .*expected a name"),
    "twice": ("a: 1\nb: 2\na: 3\n", "line 3: the key 'a' is given twice"),
    "twice in a list": ("a: [{b: 1, b: 2}]\n", "line 1: the key 'b' is given twice"),
    "long key twice": (f"{'k' * 900}: 1\n{'k' * 900}: 1\n", "line 2: the key 'kkk"),
    "tab": ("a:\n\tb: 1\n", r"line 2, column 1: not YAML: found character '\\t'"),
    "bracket": ("a: [1\nb: 2\n", "line 2, column 2: not YAML"),
    "quote": ("a: 'x\n", "line 2, column 1: not YAML: found unexpected end of stream"),
    "percent": ("%FOO\n", "not YAML|found nothing"),
    "version": ("%YAML 9.9\n--- {a: 1, a: 2}\n", "line"),
    "undefined handle": ("a: !x!y 1\n", "line 1, column .: not YAML"),
}


@pytest.mark.parametrize(("text", "message"), MISTAKES.values(), ids=list(MISTAKES))
def test_a_mistake_is_a_short_line_that_names_file_and_line(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "w.yaml"
    path.write_text(text)
    began = time.monotonic()
    with pytest.raises(InputError, match=message) as caught:
        read_document(path)
    assert time.monotonic() - began < 30
    assert str(caught.value).startswith(f"{path}: ")
    with pytest.raises(InputError):
        load_workflow(path)


@pytest.mark.parametrize("text", [text for text, _ in MISTAKES.values()], ids=list(MISTAKES))
@pytest.mark.parametrize("place", ["workflow", "profile", "run directory", "set"])
def test_commands_end_with_2_and_at_most_two_short_lines(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, place: str
) -> None:
    good = tmp_path / "good.yaml"
    good.write_text("name: x\nworld: {spec: {}}\ntime: {routing_step: 1h, train: [2001-01-01, 2001-12-31]}\n")
    bad = tmp_path / "config.yaml"
    bad.write_text(text)
    arguments = {
        "workflow": ["validate", str(bad)],
        "profile": ["validate", str(good), "--set", f"compute.profile={bad}"],
        "run directory": ["evaluate", str(tmp_path)],
        "set": ["validate", str(good), "--set", f"estimate.steps={text}"],
    }[place]
    (tmp_path / "run.json").write_text("{}")
    with pytest.raises(SystemExit) as ended:
        app(arguments)
    lines = capsys.readouterr().err.splitlines()
    assert ended.value.code == 2
    assert 1 <= len(lines) <= 2
    assert all(len(line) <= MAX_LINE and line.isprintable() for line in lines)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"name: \xff\xfe\n", "byte 7 is no UTF-8"),
        ("name: x\n".encode("utf-16-le"), "not a YAML text"),
        ("name: x\n".encode("utf-32"), "not a YAML text"),
        (b"\xff\xfen", "is no UTF-16"),
        (bytes(range(256)), "not a YAML text"),
        (b"\x89PNG\r\n\x1a\n\0\0", "not a YAML text"),
        (b"a: 1\n" * (MAX_BYTES // 4), "has more than 4 MB"),
    ],
)
def test_bytes_that_are_no_yaml(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "w.yaml"
    path.write_bytes(content)
    with pytest.raises(InputError, match=message) as caught:
        read_document(path)
    assert len(str(caught.value)) <= MAX_LINE + len(str(path))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_what_editors_write_is_read(tmp_path: Path, encoding: str, end: str) -> None:
    path = tmp_path / "w.yaml"
    path.write_bytes(end.join(["name: Ödenburg", "b: [1, 2]", ""]).encode(encoding))
    assert read_document(path) == {"name": "Ödenburg", "b": [1, 2]}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a: &x [1, 2]\nb: *x\n", {"a": [1, 2], "b": [1, 2]}),
        ("a: &x {p: 1, q: 2}\nb:\n  <<: *x\n  q: 3\n", {"a": {"p": 1, "q": 2}, "b": {"q": 3, "p": 1}}),
        ("a: &x {p: 1}\nb: {q: 3, <<: *x}\n", {"a": {"p": 1}, "b": {"q": 3, "p": 1}}),
        ("x: &x {p: 1}\ny: &y {p: 2, r: 2}\nb: {<<: [*x, *y]}\n",
         {"x": {"p": 1}, "y": {"p": 2, "r": 2}, "b": {"p": 1, "r": 2}}),
        ('"<<": 1\n', {"<<": 1}),
        ("a: !!str 5\nb: !!int 5\nc: !!float 5\nd: !!bool true\ne: !!null ~\n",
         {"a": "5", "b": 5, "c": 5.0, "d": True, "e": None}),
        ("a: !!seq [1]\nb: !!map {c: 1}\n", {"a": [1], "b": {"c": 1}}),
        ("a: 010\nb: 1e3\nc: 1:30\nd: no\ne: 0x1F\nf: 1_000\ng: +1\nh: .5\ni: .inf\nj: Yes\nk: =\n",
         {"a": "010", "b": 1e3, "c": "1:30", "d": "no", "e": "0x1F", "f": "1_000", "g": 1, "h": 0.5,
          "i": float("inf"), "j": "Yes", "k": "="}),
        ("a: |\n  x\n  y\nb: >\n  x\n  y\n", {"a": "x\ny\n", "b": "x y\n"}),
        ('a: "\\ud83d\\ude00"\n', {"a": "\U0001f600"}),
        ("--- {a: 1}\n...\n", {"a": 1}),
        ("%YAML 1.1\n---\na: no\nb: 010\n", {"a": "no", "b": "010"}),
        ("? a\n: 1\n", {"a": 1}),
        (f"a: {'9' * 300}\n", {"a": int("9" * 300)}),
        ("{}", {}),
    ],
)  # fmt: skip
def test_what_is_right_is_read(tmp_path: Path, text: str, value: dict[str, Any]) -> None:
    path = tmp_path / "w.yaml"
    path.write_text(text, encoding="utf-8")
    found = read_document(path)
    assert repr(found) == repr(value)
    if "inf" not in text:
        path.write_text(write_document(found), encoding="utf-8")
        assert read_document(path) == value


def test_a_list_of_many_gauges_is_read_in_seconds(tmp_path: Path) -> None:
    path = tmp_path / "w.yaml"
    names = [f"{n:08d}" for n in range(20_000)]
    path.write_text(f"gauges: [{', '.join(names)}]\n")
    began = time.monotonic()
    assert read_document(path) == {"gauges": names}
    assert time.monotonic() - began < 30


def test_values_of_the_command_line_pass_the_same_gate() -> None:
    for text in ("!!python/object:os.system x", "9" * 5000, "[" * 10_000, '"\\ud800"', "&a [*a]"):
        with pytest.raises(InputError) as caught:
            read_value(text)
        assert len(str(caught.value)) < MAX_LINE
