"""The registry itself: one place for each name, facts that are those of the object, and bounds on what it takes."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import rivergrad
from rivergrad import registry
from rivergrad.entries import BUILT_IN
from rivergrad.errors import InputError
from rivergrad.model.parametermodel import ParameterModel

PACKAGE = Path(rivergrad.__file__).parent


@pytest.mark.parametrize("entry", BUILT_IN, ids=lambda entry: f"{entry.kind}-{entry.name}")
def test_an_entry_says_what_its_object_is(entry: registry.Entry) -> None:
    assert entry.summary.endswith(".")
    found = entry.load()
    if entry.kind in ("optimiser", "parameter_model"):
        assert dict(entry.facts) == dict(found.facts)
    if entry.kind == "scheme":
        assert found.name == entry.name
        own = registry._facts(found)
        assert entry.facts.get("spreading") == own.get("spreading")
        assert [(o.name, o.default) for o in entry.options] == [(o.name, o.default) for o in registry.options_of(found)
                                                                if o.name in entry.option_names]  # fmt: skip


def test_names_are_unique() -> None:
    names = [(entry.kind, entry.name) for entry in BUILT_IN]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("kind", ["scheme", "loss", "parameter_model", "cluster", "panel"])
def test_no_other_source_line_lists_a_kind(kind: str) -> None:
    """Three names of a kind in one literal list, tuple or set: that is a second list of them."""
    names = set(registry.names(kind))
    found = []
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.List | ast.Tuple | ast.Set):
                texts = [one.value for one in node.elts if isinstance(one, ast.Constant)]
                if len({one for one in texts if isinstance(one, str)} & names) >= 3:
                    found.append(f"{path.relative_to(PACKAGE)}:{node.lineno}")
    pictures = (
        ("rundir/contents.py", "report/write.py") if kind == "panel" else ()
    )  # the files that hold them
    assert [one for one in found if not one.startswith(pictures or "nowhere")] == []


def test_it_imports_no_torch() -> None:
    code = "import rivergrad.registry as r, sys; r.entries('scheme'); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@pytest.mark.parametrize(
    ("kind", "name", "part", "said"),
    [
        ("sceme", "x", print, "found the kind 'sceme'; expected one of scheme, loss"),
        ("loss", "nse", print, "a built-in loss has this name"),
        ("loss", "my loss", print, "expected a name of letters, digits and underscores"),
        ("loss", "mine", 3, "expected a function of pairs"),
        ("scheme", "mine", print, "expected a rivergrad.routing.schemes.Scheme"),
        ("panel", "mine", 3, "expected a function of a page"),
        ("field", "mine", 3, "expected a function of a page (see rivergrad.report.fields)"),
        ("cluster", "mine", 3, "expected a function start(options, ground)"),
        ("runoff_model", "mine", print, "expected a subclass of torch.nn.Module"),
        (
            "parameter_model",
            "mine",
            print,
            "expected a subclass of rivergrad.model.parametermodel.ParameterModel",
        ),
        ("parameter_model", "mine", ParameterModel, "found one without common and segments"),
    ],
)
def test_what_cannot_be_registered(kind: str, name: str, part: Any, said: str) -> None:
    with registry.forgetting(), pytest.raises(InputError) as caught:
        registry.register(kind, name, part)
    assert said in str(caught.value)


def test_options_are_told_from_the_object() -> None:
    class Mine:
        """One sentence.

        And more.
        """

        def __init__(self, late: int = 2, *, share: float) -> None: ...

    entry = registry.described("runoff_model", "mine", Mine)
    assert entry.summary == "One sentence."
    assert [(one.name, one.type, one.default) for one in entry.options] == [
        ("late", "int", 2),
        ("share", "float", ...),
    ]
