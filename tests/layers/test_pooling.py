"""Each pooling against a plain loop over the caller's rows."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.utils.rnn import pack_sequence, unpack_sequence

from unrolled.layers.pooling import AdditiveAttention, LastState, Max, Mean


def slow_attention(pool, row):
    weights = pool.score(row).softmax(0)
    return (weights[:, None] * row).sum(0)


POOLINGS = {
    "last": (LastState(), lambda _, row: row[-1]),
    "both directions": (LastState(3), lambda _, row: torch.cat([row[-1, :3], row[0, 3:]])),
    "mean": (Mean(), lambda _, row: row.mean(0)),
    "max": (Max(), lambda _, row: row.max(0).values),
    "attention": (AdditiveAttention(5, 4).double(), slow_attention),
}


@pytest.mark.parametrize("kind", POOLINGS)
@settings(max_examples=25, deadline=None)
@given(lengths=st.lists(st.integers(1, 6), min_size=1, max_size=5))
def test_pooling_is_the_plain_loop_in_the_callers_order(kind, lengths):
    pool, slow = POOLINGS[kind]
    given_rows = [torch.randn(n, 5, dtype=torch.double) for n in lengths]
    pooled = pool(pack_sequence(given_rows, enforce_sorted=False))
    torch.testing.assert_close(pooled, torch.stack([slow(pool, row) for row in given_rows]))


@pytest.mark.parametrize("kind", POOLINGS)
def test_gradients_are_right(kind):
    pool, _ = POOLINGS[kind]
    x = pack_sequence([torch.randn(n, 5, dtype=torch.double) for n in (2, 4, 1)], enforce_sorted=False)
    x.data.requires_grad_()
    assert torch.autograd.gradcheck(lambda data: pool(x._replace(data=data)), (x.data,))
    assert torch.autograd.gradgradcheck(lambda data: pool(x._replace(data=data)), (x.data,))


@pytest.mark.parametrize("kind", POOLINGS)
def test_the_same_input_gives_the_same_bits(kind):
    pool, _ = POOLINGS[kind]
    x = pack_sequence([torch.randn(n, 5, dtype=torch.double) for n in (200, 400, 100)], enforce_sorted=False)

    def run():
        data = x.data.clone().requires_grad_()
        pooled = pool(x._replace(data=data))
        pooled.square().sum().backward()
        return pooled, data.grad

    (first, first_grad), (second, second_grad) = run(), run()
    assert torch.equal(first, second)
    assert torch.equal(first_grad, second_grad)


def test_the_maximum_of_negative_values_is_negative():
    assert Max()(pack_sequence([-torch.ones(3, 2), -2 * torch.ones(1, 2)])).tolist() == [[-1, -1], [-2, -2]]


def test_attention_shows_its_weights():
    pool = AdditiveAttention(5)
    rows = [torch.randn(n, 5) for n in (2, 4, 1)]
    pooled, weights = pool.attend(pack_sequence(rows, enforce_sorted=False))
    for row, mine, result in zip(rows, unpack_sequence(weights), pooled, strict=True):
        assert float(mine.sum().detach()) == pytest.approx(1, abs=1e-6)
        torch.testing.assert_close((mine[:, None] * row).sum(0), result)
