"""Attention at places that stay: what it gives, and what it refuses."""

from __future__ import annotations

import pytest
import torch

from unrolled.kernels import library
from unrolled.kernels.looking import Looker
from unrolled.unroll.looking import plain

pytestmark = pytest.mark.skipif(library.load() is None, reason="there are no compiled kernels")

MASK = torch.tensor([[1, 1, 1, 1], [1, 0, 0, 0], [1, 1, 1, 0]], dtype=torch.bool)


def places(features=5, units=6):
    torch.manual_seed(0)
    memory, keys = torch.randn(3, 4, features), torch.randn(3, 4, units)
    return memory * MASK.unsqueeze(2), keys * MASK.unsqueeze(2), torch.randn(units)


def test_it_answers_again_and_again_as_the_equations_have_it():
    memory, keys, value = places()
    look = Looker(memory, keys, value, MASK)
    first = None
    for _ in range(3):
        queries = torch.randn(3, 6)
        contexts, weights = look(queries)
        right = plain(queries, memory, keys, value, MASK, torch.tensor([3]))
        torch.testing.assert_close((contexts, weights), right)
        first = first or (contexts, weights, *right)
    # What it gave before is not written over.
    torch.testing.assert_close(first[:2], first[2:])


@pytest.mark.parametrize("queries", [torch.zeros(2, 6), torch.zeros(3, 5), torch.zeros(3, 6).double()])
def test_other_queries_are_refused(queries):
    with pytest.raises(ValueError, match="queries must be"):
        Looker(*places(), MASK)(queries)


def test_a_row_without_a_place_is_refused():
    with pytest.raises(ValueError, match="lengths must be from 1"):
        Looker(*places(), MASK & torch.tensor([[True], [False], [True]]))
