from __future__ import annotations

import math

import pytest
import torch

from unrolled.cells.lstm import LSTM


def test_one_step_by_hand(put, plain) -> None:
    cell = LSTM(1, 2)
    put(cell,
        weight_ih=[[0.5], [-0.4], [0.3], [0.2], [1.0], [-1.5], [0.7], [-0.6]],
        weight_hh=[[0.1, 0.2], [-0.3, 0.4], [0.5, -0.6], [0.7, 0.8], [-0.9, 1.0], [1.1, -1.2],
                   [0.15, 0.25], [-0.35, 0.45]],
        bias_ih=[0.01, 0.02, 1.0, 0.9, 0.05, -0.06, 0.07, 0.08],
        bias_hh=[0.1, -0.1, 0.2, -0.2, 0.3, -0.3, 0.4, -0.4])  # fmt: skip
    x, h, c = 2.0, [0.6, -0.8], [1.5, -0.5]

    i_0 = plain.sigmoid(0.5 * x + 0.01 + 0.1 * h[0] + 0.2 * h[1] + 0.1)
    i_1 = plain.sigmoid(-0.4 * x + 0.02 + -0.3 * h[0] + 0.4 * h[1] + -0.1)
    f_0 = plain.sigmoid(0.3 * x + 1.0 + 0.5 * h[0] + -0.6 * h[1] + 0.2)
    f_1 = plain.sigmoid(0.2 * x + 0.9 + 0.7 * h[0] + 0.8 * h[1] + -0.2)
    g_0 = math.tanh(1.0 * x + 0.05 + -0.9 * h[0] + 1.0 * h[1] + 0.3)
    g_1 = math.tanh(-1.5 * x + -0.06 + 1.1 * h[0] + -1.2 * h[1] + -0.3)
    o_0 = plain.sigmoid(0.7 * x + 0.07 + 0.15 * h[0] + 0.25 * h[1] + 0.4)
    o_1 = plain.sigmoid(-0.6 * x + 0.08 + -0.35 * h[0] + 0.45 * h[1] + -0.4)
    c_0, c_1 = f_0 * c[0] + i_0 * g_0, f_1 * c[1] + i_1 * g_1
    h_0, h_1 = o_0 * math.tanh(c_0), o_1 * math.tanh(c_1)

    state = (torch.tensor([h], dtype=torch.float64), torch.tensor([c], dtype=torch.float64))
    gates = cell.gates(cell.project(torch.tensor([[x]], dtype=torch.float64)), state)
    expected = {"i": [i_0, i_1], "f": [f_0, f_1], "g": [g_0, g_1], "o": [o_0, o_1], "c": [c_0, c_1], "h": [h_0, h_1]}
    assert set(gates._fields) == set(expected)
    for name, values in expected.items():
        assert getattr(gates, name)[0].tolist() == pytest.approx(values, abs=1e-15), name
    output, (h_next, c_next) = cell.step(cell.project(torch.tensor([[x]], dtype=torch.float64)), state)
    assert output[0].tolist() == h_next[0].tolist() == pytest.approx([h_0, h_1], abs=1e-15)
    assert c_next[0].tolist() == pytest.approx([c_0, c_1], abs=1e-15)


@pytest.mark.parametrize("bias", [True, False])
def test_it_agrees_with_torch(bias: bool) -> None:
    cell = LSTM(3, 4, bias=bias, dtype=torch.float64)
    torchs = torch.nn.LSTMCell(3, 4, bias=bias, dtype=torch.float64)
    torchs.load_state_dict(cell.state_dict())
    state = theirs = (torch.randn(5, 4, dtype=torch.float64), torch.randn(5, 4, dtype=torch.float64))
    for x in torch.randn(6, 5, 3, dtype=torch.float64):
        state, theirs = cell.step(cell.project(x), state)[1], torchs(x, theirs)
    torch.testing.assert_close(state, theirs, rtol=1e-12, atol=1e-12)


def test_weights_are_drawn_as_torch_draws_them() -> None:
    torch.manual_seed(3)
    cell = LSTM(3, 4)
    torch.manual_seed(3)
    torchs = torch.nn.LSTMCell(3, 4)
    for name, value in torchs.state_dict().items():
        assert torch.equal(cell.state_dict()[name], value), name
