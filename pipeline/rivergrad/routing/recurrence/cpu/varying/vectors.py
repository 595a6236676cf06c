"""What a law of flow needs of vectors beside sums and products: reciprocals, limits, logarithms, powers."""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from typing import Any

from llvmlite import ir
from numba import extending, types
from numba.core.typing.templates import signature

from rivergrad.routing.recurrence.cpu.lanes import Lanes

intrinsic: Any = extending.intrinsic

LOG = (1.4426950042, -0.7213473549, 0.4809106439, -0.3607036785, 0.2879162517, -0.2389448215, 0.2157156103,
       -0.2072697419, 0.1258370057)  # fmt: skip
POWER = (1.0000000019, 0.6931472058, 0.2402264687, 0.0555032878, 0.0096184890, 0.0013399931, 0.0001534581)
"""Of a float32: log2(1 + t)/t, √½ ≤ 1 + t < √2, and 2^y, |y| ≤ ½, from the constant term on; the largest relative error
is 3e-8 and 2e-9 (minimax by reweighted least squares)."""
ODD_TERMS, TERMS = 11, 15
"""Terms of the series of a float64, so that what is left out is below its last digit."""
FORMAT = {32: (23, 127, "f", "I"), 64: (52, 1023, "d", "Q")}
"""Bits of a fraction, the bias of an exponent, and how `struct` packs a number and an integer."""
CLOSE = ("contract",)


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


def _polynomial(builder: Any, at: Any, terms: Sequence[float]) -> Any:
    """Σ terms[k] at^k."""
    found = _constant(at.type, terms[-1])
    for term in terms[-2::-1]:
        found = builder.fadd(builder.fmul(found, at, flags=CLOSE), _constant(at.type, term), flags=CLOSE)
    return found


@intrinsic
def reciprocal(typing: Any, value: Any) -> Any:
    """1 over each lane; a float32 by an estimate and a step of Newton's, where the machine has one."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        flags = ("arcp", "ninf", "nnan") if sig.return_type.dtype.bitwidth == 32 else ()
        return builder.fdiv(_constant(args[0].type, 1.0), args[0], flags=flags)

    return signature(value, value), generate


@intrinsic
def binary_logarithm(typing: Any, value: Any) -> Any:
    """log2 of each lane, of normal numbers above 0: log2(f 2^e) = e + log2 f, √½ ≤ f < √2."""

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
        t = builder.fsub(f, one)
        if width == 32:
            of, series = t, _polynomial(builder, t, LOG)
        else:  # 2 artanh(t / (f + 1)) / ln 2
            of = builder.fdiv(t, builder.fadd(f, one))
            terms = [2.0 / ((2 * k + 1) * math.log(2.0)) for k in range(ODD_TERMS)]
            series = _polynomial(builder, builder.fmul(of, of), terms)
        exponent = builder.sitofp(power, vector)
        return builder.fadd(builder.fmul(of, series, flags=CLOSE), exponent, flags=CLOSE)

    return signature(value, value), generate


@intrinsic
def power_of_two(typing: Any, value: Any) -> Any:
    """2 to the power of each lane, −80 to 80: 2^n 2^(y − n), the rest by a polynomial."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        width = sig.return_type.dtype.bitwidth
        fraction, _, _, _ = FORMAT[width]
        vector = args[0].type
        whole = _integers(vector, width)
        round_ = _constant(vector, 1.5 * 2.0**fraction)  # what is added to it loses what is no whole number
        shifted = builder.fadd(args[0], round_)
        y = builder.fsub(args[0], builder.fsub(shifted, round_))
        terms = POWER if width == 32 else [math.log(2.0) ** k / math.factorial(k) for k in range(TERMS)]
        series = builder.bitcast(_polynomial(builder, y, terms), whole)
        n = builder.shl(builder.bitcast(shifted, whole), ir.Constant(whole, [fraction] * vector.count))
        return builder.bitcast(builder.add(series, n), vector)

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
