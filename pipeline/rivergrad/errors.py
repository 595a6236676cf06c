"""Errors the user can mend (see `rivercut.errors`)."""

from rivercut.errors import InputError, ids_text

__all__ = ["InputError", "ids_text"]
