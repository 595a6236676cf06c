"""Words about the quality of values: which values they leave out."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rivergrad.errors import InputError, ids_text

_BETWEEN = re.compile(r"[\s:;,\[\]()|]+")


@dataclass(frozen=True)
class Quality:
    """Which values stay, by the words of their flags.

    A value is left out if a word of its flag is in `drop`, or if `keep` is given and none of its words is in it. A flag
    of several words, such as `A:e` (approved, estimated), counts as each of them and as a whole. Case matters.
    """

    drop: tuple[str, ...] = ()
    keep: tuple[str, ...] = ()

    @classmethod
    def of(cls, drop: Sequence[object] = (), keep: Sequence[object] = ()) -> Quality:
        """From words and numbers as they are given: 40 is the flag `40`."""
        return cls(tuple(str(one) for one in drop), tuple(str(one) for one in keep))

    @property
    def any(self) -> bool:
        """Whether there is anything to look for."""
        return bool(self.drop or self.keep)

    def left_out(self, flags: NDArray[np.str_], source: object) -> NDArray[np.bool_]:
        """(T,) which values are left out.

        Raises:
            InputError: `keep` has no word that occurs.
        """
        found, which = np.unique(flags, return_inverse=True)
        words = [{str(flag).strip(), *_BETWEEN.split(str(flag).strip())} for flag in found]
        if self.keep and not any(one & set(self.keep) for one in words):
            raise InputError(
                f"{source}: no value has a flag of quality.keep ({', '.join(self.keep)}); found the flags "
                f"{ids_text([one for one in found if one]) or 'none'}"
            )
        out = [bool(one & set(self.drop)) or bool(self.keep and not one & set(self.keep)) for one in words]
        return np.asarray(out, bool)[which]
