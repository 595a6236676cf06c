"""One group of reaches over one tile of time: the unit of work."""

from __future__ import annotations

from typing import Any

from rivergrad.routing.recurrence.cpu import sections, series
from rivergrad.routing.recurrence.cpu.arrays import Model, Record, Scratch
from rivergrad.routing.recurrence.cpu.blocks import ADD, EDGE, END, Plan
from rivergrad.routing.recurrence.cpu.lanes import VECTOR_BYTES, address, bare, load, store
from rivergrad.routing.recurrence.cpu.tiles import (
    JUMP,
    REST_A,
    REST_B,
    UNIT_MEAN,
    UNIT_RISE,
    A,
    B,
    Tiles,
)

Array = Any  # of the dtype computed in


@bare()
def take_in(
    row: int,
    own: int,
    fresh: bool,
    plan: Plan,
    record: Record,
    batch: int,
    offset: int,
    total: int,
    step: int,
    run: int,
    lanes: int,
    slots: Array,
    item: int,
) -> None:  # pragma: no cover - compiled
    """Add what flows into a row from other groups and from outside."""
    like = slots[0]
    at = address(slots) + own * item
    for p in range(plan.source_start[row], plan.source_start[row + 1]):
        edge = plan.source[p]
        if edge >= 0:
            edges = record.edges[batch]
            src = address(edges) + (edge * total + offset) * item
            if fresh:
                sections.copy(src, at, run, like)
            else:
                sections.add(src, at, run, like)
        else:
            inflow = record.inflow[batch]
            given = address(inflow) + ((-1 - edge) * inflow.shape[1] + step) * item
            series.spread(given, at, lanes, run, not fresh, item, like)
        fresh = False


@bare()
def take_runoff(
    group: int,
    plan: Plan,
    tiles: Tiles,
    tile: int,
    model: Any,
    record: Record,
    batch: int,
    scratch: Scratch,
    count: int,
) -> None:  # pragma: no cover - compiled
    """Lay the runoff of a group's rows out by units and lanes of a tile, in `scratch.rows`.

    `model` has `pointer`, `cell` and `weight`, see `Model`.
    """
    units, lanes = tiles.units[tile], tiles.lanes[tile]
    first_row, end_row = plan.group_start[group], plan.group_start[group + 1]
    width = units * count
    days, rows = scratch.days, scratch.rows
    series.days_of_units(days, tiles.day[tile], units, tiles.parts[tile], lanes, count)
    if model.pointer.size > 0:
        series.gather_cells(
            record.runoff[batch],
            rows,
            model.pointer,
            model.cell,
            model.weight,
            plan.column,
            plan.by_column,
            first_row,
            end_row,
            days,
            width,
        )
    else:
        series.gather(
            record.runoff[batch], rows, plan.column, plan.by_column, first_row, end_row, days, width
        )


@bare()
def _lag(
    rows: Array,
    at: int,
    lasts: Array,
    units: int,
    steps: int,
    lanes: int,
    count: int,
    state: Array,
    place: int,
) -> None:  # pragma: no cover - compiled
    """Let each mean leave out the last q of its unit and take in that of the unit before."""
    carried = state[place]
    state[place] = lasts[(units - 1) * count + lanes - 1]
    for u in range(units):
        for l in range(count):
            if u > 0:
                before = lasts[(u - 1) * count + l]
            elif l > 0:
                before = lasts[(units - 1) * count + l - 1]
            else:
                before = carried
            rows[at + u * count + l] += (before - lasts[u * count + l]) / steps


@bare()
def forward_item(
    group: int,
    tile: int,
    batch: int,
    plan: Plan,
    tiles: Tiles,
    model: Model,
    record: Record,
    scratch: Scratch,
    ratio: int,
    keep: bool,
) -> None:  # pragma: no cover - compiled
    """Route one group over one tile."""
    slots = scratch.slots
    rows = scratch.rows
    work = scratch.work
    item = slots.itemsize
    count = VECTOR_BYTES // item
    like = slots[0]
    reach = plan.reach
    n = reach.size
    table = model.table
    state = record.state[batch]
    edges = record.edges[batch]
    jumps = model.jumps
    lag = model.lag
    n_sections = model.sections

    day, units, steps = tiles.day[tile], tiles.units[tile], tiles.steps[tile]
    parts, lanes, shape = tiles.parts[tile], tiles.lanes[tile], tiles.shape[tile]
    offset = tiles.offset[tile]
    total = tiles.total
    run = units * steps
    stride = tiles.stride
    base = address(slots)
    zero = base + (slots.size * item - 2 * stride)
    junk = zero + stride
    here = address(work)
    each = record.starts.shape[2] > n_sections * n
    starts = address(record.starts) + (batch * tiles.day.size + tile) * n_sections * n * VECTOR_BYTES
    last = address(scratch.units)
    width = units * count
    first_row, end_row = plan.group_start[group], plan.group_start[group + 1]

    take_runoff(group, plan, tiles, tile, model, record, batch, scratch, count)

    for row in range(first_row, end_row):
        i = reach[row]
        coefficient = table[shape, row]
        a, b, jump = coefficient[A], coefficient[B], coefficient[JUMP]
        keep_run = model.run_keep[shape, row]
        wait = model.delay[row] if model.delay.size > 0 else 0
        r_at = (row - first_row) * width
        runoff = address(rows) + r_at * item
        mean = runoff
        own_at = plan.slot[row] * (stride // item)
        own = base + own_at * item
        head = plan.head[row] == 1
        kind = plan.kind[row]
        outlets = plan.outlet_start[row + 1] - plan.outlet_start[row]
        if not head:
            take_in(
                row,
                own_at,
                plan.fresh[row] == 1,
                plan,
                record,
                batch,
                offset,
                total,
                day * ratio,
                run,
                lanes,
                slots,
                item,
            )
        if wait > 0:
            line = scratch.line[: run * lanes]
            late = scratch.late[: run * lanes]
            series.add_units(own, runoff, units, steps, not head, like)
            series.collect(own, address(line), lanes, run, item, like)
            ring = state[model.wait_at[row] : model.wait_at[row] + wait]
            kept = record.kept[batch, tile, model.kept_at[row] :] if keep else line
            series.delay(line, late, ring, kept, day * ratio, keep)
            series.spread(address(late), own, lanes, run, False, item, like)
            runoff = zero
            head = False
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
            to = mean if ending else junk
            if s == 0 and head:
                sections.guess_head(runoff, coefficient[UNIT_RISE], jump, jumps, units, here, like)
                state[place] = sections.join(here, item, lanes, keep_run, jump, jumps, before)
                silent = ending and outlets == 0 and kind == END
                sections.run_head(
                    dst,
                    adding,
                    silent,
                    runoff,
                    to,
                    last,
                    coefficient[REST_A],
                    coefficient[REST_B],
                    coefficient[UNIT_RISE],
                    coefficient[UNIT_MEAN],
                    jump,
                    jumps,
                    units,
                    steps,
                    here,
                    like,
                )
            else:
                source = runoff if s == 0 else zero
                sections.guess(own, source, b, jump, jumps, units, steps, here, like)
                state[place] = sections.join(here, item, lanes, keep_run, jump, jumps, before)
                sections.run(own, dst, adding, source, to, last, a, b, jump, jumps, units, steps, here, like)
            if keep and each:
                store(starts + (s * n + row) * VECTOR_BYTES, load(here + sections.START * VECTOR_BYTES, like))
            elif keep:
                record.starts[batch, tile, s * n + row] = before
        if outlets > 0:
            for p in range(plan.outlet_start[row], plan.outlet_start[row + 1]):
                wanted = record.outflow[batch]
                to_line = address(wanted) + (plan.outlet[p] * wanted.shape[1] + day * ratio) * item
                series.collect(own, to_line, lanes, run, item, like)
            if kind == ADD:
                sections.add(own, base + plan.into[row] * stride, run, like)
            elif kind == EDGE:
                sections.copy(own, address(edges) + (plan.into[row] * total + offset) * item, run, like)
        if lag:
            _lag(rows, r_at, scratch.units, units, steps, lanes, count, state, n_sections * n + i)

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
