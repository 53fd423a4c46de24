from __future__ import annotations

import math

import pytest
import torch

from unrolled.cells.lstm import LSTM
from unrolled.cells.lstm_peephole import LSTMPeephole


def test_one_step_by_hand(put, plain) -> None:
    cell = LSTMPeephole(1, 2)
    put(cell,
        weight_ih=[[0.5], [-0.4], [0.3], [0.2], [1.0], [-1.5], [0.7], [-0.6]],
        weight_hh=[[0.1, 0.2], [-0.3, 0.4], [0.5, -0.6], [0.7, 0.8], [-0.9, 1.0], [1.1, -1.2],
                   [0.15, 0.25], [-0.35, 0.45]],
        weight_ci=[0.31, -0.32], weight_cf=[-0.41, 0.42], weight_co=[0.51, -0.52],
        bias_ih=[0.01, 0.02, 1.0, 0.9, 0.05, -0.06, 0.07, 0.08],
        bias_hh=[0.1, -0.1, 0.2, -0.2, 0.3, -0.3, 0.4, -0.4])  # fmt: skip
    x, h, c = 2.0, [0.6, -0.8], [1.5, -0.5]

    i_0 = plain.sigmoid(0.5 * x + 0.01 + 0.1 * h[0] + 0.2 * h[1] + 0.1 + 0.31 * c[0])
    i_1 = plain.sigmoid(-0.4 * x + 0.02 + -0.3 * h[0] + 0.4 * h[1] + -0.1 + -0.32 * c[1])
    f_0 = plain.sigmoid(0.3 * x + 1.0 + 0.5 * h[0] + -0.6 * h[1] + 0.2 + -0.41 * c[0])
    f_1 = plain.sigmoid(0.2 * x + 0.9 + 0.7 * h[0] + 0.8 * h[1] + -0.2 + 0.42 * c[1])
    g_0 = math.tanh(1.0 * x + 0.05 + -0.9 * h[0] + 1.0 * h[1] + 0.3)
    g_1 = math.tanh(-1.5 * x + -0.06 + 1.1 * h[0] + -1.2 * h[1] + -0.3)
    c_0, c_1 = f_0 * c[0] + i_0 * g_0, f_1 * c[1] + i_1 * g_1
    o_0 = plain.sigmoid(0.7 * x + 0.07 + 0.15 * h[0] + 0.25 * h[1] + 0.4 + 0.51 * c_0)
    o_1 = plain.sigmoid(-0.6 * x + 0.08 + -0.35 * h[0] + 0.45 * h[1] + -0.4 + -0.52 * c_1)
    h_0, h_1 = o_0 * math.tanh(c_0), o_1 * math.tanh(c_1)

    state = (torch.tensor([h], dtype=torch.float64), torch.tensor([c], dtype=torch.float64))
    gates = cell.gates(cell.project(torch.tensor([[x]], dtype=torch.float64)), state)
    expected = {"i": [i_0, i_1], "f": [f_0, f_1], "g": [g_0, g_1], "o": [o_0, o_1], "c": [c_0, c_1], "h": [h_0, h_1]}
    assert set(gates._fields) == set(expected)
    for name, values in expected.items():
        assert getattr(gates, name)[0].tolist() == pytest.approx(values, abs=1e-15), name


@pytest.mark.parametrize("bias", [True, False])
def test_it_agrees_with_a_loop_over_units(drawn, plain, bias: bool) -> None:
    cell = drawn(LSTMPeephole(3, 4, bias=bias))
    W, U = plain.blocks(cell, "weight_ih"), plain.blocks(cell, "weight_hh")  # noqa: N806
    p_i, p_f, p_o = cell.weight_ci.tolist(), cell.weight_cf.tolist(), cell.weight_co.tolist()
    zeros = {name: [0.0] * 4 for name in cell.blocks}
    b, d = (plain.blocks(cell, "bias_ih"), plain.blocks(cell, "bias_hh")) if bias else (zeros, zeros)

    def twin(x: list[float], h: list[float], c: list[float]) -> tuple[list[float], list[float]]:
        h_next, c_next = [], []
        for k in range(4):
            a = {
                gate: plain.dot(W[gate][k], x) + b[gate][k] + plain.dot(U[gate][k], h) + d[gate][k]
                for gate in ("i", "f", "g", "o")
            }
            forgotten = plain.sigmoid(a["f"] + p_f[k] * c[k]) * c[k]
            c_next.append(forgotten + plain.sigmoid(a["i"] + p_i[k] * c[k]) * math.tanh(a["g"]))
            h_next.append(plain.sigmoid(a["o"] + p_o[k] * c_next[k]) * math.tanh(c_next[k]))
        return h_next, c_next

    h, c = torch.randn(4, dtype=torch.float64), torch.randn(4, dtype=torch.float64)
    state, expected = (h[None], c[None]), (h.tolist(), c.tolist())
    for x in torch.randn(6, 3, dtype=torch.float64):
        state = cell.step(cell.project(x[None]), state)[1]
        expected = twin(x.tolist(), *expected)
    for found, values in zip(state, expected, strict=True):
        assert found[0].tolist() == pytest.approx(values, abs=1e-12)


def test_without_peepholes_it_is_the_lstm() -> None:
    cell, lstm = LSTMPeephole(3, 4), LSTM(3, 4)
    for peephole in (cell.weight_ci, cell.weight_cf, cell.weight_co):
        torch.nn.init.zeros_(peephole)
    lstm.load_state_dict({name: cell.state_dict()[name] for name in lstm.state_dict()})
    x, state = torch.randn(5, 3), (torch.randn(5, 4), torch.randn(5, 4))
    torch.testing.assert_close(cell.step(cell.project(x), state), lstm.step(lstm.project(x), state))
