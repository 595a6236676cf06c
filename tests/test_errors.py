"""The error that a user can mend: its text, its fields, and its way through other processes."""

from __future__ import annotations

import ast
import pickle
from pathlib import Path

import pytest

from rivercut.errors import InputError
from rivergrad import errors
from rivergrad.cli.guard import MAX_LINE, message
from rivergrad.cluster.lost import WorkerLostError
from rivergrad.config.load import naming

PACKAGE = Path(errors.__file__).parent


def test_there_is_one_class() -> None:
    assert errors.InputError is InputError


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (InputError("net.csv: has no rows"), "net.csv: has no rows"),
        (InputError("has no rows", where=Path("net.csv")), "net.csv: has no rows"),
        (InputError("is low", key="a.b", where="w.yaml"), "w.yaml: a.b: is low"),
        (
            InputError("can't be imported", key="runoff.model", found="m:X"),
            "runoff.model m:X: can't be imported",
        ),
        (InputError(key="seed", found="x", expected="an integer"), "seed: found 'x'; expected an integer"),
        (InputError(key="seed", expected="an integer"), "seed: found nothing; expected an integer"),
        (InputError("a worker ended", advice="run it again"), "a worker ended; run it again"),
        (InputError("is low", key="a.b", where="--set a.b=1"), "--set a.b=1: is low"),
        (InputError("is low", key="a.b", where="--set a=1"), "--set a=1: a.b: is low"),
        (
            InputError(found=10**9999, expected="less"),
            "found a value of type int too long to show; expected less",
        ),
    ],
)
def test_text(error: InputError, text: str) -> None:
    assert str(error) == text


def test_fields_survive_pickling_and_the_class_does() -> None:
    error = WorkerLostError("1 of 2 ended", key="compute.workers", found=2, advice="again")
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is WorkerLostError
    assert str(again) == str(error)
    assert vars(again) == vars(error)


def test_at_adds_the_file_and_leaves_the_error_as_it_was() -> None:
    error = InputError("is low", key="b")
    placed = error.at("w.yaml", key="a")
    assert str(placed) == "w.yaml: a.b: is low"
    assert str(placed.at("run")) == "run: w.yaml: a.b: is low"
    assert str(error) == "b: is low"


def test_naming_goes_by_the_key_and_not_by_the_text() -> None:
    with pytest.raises(InputError) as caught, naming("w.yaml", ["compute.workers=3"]):
        raise InputError("found 3 and 2 ranks", key="compute.workers")
    assert caught.value.where == "--set compute.workers=3"
    with pytest.raises(InputError) as caught, naming("w.yaml"):
        raise InputError("compute.workers: a text that only looks like one about a key")
    assert caught.value.where is None
    with pytest.raises(InputError) as caught, naming("w.yaml"):
        raise InputError("is no key of a workflow", key="--routing-step")
    assert caught.value.where is None


def test_no_code_takes_messages_apart() -> None:
    """`str(error)` is printed or put into another text; nothing splits, matches or cuts it."""
    cutting = {
        "partition",
        "rpartition",
        "split",
        "match",
        "search",
        "startswith",
        "removeprefix",
        "index",
        "find",
    }
    found = []
    for path in set(PACKAGE.rglob("*.py")) - {
        PACKAGE / "cli" / "guard.py"
    }:  # which is about errors of libraries
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
                continue
            if (
                node.func.attr in cutting
                and (node.args or node.func.attr != "split")
                and any(
                    isinstance(one, ast.Call) and ast.unparse(one) == "str(error)"
                    for one in [node.func.value, *node.args]
                )
            ):
                found.append(f"{path.name}:{node.lineno}: {ast.unparse(node)}")
    assert found == []


def test_what_the_terminal_gets_is_short_and_steers_nothing() -> None:
    for text in ("x" * 5000, "a\nb\nc\n" * 900, "\x1b[2J\x07 \ud800 " * 500):
        lines = message(text).splitlines()
        assert len(lines) <= 2
        assert all(len(line) <= MAX_LINE and line.isprintable() for line in lines)
    assert message("two  spaces.nc: no such file") == "two  spaces.nc: no such file"
