"""The CUDA source run by the CPU: a mock of the device, not of the kernels.

The source is compiled by the host's C++ compiler, a thread for each CUDA thread and a barrier for each CUDA
block. It shows that the kernels compute the right thing, not how fast, nor what a GPU's memory model does.
"""

from __future__ import annotations

import atexit
import ctypes
import hashlib
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from rivergrad.routing.recurrence.cuda import CudaSweep
from rivergrad.routing.recurrence.cuda.module import Case, source

HEADERS = """
#include <algorithm>
#include <barrier>
#include <cmath>
#include <cstring>
#include <thread>
#include <vector>
"""
PRELUDE = """
#define EMULATED
#define __global__
#define __device__
#define __forceinline__ inline
#define __launch_bounds__(...)
using std::fabs;
using std::fma;
using std::min;
struct Warp { std::barrier<> barrier{LANES}; double slot[LANES]; };
thread_local Warp* cuda_warp;
thread_local void* cuda_shared;
struct Index { int x; };
thread_local Index threadIdx, blockIdx;
inline void __syncwarp() { cuda_warp->barrier.arrive_and_wait(); }
inline int atomicAdd(int* to, int value) { return __atomic_fetch_add(to, value, __ATOMIC_SEQ_CST); }
inline void publish(int* count, int value) { __atomic_store_n(count, value, __ATOMIC_RELEASE); }
inline int seen(const int* count) {
    const int value = __atomic_load_n(count, __ATOMIC_ACQUIRE);
    std::this_thread::yield();
    return value;
}
inline void refresh() { __atomic_thread_fence(__ATOMIC_ACQUIRE); }
inline real passed(const real* from) { return *from; }
template <int BYTES> void copy_async(void* to, const void* from, bool there) {
    there ? (void)std::memcpy(to, from, BYTES) : (void)std::memset(to, 0, BYTES);
}
inline void copies_done() {}
template <class T> T from_lane(T value, int lane) {  // CUDA leaves a lane out of range its own value
    const int mine = threadIdx.x % LANES;
    cuda_warp->slot[mine] = (double)value;
    __syncwarp();
    const T got = (T)cuda_warp->slot[lane >= 0 && lane < LANES ? lane : mine];
    __syncwarp();
    return got;
}
template <class T> T from(T value, int lane) { return from_lane(value, lane); }
inline int __popc(unsigned bits) { return __builtin_popcount(bits); }
inline int __clz(int bits) { return __builtin_clz((unsigned)bits); }
inline unsigned place(const void* of) { return (unsigned)((const char*)of - (const char*)cuda_shared); }
template <class T> T* at_place(unsigned at) { return (T*)((char*)cuda_shared + at); }
inline unsigned votes(bool value) {
    cuda_warp->slot[threadIdx.x % LANES] = value;
    __syncwarp();
    unsigned found = 0;
    for (int lane = 0; lane < LANES; ++lane) found |= (unsigned)cuda_warp->slot[lane] << lane;
    __syncwarp();
    return found;
}
inline real above(real value, int by) { return from_lane(value, (int)(threadIdx.x % LANES) - by); }
inline real beyond(real value, int by) { return from_lane(value, (int)(threadIdx.x % LANES) + by); }
"""

DRIVER = """
template <class Kernel> void run(int blocks, Kernel kernel) {
    std::vector<std::thread> threads;
    std::vector<Warp*> warps;
    std::vector<std::vector<char>*> shared;
    for (int b = 0; b < blocks; ++b) {
        auto* memory = new std::vector<char>(WARPS * sizeof(Room), -1);  // full of NaN
        shared.push_back(memory);
        for (int w = 0; w < WARPS; ++w) {
            Warp* warp = new Warp;
            warps.push_back(warp);
            for (int l = 0; l < LANES; ++l)
                threads.emplace_back([=] {
                    cuda_warp = warp;
                    cuda_shared = memory->data();
                    blockIdx.x = b;
                    threadIdx.x = w * LANES + l;
                    kernel();
                });
        }
    }
    for (auto& thread : threads) thread.join();
    for (auto* warp : warps) delete warp;
    for (auto* memory : shared) delete memory;
}
"""

SHARED = (
    "__shared__ Room rooms[WARPS];",
    "auto* rooms = (Room*)cuda_shared;",
)
LANES = 4
"""Small warps: short records have several tiles all the same, and a step of a warp waits for few threads."""


def compiler() -> str | None:
    """A C++20 compiler, if there is one."""
    return shutil.which("g++")


def build(*arguments: str) -> None:
    command = [str(compiler()), "-std=c++20", "-O1", "-w", "-fPIC", "-pthread"]
    subprocess.run([*command, *arguments], check=True)


@cache
def headers() -> Path:
    """The standard library's headers, compiled once: they take longer than the kernels of a case."""
    folder = Path(tempfile.mkdtemp(prefix="emulated-"))
    atexit.register(shutil.rmtree, folder)
    header = folder / "headers.h"
    header.write_text(HEADERS, encoding="utf-8")
    build("-x", "c++-header", "-o", f"{header}.gch", str(header))
    return header


@cache
def library(case: Case) -> ctypes.CDLL:
    """The kernels of a case, compiled for the host."""
    text = source(case)
    assert text.count(SHARED[0]) >= len(case.kernels)  # some are for other cases
    text = text.replace(*SHARED)
    text = "\n".join(f"#define {k} {v}" for k, v in case.definitions.items()) + PRELUDE + text + DRIVER
    for name in case.kernels:
        begin = text.index("(", text.index(f"\n{name}(")) + 1
        declared = text[begin : text.index(") {", begin)]
        names = ", ".join(p.split()[-1].lstrip("*") for p in declared.split(","))
        text += f'extern "C" void run_{name}(int blocks, {declared}) {{\n'
        text += f"    run(blocks, [=] {{ {name}({names}); }});\n}}\n"
    folder = headers().parent
    stem = hashlib.sha256(text.encode()).hexdigest()[:16]
    code, made = folder / f"{stem}.cpp", folder / f"{stem}.so"
    code.write_text(text, encoding="utf-8")
    build("-include", str(headers()), "-shared", "-o", str(made), str(code))
    return ctypes.CDLL(str(made))


def launch(case: Case, _: int | None, name: str, blocks: int, arguments: tuple[Any, ...]) -> None:
    def argument(value: Any) -> Any:
        if value is None:
            return ctypes.c_void_p(None)
        if isinstance(value, torch.Tensor):
            assert value.is_contiguous()
            return ctypes.c_void_p(value.data_ptr())
        return ctypes.c_longlong(int(value)) if isinstance(value, np.int64) else ctypes.c_int(int(value))

    run = getattr(library(case), f"run_{name}")
    run(blocks, *map(argument, arguments))


class EmulatedSweep(CudaSweep):
    """The CUDA backend with its kernels on the host, in small warps."""

    _launch = staticmethod(launch)
    _lanes = LANES
    _leg = 2

    @staticmethod
    def _device(device: torch.device) -> torch.device:
        return torch.device("cpu")

    @staticmethod
    def _resident(case: Case, device: int | None, name: str) -> int:
        return 2
