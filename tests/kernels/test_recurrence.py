"""What the compiled code would take on trust is refused before it is called."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from unrolled.kernels import library, recurrence
from unrolled.kernels.recurrence import Packed, Weights

pytestmark = pytest.mark.skipif(library.load() is None, reason=f"there are no compiled kernels: {library.why()}")


def weights(inputs: int = 3, hidden: int = 5) -> Weights:
    rows = 4 * hidden
    return Weights(torch.randn(rows, inputs), torch.randn(rows, hidden), torch.randn(rows), torch.randn(rows))


def forward(*given: Weights | Packed) -> Tensor:
    sizes, starts, state = torch.tensor([2, 1]), torch.tensor([0, 2]), (torch.zeros(2, 5), torch.zeros(2, 5))
    return recurrence.forward("lstm", torch.randn(3, 3), sizes, starts, given, [state] * len(given), keep=False)[0]


def test_two_directions_must_be_laid_out_in_one_type() -> None:
    half, whole = (recurrence.pack("lstm", weights(), half) for half in (True, False))
    assert forward(half, half).shape == (3, 10)
    for pair in ((half, whole), (whole, half), (half, weights())):
        with pytest.raises(ValueError, match="in one type: 2 in 2 are given"):
            forward(*pair)


def test_a_layer_has_one_or_two_directions() -> None:
    for count in (0, 3):
        with pytest.raises(ValueError, match=f"1 or 2 directions, in one type: {count} in"):
            forward(*[weights()] * count)


def test_sizes_of_zero_and_one_bias_of_two_are_not_for_the_kernels() -> None:
    assert recurrence.supports("lstm", 3, weights())
    assert recurrence.supports("lstm", 3, weights()._replace(bias_ih=None, bias_hh=None))
    assert not recurrence.supports("lstm", 0, weights(inputs=0))
    assert not recurrence.supports("lstm", 3, weights(hidden=0))
    assert not recurrence.supports("lstm", 3, weights()._replace(bias_hh=None))
    assert not recurrence.supports("lstm", 3, weights()._replace(bias_ih=None))
