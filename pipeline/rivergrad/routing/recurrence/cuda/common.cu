// What the kernels share: how a network lies on warps (see layout.py), and how lanes and warps talk to each other.

// what to do at a reach (see layout.py)
#define LEAF 1    // a headwater with a closed form
#define FRESH 2   // nothing upstream in this block has been done: starts a series
#define PUSH 4    // the series in the registers waits while this branch is worked on
#define POP 8     // the branch ends here: the series that waited is added
#define ENTER 16  // series from elsewhere enter
#define LEAVE 32  // the series is wanted elsewhere
#define ROOT 64   // nothing downstream in this block
#define KEPT 128    // `adjoint.cu` keeps the errors of this reach
#define SETTLE 256  // and centres the series after it

#define WIDTH ((int)(16 / sizeof(real)))
struct alignas(16) Quad { real c[WIDTH]; };  // numbers read or written at once

struct alignas(16) Slot { real c[COLUMNS]; };  // coefficients

struct Net {
    const int* start;       // (block + 1,) first slot
    const int* op;          // (slot,)
    const int* column;      // (slot,) position of the reach
    const int* target;      // (slot,) column of the discharge, -1 where it is not wanted
    const int* place;       // (slot,) first row of the slot's errors in scratch
    const int* enter;       // (slot + 1,) where its series begin in enter_flow; likewise leave
    const int* enter_flow;  // >= 0: between blocks; ~i: external inflow i
    const int* leave;
    const int* leave_flow;  // >= 0: between blocks; ~i: external outflow i
    int n_slots;
};

struct Rain {
    const real* values;
    const long long* pointer;  // grid only
    const int* cell;
    const real* weight;
    int n_columns;

    __device__ __forceinline__ real at(long long row, int reach) const {
#if GRID
        real total = 0;
        for (long long k = pointer[reach]; k < pointer[reach + 1]; ++k)
            total += weight[k] * values[row * n_columns + cell[k]];
        return total;
#else
        return values[row * n_columns + reach];
#endif
    }
};

#ifndef EMULATED
template <class T> __device__ __forceinline__ T from(T value, int lane) {
    return __shfl_sync(0xffffffffu, value, lane);
}
__device__ __forceinline__ real above(real value, int by) { return __shfl_up_sync(0xffffffffu, value, by); }
// The lane before's value; in the first lane the other one.
__device__ __forceinline__ float risen(float value, float first, int) {
    float got;
    asm volatile("{\n .reg .pred p;\n shfl.sync.up.b32 %0|p, %1, 1, 0, -1;\n @!p mov.f32 %0, %2;\n}"
                 : "=&f"(got) : "f"(value), "f"(first));
    return got;
}
// What the lane before has is added, where there is one; or `by` lanes before, times a factor; or the three before.
// A shuffle tells by itself where there is none.
__device__ __forceinline__ void gather(float& to, float value, int) {
    asm volatile("{\n .reg .pred p;\n .reg .f32 a;\n shfl.sync.up.b32 a|p, %1, 1, 0, -1;\n"
                 " @p add.f32 %0, %0, a;\n}" : "+f"(to) : "f"(value));
}
__device__ __forceinline__ void gather(float& v, float factor, int by, int) {
    asm volatile("{\n .reg .pred p;\n .reg .f32 a;\n shfl.sync.up.b32 a|p, %0, %2, 0, -1;\n"
                 " @p fma.rn.f32 %0, a, %1, %0;\n}" : "+f"(v) : "f"(factor), "r"(by));
}
__device__ __forceinline__ void gather(float& v, float one, float two, float three, int) {
    asm volatile("{\n .reg .pred p, q, r;\n .reg .f32 a, b, c;\n"
                 " shfl.sync.up.b32 a|p, %0, 1, 0, -1;\n shfl.sync.up.b32 b|q, %0, 2, 0, -1;\n"
                 " shfl.sync.up.b32 c|r, %0, 3, 0, -1;\n @p fma.rn.f32 %0, a, %1, %0;\n"
                 " @q fma.rn.f32 %0, b, %2, %0;\n @r fma.rn.f32 %0, c, %3, %0;\n}"
                 : "+f"(v) : "f"(one), "f"(two), "f"(three));
}
__device__ __forceinline__ real beyond(real value, int by) {
    return __shfl_down_sync(0xffffffffu, value, by);
}
// What passes between blocks is written, then released with its count; the reader loads the count and then the
// values past the first-level cache. An acquire would empty that cache for all warps of a multiprocessor.
__device__ __forceinline__ void publish(int* count, int value) {
    asm volatile("st.release.gpu.global.s32 [%0], %1;" ::"l"(count), "r"(value) : "memory");
}
__device__ __forceinline__ int seen(const int* count) {
    int value;
    asm volatile("ld.relaxed.gpu.global.s32 %0, [%1];" : "=r"(value) : "l"(count) : "memory");
    return value;
}
// After a count was seen: what was written before it, for loads of any kind. Empties the first-level cache.
__device__ __forceinline__ void refresh() { __threadfence(); }
__device__ __forceinline__ float passed(const float* from) {
    float value;
    asm volatile("ld.relaxed.gpu.global.f32 %0, [%1];" : "=f"(value) : "l"(from) : "memory");
    return value;
}
__device__ __forceinline__ double passed(const double* from) {
    double value;
    asm volatile("ld.relaxed.gpu.global.f64 %0, [%1];" : "=d"(value) : "l"(from) : "memory");
    return value;
}
// The lanes for which this holds; the compiler sees that it is the same in all of them.
__device__ __forceinline__ unsigned votes(bool mine) { return __ballot_sync(0xffffffffu, mine); }
// An address in shared memory as a number, and back: the compiler takes it as it is.
__device__ __forceinline__ unsigned place(const void* of) { return (unsigned)__cvta_generic_to_shared(of); }
template <class T> __device__ __forceinline__ T* at_place(unsigned at) {
    return static_cast<T*>(__cvta_shared_to_generic(at));
}
// From global to shared memory in the background; zero where there is nothing to copy.
template <int BYTES> __device__ __forceinline__ void copy_async(void* to, const void* from, bool there) {
    const unsigned shared = (unsigned)__cvta_generic_to_shared(to);
    if (BYTES == 16)
        asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared), "l"(from),
                     "r"(there ? 16 : 0) : "memory");
    else
        asm volatile("cp.async.ca.shared.global [%0], [%1], %2, %3;" ::"r"(shared), "l"(from), "n"(BYTES),
                     "r"(there ? BYTES : 0) : "memory");
}
__device__ __forceinline__ void copies_done() { asm volatile("cp.async.wait_all;" ::: "memory"); }
#define PAUSE __nanosleep(20)
#define BRANCH asm volatile("")                     // worth a branch: rare, and long
#define HOLD(value) asm volatile("" : "+r"(value))  // nothing that needs the value is done before this line
#else
#define PAUSE
#define BRANCH
#define HOLD(value)
#endif

template <class T> __device__ __forceinline__ T risen(T value, T first, int lane) {
    const T got = above(value, 1);
    return lane ? got : first;
}
template <class T> __device__ __forceinline__ void gather(T& to, T value, int lane) {
    const T got = above(value, 1);
    if (lane) to += got;
}
template <class T> __device__ __forceinline__ void gather(T& v, T factor, int by, int lane) {
    const T got = above(v, by);
    if (lane >= by) v += factor * got;
}
template <class T> __device__ __forceinline__ void gather(T& v, T one, T two, T three, int lane) {
    const T a = above(v, 1), b = above(v, 2), c = above(v, 3);
    if (lane >= 1) v += one * a;
    if (lane >= 2) v += two * b;
    if (lane >= 3) v += three * c;
}

// v[l] + w v[l-1] + w^2 v[l-2] + ... Most reaches forget within a few lanes: `near` has a bit for each reach where
// some of it is not far below rounding, `more` where that holds beyond three lanes.
__device__ __forceinline__ real scan(real v, real w, bool near, bool more, int lane) {
    if (!near) return v;
    // the first three at once: one after the other they would be waited for twice
    const real ww = w * w;
    gather(v, w, ww, w * ww, lane);
    if (!more) return v;
    real power = ww * ww;
    gather(v, power, 4, lane);
    power *= power;
    gather(v, power, 8, lane);
    power *= power;
    gather(v, power, 16, lane);
    return v;
}

__device__ __forceinline__ void wait_for(const int* count, int wanted) {
    while (seen(count) < wanted) PAUSE;
}
