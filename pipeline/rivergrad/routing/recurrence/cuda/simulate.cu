// The sweep without a gradient, for one section and forcing steps ("days") of STEPS routing steps: a lane holds a day.
// The same tree walk as `forward`, with fewer operations: series are scaled, so that a routing step takes three.
//
// The flow of a series at step e of a lane's day is R + low + scale x: R constant in a lane, low what adding up R has
// rounded off, scale the same in all lanes. With m - R = scale b s, a section (see sweep.cu) is
//   y = s + D x;  s' = decay s + x;  scale' = scale (1-a) b,   D = a / ((1-a) b)
// one operation each, and a step waits for the one before only through s. Scales multiply up until a series is
// centred, which is when x is made small again and scale one: `scales.py` has them for each slot.
//
// Time is cut in legs of some tiles: warps take all blocks for the first leg, then all for the second, so that those
// that find no block left in one leg go on in the next, and only the end of the last leg leaves some of them idle. A
// block's states pass from leg to leg through `state`, with a count of the legs done.
//
// Defined by the host besides: BLOCKS, CUDA blocks that a multiprocessor is to hold.

#define PITCH (PANEL + 1)  // no two lanes in one bank
#define HALF (STEPS / 2)
#define HELD 2             // series that wait in registers
#define QUADS ((STEPS + 3 + WIDTH - 1) / WIDTH)            // of a series that waits
#define POWERS ((STEPS - HALF + WIDTH - 1) / WIDTH)        // of the powers of decay in half a day

// Columns of the coefficients (see `scales.py`); "before" and "after" are scales, after before it is centred. TO_M: b
// before; TO_S its inverse; GIVEN: after / (b STEPS); W, H: decay to the power STEPS and HALF; WEIGHT: the scale of what
// waited over that to which it is added; CENTRE: 1 where a series is centred. A headwater has SHARE, (1-a) / before, and
// GATHER, which times m - R at the start of a lane is the mean of the flow.
enum { DECAY, D, GIVEN, TO_M, W, H, TO_S, NONE, AFTER, WEIGHT, BEFORE, CENTRE };
enum { SHARE = D, GATHER = GIVEN };
struct alignas(16) Part { real c[4]; };  // of them, read at once

struct alignas(16) Work {  // a reach
    Slot slot;
    real m;
    int op, column, row;
    Quad power[POWERS];  // of decay, half a day of them
};
__device__ __forceinline__ Part part(const Work& work, int which) {
    return reinterpret_cast<const Part*>(work.slot.c)[which];
}

struct alignas(16) Room {  // of a warp, in shared memory
    Work work[2][PANEL];
    real cell[2][LANES * PITCH];
};

struct Series {
    real x[STEPS];
    real R, low, mean;  // mean: of scale x over the day

    __device__ __forceinline__ void clear() {
        R = low = mean = 0;
#pragma unroll
        for (int e = 0; e < STEPS; ++e) x[e] = 0;
    }
    __device__ __forceinline__ void raise(real by) {
        const real sum = R + by;
        low += by - (sum - R);
        R = sum;
    }
    __device__ __forceinline__ void centre(real scale) {  // which is one from now on
        const real middle = scale * x[HALF] + low;
        const real sum = R + middle;
        const real by = (sum - R) - low;
        R = sum;
        low = 0;
#pragma unroll
        for (int e = 0; e < STEPS; ++e) x[e] = scale * x[e] - by;
        average(1);
    }
    // what has waited: x, R, low, mean
    __device__ __forceinline__ void add(const real* all, real ratio) {
#pragma unroll
        for (int e = 0; e < STEPS; ++e) x[e] = fma(ratio, all[e], x[e]);  // as one, or the compiler splits it
        raise(all[STEPS]);
        low += all[STEPS + 1];
        mean += all[STEPS + 2];
    }
    __device__ __forceinline__ void average(real scale) {
        real sum[4] = {0, 0, 0, 0};
#pragma unroll
        for (int e = 0; e < STEPS; ++e) sum[e % 4] += x[e];
        mean = ((sum[0] + sum[1]) + (sum[2] + sum[3])) * (scale * (real(1) / STEPS));
    }
};

// Series that wait: the first two in registers, the rest in the thread's own memory, which is far. (Shared memory for
// some of them would be taken from the first-level cache, where the others are.)
struct Stack {
    int depth = 0;
    real first[QUADS * WIDTH], second[QUADS * WIDTH];

    __device__ __forceinline__ void push(const Series& series, Quad (*deep)[QUADS]) {
        HOLD(depth);  // nothing for this before its branch
        real all[QUADS * WIDTH];
#pragma unroll
        for (int e = 0; e < STEPS; ++e) all[e] = series.x[e];
        all[STEPS] = series.R;
        all[STEPS + 1] = series.low;
        all[STEPS + 2] = series.mean;
#pragma unroll
        for (int k = STEPS + 3; k < QUADS * WIDTH; ++k) all[k] = 0;
        int at = depth++;
        if (at == 0) {
            BRANCH;
#pragma unroll
            for (int k = 0; k < QUADS * WIDTH; ++k) first[k] = all[k];
            return;
        }
        HOLD(at);  // or this becomes a jump by a table
        if (at == 1) {
            BRANCH;
#pragma unroll
            for (int k = 0; k < QUADS * WIDTH; ++k) second[k] = all[k];
            return;
        }
        Quad* waits = deep[at - HELD];
#pragma unroll
        for (int k = 0; k < QUADS; ++k) {
            Quad quad;
#pragma unroll
            for (int i = 0; i < WIDTH; ++i) quad.c[i] = all[k * WIDTH + i];
            waits[k] = quad;
        }
    }

    // What waited last is added.
    __device__ __forceinline__ void pop(Series& series, real ratio, const Quad (*deep)[QUADS]) {
        HOLD(depth);
        int at = --depth;
        if (at == 0) {
            BRANCH;
            series.add(first, ratio);
            return;
        }
        HOLD(at);
        if (at == 1) {
            BRANCH;
            series.add(second, ratio);
            return;
        }
        real all[QUADS * WIDTH];
        const Quad* waits = deep[at - HELD];
#pragma unroll
        for (int k = 0; k < QUADS; ++k) {
            const Quad quad = waits[k];
#pragma unroll
            for (int i = 0; i < WIDTH; ++i) all[k * WIDTH + i] = quad.c[i];
        }
        series.add(all, ratio);
    }
};

// What is to be done in a panel, on its way to shared memory; `bring` waits for it.
__device__ __forceinline__ void look(Room& room, int half, const Net& net, int begin, int end, int lane) {
    const int s = lane % PANEL;
    const bool live = begin + s < end;
    const int slot = live ? begin + s : begin;
    copy_async<4>(&room.work[half][s].op, net.op + slot, live);
    copy_async<4>(&room.work[half][s].column, net.column + slot, live);
    copy_async<4>(&room.work[half][s].row, net.target + slot, live);
}

// The coefficients, the runoff and the states (where `state` is given) of a panel on their way to shared memory.
__device__ __forceinline__ void bring(Room& room, int half, const Slot* coefficient, const Rain& rain,
                                      const real* state, int first_day, int n_rows, int begin, int end, int lane) {
    const int parts = sizeof(Slot) / 16;
#pragma unroll
    for (int k = 0; k < PANEL * parts; k += LANES) {
        const int part = k + lane, s = part / parts;
        const bool there = s < PANEL && begin + s < end;
        const char* from = reinterpret_cast<const char*>(coefficient + begin) + (there ? part * 16 : 0);
        if (s < PANEL)
            copy_async<16>(reinterpret_cast<char*>(&room.work[half][s].slot) + part % parts * 16, from, there);
    }
    const bool live = begin + lane % PANEL < end;
    const int column = room.work[half][lane % PANEL].column;
    if (state && lane < PANEL) copy_async<sizeof(real)>(&room.work[half][lane].m, state + column, live);
    real* to = &room.cell[half][lane / PANEL * PITCH + lane % PANEL];
    const int rows = LANES / PANEL;  // that a warp copies at once
#if GRID
    for (int d = lane / PANEL; d < n_rows; d += rows, to += rows * PITCH)
        *to = live ? rain.at(first_day + d, column) : real(0);
#else
    const real* row = rain.values + (long long)(first_day + lane / PANEL) * rain.n_columns + column;
    const int step = rows * rain.n_columns;
    if (n_rows == LANES) {  // nearly always: no row to be left out
#pragma unroll
        for (int d = 0; d < LANES; d += rows, row += step) copy_async<sizeof(real)>(to + d * PITCH, row, live);
    } else {
        for (int d = lane / PANEL; d < n_rows; d += rows, to += rows * PITCH, row += step)
            copy_async<sizeof(real)>(to, row, live);
    }
#endif
}

// One tile of one block, upstream to downstream; `stop` is the first tile that is not this warp's.
__device__ __forceinline__ void tile_of(const Net& net, int begin, int end, int tile, int stop, int n_tiles, int n_days,
                                        const Rain& rain, const Slot* coefficient, real* discharge, int n_targets,
                                        const real* inflow, real* outflow, real* flow, int* done, real* state,
                                        Room& room, Quad (*deep)[QUADS], int& half, int lane) {
    const int first_day = tile * LANES, n_rows = min(LANES, n_days - first_day);
    // opaque, or the compiler works them out anew at each reach
    int ends = lane == n_rows - 1;
    HOLD(ends);
    const long long n_steps = (long long)n_days * STEPS, my_step = (long long)(first_day + lane) * STEPS;
    Series at;
    at.clear();
    Stack waiting;
    for (int panel = begin; panel < end; panel += PANEL) {
        copies_done();
        __syncwarp();
        // the panel after this one: of this tile, or the first of the next
        const bool wraps = panel + PANEL >= end;
        const int next = wraps ? begin : panel + PANEL;
        const bool follows = !wraps || tile + 1 < stop;
        const bool alone = wraps && panel == begin;  // a single panel: its states stay here
        if (follows) look(room, 1 - half, net, next, end, lane);
        const int n_here = min(PANEL, end - panel);
        // what to do at each reach, a bit a reach: the same in all lanes, and the compiler sees it
        unsigned leaf, fresh, pushed, popped, enters, leaves, near, more, centred;
        {
            const int s = lane % PANEL;
            const bool mine = lane < n_here;
            const int op = mine ? room.work[half][s].op : 0;
            const Slot& slot = room.work[half][s].slot;
            leaf = votes(op & LEAF);
            fresh = votes(op & FRESH);
            pushed = votes(op & PUSH);
            popped = votes(op & POP);
            enters = votes(op & ENTER);
            leaves = votes(op & LEAVE);
            const real w = slot.c[W];
            near = votes(fabs(w) >= real(TINY));
            more = votes(fabs(w * w) * (w * w) >= real(TINY));
            centred = votes(mine && !(op & LEAF) && slot.c[CENTRE] != 0);
            real power = 1;
#pragma unroll
            for (int k = 0; k < POWERS; ++k) {
                Quad quad;
#pragma unroll
                for (int i = 0; i < WIDTH; ++i) {
                    quad.c[i] = power;
                    power *= slot.c[DECAY];
                }
                if (lane < PANEL) room.work[half][s].power[k] = quad;
            }
            __syncwarp();
        }
        // where things stand in shared memory
        unsigned work_at = place(room.work[half]);
        unsigned cell_at = place(room.cell[half] + lane * PITCH);
        HOLD(work_at);
        HOLD(cell_at);
        unsigned here = 1;
#pragma unroll 1
        for (int turn = 0; turn < 2; ++turn) {
            if (turn && follows) {  // by now what `look` asked for is there
                copies_done();
                __syncwarp();
                const int day = wraps ? first_day + LANES : first_day;
                bring(room, 1 - half, coefficient, rain, alone ? nullptr : state, day, min(LANES, n_days - day),
                      next, end, lane);
            }
            const int count = turn ? n_here : n_here / 2;
            const unsigned stop_at = count < 32 ? 1u << count : 0;
            for (; here != stop_at; here <<= 1, work_at += sizeof(Work), cell_at += sizeof(real)) {
                Work& work = *at_place<Work>(work_at);
                real& cell = *at_place<real>(cell_at);
                const Part own = part(work, 0), over = part(work, 1);
                const real m0 = work.m, r = cell;
                const real decay = own.c[DECAY], w = over.c[W - 4], h = over.c[H - 4];
                if (leaf & here) {
                    // m - R decays by itself
                    real v = risen(r, m0, lane) - r;
                    v = scan(v, w, near & here, more & here, lane);
                    if (ends) work.m = r + w * v;
                    const Quad* power = work.power;
                    const real f = own.c[SHARE] * v, late = f * h, mean = own.c[GATHER] * v;
                    cell = r + mean;
                    if (fresh & here) {
                        if (pushed & here) waiting.push(at, deep);
                        at.R = r;
                        at.low = 0;
                        at.mean = mean;
#pragma unroll
                        for (int e = 0; e < STEPS - HALF; ++e) {
                            const real p = power[e / WIDTH].c[e % WIDTH];
                            if (e < HALF) at.x[e] = f * p;
                            at.x[HALF + e] = late * p;
                        }
                    } else {
                        at.raise(r);
                        at.mean += mean;
#pragma unroll
                        for (int e = 0; e < STEPS - HALF; ++e) {
                            const real p = power[e / WIDTH].c[e % WIDTH];
                            if (e < HALF) at.x[e] += f * p;
                            at.x[HALF + e] += late * p;
                        }
                    }
                    if (!(leaves & here)) continue;
                } else {
                    if ((fresh | enters) & here) {
                        BRANCH;
                        if (pushed & here) waiting.push(at, deep);
                        if (fresh & here) at.clear();
                        const real inverse = real(1) / work.slot.c[BEFORE];
                        const int first = net.enter[panel + __popc(here - 1)];
                        const int last = net.enter[panel + __popc(here - 1) + 1];
                        for (int k = first; k < last; ++k) {
                            const int f = net.enter_flow[k];
                            if (f >= 0) {
                                wait_for(done + f, tile + 1);
                                const real* series =
                                    flow + ((long long)f * n_tiles + tile) * (STEPS + 1) * LANES + lane;
#pragma unroll
                                for (int e = 0; e < STEPS; ++e) at.x[e] += inverse * passed(series + e * LANES);
                                at.raise(passed(series + STEPS * LANES));
                            } else if (lane < n_rows) {
                                const real* series = inflow + ~f * n_steps + my_step;
                                const real base = series[0];
                                at.raise(base);
#pragma unroll
                                for (int e = 0; e < STEPS; ++e) at.x[e] += inverse * (series[e] - base);
                            }
                        }
                        at.average(work.slot.c[BEFORE]);
                    }
                    at.raise(r);
                    const real to_s = over.c[TO_S - 4];  // m - R = to_m s
                    // lane 0 takes over from the tile before
                    const real fall = risen(at.R, m0, lane) - at.R;
                    // from zero: what each day adds to s at its end, its halves at once
                    real early = at.x[0], z = at.x[HALF];
#pragma unroll
                    for (int e = 1; e < STEPS - HALF; ++e) {
                        if (e < HALF) early = decay * early + at.x[e];
                        z = decay * z + at.x[HALF + e];
                    }
                    z += (STEPS % 2 ? h * decay : h) * early;
                    real t = fall * to_s;
                    gather(t, z, lane);
                    t = scan(t, w, near & here, more & here, lane);
                    const real d = own.c[D];
                    real one = t, two = h * t + early;
#pragma unroll
                    for (int e = 0; e < STEPS - HALF; ++e) {  // the next s first: then the place of x is free
                        if (e < HALF) {
                            const real x = at.x[e], after = decay * one + x;
                            at.x[e] = d * x + one;
                            one = after;
                        }
                        const real x = at.x[HALF + e], after = decay * two + x;
                        at.x[HALF + e] = d * x + two;
                        two = after;
                    }
                    if (ends) work.m = at.R + own.c[TO_M] * two;
                    // what flows out is what flows in less what stays
                    at.mean += own.c[GIVEN] * (t - two);
                    cell = at.R + (at.mean + at.low);
                    if (!((centred | popped) & here)) continue;
                    if (centred & here) {
                        at.centre(work.slot.c[AFTER]);
                        cell = at.R + at.mean;
                    }
                }
                if (leaves & here) {
                    at.centre(1);
                    const int first = net.leave[panel + __popc(here - 1)];
                    const int last = net.leave[panel + __popc(here - 1) + 1];
                    for (int k = first; k < last; ++k) {
                        const int f = net.leave_flow[k];
                        if (f >= 0) {
                            real* series = flow + ((long long)f * n_tiles + tile) * (STEPS + 1) * LANES + lane;
#pragma unroll
                            for (int e = 0; e < STEPS; ++e) series[e * LANES] = at.x[e];
                            series[STEPS * LANES] = at.R;
                            __syncwarp();
                            if (lane == 0) publish(done + f, tile + 1);
                        } else if (lane < n_rows) {
                            real* series = outflow + ~f * n_steps + my_step;
#pragma unroll
                            for (int e = 0; e < STEPS; ++e) series[e] = at.R + at.x[e];
                        }
                    }
                }
                if (popped & here) waiting.pop(at, work.slot.c[WEIGHT], deep);
            }
        }
        __syncwarp();
        const bool live = lane % PANEL < n_here;
        const int row = room.work[half][lane % PANEL].row;
        if (live && row >= 0) {
            const int rows = LANES / PANEL, step = rows * n_targets;
            real* out = discharge + (long long)(first_day + lane / PANEL) * n_targets + row;
            const real* from = room.cell[half] + lane / PANEL * PITCH + lane % PANEL;
            if (n_rows == LANES) {
#pragma unroll
                for (int d = 0; d < LANES; d += rows, out += step) *out = from[d * PITCH];
            } else {
                for (int d = lane / PANEL; d < n_rows; d += rows, out += step, from += rows * PITCH) *out = *from;
            }
        }
        if (lane < PANEL && live) {
            if (alone && follows) room.work[1 - half][lane].m = room.work[half][lane].m;
            else state[room.work[half][lane].column] = room.work[half][lane].m;
        }
        if (follows) half = 1 - half;
        __syncwarp();
    }
}

extern "C" __global__ void __launch_bounds__(WARPS * LANES, BLOCKS)
simulate(const int* start, const int* op, const int* column, const int* target, const int* place,
         const int* enter, const int* enter_flow, const int* leave, const int* leave_flow, int n_slots,
         int n_blocks, const long long* grid_pointer, const int* grid_cell, const real* grid_weight,
         const Slot* coefficient, const real* runoff, int n_columns, real* discharge, int n_targets,
         const real* inflow, int n_inlets, real* outflow, int n_outlets, real* flow, int n_flows, int* done,
         real* state, long long state_size, int n_days, int n_tiles, int n_batch, int leg, int* legs, int* ticket) {
    __shared__ Room rooms[WARPS];
    const int lane = threadIdx.x % LANES, warp = threadIdx.x / LANES;
    const Net net = {start, op, column, target, place, enter, enter_flow, leave, leave_flow, n_slots};
    const long long n_steps = (long long)n_days * STEPS;
    const int n_series = n_blocks * n_batch, n_legs = (n_tiles + leg - 1) / leg;
    Quad deep[DEPTH - HELD][QUADS];
    for (;;) {
        int item = 0;
        if (lane == 0) item = atomicAdd(ticket, 1);
        item = from(item, 0);
        if (item >= n_series * n_legs) return;
        const int turn = item / n_series, which = item % n_series;
        const int block = which / n_batch, batch = which % n_batch;
        const int begin = start[block], end = start[block + 1];
        const Rain rain = {runoff + (long long)batch * n_days * n_columns, grid_pointer, grid_cell,
                           grid_weight, n_columns};
        real* now = state + batch * state_size;
        if (turn) {
            wait_for(legs + which, turn);
            refresh();  // the states were written by another multiprocessor
        }
        const int first = turn * leg, stop = min(n_tiles, first + leg);
        int half = 0;
        look(rooms[warp], half, net, begin, end, lane);
        copies_done();
        __syncwarp();
        bring(rooms[warp], half, coefficient, rain, now, first * LANES, min(LANES, n_days - first * LANES), begin, end,
              lane);
        for (int tile = first; tile < stop; ++tile)
            tile_of(net, begin, end, tile, stop, n_tiles, n_days, rain, coefficient,
                    discharge + (long long)batch * n_days * n_targets, n_targets,
                    inflow + (long long)batch * n_inlets * n_steps,
                    outflow + (long long)batch * n_outlets * n_steps,
                    flow + (long long)batch * n_flows * n_tiles * (STEPS + 1) * LANES, done + batch * n_flows, now,
                    rooms[warp], deep, half, lane);
        if (lane == 0) publish(legs + which, turn + 1);
        __syncwarp();  // or the compiler takes all that follows for what lanes may do at different times
    }
}
