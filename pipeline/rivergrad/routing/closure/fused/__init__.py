"""The closure engine fused into Triton kernels, for GPUs."""

from rivercut.compiling import give_place

give_place("TRITON_CACHE_DIR", ".triton/cache")
