"""Coverage: how much of what was attended to is attended to again, See, Liu & Manning 2017, arXiv:1704.04368, eq. 12.

    s_t = sum_{t' < t} a_t',    loss_t = sum_j min(a_tj, s_tj)

How the score reads s is in `additive.py`.
"""

from __future__ import annotations

import torch
from torch import Tensor

from unrolled.layers.packed import to_padded


def coverage_loss(weights: Tensor, batch_sizes: Tensor) -> Tensor:
    """The sum over all elements, a scalar.

    Args:
        weights: (elements, source), of attention, packed.
        batch_sizes: (time,), rows alive at each time.
    """
    each = to_padded(weights, batch_sizes)
    # In the padding behind a row the weights are zeros, and so is the lesser of the two.
    return torch.minimum(each, each.cumsum(dim=1) - each).sum()
