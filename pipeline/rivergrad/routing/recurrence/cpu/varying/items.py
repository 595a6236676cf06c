"""One group of reaches over one tile of time with coefficients by forcing step, forward and adjoint."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rivergrad.routing.recurrence.cpu import sections as plain
from rivergrad.routing.recurrence.cpu import series
from rivergrad.routing.recurrence.cpu.arrays import Record, Scratch
from rivergrad.routing.recurrence.cpu.blocks import ADD, EDGE, END, IN_PLACE, Plan
from rivergrad.routing.recurrence.cpu.forward import take_in, take_runoff
from rivergrad.routing.recurrence.cpu.lanes import VECTOR_BYTES, address, bare, load, splat, store
from rivergrad.routing.recurrence.cpu.tiles import Tiles
from rivergrad.routing.recurrence.cpu.varying import law as laws
from rivergrad.routing.recurrence.cpu.varying import sections
from rivergrad.routing.recurrence.cpu.varying.vectors import where_below

Array = Any  # of the dtype computed in
Index = NDArray[np.int64]


class VaryingModel(NamedTuple):
    """What the reaches do, and where the runoff of each comes from.

    Attributes:
        a, b: (batch, interval, reach); with a law, a is the flow (m³/s) that they follow from, and b is empty.
        law: (reach, number), see `law.py`; empty where a and b are given.
        hold: forcing steps of an interval.
        sections: in series, all with the same coefficients.
        pointer, cell, weight: see `GridWeights`; empty where the runoff is per reach.
    """

    a: Array
    b: Array
    law: Array
    hold: int
    sections: int
    pointer: Index
    cell: Index
    weight: Array


class VaryingAdjoint(NamedTuple):
    """Gradients; those of `state` and `edges` are worked on in place, a and b (batch, interval, reach) are added to.

    With a law, `a` is that of the flow (empty where it isn't wanted), and `law` (batch, number, reach) is added to.
    """

    discharge: Array
    outflow: Array
    runoff: Array
    inflow: Array
    state: Array
    edges: Array
    a: Array
    b: Array
    law: NDArray[np.float64]


class Coefficients(NamedTuple):
    """What one thread lays coefficients out in, by row, unit and lane.

    Attributes:
        a, b: the coefficients; into_a, into_b: their gradients.
        intervals: (unit, lane) of the record.
        flow: with a law, that of each unit or, where lanes have few intervals, of each of those.
        spots: (interval of a lane, lane) of the record; since: the first unit of each.
        near: a, b and their gradients by interval of a lane, of one row.
    """

    a: Array
    b: Array
    into_a: Array
    into_b: Array
    intervals: Index
    flow: Array
    spots: Index
    since: Array
    near: Array


@bare()
def _take_coefficients(
    group: int,
    plan: Plan,
    model: VaryingModel,
    batch: int,
    own: Coefficients,
    width: int,
) -> None:  # pragma: no cover - compiled
    """Lay a and b of a group's rows out as `take_runoff` does with the runoff."""
    first_row, end_row = plan.group_start[group], plan.group_start[group + 1]
    series.gather(
        model.a[batch], own.a, plan.column, plan.by_column, first_row, end_row, own.intervals, width
    )
    series.gather(
        model.b[batch], own.b, plan.column, plan.by_column, first_row, end_row, own.intervals, width
    )


@bare()
def _take_flow(
    group: int,
    plan: Plan,
    model: VaryingModel,
    batch: int,
    own: Coefficients,
    units: int,
    count: int,
) -> int:  # pragma: no cover - compiled
    """Lay the flow of a group's rows out; returns how many intervals a lane has, or 0 where each unit has its own."""
    first_row, end_row = plan.group_start[group], plan.group_start[group + 1]
    near, final = 1, (units - 1) * count
    for l in range(count):
        near = max(near, own.intervals[final + l] - own.intervals[l] + 1)
    if model.hold == 1 or 2 * near > units:
        series.gather(
            model.a[batch],
            own.flow,
            plan.column,
            plan.by_column,
            first_row,
            end_row,
            own.intervals,
            units * count,
        )
        return 0
    for k in range((near + 1) * count):
        own.since[k] = units
    for l in range(count):
        first = own.intervals[l]
        for j in range(near):
            own.spots[j * count + l] = min(first + j, own.intervals[final + l])
        for u in range(units - 1, -1, -1):
            own.since[(own.intervals[u * count + l] - first) * count + l] = u
    series.gather(
        model.a[batch], own.flow, plan.column, plan.by_column, first_row, end_row, own.spots, near * count
    )
    return near


@bare()
def _take(
    group: int,
    tile: int,
    batch: int,
    plan: Plan,
    tiles: Tiles,
    model: VaryingModel,
    record: Record,
    scratch: Scratch,
    own: Coefficients,
    count: int,
) -> int:  # pragma: no cover - compiled
    """Lay runoff and coefficients or flow of a group's rows out; returns what `_take_flow` does."""
    units = tiles.units[tile]
    width = units * count
    take_runoff(group, plan, tiles, tile, model, record, batch, scratch, count)
    for k in range(width):
        own.intervals[k] = scratch.days[k] // model.hold
    if model.law.shape[0] > 0:
        return _take_flow(group, plan, model, batch, own, units, count)
    _take_coefficients(group, plan, model, batch, own, width)
    return 0


@bare()
def _spread_near(
    near_a: int, near_b: int, since: int, a: int, b: int, near: int, units: int, like: Any
) -> None:  # pragma: no cover - compiled
    """a and b of each unit from those of each interval of a lane."""
    for u in range(units):
        now = splat(type(like)(u))
        va, vb = load(near_a, like), load(near_b, like)
        for j in range(1, near):
            at = j * VECTOR_BYTES
            begin = load(since + at, like)
            va = where_below(now, begin, va, load(near_a + at, like))
            vb = where_below(now, begin, vb, load(near_b + at, like))
        store(a + u * VECTOR_BYTES, va)
        store(b + u * VECTOR_BYTES, vb)


@bare()
def _sum_near(rows: int, into: int, since: int, near: int, units: int, like: Any) -> None:
    """The adjoint of `_spread_near` for one of the two."""  # pragma: no cover - compiled
    zero = splat(type(like)(0.0))
    for j in range(near):
        begin, end = load(since + j * VECTOR_BYTES, like), load(since + (j + 1) * VECTOR_BYTES, like)
        found = zero
        for u in range(units):
            now = splat(type(like)(u))
            value = where_below(now, end, load(rows + u * VECTOR_BYTES, like), zero)
            found = found + where_below(now, begin, zero, value)
        store(into + j * VECTOR_BYTES, found)


@bare()
def _by_law(
    own: Coefficients, numbers: Array, row: int, at: int, near: int, units: int, count: int, item: int
) -> None:  # pragma: no cover - compiled
    """a and b of one row (of its group) by the law, to `at` of `own.a` and `own.b`."""
    like = numbers[0]
    a, b = address(own.a) + at * item, address(own.b) + at * item
    if near == 0:
        laws.coefficients(address(own.flow) + row * units * VECTOR_BYTES, a, b, units, numbers)
        return
    near_a = address(own.near)
    near_b = near_a + near * VECTOR_BYTES
    laws.coefficients(address(own.flow) + row * near * VECTOR_BYTES, near_a, near_b, near, numbers)
    _spread_near(near_a, near_b, address(own.since), a, b, near, units, like)


@bare()
def _law_adjoint(
    own: Coefficients,
    numbers: Array,
    row: int,
    i: int,
    near: int,
    units: int,
    lanes: int,
    count: int,
    item: int,
    sums: Array,
    by_flow: Array,
) -> None:  # pragma: no cover - compiled
    """Gradients of the law of one row, and those of the flow to `own.into_a` or, by interval, to `by_flow`."""
    like = numbers[0]
    at = row * units * VECTOR_BYTES
    into_a, into_b = address(own.into_a) + at, address(own.into_b) + at
    if near == 0:
        laws.adjoint(
            address(own.flow) + at,
            into_a,
            into_b,
            into_a,
            units,
            lanes,
            numbers,
            sums,
            i,
            by_flow.shape[0] > 0,
        )
        return
    near_a = address(own.near)
    near_b = near_a + near * VECTOR_BYTES
    _sum_near(into_a, near_a, address(own.since), near, units, like)
    _sum_near(into_b, near_b, address(own.since), near, units, like)
    flow = address(own.flow) + row * near * VECTOR_BYTES
    laws.adjoint(flow, near_a, near_b, near_a, near, lanes, numbers, sums, i, by_flow.shape[0] > 0)
    if by_flow.shape[0] == 0:
        return
    for l in range(lanes):
        for j in range(near):
            if own.since[j * count + l] < units:
                by_flow[own.spots[j * count + l], i] += own.near[j * count + l]


@bare()
def _add_to_intervals(
    rows: Array,
    into: Array,
    reach: Index,
    first_row: int,
    end_row: int,
    intervals: Index,
    units: int,
    lanes: int,
    count: int,
) -> None:  # pragma: no cover - compiled
    """Add gradients of rows by unit and lane to those by interval and reach."""
    width = units * count
    for row in range(first_row, end_row):
        i = reach[row]
        at = (row - first_row) * width
        for l in range(lanes):
            before = intervals[l]
            total = rows[at + l]
            for u in range(1, units):
                now = intervals[u * count + l]
                if now != before:
                    into[before, i] += total
                    total = rows[at + u * count + l]
                    before = now
                else:
                    total += rows[at + u * count + l]
            into[before, i] += total


@bare()
def forward_item(
    group: int,
    tile: int,
    batch: int,
    plan: Plan,
    tiles: Tiles,
    model: VaryingModel,
    record: Record,
    scratch: Scratch,
    own_rows: Coefficients,
    ratio: int,
    keep: bool,
) -> None:  # pragma: no cover - compiled
    """Route one group over one tile; see `cpu/forward.py`."""
    slots, rows = scratch.slots, scratch.rows
    item = slots.itemsize
    count = VECTOR_BYTES // item
    like = slots[0]
    n = plan.reach.size
    state = record.state[batch]
    edges = record.edges[batch]
    n_sections = model.sections

    day, units, steps = tiles.day[tile], tiles.units[tile], tiles.steps[tile]
    parts, lanes = tiles.parts[tile], tiles.lanes[tile]
    offset, total = tiles.offset[tile], tiles.total
    run = units * steps
    stride = tiles.stride
    base = address(slots)
    zero = base + (slots.size * item - 2 * stride)
    junk = zero + stride
    here = address(scratch.work)
    each = record.starts.shape[2] > n_sections * n
    starts = address(record.starts) + (batch * tiles.day.size + tile) * n_sections * n * VECTOR_BYTES
    width = units * count
    first_row, end_row = plan.group_start[group], plan.group_start[group + 1]

    lawful = model.law.shape[0] > 0
    near = _take(group, tile, batch, plan, tiles, model, record, scratch, own_rows, count)

    for row in range(first_row, end_row):
        i = plan.reach[row]
        r_at = (row - first_row) * width
        runoff = address(rows) + r_at * item
        a_at = r_at
        if lawful:  # of one row at a time, which stay in the first-level cache
            a_at = 0
            _by_law(own_rows, model.law[i], row - first_row, a_at, near, units, count, item)
        a, b = address(own_rows.a) + a_at * item, address(own_rows.b) + a_at * item
        own_at = plan.slot[row] * (stride // item)
        own = base + own_at * item
        head = plan.head[row] == 1
        kind = plan.kind[row]
        outlets = plan.outlet_start[row + 1] - plan.outlet_start[row]
        src = own
        if head:
            src = zero
        else:
            fresh = plan.fresh[row] == 1
            take_in(
                row, own_at, fresh, plan, record, batch, offset, total, day * ratio, run, lanes, slots, item
            )
        for s in range(n_sections):
            place = s * n + i
            before = state[place]
            ending = s == n_sections - 1
            dst = own
            adding = False
            if ending and outlets == 0:
                if kind == ADD:
                    dst = base + plan.into[row] * stride
                    adding = True
                elif kind == EDGE:
                    dst = address(edges) + (plan.into[row] * total + offset) * item
            source = runoff if s == 0 else zero
            if s == 0 and head:
                sections.guess_head(source, b, units, steps, here, like)
            else:
                sections.guess(src, source, b, units, steps, here, like)
            state[place] = sections.join(here, item, lanes, before)
            to = runoff if ending else junk  # means, in place of the runoff
            if s == 0 and head:
                silent = ending and outlets == 0 and kind == END
                sections.run_head(dst, adding, silent, source, to, a, b, units, steps, here, like)
            else:
                sections.run(src, dst, adding, source, to, a, b, units, steps, here, like)
            if keep and each:
                store(starts + (s * n + row) * VECTOR_BYTES, load(here + plain.START * VECTOR_BYTES, like))
            elif keep:
                record.starts[batch, tile, s * n + row] = before
            src = own
        if outlets > 0:
            for p in range(plan.outlet_start[row], plan.outlet_start[row + 1]):
                wanted = record.outflow[batch]
                to_line = address(wanted) + (plan.outlet[p] * wanted.shape[1] + day * ratio) * item
                series.collect(own, to_line, lanes, run, item, like)
            if kind == ADD:
                plain.add(own, base + plan.into[row] * stride, run, like)
            elif kind == EDGE:
                plain.copy(own, address(edges) + (plan.into[row] * total + offset) * item, run, like)

    series.scatter(
        rows,
        record.discharge[batch],
        plan.target_row,
        plan.target,
        plan.target_start[group],
        plan.target_start[group + 1],
        first_row,
        day,
        units,
        parts,
        lanes,
        count,
        False,
    )


@bare()
def backward_item(
    group: int,
    tile: int,
    batch: int,
    plan: Plan,
    tiles: Tiles,
    model: VaryingModel,
    record: Record,
    adjoint: VaryingAdjoint,
    scratch: Scratch,
    own_rows: Coefficients,
    ratio: int,
    want_runoff: bool,
) -> None:  # pragma: no cover - compiled
    """The adjoint of `forward_item`: e of every row anew, then the gradients, rows and time backwards."""
    slots, rows, gradients = scratch.slots, scratch.rows, scratch.gradients
    item = slots.itemsize
    count = VECTOR_BYTES // item
    like = slots[0]
    n = plan.reach.size
    g_edges = adjoint.edges[batch]
    g_state = adjoint.state[batch]
    n_sections = model.sections

    day, units, steps = tiles.day[tile], tiles.units[tile], tiles.steps[tile]
    parts, lanes = tiles.parts[tile], tiles.lanes[tile]
    offset, total = tiles.offset[tile], tiles.total
    run = units * steps
    stride = tiles.stride
    base = address(slots)
    zero = base + (slots.size * item - 2 * stride)
    junk = zero + stride
    here = address(scratch.work)
    each = record.starts.shape[2] > n_sections * n
    starts = address(record.starts) + (batch * tiles.day.size + tile) * n_sections * n * VECTOR_BYTES
    width = units * count
    first_row, end_row = plan.group_start[group], plan.group_start[group + 1]

    lawful = model.law.shape[0] > 0
    near = _take(group, tile, batch, plan, tiles, model, record, scratch, own_rows, count)
    for k in range((end_row - first_row) * width):
        gradients[k] = 0.0
    series.gather_gradients(
        adjoint.discharge[batch],
        gradients,
        plan.target_row,
        plan.target,
        plan.target_start[group],
        plan.target_start[group + 1],
        first_row,
        day,
        units,
        parts,
        lanes,
        count,
        type(like)(1.0 / ratio),
    )

    # What happened: e of every row.
    for row in range(first_row, end_row):
        r_at = (row - first_row) * width
        runoff = address(rows) + r_at * item
        if lawful:
            numbers = model.law[plan.reach[row]]
            _by_law(own_rows, numbers, row - first_row, r_at, near, units, count, item)
        a, b = address(own_rows.a) + r_at * item, address(own_rows.b) + r_at * item
        own_at = plan.slot[row] * (stride // item)
        own = base + own_at * item
        head = plan.head[row] == 1
        kind = plan.kind[row]
        src = own
        if head:
            src = zero
        else:
            fresh = plan.fresh[row] == 1
            take_in(
                row, own_at, fresh, plan, record, batch, offset, total, day * ratio, run, lanes, slots, item
            )
        for s in range(n_sections):
            source = runoff if s == 0 else zero
            if each:
                store(here + plain.START * VECTOR_BYTES, load(starts + (s * n + row) * VECTOR_BYTES, like))
            else:
                sections.guess(src, source, b, units, steps, here, like)
                sections.join(here, item, lanes, record.starts[batch, tile, s * n + row])
            errors = address(scratch.errors) + ((row - first_row) * n_sections + s) * stride
            dst = own
            adding = False
            if s == n_sections - 1 and kind == ADD:
                dst = base + plan.into[row] * stride
                adding = True
            sections.rerun(src, dst, adding, source, errors, a, b, units, steps, here, like)
            src = own

    # The gradients.
    for row in range(end_row - 1, first_row - 1, -1):
        i = plan.reach[row]
        r_at = (row - first_row) * width
        a, b = address(own_rows.a) + r_at * item, address(own_rows.b) + r_at * item
        into_a, into_b = address(own_rows.into_a) + r_at * item, address(own_rows.into_b) + r_at * item
        own_at = plan.slot[row] * (stride // item)
        own = base + own_at * item
        kind = plan.kind[row]
        if kind == IN_PLACE:
            src = own
        elif kind == ADD:
            src = base + plan.into[row] * stride
        elif kind == EDGE:
            src = address(g_edges) + (plan.into[row] * total + offset) * item
        else:
            src = zero
        if plan.outlet_start[row + 1] > plan.outlet_start[row]:
            if src != own:
                plain.copy(src, own, run, like)
                src = own
            for p in range(plan.outlet_start[row], plan.outlet_start[row + 1]):
                wanted = adjoint.outflow[batch]
                given = address(wanted) + (plan.outlet[p] * wanted.shape[1] + day * ratio) * item
                series.spread(given, own, lanes, run, True, item, like)
        into = address(gradients) + r_at * item
        mean = into
        for s in range(n_sections - 1, -1, -1):
            place = s * n + i
            errors = address(scratch.errors) + ((row - first_row) * n_sections + s) * stride
            sections.adjoint_guess(src, mean, a, b, units, steps, here, like)
            g_state[place] = sections.adjoint_join(here, item, lanes, g_state[place])
            to = into if s == 0 else junk
            adding = s < n_sections - 1
            sections.adjoint_run(
                src, own, mean, errors, to, a, b, into_a, into_b, adding, units, steps, here, like
            )
            src = own
            mean = zero
        for p in range(plan.source_start[row], plan.source_start[row + 1]):
            edge = plan.source[p]
            if edge >= 0:
                plain.copy(own, address(g_edges) + (edge * total + offset) * item, run, like)
            else:
                inflow = adjoint.inflow[batch]
                into_line = address(inflow) + ((-1 - edge) * inflow.shape[1] + day * ratio) * item
                series.collect(own, into_line, lanes, run, item, like)

    if lawful:
        by_flow = adjoint.a[batch]
        for row in range(first_row, end_row):
            i = plan.reach[row]
            _law_adjoint(
                own_rows,
                model.law[i],
                row - first_row,
                i,
                near,
                units,
                lanes,
                count,
                item,
                adjoint.law[batch],
                by_flow,
            )
    if adjoint.a.shape[1] > 0 and near == 0:
        _add_to_intervals(
            own_rows.into_a,
            adjoint.a[batch],
            plan.reach,
            first_row,
            end_row,
            own_rows.intervals,
            units,
            lanes,
            count,
        )
    if not lawful:
        _add_to_intervals(
            own_rows.into_b,
            adjoint.b[batch],
            plan.reach,
            first_row,
            end_row,
            own_rows.intervals,
            units,
            lanes,
            count,
        )
    if want_runoff:
        series.scatter(
            gradients,
            adjoint.runoff[batch],
            plan.by_column,
            plan.column,
            first_row,
            end_row,
            first_row,
            day,
            units,
            parts,
            lanes,
            count,
            True,
        )
