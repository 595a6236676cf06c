// The sweep of a river network and its adjoint: one warp a block of reaches, one lane a run of time.
//
// Compiled at run time for one case; the host defines
//   real      float or double
//   LANES     lanes of a warp (32);  WARPS  warps of a CUDA block, which have nothing to do with each other
//   RATIO     S, routing steps in a forcing step
//   STEPS     routing steps in the run of time of a lane: a divisor of RATIO, or a multiple of it
//   SECTIONS  first-order sections of a reach
//   PANEL     reaches whose runoff and discharge are in shared memory at once, LANES or a half
//   DEPTH     series that may wait while another branch of the tree is worked on, SHELVES of them in shared memory
//   JUMP, LATE, DELAY, GRID   1 or 0: RAPID's runoff, RAPID's mean, pure lag, runoff from a grid's cells
//   PLAIN     1 or 0: whether `adjoint.cu` has the adjoint
//
// A tile is a warp's share of time: each lane holds STEPS routing steps, in registers. A warp takes the reaches
// of its block in postorder, the larger branch first, so that the series of the reach just upstream is what
// its registers hold; other branches wait in a stack. No barrier, no shared series, no idle lanes.
//
// A section, with state m:  e = x - m;  q = m + a e;  m += b e.
// Lanes work at the same time, so each has to know m at its start: it runs from zero first (one operation a
// step), and a scan over the lanes adds up what is carried, w = (1-b)^STEPS a lane. Series are kept as R + x
// with R constant in a lane (the runoff of all reaches upstream): in steady state x is exactly zero, so that
// rounding can't make or lose water, not even down thousands of reaches.
//
// Headwaters (LEAF) have constant inflow in a forcing step: m - R decays by itself, and their means have a
// closed form. Series between blocks go through global memory, with a count of the tiles finished; blocks are
// taken in an order in which each comes after those it waits for, so that somebody can always go on.

#define DAYS ((STEPS) > (RATIO) ? (STEPS) / (RATIO) : 1)   // forcing steps in a lane
#define TURNS ((RATIO) > (STEPS) ? (RATIO) / (STEPS) : 1)  // lanes in a forcing step
#define USED (LANES / TURNS * TURNS)                       // lanes that a tile uses
#define ROWS (LANES / PANEL)  // rows of a panel's runoff that a warp copies at once
#define PITCH (PANEL + 1)  // no two lanes in one bank

// columns of the coefficients, (slot, column); in shared memory they are padded against conflicts
enum { A, B, W, G, D, K, H, C };
#define HALF (STEPS / 2)
#define BALANCE (SECTIONS == 1 && DAYS == 1 && !DELAY)  // sums by the balance of water, see `down`
#define CENTRED 12   // reaches after which a series is centred again
#define MOST_C 64    // largest (1-a)/b for which the balance is used

#define WAITING (STEPS + 3)

struct Room {  // of a warp, in shared memory
    Slot slot[2][PANEL];
    real cell[2][LANES * PITCH];
#if SHELVES
    real shelf[SHELVES][WAITING * LANES];
#endif
};

// R grows; what rounding takes from it goes to low. Runoff of thousands of reaches adds up in R, and in dry weather it
// is much the same everywhere and rounded to the same side.
__device__ __forceinline__ void raise(real& R, real& low, real by) {
    const real sum = R + by;
    low += by - (sum - R);
    R = sum;
}

// A series and what goes with it that wait: the first few in shared memory, the rest in the thread's own memory.
struct Stack {
    int depth = 0;

    __device__ __forceinline__ void push(Room& room, real (*deep)[WAITING], const real* x, real R, real low, real sum,
                                         int lane) {
#if SHELVES
        if (depth < SHELVES) {
            real* shelf = room.shelf[depth] + lane;
#pragma unroll
            for (int e = 0; e < STEPS; ++e) shelf[e * LANES] = x[e];
            shelf[STEPS * LANES] = R;
            shelf[(STEPS + 1) * LANES] = low;
            shelf[(STEPS + 2) * LANES] = sum;
        } else
#endif
        {
            real* waits = deep[depth - SHELVES];
#pragma unroll
            for (int e = 0; e < STEPS; ++e) waits[e] = x[e];
            waits[STEPS] = R;
            waits[STEPS + 1] = low;
            waits[STEPS + 2] = sum;
        }
        ++depth;
    }
    // What waited last, added to x or in its place.
    __device__ __forceinline__ void pop(Room& room, const real (*deep)[WAITING], real* x, real& R, real& low, real& sum,
                                        bool add, int lane) {
        --depth;
        real more[3];
#if SHELVES
        if (depth < SHELVES) {
            const real* shelf = room.shelf[depth] + lane;
#pragma unroll
            for (int e = 0; e < STEPS; ++e) x[e] = add ? x[e] + shelf[e * LANES] : shelf[e * LANES];
#pragma unroll
            for (int k = 0; k < 3; ++k) more[k] = shelf[(STEPS + k) * LANES];
        } else
#endif
        {
            const real* waits = deep[depth - SHELVES];
#pragma unroll
            for (int e = 0; e < STEPS; ++e) x[e] = add ? x[e] + waits[e] : waits[e];
#pragma unroll
            for (int k = 0; k < 3; ++k) more[k] = waits[STEPS + k];
        }
        if (add) {
            raise(R, low, more[0]);
            low += more[1];
            sum += more[2];
        }
    }
};

// What lane s (and s + PANEL, if there is one) holds for slot s of a panel.
struct Panel {
    int op, column, row;
    real m[SECTIONS], last;
};

// The tile of time a warp works on.
struct Time {
    int tile, n_tiles, n_days;
    __device__ __forceinline__ int days() const {  // forcing steps of the tile
        const int whole = USED * DAYS / TURNS;
        return min(whole, n_days - tile * whole);
    }
    __device__ __forceinline__ int first_day() const { return tile * (USED * DAYS / TURNS); }
    __device__ __forceinline__ int lanes() const {  // lanes with something in them
        return DAYS > 1 ? (days() + DAYS - 1) / DAYS : days() * TURNS;
    }
    __device__ __forceinline__ int valid(int lane) const {  // steps of this lane
        return lane >= lanes() ? 0 : DAYS > 1 ? min(STEPS, (days() - lane * DAYS) * RATIO) : STEPS;
    }
    __device__ __forceinline__ int day(int lane) const { return DAYS > 1 ? lane * DAYS : lane / TURNS; }
    __device__ __forceinline__ long long step(int lane) const {
        return (long long)first_day() * RATIO + lane * STEPS;
    }
    __device__ __forceinline__ long long n_steps() const { return (long long)n_days * RATIO; }
};

// v[l] + w v[l-1] + w^2 v[l-2] + ..., and the same from the other end. Most reaches forget within a few lanes:
// powers of w far below rounding are left out (w is the same in all lanes).
#define FORGOTTEN(w) (fabs(w) < real(TINY))
__device__ __forceinline__ real scan(real v, real w, int lane) {
#pragma unroll
    for (int by = 1; by < LANES; by *= 2) {
        if (FORGOTTEN(w)) break;
        const real other = above(v, by);
        if (lane >= by) v += w * other;
        w *= w;
    }
    return v;
}
__device__ __forceinline__ real scan_back(real v, real w, int lane) {
#pragma unroll
    for (int by = 1; by < LANES; by *= 2) {
        if (FORGOTTEN(w)) break;
        const real other = beyond(v, by);
        if (lane + by < LANES) v += w * other;
        w *= w;
    }
    return v;
}

__device__ __forceinline__ real sum_of_lanes(real v) {
#pragma unroll
    for (int by = LANES / 2; by > 0; by /= 2) v += beyond(v, by);
    return v;  // in lane 0
}

// The sum over the lanes of a forcing step, in the first of them.
__device__ __forceinline__ real sum_of_turns(real v) {
    real total = v;
#pragma unroll
    for (int k = 1; k < TURNS; ++k) total += beyond(v, k);
    return total;
}

// The series x of a tile delayed by w steps; `line` (w,) holds those on the way, oldest first. BACK: the same back
// in time, for gradients, the latest in time first.
template <bool BACK>
__device__ void delay(real* x, int w, real* line, real* room, const Time& time, int lane, int valid) {
    if (w == 0) return;
    const int n = (int)min((long long)USED * STEPS, time.n_steps() - time.step(0));
    const int first = BACK ? n - 1 - lane * STEPS : lane * STEPS, step = BACK ? -1 : 1;
    for (int e = 0; e < valid; ++e) room[first + step * e] = x[e];
    __syncwarp();
    for (int e = 0; e < valid; ++e) {
        const int t = first + step * e;
        x[e] = t < w ? line[t] : room[t - w];
    }
    __syncwarp();
    for (int begin = 0; begin < w; begin += LANES) {
        const int k = begin + lane;
        const real next = k >= w ? 0 : k + n < w ? line[k + n] : room[k + n - w];
        __syncwarp();
        if (k < w) line[k] = next;
        __syncwarp();
    }
}

__device__ __forceinline__ void clear(real* x, real& R, real& low, real& sum) {
#pragma unroll
    for (int e = 0; e < STEPS; ++e) x[e] = 0;
    R = low = sum = 0;
}

// R + low + x again with x near zero and without low; returns by how much x is less. Where rivers are large R, a sum of
// runoff, changes much more from day to day than the flow, and rounding of large x that stands still has always the
// same sign.
__device__ __forceinline__ real centre(real* x, real& R, real& low) {
    const real sum = R + (x[HALF] + low), by = (sum - R) - low;
    R = sum;
    low = 0;
#pragma unroll
    for (int e = 0; e < STEPS; ++e) x[e] -= by;
    return by;
}

__device__ __forceinline__ real sum_of_steps(const real* x) {
    real sum[4] = {0, 0, 0, 0};
#pragma unroll
    for (int e = 0; e < STEPS; ++e) sum[e % 4] += x[e];
    return (sum[0] + sum[1]) + (sum[2] + sum[3]);
}

__device__ __forceinline__ void look(Panel& panel, const Net& net, int begin, int end, int lane) {
    const int slot = begin + lane % PANEL;
    const bool live = slot < end;
    panel.op = live ? net.op[slot] : 0;
    panel.column = live ? net.column[slot] : 0;
    panel.row = live ? net.target[slot] : -1;
}

// The coefficients and the runoff of a panel on their way to shared memory.
__device__ __forceinline__ void bring(const Panel& panel, Room& room, int half, const Net& net,
                                      const Slot* coefficient, const Rain& rain, const Time& time, int begin,
                                      int end, int lane) {
    const int parts = sizeof(Slot) / 16;
#pragma unroll
    for (int k = 0; k < PANEL * parts; k += LANES) {
        const int part = k + lane;
        const bool there = part < PANEL * parts && begin + part / parts < end;
        const char* from = reinterpret_cast<const char*>(coefficient + begin) + (there ? part * 16 : 0);
        char* to = reinterpret_cast<char*>(room.slot[half]) + part * 16;
        if (part < PANEL * parts) copy_async<16>(to, from, there);
    }
    if (DAYS > 1) return;
    const bool live = begin + lane % PANEL < end;
    const int n_rows = time.days();
    real* to = &room.cell[half][lane / PANEL * PITCH + lane % PANEL];
#if GRID
    for (int d = lane / PANEL; d < n_rows; d += ROWS, to += ROWS * PITCH)
        *to = live ? rain.at(time.first_day() + d, panel.column) : real(0);
#else
    const real* row =
        rain.values + (long long)(time.first_day() + lane / PANEL) * rain.n_columns + panel.column;
    const int step = ROWS * rain.n_columns;
    if (n_rows == USED / TURNS && n_rows % ROWS == 0) {  // nearly always: no row to be left out
#pragma unroll
        for (int d = 0; d < USED / TURNS; d += ROWS, row += step)
            copy_async<sizeof(real)>(to + d * PITCH, row, live);
    } else {
        for (int d = lane / PANEL; d < n_rows; d += ROWS, to += ROWS * PITCH, row += step)
            copy_async<sizeof(real)>(to, row, live);
    }
#endif
}

// A step of a section: x becomes q, and AGAIN keeps the error.
#define STEP(x, m, row)                                                                          \
    {                                                                                            \
        const real error = x - m;                                                                \
        if (AGAIN) errors[((long long)net.place[panel + s] + (row)) * LANES + lane] = error;     \
        x = m + a * error;                                                                       \
        m += b * error;                                                                          \
    }

// One tile of one block, upstream to downstream. AGAIN: only to have the errors e again, for the adjoint.
//
// The sum of q over a lane, for the means: q = x - (1-a) e and m grows by b e, so what flows out is what flows
// in less (1-a)/b of the change in m. That saves adding up the steps, but rounding would pile up from reach to
// reach, and grows with (1-a)/b, so now and then, and where that is large, the steps are added up.
// `half` of the room holds the first panel; while a panel is worked on, the next comes into the other half.
template <bool AGAIN>
__device__ __forceinline__ void down(
    const Net& net, int block, const Time& time, const Rain& rain, const Slot* coefficient, int n_reaches,
    real* discharge, int n_targets, const real* inflow, real* outflow, real* flow, int* done, real* state,
    real* kept, const int* delay_of, const long long* delay_at, real* line, real* errors, real* linear,
    Room& room, Panel& mine, int& half, int lane) {
    const int begin = net.start[block], end = net.start[block + 1];
    const int lanes = time.lanes(), valid = time.valid(lane), n_rows = time.days();
    real x[STEPS], R, low, sum;  // the series is R + low + x, sum that of x over the lane
    clear(x, R, low, sum);
    real deep[DEPTH - SHELVES][WAITING];
    Stack waiting;
    int since = 0;
    for (int panel = begin; panel < end; panel += PANEL) {
        const int slot = panel + lane;
        const bool live = lane < PANEL && slot < end;
        if (kept && live) {
#pragma unroll
            for (int j = 0; j < SECTIONS; ++j) {
                real* here = kept + ((long long)time.tile * SECTIONS + j) * net.n_slots + slot;
                if (AGAIN) mine.m[j] = *here;
                else *here = mine.m[j];
            }
        }
        copies_done();
        __syncwarp();
        real* cell = room.cell[half];
        const Slot* slots = room.slot[half];
        // the panel after this one: of this tile, or the first of the next
        const bool wraps = panel + PANEL >= end;
        const int next = wraps ? begin : panel + PANEL;
        const bool follows = !wraps || (!AGAIN && time.tile + 1 < time.n_tiles);
        const bool alone = wraps && panel == begin;  // a single panel: its states stay where they are
        Panel coming;
        if (follows) look(coming, net, next, end, lane);
        const int n_here = min(PANEL, end - panel);
        for (int s = 0; s < n_here; ++s) {
            if (s == (n_here > 1)) {  // by now what `look` asked for is there
                if (follows) {
                    const Time then = {wraps ? time.tile + 1 : time.tile, time.n_tiles, time.n_days};
                    bring(coming, room, 1 - half, net, coefficient, rain, then, next, end, lane);
                    if (!AGAIN && !alone && lane < PANEL && next + lane < end) {
#pragma unroll
                        for (int j = 0; j < SECTIONS; ++j)
                            coming.m[j] = state[(long long)j * n_reaches + coming.column];
#if LATE
                        coming.last = state[(long long)SECTIONS * n_reaches + coming.column];
#endif
                    }
                }
            }
            const int op = from(mine.op, s);
            const real a = slots[s].c[A], b = slots[s].c[B], w = from(slots[s].c[W], 0);  // the same in all lanes, for the compiler to see
            const real decay = 1 - b;
            const int me = DAYS > 1 || DELAY ? from(mine.column, s) : 0;
            real r[DAYS];
            if (DAYS == 1)
                r[0] = cell[time.day(lane) * PITCH + s];
            else
#pragma unroll
                for (int p = 0; p < DAYS; ++p)
                    r[p] = p * RATIO < valid ? rain.at(time.first_day() + time.day(lane) + p, me) : real(0);
            const real jump = JUMP ? slots[s].c[K] : real(0);
            real total = 0, mean = 0, rest = 0, last_q = 0;
            if (op & PUSH) {
                waiting.push(room, deep, x, R, low, sum, lane);
                clear(x, R, low, sum);
            }
            if (op & LEAF) {
                const real extra = jump * r[0];
                const real m0 = from(mine.m[0], s);
                real v = above(r[0], 1) - r[0];
                if (JUMP) v += extra - above(extra, 1);
                if (lane == 0) v = m0 - r[0] + extra;
                v = scan(v, w, lane);
                const real after = from(r[0] + w * v - extra, lanes - 1);
                if (lane == s) mine.m[0] = after;
                if (AGAIN) errors[(long long)net.place[panel + s] * LANES + lane] = -v;
                total = v * slots[s].c[G];
                // steps by twos: two chains of products, half as long
                real f[2] = {(1 - a) * v, (1 - a) * v * decay};
                const real twice = decay * decay;
                if (op & FRESH) {
                    R = r[0];
                    low = 0;
                    sum = total;
#pragma unroll
                    for (int e = 0; e < STEPS; ++e) {
                        x[e] = f[e % 2];
                        last_q = f[e % 2];
                        f[e % 2] *= twice;
                    }
                } else {
                    raise(R, low, r[0]);
                    sum += total;
#pragma unroll
                    for (int e = 0; e < STEPS; ++e) {
                        x[e] += f[e % 2];
                        last_q = f[e % 2];
                        f[e % 2] *= twice;
                    }
                }
                mean = r[0];
                last_q += r[0];
            } else {
                if (op & ENTER) {
                    for (int k = net.enter[panel + s]; k < net.enter[panel + s + 1]; ++k) {
                        const int f = net.enter_flow[k];
                        if (f >= 0) {
                            if (!AGAIN) wait_for(done + f, time.tile + 1);
                            const real* tile =
                                flow + ((long long)f * time.n_tiles + time.tile) * (STEPS + 1) * LANES + lane;
#pragma unroll
                            for (int e = 0; e < STEPS; ++e) x[e] += passed(tile + e * LANES);
                            raise(R, low, passed(tile + STEPS * LANES));
                        } else if (valid > 0) {
                            const real* series = inflow + ~f * time.n_steps() + time.step(lane);
                            const real base = series[0];
                            raise(R, low, base);
#pragma unroll
                            for (int e = 0; e < STEPS; ++e)
                                if (e < valid) x[e] += series[e] - base;
                        }
                    }
                    if (BALANCE) sum = sum_of_steps(x);
                }
                raise(R, low, r[0]);
                if (DAYS > 1) {
#pragma unroll
                    for (int e = RATIO; e < STEPS; ++e) x[e] += r[e / RATIO] - r[0];
                }
#if DELAY
                {
                    for (int e = 0; e < STEPS; ++e) x[e] += R + low;
                    delay<false>(x, delay_of[me], line + delay_at[me], linear, time, lane, valid);
                    R = valid > 0 ? x[0] : real(0);
                    low = 0;
                    for (int e = 0; e < STEPS; ++e) x[e] -= R;
                }
#endif
#pragma unroll
                for (int j = 0; j < SECTIONS; ++j) {
                    const real m0 = from(mine.m[j], s);
                    // from zero: what this lane adds to m at its end. Its two halves at once, here and below: a
                    // step waits for the one before, and two chains hide that
                    real made = 0, early = 0;
                    if (DAYS == 1) {
#pragma unroll
                        for (int e = 0; e < STEPS - HALF; ++e) {
                            if (e < HALF) early = decay * early + x[e];
                            made = decay * made + x[HALF + e];
                        }
                        const real share = slots[s].c[H];
                        made = b * (made + (STEPS % 2 ? share * decay : share) * early);
                    } else {
#pragma unroll
                        for (int e = 0; e < STEPS; ++e) {
                            if (JUMP && e > 0 && e % RATIO == 0)
                                made += jump * (r[e / RATIO] - r[e / RATIO - 1]);
                            made += b * (x[e] - made);
                        }
                    }
                    const real first = jump * r[0], final = jump * r[DAYS - 1];
                    real v = above(R, 1) - R + above(made, 1);
                    if (JUMP) v += first - above(final, 1);
                    if (lane == 0) v = m0 - R + first;
                    v = scan(v, w, lane);
                    real m = v;
                    if (DAYS == 1) {
                        real late = slots[s].c[H] * m + b * early;
#pragma unroll
                        for (int e = 0; e < STEPS - HALF; ++e) {
                            if (e < HALF) STEP(x[e], m, j * STEPS + e);
                            STEP(x[HALF + e], late, j * STEPS + HALF + e);
                        }
                        if (BALANCE) sum += slots[s].c[C] * (v - late);
                        m = late;
                    } else {
#pragma unroll
                        for (int e = 0; e < STEPS; ++e) {
                            if (e >= valid) continue;
                            if (JUMP && e > 0 && e % RATIO == 0)
                                m += jump * (r[e / RATIO] - r[e / RATIO - 1]);
                            STEP(x[e], m, j * STEPS + e);
                        }
                    }
                    const real left = DAYS > 1 && JUMP && valid > 0 ? jump * r[(valid - 1) / RATIO] : final;
                    const real after = from(R + m - left, lanes - 1);
                    if (lane == s) mine.m[j] = after;
                }
                if (++since >= CENTRED) {
                    centre(x, R, low);
                    since = 0;
                    sum = sum_of_steps(x);
                } else if (DAYS == 1 && (!BALANCE || slots[s].c[C] > real(MOST_C))) {
                    sum = sum_of_steps(x);
                }
                mean = R;
                rest = low;
                total = sum;
                last_q = R + x[STEPS - 1];
            }
            if (!AGAIN) {
                if (DAYS == 1) {
                    // R may differ between the lanes of a forcing step: what came from elsewhere has its own
                    if (TURNS > 1) total += STEPS * (mean - from(mean, lane - lane % TURNS));
                    total = sum_of_turns(total);
#if LATE
                    // from the mean over a forcing step to that over its states before each update
                    const real ended = TURNS > 1 ? beyond(last_q, TURNS - 1) : last_q;
                    real previous = above(last_q, 1);
                    const real carried_in = from(mine.last, s);
                    if (lane == 0) previous = carried_in;
                    total += (previous - mean) - (ended - mean);
                    const real carried = from(last_q, lanes - 1);
                    if (lane == s) mine.last = carried;
#endif
                    if (lane % TURNS == 0) cell[time.day(lane) * PITCH + s] = mean + (total * (real(1) / RATIO) + rest);
                } else {
                    const int at = from(mine.row, s);
                    real previous = 0;
#if LATE
                    // the last step of the lane before; only the last lane may be short
                    const real ended = valid > 0 ? R + x[STEPS - 1] : real(0);
                    previous = above(ended, 1);
                    const real carried_in = from(mine.last, s);
                    if (lane == 0) previous = carried_in;
                    real here = previous;
#endif
#pragma unroll
                    for (int p = 0; p < DAYS; ++p) {
                        if (p * RATIO >= valid) continue;
                        real sum = 0;
#pragma unroll
                        for (int e = 0; e < RATIO; ++e) sum += x[p * RATIO + e];
#if LATE
                        sum += (here - R) - x[p * RATIO + RATIO - 1];
                        here = R + x[p * RATIO + RATIO - 1];
#endif
                        if (at >= 0)
                            discharge[(long long)(time.first_day() + time.day(lane) + p) * n_targets + at] =
                                R + (sum * (real(1) / RATIO) + low);
                    }
#if LATE
                    const real carried = from(here, lanes - 1);
                    if (lane == s) mine.last = carried;
#endif
                }
            }
            if (!(op & (LEAVE | POP | ROOT))) continue;
            if (!AGAIN && op & LEAVE) {
                sum -= STEPS * centre(x, R, low);
                for (int k = net.leave[panel + s]; k < net.leave[panel + s + 1]; ++k) {
                    const int f = net.leave_flow[k];
                    if (f >= 0) {
                        real* tile =
                            flow + ((long long)f * time.n_tiles + time.tile) * (STEPS + 1) * LANES + lane;
#pragma unroll
                        for (int e = 0; e < STEPS; ++e) tile[e * LANES] = x[e];
                        tile[STEPS * LANES] = R;
                        __syncwarp();
                        if (lane == 0) publish(done + f, time.tile + 1);
                    } else {
                        real* series = outflow + ~f * time.n_steps() + time.step(lane);
#pragma unroll
                        for (int e = 0; e < STEPS; ++e)
                            if (e < valid) series[e] = R + x[e];
                    }
                }
            }
            if (op & POP) waiting.pop(room, deep, x, R, low, sum, true, lane);
            if (op & ROOT) clear(x, R, low, sum);
        }
        __syncwarp();
        if (!AGAIN) {
            if (DAYS == 1 && mine.row >= 0) {
                real* out =
                    discharge + (long long)(time.first_day() + lane / PANEL) * n_targets + mine.row;
                const int step = ROWS * n_targets;
                const real* from = cell + lane / PANEL * PITCH + lane % PANEL;
                if (n_rows == USED / TURNS && n_rows % ROWS == 0) {
#pragma unroll
                    for (int d = 0; d < USED / TURNS; d += ROWS, out += step) *out = from[d * PITCH];
                } else {
                    for (int d = lane / PANEL; d < n_rows; d += ROWS, out += step, from += ROWS * PITCH)
                        *out = *from;
                }
            }
            if (live && !(alone && follows)) {
#pragma unroll
                for (int j = 0; j < SECTIONS; ++j) state[(long long)j * n_reaches + mine.column] = mine.m[j];
#if LATE
                state[(long long)SECTIONS * n_reaches + mine.column] = mine.last;
#endif
            }
        }
        if (follows) {
            if (alone) {
#pragma unroll
                for (int j = 0; j < SECTIONS; ++j) coming.m[j] = mine.m[j];
                coming.last = mine.last;
            }
            mine = coming;
            half = 1 - half;
        }
        __syncwarp();
    }
}

extern "C" __global__ void __launch_bounds__(WARPS * LANES)
forward(const int* start, const int* op, const int* column, const int* target, const int* place,
        const int* enter, const int* enter_flow, const int* leave, const int* leave_flow, int n_slots,
        int n_blocks, const long long* grid_pointer, const int* grid_cell, const real* grid_weight,
        const Slot* coefficient, const int* delay_of, const long long* delay_at, int n_reaches,
        const real* runoff, int n_columns, real* discharge, int n_targets,
        const real* inflow, int n_inlets, real* outflow, int n_outlets, real* flow, int n_flows, int* done,
        real* state, long long state_size, real* kept, real* kept_line, long long line_size, real* scratch,
        int n_days, int n_tiles, int n_batch, int* ticket) {
    __shared__ Room rooms[WARPS];
    const int lane = threadIdx.x % LANES, warp = threadIdx.x / LANES;
    const Net net = {start, op, column, target, place, enter, enter_flow, leave, leave_flow, n_slots};
    const long long n_steps = (long long)n_days * RATIO;
    real* linear = scratch + (long long)(blockIdx.x * WARPS + warp) * USED * STEPS;
    for (;;) {
        int item = 0;
        if (lane == 0) item = atomicAdd(ticket, 1);
        item = from(item, 0);
        if (item >= n_blocks * n_batch) return;
        const int block = item / n_batch, batch = item % n_batch;
        const Rain rain = {runoff + (long long)batch * n_days * n_columns, grid_pointer, grid_cell,
                           grid_weight, n_columns};
        real* now = state + batch * state_size;
        real* line = now + (long long)(SECTIONS + LATE) * n_reaches;
        real* keep = kept ? kept + (long long)batch * n_tiles * SECTIONS * n_slots : nullptr;
        Panel mine;
        int half = 0;
        look(mine, net, start[block], start[block + 1], lane);
        bring(mine, rooms[warp], half, net, coefficient, rain, Time{0, n_tiles, n_days}, start[block],
              start[block + 1], lane);
        mine.last = 0;
#pragma unroll
        for (int j = 0; j < SECTIONS; ++j) mine.m[j] = now[(long long)j * n_reaches + mine.column];
#if LATE
        mine.last = now[(long long)SECTIONS * n_reaches + mine.column];
#endif
        for (int tile = 0; tile < n_tiles; ++tile) {
            const Time time = {tile, n_tiles, n_days};
#if DELAY
            if (kept)
                for (int k = start[block]; k < start[block + 1]; ++k) {
                    const int me = column[k];
                    real* copy = kept_line + ((long long)batch * n_tiles + tile) * line_size + delay_at[me];
                    for (int i = lane; i < delay_of[me]; i += LANES) copy[i] = line[delay_at[me] + i];
                }
            __syncwarp();
#endif
            down<false>(net, block, time, rain, coefficient, n_reaches,
                        discharge + (long long)batch * n_days * n_targets, n_targets,
                        inflow + (long long)batch * n_inlets * n_steps,
                        outflow + (long long)batch * n_outlets * n_steps,
                        flow + (long long)batch * n_flows * n_tiles * (STEPS + 1) * LANES,
                        done + batch * n_flows, now, keep, delay_of, delay_at, line, nullptr, linear,
                        rooms[warp], mine, half, lane);
        }
    }
}

#if !PLAIN  // which has an adjoint of its own, `adjoint.cu`
// The adjoint of one tile of one block, downstream to upstream, from the errors e of `down<true>`.
//   ge = a gq + b mu;  mu += gq - ge;  gx = ge;  ga += gq e;  gb += mu_old e
__device__ __forceinline__ void up(
    const Net& net, int block, const Time& time, const Rain& rain, const Slot* coefficient, int n_reaches,
    const real* g_discharge, int n_targets, real* g_inflow, const real* g_outflow, real* g_flow, int* done,
    real* g_state, const int* delay_of, const long long* delay_at, real* g_line, const real* errors,
    real* linear, double* g_a, double* g_b, double* g_jump, real* g_runoff, Room& room, int lane) {
    const int begin = net.start[block], end = net.start[block + 1];
    const int lanes = time.lanes(), valid = time.valid(lane), n_rows = time.days();
    const int first_day = time.first_day(), my_day = first_day + time.day(lane);
    real g[STEPS];  // of what flows out of the reach, then of what flows in
    real none = 0;
    real deep[DEPTH - SHELVES][WAITING];
    Stack waiting;
#pragma unroll
    for (int e = 0; e < STEPS; ++e) g[e] = 0;
    for (int panel = begin + (end - 1 - begin) / PANEL * PANEL; panel >= begin; panel -= PANEL) {
        const int slot = panel + lane % PANEL;
        const bool live = slot < end, owns = live && lane < PANEL;
        const int op_of = live ? net.op[slot] : 0, column = live ? net.column[slot] : 0;
        const int row = live ? net.target[slot] : -1, place = live ? net.place[slot] : 0;
        real* cell = room.cell[0];
        const Slot* slots = room.slot[0];
        if (owns) room.slot[0][lane] = coefficient[slot];
        real mu_of[SECTIONS], g_last_of = 0, sum_a = 0, sum_b = 0, sum_jump = 0;
#pragma unroll
        for (int j = 0; j < SECTIONS; ++j)
            mu_of[j] = live ? g_state[(long long)j * n_reaches + column] : real(0);
#if LATE
        if (live) g_last_of = g_state[(long long)SECTIONS * n_reaches + column];
#endif
        if (DAYS == 1) {
            for (int d = lane / PANEL; d < USED / TURNS; d += ROWS)
                cell[d * PITCH + lane % PANEL] =
                    row >= 0 && d < n_rows ? g_discharge[(long long)(first_day + d) * n_targets + row]
                                           : real(0);
        }
        __syncwarp();
        for (int s = min(PANEL, end - panel) - 1; s >= 0; --s) {
            const int op = from(op_of, s), me = from(column, s);
            const real a = slots[s].c[A], b = slots[s].c[B], w = from(slots[s].c[W], 0);
            const real decay = 1 - b;
            const real* error = errors + (long long)from(place, s) * LANES + lane;
#if JUMP
            const real jump = slots[s].c[K];
            real r[DAYS];
#pragma unroll
            for (int p = 0; p < DAYS; ++p)
                r[p] = (DAYS > 1 ? p * RATIO < valid : valid > 0) ? rain.at(my_day + p, me) : real(0);
#else
            const real jump = 0;
#endif
            if (op & POP) waiting.push(room, deep, g, none, none, none, lane);  // what waited has this branch's gradient too
            if (op & ROOT) {
#pragma unroll
                for (int e = 0; e < STEPS; ++e) g[e] = 0;
            }
            if (op & LEAVE) {
                for (int k = net.leave[panel + s]; k < net.leave[panel + s + 1]; ++k) {
                    const int f = net.leave_flow[k];
                    if (f >= 0) {
                        wait_for(done + f, time.n_tiles - time.tile);
                        const real* tile =
                            g_flow + ((long long)f * time.n_tiles + time.tile) * STEPS * LANES + lane;
#pragma unroll
                        for (int e = 0; e < STEPS; ++e) g[e] += passed(tile + e * LANES);
                    } else {
                        const real* series = g_outflow + ~f * time.n_steps() + time.step(lane);
#pragma unroll
                        for (int e = 0; e < STEPS; ++e)
                            if (e < valid) g[e] += series[e];
                    }
                }
            }
            // the gradient of the reported means: the same at each step of a forcing step
            real reported[DAYS];
#pragma unroll
            for (int p = 0; p < DAYS; ++p) reported[p] = 0;
            if (DAYS == 1) {
                reported[0] = cell[time.day(lane) * PITCH + s] * (real(1) / RATIO);
            } else {
                const int at = from(row, s);
#pragma unroll
                for (int p = 0; p < DAYS; ++p)
                    if (at >= 0 && p * RATIO < valid)
                        reported[p] = g_discharge[(long long)(my_day + p) * n_targets + at] * (real(1) / RATIO);
            }
#if LATE
            // under RAPID's mean the last q of a forcing step counts in the next one
            const real following = beyond(reported[0], 1);
            const real g_last = from(g_last_of, s);
            const bool ends = lane == lanes - 1;
            const real last = ends ? g_last : following;
            const real carried = from(reported[0], 0);
            if (lane == s) g_last_of = carried;
#endif
            real rained[DAYS];
#pragma unroll
            for (int p = 0; p < DAYS; ++p) rained[p] = 0;
            if (op & LEAF) {
                // p = sum of gq decay^e, dp/d decay; and the plain sum
                real p = 0, slope = 0, sum = 0;
#pragma unroll
                for (int e = STEPS - 1; e >= 0; --e) {
                    real gq = g[e] + reported[0];
#if LATE
                    if (e == STEPS - 1 && lane % TURNS == TURNS - 1) gq = g[e] + last;
#endif
                    if (valid == 0) gq = 0;
                    slope = decay * slope + p;
                    p = decay * p + gq;
                    sum += gq;
                }
                real v = (1 - a) * p;
                const real mu0 = from(mu_of[0], s);
                if (lane == lanes - 1) v += w * mu0;
                const real mu_first = scan_back(v, w, lane);
                const real later = beyond(mu_first, 1);
                const real mu_last = lane == lanes - 1 ? mu0 : later;
                const real e0 = valid > 0 ? error[0] : real(0);
                real part_a = e0 * p, part_b = e0 * (slots[s].c[D] * mu_last + (1 - a) * slope);
                if (valid == 0) part_a = part_b = 0;
                part_a = from(sum_of_lanes(part_a), 0);
                part_b = from(sum_of_lanes(part_b), 0);
                const real before = from(mu_first, 0);
                rained[0] = valid > 0 ? sum + mu_last - mu_first : real(0);
#if JUMP
                const real change = valid > 0 ? mu_first - mu_last : real(0);
                rained[0] += jump * change;
                const real part = from(sum_of_lanes(r[0] * change), 0);
                if (lane == s) sum_jump += part;
#endif
                if (lane == s) {
                    sum_a += part_a;
                    sum_b += part_b;
                    mu_of[0] = before;
                }
            } else {
#pragma unroll
                for (int e = 0; e < STEPS; ++e) {
                    const bool day_ends = DAYS > 1 ? (e + 1) % RATIO == 0
                                                   : e == STEPS - 1 && lane % TURNS == TURNS - 1;
                    real part = reported[DAYS > 1 ? e / RATIO : 0];
#if LATE
                    if (day_ends) {
                        part = DAYS > 1 && e + 1 < STEPS && e + 1 < valid ? reported[(e + 1) / RATIO % DAYS]
                                                                          : last;
                    }
#endif
                    g[e] = e < valid ? g[e] + part : real(0);
                }
#pragma unroll
                for (int j = SECTIONS - 1; j >= 0; --j) {
                    const real mu0 = from(mu_of[j], s);
                    real p = 0;
#pragma unroll
                    for (int e = STEPS - 1; e >= 0; --e)
                        if (DAYS == 1 || e < valid) p = decay * p + g[e];
                    real v = (1 - a) * p;
                    // a short last lane carries over fewer steps
                    if (lane == lanes - 1) {
                        real over = w;
                        if (DAYS > 1 && valid < STEPS) {
                            over = 1;
                            for (int e = 0; e < valid; ++e) over *= decay;
                        }
                        v += over * mu0;
                    }
                    real mu = beyond(scan_back(v, w, lane), 1);
                    if (lane == lanes - 1) mu = mu0;
                    if (valid == 0) mu = 0;
                    real part_a = 0, part_b = 0;
#if JUMP
                    const real mu_last = mu;
                    real part_jump = 0;
                    if (valid > 0) {
                        const real rest = r[DAYS > 1 ? (valid - 1) / RATIO : 0];
                        part_jump -= mu * rest;
#pragma unroll
                        for (int q = 0; q < DAYS; ++q)
                            if (q == (DAYS > 1 ? (valid - 1) / RATIO : 0)) rained[q] -= jump * mu;
                    }
#endif
#pragma unroll
                    for (int e = STEPS - 1; e >= 0; --e) {
                        if (e >= valid) continue;
                        const real er = error[(j * STEPS + e) * LANES];
                        const real ge = a * g[e] + b * mu;
                        part_a += g[e] * er;
                        part_b += mu * er;
                        mu += g[e] - ge;
                        g[e] = ge;
#if JUMP
                        if (DAYS > 1 && e > 0 && e % RATIO == 0) {
                            part_jump += mu * (r[e / RATIO] - r[e / RATIO - 1]);
                            rained[e / RATIO] += jump * mu;
                            rained[e / RATIO - 1] -= jump * mu;
                        }
#endif
                    }
#if JUMP
                    if (valid > 0) {
                        part_jump += mu * r[0];
                        rained[0] += jump * mu;
                    }
                    part_jump = from(sum_of_lanes(part_jump), 0);
                    if (lane == s) sum_jump += part_jump;
#endif
                    const real before = from(mu, 0);
                    part_a = from(sum_of_lanes(part_a), 0);
                    part_b = from(sum_of_lanes(part_b), 0);
                    if (lane == s) {
                        mu_of[j] = before;
                        sum_a += part_a;
                        sum_b += part_b;
                    }
                }
#if DELAY
                delay<true>(g, delay_of[me], g_line + delay_at[me], linear, time, lane, valid);
#endif
#pragma unroll
                for (int e = 0; e < STEPS; ++e)
                    if (e < valid) rained[DAYS > 1 ? e / RATIO : 0] += g[e];
                if (op & ENTER) {
                    for (int k = net.enter[panel + s]; k < net.enter[panel + s + 1]; ++k) {
                        const int f = net.enter_flow[k];
                        if (f >= 0) {
                            real* tile =
                                g_flow + ((long long)f * time.n_tiles + time.tile) * STEPS * LANES + lane;
#pragma unroll
                            for (int e = 0; e < STEPS; ++e) tile[e * LANES] = g[e];
                            __syncwarp();
                            if (lane == 0) publish(done + f, time.n_tiles - time.tile);
                        } else {
                            real* series = g_inflow + ~f * time.n_steps() + time.step(lane);
#pragma unroll
                            for (int e = 0; e < STEPS; ++e)
                                if (e < valid) series[e] = g[e];
                        }
                    }
                }
            }
            if (g_runoff) {
                if (DAYS == 1) {
                    const real all = sum_of_turns(rained[0]);
                    if (lane % TURNS == 0) cell[time.day(lane) * PITCH + s] = all;
                } else {
#pragma unroll
                    for (int p = 0; p < DAYS; ++p)
                        if (p * RATIO < valid) g_runoff[(long long)(my_day + p) * n_reaches + me] = rained[p];
                }
            }
            if (op & PUSH) waiting.pop(room, deep, g, none, none, none, false, lane);
        }
        __syncwarp();
        if (live && g_runoff && DAYS == 1)
            for (int d = lane / PANEL; d < n_rows; d += ROWS)
                g_runoff[(long long)(first_day + d) * n_reaches + column] = cell[d * PITCH + lane % PANEL];
        if (owns) {
#pragma unroll
            for (int j = 0; j < SECTIONS; ++j) g_state[(long long)j * n_reaches + column] = mu_of[j];
#if LATE
            g_state[(long long)SECTIONS * n_reaches + column] = g_last_of;
#endif
            g_a[column] += (double)sum_a;
            g_b[column] += (double)sum_b;
#if JUMP
            g_jump[column] += (double)sum_jump;
#endif
        }
        __syncwarp();
    }
}

extern "C" __global__ void __launch_bounds__(WARPS * LANES)
backward(const int* start, const int* op, const int* column, const int* target, const int* place,
         const int* enter, const int* enter_flow, const int* leave, const int* leave_flow, int n_slots,
         int n_blocks, const int* back, const long long* grid_pointer, const int* grid_cell, const real* grid_weight,
         const Slot* coefficient, const int* delay_of, const long long* delay_at, int n_reaches,
         const real* runoff, int n_columns, const real* g_discharge, int n_targets,
         const real* inflow, real* g_inflow, int n_inlets, const real* g_outflow, int n_outlets,
         real* flow, real* g_flow, int n_flows, int* done,
         real* g_state, long long state_size, real* kept, const real* kept_line, long long line_size,
         real* lines, double* g_a, double* g_b, double* g_jump, real* g_runoff, real* scratch,
         long long scratch_rows, int n_days, int n_tiles, int n_batch, int* ticket) {
    __shared__ Room rooms[WARPS];
    const int lane = threadIdx.x % LANES, warp = threadIdx.x / LANES;
    const Net net = {start, op, column, target, place, enter, enter_flow, leave, leave_flow, n_slots};
    const long long n_steps = (long long)n_days * RATIO;
    real* errors = scratch + (long long)(blockIdx.x * WARPS + warp) * (scratch_rows * LANES + USED * STEPS);
    real* linear = errors + scratch_rows * LANES;
    for (;;) {
        int item = 0;
        if (lane == 0) item = atomicAdd(ticket, 1);
        item = from(item, 0);
        if (item >= n_blocks * n_batch) return;
        const int block = back[item / n_batch], batch = item % n_batch;
        const Rain rain = {runoff + (long long)batch * n_days * n_columns, grid_pointer, grid_cell,
                           grid_weight, n_columns};
        real* here = flow + (long long)batch * n_flows * n_tiles * (STEPS + 1) * LANES;
        real* g_now = g_state + batch * state_size;
        real* line = lines + batch * line_size;
        for (int tile = n_tiles - 1; tile >= 0; --tile) {
            const Time time = {tile, n_tiles, n_days};
#if DELAY
            for (int k = start[block]; k < start[block + 1]; ++k) {
                const int me = column[k];
                const real* copy = kept_line + ((long long)batch * n_tiles + tile) * line_size + delay_at[me];
                for (int i = lane; i < delay_of[me]; i += LANES) line[delay_at[me] + i] = copy[i];
            }
            __syncwarp();
#endif
            Panel mine;
            int half = 0;
            look(mine, net, start[block], start[block + 1], lane);
            bring(mine, rooms[warp], half, net, coefficient, rain, time, start[block], start[block + 1], lane);
            down<true>(net, block, time, rain, coefficient, n_reaches, nullptr, 0,
                       inflow + (long long)batch * n_inlets * n_steps, nullptr, here, nullptr, nullptr,
                       kept + (long long)batch * n_tiles * SECTIONS * n_slots, delay_of, delay_at, line,
                       errors, linear, rooms[warp], mine, half, lane);
            up(net, block, time, rain, coefficient, n_reaches,
               g_discharge + (long long)batch * n_days * n_targets, n_targets,
               g_inflow + (long long)batch * n_inlets * n_steps,
               g_outflow + (long long)batch * n_outlets * n_steps,
               g_flow + (long long)batch * n_flows * n_tiles * STEPS * LANES, done + batch * n_flows, g_now,
               delay_of, delay_at, g_now + (long long)(SECTIONS + LATE) * n_reaches, errors, linear,
               g_a + (long long)batch * n_reaches, g_b + (long long)batch * n_reaches,
               g_jump ? g_jump + (long long)batch * n_reaches : nullptr,
               g_runoff ? g_runoff + (long long)batch * n_days * n_reaches : nullptr, rooms[warp], lane);
        }
    }
}
#endif
