"""Which losses are minimised, and with what weights. Knows nothing of tensors, so that workflows load fast."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rivergrad import registry
from rivergrad.errors import InputError

LOSS_TERMS = registry.names("loss")
"""The names of rivergrad's own terms; `rivergrad.inference.loss` says what each is."""

DEFAULT_NU: float = registry.entry("loss", "student_t").options[0].default
"""Degrees of freedom of Student's t: tails heavy enough for rating errors and storms that the runoff lacks."""


@dataclass(frozen=True)
class LossSpec:
    """A weighted sum of loss terms.

    Attributes:
        terms: (name, weight) of each term, weights positive; they need not sum to 1.
        student_t_nu: degrees of freedom of the term `student_t`.
    """

    terms: tuple[tuple[str, float], ...]
    student_t_nu: float = DEFAULT_NU

    @classmethod
    def parse(
        cls, loss: str | Mapping[str, float] | Sequence[tuple[str, float]], student_t_nu: float = DEFAULT_NU
    ) -> LossSpec:
        """From the name of one term, or from weights by name, as the workflow key `estimate.loss` has them.

        Raises:
            InputError: a name that isn't known, a weight that isn't a positive number, no term at all.
        """
        if not (math.isfinite(student_t_nu) and student_t_nu > 0):
            raise InputError(f"found student_t_nu {student_t_nu}; expected a number above 0")
        terms = loss_terms(loss)
        return cls(((terms, 1.0),) if isinstance(terms, str) else terms, student_t_nu)

    @property
    def settings(self) -> dict[str, dict[str, float]]:
        """The arguments of terms that have some, by the term's name."""
        return {"student_t": {"nu": self.student_t_nu}}

    @property
    def weights(self) -> dict[str, float]:
        """Weight by name."""
        return dict(self.terms)


def loss_terms(loss: Any) -> str | tuple[tuple[str, float], ...]:
    """A checked value of `estimate.loss`: the name it is, or its names and weights in their order.

    Raises:
        InputError: see `LossSpec.parse`.
    """
    if isinstance(loss, str):
        return _known(loss)
    if isinstance(loss, Mapping):
        pairs = list(loss.items())
    elif isinstance(loss, tuple) and all(isinstance(pair, tuple) and len(pair) == 2 for pair in loss):
        pairs = list(loss)
    else:
        raise InputError(
            f"found {loss!r}; expected the name of a loss, or names with weights such as {{nse: 0.7, log_nse: 0.3}}"
        )
    if not pairs:
        raise InputError("found no term; expected names with weights such as {nse: 0.7, log_nse: 0.3}")
    terms = tuple((_known(name), _weight(name, weight)) for name, weight in pairs)
    if len(dict(terms)) < len(terms):
        raise InputError(f"found {[name for name, _ in terms]}; expected each term once")
    return terms


def _known(name: Any) -> str:
    found = registry.entry("loss", name)
    if found.outside:
        found.load()
    return found.name


def _weight(name: Any, weight: Any) -> float:
    number = isinstance(weight, int | float) and not isinstance(weight, bool)
    if not (number and math.isfinite(weight) and weight > 0):
        raise InputError(f"found weight {weight!r} of {name}; expected a number above 0")
    return float(weight)
