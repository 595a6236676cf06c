"""Errors the user can mend (see `rivercut.errors`)."""

from __future__ import annotations

import os

from rivercut.errors import InputError, ids_text, shortened, value_text

__all__ = ["InputError", "ids_text", "os_error_text", "shortened", "value_text"]


def os_error_text(error: OSError) -> str:
    """What to tell of an error of the operating system: the files, and what is wrong."""
    if error.strerror is None:
        return str(error) or type(error).__name__
    names = [os.fsdecode(name) for name in (error.filename, error.filename2) if isinstance(name, str | bytes)]
    return f"{' -> '.join(names)}: {error.strerror.lower()}" if names else error.strerror
