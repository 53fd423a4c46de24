from __future__ import annotations

import math

import pytest
import torch

from unrolled.cells.lstm_layernorm import LSTMLayerNorm


def normalised(values: list[float], gain: list[float], shift: list[float]) -> list[float]:
    mean = sum(values) / len(values)
    deviation = math.sqrt(sum((value - mean) ** 2 for value in values) / len(values) + 0.00001)
    return [g * (value - mean) / deviation + s for value, g, s in zip(values, gain, shift, strict=True)]


def test_one_step_by_hand(put, plain) -> None:
    cell = LSTMLayerNorm(1, 2)
    W = [0.5, -0.4, 0.3, 0.2, 1.0, -1.5, 0.7, -0.6]  # noqa: N806
    U = [[0.1, 0.2], [-0.3, 0.4], [0.5, -0.6], [0.7, 0.8], [-0.9, 1.0], [1.1, -1.2], [0.15, 0.25], [-0.35, 0.45]]  # noqa: N806
    a, s, e = [1.1, 0.9, 1.2, 0.8, 1.3, 0.7, 1.4, 0.6], [0.5, 1.5, 0.6, 1.4, 0.7, 1.3, 0.8, 1.2], [1.25, 0.75]
    b, d, q = [0.01, 0.02, 1.0, 0.9, 0.05, -0.06, 0.07, 0.08], [0.1, -0.1, 0.2, -0.2, 0.3, -0.3, 0.4, -0.4], [0.2, -0.1]
    put(cell, weight_ih=[[w] for w in W], weight_hh=U, gain_ih=a, gain_hh=s, gain_c=e, bias_ih=b, bias_hh=d, bias_c=q)
    x, h, c = 2.0, [0.6, -0.8], [1.5, -0.5]

    wx = normalised([w * x for w in W], a, b)
    uh = normalised([row[0] * h[0] + row[1] * h[1] for row in U], s, d)
    i_0, i_1 = plain.sigmoid(wx[0] + uh[0]), plain.sigmoid(wx[1] + uh[1])
    f_0, f_1 = plain.sigmoid(wx[2] + uh[2]), plain.sigmoid(wx[3] + uh[3])
    g_0, g_1 = math.tanh(wx[4] + uh[4]), math.tanh(wx[5] + uh[5])
    o_0, o_1 = plain.sigmoid(wx[6] + uh[6]), plain.sigmoid(wx[7] + uh[7])
    c_0, c_1 = f_0 * c[0] + i_0 * g_0, f_1 * c[1] + i_1 * g_1
    shown = normalised([c_0, c_1], e, q)
    h_0, h_1 = o_0 * math.tanh(shown[0]), o_1 * math.tanh(shown[1])

    state = (torch.tensor([h], dtype=torch.float64), torch.tensor([c], dtype=torch.float64))
    gates = cell.gates(cell.project(torch.tensor([[x]], dtype=torch.float64)), state)
    expected = {"i": [i_0, i_1], "f": [f_0, f_1], "g": [g_0, g_1], "o": [o_0, o_1], "c": [c_0, c_1], "h": [h_0, h_1]}
    assert set(gates._fields) == set(expected)
    for name, values in expected.items():
        assert getattr(gates, name)[0].tolist() == pytest.approx(values, abs=1e-14), name


@pytest.mark.parametrize("bias", [True, False])
def test_it_agrees_with_a_loop_over_units(drawn, plain, bias: bool) -> None:
    cell = drawn(LSTMLayerNorm(3, 4, bias=bias))
    W, U = cell.weight_ih.tolist(), cell.weight_hh.tolist()  # noqa: N806
    a, s, e = cell.gain_ih.tolist(), cell.gain_hh.tolist(), cell.gain_c.tolist()
    shifts = (cell.bias_ih, cell.bias_hh, cell.bias_c)
    b, d, q = (shift.tolist() for shift in shifts) if bias else ([0.0] * 16, [0.0] * 16, [0.0] * 4)

    def twin(x: list[float], h: list[float], c: list[float]) -> tuple[list[float], list[float]]:
        wx = normalised([plain.dot(row, x) for row in W], a, b)
        uh = normalised([plain.dot(row, h) for row in U], s, d)
        i, f, g, o = ([wx[k] + uh[k] for k in range(4 * n, 4 * n + 4)] for n in range(4))
        c_next = [plain.sigmoid(f[k]) * c[k] + plain.sigmoid(i[k]) * math.tanh(g[k]) for k in range(4)]
        shown = normalised(c_next, e, q)
        return [plain.sigmoid(o[k]) * math.tanh(shown[k]) for k in range(4)], c_next

    h, c = torch.randn(4, dtype=torch.float64), torch.randn(4, dtype=torch.float64)
    state, expected = (h[None], c[None]), (h.tolist(), c.tolist())
    for x in torch.randn(6, 3, dtype=torch.float64):
        state = cell.step(cell.project(x[None]), state)[1]
        expected = twin(x.tolist(), *expected)
    for found, values in zip(state, expected, strict=True):
        assert found[0].tolist() == pytest.approx(values, abs=1e-11)


def test_gains_begin_at_one_and_shifts_at_zero() -> None:
    cell = LSTMLayerNorm(3, 4)
    cell.reset_parameters()
    for name, parameter in cell.named_parameters():
        if not name.startswith("weight"):
            assert (parameter == (1 if name.startswith("gain") else 0)).all(), name


def test_the_scale_of_the_input_changes_nothing() -> None:
    cell = LSTMLayerNorm(3, 4, dtype=torch.float64)
    x, state = torch.randn(5, 3, dtype=torch.float64), cell.initial_state(5)
    small, large = cell.step(cell.project(10 * x), state)[0], cell.step(cell.project(1000 * x), state)[0]
    torch.testing.assert_close(small, large, rtol=1e-4, atol=1e-4)
