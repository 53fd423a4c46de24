"""Kernels one after the other by one call: each as it is by itself, and what does not fit."""

from __future__ import annotations

import pytest
import torch

from unrolled.cells.gru import GRU
from unrolled.cells.lstm import LSTM
from unrolled.kernels import library, matrix, streaming
from unrolled.kernels.attention import Memory
from unrolled.kernels.chain import Chain
from unrolled.unroll import fused, laid_out
from unrolled.unroll.looking import plain

pytestmark = pytest.mark.skipif(library.load() is None, reason="there are no compiled kernels")

ROWS = 3
MASK = torch.tensor([[1, 1, 1, 1], [1, 0, 0, 0], [1, 1, 1, 0]], dtype=torch.bool)


def panels(weight, half=False):
    return matrix.panels(weight, half, transposed=True, threads=1)


@torch.no_grad()
def packed(cell, half=False):
    return laid_out.packed(fused.kind_of(cell), fused._weights(cell), half)


def attended(features=5, units=6):
    memory, keys = torch.randn(ROWS, 4, features), torch.randn(ROWS, 4, units)
    return memory * MASK.unsqueeze(2), keys * MASK.unsqueeze(2), torch.randn(units)


def places(memory):
    return Memory(memory.flatten(0, 1), torch.arange(0, 12, 4), MASK.sum(dim=1), 4)


@pytest.mark.parametrize("half", [False, True])
def test_words_are_looked_up_read_by_a_cell_and_multiplied_again_and_again(isa, half):
    torch.manual_seed(0)
    table, weight, bias, cell = torch.randn(11, 4), torch.randn(9, 7), torch.randn(9), LSTM(6, 7)
    read, beside = torch.zeros(ROWS, 6), torch.randn(ROWS, 2)
    h0, h, c, shown, total = (torch.randn(ROWS, n) for n in (7, 7, 7, 9, 9))
    chain = Chain(ROWS)
    taken = chain.take(table, read[:, :4])
    chain.copy(beside, read[:, 4:])
    chain.tick(packed(cell, half), read, h0, h, c)
    chain.then(h.neg_)
    chain.multiply(h, panels(weight, half), bias, half, shown)
    chain.add(shown, shown, total)
    runs = chain.ready()
    for _ in range(2):
        words, before = torch.randint(11, (ROWS,)), c.clone()
        taken.index = words.data_ptr()
        for run in runs:
            run()
        x = torch.cat([table[words], beside], dim=1)
        right, memory = streaming.tick("lstm", packed(cell, half), x, (h0, before))
        assert torch.equal(h, -right)
        assert torch.equal(c, memory)
        found = torch.empty(ROWS, 9)
        matrix.multiply(half, h, panels(weight, half), found, 1, bias=bias)
        assert torch.equal(shown, found)
        assert torch.equal(total, found + found)


def test_attention_is_that_of_the_equations_at_whatever_it_looks():
    torch.manual_seed(0)
    queries, contexts, chain = torch.randn(ROWS, 6), torch.empty(ROWS, 5), Chain(ROWS)
    look = chain.look(queries, contexts)
    (run,) = chain.ready()
    for _ in range(2):
        memory, keys, value = attended()
        look.at(places(memory), keys.flatten(0, 1), value)
        weights = torch.empty(ROWS, look.longest)
        look.leave_weights(weights)
        queries.copy_(torch.randn(ROWS, 6))
        run()
        right = plain(queries, memory, keys, value, MASK, torch.tensor([ROWS]))
        torch.testing.assert_close((contexts, weights), right)


@pytest.mark.parametrize("word", [-1, 11])
def test_a_word_that_the_table_has_not_is_an_error_and_nothing_behind_it_is_done(word):
    chain, read, after = Chain(ROWS), torch.zeros(ROWS, 4), torch.zeros(ROWS, 4)
    taken = chain.take(torch.ones(11, 4), read)
    chain.copy(read, after)
    (run,) = chain.ready()
    words = torch.tensor([1, 2, word])
    taken.index = words.data_ptr()
    with pytest.raises(IndexError, match="out of its table"):
        run()
    assert not after.any()


def a_table_in_double():
    Chain(ROWS).take(torch.zeros(5, 4).double(), torch.zeros(ROWS, 4))


def a_table_of_other_features():
    Chain(ROWS).take(torch.zeros(5, 3), torch.zeros(ROWS, 4))


def other_rows():
    Chain(ROWS).copy(torch.zeros(2, 4), torch.zeros(ROWS, 4))


def other_features():
    Chain(ROWS).add(torch.zeros(ROWS, 4), torch.zeros(ROWS, 3), torch.zeros(ROWS, 4))


def rows_of_apart_floats():
    Chain(ROWS).copy(torch.zeros(4, ROWS).T, torch.zeros(ROWS, 4))


def panels_of_another_size():
    Chain(ROWS).multiply(torch.zeros(ROWS, 70), panels(torch.zeros(9, 7)), None, False, torch.zeros(ROWS, 9))


def panels_of_another_type():
    Chain(ROWS).multiply(torch.zeros(ROWS, 7), panels(torch.zeros(9, 7)), None, True, torch.zeros(ROWS, 9))


def another_bias():
    Chain(ROWS).multiply(torch.zeros(ROWS, 7), panels(torch.zeros(9, 7)), torch.zeros(8), False, torch.zeros(ROWS, 9))


def an_lstm_without_a_cell_state():
    Chain(ROWS).tick(packed(LSTM(6, 7)), torch.zeros(ROWS, 6), *torch.zeros(2, ROWS, 7), None)


def a_gru_with_one():
    Chain(ROWS).tick(packed(GRU(6, 7)), torch.zeros(ROWS, 6), *torch.zeros(3, ROWS, 7))


def states_with_gaps():
    h = torch.zeros(ROWS, 8)[:, :7]
    Chain(ROWS).tick(packed(GRU(6, 7)), torch.zeros(ROWS, 6), h, h, None)


def contexts_of_other_features():
    memory, keys, value = attended()
    Chain(ROWS).look(torch.zeros(ROWS, 6), torch.zeros(ROWS, 4)).at(places(memory), keys.flatten(0, 1), value)


def keys_of_other_units():
    memory, keys, value = attended(units=7)
    Chain(ROWS).look(torch.zeros(ROWS, 6), torch.zeros(ROWS, 5)).at(places(memory), keys.flatten(0, 1), value)


def a_row_without_a_place():
    memory, keys, value = attended()
    nowhere = places(memory)._replace(lengths=torch.tensor([4, 0, 3]))
    Chain(ROWS).look(torch.zeros(ROWS, 6), torch.zeros(ROWS, 5)).at(nowhere, keys.flatten(0, 1), value)


def other_weights():
    memory, keys, value = attended()
    look = Chain(ROWS).look(torch.zeros(ROWS, 6), torch.zeros(ROWS, 5))
    look.at(places(memory), keys.flatten(0, 1), value)
    look.leave_weights(torch.zeros(ROWS, 5))


WRONG = [
    a_table_in_double, a_table_of_other_features, other_rows, other_features, rows_of_apart_floats,
    panels_of_another_size, panels_of_another_type, another_bias, an_lstm_without_a_cell_state, a_gru_with_one,
    states_with_gaps, contexts_of_other_features, keys_of_other_units, a_row_without_a_place, other_weights,
]  # fmt: skip


@pytest.mark.parametrize("wrong", WRONG)
def test_what_does_not_fit_is_refused(wrong):
    with pytest.raises(ValueError, match=r"wanted is|these are no|must be|has a|has no|have 4 features"):
        wrong()
