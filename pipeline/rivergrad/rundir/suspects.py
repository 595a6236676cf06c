"""Held-out gauges that screening would drop, had they trained: they are scored, with them and without.

Screening looks at training time alone and never touches a held-out gauge, so that no score is better for what was left
out. A gauge in the wrong unit then counts as an error of the estimate, so that both scores are worth knowing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd

SUSPECT = "screening"
"""The column of metrics.csv and folds.csv with the check that would drop a held-out gauge; older runs lack it."""
SHOWN = 5


def suspects_of(table: pd.DataFrame, split: str) -> dict[str, str]:
    """The scored gauges of a split that screening would drop, and by which check; empty for older runs."""
    if SUSPECT not in table.columns:
        return {}
    scored = np.isfinite(table["nse"].to_numpy(dtype=np.float64))
    part = table[(table["split"] == split) & scored & (table[SUSPECT] != "")]
    return dict(zip(part["gauge"].astype(str), part[SUSPECT].astype(str), strict=True))


def without_suspects(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of gauges that screening would keep."""
    return table if SUSPECT not in table.columns else table[table[SUSPECT] == ""]


def named(suspects: Mapping[str, str] | Iterable[tuple[str, str]]) -> str:
    """`07 (unit error), 09 (wrong river)`, the first few."""
    pairs = list(dict(suspects).items())
    more = f" and {len(pairs) - SHOWN} more" if len(pairs) > SHOWN else ""
    return ", ".join(f"{gauge} ({check})" for gauge, check in pairs[:SHOWN]) + more
