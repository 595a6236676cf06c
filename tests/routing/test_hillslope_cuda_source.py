"""The CUDA source of cascades run by the CPU: it computes what the kernels of the CPU compute."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from pathlib import Path

import pytest
import torch
from torch import Tensor

from rivergrad.routing.hillslope import cpu, cuda
from rivergrad.routing.hillslope.storage import coefficients

PRELUDE = """
#include <cstddef>
#define __global__
#define __device__
#define __forceinline__ inline
#define __restrict__
struct Index { int x; };
static Index threadIdx, blockIdx, blockDim;
"""
RUN = """
template <class... A> void each(long long reaches, long long times, long long batches,
                                void (*kernel)(long long, long long, long long, A...), A... arguments) {
    blockDim.x = 4;
    for (blockIdx.x = 0; blockIdx.x * blockDim.x < reaches * batches + 3; ++blockIdx.x)
        for (threadIdx.x = 0; threadIdx.x < blockDim.x; ++threadIdx.x) kernel(reaches, times, batches, arguments...);
}
extern "C" void run_respond(whole r, whole t, whole b, double* p, double* w, real* x, double* s, real* z) {
    each<const double*, const double*, const real*, double*, real*>(r, t, b, respond, p, w, x, s, z);
}
extern "C" void run_adjoint(whole r, whole t, whole b, double* p, double* w, real* g, double* s, real* x) {
    each<const double*, const double*, const real*, double*, real*>(r, t, b, adjoint, p, w, g, s, x);
}
extern "C" void run_by_residence(whole r, whole t, whole b, double* p, double* w, double* dp, double* dw, real* x,
                                 double* s, real* g, double* gs, double* found) {
    each<const double*, const double*, const double*, const double*, const real*, const double*, const real*,
         const double*, double*>(r, t, b, by_residence, p, w, dp, dw, x, s, g, gs, found);
}
"""


def library(folder: Path, dtype: torch.dtype, count: int) -> ctypes.CDLL:
    names = "".join(f"#define {name} {value}\n" for name, value in cuda.definitions(dtype, count).items())
    source = folder / f"cascade{count}.cpp"
    source.write_text(PRELUDE + names + cuda.source() + RUN)
    built = source.with_suffix(".so")
    command = ["g++", "-O1", "-std=c++17", "-w", "-shared", "-fPIC", str(source), "-o", str(built)]
    subprocess.run(command, check=True)
    return ctypes.CDLL(str(built))


def address(value: Tensor) -> ctypes.c_void_p:
    assert value.is_contiguous()
    return ctypes.c_void_p(value.data_ptr())


@pytest.mark.skipif(shutil.which("g++") is None, reason="no C++ compiler")
@pytest.mark.parametrize(("dtype", "count"), [(torch.float32, 1), (torch.float64, 3)])
def test_the_cuda_source_does_what_the_cpu_does(tmp_path: Path, dtype: torch.dtype, count: int) -> None:
    batch, times, reaches = 2, 9, 7
    rng = torch.Generator().manual_seed(3)
    n = torch.arange(reaches) % count + 1
    numbers = coefficients(torch.linspace(0.0, 4.0, reaches, dtype=torch.float64), n)
    runoff, g_out = (torch.rand(batch, times, reaches, dtype=dtype, generator=rng) for _ in range(2))
    state, g_after = (torch.rand(batch, count, reaches, dtype=torch.float64, generator=rng) for _ in range(2))
    code = library(tmp_path, dtype, count)
    sizes = [ctypes.c_longlong(size) for size in (reaches, times, batch)]
    own = [address(one) for one in (numbers.keep, numbers.out, numbers.d_keep, numbers.d_out)]
    tolerance = {"rtol": 1e-6 if dtype == torch.float32 else 1e-13, "atol": 1e-13}

    out, after = torch.full_like(runoff, torch.nan), state.clone()
    code.run_respond(*sizes, *own[:2], address(runoff), address(after), address(out))
    for found, expected in zip((out, after), cpu.respond(numbers, runoff, state), strict=True):
        torch.testing.assert_close(found, expected, **tolerance)

    back, before = torch.full_like(runoff, torch.nan), g_after.clone()
    code.run_adjoint(*sizes, *own[:2], address(g_out), address(before), address(back))
    for found, expected in zip((back, before), cpu.adjoint(numbers, g_out, g_after), strict=True):
        torch.testing.assert_close(found, expected, **tolerance)

    each = torch.full((batch, reaches), torch.nan, dtype=torch.float64)
    given = [address(one) for one in (runoff, state, g_out, g_after, each)]
    code.run_by_residence(*sizes, *own, *given)
    expected = cpu.by_residence(numbers, runoff, state, g_out, g_after)
    torch.testing.assert_close(each.sum(dim=0), expected, rtol=1e-10, atol=1e-12)
