from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.utils.rnn import pack_sequence

from unrolled import state as states
from unrolled.cells.initialise import initialise_
from unrolled.cells.lstm import LSTM
from unrolled.cells.mogrifier import Mogrifier
from unrolled.errors import BadOption
from unrolled.layers.weight_drop import WeightDrop
from unrolled.unroll import choose, scan

GATING = ("weight_q", "weight_r")
"""How the names of Q and R begin."""


def test_one_step_by_hand(put, plain) -> None:
    cell = Mogrifier(1, 2, rounds=3)
    put(cell,
        weight_ih=[[0.5], [-0.4], [0.3], [0.2], [1.0], [-1.5], [0.7], [-0.6]],
        weight_hh=[[0.1, 0.2], [-0.3, 0.4], [0.5, -0.6], [0.7, 0.8], [-0.9, 1.0], [1.1, -1.2],
                   [0.15, 0.25], [-0.35, 0.45]],
        weight_q1=[[0.9, -0.7]], weight_r2=[[1.3], [-1.4]], weight_q3=[[0.33, 0.66]],
        bias_ih=[0.01, 0.02, 1.0, 0.9, 0.05, -0.06, 0.07, 0.08],
        bias_hh=[0.1, -0.1, 0.2, -0.2, 0.3, -0.3, 0.4, -0.4])  # fmt: skip
    x_t, h_t, c = 2.0, [0.6, -0.8], [1.5, -0.5]

    x_1 = 2 * plain.sigmoid(0.9 * h_t[0] + -0.7 * h_t[1]) * x_t
    h = [2 * plain.sigmoid(1.3 * x_1) * h_t[0], 2 * plain.sigmoid(-1.4 * x_1) * h_t[1]]
    x = 2 * plain.sigmoid(0.33 * h[0] + 0.66 * h[1]) * x_1
    i_0 = plain.sigmoid(0.5 * x + 0.01 + 0.1 * h[0] + 0.2 * h[1] + 0.1)
    i_1 = plain.sigmoid(-0.4 * x + 0.02 + -0.3 * h[0] + 0.4 * h[1] + -0.1)
    f_0 = plain.sigmoid(0.3 * x + 1.0 + 0.5 * h[0] + -0.6 * h[1] + 0.2)
    f_1 = plain.sigmoid(0.2 * x + 0.9 + 0.7 * h[0] + 0.8 * h[1] + -0.2)
    g_0 = math.tanh(1.0 * x + 0.05 + -0.9 * h[0] + 1.0 * h[1] + 0.3)
    g_1 = math.tanh(-1.5 * x + -0.06 + 1.1 * h[0] + -1.2 * h[1] + -0.3)
    o_0 = plain.sigmoid(0.7 * x + 0.07 + 0.15 * h[0] + 0.25 * h[1] + 0.4)
    o_1 = plain.sigmoid(-0.6 * x + 0.08 + -0.35 * h[0] + 0.45 * h[1] + -0.4)
    c_0, c_1 = f_0 * c[0] + i_0 * g_0, f_1 * c[1] + i_1 * g_1

    expected = {
        "x_gated": [x], "h_gated": h, "i": [i_0, i_1], "f": [f_0, f_1], "g": [g_0, g_1], "o": [o_0, o_1],
        "c": [c_0, c_1], "h": [o_0 * math.tanh(c_0), o_1 * math.tanh(c_1)],
    }  # fmt: skip
    state = (torch.tensor([h_t], dtype=torch.float64), torch.tensor([c], dtype=torch.float64))
    gates = cell.gates(cell.project(torch.tensor([[x_t]], dtype=torch.float64)), state)
    assert set(gates._fields) == set(expected)
    for name, values in expected.items():
        assert getattr(gates, name)[0].tolist() == pytest.approx(values, abs=1e-14), name


def product(cell: Mogrifier, name: str) -> list[list[float]]:
    """Q or R as rows, the product of its two parts where it has two."""
    if not cell.rank:
        found: list[list[float]] = getattr(cell, name).tolist()
        return found
    left, right = getattr(cell, f"{name}_left").tolist(), getattr(cell, f"{name}_right").tolist()
    return [[sum(a * b for a, b in zip(row, c, strict=True)) for c in zip(*right, strict=True)] for row in left]


@pytest.mark.parametrize("rank", [None, 0, 2])
@pytest.mark.parametrize("rounds", [1, 2, 5, 6])
@pytest.mark.parametrize("bias", [True, False])
def test_it_agrees_with_a_loop_over_units(drawn, plain, bias: bool, rounds: int, rank: int | None) -> None:
    cell = drawn(Mogrifier(3, 4, rounds=rounds, rank=rank, bias=bias))
    W, U = plain.blocks(cell, "weight_ih"), plain.blocks(cell, "weight_hh")  # noqa: N806
    zeros = {name: [0.0] * 4 for name in cell.blocks}
    b, d = (plain.blocks(cell, "bias_ih"), plain.blocks(cell, "bias_hh")) if bias else (zeros, zeros)

    def gate(weight: list[list[float]], by: list[float], gated: list[float]) -> list[float]:
        return [2 * plain.sigmoid(plain.dot(row, by)) * value for row, value in zip(weight, gated, strict=True)]

    def twin(x: list[float], h: list[float], c: list[float]) -> tuple[list[float], list[float]]:
        for i in range(1, rounds + 1):
            if i in (1, 3, 5):
                x = gate(product(cell, f"weight_q{i}"), h, x)
            else:
                h = gate(product(cell, f"weight_r{i}"), x, h)
        h_next, c_next = [], []
        for k in range(4):
            a = {g: plain.dot(W[g][k], x) + b[g][k] + plain.dot(U[g][k], h) + d[g][k] for g in ("i", "f", "g", "o")}
            c_next.append(plain.sigmoid(a["f"]) * c[k] + plain.sigmoid(a["i"]) * math.tanh(a["g"]))
            h_next.append(plain.sigmoid(a["o"]) * math.tanh(c_next[k]))
        return h_next, c_next

    h, c = torch.randn(4, dtype=torch.float64), torch.randn(4, dtype=torch.float64)
    state, expected = (h[None], c[None]), (h.tolist(), c.tolist())
    for x in torch.randn(6, 3, dtype=torch.float64):
        state = cell.step(cell.project(x[None]), state)[1]
        expected = twin(x.tolist(), *expected)
    for found, values in zip(state, expected, strict=True):
        assert found[0].tolist() == pytest.approx(values, abs=1e-12)


def unrolled(cell: Any, rows: list[Tensor]) -> tuple[Tensor, ...]:
    outputs, final = choose.unroll(cell, pack_sequence(rows, enforce_sorted=False))
    return outputs.data, *states.leaves(final)


@pytest.mark.parametrize("bias", [True, False])
def test_without_rounds_it_is_the_lstm_drawn_alike(bias: bool) -> None:
    torch.manual_seed(3)
    lstm = LSTM(3, 4, bias=bias)
    torch.manual_seed(3)
    cell = Mogrifier(3, 4, rounds=0, bias=bias)
    assert {name for name, _ in cell.named_parameters()} == {name for name, _ in lstm.named_parameters()}
    packed = pack_sequence([torch.randn(n, 3) for n in (4, 2, 2)])
    found, expected = scan.unroll(cell, packed), scan.unroll(lstm, packed)
    assert torch.equal(found[0].data, expected[0].data)
    for a, b in zip(states.leaves(found[1]), states.leaves(expected[1]), strict=True):
        assert torch.equal(a, b)


def test_gates_without_weights_do_nothing() -> None:
    cell, lstm = Mogrifier(3, 4), LSTM(3, 4)
    for name, parameter in cell.named_parameters():
        if name[:8] in GATING:
            torch.nn.init.zeros_(parameter)
    lstm.load_state_dict({name: cell.state_dict()[name] for name in lstm.state_dict()})
    rows = [torch.randn(n, 3) for n in (2, 5, 3)]
    torch.testing.assert_close(unrolled(cell, rows), unrolled(lstm, rows))


def test_a_product_of_two_thin_matrices_is_the_full_one(drawn) -> None:
    thin, full = drawn(Mogrifier(3, 4, rank=2)), drawn(Mogrifier(3, 4))
    full.load_state_dict(
        {
            name: torch.tensor(product(thin, name)) if name[:8] in GATING else thin.state_dict()[name]
            for name in full.state_dict()
        }
    )
    rows = [torch.randn(n, 3, dtype=torch.float64) for n in (2, 5, 3)]
    torch.testing.assert_close(unrolled(thin, rows), unrolled(full, rows))


@pytest.mark.parametrize("rank", [None, 2])
def test_derivatives_through_the_way_that_the_library_takes(drawn, rank: int | None) -> None:
    cell = drawn(Mogrifier(3, 4, rounds=3, rank=rank))
    names = [name for name, _ in cell.named_parameters()]
    packed = pack_sequence([torch.randn(n, 3, dtype=torch.float64) for n in (3, 1)])

    def function(data: Tensor, h: Tensor, c: Tensor, *weights: Tensor) -> tuple[Tensor, ...]:
        one = Mogrifier(3, 4, rounds=3, rank=rank, dtype=torch.float64)
        for name, weight in zip(names, weights, strict=True):
            del one._parameters[name]
            setattr(one, name, weight)
        outputs, final = choose.unroll(one, packed._replace(data=data), (h, c))
        return outputs.data, *states.leaves(final)

    state = (torch.randn(2, 4, dtype=torch.float64), torch.randn(2, 4, dtype=torch.float64))
    arguments = [packed.data, *state, *(parameter.detach() for parameter in cell.parameters())]
    leaves = tuple(argument.clone().requires_grad_() for argument in arguments)
    assert torch.autograd.gradcheck(function, leaves)
    assert torch.autograd.gradgradcheck(function, leaves, fast_mode=True)


@pytest.mark.parametrize("options", [{"rounds": 0}, {"rank": 2}, {"rounds": 4}])
def test_a_row_is_the_same_alone_and_beside_others(options: dict[str, int]) -> None:
    cell = Mogrifier(3, 4, **options).double()
    rows = [torch.randn(n, 3, dtype=torch.float64) for n in (2, 5, 3)]
    outputs, (h, c) = choose.unroll(cell, pack_sequence(rows, enforce_sorted=False))
    together = torch.nn.utils.rnn.unpack_sequence(outputs)
    for place, row in enumerate(rows):
        alone, (h_alone, c_alone) = choose.unroll(cell, pack_sequence([row]))
        torch.testing.assert_close(together[place], alone.data)
        assert outputs.unsorted_indices is not None
        at = outputs.unsorted_indices[place]
        torch.testing.assert_close((h[at], c[at]), (h_alone[0], c_alone[0]))


def test_both_directions_at_once_are_each_alone() -> None:
    ahead, back = Mogrifier(3, 4), Mogrifier(3, 4, rounds=2)
    row = torch.randn(5, 3)
    both, _ = choose.unroll_both(ahead, back, pack_sequence([row]))
    torch.testing.assert_close(both.data[:, :4], choose.unroll(ahead, pack_sequence([row]))[0].data)
    torch.testing.assert_close(both.data[:, 4:].flip(0), choose.unroll(back, pack_sequence([row.flip(0)]))[0].data)


@pytest.mark.parametrize("rank", [None, 2])
def test_it_can_be_initialised_as_the_lstm_can(rank: int | None) -> None:
    cell = Mogrifier(3, 4, rank=rank)
    initialise_(cell, "orthogonal", forget_bias=1.0)
    for block in cell.weight_hh.chunk(4):
        torch.testing.assert_close(block @ block.T, torch.eye(4))
    assert cell.bias_ih is not None
    assert cell.bias_ih.tolist() == [0.0] * 4 + [1.0] * 4 + [0.0] * 8
    gating = [parameter for name, parameter in cell.named_parameters() if name[:8] in GATING]
    assert len(gating) == (5 if rank is None else 10)
    assert all(0 < parameter.abs().max() <= 0.5 for parameter in gating)  # 1 / sqrt(4)


def test_the_weights_of_the_gating_can_be_dropped_too() -> None:
    cell = WeightDrop(Mogrifier(3, 4), 0.5, ["weight_hh", "weight_q1"])
    outputs = unrolled(cell.train(), [torch.randn(4, 3)])
    outputs[0].sum().backward()
    gradient = cell.cell.weight_q1.grad
    assert gradient is not None
    assert (gradient == 0).any()  # of what was dropped
    assert (gradient != 0).any()


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"rounds": -1}, r"^rounds must be 0 or more, not -1$"),
        ({"rank": 4}, r"^rank must be from 0 to the smaller of input_size \(3\) and hidden_size \(4\), not 4$"),
        ({"rank": -1}, r"^rank must be from 0 to the smaller of input_size \(3\) and hidden_size \(4\), not -1$"),
    ],
)
def test_what_it_cannot_be_made_of_is_refused(options: dict[str, int], complaint: str) -> None:
    with pytest.raises(BadOption, match=complaint):
        Mogrifier(3, 4, **options)


def test_it_says_what_it_is_made_of() -> None:
    assert repr(Mogrifier(3, 4, rank=2)) == "Mogrifier(3, 4, rounds=5, rank=2)"
