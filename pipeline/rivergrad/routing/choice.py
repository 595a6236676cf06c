"""Which engine computes a scheme on a device; torch is needed only where a scheme or device is torch's own."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from rivergrad.errors import InputError
from rivergrad.routing.arrays import takes_arrays
from rivergrad.routing.schemes.base import Scheme
from rivergrad.routing.schemes.mixed import WithLakes
from rivergrad.routing.schemes.storage import NashCascade

if TYPE_CHECKING:
    import torch
else:
    from rivergrad.later import torch

ENGINES = ("auto", "closure", "recurrence", "reference")


def refuse_without_cuda(device: str, key: str | None = None) -> None:
    """Refuse a device that is not there, before the work that is meant for it.

    Args:
        device: cpu or cuda.
        key: of the workflow, for the message.

    Raises:
        InputError: it is cuda, and there is none.
    """
    if device == "cuda" and not torch.cuda.is_available():
        raise InputError("device cuda: no CUDA device was found; expected one, or device cpu", key=key)


def choose_engine(
    name: str, scheme: Scheme, device: torch.device | str = "cpu", closure_options: Collection[str] = ()
) -> tuple[str, str]:
    """The engine that `name` stands for, and why.

    Args:
        name: one of `ENGINES`.
        scheme: what it has to compute.
        device: where.
        closure_options: names of the options given that only the closure engine has, such as `window`.

    Raises:
        InputError: no such engine, or the engine asked for can't do it.
    """
    if name not in ENGINES:
        raise InputError(f"engine {name!r} is not known; expected one of {', '.join(ENGINES)}")
    kind = "cpu" if device == "cpu" else torch.device(device).type
    if name == "recurrence":
        if not _is_rational(scheme):
            raise InputError(no_recurrence(scheme))
        if closure_options:
            raise InputError(
                f"engine recurrence: it has no {' or '.join(closure_options)}; expected none, or the engine closure"
            )
        if (reason := _missing(kind)) is not None:
            raise InputError(reason)
    if name != "auto":
        return name, "it was asked for"
    if not _is_rational(scheme):
        return "closure", f"it computes every scheme, and {scheme.name} has no rational transfer function"
    if closure_options:
        return "closure", f"only it has the {' and '.join(closure_options)} that was given"
    if _missing(kind) is not None:
        return (
            "closure",
            "install rivergrad[cuda] for the faster engine recurrence, which needs CuPy on a GPU",
        )
    return "recurrence", f"{scheme.name} has a rational transfer function, which it computes exactly and fast"


def _is_rational(scheme: Scheme) -> bool:
    if takes_arrays(scheme):
        return True
    defaults = {p.name: torch.tensor([p.default], dtype=torch.float64) for p in scheme.parameters}
    return scheme.recurrence(defaults, 3600.0) is not None


def _missing(kind: str) -> str | None:
    """What the recurrence lacks on a kind of device, in the words of its backend; None where all is there."""
    if kind != "cuda":
        return None
    from rivergrad.routing.recurrence.cuda import module

    return module.missing()


def no_recurrence(scheme: Scheme) -> str:
    """What to tell a user who asks for this engine with a scheme that it can't compute."""
    if isinstance(scheme, WithLakes) and isinstance(scheme.channel, NashCascade):
        return f"engine recurrence: scheme {scheme.name} has unequal sections; expected the engine closure"
    return (
        f"engine recurrence: scheme {scheme.name} has no rational transfer function; "
        "expected muskingum, linear_storage, nash_cascade or pure_lag, or the engine closure"
    )
