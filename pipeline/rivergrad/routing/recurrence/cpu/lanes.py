"""A SIMD vector type for Numba kernels: arithmetic on 128 bytes of numbers at once.

Numba leaves vectorising to LLVM, which can't be relied on where the state of a recurrence has to stay in
registers. A value of type `Lanes` is one LLVM vector (32 float32 or 16 float64; LLVM splits it into registers of
whatever width the machine has), so that a kernel reads like the equations of one reach and computes all lanes.
Sums and products may be fused (`contract`) but are never reordered.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any, TypeVar

from llvmlite import ir
from numba import extending, types
from numba.core import cgutils
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import lower_builtin, models, register_model

from rivercut.compiling import njit

intrinsic: Any = extending.intrinsic  # (its own types speak of the function that generates code)
F = TypeVar("F", bound=Callable[..., Any])

VECTOR_BYTES = 128
"""Four AVX registers: enough independent recurrences to hide that each step waits for the one before."""


def bare(**options: Any) -> Callable[[F], F]:
    """Numba's `njit` without counting references.

    The arrays of a sweep come from its caller, who holds on to them, and nothing is allocated; counting would
    cost more than the arithmetic (a count is an atomic operation that threads contend for). Products and sums may
    be fused. Nor does it make a function that Python or C could call, unless asked to: taking these arguments
    apart is half of what there would be to compile.
    """
    compiler: Any = njit
    options = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True, **options}
    return compiler(_nrt=False, fastmath={"contract"}, **options)


class Lanes(types.Type):
    """A vector of `count` numbers of type `dtype`."""

    def __init__(self, dtype: Any, count: int) -> None:
        self.dtype, self.count = dtype, count
        super().__init__(name=f"Lanes({dtype}, {count})")


@register_model(Lanes)
class _LanesModel(models.PrimitiveModel):
    def __init__(self, manager: Any, lanes: Lanes) -> None:
        element = manager.lookup(lanes.dtype).get_value_type()
        super().__init__(manager, lanes, ir.VectorType(element, lanes.count))


def _lanes_of(number: Any) -> Lanes:
    return Lanes(number, VECTOR_BYTES * 8 // number.bitwidth)


def _arithmetic(function: Any, instruction: str) -> None:
    """Let `function` take two vectors of the same type."""

    class Template(AbstractTemplate):
        key = function

        def generic(self, args: Any, kws: Any) -> Any:
            if len(args) == 2 and isinstance(args[0], Lanes) and args[0] == args[1]:
                return signature(args[0], args[0], args[0])
            return None

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return getattr(builder, instruction)(args[0], args[1], flags=("contract",))

    infer_global(function)(Template)
    lower_builtin(function, Lanes, Lanes)(lower)


_arithmetic(operator.add, "fadd")
_arithmetic(operator.sub, "fsub")
_arithmetic(operator.mul, "fmul")


def _shuffle(builder: Any, vector: Any, picks: list[int]) -> Any:
    mask = ir.Constant(ir.VectorType(ir.IntType(32), len(picks)), picks)
    return builder.shuffle_vector(vector, ir.Constant(vector.type, ir.Undefined), mask)


@intrinsic
def address(typing: Any, array: Any) -> Any:
    """Where the data of an array begin, as an integer."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        fields = cgutils.create_struct_proxy(sig.args[0])(context, builder, args[0])
        return builder.ptrtoint(fields.data, ir.IntType(64))

    return signature(types.int64, array), generate


@intrinsic
def splat(typing: Any, number: Any) -> Any:
    """A vector with the same number in every lane."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        vector = context.get_value_type(sig.return_type)
        undefined = ir.Constant(vector, ir.Undefined)
        one = builder.insert_element(undefined, args[0], ir.Constant(ir.IntType(32), 0))
        return _shuffle(builder, one, [0] * vector.count)

    return signature(_lanes_of(number), number), generate


@intrinsic
def load(typing: Any, at: Any, like: Any) -> Any:
    """The vector at an address, of numbers like the scalar `like`."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        vector = context.get_value_type(sig.return_type)
        return builder.load(
            builder.inttoptr(args[0], vector.as_pointer()), align=sig.return_type.dtype.bitwidth // 8
        )

    return signature(_lanes_of(like), types.int64, like), generate


@intrinsic
def store(typing: Any, at: Any, value: Any) -> Any:
    """Write a vector to an address."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        pointer = builder.inttoptr(args[0], args[1].type.as_pointer())
        builder.store(args[1], pointer, align=sig.args[1].dtype.bitwidth // 8)
        return context.get_dummy_value()

    return signature(types.none, types.int64, value), generate


@intrinsic
def lower_half(typing: Any, value: Any) -> Any:
    """The first half of the lanes."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return _shuffle(builder, args[0], list(range(value.count // 2)))

    return signature(Lanes(value.dtype, value.count // 2), value), generate


@intrinsic
def upper_half(typing: Any, value: Any) -> Any:
    """The second half of the lanes."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return _shuffle(builder, args[0], list(range(value.count // 2, value.count)))

    return signature(Lanes(value.dtype, value.count // 2), value), generate


@intrinsic
def peek(typing: Any, at: Any, like: Any) -> Any:
    """The one number at an address."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        number = context.get_data_type(sig.return_type)
        return builder.load(builder.inttoptr(args[0], number.as_pointer()))

    return signature(like, types.int64, like), generate


@intrinsic
def poke(typing: Any, at: Any, value: Any) -> Any:
    """Write one number to an address."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        builder.store(args[1], builder.inttoptr(args[0], args[1].type.as_pointer()))
        return context.get_dummy_value()

    return signature(types.none, types.int64, value), generate


@intrinsic
def prefetch(typing: Any, at: Any) -> Any:
    """Ask for the cache line at an address, which may lie beyond what there is."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        i8, i32 = ir.IntType(8).as_pointer(), ir.IntType(32)
        function_type = ir.FunctionType(ir.VoidType(), [i8, i32, i32, i32])
        function = cgutils.get_or_insert_function(builder.module, function_type, "llvm.prefetch.p0")
        # (to read, keep in all levels of the cache, data)
        constants = [ir.Constant(i32, c) for c in (0, 3, 1)]
        builder.call(function, [builder.inttoptr(args[0], i8), *constants])
        return context.get_dummy_value()

    return signature(types.none, types.int64), generate
