from __future__ import annotations

import math

import pytest
import torch

from unrolled.cells.gru import GRU
from unrolled.cells.gru_cho import GRUCho


def test_one_step_by_hand(put, plain) -> None:
    cell = GRUCho(1, 2)
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
    # The reset gate of each unit acts on that unit's h, before the matrix mixes them.
    n_0 = math.tanh(1.0 * x + 0.05 + -0.9 * (r_0 * h[0]) + 1.0 * (r_1 * h[1]) + 0.3)
    n_1 = math.tanh(-1.5 * x + -0.06 + 1.1 * (r_0 * h[0]) + -1.2 * (r_1 * h[1]) + -0.3)
    h_0 = z_0 * h[0] + (1 - z_0) * n_0
    h_1 = z_1 * h[1] + (1 - z_1) * n_1

    state = torch.tensor([h], dtype=torch.float64)
    gates = cell.gates(cell.project(torch.tensor([[x]], dtype=torch.float64)), state)
    expected = {"r": [r_0, r_1], "z": [z_0, z_1], "n": [n_0, n_1], "h": [h_0, h_1]}
    assert set(gates._fields) == set(expected)
    for name, values in expected.items():
        assert getattr(gates, name)[0].tolist() == pytest.approx(values, abs=1e-15), name
    output, following = cell.step(cell.project(torch.tensor([[x]], dtype=torch.float64)), state)
    assert output[0].tolist() == following[0].tolist() == pytest.approx([h_0, h_1], abs=1e-15)


@pytest.mark.parametrize("bias", [True, False])
def test_it_agrees_with_a_loop_over_units(drawn, plain, bias: bool) -> None:
    cell = drawn(GRUCho(3, 4, bias=bias))
    W, U = plain.blocks(cell, "weight_ih"), plain.blocks(cell, "weight_hh")  # noqa: N806
    zeros = {name: [0.0] * 4 for name in cell.blocks}
    b, d = (plain.blocks(cell, "bias_ih"), plain.blocks(cell, "bias_hh")) if bias else (zeros, zeros)

    def twin(x: list[float], h: list[float]) -> list[float]:
        def a(gate: str, unit: int, seen: list[float]) -> float:
            return plain.dot(W[gate][unit], x) + b[gate][unit] + plain.dot(U[gate][unit], seen) + d[gate][unit]

        r = [plain.sigmoid(a("r", k, h)) for k in range(4)]
        z = [plain.sigmoid(a("z", k, h)) for k in range(4)]
        n = [math.tanh(a("n", k, [r[j] * h[j] for j in range(4)])) for k in range(4)]
        return [z[k] * h[k] + (1 - z[k]) * n[k] for k in range(4)]

    xs, h = torch.randn(6, 2, 3, dtype=torch.float64), torch.randn(2, 4, dtype=torch.float64)
    expected = h.tolist()
    for x in xs:
        h = cell.step(cell.project(x), h)[1]
        expected = [twin(*row) for row in zip(x.tolist(), expected, strict=True)]
    assert h.flatten().tolist() == pytest.approx([value for row in expected for value in row], abs=1e-12)


def test_it_is_another_model_than_torchs() -> None:
    cho, torchs = GRUCho(3, 4, dtype=torch.float64), GRU(3, 4, dtype=torch.float64)
    torchs.load_state_dict(cho.state_dict())
    x, h = torch.randn(5, 3, dtype=torch.float64), torch.randn(5, 4, dtype=torch.float64)
    assert not torch.allclose(cho.step(cho.project(x), h)[0], torchs.step(torchs.project(x), h)[0], atol=1e-3)


def test_it_equals_torchs_where_the_reset_gate_is_open() -> None:
    cho, torchs = GRUCho(3, 4, dtype=torch.float64), GRU(3, 4, dtype=torch.float64)
    torch.nn.init.constant_(cho.bias_ih[:4], 60.0)
    torchs.load_state_dict(cho.state_dict())
    x, h = torch.randn(5, 3, dtype=torch.float64), torch.randn(5, 4, dtype=torch.float64)
    torch.testing.assert_close(cho.step(cho.project(x), h)[0], torchs.step(torchs.project(x), h)[0])
