"""Losses over gauges: what a term measures, and their weighted sum.

Every term is 0 for a perfect simulation, has no unit, and is close to 1 − NSE in size where errors are small, so
that weights between terms mean what they seem to:

| term | of a gauge, over the windows of a step | source |
|---|---|---|
| `nse` | mean squared error over the variance of its record: 1 − NSE | Nash & Sutcliffe (1970) |
| `nnse` | 1 − 1/(2 − NSE), between 0 and 1: no gauge with wrong runoff can dominate | Nossent & Bauwens (2012) |
| `log_nse` | `nse` of ln(discharge + offset): low flow counts as much as high flow | Pushpalatha et al. (2012) |
| `kge` | 1 − KGE: correlation, variability and volume | Gupta et al. (2009) |
| `huber` | squared errors, but large ones count linearly | Huber (1964) |
| `student_t` | −log likelihood of Student's t: large errors count logarithmically | Lange et al. (1989) |
| `timing` | 1 − correlation: blind to volume and scale, so that biased runoff does not bend the celerity | |

A gauge with too few values (`values_needed`), with a flat line, or of weight 0 adds exactly 0, and its gradient is
exactly 0: never 0/0.
"""

from rivergrad.inference.loss.enough import MIN_VALUES, values_needed
from rivergrad.inference.loss.pairs import Pairs
from rivergrad.inference.loss.statistics import GaugeStatistics, gauge_statistics
from rivergrad.inference.loss.total import checked, gauge_loss
from rivergrad.inference.loss_spec import LossSpec

__all__ = [
    "MIN_VALUES",
    "GaugeStatistics",
    "LossSpec",
    "Pairs",
    "checked",
    "gauge_loss",
    "gauge_statistics",
    "values_needed",
]
