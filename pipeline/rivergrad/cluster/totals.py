"""Sums over pieces in one fixed order, whoever adds: a binary tree over their numbers.

Floating-point sums depend on their order. Here the pieces are the leaves of a binary tree. A worker adds up the
subtrees whose leaves are all its own and sends those few sums; the client adds up the rest of the same tree. So the
bytes are the same for any number of workers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Nodes = dict[tuple[int, int], Any]
"""Values of nodes of the tree by (level, number): node (l, i) is over the leaves from i 2ˡ up to (i + 1) 2ˡ."""


def fold(nodes: Nodes, count: int) -> Nodes:
    """Add up pairs of siblings, level by level, where both are present.

    Args:
        nodes: tuples of values that can be added.
        count: leaves of the whole tree.
    """
    folded: Nodes = {}
    level, width = 0, max(1, count)
    present = dict(nodes)
    while True:
        here = {at: value for at, value in present.items() if at[0] == level}
        if width == 1:
            return folded | here
        above: Nodes = {}
        for (_, i), value in sorted(here.items(), key=lambda item: item[0]):
            sibling = (level, i ^ 1)
            if (i ^ 1) >= width:  # an odd one at the end has no sibling
                above[level + 1, i // 2] = value
            elif sibling not in here:
                folded[level, i] = value
            elif i % 2 == 0:
                above[level + 1, i // 2] = tuple(a + b for a, b in zip(value, here[sibling], strict=True))
        present |= above
        level, width = level + 1, (width + 1) // 2


@dataclass(frozen=True)
class Total:
    """Adds up some entries of the pieces' results, which are dictionaries; the other entries stay as they are.

    Attributes:
        names: keys of the entries to add up.
        count: number of pieces.
    """

    names: tuple[str, ...]
    count: int

    def part(self, results: Mapping[int, dict[str, Any]]) -> tuple[Nodes, dict[int, dict[str, Any]]]:
        """What one worker sends: partial sums over its pieces, and their other entries by piece."""
        leaves: Nodes = {
            (0, key): tuple(result[name] for name in self.names) for key, result in results.items()
        }
        rest = {
            key: {name: value for name, value in result.items() if name not in self.names}
            for key, result in results.items()
        }
        return fold(leaves, self.count), rest

    def whole(
        self, parts: Sequence[tuple[Nodes, dict[int, dict[str, Any]]]]
    ) -> tuple[dict[str, Any], dict[int, dict[str, Any]]]:
        """From the parts of all workers: the sums over all pieces, and the other entries by piece."""
        nodes: Nodes = {}
        rest: dict[int, dict[str, Any]] = {}
        for part, others in parts:
            nodes |= part
            rest |= others
        if len(rest) != self.count:
            raise ValueError(f"{len(rest)} results of {self.count} pieces: some are missing")
        root = fold(nodes, self.count)
        return dict(zip(self.names, next(iter(root.values())), strict=True)), rest
