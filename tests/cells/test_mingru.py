from __future__ import annotations

import pytest
import torch

from unrolled.cells.mingru import MinGRU


def test_one_step_by_hand(put, plain) -> None:
    cell = MinGRU(2, 2)
    put(cell, weight_ih=[[0.5, -0.2], [-0.4, 0.7], [1.0, 0.3], [-1.5, 0.9]], bias_ih=[0.01, 0.02, 0.05, -0.06])
    x, h = [2.0, -3.0], [0.6, -0.8]

    z_0 = plain.sigmoid(0.5 * x[0] + -0.2 * x[1] + 0.01)
    z_1 = plain.sigmoid(-0.4 * x[0] + 0.7 * x[1] + 0.02)
    n_0 = 1.0 * x[0] + 0.3 * x[1] + 0.05
    n_1 = -1.5 * x[0] + 0.9 * x[1] + -0.06
    h_0 = (1 - z_0) * h[0] + z_0 * n_0
    h_1 = (1 - z_1) * h[1] + z_1 * n_1

    px, state = cell.project(torch.tensor([x], dtype=torch.float64)), torch.tensor([h], dtype=torch.float64)
    expected = {"z": [z_0, z_1], "n": [n_0, n_1], "h": [h_0, h_1]}
    gates = cell.gates(px, state)
    assert set(gates._fields) == set(expected)
    for name, values in expected.items():
        assert getattr(gates, name)[0].tolist() == pytest.approx(values, abs=1e-15), name
    output, following = cell.step(px, state)
    assert output[0].tolist() == following[0].tolist() == pytest.approx([h_0, h_1], abs=1e-15)
    a, b = cell.coefficients(px)
    assert a[0].tolist() == pytest.approx([1 - z_0, 1 - z_1], abs=1e-15)
    assert b[0].tolist() == pytest.approx([z_0 * n_0, z_1 * n_1], abs=1e-15)


def test_a_weighted_mean_of_what_was_held_and_what_is_new_leaves_neither_behind() -> None:
    cell = MinGRU(3, 50)
    px, state = cell.project(10 * torch.randn(20, 3)), torch.randn(20, 50)
    gates = cell.gates(px, state)
    least, most = torch.minimum(gates.n, state), torch.maximum(gates.n, state)
    assert ((gates.h >= least - 1e-5) & (gates.h <= most + 1e-5)).all()
