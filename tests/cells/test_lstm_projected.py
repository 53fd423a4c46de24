from __future__ import annotations

import math
import re

import pytest
import torch

from unrolled.cells.lstm_projected import LSTMProjected
from unrolled.errors import BadOption


def test_one_step_by_hand(put, plain) -> None:
    cell = LSTMProjected(1, 2, proj_size=1)
    put(cell,
        weight_ih=[[0.5], [-0.4], [0.3], [0.2], [1.0], [-1.5], [0.7], [-0.6]],
        weight_hh=[[0.1], [-0.3], [0.5], [0.7], [-0.9], [1.1], [0.15], [-0.35]],
        weight_hr=[[0.8, -1.3]],
        bias_ih=[0.01, 0.02, 1.0, 0.9, 0.05, -0.06, 0.07, 0.08],
        bias_hh=[0.1, -0.1, 0.2, -0.2, 0.3, -0.3, 0.4, -0.4])  # fmt: skip
    x, h, c = 2.0, 0.6, [1.5, -0.5]

    i_0 = plain.sigmoid(0.5 * x + 0.01 + 0.1 * h + 0.1)
    i_1 = plain.sigmoid(-0.4 * x + 0.02 + -0.3 * h + -0.1)
    f_0 = plain.sigmoid(0.3 * x + 1.0 + 0.5 * h + 0.2)
    f_1 = plain.sigmoid(0.2 * x + 0.9 + 0.7 * h + -0.2)
    g_0 = math.tanh(1.0 * x + 0.05 + -0.9 * h + 0.3)
    g_1 = math.tanh(-1.5 * x + -0.06 + 1.1 * h + -0.3)
    o_0 = plain.sigmoid(0.7 * x + 0.07 + 0.15 * h + 0.4)
    o_1 = plain.sigmoid(-0.6 * x + 0.08 + -0.35 * h + -0.4)
    c_0, c_1 = f_0 * c[0] + i_0 * g_0, f_1 * c[1] + i_1 * g_1
    h_0 = 0.8 * (o_0 * math.tanh(c_0)) + -1.3 * (o_1 * math.tanh(c_1))

    state = (torch.tensor([[h]], dtype=torch.float64), torch.tensor([c], dtype=torch.float64))
    gates = cell.gates(cell.project(torch.tensor([[x]], dtype=torch.float64)), state)
    expected = {"i": [i_0, i_1], "f": [f_0, f_1], "g": [g_0, g_1], "o": [o_0, o_1], "c": [c_0, c_1], "h": [h_0]}
    assert set(gates._fields) == set(expected)
    for name, values in expected.items():
        assert getattr(gates, name)[0].tolist() == pytest.approx(values, abs=1e-15), name


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("proj_size", [1, 3])
def test_it_agrees_with_torch(proj_size: int, bias: bool) -> None:
    cell = LSTMProjected(3, 5, proj_size=proj_size, bias=bias, dtype=torch.float64)
    torchs = torch.nn.LSTM(3, 5, proj_size=proj_size, bias=bias, dtype=torch.float64)
    torchs.load_state_dict({f"{name}_l0": value for name, value in cell.state_dict().items()})
    h, c = torch.randn(2, proj_size, dtype=torch.float64), torch.randn(2, 5, dtype=torch.float64)
    xs = torch.randn(6, 2, 3, dtype=torch.float64)
    expected, (h_torch, c_torch) = torchs(xs, (h[None], c[None]))
    outputs, state = [], (h, c)
    for x in xs:
        output, state = cell.step(cell.project(x), state)
        outputs.append(output)
    torch.testing.assert_close(torch.stack(outputs), expected, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(state, (h_torch[0], c_torch[0]), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("hidden_size", "expected"), [(1, 1), (2, 1), (7, 3), (128, 64)])
def test_half_the_hidden_size_is_shown_where_nothing_is_said(hidden_size: int, expected: int) -> None:
    cell = LSTMProjected(2, hidden_size)
    assert cell.output_size == expected
    assert [tuple(leaf.shape) for leaf in cell.initial_state(3)] == [(3, expected), (3, hidden_size)]


@pytest.mark.parametrize("proj_size", [0, -1, 5])
def test_a_projection_that_does_not_shorten_is_refused(proj_size: int) -> None:
    message = f"proj_size must be from 1 to hidden_size (4), not {proj_size}"
    with pytest.raises(BadOption, match=f"^{re.escape(message)}$"):
        LSTMProjected(2, 4, proj_size=proj_size)
