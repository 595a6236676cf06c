"""Which reaches a command is to write: named by ids, by a table, or as the largest rivers."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rivercut.network import RiverNetwork
from rivergrad.errors import InputError, ids_text
from rivergrad.io.datasets import places_of
from rivergrad.io.missing import exact_integers
from rivergrad.io.tables import id_column, read_table

LARGEST = "largest:"


def chosen_reaches(
    words: Sequence[str],
    network: RiverNetwork,
    size: Callable[[RiverNetwork], NDArray[np.float64]],
    option: str,
) -> NDArray[np.int64]:
    """Positions of the reaches that some words name, rising; a reach that is named twice counts once.

    Args:
        words: each is `largest:N`, ids with commas between them, or the path of a table with a column reach_id.
        network: their network.
        size: gives (reach,) the size of the river, for `largest`; reaches of one size are taken in the network's order.
        option: what messages call them.

    Raises:
        InputError: an id that the network lacks, a number below 1, a table that cannot be read or that has no rows.
    """
    found = [_of_word(word, network, size, option) for word in words]
    return np.unique(np.concatenate(found)) if found else np.arange(network.n_reaches)


def _of_word(
    word: str, network: RiverNetwork, size: Callable[[RiverNetwork], NDArray[np.float64]], option: str
) -> NDArray[np.int64]:
    if word.startswith(LARGEST):
        number = word.removeprefix(LARGEST)
        if not number.isascii() or not number.isdigit() or len(number) > 18 or int(number) < 1:
            raise InputError(f"{option}: found {word!r}; expected {LARGEST}N, N being 1 or more")
        return np.argsort(-size(network), kind="stable")[: int(number)]
    ids, bad = exact_integers(np.array([one.strip() for one in word.split(",")], object))
    if bad.any():
        path = Path(word)
        if not os.path.exists(word):  # which, unlike Path.exists, takes a text of any length
            raise InputError(
                f"{option}: found {word!r}; expected ids such as 12,13, {LARGEST}N, or a table with a column reach_id"
            )
        ids = id_column(read_table(path, needs=["reach_id"]), "reach_id", path)
        if not ids.size:
            raise InputError(f"{option} {path}: found no row; expected reach ids")
    at, known = places_of(ids, network.reach_id)
    unknown = ids[~known]
    if unknown.size:
        raise InputError(
            f"{option}: found {unknown.size:,} reaches that the network lacks ({ids_text(unknown)}); expected its ids"
        )
    return at
