"""What a law of flow needs of vectors beside sums and products: quotients, limits, logarithms, exponentials."""

from __future__ import annotations

import math
import operator
import struct
from typing import Any

from llvmlite import ir
from numba import extending, types
from numba.core.typing.templates import signature

from rivergrad.routing.recurrence.cpu.lanes import Lanes, _arithmetic

intrinsic: Any = extending.intrinsic

_arithmetic(operator.truediv, "fdiv")

ODD_TERMS, TERMS = {32: 5, 64: 11}, {32: 8, 64: 15}
"""Terms of the series of ln and of exp by width of a number, so that what is left out is below its last digit."""
FORMAT = {32: (23, 127, "f", "I"), 64: (52, 1023, "d", "Q")}
"""Bits of a fraction, the bias of an exponent, and how `struct` packs a number and an integer."""


def _constant(vector: Any, value: float) -> Any:
    return ir.Constant(vector, [value] * vector.count)


def _limit(comparison: str) -> Any:
    def typed(typing: Any, one: Any, other: Any) -> Any:
        def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            return builder.select(builder.fcmp_ordered(comparison, *args), *args)

        return (signature(one, one, other), generate) if isinstance(one, Lanes) and one == other else None

    return typed


@intrinsic
def larger(typing: Any, one: Any, other: Any) -> Any:
    """The larger of two in each lane; the second where the first is no number."""
    return _limit(">")(typing, one, other)


@intrinsic
def smaller(typing: Any, one: Any, other: Any) -> Any:
    """The smaller of two in each lane; the second where the first is no number."""
    return _limit("<")(typing, one, other)


@intrinsic
def where_below(typing: Any, one: Any, other: Any, then: Any, otherwise: Any) -> Any:
    """`then` in the lanes where `one` < `other`, else `otherwise`."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.select(builder.fcmp_ordered("<", args[0], args[1]), args[2], args[3])

    return signature(then, one, other, then, otherwise), generate


def _integers(vector: Any, width: int) -> Any:
    return ir.VectorType(ir.IntType(width), vector.count)


@intrinsic
def logarithm(typing: Any, value: Any) -> Any:
    """ln of each lane, of normal numbers above 0: ln(f 2^e) = e ln 2 + 2 artanh((f − 1)/(f + 1)), √½ ≤ f < √2."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        width = sig.return_type.dtype.bitwidth
        fraction, _, number, integer = FORMAT[width]
        vector = args[0].type
        whole = _integers(vector, width)
        (least,) = struct.unpack(integer, struct.pack(number, math.sqrt(0.5)))
        bits = builder.bitcast(args[0], whole)
        places = ir.Constant(whole, [fraction] * vector.count)
        power = builder.ashr(builder.sub(bits, ir.Constant(whole, [least] * vector.count)), places)
        f = builder.bitcast(builder.sub(bits, builder.shl(power, places)), vector)
        one = _constant(vector, 1.0)
        s = builder.fdiv(builder.fsub(f, one), builder.fadd(f, one))
        square = builder.fmul(s, s)
        terms = ODD_TERMS[width]
        series = _constant(vector, 2.0 / (2 * terms - 1))
        for k in range(terms - 2, -1, -1):
            series = builder.fadd(
                builder.fmul(series, square, flags=("contract",)), _constant(vector, 2.0 / (2 * k + 1)),
                flags=("contract",),
            )  # fmt: skip
        scaled = builder.fmul(
            builder.sitofp(power, vector), _constant(vector, math.log(2.0)), flags=("contract",)
        )
        return builder.fadd(builder.fmul(s, series, flags=("contract",)), scaled, flags=("contract",))

    return signature(value, value), generate


@intrinsic
def exponential(typing: Any, value: Any) -> Any:
    """exp of each lane, −60 to 60: 2^n exp(y − n ln 2), the rest by its series."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        width = sig.return_type.dtype.bitwidth
        fraction, bias, _, _ = FORMAT[width]
        vector = args[0].type
        whole = _integers(vector, width)
        contract = ("contract",)
        shifted = builder.fadd(
            builder.fmul(args[0], _constant(vector, 1 / math.log(2.0))), _constant(vector, 128.5)
        )
        n = builder.sub(builder.fptosi(shifted, whole), ir.Constant(whole, [128] * vector.count))
        steps = builder.fmul(builder.sitofp(n, vector), _constant(vector, math.log(2.0)), flags=contract)
        y = builder.fsub(args[0], steps, flags=contract)
        last = TERMS[width] - 1
        series = _constant(vector, 1.0 / math.factorial(last))
        for k in range(last - 1, -1, -1):
            series = builder.fadd(
                builder.fmul(series, y, flags=contract),
                _constant(vector, 1.0 / math.factorial(k)),
                flags=contract,
            )
        power = builder.shl(
            builder.add(n, ir.Constant(whole, [bias] * vector.count)),
            ir.Constant(whole, [fraction] * vector.count),
        )
        return builder.fmul(series, builder.bitcast(power, vector))

    return signature(value, value), generate


@intrinsic
def total(typing: Any, value: Any, lanes: Any) -> Any:
    """Sum of the first `lanes` lanes, one after the other, in float64."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        double = ir.DoubleType()
        found = ir.Constant(double, 0.0)
        zero = ir.Constant(double, 0.0)
        for k in range(args[0].type.count):
            one = builder.extract_element(args[0], ir.Constant(ir.IntType(32), k))
            if sig.args[0].dtype.bitwidth == 32:
                one = builder.fpext(one, double)
            used = builder.icmp_signed("<", ir.Constant(ir.IntType(64), k), args[1])
            found = builder.fadd(found, builder.select(used, one, zero))
        return found

    return signature(types.float64, value, types.int64), generate
