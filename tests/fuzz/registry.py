"""What a mutation is, what its oracle expects, and all of them by name."""

from __future__ import annotations

import hashlib
import importlib
import pkgutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Literal, Protocol

Prepare = Callable[[Path], object]
"""Writes the input of a mutation into an empty folder, and mutates it."""


class Answer(Protocol):
    """What a command that ends with 0 has to leave in the folder."""

    def problem(self, folder: Path) -> str | None:
        """What is wrong with it; None where it is right."""
        ...


@dataclass(frozen=True)
class Expect:
    """What the oracle takes for right.

    Attributes:
        answer: what exit 0 has to leave; None where exit 0 is wrong.
        refusal: whether exit 2 is right.
        words: what the message of exit 2 has to hold, in any case of letters; `a|b` is one of both.
        warning: what standard error has to hold where the command ends with 0.
    """

    answer: Answer | None = None
    refusal: bool = False
    words: tuple[str, ...] = ()
    warning: str | None = None


def same(answer: Answer) -> Expect:
    """The answer of the valid case: what was changed means the same."""
    return Expect(answer=answer)


value = same
"""Another answer, which the mutation knows."""


def refused(*words: str) -> Expect:
    """Exit 2, with a message that holds the words."""
    return Expect(refusal=True, words=words)


def warned(warning: str, answer: Answer) -> Expect:
    """The answer, and a word on standard error."""
    return Expect(answer=answer, warning=warning)


def either(answer: Answer, *words: str) -> Expect:
    """The answer, or exit 2 with the words."""
    return Expect(answer=answer, refusal=True, words=words)


@dataclass(frozen=True)
class Mutation:
    """One mutation of a valid case.

    Attributes:
        name: family/what; unique.
        prepare: writes the input, mutated.
        command: arguments of `rivergrad`, run in the folder.
        expect: what is right.
        writes: what the command may make in the folder, and nothing else.
        changes: what it may change or replace of what was there: a name, or a folder and all below it.
        where: it runs in this process, in a fork of it that can be killed, or in a process of its own.
        limit: seconds after which it counts as hanging.
    """

    name: str
    prepare: Prepare
    command: Sequence[str]
    expect: Expect
    writes: tuple[str, ...] = ("q.nc",)
    changes: tuple[str, ...] = ()
    where: Literal["here", "fork", "process"] = "here"
    limit: float = 90.0
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def family(self) -> str:
        """The first part of its name."""
        return self.name.partition("/")[0]


@cache
def all_mutations() -> tuple[Mutation, ...]:
    """Every mutation of every family, by name."""
    from tests.fuzz import families

    found: dict[str, Mutation] = {}
    for module in pkgutil.iter_modules(families.__path__):
        loaded = importlib.import_module(f"{families.__name__}.{module.name}")
        mutations: Iterator[Mutation] = loaded.mutations()
        for mutation in mutations:
            if mutation.name in found:
                raise ValueError(f"two mutations are called {mutation.name}")
            found[mutation.name] = mutation
    return tuple(found[name] for name in sorted(found))


def subset(share: float, least: int) -> tuple[Mutation, ...]:
    """A part of every family, always the same one: by the digest of the names.

    Args:
        share: of each family.
        least: of each family, as far as it has so many.
    """
    by_family: dict[str, list[Mutation]] = {}
    for mutation in all_mutations():
        by_family.setdefault(mutation.family, []).append(mutation)
    chosen = []
    for mutations in by_family.values():
        count = max(least, round(share * len(mutations)))
        chosen += sorted(mutations, key=_rank)[:count]
    return tuple(sorted(chosen, key=lambda mutation: mutation.name))


def _rank(mutation: Mutation) -> bytes:
    return hashlib.sha256(mutation.name.encode()).digest()
