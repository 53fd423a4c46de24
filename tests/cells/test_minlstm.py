from __future__ import annotations

import pytest
import torch

from unrolled.cells.minlstm import MinLSTM


def test_one_step_by_hand(put, plain) -> None:
    cell = MinLSTM(2, 2)
    put(cell,
        weight_ih=[[0.5, -0.2], [-0.4, 0.7], [1.0, 0.3], [-1.5, 0.9], [0.8, -0.1], [0.6, 1.1]],
        bias_ih=[0.01, 0.02, 0.05, -0.06, 0.3, -0.4])  # fmt: skip
    x, h = [2.0, -3.0], [0.6, -0.8]

    f_0 = plain.sigmoid(0.5 * x[0] + -0.2 * x[1] + 0.01)
    f_1 = plain.sigmoid(-0.4 * x[0] + 0.7 * x[1] + 0.02)
    i_0 = plain.sigmoid(1.0 * x[0] + 0.3 * x[1] + 0.05)
    i_1 = plain.sigmoid(-1.5 * x[0] + 0.9 * x[1] + -0.06)
    n_0 = 0.8 * x[0] + -0.1 * x[1] + 0.3
    n_1 = 0.6 * x[0] + 1.1 * x[1] + -0.4
    held_0, new_0 = f_0 / (f_0 + i_0), i_0 / (f_0 + i_0)
    held_1, new_1 = f_1 / (f_1 + i_1), i_1 / (f_1 + i_1)
    h_0 = held_0 * h[0] + new_0 * n_0
    h_1 = held_1 * h[1] + new_1 * n_1

    px, state = cell.project(torch.tensor([x], dtype=torch.float64)), torch.tensor([h], dtype=torch.float64)
    expected = {"f": [f_0, f_1], "i": [i_0, i_1], "n": [n_0, n_1], "h": [h_0, h_1]}
    expected |= {"held": [held_0, held_1], "new": [new_0, new_1]}
    gates = cell.gates(px, state)
    assert set(gates._fields) == set(expected)
    for name, values in expected.items():
        assert getattr(gates, name)[0].tolist() == pytest.approx(values, abs=1e-15), name
    output, following = cell.step(px, state)
    assert output[0].tolist() == following[0].tolist() == pytest.approx([h_0, h_1], abs=1e-15)
    a, b = cell.coefficients(px)
    assert a[0].tolist() == pytest.approx([held_0, held_1], abs=1e-15)
    assert b[0].tolist() == pytest.approx([new_0 * n_0, new_1 * n_1], abs=1e-15)


def test_with_both_gates_shut_as_far_as_they_go_the_shares_are_numbers() -> None:
    cell = MinLSTM(1, 1)
    px = torch.tensor([[-200.0, -200.0, 3.0], [-300.0, -200.0, 3.0], [200.0, 200.0, 3.0]], requires_grad=True)
    output, _ = cell.step(px, torch.full((3, 1), 5.0))
    assert output.flatten().tolist() == pytest.approx([4.0, 3.0, 4.0])
    output.sum().backward()
    assert px.grad.isfinite().all()
