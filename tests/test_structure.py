"""What keeps the code readable: no import circle, no large class, no method called by a name in a string."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOTS = [Path(__file__).resolve().parents[1] / name for name in ("pipeline", "partitioning")]
MOST_METHODS = 20
FOREIGN = {"rivergrad.routing.recurrence.cpu.lanes", "rivergrad.routing.recurrence.cuda.module"}
"""Where functions of other packages are looked up by name: LLVM's instructions, streams of several versions of CuPy."""


def modules() -> dict[str, ast.Module]:
    """The syntax tree of every module, by its dotted name; a package by its own name."""
    found = {}
    for root in ROOTS:
        for path in sorted(root.rglob("*.py")):
            parts = path.relative_to(root).with_suffix("").parts
            name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
            found[name] = ast.parse(path.read_text(encoding="utf-8"))
    return found


def imports(name: str, tree: ast.Module, known: set[str]) -> set[str]:
    """The modules that a module imports anywhere in its own body, under TYPE_CHECKING too; not within functions."""
    found = set()
    for node in at_import(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if alias.name in known}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name}: relative import"
            base = node.module or ""
            for alias in node.names:
                below = f"{base}.{alias.name}"
                found |= {one for one in (below if below in known else base,) if one in known}
    return found - {name}


def at_import(tree: ast.AST) -> Iterator[ast.AST]:
    """All nodes but those within functions, which run later."""
    for node in ast.iter_child_nodes(tree):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            yield node
            yield from at_import(node)


def circles(graph: dict[str, set[str]]) -> list[set[str]]:
    """The strongly connected components of more than one module (Tarjan 1972)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[set[str]] = []

    def visit(one: str) -> None:
        index[one] = low[one] = len(index)
        stack.append(one)
        for other in sorted(graph[one]):
            if other not in index:
                visit(other)
                low[one] = min(low[one], low[other])
            elif other in stack:
                low[one] = min(low[one], index[other])
        if low[one] == index[one]:
            at = stack.index(one)
            if len(stack) - at > 1:
                found.append(set(stack[at:]))
            del stack[at:]

    for one in sorted(graph):
        if one not in index:
            visit(one)
    return found


def import_graph(trees: dict[str, ast.Module]) -> dict[str, set[str]]:
    return {name: imports(name, tree, set(trees)) for name, tree in trees.items()}


def methods(trees: dict[str, ast.Module]) -> dict[str, int]:
    """How many functions each class defines."""
    return {
        f"{name}.{node.name}": sum(isinstance(x, ast.FunctionDef | ast.AsyncFunctionDef) for x in node.body)
        for name, tree in trees.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
    }


def calls_by_name(trees: dict[str, ast.Module]) -> list[str]:
    """Where something is called that was looked up by a string: getattr(x, name)(…), methodcaller, or in two steps."""
    found = []
    for name, tree in trees.items():
        for function in ast.walk(tree):
            if not isinstance(function, ast.Module | ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            looked_up = set()
            for node in ast.walk(function):
                if isinstance(node, ast.Assign) and looks_up(node.value):
                    looked_up |= {target.id for target in node.targets if isinstance(target, ast.Name)}
            for node in ast.walk(function):
                if not isinstance(node, ast.Call):
                    continue
                by_name = looks_up(node.func) or (
                    isinstance(node.func, ast.Name) and node.func.id in looked_up
                )
                if by_name or called(node.func) == "methodcaller":
                    found.append(f"{name}:{node.lineno}")
    return sorted(set(found))


def looks_up(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and called(node.func) in ("getattr", "attrgetter", "__getattribute__")


def called(node: ast.AST) -> str:
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


@pytest.fixture(scope="module")
def trees() -> dict[str, ast.Module]:
    return modules()


def test_no_import_circle_type_checking_included(trees: dict[str, ast.Module]) -> None:
    assert len(trees) > 200
    assert circles(import_graph(trees)) == []


def test_no_class_has_more_methods_than_one_can_keep_in_mind(trees: dict[str, ast.Module]) -> None:
    assert {name: n for name, n in methods(trees).items() if n > MOST_METHODS} == {}


def test_no_method_is_called_by_a_name_in_a_string(trees: dict[str, ast.Module]) -> None:
    assert {found.partition(":")[0] for found in calls_by_name(trees)} == FOREIGN


def test_the_checks_see_what_they_look_for() -> None:
    one = ast.parse("from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from b import B\n")
    other = ast.parse("import a\nclass B:\n    def f(self): ...\n    async def g(self): ...\n")
    third = ast.parse("import a, b\ndef later():\n    import c\n")
    trees = {"a": one, "b": other, "c": third}
    assert circles(import_graph(trees)) == [{"a", "b"}]
    assert methods(trees) == {"b.B": 2}
    for text in (
        "getattr(x, name)(1)",
        "def f(x, name):\n    method = getattr(x, name)\n    return method(1)",
        "from operator import methodcaller\nmethodcaller('f')(x)",
        "import operator\noperator.attrgetter(name)(x)()",
    ):
        assert calls_by_name({"m": ast.parse(text)}), text
    assert not calls_by_name({"m": ast.parse("dtype = getattr(torch, name)\nf(dtype)")})
