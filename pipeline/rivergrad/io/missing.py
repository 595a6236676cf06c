"""The one rule for what means that there is no value, in whatever file it stands.

No value is: NaN; what the file's own attributes declare (`declared`: `_FillValue`, `missing_value`, a value outside
of `valid_range`, `valid_min` or `valid_max`); an empty cell or a text such as `NA`; and the numbers that files hold in
its place without a word (`absent`): −999, −9999, −9999.9 and longer rows of nines, and everything from 1e19 on,
NetCDF's own fill value 9.97e36 and 1e20 among them; of runoff and forcings 1e15 too. −99 and −99.9 are among them
only where no quantity is as low. Infinity is never "no value": it is an error wherever it is more than an attribute.
"""

from __future__ import annotations

import base64
import binascii
import struct
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from rivergrad.errors import InputError, ids_text, shortened
from rivergrad.io.times import TimeArray, text

Float = NDArray[np.float64]
Int = NDArray[np.int64]
Mask = NDArray[np.bool_]

HUGE = 1e19
"""No flow, depth, temperature or parameter is as large, in any unit."""
ROUND = 1e15
"""What MERRA-2 and GEOS write for no value of a flux; only this very number, and only of runoff and forcings."""
FILL_NAMES = ("_FillValue", "missing_value")
"""Attributes that declare a value to mean that there is none."""
OTHER_NAMES = ("fill_value", "FillValue", "nodata", "nodata_value", "no_data")
"""Attributes outside of any convention that do the same; a 0 in them is not believed."""
LIMIT_NAMES = ("valid_range", "valid_min", "valid_max")
LIMITS = "decoded_limits"
"""Where a variable's encoding keeps the least and greatest valid value, in its unpacked unit."""
FILLS = "declared_fills"
"""Where the encoding of ids keeps what means that there is none: ids stay integers."""

TEXTS = frozenset(
    ("", "na", "n/a", "nan", "-nan", "null", "none", "nil", "<na>", "#n/a", "#na", "nodata", "missing")
)
"""Texts in a cell that mean that there is no number, in any case."""

# as float32 holds them, where -9999.9 and its neighbours are the same number
_NINES = np.array(
    [
        *(-(10.0**k - 10.0**-d) for k in (3, 4) for d in range(4)),
        *(-(10.0**k - 1) for k in (5, 6, 7)),
        -99999.9,
        -2147483648.0,  # fill value and least value of 4-byte integers
        -9.223372036854775808e18,
    ],
    np.float32,
)
_SHORT = np.array([-(100.0 - 10.0**-d) for d in range(4)], np.float32)
_HIGH = np.array([9999.0, 9999.9, 9999.99, 99999.0, 99999.9, 999999.0, 32766.0, 32767.0, 65535.0], np.float32)
_LEAST_ROUND = 0.99 * ROUND


def absent(values: Float, *, short: bool = False) -> Mask | None:
    """Where values mean that there is none: NaN, or a number that stands for it; infinity is not among them.

    Args:
        values: (...) in the file's own unit.
        short: whether −99, −99.9 and the like are among them.

    Returns:
        (...) the mask; None where every value is one.
    """
    if not values.size:
        return None
    edge = -99.0 if short else -999.0
    with np.errstate(invalid="ignore"):
        if values.min() > edge and values.max() < HUGE:  # never true of NaN
            return None
    mask: Mask = np.isnan(values)
    with np.errstate(invalid="ignore"):
        suspect = (values <= edge) | (values >= HUGE)
    if suspect.any():
        mask[suspect] = stands_for_none(values[suspect], short=short)
    return mask if mask.any() else None


def stands_for_none(values: ArrayLike, *, short: bool = False) -> Mask:
    """(...) whether numbers stand for "no value"; NaN and infinity are not asked about."""
    given = np.asarray(values, np.float64)
    with np.errstate(over="ignore"):
        narrow = given.astype(np.float32)
    known = np.concatenate([_NINES, _SHORT]) if short else _NINES
    mask: Mask = np.isin(narrow, known) | ((given > -10000.0) & (given <= -9999.0))
    return mask | ((np.abs(given) >= HUGE) & np.isfinite(given))


def without_absent(values: Float, *, short: bool = False) -> Float:
    """The values with NaN for what means that there is none; the array itself where there is nothing to change."""
    mask = absent(values, short=short)
    return values if mask is None else np.where(mask, np.nan, values)


def refuse_bad(
    values: Float,
    reach_id: Int,
    time: TimeArray,
    source: str,
    *,
    lowest: Float | float = -np.inf,
    nines_above: float = np.inf,
    short: bool = True,
    expected: str = "0 or more",
) -> None:
    """Raise an InputError unless every reach has a finite value at every time, and none below a limit.

    Args:
        values: (time, reach) in the file's own unit.
        reach_id: (reach,); time: (time,) for the message.
        source: what opens the message: file and variable.
        lowest: () or (reach,) the least value that is let pass.
        nines_above: from here on 9999 and its relatives, and the greatest integers of 2 bytes, mean that there is none.
        short: see `absent`.
        expected: what is said to be expected of values below `lowest`.

    Raises:
        InputError: names the reaches, the first time and what was found there.
    """
    if not values.size:
        return
    with np.errstate(invalid="ignore", over="ignore"):
        least, most = values.min(), values.max()
        if least >= np.max(lowest) and least > -99.0 and most < min(_LEAST_ROUND, nines_above):
            return
        mask = absent(values, short=short)
        none = _is_round(values) if mask is None else mask | _is_round(values)
        none |= (values > nines_above) & np.isin(values.astype(np.float32), _HIGH)
        infinite = np.isinf(values)
        below = (values < lowest) & ~none & ~infinite
    for_any = none | infinite | below
    if not for_any.any():
        return
    row = int(for_any.any(axis=1).argmax())
    column = int(for_any[row].argmax())
    found = values[row, column]
    kind = next(one for one in (none, infinite, below) if one[row, column])
    where = f"the reaches {ids_text(pd.unique(reach_id[kind.any(axis=0)]))}, first at {text(time[row])}"
    if kind is below:
        raise InputError(f"{source} is {found:g} for {where}; expected {expected}")
    what = f"is not finite ({found:g})" if kind is infinite else f"has no value ({_text(found)})"
    raise InputError(f"{source} {what} for {where}; expected a value for every reach and time")


def _is_round(values: Float) -> Mask:
    with np.errstate(over="ignore"):
        mask: Mask = np.abs(values).astype(np.float32) == np.float32(ROUND)
    return mask


def _text(value: float) -> str:
    return "NaN" if np.isnan(value) else f"{value:.6g}"


# -- what the attributes of a file declare -------------------------------------------------------------------


def declare(variables: Mapping[Any, xr.Variable], ids: Iterable[str]) -> None:
    """Bring what raw variables declare as missing into the form that decoding takes.

    Fill values become numbers of the variable's own type, whether they came as text, list or of another type.
    Ids keep theirs apart, so that they stay integers. Limits go to the encoding, in the unpacked unit.

    Args:
        variables: as stored, neither masked nor scaled; changed in place.
        ids: names of variables that hold ids.
    """
    names = set(ids)
    for name, variable in variables.items():
        if variable.dtype.kind not in "iuf":
            for one in ("_FillValue", "missing_value"):
                variable.attrs.pop(one, None)
            continue
        if "_Unsigned" not in variable.attrs:
            fills = _fills(variable)
            for one in ("_FillValue", "missing_value"):
                variable.attrs.pop(one, None)
            if str(name) in names and variable.dtype.kind in "iu":
                variable.encoding[FILLS] = fills
            elif fills.size:
                variable.attrs["_FillValue"] = fills[0]
                if fills.size > 1:
                    variable.attrs["missing_value"] = fills[1:]
        limits = _limits(variable)
        if limits is not None:
            variable.encoding[LIMITS] = limits


def _fills(variable: xr.Variable) -> NDArray[Any]:
    """The declared fill values in the variable's type; those that it cannot hold are left out."""
    dtype = variable.dtype
    found: list[Any] = []
    for name in (*FILL_NAMES, *OTHER_NAMES):
        for value in plain_numbers(variable.attrs.get(name)):
            if name in OTHER_NAMES and value == 0:
                continue
            if dtype.kind == "f":
                with np.errstate(over="ignore"):
                    found.append(dtype.type(value))
            elif np.isfinite(value) and value == round(value):
                bounds = np.iinfo(dtype)
                if bounds.min <= int(value) <= bounds.max:
                    found.append(dtype.type(int(value)))
    return np.unique(np.array(found, dtype))


def plain_numbers(value: Any) -> list[Any]:
    """The numbers in an attribute: of a number, a list of them, a text of them, or Zarr's packed form."""
    if value is None or isinstance(value, bool | np.bool_):
        return []
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    if isinstance(value, str):
        found: list[Any] = []
        for word in value.replace(",", " ").split():
            try:
                found.append(int(word) if word.lstrip("+-").isdecimal() else float(word))
            except ValueError:
                found += _unpacked(word)
        return found
    return [
        one
        for item in np.ravel(np.asarray(value, dtype=object)).tolist()
        for one in (plain_numbers(item) if isinstance(item, str | bytes) else [item])
        if isinstance(one, int | float | np.integer | np.floating) and not isinstance(one, bool)
    ]


def _unpacked(word: str) -> list[float]:
    """A double in base64, as xarray writes fill values to Zarr's attributes."""
    try:
        return list(struct.unpack("<d", base64.standard_b64decode(word)))
    except (struct.error, binascii.Error, ValueError):
        return []


def _limits(variable: xr.Variable) -> tuple[float, float] | None:
    """Least and greatest valid value, unpacked by the same arithmetic as the values themselves.

    They are in the packed unit (CF), but where the data are packed integers and the limits floating-point numbers,
    which the packed data could not be: those are in the unpacked unit (NetCDF User's Guide).
    """
    attrs, dtype = variable.attrs, variable.dtype
    span = plain_numbers(attrs.get("valid_range"))
    low = span[:1] if len(span) == 2 else plain_numbers(attrs.get("valid_min"))[:1]
    high = span[1:] if len(span) == 2 else plain_numbers(attrs.get("valid_max"))[:1]
    if not low and not high:
        return None
    packed = "scale_factor" in attrs or "add_offset" in attrs
    least, most = (low or [-np.inf])[0], (high or [np.inf])[0]
    unpacked = (
        packed and dtype.kind in "iu" and any(isinstance(one, float | np.floating) for one in low + high)
    )
    if not packed or unpacked:
        if dtype.kind == "f":  # the data are as exact as their type
            least, most = (float(dtype.type(one)) for one in (least, most))
        return float(least), float(most)
    ends = []
    for one in (least, most):
        if not np.isfinite(one):
            ends.append(float(one))
            continue
        if dtype.kind in "iu":
            bounds = np.iinfo(dtype)
            if str(attrs.get("_Unsigned", "")).lower() == "true" and one < 0:
                one = int(one) + (bounds.max - bounds.min + 1)
            elif not bounds.min <= one <= bounds.max:
                ends.append(-np.inf if one < 0 else np.inf)
                continue
        raw = xr.Variable(("limit",), np.array([one]).astype(np.float64 if dtype.kind == "f" else np.int64))
        raw = raw.astype(dtype) if "_Unsigned" not in attrs else raw
        raw.attrs = {name: attrs[name] for name in ("scale_factor", "add_offset") if name in attrs}
        ends.append(float(xr.conventions.decode_cf_variable("limit", raw).values[0]))
    return min(ends), max(ends)


def limits_of(array: xr.DataArray) -> tuple[float, float] | None:
    """The least and greatest valid value of a variable as `open_dataset` opened it; None where it states none."""
    found: tuple[float, float] | None = array.encoding.get(LIMITS)
    return found


def within(values: Float, limits: tuple[float, float] | None) -> Float:
    """The values, with NaN for those outside of the declared limits."""
    if limits is None or not values.size:
        return values
    with np.errstate(invalid="ignore"):
        if values.min() >= limits[0] and values.max() <= limits[1]:
            return values
        return np.where((values < limits[0]) | (values > limits[1]), np.nan, values)


# -- casts ---------------------------------------------------------------------------------------------------

_KINDS = {"b": "truth values", "M": "dates", "m": "durations", "c": "complex numbers", "V": "records"}


def as_numbers(values: Any, source: str) -> Float:
    """An array of any type as float64, if it holds numbers or texts of them; texts such as NA become NaN.

    Args:
        values: (...); source: what opens the message: file and variable.

    Raises:
        InputError: truth values, dates, or a text that is no number.
    """
    array = np.asarray(values)
    kind = array.dtype.kind
    if kind in "iuf":
        return array.astype(np.float64, copy=False)
    if kind in _KINDS:
        raise InputError(f"{source} does not hold numbers (found {_KINDS[kind]})")
    numbers, bad = text_numbers(array.ravel().tolist())
    if bad.any():
        at = int(bad.argmax())
        raise InputError(
            f"{source} does not hold numbers (found '{shortened(plain_text(array.ravel()[at]))}')"
        )
    return numbers.reshape(array.shape)


BLANKS = " \t\r\n\0"


def plain_text(value: Any) -> str:
    """A cell as text without the blanks and zero bytes around it."""
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    return str(value).strip(BLANKS)


def text_numbers(cells: Iterable[Any]) -> tuple[Float, Mask]:
    """Numbers out of cells of text or objects, NaN where one means none; and which cells are no number."""
    if isinstance(cells, pd.Series) and isinstance(cells.dtype, pd.StringDtype):
        words = cells.fillna("").str.strip(BLANKS)  # at the speed of arrow
    else:
        words = pd.Series([plain_text(one) for one in cells], dtype=object)
    none = words.str.lower().isin(TEXTS).to_numpy(dtype=bool)
    numbers = pd.to_numeric(words, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
    return np.where(none, np.nan, numbers), np.isnan(numbers) & ~none


_ID = r"[+-]?[0-9]{1,30}(?:\.0*)?"
_LEAST, _MOST = -(2**63), 2**63 - 1


def exact_integers(values: Any) -> tuple[Int, Mask]:
    """Integers in any type or as text, as int64; and which values are none that int64 holds exactly.

    A float is exact only below what its type counts by ones: 2⁵³ in float64, 2²⁴ in float32.
    """
    array = np.asarray(values).ravel()
    kind = array.dtype.kind
    if kind in "iu":
        bad = array > np.uint64(_MOST) if kind == "u" else np.zeros(array.shape, bool)
        return np.where(bad, 0, array).astype(np.int64), bad
    if kind == "f":
        with np.errstate(invalid="ignore"):
            counted = np.abs(array) < 2.0 ** (np.finfo(array.dtype).nmant + 1)
            bad = ~(np.isfinite(array) & counted & (array == np.round(array)))
        return np.where(bad, 0, array).astype(np.int64), bad
    if kind in _KINDS:
        return np.zeros(array.shape, np.int64), np.ones(array.shape, bool)
    words = pd.Series([plain_text(one) for one in array.tolist()], dtype=object)
    bad = ~words.str.fullmatch(_ID).to_numpy(dtype=bool)
    found = np.zeros(array.shape, np.int64)
    for at in np.flatnonzero(~bad):
        number = int(words.iloc[at].split(".")[0])
        if _LEAST <= number <= _MOST:
            found[at] = number
        else:
            bad[at] = True
    return found, bad
