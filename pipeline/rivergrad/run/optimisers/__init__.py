"""Optimisers of a fit, each in a file of its own; they move shared coefficients here and deviations on the pieces."""

from __future__ import annotations

from rivergrad.run.optimisers.adam import AdamOptimiser
from rivergrad.run.optimisers.base import MovesPrior, Optimiser, Squares, Task, checked
from rivergrad.run.optimisers.gauss_newton import GaussNewtonOptimiser

__all__ = ("AdamOptimiser", "GaussNewtonOptimiser", "MovesPrior", "Optimiser", "Squares", "Task", "checked")
