"""Where the elements of a packed batch are, against a plain loop over the rows."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.utils.rnn import pack_sequence, pad_sequence

from unrolled.errors import NoElement
from unrolled.layers import packed

LENGTHS = st.lists(st.integers(1, 7), min_size=1, max_size=6)


@settings(max_examples=50, deadline=None)
@given(LENGTHS)
def test_each_element_knows_its_row_and_time(lengths):
    lengths = sorted(lengths, reverse=True)
    x = pack_sequence([torch.tensor([[row, time] for time in range(n)]) for row, n in enumerate(lengths)])
    sizes = x.batch_sizes
    assert packed.rows(sizes).tolist() == x.data[:, 0].tolist()
    assert packed.times(sizes).tolist() == x.data[:, 1].tolist()
    assert packed.lengths(sizes).tolist() == lengths
    assert x.data[packed.last(sizes)].tolist() == [[row, n - 1] for row, n in enumerate(lengths)]
    assert x.data[packed.starts(sizes)].tolist() == [[0, time] for time in range(max(lengths))]
    before = x.data[packed.before(sizes)]
    assert torch.equal(before + torch.tensor([0, 1]), x.data[len(lengths) :])


@settings(max_examples=50, deadline=None)
@given(LENGTHS)
def test_rows_come_back_in_the_callers_order(lengths):
    x = pack_sequence([torch.full((n, 1), row) for row, n in enumerate(lengths)], enforce_sorted=False)
    first = x.data[: len(lengths), 0]
    assert packed.caller_order(first, x).tolist() == list(range(len(lengths)))


def test_a_batch_that_came_sorted_is_left_as_it_is():
    x = pack_sequence([torch.zeros(2, 1), torch.zeros(1, 1)])
    values = torch.tensor([5.0, 6.0])
    assert torch.equal(packed.caller_order(values, x), values)


@settings(max_examples=50, deadline=None)
@given(LENGTHS)
def test_padded_is_torch_s_and_comes_back(lengths):
    rows = [torch.randn(n, 2) for n in sorted(lengths, reverse=True)]
    x = pack_sequence(rows)
    padded = packed.to_padded(x.data, x.batch_sizes)
    assert torch.equal(padded, pad_sequence(rows, batch_first=True))
    assert torch.equal(packed.from_padded(padded, x.batch_sizes), x.data)


def test_what_stands_in_the_padding_does_not_come_back():
    x = pack_sequence([torch.randn(3, 2), torch.randn(1, 2)])
    padded = packed.to_padded(x.data, x.batch_sizes)
    padded[1, 1:] = torch.nan
    assert torch.equal(packed.from_padded(padded, x.batch_sizes), x.data)


def test_a_row_that_is_too_short_is_told_its_length():
    x = pack_sequence([torch.zeros(3, 1), torch.zeros(2, 1)])
    for place in (2, -3):
        with pytest.raises(NoElement, match=f"no element {place} among 2: they are 0 to 1, or, from the end, -1 to -2"):
            packed.at(x, place)
