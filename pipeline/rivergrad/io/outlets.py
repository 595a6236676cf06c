"""What a table writes in the place of a downstream id where a reach flows into none."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from rivergrad.errors import InputError, ids_text
from rivergrad.io.tables import id_column

log = logging.getLogger("rivergrad")

COLUMN = "downstream_id"
OUTSIDE, EMPTY = "outside", "empty"
OPTION = "--outlets (network.outlets in a workflow)"


@dataclass(frozen=True)
class Outlets:
    """What means an outlet besides -1.

    Attributes:
        values: downstream ids.
        texts: texts in the column of downstream ids.
        outside: any id that no reach of the file has, as in a part of a larger network.
        empty: an empty cell.
    """

    values: tuple[int, ...] = ()
    texts: tuple[str, ...] = ()
    outside: bool = False
    empty: bool = False

    @classmethod
    def of(cls, given: Sequence[int | str]) -> Outlets:
        """From a list of ids, texts and the words `outside` and `empty`; an id may be a text, too.

        Raises:
            InputError: an id that is no 64-bit integer.
        """
        values, texts = [], []
        for one in given:
            text = str(one).strip()
            if text.removeprefix("-").isascii() and text.removeprefix("-").isdigit():
                values.append(_id(text))
            elif text not in (OUTSIDE, EMPTY):
                texts.append(text)
        words = {str(one).strip() for one in given}
        return cls(tuple(values), tuple(texts), OUTSIDE in words, EMPTY in words or "" in words)

    @property
    def any(self) -> bool:
        """Whether anything but the default was asked for."""
        return self != Outlets()


def _id(text: str) -> int:
    if len(text) > 20 or not -(2**63) <= int(text) < 2**63:
        raise InputError(f"outlets: found {text[:40]}; expected a 64-bit integer, a text, outside or empty")
    return int(text)


def downstream_ids(
    table: pd.DataFrame, reach_id: NDArray[np.int64], path: Path, outlets: Outlets
) -> NDArray[np.int64]:
    """The column `downstream_id` as int64, -1 at every outlet.

    An id of 0 or below that no reach has is an outlet whatever `outlets` says, and the log says so.

    Raises:
        InputError: an empty cell or a text that is neither an integer nor an outlet, a reach with the id of an
            outlet.
    """
    if (bad := reach_id[_among(reach_id, outlets)]).size:
        raise InputError(
            f"{path}: reach id {bad[0]} exists, and {OPTION} has it as an outlet; expected one or the other"
        )
    ids = id_column(pd.DataFrame({COLUMN: _without_words(table[COLUMN], outlets)}), COLUMN, path)
    usual = (ids <= 0) & (ids != -1) & ~_among(ids, outlets)
    if usual.any():
        usual[usual] = ~np.isin(ids[usual], reach_id)
    if usual.any():
        log.warning(
            "%s: outlets: %s into %s, which no reach is",
            *(path, _count(int(usual.sum())), ids_text(np.unique(ids[usual]))),
        )
    outlet = usual | _among(ids, outlets)
    if outlets.outside:
        outlet |= ~np.isin(ids, reach_id)
    return np.where(outlet, -1, ids)


def _among(ids: NDArray[np.int64], outlets: Outlets) -> NDArray[np.bool_]:
    """Whether ids are outlets by their value; numpy takes seconds to tell for millions that none is in no list."""
    found: NDArray[np.bool_] = np.zeros(ids.shape, dtype=bool)
    for value in outlets.values:
        found |= ids == value
    return found


def _count(reaches: int) -> str:
    return "1 reach flows" if reaches == 1 else f"{reaches:,} reaches flow"


def _without_words(column: pd.Series[Any], outlets: Outlets) -> pd.Series[Any]:
    """The column with -1 in the place of texts, and of empty cells if asked for, that mean an outlet."""
    if pd.api.types.is_numeric_dtype(column.dtype):
        return column.fillna(-1) if outlets.empty else column
    found = column.astype(object)
    texts = found.map(lambda one: one.strip() if isinstance(one, str) else one)
    none = texts.isin(outlets.texts)
    if outlets.empty:
        none |= texts.isna() | (texts == "")
    return found.mask(none, "-1")
