"""One LSTM over the series of all catchments, in chunks of them that bound memory."""

from __future__ import annotations

import math
import warnings

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

CUDNN_SERIES, CUDNN_NUMBERS = (1 << 16) - 1, (1 << 31) - 1
"""Series, and numbers of its gates (step, series, 4 · hidden), that one call of cuDNN is given at most: it fails inside
where there are more than it counts in 16 or in 32 bits."""
LIMITED = ("cuda",)
"""Kinds of devices on which that holds."""


class SharedLstm(torch.nn.Module):
    """An LSTM with one layer and a linear head, the same for all catchments.

    Source: Hochreiter & Schmidhuber (1997), doi:10.1162/neco.1997.9.8.1735; over catchments with their attributes as
    further inputs: Kratzert et al. (2019), doi:10.5194/hess-23-5089-2019.

    Weights are plain parameters, not an `nn.LSTM`, so that they may come from a vector (`FlatModule`).

    Args:
        inputs: numbers a step; hidden: size of the state.
        chunk: series that are computed at a time. With more of them, each chunk is computed again for its gradient,
            so that no more than its own activations (about 24 bytes · hidden · steps a series) are held.
    """

    def __init__(self, inputs: int, hidden: int, chunk: int) -> None:
        super().__init__()
        self.hidden, self.chunk = hidden, chunk
        bound = 1 / math.sqrt(hidden)
        self.weight_input = torch.nn.Parameter(torch.empty(4 * hidden, inputs).uniform_(-bound, bound))
        self.weight_state = torch.nn.Parameter(torch.empty(4 * hidden, hidden).uniform_(-bound, bound))
        self.bias = torch.nn.Parameter(torch.zeros(4 * hidden))
        self.head = torch.nn.Linear(hidden, 1)
        with torch.no_grad():
            self.bias[hidden : 2 * hidden] = (
                3.0  # keep at first: snow and groundwater are slow (Gers et al. 2000)
            )

    def forward(self, series: Tensor, fixed: Tensor) -> Tensor:
        """What the head makes of each step.

        Args:
            series: (..., time, reach, variable).
            fixed: (reach, attribute) the same for every step.

        Returns:
            (..., time, reach).
        """
        lead, (steps, reaches, _) = series.shape[:-3], series.shape[-3:]
        series = series.reshape(-1, steps, reaches, series.shape[-1])
        columns = series.permute(1, 0, 2, 3).reshape(
            steps, -1, series.shape[-1]
        )  # every window and reach a series
        fixed = fixed.to(columns).repeat(series.shape[0], 1)
        found = [self._chunk(a, b, columns, fixed) for a, b in self._bounds(columns.shape[1])]
        whole = torch.cat(found, dim=1) if found else columns.new_zeros(steps, 0)
        return whole.reshape(steps, series.shape[0], reaches).transpose(0, 1).reshape(*lead, steps, reaches)

    def _bounds(self, count: int) -> list[tuple[int, int]]:
        pieces = max(1, math.ceil(count / self.chunk))
        return [(count * i // pieces, count * (i + 1) // pieces) for i in range(pieces)]

    def _chunk(self, start: int, stop: int, columns: Tensor, fixed: Tensor) -> Tensor:
        part, own = columns[:, start:stop], fixed[start:stop]
        weights = (self.weight_input, self.weight_state, self.bias, self.head.weight, self.head.bias)
        if columns.shape[1] <= self.chunk or not torch.is_grad_enabled():
            return _lstm(part, own, *weights)
        found: Tensor = checkpoint(_lstm, part, own, *weights, use_reentrant=False, preserve_rng_state=False)
        return found


def _lstm(
    series: Tensor, fixed: Tensor, weight_input: Tensor, weight_state: Tensor, bias: Tensor, *head: Tensor
) -> Tensor:
    """(time, column, variable) and (column, attribute) to (time, column)."""
    (steps, count, _), hidden = series.shape, weight_state.shape[1]
    most = max(1, min(CUDNN_SERIES, CUDNN_NUMBERS // max(1, steps * 4 * hidden)))
    if series.device.type in LIMITED and count > most:
        calls = math.ceil(count / most)
        parts = zip(series.tensor_split(calls, dim=1), fixed.tensor_split(calls), strict=True)
        found = [_lstm(some, own, weight_input, weight_state, bias, *head) for some, own in parts]
        return torch.cat(found, dim=1)
    given = torch.cat([series, fixed.expand(series.shape[0], -1, -1)], dim=2)
    start = given.new_zeros(1, count, hidden)
    weights = [weight_input, weight_state, bias, torch.zeros_like(bias)]
    with warnings.catch_warnings():
        # cuDNN copies the few weights into one piece at each call, and says so
        warnings.filterwarnings(
            "ignore", message="RNN module weights are not part of single contiguous chunk"
        )
        state, _, _ = torch.lstm(
            given, (start, start), weights, True, 1, 0.0, torch.is_grad_enabled(), False, False
        )
    return torch.nn.functional.linear(state, *head).squeeze(2)
