"""Losses that are mean squared errors, of discharge or of its logarithm: `nse`, `nnse`, `log_nse`."""

from __future__ import annotations

from torch import Tensor

from rivergrad.inference.loss.logarithm import log_flow
from rivergrad.inference.loss.pairs import Pairs
from rivergrad.inference.loss.statistics import RESIDUAL_SHARE


def nse(pairs: Pairs) -> Tensor:
    """1 − NSE of each gauge, (gauge,): mean squared error over the variance of its record.

    Source: Nash & Sutcliffe (1970), doi:10.1016/0022-1694(70)90255-6.
    """
    statistics = pairs.statistics
    residual = pairs.simulated - pairs.observed
    precision = pairs.precision(statistics.sigma, pairs.error)
    squares = residual * residual if precision is None else precision * residual * residual
    return pairs.mean(squares) / statistics.variance


def nnse(pairs: Pairs) -> Tensor:
    """1 − NNSE of each gauge, (gauge,), with NNSE = 1/(2 − NSE): between 0 and 1, and 1 − NSE where that is small.

    Source: Nossent & Bauwens (2012), EGU General Assembly, abstract 237.
    """
    missed = nse(pairs)
    return missed / (1 + missed)


def log_nse(pairs: Pairs) -> Tensor:
    """1 − NSE of ln(discharge + offset), (gauge,).

    An observation error is taken to first order: error/(discharge + offset).

    Source: Pushpalatha et al. (2012), doi:10.1016/j.jhydrol.2011.11.055.
    """
    statistics = pairs.statistics
    offset = statistics.offset
    residual = log_flow(pairs.simulated, offset) - log_flow(pairs.observed, offset)
    relative = None if pairs.error is None else pairs.error / (pairs.observed.clamp_min(0.0) + offset)
    precision = pairs.precision(RESIDUAL_SHARE * statistics.log_variance.sqrt(), relative)
    squares = residual * residual if precision is None else precision * residual * residual
    return pairs.mean(squares) / statistics.log_variance
