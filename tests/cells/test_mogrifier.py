from __future__ import annotations

import math

import pytest
import torch

from unrolled.cells.initialise import initialise_
from unrolled.cells.lstm import LSTM
from unrolled.cells.mogrifier import Mogrifier
from unrolled.errors import BadOption


def test_one_step_by_hand(put, plain) -> None:
    """One feature, one unit, three rounds: x, then h, then x again."""
    cell = Mogrifier(1, 1, rounds=3)
    W, U, b, d = [0.5, -0.4, 0.3, 0.2], [1.0, -1.5, 0.7, -0.6], [0.1, 1.0, -0.2, 0.3], [0.01, 0.02, 0.03, 0.04]  # noqa: N806
    gating = {"weight_q": [[[0.8]], [[-1.1]]], "weight_r": [[[0.6]]]}
    put(cell, weight_ih=[[w] for w in W], weight_hh=[[u] for u in U], bias_ih=b, bias_hh=d, **gating)
    x, h, c = 2.0, 0.6, -0.5

    x_1 = 2 * plain.sigmoid(0.8 * h) * x
    h_2 = 2 * plain.sigmoid(0.6 * x_1) * h
    x_3 = 2 * plain.sigmoid(-1.1 * h_2) * x_1
    i, f, g, o = (W[k] * x_3 + b[k] + U[k] * h_2 + d[k] for k in range(4))
    i, f, g, o = plain.sigmoid(i), plain.sigmoid(f), math.tanh(g), plain.sigmoid(o)
    c_t = f * c + i * g
    expected = {"i": i, "f": f, "g": g, "o": o, "c": c_t, "h": o * math.tanh(c_t)}

    state = (torch.tensor([[h]], dtype=torch.float64), torch.tensor([[c]], dtype=torch.float64))
    gates = cell.gates(cell.project(torch.tensor([[x]], dtype=torch.float64)), state)
    assert set(gates._fields) == set(expected)
    for name, value in expected.items():
        assert getattr(gates, name).item() == pytest.approx(value, abs=1e-14), name


@pytest.mark.parametrize("rank", [0, 2])
@pytest.mark.parametrize("rounds", [1, 2, 5, 6])
def test_it_agrees_with_a_loop_over_units(drawn, plain, rounds: int, rank: int) -> None:
    cell = drawn(Mogrifier(3, 4, rounds=rounds, rank=rank))
    W, U, b, d = (t.tolist() for t in (cell.weight_ih, cell.weight_hh, cell.bias_ih, cell.bias_hh))  # noqa: N806

    def whole(outer: torch.Tensor, inner: torch.Tensor | None, k: int) -> list[list[float]]:
        if inner is None:
            return outer[k].tolist()
        columns = list(zip(*inner[k].tolist(), strict=True))
        return [[plain.dot(row, column) for column in columns] for row in outer[k].tolist()]

    def twin(x: list[float], h: list[float], c: list[float]) -> tuple[list[float], list[float]]:
        for r in range(1, rounds + 1):
            odd = r % 2 == 1
            names = (cell.weight_q, cell.weight_q_inner) if odd else (cell.weight_r, cell.weight_r_inner)
            matrix = whole(*names, (r - 1) // 2)
            if odd:
                x = [2 * plain.sigmoid(plain.dot(row, h)) * value for row, value in zip(matrix, x, strict=True)]
            else:
                h = [2 * plain.sigmoid(plain.dot(row, x)) * value for row, value in zip(matrix, h, strict=True)]
        z = [plain.dot(W[k], x) + b[k] + plain.dot(U[k], h) + d[k] for k in range(16)]
        i, f, g, o = (z[4 * n : 4 * n + 4] for n in range(4))
        c_next = [plain.sigmoid(f[k]) * c[k] + plain.sigmoid(i[k]) * math.tanh(g[k]) for k in range(4)]
        return [plain.sigmoid(o[k]) * math.tanh(c_next[k]) for k in range(4)], c_next

    h, c = torch.randn(4, dtype=torch.float64), torch.randn(4, dtype=torch.float64)
    state, expected = (h[None], c[None]), (h.tolist(), c.tolist())
    for x in torch.randn(5, 3, dtype=torch.float64):
        state = cell.step(cell.project(x[None]), state)[1]
        expected = twin(x.tolist(), *expected)
    for found, values in zip(state, expected, strict=True):
        assert found[0].tolist() == pytest.approx(values, abs=1e-11)


def test_without_rounds_it_is_the_lstm() -> None:
    cell, lstm = Mogrifier(3, 4, rounds=0), LSTM(3, 4)
    lstm.load_state_dict({name: value for name, value in cell.state_dict().items() if value.numel()})
    x, state = torch.randn(5, 3), (torch.randn(5, 4), torch.randn(5, 4))
    assert torch.equal(cell.step(cell.project(x), state)[0], lstm.step(lstm.project(x), state)[0])


def test_gates_that_know_nothing_leave_things_as_they_are() -> None:
    cell, lstm = Mogrifier(3, 4, rank=2), LSTM(3, 4)
    for name in ("weight_q", "weight_r"):
        torch.nn.init.zeros_(cell.get_parameter(name))
    lstm.load_state_dict({name: value for name, value in cell.state_dict().items() if name in lstm.state_dict()})
    x, state = torch.randn(5, 3), (torch.randn(5, 4), torch.randn(5, 4))
    assert torch.equal(cell.step(cell.project(x), state)[0], lstm.step(lstm.project(x), state)[0])


def test_its_forget_gate_can_begin_open() -> None:
    cell = Mogrifier(3, 4)
    initialise_(cell, "orthogonal", forget_bias=1.0)
    assert (cell.bias_ih + cell.bias_hh)[4:8].tolist() == [1.0] * 4


@pytest.mark.parametrize("options", [{"rounds": -1}, {"rank": -2}])
def test_negative_numbers_are_refused(options: dict[str, int]) -> None:
    with pytest.raises(BadOption, match="must be 0 or more, not -"):
        Mogrifier(3, 4, **options)
