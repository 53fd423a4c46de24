"""Stretches of time and bands of features that are hidden in training (Park et al. 2019, arXiv:1904.08779).

    of each row, twice:  f from {0, …, bands},  f0 from {0, …, features - f}:       features f0 … f0 + f - 1 are 0
                         t from {0, …, steps},  t0 from {0, …, length - t}:         times    t0 … t0 + t - 1 are 0

where t is no more than a fifth of the row (p of section 2 there). What is hidden is 0, the mean of what is scaled.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from unrolled.errors import BadOption
from unrolled.layers.packed import lengths, rows, times

SHARE = 0.2
"""Of a row's length, that a stretch of time is at most."""
MASKS = 2
"""Of either kind."""


class SpecAugment(nn.Module):
    """Hides in training; otherwise, and where both sizes are 0, it changes nothing.

    Args:
        bands: features that a mask hides, at most.
        steps: times that a mask hides, at most.
        copies: so many times the features stand in an element, one after the other; a mask hides all of them.

    Raises `BadOption` for fewer than 0.
    """

    def __init__(self, bands: int, steps: int, copies: int = 1) -> None:
        super().__init__()
        for name, value in (("masked_features", bands), ("masked_steps", steps)):
            if value < 0:
                raise BadOption(f"{name} must be 0 or more, not {value}")
        self.bands, self.steps, self.copies = bands, steps, copies

    def forward(self, x: PackedSequence) -> PackedSequence:
        """x: data (elements, features)."""
        if not self.training or not (self.bands or self.steps):
            return x
        row, time, width = rows(x.batch_sizes), times(x.batch_sizes), x.data.shape[1]
        each, features = lengths(x.batch_sizes), width // self.copies
        hidden = torch.zeros(len(x.data), width, dtype=torch.bool)
        place = torch.arange(width) % features
        for _ in range(MASKS):
            bands = (torch.rand(len(each)) * (min(self.bands, features) + 1)).long()
            first = (torch.rand(len(each)) * (features - bands + 1)).long()
            hidden |= _within(place, first[row, None], bands[row, None])
            most = (each * SHARE).long().clamp_max(self.steps)
            length = (torch.rand(len(each)) * (most + 1)).long()
            begin = (torch.rand(len(each)) * (each - length + 1)).long()
            hidden |= _within(time, begin[row], length[row])[:, None]
        return x._replace(data=x.data.masked_fill(hidden.to(x.data.device), 0.0))


def _within(place: Tensor, first: Tensor, count: Tensor) -> Tensor:
    return (place >= first) & (place < first + count)
