from __future__ import annotations

import math
import re

import pytest
import torch

from unrolled.cells.elman import Elman
from unrolled.errors import BadOption


@pytest.mark.parametrize("nonlinearity", ["tanh", "relu"])
def test_one_step_by_hand(put, nonlinearity: str) -> None:
    cell = Elman(2, 2, nonlinearity=nonlinearity)
    put(cell, weight_ih=[[0.5, -1.0], [0.25, 2.0]], weight_hh=[[0.1, 0.2], [-0.3, 0.4]],
        bias_ih=[0.05, -0.1], bias_hh=[0.3, 0.2])  # fmt: skip
    x, h = [1.0, 0.5], [0.6, -0.8]
    a_0 = 0.5 * 1.0 + -1.0 * 0.5 + 0.05 + 0.1 * 0.6 + 0.2 * -0.8 + 0.3
    a_1 = 0.25 * 1.0 + 2.0 * 0.5 + -0.1 + -0.3 * 0.6 + 0.4 * -0.8 + 0.2
    expected = [math.tanh(a_0), math.tanh(a_1)] if nonlinearity == "tanh" else [max(0.0, a_0), max(0.0, a_1)]
    output, state = cell.step(
        cell.project(torch.tensor([x], dtype=torch.float64)), torch.tensor([h], dtype=torch.float64)
    )
    assert output[0].tolist() == pytest.approx(expected, abs=1e-15)
    assert state[0].tolist() == pytest.approx(expected, abs=1e-15)


def test_a_rectified_unit_below_zero_is_silent(put) -> None:
    cell = Elman(1, 1, nonlinearity="relu")
    put(cell, weight_ih=[[1.0]], weight_hh=[[1.0]], bias_ih=[0.0], bias_hh=[0.0])
    output, _ = cell.step(
        cell.project(torch.tensor([[-2.0]], dtype=torch.float64)), torch.tensor([[0.5]], dtype=torch.float64)
    )
    assert output.item() == 0


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("nonlinearity", ["tanh", "relu"])
def test_it_agrees_with_torch(nonlinearity: str, bias: bool) -> None:
    cell = Elman(3, 4, nonlinearity=nonlinearity, bias=bias, dtype=torch.float64)
    torchs = torch.nn.RNNCell(3, 4, nonlinearity=nonlinearity, bias=bias, dtype=torch.float64)
    torchs.load_state_dict(cell.state_dict())
    h = h_torch = torch.randn(5, 4, dtype=torch.float64)
    for x in torch.randn(6, 5, 3, dtype=torch.float64):
        h, h_torch = cell.step(cell.project(x), h)[1], torchs(x, h_torch)
    torch.testing.assert_close(h, h_torch, rtol=1e-12, atol=1e-12)


def test_rectified_units_have_the_gradient_of_the_function() -> None:
    cell = Elman(3, 4, nonlinearity="relu", dtype=torch.float64)
    x, h = torch.randn(5, 3, dtype=torch.float64), torch.randn(5, 4, dtype=torch.float64)
    assert torch.autograd.gradcheck(
        lambda a, b: cell.step(cell.project(a), b), (x.requires_grad_(), h.requires_grad_())
    )


def test_another_nonlinearity_is_refused() -> None:
    with pytest.raises(BadOption, match=re.escape("nonlinearity must be 'tanh' or 'relu', not 'gelu'")):
        Elman(2, 2, nonlinearity="gelu")
