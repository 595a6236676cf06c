"""The adjoint of one group of reaches over one tile of time."""

from __future__ import annotations

from typing import Any

from rivergrad.routing.recurrence.cpu import sections, series
from rivergrad.routing.recurrence.cpu.arrays import Adjoint, Model, Record, Scratch
from rivergrad.routing.recurrence.cpu.blocks import ADD, EDGE, END, IN_PLACE, Plan
from rivergrad.routing.recurrence.cpu.forward import take_in, take_runoff
from rivergrad.routing.recurrence.cpu.lanes import VECTOR_BYTES, address, bare, load, store
from rivergrad.routing.recurrence.cpu.tiles import (
    JUMP,
    REST_A,
    REST_B,
    UNIT_KEEP,
    UNIT_RISE,
    UNIT_SLOPE,
    A,
    B,
    Tiles,
)

Array = Any  # of the dtype computed in


@bare()
def _lag_adjoint(
    gradients: Array, lasts: Array, at: int, units: int, lanes: int, count: int, state: Array, place: int
) -> None:  # pragma: no cover - compiled
    """With what gradient the last step of each unit counts: that of the unit after it."""
    carried = state[place]
    state[place] = gradients[at]
    for u in range(units):
        for l in range(count):
            if u + 1 < units:
                lasts[at + u * count + l] = gradients[at + (u + 1) * count + l]
            elif l + 1 < lanes:
                lasts[at + u * count + l] = gradients[at + l + 1]
            elif l + 1 == lanes:
                lasts[at + u * count + l] = carried
            else:
                lasts[at + u * count + l] = 0.0


@bare()
def backward_item(
    group: int,
    tile: int,
    batch: int,
    plan: Plan,
    tiles: Tiles,
    model: Model,
    record: Record,
    adjoint: Adjoint,
    scratch: Scratch,
    ratio: int,
    want_runoff: bool,
) -> None:  # pragma: no cover - compiled
    """The adjoint of `forward_item`: e of every row anew, then the gradients, rows and time backwards."""
    slots = scratch.slots
    rows = scratch.rows
    work = scratch.work
    gradients = scratch.gradients
    item = slots.itemsize
    count = VECTOR_BYTES // item
    like = slots[0]
    reach = plan.reach
    n = reach.size
    table = model.table
    g_edges = adjoint.edges[batch]
    g_state = adjoint.state[batch]
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
    sums = address(scratch.units)
    width = units * count
    first_row, end_row = plan.group_start[group], plan.group_start[group + 1]

    take_runoff(group, plan, tiles, tile, model, record, batch, scratch, count)
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
        coefficient = table[shape, row]
        a, b, jump = coefficient[A], coefficient[B], coefficient[JUMP]
        keep_run = model.run_keep[shape, row]
        wait = model.delay[row] if model.delay.size > 0 else 0
        r_at = (row - first_row) * width
        runoff = address(rows) + r_at * item
        own_at = plan.slot[row] * (stride // item)
        own = base + own_at * item
        head = plan.head[row] == 1
        kind = plan.kind[row]
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
            kept = record.kept[batch, tile, model.kept_at[row] :]
            series.delay_again(line, late, wait, kept)
            series.spread(address(late), own, lanes, run, False, item, like)
            runoff = zero
            head = False
        for s in range(n_sections):
            if each:
                store(here + sections.START * VECTOR_BYTES, load(starts + (s * n + row) * VECTOR_BYTES, like))
            errors = address(scratch.errors) + ((row - first_row) * n_sections + s) * stride
            ending = s == n_sections - 1
            dst = own
            adding = False
            if ending and kind == ADD:
                dst = base + plan.into[row] * stride
                adding = True
            if s == 0 and head:
                if not each:
                    before = record.starts[batch, tile, s * n + row]
                    sections.guess_head(runoff, coefficient[UNIT_RISE], jump, jumps, units, here, like)
                    sections.join(here, item, lanes, keep_run, jump, jumps, before)
                silent = ending and (kind in (END, EDGE))
                sections.rerun_head(
                    dst,
                    adding,
                    silent,
                    runoff,
                    errors,
                    coefficient[REST_A],
                    coefficient[REST_B],
                    coefficient[UNIT_RISE],
                    jump,
                    jumps,
                    units,
                    steps,
                    here,
                    like,
                )
            else:
                source = runoff if s == 0 else zero
                if not each:
                    before = record.starts[batch, tile, s * n + row]
                    sections.guess(own, source, b, jump, jumps, units, steps, here, like)
                    sections.join(here, item, lanes, keep_run, jump, jumps, before)
                sections.rerun(own, dst, adding, source, errors, a, b, jump, jumps, units, steps, here, like)

    # The gradients.
    for row in range(end_row - 1, first_row - 1, -1):
        i = reach[row]
        coefficient = table[shape, row]
        a, b, jump = coefficient[A], coefficient[B], coefficient[JUMP]
        keep_run = model.run_keep[shape, row]
        wait = model.delay[row] if model.delay.size > 0 else 0
        r_at = (row - first_row) * width
        runoff = address(rows) + r_at * item
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
                sections.copy(src, own, run, like)
                src = own
            for p in range(plan.outlet_start[row], plan.outlet_start[row + 1]):
                wanted = adjoint.outflow[batch]
                given = address(wanted) + (plan.outlet[p] * wanted.shape[1] + day * ratio) * item
                series.spread(given, own, lanes, run, True, item, like)
        into = address(gradients) + r_at * item
        last = into
        if lag:
            _lag_adjoint(gradients, scratch.lasts, r_at, units, lanes, count, g_state, n_sections * n + i)
            last = address(scratch.lasts) + r_at * item
        mean = into
        for s in range(n_sections - 1, -1, -1):
            place = s * n + i
            errors = address(scratch.errors) + ((row - first_row) * n_sections + s) * stride
            if s == 0 and plan.head[row] == 1 and wait == 0:
                sections.adjoint_guess_head(
                    src,
                    mean,
                    last,
                    coefficient[REST_A],
                    coefficient[REST_B],
                    coefficient[UNIT_KEEP],
                    units,
                    steps,
                    sums,
                    here,
                    like,
                )
                g_state[place] = sections.adjoint_join(here, item, lanes, keep_run, g_state[place])
                ga, gb, gj = sections.adjoint_run_head(
                    sums,
                    errors,
                    runoff,
                    into,
                    coefficient[REST_A],
                    coefficient[UNIT_RISE],
                    coefficient[UNIT_KEEP],
                    coefficient[UNIT_SLOPE],
                    jump,
                    jumps,
                    units,
                    here,
                    item,
                    like,
                )
            else:
                sections.adjoint_guess(src, mean, last, coefficient[REST_A], b, units, steps, here, like)
                g_state[place] = sections.adjoint_join(here, item, lanes, keep_run, g_state[place])
                ga, gb, gj = sections.adjoint_run(
                    src,
                    own,
                    mean,
                    last,
                    errors,
                    runoff,
                    into if s == 0 else junk,
                    a,
                    b,
                    jump,
                    jumps,
                    units,
                    steps,
                    here,
                    item,
                    like,
                )
            adjoint.a[batch, row] += ga
            adjoint.b[batch, row] += gb
            if jumps:
                adjoint.jump[batch, row] += gj
            src = own
            mean = zero
            last = zero
        if wait > 0:
            line = scratch.line[: run * lanes]
            series.collect(own, address(line), lanes, run, item, like)
            ring = g_state[model.wait_at[row] : model.wait_at[row] + wait]
            series.delay_adjoint(line, ring, day * ratio)
            series.spread(address(line), own, lanes, run, False, item, like)
            series.sum_units(own, address(gradients) + r_at * item, units, steps, like)
        for p in range(plan.source_start[row], plan.source_start[row + 1]):
            edge = plan.source[p]
            if edge >= 0:
                sections.copy(own, address(g_edges) + (edge * total + offset) * item, run, like)
            else:
                inflow = adjoint.inflow[batch]
                into_line = address(inflow) + ((-1 - edge) * inflow.shape[1] + day * ratio) * item
                series.collect(own, into_line, lanes, run, item, like)

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
