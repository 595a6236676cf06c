"""Compute profiles: every key with a value of another kind, documents that are none, and job templates."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from tests.fuzz import inputs
from tests.fuzz.answers import Nothing
from tests.fuzz.families.workflow import dump, leaves, no_documents, place, resolved, schema, values
from tests.fuzz.registry import Expect, Mutation, either, refused, same

VALIDATE = ("validate", "w.yaml", "--no-data")
SUBMIT = ("submit", "w.yaml", "--profile", "p.yaml", "--dry-run")
PROFILE: dict[str, Any] = {"kind": "local", "workers": 1, "memory_budget": "1GB"}


def mutations() -> Iterator[Mutation]:
    """All of the family."""
    yield from _keys()
    yield from _documents()
    yield from _templates()
    yield from _script()


def _workflow(folder: Path, profile: bool = True) -> None:
    """A workflow that leaves what computes to the profile, and files of the names that it has."""
    for name in ("n.csv", "r.nc", "o.nc"):
        (folder / name).touch()
    data = inputs.workflow()
    data["compute"] = {"profile": "p.yaml"} if profile else {}
    dump(folder / "w.yaml", data)


def _keys() -> Iterator[Mutation]:
    for section in resolved(schema()["properties"]["compute"])["any"]:
        for path, node in leaves(section):
            if path == ("profile",):
                continue
            for name, value, expect in values(path, node["any"], "p.yaml"):

                def prepare(folder: Path, path: tuple[str, ...] = path, value: Any = value) -> None:
                    _workflow(folder)
                    dump(folder / "p.yaml", _with(path, value))

                yield Mutation(f"profiles/key/{'.'.join(path)}/{name}", prepare, VALIDATE, expect, writes=())
    for name, keys in {
        "another": {"profile": "p.yaml"},
        "unknown": {"stepz": 3},
        "unknown_below": {"slurm": {"stepz": 3}},
        "of_a_workflow": {"time": {"routing_step": "1h"}},
    }.items():

        def prepare(folder: Path, keys: dict[str, Any] = keys) -> None:
            _workflow(folder)
            dump(folder / "p.yaml", {**PROFILE, **keys})

        word = "stepz" if "unknown" in name else next(iter(keys))
        yield Mutation(f"profiles/key/{name}", prepare, VALIDATE, refused("p.yaml", word), writes=())


def _with(path: tuple[str, ...], value: Any) -> dict[str, Any]:
    data: dict[str, Any] = dict(PROFILE)
    below = data
    for name in path[:-1]:
        below[name] = dict(below[name]) if isinstance(below.get(name), dict) else {}
        below = below[name]
        if name == "tls":
            below |= dict.fromkeys(("ca", "cert", "key"), "n.csv")
    below[path[-1]] = value
    return data


def _documents() -> Iterator[Mutation]:
    text = yaml.safe_dump(PROFILE, sort_keys=False)
    yield _document("right", text, same(Nothing()))
    yield _document("bom", b"\xef\xbb\xbf" + text.encode(), same(Nothing()))
    yield _document("comments", "# a comment\n" + text, same(Nothing()))
    yield _document("utf16", text.encode("utf-16"), either(Nothing(), "p.yaml"))
    bad = {**no_documents(text, "port"), "twice": text + "kind: serial\n"}
    for name in ("empty", "null"):  # a profile that sets nothing
        yield _document(name, bad.pop(name), either(Nothing(), "p.yaml"))
    for name, data in bad.items():
        yield _document(name, data, refused("p.yaml"))
    for name, make in {"a_folder": Path.mkdir, "a_pipe": os.mkfifo}.items():

        def prepare(folder: Path, make: Any = make) -> None:
            _workflow(folder)
            make(folder / "p.yaml")

        yield Mutation(
            f"profiles/document/{name}", prepare, VALIDATE, refused("p.yaml"), (), (), "fork", 15.0
        )


def _document(name: str, data: str | bytes, expect: Expect) -> Mutation:
    def prepare(folder: Path) -> None:
        _workflow(folder)
        (folder / "p.yaml").write_bytes(data if isinstance(data, bytes) else data.encode())

    return Mutation(f"profiles/document/{name}", prepare, VALIDATE, expect, (), (), place(name), 15.0)


def _templates() -> Iterator[Mutation]:
    good = "#!/bin/sh\n#SBATCH --job-name={{ name }}\n{{ command }}\n"
    yield _template("right", good, same(Nothing()))
    yield _template("comment", good + "{# nothing #}\n", same(Nothing()))
    bad: dict[str, str | bytes] = {
        "include": good + "{% include '/etc/hostname' %}\n",
        "import": good + "{% import 'other.j2' as other %}\n",
        "extends": "{% extends 'other.j2' %}\n",
        "classes": good + "{{ ''.__class__.__mro__[1].__subclasses__() }}\n",
        "globals": good + "{{ cycler.__init__.__globals__.os.system('touch owned') }}\n",
        "attribute": good + "{{ name|attr('__class__') }}\n",
        "format": good + "{{ '{0.__class__.__init__}'.format(name) }}\n",
        "undefined": good + "{{ nobody }}\n",
        "undefined_below": good + "{{ nobody.at.all }}\n",
        "unknown_filter": good + "{{ name|nonsense }}\n",
        "division": good + "{{ 1 / 0 }}\n",
        "open": good + "{% if name %}\n",
        "open_expression": good + "{{ name\n",
        "loop": good + "{% for i in range(1000000000) %}x{% endfor %}\n",
        "loops": good + "{% for i in range(99999) %}{% for j in range(99999) %}x{% endfor %}{% endfor %}\n",
        "times": good + "{{ 'x' * 100000000000 }}\n",
        "power": good + "{{ 9 ** 9 ** 9 }}\n",
        "recursion": good + "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}\n",
        "deep": good + "{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}\n",
        "binary": bytes(range(256)) * 20,
        "empty": "",
    }
    for name, data in bad.items():
        yield _template(name, data, refused("t.j2"))
    for name, make in {"a_folder": Path.mkdir, "a_pipe": os.mkfifo, "missing": lambda path: None}.items():

        def prepare(folder: Path, make: Any = make) -> None:
            _workflow(folder, profile=False)
            dump(folder / "p.yaml", {**PROFILE, "slurm": {"template": "t.j2"}})
            make(folder / "t.j2")

        yield Mutation(f"profiles/template/{name}", prepare, SUBMIT, refused("t.j2"), (), (), "fork", 20.0)


def _template(name: str, data: str | bytes, expect: Expect) -> Mutation:
    def prepare(folder: Path) -> None:
        _workflow(folder, profile=False)
        dump(folder / "p.yaml", {**PROFILE, "slurm": {"template": "t.j2"}})
        (folder / "t.j2").write_bytes(data if isinstance(data, bytes) else data.encode())

    return Mutation(f"profiles/template/{name}", prepare, SUBMIT, expect, (), (), "fork", 20.0)


def _script() -> Iterator[Mutation]:
    """Text that goes into the job's script, with what would be a line or an option of its own there."""
    for key, values_ in {
        "partition": ("a\nb", "a b", "a;b", "$(touch owned)", ""),
        "account": ("a\nb", "a\rb", "`touch owned`", "a#b"),
        "directives": (["--qos=a\n#SBATCH --wrap=x"], ["qos"], [""], ["--a\x0bb"], ["--a\u2028b"]),
        "prologue": (["echo a\x00b"], [1], ["a\x1b[31m"]),
        "launcher": ("srun\nrm x", "", "srun; touch owned", "srun $(touch owned)"),
    }.items():
        for i, value in enumerate(values_):

            def prepare(folder: Path, key: str = key, value: Any = value) -> None:
                _workflow(folder, profile=False)
                dump(folder / "p.yaml", {**PROFILE, "slurm": {key: value}})

            yield Mutation(
                f"profiles/script/{key}/{i}",
                prepare,
                SUBMIT,
                refused("p.yaml", f"{key}|control character"),
                (),
                (),
            )
