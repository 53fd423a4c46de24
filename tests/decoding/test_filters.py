"""What is left of a distribution, by hand and against the papers' definitions in plain Python."""

from __future__ import annotations

import math
import re
from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from unrolled.decoding import filters
from unrolled.errors import BadOption


def left(logits: torch.Tensor) -> list[list[int]]:
    return [row.nonzero().flatten().tolist() for row in logits > -torch.inf]


# 0.1, 0.4, 0.05, 0.3, 0.15, at any offset
LOGITS = torch.tensor([[0.1, 0.4, 0.05, 0.3, 0.15]]).log() + 2


@pytest.mark.parametrize(("k", "kept"), [(1, [1]), (2, [1, 3]), (4, [0, 1, 3, 4]), (5, [0, 1, 2, 3, 4]), (9, range(5))])
def test_the_k_most_probable(k, kept):
    assert left(filters.top_k(LOGITS, k)) == [list(kept)]


def test_those_as_probable_as_the_k_th_stay():
    assert left(filters.top_k(torch.tensor([[1.0, 3.0, 1.0, 0.0]]), 2)) == [[0, 1, 2]]


@pytest.mark.parametrize(("p", "kept"), [(1e-9, [1]), (0.39, [1]), (0.41, [1, 3]), (0.69, [1, 3]), (0.71, [1, 3, 4])])
def test_the_fewest_that_hold_a_mass(p, kept):
    assert left(filters.nucleus(LOGITS, p)) == [kept]


@pytest.mark.parametrize(("p", "kept"), [(1.0, [1]), (0.76, [1]), (0.74, [1, 3]), (0.2, [0, 1, 3, 4]), (0.1, range(5))])
def test_those_that_are_not_too_much_less_probable_than_the_first(p, kept):
    assert left(filters.min_p(LOGITS, p)) == [list(kept)]


def test_the_typical_go_first_which_need_not_be_the_most_probable():
    # Three halve what the first leaves: H = 0.5 log 2 + 0.5 log 6 = 1.24. Surprises: 0.69, and 1.79 three times;
    # they are 0.55 from it, both: so let one be nearer.
    logits = torch.tensor([[0.6, 0.2, 0.1, 0.1]]).log()
    # H = 0.306 + 0.322 + 0.461 = 1.089; the surprises 0.511, 1.609, 2.303, 2.303 are 0.578, 0.520, 1.214 from it.
    assert left(filters.typical(logits, 0.1)) == [[1]]
    assert left(filters.typical(logits, 0.5)) == [[0, 1]]
    assert left(filters.typical(logits, 0.85)) == [[0, 1, 2]]


def test_what_was_there_before_gets_less_probable():
    logits = torch.tensor([[2.0, -1.0, 0.0, 3.0], [2.0, -1.0, 0.0, 3.0]])
    history = torch.tensor([[1, 1, 0], [-1, -1, 2]])
    expected = torch.tensor([[1.0, -2.0, 0.0, 3.0], [2.0, -1.0, 0.0, 3.0]])
    assert torch.equal(filters.repetition_penalty(logits, history, 2.0), expected)
    assert filters.repetition_penalty(logits, history, 1.0) is logits
    assert filters.repetition_penalty(logits, history[:, :0], 2.0) is logits


def plain_nucleus(q: list[float], p: float) -> set[int]:
    kept: set[int] = set()
    for token in sorted(range(len(q)), key=lambda each: -q[each]):
        if sum(q[each] for each in kept) >= p:
            break
        kept.add(token)
    return kept


def plain_typical(q: list[float], p: float) -> set[int]:
    entropy = -sum(each * math.log(each) for each in q if each)
    kept: set[int] = set()
    for token in sorted(range(len(q)), key=lambda each: abs(entropy + math.log(q[each])) if q[each] else math.inf):
        if sum(q[each] for each in kept) >= p:
            break
        kept.add(token)
    return kept


@settings(max_examples=150, deadline=None)
@given(
    logits=st.lists(st.integers(-20, 20), min_size=1, max_size=9, unique=True),
    impossible=st.sets(st.integers(0, 8)),
    p=st.floats(0.01, 0.99),
    k=st.integers(1, 9),
)
def test_they_are_what_the_papers_say(logits, impossible, p, k):
    row = [-math.inf if place in impossible else each * 0.3 for place, each in enumerate(logits)]
    if max(row) == -math.inf:
        row[0] = 0.0
    whole = sum(map(math.exp, row))
    q = [math.exp(each) / whole for each in row]
    possible = {place for place, each in enumerate(row) if each > -math.inf}
    tensor = torch.tensor([row, row[::-1]], dtype=torch.float64)

    def kept(function) -> set[int]:
        both = left(function(tensor))
        assert {len(row) - 1 - place for place in both[1]} == set(both[0])  # unless of equals
        return set(both[0])

    order = sorted(possible, key=lambda each: -q[each])
    assert kept(partial(filters.top_k, k=k)) == set(order[:k])
    assert kept(partial(filters.min_p, p=p)) == {each for each in possible if q[each] >= p * max(q)}
    assert kept(partial(filters.nucleus, p=p)) == plain_nucleus(q, p) & possible
    assert kept(partial(filters.typical, p=p)) == plain_typical(q, p) & possible


EACH = [
    partial(filters.top_k, k=2),
    partial(filters.nucleus, p=0.5),
    partial(filters.min_p, p=1.0),
    partial(filters.typical, p=0.5),
]


@pytest.mark.parametrize("function", EACH)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_the_rest_stays_as_it_is(function, dtype):
    logits = torch.randn(20, 30).to(dtype)
    before = logits.clone()
    found = function(logits)
    assert torch.equal(logits, before)
    assert found.dtype == dtype
    kept = found > -torch.inf
    assert torch.equal(found[kept], logits[kept])
    assert kept.any(1).all()
    assert not kept.all()
    for row in range(20):
        assert torch.equal(function(logits[row : row + 1])[0], found[row])


@pytest.mark.parametrize("function", EACH)
def test_a_row_that_has_nothing_keeps_nothing(function):
    logits = torch.full((1, 5), -torch.inf)
    assert torch.equal(function(logits), logits)


@pytest.mark.parametrize(
    ("function", "value", "message"),
    [
        (filters.top_k, -1, "top_k must be 0 (off) or more, not -1"),
        (filters.nucleus, 0.0, "top_p must be above 0 and at most 1 (off), not 0.0"),
        (filters.nucleus, 1.5, "top_p must be above 0 and at most 1 (off), not 1.5"),
        (filters.min_p, -0.1, "min_p must be from 0 (off) to 1, not -0.1"),
        (filters.min_p, math.nan, "min_p must be from 0 (off) to 1, not nan"),
        (filters.typical, 0, "typical must be above 0 and at most 1 (off), not 0"),
    ],
)
def test_what_cannot_be_is_named(function, value, message):
    with pytest.raises(BadOption, match="^" + re.escape(message) + "$"):
        function(LOGITS, value)


@pytest.mark.parametrize("penalty", [0.0, -1.0, math.inf, math.nan])
def test_a_penalty_that_cannot_be_is_named(penalty):
    with pytest.raises(BadOption, match=f"^repetition_penalty must be above 0, not {penalty}$"):
        filters.repetition_penalty(LOGITS, torch.zeros(1, 1, dtype=torch.long), penalty)
