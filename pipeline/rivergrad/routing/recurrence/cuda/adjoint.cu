// The adjoint for one section and forcing steps ("days") of STEPS routing steps: a lane holds a day.
//
// A block is swept downstream once more (`down`), which leaves what `up` wants to know of it in scratch memory, and then
// upstream and back in time (`up`):
//   e = x - m;  q = m + a e;  m += b e
//   gx = a gq + b mu;  mu' = mu + gq - gx;  ga += gq e;  gb += mu e
// The sweep back is the mirror of the sweep down: lane 0 holds the last day, so that states pass to the next lane as
// they do there, and lanes beyond the record come last and are read by none.
//
// Scratch is what the errors e would fill. For every reach its m - R at the start of each day is left there (`lead`), a
// row of lanes, and errors only where the layout says so (KEPT). Any other reach has just headwaters upstream in its
// block, or headwaters and one reach whose errors are kept (at which nothing joins and no series is centred): from what
// was left of these its errors are made again, in registers.
//
// Defined by the host besides: BLOCKS, CUDA blocks that a multiprocessor is to hold.

#define PITCH (PANEL + 1)  // no two lanes in one bank, by day
#define ROW (LANES + 1)    // and by reach
#define HALF (STEPS / 2)
#define REST (STEPS - HALF)
#define QUADS ((STEPS + WIDTH - 1) / WIDTH)  // of the errors of a reach
#define POWERS ((REST + WIDTH - 1) / WIDTH)  // of the powers of decay in half a day
#define WAITS ((STEPS + 2 + WIDTH - 1) / WIDTH)  // of a series that waits
#define HELD ((int)(sizeof(real) == 4) + 1)  // such series in registers

// columns of the coefficients (see `CudaSweep._coefficients`)
enum { A, B, W, G, D, K, H, C };

struct alignas(16) Work {  // a reach
    Slot slot;
    real m;  // of the sweep down, or its gradient mu
    int op, column, place;
    Quad power[POWERS];  // of decay, half a day of them
};

struct alignas(16) Room {  // of a warp, in shared memory
    Work work[PANEL];
    real cell[LANES * PITCH];  // runoff by day and reach, or the gradient of discharge, then that of runoff
    real lead[PANEL * ROW];    // by reach and day; in its place, when the reach is done, parts of ga and then of gb
    Quad ahead[QUADS * LANES];  // the errors that are wanted next, each lane's own
};

struct Series {
    real x[STEPS];
    real R, low;  // the flow is R + low + x

    __device__ __forceinline__ void clear() {
        R = low = 0;
#pragma unroll
        for (int e = 0; e < STEPS; ++e) x[e] = 0;
    }
    __device__ __forceinline__ void raise(real by) {
        const real sum = R + by;
        low += by - (sum - R);
        R = sum;
    }
    __device__ __forceinline__ void centre() {
        const real sum = R + (x[HALF] + low), by = (sum - R) - low;
        R = sum;
        low = 0;
#pragma unroll
        for (int e = 0; e < STEPS; ++e) x[e] -= by;
    }
};

// Series that wait: the first two in registers, the rest in the thread's own memory.
struct Stack {
    int depth = 0;
    real first[STEPS + 2], second[STEPS + 2];

    __device__ __forceinline__ static void store(real* to, const real* x, real R, real low) {
#pragma unroll
        for (int e = 0; e < STEPS; ++e) to[e] = x[e];
        to[STEPS] = R;
        to[STEPS + 1] = low;
    }
    template <bool ADD>
    __device__ __forceinline__ static void load(const real* from, real* x, real& R, real& low) {
#pragma unroll
        for (int e = 0; e < STEPS; ++e) x[e] = ADD ? x[e] + from[e] : from[e];
        if (!ADD) return;
        const real sum = R + from[STEPS];
        low += (from[STEPS] - (sum - R)) + from[STEPS + 1];
        R = sum;
    }
    __device__ __forceinline__ void push(const real* x, real R, real low, Quad (*deep)[WAITS]) {
        HOLD(depth);  // nothing for this before its branch
        int at = depth++;
        if (at == 0) {
            BRANCH;
            store(first, x, R, low);
            return;
        }
        HOLD(at);  // or this becomes a jump by a table
        if (HELD > 1 && at == 1) {
            BRANCH;
            store(second, x, R, low);
            return;
        }
        real all[WAITS * WIDTH] = {};
        store(all, x, R, low);
        Quad* waits = deep[at - HELD];
#pragma unroll
        for (int k = 0; k < WAITS; ++k) {
            Quad quad;
#pragma unroll
            for (int i = 0; i < WIDTH; ++i) quad.c[i] = all[k * WIDTH + i];
            waits[k] = quad;
        }
    }
    // What waited last is added, or takes x's place.
    template <bool ADD>
    __device__ __forceinline__ void pop(real* x, real& R, real& low, const Quad (*deep)[WAITS]) {
        HOLD(depth);
        int at = --depth;
        if (at == 0) {
            BRANCH;
            load<ADD>(first, x, R, low);
            return;
        }
        HOLD(at);
        if (HELD > 1 && at == 1) {
            BRANCH;
            load<ADD>(second, x, R, low);
            return;
        }
        real all[WAITS * WIDTH];
        const Quad* waits = deep[at - HELD];
#pragma unroll
        for (int k = 0; k < WAITS; ++k) {
            const Quad quad = waits[k];
#pragma unroll
            for (int i = 0; i < WIDTH; ++i) all[k * WIDTH + i] = quad.c[i];
        }
        load<ADD>(all, x, R, low);
    }
};

// What a lane holds for a slot of the panel that comes next.
struct Ahead {
    int op, column, row, place;
};
__device__ __forceinline__ Ahead look(const Net& net, int panel, int end, int lane) {
    const int slot = panel + lane % PANEL;
    Ahead found = {0, 0, -1, 0};
    if (slot < end) found = {net.op[slot], net.column[slot], net.target[slot], net.place[slot]};
    return found;
}

// The coefficients of a panel on their way to shared memory, and one number a reach; and what is known of it.
__device__ __forceinline__ void bring(Room& room, const Ahead& mine, const Slot* coefficient, const real* number,
                                      int panel, int end, int lane) {
    const int parts = sizeof(Slot) / 16;
#pragma unroll
    for (int k = 0; k < PANEL * parts; k += LANES) {
        const int part = k + lane, s = part / parts;
        const bool there = s < PANEL && panel + s < end;
        const char* from = reinterpret_cast<const char*>(coefficient + panel) + (there ? part * 16 : 0);
        if (s < PANEL)
            copy_async<16>(reinterpret_cast<char*>(&room.work[s].slot) + part % parts * 16, from, there);
    }
    if (lane < PANEL) {
        copy_async<sizeof(real)>(&room.work[lane].m, number, panel + lane < end);
        room.work[lane].op = mine.op;
        room.work[lane].column = mine.column;
        room.work[lane].place = mine.place;
    }
}

// What to do at each reach of a panel, a bit a reach: the same in all lanes, and the compiler sees it.
struct Plan {
    unsigned leaf, fresh, pushed, popped, enters, near, more, kept;

    __device__ __forceinline__ void make(Room& room, int n_here, int lane) {
        const int s = lane % PANEL;
        const bool mine = lane < n_here;
        const int op = mine ? room.work[s].op : 0;
        const Slot& slot = room.work[s].slot;
        leaf = votes(op & LEAF);
        fresh = votes(op & FRESH);
        pushed = votes(op & PUSH);
        popped = votes(op & POP);
        enters = votes(op & ENTER);
        kept = votes(op & KEPT);
        const real w = slot.c[W];
        near = votes(fabs(w) >= real(TINY));
        more = votes(fabs(w * w) * (w * w) >= real(TINY));
        const real decay = 1 - slot.c[B];
        real power = 1;
#pragma unroll
        for (int k = 0; k < POWERS; ++k) {
            Quad quad;
#pragma unroll
            for (int i = 0; i < WIDTH; ++i) {
                quad.c[i] = power;
                power *= decay;
            }
            if (lane < PANEL) room.work[s].power[k] = quad;
        }
        __syncwarp();
    }
};

// A headwater's flow, less its runoff, over a day that begins with m - R = v, added to x or in its place.
template <bool ADD>
__device__ __forceinline__ void fall(real* x, const Work& work, real v) {
    const real f = (1 - work.slot.c[A]) * v, late = f * work.slot.c[H];
    const Quad* power = work.power;
#pragma unroll
    for (int e = 0; e < REST; ++e) {
        const real p = power[e / WIDTH].c[e % WIDTH];
        if (e < HALF) x[e] = ADD ? fma(f, p, x[e]) : f * p;
        x[HALF + e] = ADD ? fma(late, p, x[HALF + e]) : late * p;
    }
}

// The tile of time that a warp works on, and how the record is cut in tiles.
struct Time {
    int tile, n_tiles, n_days;
    __device__ __forceinline__ int first_day() const { return tile * LANES; }
    __device__ __forceinline__ int rows() const { return min(LANES, n_days - tile * LANES); }
    __device__ __forceinline__ long long n_steps() const { return (long long)n_days * STEPS; }
    __device__ __forceinline__ long long step(int day) const { return (long long)(first_day() + day) * STEPS; }
    // of a series between blocks
    __device__ __forceinline__ long long part(int flow) const { return (long long)flow * n_tiles + tile; }
};

// One tile of one block, upstream to downstream, for what `up` needs of it. `kept`: (slot,) the states at its start.
__device__ __forceinline__ void down(const Net& net, int begin, int end, const Time& time, const Rain& rain,
                                     const Slot* coefficient, const real* inflow, const real* flow, const real* kept,
                                     real* scratch, Room& room, Quad (*deep)[WAITS], int lane) {
    const int n_rows = time.rows();
    Series at;
    at.clear();
    Stack waiting;
    real* lead = scratch + lane;
    Ahead next = look(net, begin, end, lane);
    for (int panel = begin; panel < end; panel += PANEL) {
        const int n_here = min(PANEL, end - panel), mine = lane % PANEL;
        __syncwarp();
        const int my_slot = panel + (lane < n_here ? lane : 0);
        bring(room, next, coefficient, kept + my_slot, panel, end, lane);
        {
            const bool live = mine < n_here;
            real* to = &room.cell[lane / PANEL * PITCH + mine];
            const int rows = LANES / PANEL;  // that a warp copies at once
#if GRID
            for (int d = lane / PANEL; d < n_rows; d += rows, to += rows * PITCH)
                *to = live ? rain.at(time.first_day() + d, next.column) : real(0);
#else
            const real* row = rain.values + (long long)(time.first_day() + lane / PANEL) * rain.n_columns + next.column;
            const int step = rows * rain.n_columns;
            if (n_rows == LANES) {
#pragma unroll
                for (int d = 0; d < LANES; d += rows, row += step) copy_async<sizeof(real)>(to + d * PITCH, row, live);
            } else {
                for (int d = lane / PANEL; d < n_rows; d += rows, to += rows * PITCH, row += step)
                    copy_async<sizeof(real)>(to, row, live);
            }
#endif
        }
        next = look(net, panel + PANEL, end, lane);
        copies_done();
        __syncwarp();
        Plan plan;
        plan.make(room, n_here, lane);
        const unsigned centred = votes(lane < n_here && room.work[mine].op & SETTLE);
        unsigned work_at = place(room.work), cell_at = place(room.cell + lane * PITCH);
        HOLD(work_at);
        HOLD(cell_at);
        const unsigned stop_at = n_here < 32 ? 1u << n_here : 0;
#pragma unroll 1
        for (unsigned here = 1; here != stop_at;
             here <<= 1, work_at += sizeof(Work), cell_at += sizeof(real), lead += LANES) {
            const Work& work = *at_place<Work>(work_at);
            const real r = *at_place<real>(cell_at);
            const real a = work.slot.c[A], b = work.slot.c[B], w = work.slot.c[W], h = work.slot.c[H], m0 = work.m;
            const real decay = 1 - b;
            const bool near = plan.near & here, more = plan.more & here;
            if (plan.leaf & here) {
                const real v = scan(risen(r, m0, lane) - r, w, near, more, lane);
                *lead = v;
                if (plan.fresh & here) {
                    if (plan.pushed & here) waiting.push(at.x, at.R, at.low, deep);
                    at.R = r;
                    at.low = 0;
                    fall<false>(at.x, work, v);
                } else {
                    at.raise(r);
                    fall<true>(at.x, work, v);
                }
                continue;
            }
            if ((plan.fresh | plan.enters) & here) {
                BRANCH;
                if (plan.pushed & here) waiting.push(at.x, at.R, at.low, deep);
                if (plan.fresh & here) at.clear();
                const int first = net.enter[panel + __popc(here - 1)], last = net.enter[panel + __popc(here - 1) + 1];
                for (int k = first; k < last; ++k) {
                    const int f = net.enter_flow[k];
                    if (f >= 0) {
                        const real* series = flow + time.part(f) * (STEPS + 1) * LANES + lane;
#pragma unroll
                        for (int e = 0; e < STEPS; ++e) at.x[e] += series[e * LANES];
                        at.raise(series[STEPS * LANES]);
                    } else if (lane < n_rows) {
                        const real* series = inflow + ~f * time.n_steps() + time.step(lane);
                        const real base = series[0];
                        at.raise(base);
#pragma unroll
                        for (int e = 0; e < STEPS; ++e) at.x[e] += series[e] - base;
                    }
                }
            }
            at.raise(r);
            // from zero: what each day adds to m at its end, its halves at once
            real early = at.x[0], z = at.x[HALF];
#pragma unroll
            for (int e = 1; e < REST; ++e) {
                if (e < HALF) early = decay * early + at.x[e];
                z = decay * z + at.x[HALF + e];
            }
            z = b * (z + (STEPS % 2 ? h * decay : h) * early);
            real t = risen(at.R, m0, lane) - at.R;
            gather(t, z, lane);
            t = scan(t, w, near, more, lane);
            *lead = t;
            real one = t, two = h * t + b * early, error[QUADS * WIDTH];
#pragma unroll
            for (int e = 0; e < REST; ++e) {
                if (e < HALF) {
                    error[e] = at.x[e] - one;
                    at.x[e] = one + a * error[e];
                    one += b * error[e];
                }
                error[HALF + e] = at.x[HALF + e] - two;
                at.x[HALF + e] = two + a * error[HALF + e];
                two += b * error[HALF + e];
            }
            if (plan.kept & here) {
                Quad* to = reinterpret_cast<Quad*>(scratch + (long long)work.place * LANES) + lane;
#pragma unroll
                for (int k = 0; k < QUADS; ++k) {
                    Quad quad;
#pragma unroll
                    for (int i = 0; i < WIDTH; ++i) quad.c[i] = k * WIDTH + i < STEPS ? error[k * WIDTH + i] : real(0);
                    to[k * LANES] = quad;
                }
            }
            if (!((centred | plan.popped) & here)) continue;
            if (centred & here) at.centre();
            if (plan.popped & here) waiting.pop<true>(at.x, at.R, at.low, deep);
        }
    }
}

// The errors of a reach, on their way to shared memory while others are worked on.
__device__ __forceinline__ void fetch(Room& room, const real* scratch, int slot, int day, int lane) {
    const Quad* from = reinterpret_cast<const Quad*>(scratch + (long long)room.work[slot].place * LANES) + day;
#pragma unroll
    for (int k = 0; k < QUADS; ++k) copy_async<16>(room.ahead + k * LANES + lane, from + k * LANES, true);
}
__device__ __forceinline__ void fetched(real* error, const Room& room, int lane) {
    copies_done();
#pragma unroll
    for (int k = 0; k < QUADS; ++k) {
        const Quad quad = room.ahead[k * LANES + lane];
#pragma unroll
        for (int i = 0; i < WIDTH; ++i)
            if (k * WIDTH + i < STEPS) error[k * WIDTH + i] = quad.c[i];
    }
}
// Back through a day: g from that of outflow to that of inflow. `late` and `early` are mu at the end of each half, early
// then what it is at the start of the day.
__device__ __forceinline__ void back(real* g, const real* error, real a, real b, real late, real& early, real& part_a,
                                     real& part_b) {
    const real rest = 1 - a;
    real sum_a[2] = {0, 0}, sum_b[2] = {0, 0};
#pragma unroll
    for (int turn = 0; turn < REST; ++turn) {
        {
            const int e = STEPS - 1 - turn;
            const real stays = rest * g[e] - b * late;
            sum_a[0] += g[e] * error[e];
            sum_b[0] += late * error[e];
            late += stays;
            g[e] -= stays;
        }
        if (turn < HALF) {
            const int e = HALF - 1 - turn;
            const real stays = rest * g[e] - b * early;
            sum_a[1] += g[e] * error[e];
            sum_b[1] += early * error[e];
            early += stays;
            g[e] -= stays;
        }
    }
    part_a = sum_a[0] + sum_a[1];
    part_b = sum_b[0] + sum_b[1];
}

__device__ __forceinline__ real sum_of_steps(const real* g) {
    real sum[4] = {0, 0, 0, 0};
#pragma unroll
    for (int e = 0; e < STEPS; ++e) sum[e % 4] += g[e];
    return (sum[0] + sum[1]) + (sum[2] + sum[3]);
}

// One tile of one block, downstream to upstream, from what `down` left.
__device__ __forceinline__ void up(const Net& net, int begin, int end, const Time& time, const Slot* coefficient,
                                   int n_reaches, const real* g_discharge, int n_targets, real* g_inflow,
                                   const real* g_outflow, real* g_flow, int* done, real* g_state,
                                   const real* scratch, double* g_a, double* g_b, real* g_runoff, Room& room,
                                   Quad (*deep)[WAITS], int lane) {
    const int n_rows = time.rows(), first_day = time.first_day();
    const bool live = lane < n_rows;
    const int day = live ? n_rows - 1 - lane : 0;  // of this lane: the last one first
    real g[STEPS], none = 0;  // of what flows out of the reach, then of what flows in
#pragma unroll
    for (int e = 0; e < STEPS; ++e) g[e] = 0;
    Stack waiting;
    int panel = begin + (end - 1 - begin) / PANEL * PANEL;
    Ahead next = look(net, panel, end, lane);
    for (; panel >= begin; panel -= PANEL) {
        const int n_here = min(PANEL, end - panel), mine = lane % PANEL;
        const Ahead now = next;
        __syncwarp();
        bring(room, now, coefficient, g_state + now.column, panel, end, lane);
        {
            const real* from = scratch + (long long)(panel - begin) * LANES + day;
            real* to = room.lead + lane;
            for (int s = 0; s < n_here; ++s, from += LANES, to += ROW) copy_async<sizeof(real)>(to, from, true);
        }
        const unsigned wanted = votes(lane < n_here && now.row >= 0);
        if (wanted) {
            const int rows = LANES / PANEL;
            const real* row = g_discharge + (long long)first_day * n_targets + (now.row >= 0 ? now.row : 0);
            for (int d = lane / PANEL; d < n_rows; d += rows)
                copy_async<sizeof(real)>(&room.cell[(n_rows - 1 - d) * PITCH + mine], row + (long long)d * n_targets,
                                         now.row >= 0);
        }
        if (panel > begin) next = look(net, panel - PANEL, end, lane);
        copies_done();
        __syncwarp();
        Plan plan;
        plan.make(room, n_here, lane);
        const int op = lane < n_here ? room.work[mine].op : 0;
        const unsigned root = votes(op & ROOT), leaves = votes(op & LEAVE);
        if (plan.kept) fetch(room, scratch, 31 - __clz((int)plan.kept), day, lane);
#pragma unroll 1
        for (int s = n_here - 1; s >= 0; --s) {
            const unsigned here = 1u << s;
            Work& work = room.work[s];
            real& lead = room.lead[s * ROW + lane];
            if ((plan.popped | root | leaves) & here) {
                BRANCH;
                // what waited has this branch's gradient too
                if (plan.popped & here) waiting.push(g, none, none, deep);
                if (root & here) {
#pragma unroll
                    for (int e = 0; e < STEPS; ++e) g[e] = 0;
                }
                if (leaves & here) {
                    const int first = net.leave[panel + s], last = net.leave[panel + s + 1];
                    for (int k = first; k < last; ++k) {
                        const int f = net.leave_flow[k];
                        if (f >= 0) {
                            wait_for(done + f, time.n_tiles - time.tile);
                            const real* series = g_flow + time.part(f) * STEPS * LANES + lane;
#pragma unroll
                            for (int e = 0; e < STEPS; ++e) g[e] += passed(series + e * LANES);
                        } else if (live) {
                            const real* series = g_outflow + ~f * time.n_steps() + time.step(day);
#pragma unroll
                            for (int e = 0; e < STEPS; ++e) g[e] += series[e];
                        }
                    }
                }
            }
            // the gradient of the mean reported: the same at each step
            const bool reports = wanted & here;
            real reported = 0;
            if (reports) reported = room.cell[lane * PITCH + s] * (real(1) / STEPS);
            const real a = work.slot.c[A], b = work.slot.c[B], w = work.slot.c[W], h = work.slot.c[H], mu0 = work.m;
            const real decay = 1 - b;
            const bool near = plan.near & here, more = plan.more & here;
            real part_a, part_b, rained = 0;
            if (plan.leaf & here) {
                // p = sum of gq decay^e and dp/d decay, of each half
                real p[2] = {0, 0}, slope[2] = {0, 0};
                const real add = reported;
#define LEAF_STEP(half, e, add)                     \
    slope[half] = decay * slope[half] + p[half];    \
    p[half] = decay * p[half] + (add);
                if (reports) {
                    BRANCH;
#pragma unroll
                    for (int k = 0; k < REST; ++k) {
                        LEAF_STEP(1, STEPS - 1 - k, g[STEPS - 1 - k] + add)
                        if (k < HALF) { LEAF_STEP(0, HALF - 1 - k, g[HALF - 1 - k] + add) }
                    }
                } else {
#pragma unroll
                    for (int k = 0; k < REST; ++k) {
                        LEAF_STEP(1, STEPS - 1 - k, g[STEPS - 1 - k])
                        if (k < HALF) { LEAF_STEP(0, HALF - 1 - k, g[HALF - 1 - k]) }
                    }
                }
                const real last_power = work.power[(HALF - 1) / WIDTH].c[(HALF - 1) % WIDTH];
                const real all = p[0] + h * p[1], rate = slope[0] + (h * slope[1] + HALF * last_power * p[1]);
                const real made = (1 - a) * all;
                const real mu = scan(risen(made, mu0, lane), w, near, more, lane);  // at the end of the day
                const real start = made + w * mu;
                if (lane == n_rows - 1) work.m = start;
                part_a = -lead * all;
                part_b = -lead * (work.slot.c[D] * mu + (1 - a) * rate);
                if (g_runoff) rained = (sum_of_steps(g) + STEPS * reported) + (mu - start);
            } else {
                if (reports) {
                    BRANCH;
#pragma unroll
                    for (int e = 0; e < STEPS; ++e) g[e] += reported;
                }
                real late = g[STEPS - 1], early = g[HALF - 1];
#pragma unroll
                for (int k = 1; k < REST; ++k) {
                    late = decay * late + g[STEPS - 1 - k];
                    if (k < HALF) early = decay * early + g[HALF - 1 - k];
                }
                const real made = (1 - a) * (early + h * late);
                const real mu = scan(risen(made, mu0, lane), w, near, more, lane);
                early = (STEPS % 2 ? h * decay : h) * mu + (1 - a) * late;
                if (plan.kept & here) {
                    real error[STEPS];
                    fetched(error, room, lane);
                    back(g, error, a, b, mu, early, part_a, part_b);
                    const unsigned below = plan.kept & (here - 1);
                    if (below) fetch(room, scratch, 31 - __clz((int)below), day, lane);
                } else {
                    // what flows in: from a reach with errors, if there is one, and from headwaters
                    real x[STEPS];
#pragma unroll
                    for (int e = 0; e < STEPS; ++e) x[e] = 0;
                    int k = s;
                    bool headwater;
                    do {
                        --k;
                        const Work& other = room.work[k];
                        headwater = plan.leaf >> k & 1;
                        if (headwater) {
                            fall<true>(x, other, room.lead[k * ROW + lane]);
                        } else {
                            real m = room.lead[k * ROW + lane], error[STEPS];
                            fetched(error, room, lane);
                            const real a_of = other.slot.c[A], b_of = other.slot.c[B];
#pragma unroll
                            for (int e = 0; e < STEPS; ++e) {
                                x[e] += m + a_of * error[e];
                                m += b_of * error[e];
                            }
                        }
                    } while (headwater && !(plan.fresh >> k & 1));
                    real m = lead;
#pragma unroll
                    for (int e = 0; e < STEPS; ++e) {
                        x[e] -= m;
                        m += b * x[e];
                    }
                    back(g, x, a, b, mu, early, part_a, part_b);
                }
                if (lane == n_rows - 1) work.m = early;
                if (g_runoff) rained = sum_of_steps(g);
                if (plan.enters & here) {
                    BRANCH;
                    const int first = net.enter[panel + s], last = net.enter[panel + s + 1];
                    for (int k = first; k < last; ++k) {
                        const int f = net.enter_flow[k];
                        if (f >= 0) {
                            real* series = g_flow + time.part(f) * STEPS * LANES + lane;
#pragma unroll
                            for (int e = 0; e < STEPS; ++e) series[e * LANES] = g[e];
                            __syncwarp();
                            if (lane == 0) publish(done + f, time.n_tiles - time.tile);
                        } else if (live) {
                            real* series = g_inflow + ~f * time.n_steps() + time.step(day);
#pragma unroll
                            for (int e = 0; e < STEPS; ++e) series[e] = g[e];
                        }
                    }
                }
            }
            // half of the lanes take the sums of two of ga, the others of gb
            if (!live) part_a = part_b = 0;
            const bool first_half = lane < LANES / 2;
            const real given = from(first_half ? part_b : part_a, lane ^ (LANES / 2));
            lead = (first_half ? part_a : part_b) + given;
            if (g_runoff) room.cell[lane * PITCH + s] = rained;
            if (plan.pushed & here) waiting.pop<false>(g, none, none, deep);
        }
        __syncwarp();
        if (lane < n_here) {
            real sum_a[4] = {0, 0, 0, 0}, sum_b[4] = {0, 0, 0, 0};
#pragma unroll
            for (int k = 0; k < LANES / 2; ++k) {
                sum_a[k % 4] += room.lead[lane * ROW + k];
                sum_b[k % 4] += room.lead[lane * ROW + LANES / 2 + k];
            }
            g_a[now.column] += (double)((sum_a[0] + sum_a[1]) + (sum_a[2] + sum_a[3]));
            g_b[now.column] += (double)((sum_b[0] + sum_b[1]) + (sum_b[2] + sum_b[3]));
            g_state[now.column] = room.work[lane].m;
        }
        if (g_runoff && mine < n_here) {
            real* row = g_runoff + (long long)first_day * n_reaches + now.column;
            for (int d = lane / PANEL; d < n_rows; d += LANES / PANEL)
                row[(long long)d * n_reaches] = room.cell[(n_rows - 1 - d) * PITCH + mine];
        }
        __syncwarp();
    }
}

extern "C" __global__ void __launch_bounds__(WARPS * LANES, BLOCKS)
backward(const int* start, const int* op, const int* column, const int* target, const int* place,
         const int* enter, const int* enter_flow, const int* leave, const int* leave_flow, int n_slots,
         int n_blocks, const int* back, const long long* grid_pointer, const int* grid_cell, const real* grid_weight,
         const Slot* coefficient, int n_reaches, const real* runoff, int n_columns, const real* g_discharge,
         int n_targets, const real* inflow, real* g_inflow, int n_inlets, const real* g_outflow, int n_outlets,
         const real* flow, real* g_flow, int n_flows, int* done, real* g_state, long long state_size, const real* kept,
         double* g_a, double* g_b, real* g_runoff, real* scratch, long long scratch_rows, int n_days, int n_tiles,
         int n_batch, int* ticket) {
    __shared__ Room rooms[WARPS];
    const int lane = threadIdx.x % LANES, warp = threadIdx.x / LANES;
    const Net net = {start, op, column, target, place, enter, enter_flow, leave, leave_flow, n_slots};
    const long long n_steps = (long long)n_days * STEPS;
    real* mine = scratch + (blockIdx.x * WARPS + warp) * scratch_rows * LANES;
    Quad deep[DEPTH - HELD][WAITS];
    for (;;) {
        int item = 0;
        if (lane == 0) item = atomicAdd(ticket, 1);
        item = from(item, 0);
        if (item >= n_blocks * n_batch) return;
        const int block = back[item / n_batch], batch = item % n_batch;
        const int begin = start[block], end = start[block + 1];
        const Rain rain = {runoff + (long long)batch * n_days * n_columns, grid_pointer, grid_cell,
                           grid_weight, n_columns};
        for (int tile = n_tiles - 1; tile >= 0; --tile) {
            const Time time = {tile, n_tiles, n_days};
            down(net, begin, end, time, rain, coefficient, inflow + (long long)batch * n_inlets * n_steps,
                 flow + (long long)batch * n_flows * n_tiles * (STEPS + 1) * LANES,
                 kept + ((long long)batch * n_tiles + tile) * n_slots, mine, rooms[warp], deep, lane);
            __syncwarp();
            up(net, begin, end, time, coefficient, n_reaches, g_discharge + (long long)batch * n_days * n_targets,
               n_targets, g_inflow + (long long)batch * n_inlets * n_steps,
               g_outflow + (long long)batch * n_outlets * n_steps,
               g_flow + (long long)batch * n_flows * n_tiles * STEPS * LANES, done + batch * n_flows,
               g_state + batch * state_size, mine, g_a + (long long)batch * n_reaches,
               g_b + (long long)batch * n_reaches,
               g_runoff ? g_runoff + (long long)batch * n_days * n_reaches : nullptr, rooms[warp], deep, lane);
        }
    }
}
