from __future__ import annotations

import math

import pytest
import torch

from unrolled.cells.gru import GRU


def test_one_step_by_hand(put, plain) -> None:
    cell = GRU(1, 2)
    put(cell,
        weight_ih=[[0.5], [-0.4], [0.3], [0.2], [1.0], [-1.5]],
        weight_hh=[[0.1, 0.2], [-0.3, 0.4], [0.5, -0.6], [0.7, 0.8], [-0.9, 1.0], [1.1, -1.2]],
        bias_ih=[0.01, 0.02, 1.0, 0.9, 0.05, -0.06],
        bias_hh=[0.1, -0.1, 0.2, -0.2, 0.3, -0.3])  # fmt: skip
    x, h = 2.0, [0.6, -0.8]

    r_0 = plain.sigmoid(0.5 * x + 0.01 + 0.1 * h[0] + 0.2 * h[1] + 0.1)
    r_1 = plain.sigmoid(-0.4 * x + 0.02 + -0.3 * h[0] + 0.4 * h[1] + -0.1)
    z_0 = plain.sigmoid(0.3 * x + 1.0 + 0.5 * h[0] + -0.6 * h[1] + 0.2)
    z_1 = plain.sigmoid(0.2 * x + 0.9 + 0.7 * h[0] + 0.8 * h[1] + -0.2)
    n_0 = math.tanh(1.0 * x + 0.05 + r_0 * (-0.9 * h[0] + 1.0 * h[1] + 0.3))
    n_1 = math.tanh(-1.5 * x + -0.06 + r_1 * (1.1 * h[0] + -1.2 * h[1] + -0.3))
    h_0 = (1 - z_0) * n_0 + z_0 * h[0]
    h_1 = (1 - z_1) * n_1 + z_1 * h[1]

    state = torch.tensor([h], dtype=torch.float64)
    gates = cell.gates(cell.project(torch.tensor([[x]], dtype=torch.float64)), state)
    expected = {"r": [r_0, r_1], "z": [z_0, z_1], "n": [n_0, n_1], "h": [h_0, h_1]}
    assert set(gates._fields) == set(expected)
    for name, values in expected.items():
        assert getattr(gates, name)[0].tolist() == pytest.approx(values, abs=1e-15), name
    output, following = cell.step(cell.project(torch.tensor([[x]], dtype=torch.float64)), state)
    assert output[0].tolist() == following[0].tolist() == pytest.approx([h_0, h_1], abs=1e-15)


@pytest.mark.parametrize("bias", [True, False])
def test_it_agrees_with_torch(bias: bool) -> None:
    cell = GRU(3, 4, bias=bias, dtype=torch.float64)
    torchs = torch.nn.GRUCell(3, 4, bias=bias, dtype=torch.float64)
    torchs.load_state_dict(cell.state_dict())
    h = theirs = torch.randn(5, 4, dtype=torch.float64)
    for x in torch.randn(6, 5, 3, dtype=torch.float64):
        h, theirs = cell.step(cell.project(x), h)[1], torchs(x, theirs)
    torch.testing.assert_close(h, theirs, rtol=1e-12, atol=1e-12)
