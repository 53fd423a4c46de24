"""A decoder that attends: all at once it gives what it gives step by step, by the kernels and without them."""

from __future__ import annotations

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
from unrolled.layers.attention import QueryScore
from unrolled.layers.decoder import AttentionDecoder
from unrolled.layers.weight_drop import WeightDrop
from unrolled.unroll import attending_fused

CELLS: dict[str, Callable[..., Cell]] = {"gru": GRU, "lstm": LSTM, "gru_cho": GRUCho}


def decoder(name: str) -> AttentionDecoder:
    return AttentionDecoder(CELLS[name](3 + 4, 5), QueryScore(4, 5, 6))


def data() -> tuple[PackedSequence, Tensor, Tensor]:
    """20 elements of targets, enough for the kernels."""
    return pack_sequence([torch.randn(n, 3) for n in (9, 8, 3)]), torch.randn(3, 6, 4), torch.tensor([2, 6, 1])


@pytest.mark.parametrize("name", CELLS)
def test_step_by_step_gives_what_the_whole_gives(name: str) -> None:
    one, (x, memory, lengths) = decoder(name), data()
    memory[torch.arange(6) >= lengths.unsqueeze(1)] = torch.nan
    with torch.no_grad():
        whole = one(x, memory, lengths)
        source, state, start = one.source(memory, lengths), one.initial_state(3), 0
        for alive in x.batch_sizes.tolist():
            here = slice(start, start + alive)
            source, state = (states.select(t, torch.arange(alive)) for t in (source, state))
            output, context, weights, state = one.step(x.data[here], source, state)
            for found, wanted in ((output, whole.outputs), (context, whole.contexts), (weights, whole.weights)):
                torch.testing.assert_close(found, wanted.data[here], rtol=0, atol=2e-6)
            start += alive


def test_a_source_repeats_and_selects_its_rows_as_a_state_does() -> None:
    one, (x, memory, lengths) = decoder("lstm"), data()
    source, state = one.source(memory, lengths), one.initial_state(3)
    output, *_ = one.step(x.data[:3], source, state)
    beams = [states.repeat(t, 2) for t in (source, state)]
    twice, *_ = one.step(x.data[:3].repeat_interleave(2, 0), *beams)
    torch.testing.assert_close(twice, output.repeat_interleave(2, 0))


@pytest.mark.parametrize("name", CELLS)
def test_without_the_kernels_all_is_the_same(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    one, given = decoder(name), data()
    found = one(*given)
    first = torch.autograd.grad(found.outputs.data.sum() + found.contexts.data.sum(), list(one.parameters()))
    monkeypatch.setattr(attending_fused, "attempt", lambda *_: None)
    wanted = one(*given)
    second = torch.autograd.grad(wanted.outputs.data.sum() + wanted.contexts.data.sum(), list(one.parameters()))
    torch.testing.assert_close(found.outputs.data, wanted.outputs.data)
    for mine, right in zip(first, second, strict=True):
        torch.testing.assert_close(mine, right, rtol=1e-4, atol=1e-5)


def test_a_cell_that_drops_weights_drops_them_once_for_all_steps() -> None:
    one, given = AttentionDecoder(WeightDrop(GRU(3 + 4, 5), 0.5), QueryScore(4, 5, 6)), data()
    torch.manual_seed(1)
    found = one(*given).outputs.data
    torch.manual_seed(1)
    assert torch.equal(one(*given).outputs.data, found)
    one.eval()
    assert not torch.equal(one(*given).outputs.data, found)


def test_it_learns_to_copy() -> None:
    """Each target element is the source's place of that number: only attention that moves on can find it."""
    torch.manual_seed(0)
    one = AttentionDecoder(GRU(4 + 8, 16), QueryScore(8, 16, 16))
    out, places = torch.nn.Linear(8, 4), torch.eye(4).expand(32, 4, 4)
    optimizer = torch.optim.Adam([*one.parameters(), *out.parameters()], lr=0.02)
    for _ in range(150):
        values = torch.randint(4, (32, 4))
        memory = torch.cat([torch.nn.functional.one_hot(values, 4).float(), places], dim=2)
        x = pack_sequence(list(torch.nn.functional.one_hot(torch.arange(4), 4).float().expand(32, 4, 4)))
        made = one(x, memory, torch.full((32,), 4))
        loss = torch.nn.functional.cross_entropy(out(made.contexts.data), values.T.flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert float(loss.detach()) < 0.1
    # In packed order, time first: the weights of time t lie on place t.
    assert torch.equal(made.weights.data.argmax(1).view(4, 32), torch.arange(4).unsqueeze(1).expand(4, 32))


def test_sizes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(BadOption, match="the cell reads 4 features, the context alone has 4"):
        AttentionDecoder(GRU(4, 5), QueryScore(4, 5, 6))
    with pytest.raises(BadOption, match="the cell's hidden state has 5 features, the score's query 7"):
        AttentionDecoder(GRU(7, 5), QueryScore(4, 7, 6))
    one, (x, memory, lengths) = decoder("gru"), data()
    with pytest.raises(BadOption, match="lengths must be from 1 to 6, the memory's places, not 0 to 6"):
        one(x, memory, torch.tensor([2, 6, 0]))
    with pytest.raises(BadOption, match="the targets have 3 rows, the memory has 2"):
        one(x, memory[:2], lengths[:2])
