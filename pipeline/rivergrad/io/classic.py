"""How long a NetCDF-3 file has to be: its library reads what was cut off as zeros, without a word."""

from __future__ import annotations

import math
import struct
from pathlib import Path
from typing import BinaryIO

from rivergrad.errors import InputError

_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 4, 6: 8, 7: 1, 8: 2, 9: 4, 10: 8, 11: 8}
"""Bytes of a value, by the number of its type."""
_STREAMING = (2**32 - 1, 2**64 - 1)


def require_whole(path: Path) -> None:
    """Raise an InputError where a NetCDF-3 file is shorter than its header says; any other file passes."""
    with path.open("rb") as file:
        if file.read(3) != b"CDF":
            return
        try:
            least = _Header(file).least_bytes()
        except (struct.error, KeyError, IndexError):
            return  # no header that can be read: the library says so
    found = path.stat().st_size
    if found < least:
        raise InputError(f"{path}: has {found:,} bytes and needs {least:,} by its header; is it cut off?")


class _Header:
    """The header of a NetCDF-3 file (versions 1, 2 and 5), read from after its first three bytes.

    Source: "The NetCDF Classic Format Specification", Unidata.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        version = file.read(1)[0]
        self._count = ">Q" if version == 5 else ">I"
        self._offset = ">I" if version == 1 else ">Q"

    def least_bytes(self) -> int:
        """The end of the last value of any variable."""
        records = self._number(self._count)
        lengths = []
        for _ in range(self._list()):
            self._text()
            lengths.append(self._number(self._count))
        self._attributes()
        fixed, varying = [0], []
        for _ in range(self._list()):
            self._text()
            dims = [self._number(self._count) for _ in range(self._number(self._count))]
            self._attributes()
            width = _SIZES[self._number(">I")]
            self._number(self._count)  # its size, which overflows where it is large
            begin = self._number(self._offset)
            grows = bool(dims) and lengths[dims[0]] == 0
            size = width * math.prod(lengths[one] for one in (dims[1:] if grows else dims))
            if grows:
                varying.append((begin, size))
            else:
                fixed.append(begin + size)
        if records in _STREAMING or records == 0 or not varying:
            return max(fixed)
        # each record is padded to 4 bytes, but where there is one variable only
        record = varying[0][1] if len(varying) == 1 else sum(-(-size // 4) * 4 for _, size in varying)
        return max(*fixed, *(begin + (records - 1) * record + size for begin, size in varying))

    def _number(self, form: str) -> int:
        (value,) = struct.unpack(form, self._file.read(struct.calcsize(form)))
        return int(value)

    def _list(self) -> int:
        self._number(">I")  # what it is a list of
        return self._number(self._count)

    def _skip(self, count: int) -> None:
        self._file.seek(-(-count // 4) * 4, 1)

    def _text(self) -> None:
        self._skip(self._number(self._count))

    def _attributes(self) -> None:
        for _ in range(self._list()):
            self._text()
            width = _SIZES[self._number(">I")]
            self._skip(width * self._number(self._count))
