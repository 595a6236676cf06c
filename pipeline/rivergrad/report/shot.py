"""A picture for the page and for the folder of maps."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from functools import cached_property

from rivergrad.report.style import DARK, LIGHT, Panel, picture


@dataclass(frozen=True, eq=False)
class Shot:
    """A picture: drawn when it is asked for, and once for each use. Words for those who cannot see it."""

    panel: Panel
    size: tuple[float, float]
    alt: str
    caption: str = ""

    @cached_property
    def light_png(self) -> bytes:
        """The picture for a light page, and for the folder of maps."""
        return picture(self.panel, LIGHT, self.size)

    @cached_property
    def dark_png(self) -> bytes:
        """The picture for a dark page."""
        return picture(self.panel, DARK, self.size)

    def file(self, kind: str) -> bytes:
        """The picture as `png`, `pdf` or `svg`."""
        return self.light_png if kind == "png" else picture(self.panel, LIGHT, self.size, kind)

    @property
    def light(self) -> str:
        """The light picture in base64."""
        return base64.b64encode(self.light_png).decode("ascii")

    @property
    def dark(self) -> str:
        """The dark picture in base64."""
        return base64.b64encode(self.dark_png).decode("ascii")

    @property
    def width(self) -> int:
        """Pixels, from the PNG's header; the page keeps the place free before the picture is decoded."""
        return int.from_bytes(self.light_png[16:20], "big")

    @property
    def height(self) -> int:
        """Pixels, from the PNG's header."""
        return int.from_bytes(self.light_png[20:24], "big")
