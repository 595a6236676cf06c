"""Real transforms of many series, in place: what `torch.fft` does with another copy of them all.

cuFFT may overwrite what it transforms back to series, so `torch.fft.irfft` copies its argument first; and neither it
nor `rfft` works in place. So cuFFT, which PyTorch has loaded, is called directly; where there is none `torch.fft` is.
"""

from __future__ import annotations

import ctypes
from bisect import bisect_left
from functools import cache, lru_cache
from threading import Lock
from typing import Any

import torch
from torch import Tensor

FORWARD, BACKWARD = 0x2A, 0x2C
"""Kinds of transforms as cuFFT calls them: real to complex and complex to real, in single precision."""

IN_PLACE = True
"""Whether cuFFT is called directly where it is there; `torch.fft` is called else. See benchmarks/fft_plans.py."""

ALIGNED = 8
"""Rows begin at multiples of so many numbers: what memory moves at once."""


_FAST = sorted(
    2 * 2**a * 3**b * 5**c * 7**d
    for a in range(23)
    for b in range(5)
    for c in range(5)
    for d in range(2)
    if 2**a * 3**b * 5**c * 7**d < 1 << 23
)


def lengths(least: int) -> list[int]:
    """Lengths from `least` on whose transforms are fast; even ones: real transforms of odd lengths are not."""
    return _FAST[bisect_left(_FAST, least) :]


def passes(length: int) -> int:
    """How often a transform goes through memory, about: powers of two to 4096 once, in one kernel, many others not."""
    return 1 if length <= 4096 and length & (length - 1) == 0 else 2


def padded(length: int) -> int:
    """Numbers that a series takes, so that its spectrum fits in its place."""
    return -(-(length + 2) // ALIGNED) * ALIGNED


def to_spectra(series: Tensor, length: int) -> Tensor:
    """Spectra of contiguous rows of `padded` numbers, the first `length` of which are the series; in their place.

    Returns:
        (..., at least `length` // 2 + 1) complex64.
    """
    if _run(series, FORWARD, length):
        return torch.view_as_complex(series.view(*series.shape[:-1], -1, 2))
    return torch.fft.rfft(series[..., :length])


def to_series(spectra: Tensor, length: int) -> Tensor:
    """Series, not scaled, in the first `length` numbers of each row; the spectra, laid out as above, are lost."""
    series = torch.view_as_real(spectra).flatten(-2)
    if _run(series, BACKWARD, length):
        return series
    return torch.fft.irfft(spectra, length, norm="forward")


def _run(rows: Tensor, kind: int, length: int) -> bool:
    """Transform in place, if that can be done here."""
    library = _library() if IN_PLACE and rows.device.type == "cuda" else None
    if library is None:
        return False
    if rows.numel():
        with torch.cuda.device(rows.device):
            plan = _plan(rows.device.index, kind, length, rows.shape[-1], rows.numel() // rows.shape[-1])
            plan.run(rows)
    return True


class _Plan:
    """A plan of cuFFT, without memory of its own."""

    def __init__(self, kind: int, length: int, width: int, count: int) -> None:
        library, self._handle, needed = _library(), ctypes.c_int(), ctypes.c_size_t()
        self._library, self._kind = library, kind
        one, whole, spectrum = (ctypes.c_longlong(size) for size in (length, width, width // 2))
        before, after = (whole, spectrum) if kind == FORWARD else (spectrum, whole)
        self._check(library.cufftCreate(ctypes.byref(self._handle)))
        self._check(library.cufftSetAutoAllocation(self._handle, 0))
        self._check(
            library.cufftMakePlanMany64(
                self._handle, 1, ctypes.byref(one),
                ctypes.byref(before), ctypes.c_longlong(1), before,
                ctypes.byref(after), ctypes.c_longlong(1), after,
                kind, ctypes.c_longlong(count), ctypes.byref(needed),
            )
        )  # fmt: skip
        self._needed = needed.value
        self._stream: int | None = None
        self._room = 0
        self._lock = Lock()

    def run(self, rows: Tensor) -> None:
        """Transform in place, on PyTorch's current stream."""
        library = self._library
        stream = torch.cuda.current_stream(rows.device).cuda_stream
        room = torch.empty(self._needed, dtype=torch.uint8, device=rows.device)
        at = ctypes.c_void_p(rows.data_ptr())
        run = library.cufftExecR2C if self._kind == FORWARD else library.cufftExecC2R
        with self._lock:  # gradients are computed in threads of their own
            if stream != self._stream:
                self._check(library.cufftSetStream(self._handle, ctypes.c_void_p(stream)))
                self._stream = stream
            if room.data_ptr() != self._room:  # said seldom: it may wait for the device
                self._check(library.cufftSetWorkArea(self._handle, ctypes.c_void_p(room.data_ptr())))
                self._room = room.data_ptr()
            self._check(run(self._handle, at, at))

    @staticmethod
    def _check(status: int) -> None:
        if status:
            raise RuntimeError(f"cuFFT failed with status {status}")

    def __del__(self) -> None:
        self._library.cufftDestroy(self._handle)


@lru_cache(maxsize=16)
def _plan(device: int, kind: int, length: int, width: int, count: int) -> _Plan:
    return _Plan(kind, length, width, count)


@cache
def _library() -> Any:
    """The cuFFT that PyTorch has loaded, or None."""
    if not torch.version.cuda:
        return None
    try:
        everything = ctypes.CDLL(None)
        everything.cufftMakePlanMany64  # noqa: B018 - raises where there is no such function
    except (OSError, AttributeError):
        return _mapped()
    return everything


def _mapped() -> Any:
    """The same where its functions are not known to all of the process: by the file that it came from."""
    try:
        with open("/proc/self/maps", encoding="utf-8") as file:
            paths = {line.split(maxsplit=5)[-1].strip() for line in file if "libcufft.so" in line}
        return ctypes.CDLL(min(paths)) if paths else None
    except OSError:
        return None
