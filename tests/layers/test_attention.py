"""Additive scores by hand, and a softmax over rows of a packed batch against torch's own, row by row."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn.utils.rnn import pack_sequence

from unrolled.errors import BadOption
from unrolled.layers.attention import AdditiveScore, QueryScore, row_softmax
from unrolled.layers.packed import rows


def test_a_score_by_hand():
    score = AdditiveScore(2, 2)
    with torch.no_grad():
        score.key.weight.copy_(torch.tensor([[0.5, -1.0], [2.0, 0.25]]))
        score.key.bias.copy_(torch.tensor([0.1, -0.2]))
        score.value.weight.copy_(torch.tensor([[3.0, -4.0]]))
    x, y = 0.7, -0.3
    expected = 3 * math.tanh(0.5 * x - y + 0.1) - 4 * math.tanh(2 * x + 0.25 * y - 0.2)
    assert float(score(torch.tensor([x, y])).detach()) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("shift", [0.0, 1000.0, -1000.0])
def test_the_softmax_of_a_row_is_torchs(shift):
    scores = [torch.randn(n) * 5 + shift for n in (6, 3, 1)]
    x = pack_sequence(scores)
    found = row_softmax(x.data, rows(x.batch_sizes), 3)
    assert torch.allclose(found, pack_sequence([s.softmax(0) for s in scores]).data, atol=1e-6)


def test_the_softmax_has_the_right_gradient():
    x = pack_sequence([torch.randn(n, dtype=torch.double) for n in (4, 2, 1)])
    row = rows(x.batch_sizes)
    x.data.requires_grad_()
    assert torch.autograd.gradcheck(lambda s: row_softmax(s, row, 3), (x.data,))
    assert torch.autograd.gradgradcheck(lambda s: row_softmax(s, row, 3), (x.data,))


@pytest.mark.parametrize(("sizes", "name"), [((0, 1), "key_size"), ((1, 0), "hidden_size")])
def test_sizes_below_1_are_refused(sizes, name):
    with pytest.raises(BadOption, match=f"{name} must be 1 or more, not 0"):
        AdditiveScore(*sizes)


def test_a_score_with_a_query_by_hand():
    score = QueryScore(1, 2, 1)
    with torch.no_grad():
        score.key.weight.copy_(torch.tensor([[0.5]]))
        score.query.weight.copy_(torch.tensor([[2.0, -1.0]]))
        score.query.bias.copy_(torch.tensor([0.1]))
        score.value.weight.copy_(torch.tensor([[3.0]]))
        found = score(torch.tensor([[[0.7], [-0.2]]]), torch.tensor([[0.4, 0.9]]))
    query = 2 * 0.4 - 0.9 + 0.1
    assert found.tolist() == [pytest.approx([3 * math.tanh(0.5 * k + query) for k in (0.7, -0.2)], rel=1e-5)]


@pytest.mark.parametrize("place", range(3))
def test_sizes_of_a_score_with_a_query_below_1_are_refused(place):
    sizes = [1, 1, 1]
    sizes[place] = 0
    name = ("key_size", "query_size", "hidden_size")[place]
    with pytest.raises(BadOption, match=f"{name} must be 1 or more, not 0"):
        QueryScore(*sizes)
