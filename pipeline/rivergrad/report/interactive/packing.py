"""Arrays as text: packed, compressed and written in base64, for the script of the page to unpack."""

from __future__ import annotations

import base64
import json
import zlib
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

LEVEL = 6
STEPS = 65534
"""Values of a quantised number: 0 to 65534; 65535 is a missing one."""
MISSING = 65535


@dataclass
class Pack:
    """Arrays and one document, by name, that travel together."""

    _parts: list[bytes] = field(default_factory=list)
    _about: dict[str, Any] = field(default_factory=dict)
    _size: int = 0

    def add(self, name: str, values: NDArray[Any]) -> None:
        """Add an array; the page finds it under the name, flat, little-endian."""
        plain = np.ascontiguousarray(values)
        plain = plain.astype(plain.dtype.newbyteorder("<"), copy=False)
        self._append(name, plain.dtype.name, plain.tobytes())

    def add_document(self, name: str, document: Any) -> None:
        """Add what JSON can hold; NaN becomes null."""
        self._append(name, "json", to_json(document).encode("utf-8"))

    def _append(self, name: str, kind: str, content: bytes) -> None:
        self._about[name] = [kind, self._size, len(content)]
        padded = content + bytes(-len(content) % 8)  # typed arrays begin at multiples of their own size
        self._parts.append(padded)
        self._size += len(padded)

    def text(self) -> str:
        """Everything as one text: eight digits, the length of what says what there is, that, and the arrays."""
        head = json.dumps(self._about, separators=(",", ":")).encode("utf-8")
        head += b" " * (-(len(head) + 8) % 8)
        return packed(f"{len(head):08d}".encode("ascii") + head + b"".join(self._parts))


def packed(content: bytes) -> str:
    """Bytes compressed (zlib) and in base64; the same bytes give the same text."""
    return base64.b64encode(zlib.compress(content, LEVEL)).decode("ascii")


def to_json(document: Any) -> str:
    """JSON that a script element can hold: no `<`, and null for what is not finite."""
    text = json.dumps(_finite(document), separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def _finite(found: Any) -> Any:
    if isinstance(found, dict):
        return {str(key): _finite(value) for key, value in found.items()}
    if isinstance(found, list | tuple):
        return [_finite(value) for value in found]
    if isinstance(found, np.generic):
        found = found.item()
    if isinstance(found, float):
        return found if np.isfinite(found) else None
    return found


def quantised(values: NDArray[np.float64], low: float, high: float, logarithmic: bool) -> NDArray[np.uint16]:
    """Values (m,) in 65,534 steps from `low` to `high`, by their logarithm where asked; MISSING where not finite."""
    with np.errstate(divide="ignore", invalid="ignore"):
        if logarithmic:
            values, low, high = np.log(values), float(np.log(low)), float(np.log(high))
        step = np.rint((values - low) / ((high - low) or 1.0) * STEPS)
    there = np.isfinite(values)
    found = np.full(values.shape, MISSING, np.uint16)
    found[there] = np.clip(step[there], 0, STEPS).astype(np.uint16)
    return found
