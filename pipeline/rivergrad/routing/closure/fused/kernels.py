"""The Triton kernels of the fused closure: sweeps down and up the tree at many frequencies, and the packing of series.

Complex numbers travel as one 64-bit word each, so that a warp reads real and imaginary parts together. A sweep
takes a tile of points at a time: AT aliases × BF forcing-step frequencies of one series, all of them in registers of
one warp; its state is the spectrum that flows down the tree. Items (a block of reaches, a tile) are drawn from a
counter in an order in which what an item waits for was drawn before, so waiting always ends. Nothing is added by
atomics: every sum has one order.

What to do at a reach is told by bits, those of `recurrence.cuda.layout`: 4 what has flowed so far waits and a new
branch begins, 8 what waited is added, 16 series of other blocks enter, 32 the series leaves to another block, 64
nothing flows on in this block.
"""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def _real(word):
    return word.to(tl.int32).to(tl.float32, bitcast=True)


@triton.jit
def _imag(word):
    return (word >> 32).to(tl.int32).to(tl.float32, bitcast=True)


@triton.jit
def _word(real, imag):
    low = real.to(tl.int32, bitcast=True).to(tl.int64) & 0xFFFFFFFF
    return (imag.to(tl.int32, bitcast=True).to(tl.int64) << 32) | low


@triton.jit
def _half_word(real, imag):
    """Both as bfloat16, rounded to nearest, in one 32-bit word."""
    low = ((real.to(tl.int32, bitcast=True) + 0x8000) >> 16) & 0xFFFF
    return ((imag.to(tl.int32, bitcast=True) + 0x8000) & -65536) | low


@triton.jit
def _half_real(word):
    return (word << 16).to(tl.float32, bitcast=True)


@triton.jit
def _half_imag(word):
    return (word & -65536).to(tl.float32, bitcast=True)


@triton.jit
def _wait(flag, stage):
    while tl.atomic_add(flag, 0, sem="acquire", scope="gpu") < stage:
        pass


@triton.jit
def _publish(flag, stage):
    tl.debug_barrier()  # every lane's values are written before the flag says so
    tl.atomic_xchg(flag, stage, sem="release", scope="gpu")


@triton.jit
def _inverse(x, FAST: tl.constexpr):
    """1 / x of normal numbers, to an ulp: a division that minds all others takes ten times as long."""
    if FAST:
        return tl.inline_asm_elementwise(
            "rcp.approx.ftz.f32 $0, $1;", "=f,f", [x], dtype=tl.float32, is_pure=True, pack=1
        )
    return 1.0 / x


@triton.jit
def _section(dr, di, sharp, b, c, UNIT: tl.constexpr, SHARP: tl.constexpr, FAST: tl.constexpr):
    """v = d / (b + c d) for d = 1 − 1/z and c = 1 − b: a section's response is 1 − p v.

    On the unit circle |b + c d|² = b² cos² + (2 − b)² sin² of half the angle, which no rounding can spoil; as
    b² + 4 c sin² it takes half the work, and is as good unless b is near 2. There `dr` is that sin², `sharp` that
    cos², and di the sine. Returns v's parts without their common factor, and the factor.
    """
    if UNIT:
        if SHARP:
            size = (b * b) * sharp + ((2.0 - b) * (2.0 - b)) * dr
        else:
            size = b * b + (4.0 * c) * dr
        return (2.0 * (2.0 - b)) * dr, b * di, _inverse(size, FAST)
    below_r = b + c * dr
    below_i = c * di
    size = below_r * below_r + below_i * below_i
    return b * dr + c * (dr * dr + di * di), b * di, _inverse(size, FAST)


@triton.jit
def _series_of(wr, wi, SECTIONS: tl.constexpr):
    """1 − (1 − w)ⁿ."""
    allr = wr
    alli = wi
    for _ in tl.static_range(SECTIONS - 1):
        nr = allr + wr - allr * wr + alli * wi
        alli = alli + wi - allr * wi - alli * wr
        allr = nr
    return allr, alli


@triton.jit
def _late(xr, xi, turn, rest, bin_, delay, bins, log_radius, BIG: tl.constexpr, BACK: tl.constexpr):
    """x times z^−delay at the bins (its conjugate if BACK): x − (1 − z^−delay) x, from a table in two parts."""
    if BIG:
        at = ((bin_.to(tl.int64) * (delay % bins)) % bins).to(tl.int32)
    else:
        at = (bin_ * (delay % bins)) % bins
    high = tl.load(turn + at)
    low = tl.load(rest + at)
    shrunk = tl.exp(-log_radius * delay.to(tl.float32))
    hr = (1.0 - shrunk) + shrunk * _real(high)
    hi = shrunk * _imag(high)
    lr = shrunk * _real(low)
    li = shrunk * _imag(low)
    if BACK:
        hi = -hi
        li = -li
    yr = xr - hr * xr + hi * xi - lr * xr + li * xi
    yi = xi - hr * xi - hi * xr - lr * xi - li * xr
    return yr, yi


@triton.jit
def _tables(
    d_table, sharp_table, enter_table, alias, f, n_freq,
    RATIO: tl.constexpr, UNIT: tl.constexpr, SHARP: tl.constexpr,
):  # fmt: skip
    """d, its companion, and the weights with which runoff enters, at the points of a group."""
    known = (alias < RATIO) & (f < n_freq)
    point = alias * n_freq + f
    entry = tl.load(d_table + point, mask=known, other=0)
    dr = _real(entry)
    di = _imag(entry)
    sharp = dr
    if SHARP:
        sharp = tl.load(sharp_table + point, mask=known, other=1.0)
    entry = tl.load(enter_table + point, mask=known, other=0)
    return dr, di, sharp, _real(entry), _imag(entry)


@triton.jit
def _enter(own, weight_r, weight_i, REAL: tl.constexpr):
    """Runoff as it enters: times the weight."""
    rr = _real(own)
    ri = _imag(own)
    if REAL:
        return weight_r * rr, weight_r * ri
    return weight_r * rr - weight_i * ri, weight_r * ri + weight_i * rr


@triton.jit
def _numbers(coefficient, slot, n_slots, TABLE: tl.constexpr, SPLIT: tl.constexpr):
    """p, b, c and s of a reach, where there are such."""
    p = 0.0
    b = 0.0
    c = 0.0
    s = 0.0
    if not TABLE:
        p = tl.load(coefficient + slot)
        b = tl.load(coefficient + n_slots + slot)
        c = tl.load(coefficient + 2 * n_slots + slot)
        if SPLIT:
            s = tl.load(coefficient + 3 * n_slots + slot)
    return p, b, c, s


@triton.jit
def _pass(
    yr, yi, own_r, own_i, p, b, c, s, dr, di, sharp, at_bin, slot, w_at, delay, table, turn, rest, bins, log_radius,
    SECTIONS: tl.constexpr, TABLE: tl.constexpr, DELAY: tl.constexpr, BIG: tl.constexpr, SPLIT: tl.constexpr,
    UNIT: tl.constexpr, SHARP: tl.constexpr, FAST: tl.constexpr,
):  # fmt: skip
    """What leaves a reach, of what flows into it and its runoff."""
    if SPLIT:
        vr, vi, inverse = _section(dr, di, sharp, b, c, UNIT, SHARP, FAST)
        # y + r − v (p y + s r)
        mr = (p * yr + s * own_r) * inverse
        mi = (p * yi + s * own_i) * inverse
        return yr + own_r - vr * mr + vi * mi, yi + own_i - vr * mi - vi * mr
    xr = yr + own_r
    xi = yi + own_i
    if TABLE:
        entry = tl.load(table + w_at)
        wr = _real(entry)
        wi = _imag(entry)
    else:
        vr, vi, inverse = _section(dr, di, sharp, b, c, UNIT, SHARP, FAST)
        factor = p * inverse
        wr, wi = _series_of(factor * vr, factor * vi, SECTIONS)
    yr = xr - wr * xr + wi * xi
    yi = xi - wr * xi - wi * xr
    if DELAY:
        yr, yi = _late(yr, yi, turn, rest, at_bin, tl.load(delay + slot), bins, log_radius, BIG, False)
    return yr, yi


@triton.jit
def sweep_down(
    counter, ready, start, op, column, row, enter, enter_flow, leave, leave_flow,
    coefficient, delay, table, turn, rest, d_table, sharp_table, enter_table, leave_table,
    runoff, discharge, flow, stack,
    n_items, n_tiles, first_tile, n_series, n_freq, n_slots, n_rows, n_forcing, bins, log_radius, bound,
    AT: tl.constexpr, G: tl.constexpr, BF: tl.constexpr, RATIO: tl.constexpr,
    SECTIONS: tl.constexpr, TABLE: tl.constexpr, DELAY: tl.constexpr, BIG: tl.constexpr, SPLIT: tl.constexpr,
    PLAIN: tl.constexpr, REAL: tl.constexpr, UNIT: tl.constexpr, SHARP: tl.constexpr, FAST: tl.constexpr,
    OUT: tl.constexpr, DEPTH: tl.constexpr,
):  # fmt: skip
    """Discharge's spectra from runoff's, block by block, and the series between blocks.

    What a reach needs is asked for one reach ahead, wherever it does not depend on what flows (where it stands, two).
    """
    TILE: tl.constexpr = AT * BF
    aliases = tl.arange(0, AT)[:, None]
    across = tl.arange(0, BF)[None, :]
    none = across * 0  # makes masks of tensors only: interpreted, those of numbers lose their type
    inside = aliases * BF + across
    waiting = stack + tl.program_id(0).to(tl.int64) * DEPTH * TILE + inside
    item = tl.atomic_add(counter, 1)
    while item < n_items:
        block = item // n_tiles
        local = item % n_tiles
        tile = first_tile + local
        series = tile % n_series
        band = tile // n_series
        f = band * BF + across
        band -= first_tile // n_series
        there = f < n_freq
        place = series.to(tl.int64) * n_slots * n_freq + f
        q_place = series.to(tl.int64) * n_rows * n_freq + f
        begin = tl.load(start + block)
        end = tl.load(start + block + 1)
        for g in range(G):
            alias = g * AT + aliases
            again = none + g > 0
            dr, di, sharp, enter_r, enter_i = _tables(
                d_table, sharp_table, enter_table, alias, f, n_freq, RATIO, UNIT, SHARP
            )
            at_bin = alias * n_forcing + f
            if PLAIN:
                known = (alias < RATIO) & there
                entry = tl.load(leave_table + alias * n_freq + f, mask=known, other=0)
                leave_r = _real(entry)
                leave_i = _imag(entry)
            yr = tl.zeros([AT, BF], tl.float32)
            yi = tl.zeros([AT, BF], tl.float32)
            top = 0
            next_own = tl.load(
                runoff + tl.load(column + begin).to(tl.int64) * n_freq + place, mask=there, other=0
            )
            next_at = tl.load(column + tl.minimum(begin + 1, end - 1))
            next_todo = tl.load(op + begin)
            next_row = tl.load(row + begin)
            next_p, next_b, next_c, next_s = _numbers(coefficient, begin, n_slots, TABLE, SPLIT)
            for k in range(end - begin):
                slot = begin + k
                own = next_own
                todo = next_todo
                target = next_row
                p = next_p
                b = next_b
                c = next_c
                s = next_s
                following = tl.minimum(slot + 1, end - 1)
                next_own = tl.load(runoff + next_at.to(tl.int64) * n_freq + place, mask=there, other=0)
                next_at = tl.load(column + tl.minimum(slot + 2, end - 1))
                next_todo = tl.load(op + following)
                next_row = tl.load(row + following)
                next_p, next_b, next_c, next_s = _numbers(coefficient, following, n_slots, TABLE, SPLIT)
                if OUT:
                    q_at = target.to(tl.int64) * n_freq + q_place
                    wanted = there & (none + target >= 0)
                    so_far = tl.load(discharge + q_at, mask=wanted & again, other=0)
                if todo & 4:
                    tl.store(waiting + top * TILE, _word(yr, yi))
                    top += 1
                    yr = tl.zeros([AT, BF], tl.float32)
                    yi = tl.zeros([AT, BF], tl.float32)
                if todo & 16:
                    for e in range(tl.load(enter + slot), tl.load(enter + slot + 1)):
                        which = tl.load(enter_flow + e).to(tl.int64) * n_tiles + local
                        _wait(ready + which, g + 1)
                        more = tl.load(flow + (which * G + g) * TILE + inside, cache_modifier=".cg")
                        yr += _real(more)
                        yi += _imag(more)
                own_r, own_i = _enter(own, enter_r, enter_i, REAL)
                w_at = ((slot.to(tl.int64) * bound + band) * G + g) * TILE + inside
                yr, yi = _pass(
                    yr, yi, own_r, own_i, p, b, c, s, dr, di, sharp, at_bin, slot, w_at, delay, table, turn, rest,
                    bins, log_radius, SECTIONS, TABLE, DELAY, BIG, SPLIT, UNIT, SHARP, FAST,
                )  # fmt: skip
                if OUT:
                    if PLAIN:
                        qr = tl.sum(leave_r * yr - leave_i * yi, axis=0)[None, :]
                        qi = tl.sum(leave_r * yi + leave_i * yr, axis=0)[None, :]
                    else:
                        qr = tl.sum(yr, axis=0)[None, :]
                        qi = tl.sum(yi, axis=0)[None, :]
                    tl.store(discharge + q_at, _word(qr + _real(so_far), qi + _imag(so_far)), mask=wanted)
                if todo & 32:
                    for e in range(tl.load(leave + slot), tl.load(leave + slot + 1)):
                        which = tl.load(leave_flow + e).to(tl.int64) * n_tiles + local
                        tl.store(flow + (which * G + g) * TILE + inside, _word(yr, yi))
                        _publish(ready + which, g + 1)
                if todo & 8:
                    top -= 1
                    more = tl.load(waiting + top * TILE)
                    yr += _real(more)
                    yi += _imag(more)
                if todo & 64:
                    yr = tl.zeros([AT, BF], tl.float32)
                    yi = tl.zeros([AT, BF], tl.float32)
        item = tl.atomic_add(counter, 1)


@triton.jit
def sweep_up(
    counter, ready, start, back, op, column, row, enter, enter_flow, leave, leave_flow,
    coefficient, delay, table, turn, rest, d_table, sharp_table, enter_table, leave_table, weight, undo,
    runoff, from_discharge, to_runoff, flow, from_flow, stack, kept, to_coefficient, to_table,
    n_items, n_tiles, first_tile, n_series, n_freq, n_slots, n_rows, n_forcing, bins, log_radius, bound, step, most,
    AT: tl.constexpr, G: tl.constexpr, BF: tl.constexpr, RATIO: tl.constexpr,
    SECTIONS: tl.constexpr, TABLE: tl.constexpr, DELAY: tl.constexpr, BIG: tl.constexpr, SPLIT: tl.constexpr,
    PLAIN: tl.constexpr, REAL: tl.constexpr, UNIT: tl.constexpr, SHARP: tl.constexpr, FAST: tl.constexpr,
    HALF: tl.constexpr, DEPTH: tl.constexpr,
):  # fmt: skip
    """The adjoint of `sweep_down`: from the outlets up, with the gradients of runoff and of the responses.

    A block is swept down once more first, from the series between blocks that `sweep_down` left in `flow`; what
    flows into each of its reaches is kept in `kept` until the way up, `most` reaches a program.
    """
    TILE: tl.constexpr = AT * BF
    aliases = tl.arange(0, AT)[:, None]
    across = tl.arange(0, BF)[None, :]
    none = across * 0  # makes masks of tensors only: interpreted, those of numbers lose their type
    inside = aliases * BF + across
    waiting = stack + tl.program_id(0).to(tl.int64) * DEPTH * TILE + inside
    mine = kept + tl.program_id(0).to(tl.int64) * most * TILE + inside
    item = tl.atomic_add(counter, 1)
    while item < n_items:
        block = tl.load(back + item // n_tiles)
        local = item % n_tiles
        tile = first_tile + local
        series = tile % n_series
        band = tile // n_series
        f = band * BF + across
        band -= first_tile // n_series
        there = f < n_freq
        place = series.to(tl.int64) * n_slots * n_freq + f
        q_place = series.to(tl.int64) * n_rows * n_freq + f
        begin = tl.load(start + block)
        end = tl.load(start + block + 1)
        counts = tl.load(weight + f, mask=there, other=0.0)
        undone = tl.load(undo + f, mask=there, other=0.0)
        for g in range(G):
            alias = g * AT + aliases
            again = none + g > 0
            dr, di, sharp, enter_r, enter_i = _tables(
                d_table, sharp_table, enter_table, alias, f, n_freq, RATIO, UNIT, SHARP
            )
            at_bin = alias * n_forcing + f
            if PLAIN:
                known = (alias < RATIO) & there
                entry = tl.load(leave_table + alias * n_freq + f, mask=known, other=0)
                leave_r = _real(entry)
                leave_i = _imag(entry)
            # down once more
            yr = tl.zeros([AT, BF], tl.float32)
            yi = tl.zeros([AT, BF], tl.float32)
            top = 0
            next_own = tl.load(
                runoff + tl.load(column + begin).to(tl.int64) * n_freq + place, mask=there, other=0
            )
            next_at = tl.load(column + tl.minimum(begin + 1, end - 1))
            next_todo = tl.load(op + begin)
            next_p, next_b, next_c, next_s = _numbers(coefficient, begin, n_slots, TABLE, SPLIT)
            for k in range(end - begin):
                slot = begin + k
                own = next_own
                todo = next_todo
                p = next_p
                b = next_b
                c = next_c
                s = next_s
                following = tl.minimum(slot + 1, end - 1)
                next_own = tl.load(runoff + next_at.to(tl.int64) * n_freq + place, mask=there, other=0)
                next_at = tl.load(column + tl.minimum(slot + 2, end - 1))
                next_todo = tl.load(op + following)
                next_p, next_b, next_c, next_s = _numbers(coefficient, following, n_slots, TABLE, SPLIT)
                if todo & 4:
                    tl.store(waiting + top * TILE, _word(yr, yi))
                    top += 1
                    yr = tl.zeros([AT, BF], tl.float32)
                    yi = tl.zeros([AT, BF], tl.float32)
                if todo & 16:
                    for e in range(tl.load(enter + slot), tl.load(enter + slot + 1)):
                        which = tl.load(enter_flow + e).to(tl.int64) * n_tiles + local
                        more = tl.load(flow + (which * G + g) * TILE + inside)
                        yr += _real(more)
                        yi += _imag(more)
                own_r, own_i = _enter(own, enter_r, enter_i, REAL)
                if SPLIT:
                    keep_r = yr
                    keep_i = yi
                else:
                    keep_r = yr + own_r
                    keep_i = yi + own_i
                if HALF:
                    tl.store(mine + k * TILE, _half_word(keep_r, keep_i))
                else:
                    tl.store(mine + k * TILE, _word(keep_r, keep_i))
                w_at = ((slot.to(tl.int64) * bound + band) * G + g) * TILE + inside
                yr, yi = _pass(
                    yr, yi, own_r, own_i, p, b, c, s, dr, di, sharp, at_bin, slot, w_at, delay, table, turn, rest,
                    bins, log_radius, SECTIONS, TABLE, DELAY, BIG, SPLIT, UNIT, SHARP, FAST,
                )  # fmt: skip
                if todo & 8:
                    top -= 1
                    more = tl.load(waiting + top * TILE)
                    yr += _real(more)
                    yi += _imag(more)
                if todo & 64:
                    yr = tl.zeros([AT, BF], tl.float32)
                    yi = tl.zeros([AT, BF], tl.float32)
            tl.debug_barrier()
            # and up
            gr = tl.zeros([AT, BF], tl.float32)
            gi = tl.zeros([AT, BF], tl.float32)
            top = 0
            next_had = tl.load(mine + (end - begin - 1) * TILE)
            next_todo = tl.load(op + end - 1)
            next_row = tl.load(row + end - 1)
            next_q = tl.load(
                from_discharge + next_row.to(tl.int64) * n_freq + q_place,
                mask=there & (none + next_row >= 0),
                other=0,
            )
            next_row = tl.load(row + tl.maximum(end - 2, begin))
            next_at = tl.load(column + end - 1)
            next_p, next_b, next_c, next_s = _numbers(coefficient, end - 1, n_slots, TABLE, SPLIT)
            for k in range(end - begin):
                slot = end - 1 - k
                todo = next_todo
                had = next_had
                q_word = next_q
                p = next_p
                b = next_b
                c = next_c
                s = next_s
                following = tl.maximum(slot - 1, begin)
                next_todo = tl.load(op + following)
                next_had = tl.load(mine + (following - begin) * TILE)
                next_q = tl.load(
                    from_discharge + next_row.to(tl.int64) * n_freq + q_place,
                    mask=there & (none + next_row >= 0),
                    other=0,
                )
                next_row = tl.load(row + tl.maximum(slot - 2, begin))
                at = next_at
                next_at = tl.load(column + following)
                next_p, next_b, next_c, next_s = _numbers(coefficient, following, n_slots, TABLE, SPLIT)
                r_at = at.to(tl.int64) * n_freq + place
                so_far = tl.load(to_runoff + r_at, mask=there & again, other=0)
                if todo & 8:
                    tl.store(waiting + top * TILE, _word(gr, gi))
                    top += 1
                if todo & 64:
                    gr = tl.zeros([AT, BF], tl.float32)
                    gi = tl.zeros([AT, BF], tl.float32)
                if todo & 32:
                    for e in range(tl.load(leave + slot), tl.load(leave + slot + 1)):
                        which = tl.load(leave_flow + e).to(tl.int64) * n_tiles + local
                        _wait(ready + which, g + 1)
                        more = tl.load(from_flow + (which * G + g) * TILE + inside, cache_modifier=".cg")
                        gr += _real(more)
                        gi += _imag(more)
                qr = _real(q_word) * counts
                qi = _imag(q_word) * counts
                if PLAIN:
                    gr += leave_r * qr + leave_i * qi
                    gi += leave_r * qi - leave_i * qr
                else:
                    gr += qr
                    gi += qi
                if DELAY:
                    gr, gi = _late(
                        gr, gi, turn, rest, at_bin, tl.load(delay + slot), bins, log_radius, BIG, True
                    )
                if HALF:
                    xr = _half_real(had)
                    xi = _half_imag(had)
                else:
                    xr = _real(had)
                    xi = _imag(had)
                # t = conj(x) g
                tr = xr * gr + xi * gi
                ti = xr * gi - xi * gr
                if TABLE:
                    w_at = ((slot.to(tl.int64) * bound + band) * G + g) * TILE + inside
                    w_word = tl.load(table + w_at)
                    wr = _real(w_word)
                    wi = _imag(w_word)
                    tl.store(
                        to_table + ((slot.to(tl.int64) * n_tiles + local) * G + g) * TILE + inside,
                        _word(-tr, -ti),
                    )
                else:
                    ur, ui, inverse = _section(dr, di, sharp, b, c, UNIT, SHARP, FAST)
                    factor = p * inverse
                    onr = factor * ur
                    oni = factor * ui
                    wr, wi = _series_of(onr, oni, SECTIONS)
                    if SECTIONS > 1:
                        # what a change of one section changes of them all: n (1 − w)ⁿ⁻¹
                        kr = tl.zeros([AT, BF], tl.float32) + SECTIONS
                        ki = tl.zeros([AT, BF], tl.float32)
                        for _ in tl.static_range(SECTIONS - 1):
                            nr = kr - kr * onr + ki * oni
                            ki = ki - kr * oni - ki * onr
                            kr = nr
                        nr = kr * tr + ki * ti
                        ti = kr * ti - ki * tr
                        tr = nr
                    # with r = p / b held, v b changes by v² with b: nothing cancels at low frequencies
                    ur = inverse * ur
                    ui = inverse * ui
                    c_at = (slot.to(tl.int64) * n_tiles + local) * G + g
                    tl.store(to_coefficient + c_at, tl.sum(tl.sum(ur * tr + ui * ti, axis=1), axis=0))
                    tr = p * tr
                    ti = p * ti
                    if SPLIT:
                        r_word = tl.load(runoff + r_at, mask=there, other=0)
                        rr, ri = _enter(r_word, enter_r, enter_i, REAL)
                        sr = rr * gr + ri * gi
                        si = rr * gi - ri * gr
                        by_s = tl.sum(tl.sum(ur * sr + ui * si, axis=1), axis=0)
                        tl.store(to_coefficient + step + step + c_at, by_s)
                        tr += s * sr
                        ti += s * si
                    by_b = (ur * ur - ui * ui) * tr + 2.0 * (ur * ui) * ti
                    tl.store(to_coefficient + step + c_at, tl.sum(tl.sum(by_b, axis=1), axis=0))
                if SPLIT:
                    mr = s * ur
                    mi = s * ui
                    own_r = gr - mr * gr - mi * gi
                    own_i = gi - mr * gi + mi * gr
                nr = gr - wr * gr - wi * gi
                gi = gi - wr * gi + wi * gr
                gr = nr
                if not SPLIT:
                    own_r = gr
                    own_i = gi
                if REAL:
                    sr = tl.sum(enter_r * own_r, axis=0)[None, :] * undone
                    si = tl.sum(enter_r * own_i, axis=0)[None, :] * undone
                else:
                    sr = tl.sum(enter_r * own_r + enter_i * own_i, axis=0)[None, :] * undone
                    si = tl.sum(enter_r * own_i - enter_i * own_r, axis=0)[None, :] * undone
                tl.store(to_runoff + r_at, _word(sr + _real(so_far), si + _imag(so_far)), mask=there)
                if todo & 16:
                    for e in range(tl.load(enter + slot), tl.load(enter + slot + 1)):
                        which = tl.load(enter_flow + e).to(tl.int64) * n_tiles + local
                        tl.store(from_flow + (which * G + g) * TILE + inside, _word(gr, gi))
                        _publish(ready + which, g + 1)
                if todo & 4:
                    top -= 1
                    more = tl.load(waiting + top * TILE)
                    gr = _real(more)
                    gi = _imag(more)
            tl.debug_barrier()
        item = tl.atomic_add(counter, 1)


@triton.jit
def gather_series(
    early, late, scale, out,
    past, time, n_rows, length, lead, hop, low, high, n_segments, first_series, n_series,
    BT: tl.constexpr, BR: tl.constexpr, SCALED: tl.constexpr,
):  # fmt: skip
    """Cut records (batch, time, row) into overlapping segments (series, row, lag).

    Segment s of a record begins `lead` steps before step past + s·hop; lags outside [low, high) are zero.
    """
    number = tl.program_id(2)
    series = first_series + number
    batch = (series // n_segments).to(tl.int64)
    begin = past + (series % n_segments) * hop - lead
    lag = tl.program_id(1) * BT + tl.arange(0, BT)[:, None]
    rows = tl.program_id(0) * BR + tl.arange(0, BR)[None, :]
    t = begin + lag
    good = (lag >= low) & (lag < high) & (rows < n_rows) & (t >= 0) & (t < past + time)
    value = tl.load(late + (batch * time + t - past) * n_rows + rows, mask=good & (t >= past), other=0.0)
    if begin + tl.program_id(1) * BT < past:
        value += tl.load(early + (batch * past + t) * n_rows + rows, mask=good & (t < past), other=0.0)
    if SCALED:
        value = value * tl.load(scale + lag, mask=lag < length, other=0.0)
    lag_t = tl.program_id(1) * BT + tl.arange(0, BT)[None, :]
    rows_t = tl.program_id(0) * BR + tl.arange(0, BR)[:, None]
    at = (number.to(tl.int64) * n_rows + rows_t) * length + lag_t
    tl.store(out + at, tl.trans(value), mask=(rows_t < n_rows) & (lag_t < length))


@triton.jit
def scatter_series(
    segments, scale, out,
    since, time, n_rows, length, hop, low, high, n_segments, first_series, n_series, first_hop, n_hops,
    CANDIDATES: tl.constexpr, BT: tl.constexpr, BR: tl.constexpr, SCALED: tl.constexpr, ADD: tl.constexpr,
):  # fmt: skip
    """The adjoint of `gather_series`: step t of `out` is lag `since` + t + low of the first segment.

    Sums over the segments that hold the step, latest first. A program takes steps of one hop, so that which segments
    these are is one number: hops first_hop to first_hop + n_hops of all records, in a row.
    """
    batch = (tl.program_id(2) // n_hops).to(tl.int64)
    hops = first_hop + tl.program_id(2) % n_hops
    j = tl.program_id(1) * BT + tl.arange(0, BT)[None, :]
    rows = tl.program_id(0) * BR + tl.arange(0, BR)[:, None]
    t = hops * hop + j - since
    total = tl.zeros([BR, BT], tl.float32)
    none = j * 0  # see `sweep_down`
    for k in tl.static_range(CANDIDATES):
        segment = hops - k
        number = (batch * n_segments + segment - first_series).to(tl.int64)
        lag = low + j + k * hop
        good = (j < hop) & (lag < high) & (t >= 0) & (t < time) & (rows < n_rows)
        one = none + segment
        which = none + number
        good = good & (one >= 0) & (one < n_segments) & (which >= 0) & (which < n_series)
        value = tl.load(segments + (number * n_rows + rows) * length + lag, mask=good, other=0.0)
        if SCALED:
            value = value * tl.load(scale + lag, mask=good, other=0.0)
        total += value
    j_t = tl.program_id(1) * BT + tl.arange(0, BT)[:, None]
    rows_t = tl.program_id(0) * BR + tl.arange(0, BR)[None, :]
    t_t = hops * hop + j_t - since
    at = (batch * time + t_t) * n_rows + rows_t
    good_t = (j_t < hop) & (t_t >= 0) & (t_t < time) & (rows_t < n_rows)
    value_t = tl.trans(total)
    if ADD:
        value_t += tl.load(out + at, mask=good_t, other=0.0)
    tl.store(out + at, value_t, mask=good_t)
