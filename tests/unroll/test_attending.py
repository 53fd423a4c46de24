"""The decoder that attends, plain: one step by hand from the paper's equations, gradients, and what must not matter."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence, pack_sequence

from unrolled import state as states
from unrolled.cells.base import Cell
from unrolled.cells.gru import GRU
from unrolled.cells.gru_cho import GRUCho
from unrolled.cells.lstm import LSTM
from unrolled.errors import BadOption
from unrolled.kernels.attention import Scorer
from unrolled.unroll import attending

CELLS: dict[str, Callable[..., Cell]] = {"gru": GRU, "lstm": LSTM, "gru_cho": GRUCho}


def scorer(features: int, hidden: int, units: int, dtype: torch.dtype = torch.float64) -> Scorer:
    return Scorer(
        *(torch.randn(*size, dtype=dtype) for size in ((units, features), (units, hidden), (units,), (units,)))
    )


def packed(lengths: list[int], features: int) -> PackedSequence:
    return pack_sequence([torch.randn(n, features, dtype=torch.float64) for n in lengths])


def test_two_steps_by_hand() -> None:
    """A GRU of one unit, one unit of the score, a memory of two numbers, worked on plain floats."""
    cell = GRU(2, 1, dtype=torch.float64)
    w, u, b, d = [[0.3, -0.4], [0.7, 0.2], [-0.6, 0.9]], [0.5, -0.3, 0.8], [0.1, -0.2, 0.05], [0.02, 0.3, -0.15]
    with torch.no_grad():
        for name, values in (("weight_ih", w), ("bias_ih", b), ("bias_hh", d)):
            getattr(cell, name).copy_(torch.tensor(values, dtype=torch.float64))
        cell.weight_hh.copy_(torch.tensor(u, dtype=torch.float64).unsqueeze(1))
    key, query, bias, value, memory, words, h = 1.3, -0.7, 0.25, 2.0, (0.4, -1.1), (0.6, -0.5), 0.35
    given = Scorer(*(torch.tensor(v, dtype=torch.float64) for v in ([[key]], [[query]], [bias], [value])))
    read = torch.tensor(memory, dtype=torch.float64).reshape(1, 2, 1), torch.tensor([2])
    x = pack_sequence([torch.tensor(words, dtype=torch.float64).unsqueeze(1)])
    with torch.no_grad():
        found = attending.unroll(cell, given, x, *read, torch.tensor([[h]], dtype=torch.float64))

    def sigmoid(a: float) -> float:
        return 1 / (1 + math.exp(-a))

    for t, word in enumerate(words):
        scores = [value * math.tanh(key * m + query * h + bias) for m in memory]
        total = sum(math.exp(e) for e in scores)
        weights = [math.exp(e) / total for e in scores]
        context = sum(a * m for a, m in zip(weights, memory, strict=True))
        px = [row[0] * word + row[1] * context + c for row, c in zip(w, b, strict=True)]
        r, z = (sigmoid(px[k] + u[k] * h + d[k]) for k in (0, 1))
        n = math.tanh(px[2] + r * (u[2] * h + d[2]))
        h = (1 - z) * n + z * h
        assert found.weights.data[t].tolist() == pytest.approx(weights, rel=1e-12)
        assert float(found.contexts.data[t]) == pytest.approx(context, rel=1e-12)
        assert float(found.outputs.data[t]) == pytest.approx(h, rel=1e-12)
    assert float(found.state) == pytest.approx(h, rel=1e-12)


def loss(cell: Cell, x: PackedSequence, lengths: Tensor, is_pair: bool) -> Callable[..., Tensor]:
    def total(data: Tensor, memory: Tensor, *rest: Tensor) -> Tensor:
        state = rest[4:] if is_pair else rest[4]
        found = attending.unroll(cell, Scorer(*rest[:4]), x._replace(data=data), memory, lengths, state)
        came = (found.outputs.data, found.contexts.data, found.weights.data, *states.leaves(found.state))
        return torch.cat([t.flatten() for t in came])

    return total


@pytest.mark.parametrize("name", CELLS)
def test_first_and_second_derivatives_are_right(name: str) -> None:
    cell, x, lengths = CELLS[name](1 + 2, 2).double(), packed([2, 1], 1), torch.tensor([1, 3])
    state = states.tree_map(torch.randn_like, cell.initial_state(2))
    given = (x.data, torch.randn(2, 3, 2, dtype=torch.float64), *scorer(2, 2, 2), *states.leaves(state))
    given = tuple(t.detach().requires_grad_() for t in given)
    function = loss(cell, x, lengths, isinstance(state, tuple))
    assert torch.autograd.gradcheck(function, given)
    assert torch.autograd.gradgradcheck(function, given, fast_mode=True)


@pytest.mark.parametrize("name", CELLS)
def test_a_row_alone_gives_what_it_gives_among_others(name: str) -> None:
    cell, given = CELLS[name](2 + 3, 4).double(), scorer(3, 4, 5)
    rows, lengths = [torch.randn(n, 2, dtype=torch.float64) for n in (4, 3, 1)], [2, 5, 3]
    memory = torch.randn(3, 5, 3, dtype=torch.float64)
    state = states.tree_map(torch.randn_like, cell.initial_state(3))
    found = attending.unroll(cell, given, pack_sequence(rows), memory, torch.tensor(lengths), state)
    places = [[0, 3, 5, 7], [1, 4, 6], [2]]
    for k, (row, length) in enumerate(zip(rows, lengths, strict=True)):
        one = states.select(state, torch.tensor([k]))
        alone = attending.unroll(
            cell, given, pack_sequence([row]), memory[k : k + 1, :length], torch.tensor([length]), one
        )
        torch.testing.assert_close(found.outputs.data[places[k]], alone.outputs.data)
        torch.testing.assert_close(found.weights.data[places[k]][:, :length], alone.weights.data)
        assert not found.weights.data[places[k]][:, length:].any()
        for mine, own in zip(states.leaves(found.state), states.leaves(alone.state), strict=True):
            torch.testing.assert_close(mine[k : k + 1], own)


def test_what_stands_in_the_padding_comes_in_nowhere() -> None:
    cell, given, x, lengths = GRU(2 + 3, 4).double(), scorer(3, 4, 5), packed([4, 3], 2), torch.tensor([2, 4])
    clean = torch.randn(2, 4, 3, dtype=torch.float64)
    dirty = clean.clone()
    dirty[0, 2:] = torch.nan
    dirty.requires_grad_()
    found, wanted = (attending.unroll(cell, given, x, memory, lengths) for memory in (dirty, clean))
    assert torch.equal(found.outputs.data, wanted.outputs.data)
    (gradient,) = torch.autograd.grad(found.outputs.data.sum(), dirty)
    assert gradient.isfinite().all()
    assert not gradient[0, 2:].any()


def test_the_weights_of_a_row_add_up_to_1_and_the_context_is_their_sum_of_the_memory() -> None:
    cell, given, lengths = GRU(2 + 3, 4).double(), scorer(3, 4, 5), torch.tensor([2, 4])
    memory = torch.randn(2, 4, 3, dtype=torch.float64)
    found = attending.unroll(cell, given, packed([3, 3], 2), memory, lengths)
    torch.testing.assert_close(found.weights.data.sum(1), torch.ones(6, dtype=torch.float64))
    torch.testing.assert_close(
        found.contexts.data, torch.einsum("ebs,bsf->ebf", found.weights.data.view(3, 2, 4), memory).flatten(0, 1)
    )


@pytest.mark.parametrize(
    ("memory", "lengths", "message"),
    [
        ((2, 4), [4, 4], r"a memory is \(batch, source, 3\), not \(2, 4\)"),
        ((2, 4, 5), [4, 4], r"a memory is \(batch, source, 3\), not \(2, 4, 5\)"),
        ((2, 0, 3), [1, 1], r"a memory is \(batch, source, 3\), not \(2, 0, 3\)"),
        ((2, 4, 3), [4, 0], "lengths must be from 1 to 4, the memory's places, not 0 to 4"),
        ((2, 4, 3), [5, 1], "lengths must be from 1 to 4, the memory's places, not 1 to 5"),
        ((2, 4, 3), [4, 4, 4], r"lengths are 2 long numbers, one for each row of the memory, not \(3,\)"),
        ((2, 4, 3), [4.0, 4.0], "lengths are 2 long numbers, one for each row of the memory, not .* torch.float"),
        ((3, 4, 3), [4, 4, 4], "the targets have 2 rows, the memory has 3"),
    ],
)
def test_a_memory_that_does_not_fit_is_refused(memory: tuple[int, ...], lengths: list[int], message: str) -> None:
    given = GRU(2 + 3, 4), scorer(3, 4, 5, torch.float32), pack_sequence([torch.randn(3, 2), torch.randn(1, 2)])
    with pytest.raises(BadOption, match=message):
        attending.unroll(*given, torch.randn(memory), torch.tensor(lengths))


def test_targets_of_another_size_and_a_memory_of_another_type_are_refused() -> None:
    cell, given, lengths = GRU(2 + 3, 4).double(), scorer(3, 4, 5), torch.tensor([4, 4])
    with pytest.raises(BadOption, match=r"the targets' elements have 2 features, not \(3,\)"):
        attending.unroll(cell, given, packed([3, 1], 3), torch.randn(2, 4, 3, dtype=torch.float64), lengths)
    with pytest.raises(BadOption, match=r"the memory is torch.float32, the weights are torch.float64"):
        attending.unroll(cell, given, packed([3, 1], 2), torch.randn(2, 4, 3), lengths)
