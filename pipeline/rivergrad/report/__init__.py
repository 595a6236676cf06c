"""The report of a run: maps, hydrographs and one self-contained page, made from the run directory alone."""

from rivergrad.report.write import write_report

__all__ = ["write_report"]
