// The recursion of a cascade over forcing steps (see storage.py): a thread a reach and batch, a loop over time.
// Runoff is (batch, time, reach), so that neighbouring threads read neighbouring numbers. All is computed in double.
// Compiled with: real (float or double), COUNT (storages).

typedef long long whole;

struct Lane {
    whole reach, batch, at, states;  // at: of the first step; states: of the first storage
    bool there;
};

__device__ __forceinline__ Lane lane(whole reaches, whole times, whole batches) {
    const whole number = (whole)blockIdx.x * blockDim.x + threadIdx.x;
    Lane mine;
    mine.there = number < reaches * batches;
    mine.batch = number / reaches;
    mine.reach = number - mine.batch * reaches;
    mine.at = mine.batch * times * reaches + mine.reach;
    mine.states = mine.batch * COUNT * reaches + mine.reach;
    return mine;
}

__device__ __forceinline__ void load(const double* __restrict__ from, whole first, whole reaches, double* to) {
#pragma unroll
    for (int k = 0; k < COUNT; ++k) to[k] = from[first + k * reaches];
}

extern "C" __global__ void respond(
    whole reaches, whole times, whole batches, const double* __restrict__ keep, const double* __restrict__ out,
    const real* __restrict__ runoff, double* __restrict__ state, real* __restrict__ after) {
    const Lane me = lane(reaches, times, batches);
    if (!me.there) return;
    double p[COUNT], w[COUNT], y[COUNT], d[COUNT];
    load(keep, me.reach, reaches, p);
    load(out, me.reach, reaches, w);
    load(state, me.states, reaches, y);
#pragma unroll 8
    for (whole t = 0; t < times; ++t) {
        const double r = runoff[me.at + t * reaches];
        double total = r;
#pragma unroll
        for (int k = 0; k < COUNT; ++k) {
            d[k] = y[k] - r;
            total += w[k] * d[k];
        }
        after[me.at + t * reaches] = (real)total;
#pragma unroll
        for (int k = 0; k < COUNT; ++k) {
            y[k] = r;
#pragma unroll
            for (int m = 0; m <= k; ++m) y[k] += p[m] * d[k - m];
        }
    }
#pragma unroll
    for (int k = 0; k < COUNT; ++k) state[me.states + k * reaches] = y[k];
}

extern "C" __global__ void adjoint(
    whole reaches, whole times, whole batches, const double* __restrict__ keep, const double* __restrict__ out,
    const real* __restrict__ gradient, double* __restrict__ state, real* __restrict__ runoff) {
    const Lane me = lane(reaches, times, batches);
    if (!me.there) return;
    double p[COUNT], w[COUNT], y[COUNT];
    load(keep, me.reach, reaches, p);
    load(out, me.reach, reaches, w);
    load(state, me.states, reaches, y);
#pragma unroll 8
    for (whole t = times - 1; t >= 0; --t) {
        const double g = gradient[me.at + t * reaches];
        double total = g;
#pragma unroll
        for (int k = 0; k < COUNT; ++k) {
            total += y[k];
            double d = w[k] * g;
#pragma unroll
            for (int j = k; j < COUNT; ++j) d += p[j - k] * y[j];
            y[k] = d;
            total -= d;
        }
        runoff[me.at + t * reaches] = (real)total;
    }
#pragma unroll
    for (int k = 0; k < COUNT; ++k) state[me.states + k * reaches] = y[k];
}

extern "C" __global__ void by_residence(
    whole reaches, whole times, whole batches, const double* __restrict__ keep, const double* __restrict__ out,
    const double* __restrict__ d_keep, const double* __restrict__ d_out, const real* __restrict__ runoff,
    const double* __restrict__ state, const real* __restrict__ gradient, const double* __restrict__ of_state,
    double* __restrict__ found) {
    const Lane me = lane(reaches, times, batches);
    if (!me.there) return;
    double p[COUNT], w[COUNT], dp[COUNT], dw[COUNT], y[COUNT], v[COUNT], d[COUNT], e[COUNT];
    load(keep, me.reach, reaches, p);
    load(out, me.reach, reaches, w);
    load(d_keep, me.reach, reaches, dp);
    load(d_out, me.reach, reaches, dw);
    load(state, me.states, reaches, y);
    for (int k = 0; k < COUNT; ++k) v[k] = 0.0;
    double answer = 0.0;
#pragma unroll 8
    for (whole t = 0; t < times; ++t) {
        const double r = runoff[me.at + t * reaches];
        const double g = gradient[me.at + t * reaches];
#pragma unroll
        for (int k = 0; k < COUNT; ++k) {
            d[k] = y[k] - r;
            e[k] = v[k];
            answer += g * (w[k] * e[k] + dw[k] * d[k]);
        }
#pragma unroll
        for (int k = 0; k < COUNT; ++k) {
            y[k] = r;
            v[k] = 0.0;
#pragma unroll
            for (int m = 0; m <= k; ++m) {
                y[k] += p[m] * d[k - m];
                v[k] += p[m] * e[k - m] + dp[m] * d[k - m];
            }
        }
    }
    for (int k = 0; k < COUNT; ++k) answer += of_state[me.states + k * reaches] * v[k];
    found[me.batch * reaches + me.reach] = answer;
}
