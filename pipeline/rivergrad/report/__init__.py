"""The report of a run: maps, hydrographs and one self-contained page, made from the run directory alone."""

import os

from rivercut.compiling import give_place

if not os.environ.get(
    "XDG_CONFIG_HOME"
):  # before Matplotlib is imported, which would say that it takes another
    give_place("MPLCONFIGDIR", ".config/matplotlib")

from rivergrad.report.write import write_report

__all__ = ["write_report"]
