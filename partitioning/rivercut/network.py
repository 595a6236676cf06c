"""The river network: a forest of reaches in SI units, checked once and never changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rivercut import graph, tables
from rivercut.errors import InputError, ids_text

if TYPE_CHECKING:
    import pandas as pd

Int = NDArray[np.int64]
Float = NDArray[np.float64]

RESERVED = ("reach_id", "downstream", "downstream_id", "length")
MANY = 1 << 17
MAX_EXACT = 2.0**53  # below it a float64 that is an integer is the one that was meant


def frozen(values: ArrayLike, dtype: Any) -> NDArray[Any]:
    """`values` as a read-only contiguous array of `dtype`; copied unless nobody can write to it."""
    array = np.ascontiguousarray(values, dtype=dtype)
    # Somebody may still write through `values`, or through what it is a view of.
    if not array.flags.owndata or (array is values and array.flags.writeable):
        array = array.copy()
    array.flags.writeable = False
    return array


def _integers(values: ArrayLike, what: str, names: Int | None = None) -> Int:
    """Ids as int64; floats only if they hold integers exactly (a table with a null makes its ids floats)."""
    array = np.asarray(values)
    if array.ndim != 1:
        raise InputError(f"{what} must be one-dimensional, got shape {array.shape}")
    if array.size == 0:
        return np.empty(0, np.int64)
    if array.dtype.kind == "i" or (array.dtype.kind == "u" and int(array.max()) <= np.iinfo(np.int64).max):
        return array.astype(np.int64, copy=False)
    if array.dtype == np.float64:
        bad = ~(np.isfinite(array) & (np.abs(array) < MAX_EXACT) & (array == np.round(array)))
        if not bad.any():
            return array.astype(np.int64)
        at = np.flatnonzero(bad)
        where = f"rows {ids_text(at)}" if names is None else f"reach ids {ids_text(names[at])}"
        raise InputError(f"{what} of {where} is {array[at[0]]}; expected an integer")
    raise InputError(f"{what} has type {array.dtype}; expected int64")


def _downstream_text(at: Int, reach_id: Int, downstream: Int) -> str:
    return ids_text(f"{reach_id[i]} -> {downstream[i]}" for i in at)


@dataclass(frozen=True, eq=False)
class RiverNetwork:
    """A forest of reaches: each flows into one other reach or, at an outlet, into none.

    Args:
        reach_id: (n,) int64, unique.
        downstream: (n,) int64, the *position* of the downstream reach, -1 at an outlet.
        length: (n,) in m, 0 where water passes through, or None where the source has none.
        attributes: (n,) numeric arrays by name in SI (`slope`, `area_m2`, `lat`, ...).

    The arrays are copied and made read-only.

    Raises:
        InputError: duplicates, a self-loop, a cycle, a position out of range, and a NaN or negative length;
            with the reach ids.

    Example:
        >>> import rivergrad as rg
        >>> network = rg.RiverNetwork.from_ids([1, 2, 3], [3, 3, -1], length=[9e3, 7e3, 12e3])
    """

    reach_id: Int
    downstream: Int
    length: Float | None = None
    attributes: Mapping[str, NDArray[Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        set_ = object.__setattr__
        set_(self, "reach_id", frozen(_integers(self.reach_id, "reach_id"), np.int64))
        ids, n = self.reach_id, self.reach_id.size
        set_(self, "downstream", frozen(_integers(self.downstream, "downstream"), np.int64))
        if self.downstream.shape != (n,):
            raise InputError(f"downstream has shape {self.downstream.shape}; expected ({n},)")
        _refuse_duplicates(self._ranked[1])
        if (bad := np.flatnonzero((self.downstream < -1) | (self.downstream >= n))).size:
            text = _downstream_text(bad, ids, self.downstream)
            raise InputError(f"downstream positions out of range: reach ids {text}; expected -1 to {n - 1}")
        if (bad := np.flatnonzero(self.downstream == np.arange(n))).size:
            raise InputError(f"reach ids {ids_text(ids[bad])} flow into themselves; expected another reach")
        order, cycle = graph.order_or_cycle(self.downstream)
        if cycle.size:
            raise InputError(f"reach ids {ids_text(ids[cycle])} form a cycle; expected a forest")
        order.flags.writeable = False
        self.__dict__["order"] = order
        if self.length is not None:
            set_(self, "length", self._checked_length(self.length))
        values = {name: self._checked_attribute(name, array) for name, array in self.attributes.items()}
        set_(self, "attributes", MappingProxyType(values))

    def _checked_length(self, length: ArrayLike) -> Float:
        array = frozen(length, np.float64)
        if array.shape != self.reach_id.shape:
            raise InputError(f"length has shape {array.shape}; expected {self.reach_id.shape}")
        if (bad := np.flatnonzero(~(np.isfinite(array) & (array >= 0)))).size:
            found = ids_text(f"{self.reach_id[i]} ({array[i]:g} m)" for i in bad)
            raise InputError(f"length of reach ids {found}; expected metres, 0 or more")
        if array.size and not array.any():
            raise InputError("length is 0 at every reach; expected metres, above 0 at most of them")
        return array

    def _checked_attribute(self, name: str, values: ArrayLike) -> NDArray[Any]:
        if name in RESERVED:
            raise InputError(f"attribute {name!r} has the name of a field; expected another name")
        kinds = {"f": np.float64, "i": np.int64, "u": np.int64, "b": np.bool_}
        kind = np.asarray(values).dtype.kind
        if kind not in kinds:
            raise InputError(f"attribute {name!r} has type {np.asarray(values).dtype}; expected numbers")
        if kind == "u" and (given := np.asarray(values)).size and int(given.max()) > np.iinfo(np.int64).max:
            kind = "f"  # int64 would make it negative
        array = frozen(values, kinds[kind])
        if array.shape != self.reach_id.shape:
            raise InputError(f"attribute {name!r} has shape {array.shape}; expected {self.reach_id.shape}")
        return array

    @classmethod
    def from_ids(
        cls,
        reach_id: ArrayLike,
        downstream_id: ArrayLike,
        length: ArrayLike | None = None,
        attributes: Mapping[str, ArrayLike] | None = None,
        *,
        outlet_values: Sequence[int] = (-1,),
        unknown_downstream: Literal["error", "outlet"] = "error",
        source: str = "network",
    ) -> Self:
        """A network from the id of each reach's downstream reach.

        `outlet_values` are the downstream ids that mean "none". `unknown_downstream` says what an id that is
        in no row means: an error, or an outlet as in a regional cut-out of a larger network. `source` (a
        file) opens every error message.

        **Errors**: `InputError`, as for the class, and for an unknown downstream id.
        """
        try:
            ids = _integers(reach_id, "reach_id")
            to = _integers(downstream_id, "downstream_id", ids)
            if to.shape != ids.shape:
                raise InputError(f"downstream_id has shape {to.shape}; expected {ids.shape}")
            outlet = np.isin(to, np.asarray(outlet_values, np.int64))
            if (bad := ids[np.isin(ids, np.asarray(outlet_values, np.int64))]).size:
                raise InputError(f"reach id {bad[0]} means an outlet; expected other ids for reaches")
            downstream = np.full(ids.size, -1, np.int64)
            by_id, ranked = _rank(ids)
            _refuse_duplicates(ranked)  # before they make other ids look unknown
            at, known = _find(by_id, ranked, to)
            downstream[known & ~outlet] = at[known & ~outlet]
            unknown = np.flatnonzero(~known & ~outlet)
            if unknown.size and unknown_downstream == "error":
                text = ids_text(f"{ids[i]} -> {to[i]}" for i in unknown)
                raise InputError(
                    f"unknown downstream ids: {text}; expected a reach_id or {outlet_values[0]}, or what means an "
                    "outlet: --outlets outside for a part of a larger network (network.outlets in a workflow, "
                    "unknown_downstream in Python)"
                )
            # The class checks the arrays and takes the attributes' types. It need not sort the ids again.
            network = cls.__new__(cls)
            network.__dict__["_ranked"] = (by_id, ranked)
            cls.__init__(network, ids, downstream, length, dict(attributes or {}))  # type: ignore[arg-type]
            return network
        except InputError as error:
            raise InputError(f"{source}: {error}") from None

    @classmethod
    def from_dataframe(cls, table: pd.DataFrame, *, outlet_values: Sequence[int] = (-1,)) -> Self:
        """A network from a pandas table (or GeoDataFrame).

        Args:
            table: columns `reach_id` (or as index), `downstream_id`, `length_m` (m, may be missing); further columns
                are attributes in SI.
            outlet_values: the downstream ids that mean "none".

        Raises:
            InputError: as `from_ids`; and for columns that are missing or hold no numbers.

        Example:
            >>> import pandas as pd, rivergrad as rg
            >>> table = pd.DataFrame({"reach_id": [1, 2], "downstream_id": [2, -1], "length_m": [9e3, 7e3]})
            >>> rg.RiverNetwork.from_dataframe(table)
            RiverNetwork(2 reaches in 1 basins)
        """
        ids, down, length, attributes = tables.columns_of(table)
        return cls.from_ids(ids, down, length, attributes, outlet_values=outlet_values, source="table")

    def to_dataframe(self) -> pd.DataFrame:
        """A pandas table by `reach_id`: `downstream_id` (-1 at an outlet), `length_m` (m) and attributes."""
        return tables.table_of(self)

    def to_geodataframe(self) -> Any:
        """The same with lines from reach to reach (WGS 84), as a GeoDataFrame; needs lat, lon and `rivergrad[geo]`."""
        return tables.geotable_of(self)

    @property
    def n_reaches(self) -> int:
        """Number of reaches."""
        return int(self.reach_id.size)

    @cached_property
    def order(self) -> Int:
        """Positions, upstream before downstream, (n,)."""
        return graph.as_index(graph.topological_order(self.downstream))

    @cached_property
    def level(self) -> Int:
        """0 at a headwater, else one more than the highest level just upstream, (n,)."""
        return graph.as_index(graph.levels(self.downstream, self.order))

    @cached_property
    def basin(self) -> Int:
        """Basin of each reach, 0 .. n_basins - 1 in the order of `outlets`, (n,)."""
        return graph.as_index(graph.basins(self.downstream, self.order))

    @cached_property
    def outlets(self) -> Int:
        """Positions of the reaches that flow into none, (n_basins,)."""
        return graph.as_index(np.flatnonzero(self.downstream < 0))

    @property
    def n_basins(self) -> int:
        """Number of basins, which is the number of outlets."""
        return int(self.outlets.size)

    @cached_property
    def _ranked(self) -> tuple[Int, Int]:
        return _rank(self.reach_id)

    def positions(self, ids: ArrayLike, what: str = "reach") -> Int:
        """Positions of the reaches with these ids, in their order.

        **Errors**: `InputError` naming the ids that no reach has; `what` says whose ids they are.
        """
        wanted = _integers(ids, f"{what} ids")
        at, known = _find(*self._ranked, wanted)
        if not known.all():
            missing = wanted[~known]
            raise InputError(f"unknown {what} ids {ids_text(missing)}; expected ids of the network's reaches")
        return at

    def subset(self, positions: ArrayLike) -> RiverNetwork:
        """The network of the reaches at `positions`, in that order; one that flows out of it is an outlet."""
        chosen = _integers(positions, "positions")
        n = self.n_reaches
        if (bad := chosen[(chosen < 0) | (chosen >= n)]).size:
            raise InputError(f"positions {ids_text(bad)} are out of range; expected 0 to {n - 1}")
        renumbered = np.full(n + 1, -1, np.int64)  # the last entry serves downstream == -1
        renumbered[chosen] = np.arange(chosen.size)
        return RiverNetwork(
            self.reach_id[chosen],
            renumbered[self.downstream[chosen]],
            None if self.length is None else self.length[chosen],
            {name: array[chosen] for name, array in self.attributes.items()},
        )

    def __getstate__(self) -> dict[str, Any]:
        # What is cached is cheaper to compute again than to send.
        return {
            "reach_id": self.reach_id,
            "downstream": self.downstream,
            "length": self.length,
            "attributes": dict(self.attributes),
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        # Checked when it was made; pickle only forgets that the arrays are read-only.
        for array in (state["reach_id"], state["downstream"], state["length"], *state["attributes"].values()):
            if array is not None:
                array.flags.writeable = False
        self.__dict__.update(state, attributes=MappingProxyType(state["attributes"]))

    def __repr__(self) -> str:
        return f"RiverNetwork({self.n_reaches} reaches in {self.n_basins} basins)"


def _rank(ids: Int) -> tuple[Int, Int]:
    """The positions that sort `ids`, and the sorted ids."""
    by_id = np.argsort(ids)  # not stable: ids that are there twice are refused
    return by_id, ids[by_id]


def _refuse_duplicates(ranked: Int) -> None:
    if (again := np.flatnonzero(ranked[1:] == ranked[:-1])).size:
        raise InputError(f"reach ids {ids_text(np.unique(ranked[again]))} appear more than once")


def _find(by_id: Int, ranked: Int, wanted: Int) -> tuple[Int, NDArray[np.bool_]]:
    """Position of each wanted id, and whether there is one."""
    if ranked.size == 0:
        return np.full(wanted.size, -1, np.int64), np.zeros(wanted.size, dtype=bool)
    if wanted.size < MANY:
        slot = np.searchsorted(ranked, wanted)
    else:  # in order, neighbours are found in the same part of memory: four times as fast for millions
        order = np.argsort(wanted)
        slot = np.empty(wanted.size, np.int64)
        slot[order] = np.searchsorted(ranked, wanted[order])
    slot = np.minimum(slot, ranked.size - 1)
    return by_id[slot], ranked[slot] == wanted
