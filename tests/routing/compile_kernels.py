"""Compiles the sweeps for a GPU that need not be there; run by `test_closure_fused.py` in a process of its own.

Interpreted kernels, which the other tests run, are plain Python: what the compiler refuses shows only here.
"""

from __future__ import annotations

from typing import Any

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from rivergrad.routing.closure.fused import kernels

TARGET = GPUTarget("cuda", 90, 32)
HOURLY = {
    "AT": 8, "SETS": 3, "PASSES": 1, "BF": 16, "RATIO": 24, "SECTIONS": 1, "TABLE": False, "DELAY": False, "BIG": False,
    "SPLIT": False, "PLAIN": False, "REAL": True, "UNIT": True, "SHARP": False, "FAST": True, "PADDED": False,
}  # fmt: skip
EVERYTHING = {
    "AT": 2, "PASSES": 2, "BF": 8, "RATIO": 11, "SECTIONS": 2, "DELAY": True, "BIG": True, "PLAIN": True, "REAL": False,
    "UNIT": False, "PADDED": True,
}  # fmt: skip
COMPLEX = {*kernels.WORDS, "turn", "rest", "kept", "from_discharge", "to_runoff", "from_flow", "to_table"}
TABLES = {"values": "*fp64", "rows": "*i64", "table": "*i64"}
REAL = {"first", "second", "gain", "weight", "undo", "to_coefficient"}


def kind(name: str, flags: dict[str, Any]) -> str:
    """Type of an argument as the compiler writes it."""
    if name == "log_radius":
        return "fp32"
    if name in kernels.SIZES:
        return "i32"
    if name == "kept" and flags["HALF"]:
        return "*i32"
    return "*i64" if name in COMPLEX else "*fp32" if name in REAL else "*i32"


def main() -> None:
    """Each kernel as it is used most, and with all else that it can do."""
    for flags in (HOURLY, {**HOURLY, **EVERYTHING}):
        for kernel, own in (
            (kernels.sweep_down, {"OUT": True}),
            (kernels.sweep_up, {"HALF": flags["PLAIN"]}),
        ):
            given = {**flags, **own}
            signature = {name: kind(name, given) for name in kernel.arg_names if name not in given}
            source = ASTSource(kernel, signature, given)
            found = triton.compile(source, target=TARGET, options={"num_warps": 1})
            print(kernel.fn.__name__, found.asm["ttgir"].count("convert_layout"))
    sizes = {"ALIASES": 24, "BF": 16, "RATIO": 24, "BR": 64}
    for kernel in (kernels.pack_table, kernels.unpack_table):
        signature = {name: TABLES.get(name, "i32") for name in kernel.arg_names if name not in sizes}
        triton.compile(ASTSource(kernel, signature, sizes), target=TARGET, options={"num_warps": 4})


if __name__ == "__main__":
    main()
