"""The coverage loss, by hand."""

from __future__ import annotations

import pytest
import torch

from unrolled.layers.coverage import coverage_loss


def test_what_is_attended_to_again_is_lost() -> None:
    """Two rows, of 3 elements and of 2. The first time nothing was attended to before."""
    first, second = [[0.5, 0.5], [0.8, 0.2], [0.1, 0.9]], [[1.0, 0.0], [0.3, 0.7]]
    packed = torch.tensor([first[0], second[0], first[1], second[1], first[2]], requires_grad=True)
    of_first = min(0.8, 0.5) + min(0.2, 0.5) + min(0.1, 1.3) + min(0.9, 0.7)
    of_second = min(0.3, 1.0) + min(0.7, 0.0)
    loss = coverage_loss(packed, torch.tensor([2, 2, 1]))
    assert loss.item() == pytest.approx(of_first + of_second)
    loss.backward()
    assert packed.grad is not None
    # Of the first row's second weight at the third time the least is what was there before: 0.5 and 0.2 of the times
    # before count, and it does not.
    assert packed.grad[4].tolist() == [1, 0]
