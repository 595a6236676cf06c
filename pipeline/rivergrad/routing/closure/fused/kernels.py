"""The Triton kernels of the fused closure: sweeps down and up the tree at many frequencies, and the packing of series.

Complex numbers travel as one 64-bit word each, so that a warp reads real and imaginary parts together. A sweep takes a
tile of points at a time: all aliases of BF forcing-step frequencies of one series (or as many of them as registers
hold: PASSES in turn), in the registers of one warp; its state is the spectrum that flows down the tree. The aliases are
SETS tensors of AT × BF, since a tensor has a power of two of them and a day has 24 hours. Items (a block of reaches, a
tile) are drawn from a counter in an order in which what an item waits for was drawn before, so waiting always ends.
Nothing is added by atomics: every sum has one order.

What to do at a reach is told by bits, those of `recurrence.cuda.layout`: 1 a headwater, of which nothing but what
leaves it is added to what flows already (unless 2: nothing flows yet), 4 what has flowed so far waits and a new branch
begins, 8 what waited is added, 16 series of other blocks enter, 32 the series leaves to another block, 64 nothing flows
on in this block. A reach's record is 8 words: the bits, its row of discharge or -1, its column of runoff, the numbers
of its response (four of them), and its delay.
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
def _zero(FAST: tl.constexpr):
    """Zero, but the assembler does not know that it is the same for all lanes.

    What is read from an address that is would be moved to registers of the warp right away, which waits for it.
    """
    if FAST:
        return tl.inline_asm_elementwise(
            "{.reg .u32 own; mov.u32 own, %lanemask_eq; popc.b32 own, own; add.s32 $0, own, -1;}",
            "=r", [], dtype=tl.int32, is_pure=True, pack=1,
        )  # fmt: skip
    return 0


@triton.jit
def _far(row, width):
    """Where a row begins: one multiplication of unsigned numbers instead of six instructions."""
    return row.to(tl.uint32).to(tl.uint64) * width.to(tl.uint32).to(tl.uint64)


# ---- tuples of SETS tensors


@triton.jit
def _zeros(AT: tl.constexpr, BF: tl.constexpr, SETS: tl.constexpr):
    out = ()
    for _ in tl.static_range(SETS):
        out = out + (tl.zeros([AT, BF], tl.float32),)
    return out


@triton.jit
def _plus(a, b, SETS: tl.constexpr):
    out = ()
    for u in tl.static_range(SETS):
        out = out + (a[u] + b[u],)
    return out


@triton.jit
def _load(at, TILE: tl.constexpr, SETS: tl.constexpr, FRESH: tl.constexpr):
    """The words of a tile, real and imaginary parts; FRESH where another multiprocessor wrote them."""
    re = ()
    im = ()
    for u in tl.static_range(SETS):
        if FRESH:
            word = tl.load(at + u * TILE, cache_modifier=".cg")
        else:
            word = tl.load(at + u * TILE)
        re = re + (_real(word),)
        im = im + (_imag(word),)
    return re, im


@triton.jit
def _store(at, re, im, TILE: tl.constexpr, SETS: tl.constexpr, HALF: tl.constexpr):
    for u in tl.static_range(SETS):
        if HALF:
            tl.store(at + u * TILE, _half_word(re[u], im[u]))
        else:
            tl.store(at + u * TILE, _word(re[u], im[u]))


# ---- responses


@triton.jit
def _points(
    first, second, enter_table, leave_table, first_alias, f, n_freq,
    AT: tl.constexpr, SETS: tl.constexpr, RATIO: tl.constexpr, REAL: tl.constexpr, PLAIN: tl.constexpr,
):  # fmt: skip
    """Of the points of a tile: the two parts of 1 / d (see `_section`), and the weights of what enters and leaves."""
    nr = ()
    ni = ()
    er = ()
    ei = ()
    lr = ()
    li = ()
    for u in tl.static_range(SETS):
        alias = first_alias + u * AT + tl.arange(0, AT)[:, None]
        known = (alias < RATIO) & (f < n_freq)
        point = alias * n_freq + f
        one = tl.load(first + point, mask=known, other=1.0)
        nr = nr + (one,)
        ni = ni + (tl.load(second + point, mask=known, other=0.0),)
        if REAL:
            er = er + (one,)
            ei = ei + (one,)
        else:
            entry = tl.load(enter_table + point, mask=known, other=0)
            er = er + (_real(entry),)
            ei = ei + (_imag(entry),)
        if PLAIN:
            entry = tl.load(leave_table + point, mask=known, other=0)
            lr = lr + (_real(entry),)
            li = li + (_imag(entry),)
        else:
            lr = lr + (one,)
            li = li + (one,)
    return nr, ni, er, ei, lr, li


@triton.jit
def _section(nr, ni, a, b, c, UNIT: tl.constexpr, SHARP: tl.constexpr, FAST: tl.constexpr):
    """What a section takes away, w = p d / (b + (1 - b) d) for d = 1 - 1/z.

    On the unit circle 1/d = (1 - i n) / 2, where n is the cotangent of half the angle, so that
    w = (1 + i r n) / (k (1 + r² n²)) with r = b / (2 - b) and k = (2 - b) / 2p: no rounding can spoil it. With `nr`,
    1 + n², it takes an operation less to write k (1 + r² n²) = k r² nr + k (1 - r²), as good unless b is near 2.
    There (a, b, c) are (k, -, r) if SHARP and else (k r², k (1 - r²), r); the real part is returned, and the imaginary
    one over it. Elsewhere 1 / w = a / d + b, whose inverse is returned.
    """
    if UNIT:
        turn = c * ni
        if SHARP:
            return _inverse((a * turn) * turn + a, FAST), turn
        return _inverse(a * nr + b, FAST), turn
    below_r = a * nr + b
    below_i = a * ni
    inverse = _inverse(below_r * below_r + below_i * below_i, FAST)
    return below_r * inverse, -below_i * inverse


@triton.jit
def _times(wr, wi, xr, xi, POLAR: tl.constexpr):
    """w x, where w is what `_section` returns on the unit circle if POLAR."""
    if POLAR:
        return wr * (xr - wi * xi), wr * (xi + wi * xr)
    return wr * xr - wi * xi, wr * xi + wi * xr


@triton.jit
def _series_of(wr, wi, SECTIONS: tl.constexpr):
    """1 - (1 - w)ⁿ."""
    allr = wr
    alli = wi
    for _ in tl.static_range(SECTIONS - 1):
        nr = allr + wr - allr * wr + alli * wi
        alli = alli + wi - allr * wi - alli * wr
        allr = nr
    return allr, alli


@triton.jit
def _late(xr, xi, turn, rest, bin_, delay, bins, log_radius, BIG: tl.constexpr, BACK: tl.constexpr):
    """x times z^-delay at the bins (its conjugate if BACK): x - (1 - z^-delay) x, from a table in two parts."""
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
def _own(word, gain, REAL: tl.constexpr):
    """Runoff, with that part of its weights that is the same for all aliases."""
    if REAL:
        return _real(word) * gain, _imag(word) * gain
    return _real(word), _imag(word)


@triton.jit
def _enter(rr, ri, er, ei, REAL: tl.constexpr):
    """Runoff as it enters: times the weight."""
    if REAL:
        return er * rr, er * ri
    return er * rr - ei * ri, er * ri + ei * rr


@triton.jit
def _numbers(lanes, slot, TABLE: tl.constexpr, SPLIT: tl.constexpr):
    """The numbers of a reach's response, where there are such."""
    a = 0.0
    b = 0.0
    c = 0.0
    s = 0.0
    if not TABLE:
        at = lanes + slot * 8
        a = tl.load(at + 3).to(tl.float32, bitcast=True)
        b = tl.load(at + 4).to(tl.float32, bitcast=True)
        c = tl.load(at + 5).to(tl.float32, bitcast=True)
        if SPLIT:
            s = tl.load(at + 6).to(tl.float32, bitcast=True)
    return a, b, c, s


@triton.jit
def _pass(
    yr, yi, rr, ri, nr, ni, er, ei, a, b, c, s, bin_, delay, table, turn, rest, bins, log_radius,
    SECTIONS: tl.constexpr, TABLE: tl.constexpr, DELAY: tl.constexpr, BIG: tl.constexpr, SPLIT: tl.constexpr,
    REAL: tl.constexpr, UNIT: tl.constexpr, SHARP: tl.constexpr, FAST: tl.constexpr,
):  # fmt: skip
    """What leaves a reach, of what flows into it and its runoff; and what of it has to be kept for the way up."""
    own_r, own_i = _enter(rr, ri, er, ei, REAL)
    xr = yr + own_r
    xi = yi + own_i
    if SPLIT:
        # y + r - w (y + s r)
        wr, wi = _section(nr, ni, a, b, c, UNIT, SHARP, FAST)
        mr, mi = _times(wr, wi, yr + s * own_r, yi + s * own_i, UNIT)
        return xr - mr, xi - mi, yr, yi
    if TABLE:
        entry = tl.load(table)
        mr, mi = _times(_real(entry), _imag(entry), xr, xi, False)
    else:
        wr, wi = _section(nr, ni, a, b, c, UNIT, SHARP, FAST)
        if SECTIONS > 1:
            if UNIT:
                wi = wr * wi
            wr, wi = _series_of(wr, wi, SECTIONS)
        mr, mi = _times(wr, wi, xr, xi, UNIT and SECTIONS == 1)
    zr = xr - mr
    zi = xi - mi
    if DELAY:
        zr, zi = _late(zr, zi, turn, rest, bin_, delay, bins, log_radius, BIG, False)
    return zr, zi, xr, xi


@triton.jit
def _pass_all(
    yr, yi, rr, ri, nr, ni, er, ei, lr, li, a, b, c, s, record, slot, first_alias, f, n_forcing, table, turn, rest,
    bins, log_radius, kept,
    AT: tl.constexpr, BF: tl.constexpr, SETS: tl.constexpr, RATIO: tl.constexpr,
    SECTIONS: tl.constexpr, TABLE: tl.constexpr, DELAY: tl.constexpr, BIG: tl.constexpr, SPLIT: tl.constexpr,
    PLAIN: tl.constexpr, REAL: tl.constexpr, UNIT: tl.constexpr, SHARP: tl.constexpr, FAST: tl.constexpr,
    PADDED: tl.constexpr, KEEP: tl.constexpr, HALF: tl.constexpr,
):  # fmt: skip
    """`_pass` at every set: what leaves, and its sum over the aliases. If KEEP, what the way up needs is stored."""
    TILE: tl.constexpr = AT * BF
    delay = 0
    if DELAY:
        delay = tl.load(record + slot * 8 + 7)
    zr = ()
    zi = ()
    xr = ()
    xi = ()
    qr = tl.zeros([AT, BF], tl.float32)
    qi = tl.zeros([AT, BF], tl.float32)
    for u in tl.static_range(SETS):
        alias = first_alias + u * AT + tl.arange(0, AT)[:, None]
        vr, vi, kr, ki = _pass(
            yr[u], yi[u], rr, ri, nr[u], ni[u], er[u], ei[u], a, b, c, s, alias * n_forcing + f, delay,
            table + u * TILE, turn, rest, bins, log_radius,
            SECTIONS, TABLE, DELAY, BIG, SPLIT, REAL, UNIT, SHARP, FAST,
        )  # fmt: skip
        zr = zr + (vr,)
        zi = zi + (vi,)
        xr = xr + (kr,)
        xi = xi + (ki,)
        if PLAIN:
            qr += lr[u] * vr - li[u] * vi
            qi += lr[u] * vi + li[u] * vr
        elif PADDED:
            qr += tl.where(alias < RATIO, vr, 0.0)
            qi += tl.where(alias < RATIO, vi, 0.0)
        else:
            qr += vr
            qi += vi
    if KEEP:
        _store(kept, xr, xi, TILE, SETS, HALF)
    return zr, zi, tl.sum(qr, axis=0)[None, :], tl.sum(qi, axis=0)[None, :]


@triton.jit
def _item(item, block, start, gain, n_tiles, first_tile, n_series, n_freq, BF: tl.constexpr):
    """Of an item: its tile among those of the launch, the series and frequency tile, the frequencies and which of them
    there are, the slots of the block, and the weights of runoff."""
    local = item % n_tiles
    tile = first_tile + local
    band = tile // n_series
    f = band * BF + tl.arange(0, BF)[None, :]
    there = f < n_freq
    begin = tl.load(start + block)
    end = tl.load(start + block + 1)
    gains = tl.load(gain + f, mask=there, other=0.0)
    series = (tile % n_series).to(tl.int64)
    return local, series, band - first_tile // n_series, f, there, begin, end, gains


# ---- sweeps

SIZES = [
    "n_items", "n_tiles", "first_tile", "n_series", "n_freq", "width", "n_slots", "n_rows", "n_forcing", "bins",
    "bound", "depth", "step", "most",
]  # fmt: skip
WORDS = ["enter_table", "leave_table", "runoff", "discharge", "flow", "stack", "table"]
"""Nothing is made of whether numbers happen to be divisible: one layout for all tensors, of one frequency a lane."""


@triton.jit
def _down(
    begin, end, g, local, band, f, there, lanes, first_alias, inside, waiting, kept, gain,
    nr, ni, er, ei, lr, li,
    record, ready, enter, enter_flow, leave, leave_flow, table, turn, rest, runoff, discharge, flow,
    n_tiles, width, n_forcing, bins, log_radius, bound,
    AT: tl.constexpr, SETS: tl.constexpr, PASSES: tl.constexpr, BF: tl.constexpr, RATIO: tl.constexpr,
    SECTIONS: tl.constexpr, TABLE: tl.constexpr, DELAY: tl.constexpr, BIG: tl.constexpr, SPLIT: tl.constexpr,
    PLAIN: tl.constexpr, REAL: tl.constexpr, UNIT: tl.constexpr, SHARP: tl.constexpr, FAST: tl.constexpr,
    PADDED: tl.constexpr, OUT: tl.constexpr, KEEP: tl.constexpr, HALF: tl.constexpr,
):  # fmt: skip
    """A block swept down for a tile; if KEEP once more, from series between blocks that are there.

    What a reach needs is asked for one reach ahead, wherever it does not depend on what flows (where it stands, two).
    """
    TILE: tl.constexpr = AT * BF
    ALL: tl.constexpr = SETS * TILE
    yr = _zeros(AT, BF, SETS)
    yi = _zeros(AT, BF, SETS)
    top = 0
    next_own = tl.load(runoff + _far(tl.load(lanes + begin * 8 + 2), width), mask=there, other=0)
    next_at = tl.load(lanes + begin * 8 + 10)
    next_todo = tl.load(record + begin * 8)
    next_row = tl.load(lanes + begin * 8 + 1)
    next_a, next_b, next_c, next_s = _numbers(lanes, begin, TABLE, SPLIT)
    for k in range(end - begin):
        slot = begin + k
        own = next_own
        todo = next_todo
        target = next_row
        a = next_a
        b = next_b
        c = next_c
        s = next_s
        next_own = tl.load(runoff + _far(next_at, width), mask=there, other=0)
        next_at = tl.load(lanes + slot * 8 + 18)
        next_todo = tl.load(record + slot * 8 + 8)
        if OUT:
            next_row = tl.load(lanes + slot * 8 + 9)
        next_a, next_b, next_c, next_s = _numbers(lanes, slot + 1, TABLE, SPLIT)
        wanted = there & (f * 0 + target >= 0)
        q_at = discharge + _far(target, width)
        so_far = tl.zeros_like(own)
        if OUT and PASSES > 1:
            so_far = tl.load(q_at, mask=wanted & (f * 0 + g > 0), other=0)
        rr, ri = _own(own, gain, REAL)
        w_at = table + ((slot.to(tl.int64) * bound + band) * PASSES + g) * ALL + inside
        k_at = kept + k * ALL
        if (todo & 3) == 1:
            zr, zi, qr, qi = _pass_all(
                _zeros(AT, BF, SETS), _zeros(AT, BF, SETS), rr, ri, nr, ni, er, ei, lr, li, a, b, c, s,
                record, slot, first_alias, f, n_forcing, w_at, turn, rest, bins, log_radius, k_at,
                AT, BF, SETS, RATIO, SECTIONS, TABLE, DELAY, BIG, SPLIT, PLAIN, REAL, UNIT, SHARP, FAST,
                PADDED, KEEP, HALF,
            )  # fmt: skip
            yr = _plus(yr, zr, SETS)
            yi = _plus(yi, zi, SETS)
        else:
            if todo & 20:
                if todo & 4:
                    _store(waiting + top * ALL, yr, yi, TILE, SETS, False)
                    top += 1
                    yr = _zeros(AT, BF, SETS)
                    yi = _zeros(AT, BF, SETS)
                if todo & 16:
                    for e in range(tl.load(enter + slot), tl.load(enter + slot + 1)):
                        which = tl.load(enter_flow + e).to(tl.int64) * n_tiles + local
                        if not KEEP:
                            _wait(ready + which, g + 1)
                        more_r, more_i = _load(
                            flow + (which * PASSES + g) * ALL + inside, TILE, SETS, not KEEP
                        )
                        yr = _plus(yr, more_r, SETS)
                        yi = _plus(yi, more_i, SETS)
            yr, yi, qr, qi = _pass_all(
                yr, yi, rr, ri, nr, ni, er, ei, lr, li, a, b, c, s,
                record, slot, first_alias, f, n_forcing, w_at, turn, rest, bins, log_radius, k_at,
                AT, BF, SETS, RATIO, SECTIONS, TABLE, DELAY, BIG, SPLIT, PLAIN, REAL, UNIT, SHARP, FAST,
                PADDED, KEEP, HALF,
            )  # fmt: skip
            if todo & 104:
                if not KEEP:  # known when this is compiled
                    if todo & 32:
                        for e in range(tl.load(leave + slot), tl.load(leave + slot + 1)):
                            which = tl.load(leave_flow + e).to(tl.int64) * n_tiles + local
                            _store(flow + (which * PASSES + g) * ALL + inside, yr, yi, TILE, SETS, False)
                            _publish(ready + which, g + 1)
                if todo & 8:
                    top -= 1
                    more_r, more_i = _load(waiting + top * ALL, TILE, SETS, False)
                    yr = _plus(yr, more_r, SETS)
                    yi = _plus(yi, more_i, SETS)
                if todo & 64:
                    yr = _zeros(AT, BF, SETS)
                    yi = _zeros(AT, BF, SETS)
        if OUT:
            tl.store(q_at, _word(qr + _real(so_far), qi + _imag(so_far)), mask=wanted)


@triton.jit(do_not_specialize=SIZES[:-2], do_not_specialize_on_alignment=WORDS)
def sweep_down(
    counter, ready, start, record, enter, enter_flow, leave, leave_flow, table, turn, rest,
    first, second, gain, enter_table, leave_table, runoff, discharge, flow, stack,
    n_items, n_tiles, first_tile, n_series, n_freq, width, n_slots, n_rows, n_forcing, bins, log_radius, bound, depth,
    AT: tl.constexpr, SETS: tl.constexpr, PASSES: tl.constexpr, BF: tl.constexpr, RATIO: tl.constexpr,
    SECTIONS: tl.constexpr, TABLE: tl.constexpr, DELAY: tl.constexpr, BIG: tl.constexpr, SPLIT: tl.constexpr,
    PLAIN: tl.constexpr, REAL: tl.constexpr, UNIT: tl.constexpr, SHARP: tl.constexpr, FAST: tl.constexpr,
    PADDED: tl.constexpr, OUT: tl.constexpr,
):  # fmt: skip
    """Discharge's spectra from runoff's, block by block, and the series between blocks."""
    TILE: tl.constexpr = AT * BF
    lanes = record + _zero(FAST)
    inside = tl.arange(0, AT)[:, None] * BF + tl.arange(0, BF)[None, :]
    waiting = stack + tl.program_id(0).to(tl.int64) * depth * SETS * TILE + inside
    item = tl.atomic_add(counter, 1)
    while item < n_items:
        local, series, band, f, there, begin, end, gains = _item(
            item, item // n_tiles, start, gain, n_tiles, first_tile, n_series, n_freq, BF
        )
        for g in range(PASSES):
            first_alias = g * SETS * AT
            nr, ni, er, ei, lr, li = _points(
                first, second, enter_table, leave_table, first_alias, f, n_freq,
                AT, SETS, RATIO, REAL, PLAIN,
            )  # fmt: skip
            _down(
                begin, end, g, local, band, f, there, lanes, first_alias, inside, waiting,
                stack, gains, nr, ni, er, ei, lr, li,
                record, ready, enter, enter_flow, leave, leave_flow, table, turn, rest,
                runoff + (series * n_slots * width + f), discharge + (series * n_rows * width + f), flow,
                n_tiles, width, n_forcing, bins, log_radius, bound,
                AT, SETS, PASSES, BF, RATIO, SECTIONS, TABLE, DELAY, BIG, SPLIT, PLAIN, REAL, UNIT, SHARP, FAST,
                PADDED, OUT, False, False,
            )  # fmt: skip
        item = tl.atomic_add(counter, 1)


@triton.jit(
    do_not_specialize=SIZES,
    do_not_specialize_on_alignment=[*WORDS, "from_discharge", "to_runoff", "from_flow", "kept", "to_table"],
)
def sweep_up(
    counter, ready, start, back, record, enter, enter_flow, leave, leave_flow, table, turn, rest,
    first, second, gain, enter_table, leave_table, weight, undo,
    runoff, from_discharge, to_runoff, flow, from_flow, stack, kept, to_coefficient, to_table,
    n_items, n_tiles, first_tile, n_series, n_freq, width, n_slots, n_rows, n_forcing, bins, log_radius, bound,
    depth, step, most,
    AT: tl.constexpr, SETS: tl.constexpr, PASSES: tl.constexpr, BF: tl.constexpr, RATIO: tl.constexpr,
    SECTIONS: tl.constexpr, TABLE: tl.constexpr, DELAY: tl.constexpr, BIG: tl.constexpr, SPLIT: tl.constexpr,
    PLAIN: tl.constexpr, REAL: tl.constexpr, UNIT: tl.constexpr, SHARP: tl.constexpr, FAST: tl.constexpr,
    PADDED: tl.constexpr, HALF: tl.constexpr,
):  # fmt: skip
    """The adjoint of `sweep_down`: from the outlets up, with the gradients of runoff and of the responses.

    A block is swept down once more first, from the series between blocks that `sweep_down` left in `flow`; what
    flows into each of its reaches is kept in `kept` until the way up, `most` reaches a program.
    """
    TILE: tl.constexpr = AT * BF
    ALL: tl.constexpr = SETS * TILE
    lanes = record + _zero(FAST)
    inside = tl.arange(0, AT)[:, None] * BF + tl.arange(0, BF)[None, :]
    waiting = stack + tl.program_id(0).to(tl.int64) * depth * ALL + inside
    mine = kept + tl.program_id(0).to(tl.int64) * most * ALL + inside
    item = tl.atomic_add(counter, 1)
    while item < n_items:
        block = tl.load(back + item // n_tiles)
        local, series, band, f, there, begin, end, gains = _item(
            item, block, start, gain, n_tiles, first_tile, n_series, n_freq, BF
        )
        from_runoff = runoff + (series * n_slots * width + f)
        back_to_runoff = to_runoff + (series * n_slots * width + f)
        from_q = from_discharge + (series * n_rows * width + f)
        counts = tl.load(weight + f, mask=there, other=0.0)
        undone = tl.load(undo + f, mask=there, other=0.0)
        for g in range(PASSES):
            first_alias = g * SETS * AT
            nr, ni, er, ei, lr, li = _points(
                first, second, enter_table, leave_table, first_alias, f, n_freq,
                AT, SETS, RATIO, REAL, PLAIN,
            )  # fmt: skip
            _down(
                begin, end, g, local, band, f, there, lanes, first_alias, inside, waiting, mine, gains,
                nr, ni, er, ei, lr, li,
                record, ready, enter, enter_flow, leave, leave_flow, table, turn, rest, from_runoff, from_q, flow,
                n_tiles, width, n_forcing, bins, log_radius, bound,
                AT, SETS, PASSES, BF, RATIO, SECTIONS, TABLE, DELAY, BIG, SPLIT, PLAIN, REAL, UNIT, SHARP, FAST,
                PADDED, False, True, HALF,
            )  # fmt: skip
            tl.debug_barrier()
            gr = _zeros(AT, BF, SETS)
            gi = _zeros(AT, BF, SETS)
            top = 0
            next_todo = tl.load(record + end * 8 - 8)
            next_row = tl.load(lanes + end * 8 - 7)
            next_q = tl.load(from_q + _far(next_row, width), mask=there & (f * 0 + next_row >= 0), other=0)
            next_row = tl.load(lanes + tl.maximum(end - 2, begin) * 8 + 1)
            next_at = tl.load(lanes + end * 8 - 6)
            next_a, next_b, next_c, next_s = _numbers(lanes, end - 1, TABLE, SPLIT)
            for k in range(end - begin):
                slot = end - 1 - k
                todo = next_todo
                q_word = next_q
                at = next_at
                a = next_a
                b = next_b
                c = next_c
                s = next_s
                following = tl.maximum(slot - 1, begin)
                next_todo = tl.load(record + following * 8)
                next_q = tl.load(
                    from_q + _far(next_row, width), mask=there & (f * 0 + next_row >= 0), other=0
                )
                next_row = tl.load(lanes + tl.maximum(slot - 2, begin) * 8 + 1)
                next_at = tl.load(lanes + following * 8 + 2)
                next_a, next_b, next_c, next_s = _numbers(lanes, following, TABLE, SPLIT)
                r_at = back_to_runoff + _far(at, width)
                delay = 0
                if DELAY:
                    delay = tl.load(record + slot * 8 + 7)
                so_far = tl.zeros_like(q_word)
                if PASSES > 1:
                    so_far = tl.load(r_at, mask=there & (f * 0 + g > 0), other=0)
                rr = tl.zeros([1, BF], tl.float32)
                ri = tl.zeros([1, BF], tl.float32)
                if SPLIT:
                    rr, ri = _own(tl.load(from_runoff + _far(at, width), mask=there, other=0), gains, REAL)
                if todo & 104:
                    if todo & 8:
                        _store(waiting + top * ALL, gr, gi, TILE, SETS, False)
                        top += 1
                    if todo & 64:
                        gr = _zeros(AT, BF, SETS)
                        gi = _zeros(AT, BF, SETS)
                    if todo & 32:
                        for e in range(tl.load(leave + slot), tl.load(leave + slot + 1)):
                            which = tl.load(leave_flow + e).to(tl.int64) * n_tiles + local
                            _wait(ready + which, g + 1)
                            more_r, more_i = _load(
                                from_flow + (which * PASSES + g) * ALL + inside, TILE, SETS, True
                            )
                            gr = _plus(gr, more_r, SETS)
                            gi = _plus(gi, more_i, SETS)
                qr = _real(q_word) * counts
                qi = _imag(q_word) * counts
                sum_a = tl.zeros([AT, BF], tl.float32)
                sum_b = tl.zeros([AT, BF], tl.float32)
                sum_s = tl.zeros([AT, BF], tl.float32)
                sum_r = tl.zeros([AT, BF], tl.float32)
                sum_i = tl.zeros([AT, BF], tl.float32)
                upper_r = ()
                upper_i = ()
                for u in tl.static_range(SETS):
                    alias = first_alias + u * AT + tl.arange(0, AT)[:, None]
                    bin_ = alias * n_forcing + f
                    had = tl.load(mine + (slot - begin) * ALL + u * TILE)
                    if PLAIN:
                        hr = gr[u] + lr[u] * qr + li[u] * qi
                        hi = gi[u] + lr[u] * qi - li[u] * qr
                    elif PADDED:
                        hr = gr[u] + tl.where(alias < RATIO, qr, 0.0)
                        hi = gi[u] + tl.where(alias < RATIO, qi, 0.0)
                    else:
                        hr = gr[u] + qr
                        hi = gi[u] + qi
                    if DELAY:
                        hr, hi = _late(hr, hi, turn, rest, bin_, delay, bins, log_radius, BIG, True)
                    if HALF:
                        xr = _half_real(had)
                        xi = _half_imag(had)
                    else:
                        xr = _real(had)
                        xi = _imag(had)
                    # t = conj(x) g
                    tr = xr * hr + xi * hi
                    ti = xr * hi - xi * hr
                    own_r = hr
                    own_i = hi
                    if TABLE:
                        w_word = tl.load(
                            table
                            + ((slot.to(tl.int64) * bound + band) * PASSES + g) * ALL
                            + u * TILE
                            + inside
                        )
                        mr, mi = _times(_real(w_word), -_imag(w_word), hr, hi, False)
                        tl.store(
                            to_table
                            + ((slot.to(tl.int64) * n_tiles + local) * PASSES + g) * ALL
                            + u * TILE
                            + inside,
                            _word(-tr, -ti),
                        )
                    else:
                        wr, wi = _section(nr[u], ni[u], a, b, c, UNIT, SHARP, FAST)
                        if SECTIONS > 1:
                            oner = wr
                            onei = wi
                            if UNIT:
                                onei = wr * wi
                            allr, alli = _series_of(oner, onei, SECTIONS)
                            mr, mi = _times(allr, -alli, hr, hi, False)
                            # what a change of one section changes of them all: n (1 - w)ⁿ⁻¹
                            kr = tl.zeros([AT, BF], tl.float32) + SECTIONS
                            ki = tl.zeros([AT, BF], tl.float32)
                            for _ in tl.static_range(SECTIONS - 1):
                                new = kr - kr * oner + ki * onei
                                ki = ki - kr * onei - ki * oner
                                kr = new
                            new = kr * tr + ki * ti
                            ti = kr * ti - ki * tr
                            tr = new
                        else:
                            mr, mi = _times(wr, -wi, hr, hi, UNIT)
                        if UNIT:
                            sum_a += wr * (tr + wi * ti)
                        else:
                            sum_a += wr * tr + wi * ti
                        if SPLIT:
                            enter_r, enter_i = _enter(rr, ri, er[u], ei[u], REAL)
                            sr = enter_r * hr + enter_i * hi
                            si = enter_r * hi - enter_i * hr
                            if UNIT:
                                sum_s += wr * (sr + wi * si)
                            else:
                                sum_s += wr * sr + wi * si
                            tr += s * sr
                            ti += s * si
                            own_r = hr - s * mr
                            own_i = hi - s * mi
                        # with r = p / b held, w changes by w² / p with b: nothing cancels at low frequencies
                        if UNIT:
                            sum_b += (wr * wr) * ((1.0 - wi * wi) * tr + (wi + wi) * ti)
                        else:
                            sum_b += (wr * wr - wi * wi) * tr + 2.0 * (wr * wi) * ti
                    hr = hr - mr
                    hi = hi - mi
                    if not SPLIT:
                        own_r = hr
                        own_i = hi
                    if REAL:
                        sum_r += er[u] * own_r
                        sum_i += er[u] * own_i
                    else:
                        sum_r += er[u] * own_r + ei[u] * own_i
                        sum_i += er[u] * own_i - ei[u] * own_r
                    upper_r = upper_r + (hr,)
                    upper_i = upper_i + (hi,)
                if not TABLE:
                    c_at = (slot.to(tl.int64) * n_tiles + local) * PASSES + g
                    tl.store(to_coefficient + c_at, tl.sum(tl.sum(sum_a, axis=0), axis=0))
                    tl.store(to_coefficient + step + c_at, tl.sum(tl.sum(sum_b, axis=0), axis=0))
                    if SPLIT:
                        tl.store(to_coefficient + step + step + c_at, tl.sum(tl.sum(sum_s, axis=0), axis=0))
                undoing = undone
                if REAL:
                    undoing = undone * gains
                sr = tl.sum(sum_r, axis=0)[None, :] * undoing
                si = tl.sum(sum_i, axis=0)[None, :] * undoing
                tl.store(r_at, _word(sr + _real(so_far), si + _imag(so_far)), mask=there)
                if (todo & 3) != 1:
                    gr = upper_r
                    gi = upper_i
                    if todo & 20:
                        if todo & 16:
                            for e in range(tl.load(enter + slot), tl.load(enter + slot + 1)):
                                which = tl.load(enter_flow + e).to(tl.int64) * n_tiles + local
                                _store(
                                    from_flow + (which * PASSES + g) * ALL + inside, gr, gi, TILE, SETS, False
                                )
                                _publish(ready + which, g + 1)
                        if todo & 4:
                            top -= 1
                            gr, gi = _load(waiting + top * ALL, TILE, SETS, False)
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
        value = value * tl.load(scale + lag, mask=lag < high, other=0.0)
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


# ---- tables of responses

TABLE_SIZES = ["n_reaches", "n_freq", "first_f", "bands", "n_series"]


@triton.jit(do_not_specialize=TABLE_SIZES)
def pack_table(
    values, rows, table, n_reaches, n_freq, first_f, bands, n_series,
    ALIASES: tl.constexpr, BF: tl.constexpr, RATIO: tl.constexpr, BR: tl.constexpr,
):  # fmt: skip
    """1 - H of some reaches into their rows of a table: from (part, alias, frequency, reach) float64."""
    band = tl.program_id(1)
    alias = tl.program_id(2)
    r = tl.program_id(0) * BR + tl.arange(0, BR)
    f = band * BF + tl.arange(0, BF)
    # (a comparison of scalars makes a mask that Triton 3.9's interpreter does not take)
    last_f = tl.where(alias < RATIO, n_freq - first_f, 0)
    good = (r < n_reaches)[None, :] & (f < last_f)[:, None]
    at = (alias * bands * BF + f).to(tl.int64)[:, None] * n_reaches + r[None, :]
    half = RATIO * bands * BF * n_reaches.to(tl.int64)
    real = 1.0 - tl.load(values + at, mask=good, other=1.0)
    imag = 0.0 - tl.load(values + half + at, mask=good, other=0.0)
    word = _word(real.to(tl.float32), imag.to(tl.float32))
    row = tl.load(rows + r, mask=r < n_reaches, other=0)
    to = (row * bands + band) * (ALIASES * BF) + alias * BF
    tl.store(table + to[:, None] + tl.arange(0, BF)[None, :], tl.trans(word), mask=(r < n_reaches)[:, None])


@triton.jit(do_not_specialize=TABLE_SIZES)
def unpack_table(
    values, rows, table, n_reaches, n_freq, first_f, bands, n_series,
    ALIASES: tl.constexpr, BF: tl.constexpr, RATIO: tl.constexpr, BR: tl.constexpr,
):  # fmt: skip
    """Its adjoint: gradients of a table, summed over the series of each frequency tile."""
    band = tl.program_id(1)
    alias = tl.program_id(2)
    r = tl.program_id(0) * BR + tl.arange(0, BR)
    f = band * BF + tl.arange(0, BF)
    if alias < RATIO:
        row = tl.load(rows + r, mask=r < n_reaches, other=0)
        real = tl.zeros([BR, BF], tl.float64)
        imag = tl.zeros([BR, BF], tl.float64)
        known = (r < n_reaches)[:, None] & (first_f + f < n_freq)[None, :]
        for series in range(n_series):
            start = ((row * bands + band) * n_series + series) * (ALIASES * BF) + alias * BF
            word = tl.load(table + start[:, None] + tl.arange(0, BF)[None, :], mask=known, other=0)
            real -= _real(word).to(tl.float64)
            imag -= _imag(word).to(tl.float64)
        at = (alias * bands * BF + f).to(tl.int64)[:, None] * n_reaches + r[None, :]
        half = RATIO * bands * BF * n_reaches.to(tl.int64)
        tl.store(values + at, tl.trans(real), mask=(r < n_reaches)[None, :])
        tl.store(values + half + at, tl.trans(imag), mask=(r < n_reaches)[None, :])
