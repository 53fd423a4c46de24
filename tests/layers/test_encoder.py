"""The encoder: padded in the caller's order, the vector in which it ends, stacks of any depth."""

from __future__ import annotations

import pytest
import torch
from torch.nn.utils.rnn import pack_sequence, pad_sequence

from unrolled import state as states
from unrolled.cells.gru import GRU
from unrolled.cells.lstm import LSTM
from unrolled.layers.embedding import Embedding
from unrolled.layers.encoder import Encoder, Heard, padded, vector
from unrolled.layers.recurrent import Bidirectional, Recurrent, Residual
from unrolled.layers.stack import make_stack


@pytest.mark.parametrize("lengths", [(2, 4, 1), (4, 4, 4), (3,), (5, 3, 1)])
def test_padded_is_what_was_packed(lengths: tuple[int, ...]) -> None:
    rows = [torch.randn(n, 3) for n in lengths]
    for in_order in (False, True):
        if in_order and list(lengths) != sorted(lengths, reverse=True):
            continue
        found, mask, long = padded(pack_sequence(rows, enforce_sorted=in_order))
        assert torch.equal(found, pad_sequence(rows, batch_first=True))
        assert long.tolist() == list(lengths)
        assert mask.sum(1).tolist() == list(lengths)
        assert all(bool(row[:n].all()) for row, n in zip(mask, lengths, strict=True))


def test_padding_is_filled_with_what_is_asked_for() -> None:
    found, *_ = padded(pack_sequence([torch.tensor([5]), torch.tensor([6, 7])], enforce_sorted=False), fill=-1)
    assert found.tolist() == [[5, -1], [6, 7]]


@pytest.mark.parametrize("directions", ["both", "forward"])
@pytest.mark.parametrize("connections", ["plain", "residual"])
def test_the_vector_is_where_each_direction_of_the_topmost_layer_ends(directions: str, connections: str) -> None:
    size = 8 if directions == "both" else 4  # so that every layer may be a residual one
    stack = make_stack(
        size, lambda n: LSTM(n, 4), layers=2, directions=directions, connections=connections, dropout=0.0
    )
    one = Encoder(Embedding(10, size), stack)
    sources = pack_sequence([torch.tensor([3, 4, 5]), torch.tensor([6])], enforce_sorted=False)
    outputs, final = one(sources)
    found = vector(final)
    assert found.shape == (2, size)
    if connections == "plain":  # else what was read is added to what is shown
        shown, _, lengths = padded(outputs)
        ends = torch.stack([row[n - 1] for row, n in zip(shown, lengths.tolist(), strict=True)])
        assert torch.equal(found[:, :4], ends[:, :4])
        if directions == "both":
            assert torch.equal(found[:, 4:], shown[:, 0, 4:])
    assert one.state_sizes() == [[[4, 4]] * (2 if directions == "both" else 1)] * 2
    assert [len(states.leaves(layer)) for layer in final] == [4 if directions == "both" else 2] * 2


def test_a_residual_layer_stands_where_sizes_allow_it() -> None:
    stack = make_stack(5, lambda n: GRU(n, 4), layers=3, directions="both", connections="residual", dropout=0.0)
    kinds = [type(layer) for layer in stack.layers]
    assert kinds == [Bidirectional, Residual, Residual]
    plain = make_stack(4, lambda n: GRU(n, 4), layers=2, directions="forward", connections="plain", dropout=0.0)
    assert [type(layer) for layer in plain.layers] == [Recurrent, Recurrent]


def test_what_was_heard_elsewhere_is_given_on_as_it_is_and_dropped_in_training() -> None:
    x = pack_sequence([torch.ones(n, 3) for n in (2, 4)], enforce_sorted=False)
    heard = Heard(3, 0.5)
    assert (heard.output_size, heard.state_sizes()) == (3, [])
    outputs, final = heard.eval()(x)
    assert torch.equal(outputs.data, x.data)
    assert final == ()
    torch.manual_seed(1)
    assert not torch.equal(heard.train()(x).outputs.data, x.data)
