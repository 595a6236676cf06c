"""The closure engine fused into Triton kernels, for GPUs."""
