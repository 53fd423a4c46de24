"""What may follow, against what one would say of each token."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from unrolled.decoding.constraints import Constraints
from unrolled.decoding.greedy import greedy
from unrolled.decoding.masks import Masks
from unrolled.errors import BadOption

token = st.integers(0, 4)


def what_is_left(constraints: Constraints, sources: list[int], histories: list[list[int]]) -> list[list[int]]:
    masks = Masks(constraints, 2, 0, 1)
    log_p = torch.randn(len(sources), 5).log_softmax(1)
    before = log_p.clone()
    masks.apply(log_p, np.array(sources), len(histories[0]), np.array(histories).reshape(len(sources), -1))
    may = log_p > -torch.inf
    assert torch.equal(log_p[may], before[may])
    return [row.nonzero().flatten().tolist() for row in may]


@settings(max_examples=300, deadline=None)
@given(
    data=st.data(),
    length=st.integers(0, 6),
    minimum=st.integers(0, 7),
    ngram=st.integers(0, 3),
    forbidden=st.lists(st.lists(token, min_size=1, max_size=3), max_size=4),
    prefixes=st.lists(st.lists(st.sampled_from([0, 2, 3]), max_size=4), min_size=2, max_size=2),
)
def test_a_token_may_follow_where_all_constraints_let_it(slow, data, length, minimum, ngram, forbidden, prefixes):
    sources = data.draw(st.lists(st.integers(0, 1), min_size=1, max_size=4))
    rows = st.lists(st.sampled_from([0, 2, 3, 4]), min_size=length, max_size=length)
    histories = [data.draw(rows) for _ in sources]
    constraints = Constraints(minimum, 9, prefixes, forbidden, no_repeat_ngram=ngram)
    expected = []
    for source, history in zip(sources, histories, strict=True):
        own = slow.may_follow(minimum=minimum, forbidden=forbidden, ngram=ngram, prefix=prefixes[source])
        # What is repeated in the history itself does not matter: it is the last one that may not repeat another.
        expected.append([each for each in range(5) if own(tuple(history), each)])
    assert what_is_left(constraints, sources, histories) == expected


def test_some_by_hand():
    assert what_is_left(Constraints(2), [0, 1], [[3], [4]]) == [[0, 2, 3, 4]] * 2
    assert what_is_left(Constraints(2), [0], [[3, 3]]) == [[0, 1, 2, 3, 4]]
    assert what_is_left(Constraints(forbidden=[4, [3, 2], [2, 3, 1]]), [0, 0], [[2, 3], [3, 2]]) == [
        [0, 3],
        [0, 1, 2, 3],
    ]
    assert what_is_left(Constraints(no_repeat_ngram=2), [0], [[2, 3, 2, 4, 2]]) == [[0, 1, 2]]
    assert what_is_left(Constraints(no_repeat_ngram=3), [0], [[2, 3, 4, 2, 3]]) == [[0, 1, 2, 3]]
    assert what_is_left(Constraints(no_repeat_ngram=1), [0], [[2, 4]]) == [[0, 1, 3]]


def test_a_prefix_stands_whatever_else_is_asked_for():
    rules = Constraints(prefix=[[4, 4], []], forbidden=[4, 2], no_repeat_ngram=1, maximum_length=9)
    assert what_is_left(rules, [0, 1, 0], [[4], [3], [4]]) == [[4], [0, 1], [4]]
    assert what_is_left(rules, [0, 1], [[4, 4], [3, 0]]) == [[0, 1, 3], [1]]


def test_what_is_forbidden_looks_back_into_the_prefix():
    rules = Constraints(prefix=[[3], []], forbidden=[[3, 2]], maximum_length=9)
    assert what_is_left(rules, [0, 0], [[3], [3]]) == [[0, 1, 3, 4]] * 2


@pytest.mark.parametrize(
    ("rules", "begin", "end", "number"),
    [
        (Constraints(forbidden=[[2, 5]]), 0, 1, 5),
        (Constraints(prefix=[[], [6]]), 0, 1, 6),
        (Constraints(required=[[[2, 7]], []]), 0, 1, 7),
        (FREE_ := Constraints(), 8, 1, 8),
        (FREE_, 0, 5, 5),
        (FREE_, 0, -1, -1),
        (FREE_, -2, 1, -2),
    ],
)
def test_a_token_that_there_is_not_is_named(rules, begin, end, number):
    with pytest.raises(BadOption, match="^" + re.escape(f"there is no token {number}: the vocabulary has 5") + "$"):
        Masks(rules, 2, begin, end).apply(torch.zeros(1, 5), np.array([0]), 0, np.zeros((1, 0), dtype=np.int64))


def test_where_nothing_may_follow_a_hypothesis_ends_as_it_is(slow):
    # Three tokens, none twice, and no end before four: after three there is nothing left.
    toy = slow.toy(4)
    options: dict[str, Any] = {"batch": 1, "begin": 0, "end": 1}
    rules = Constraints(minimum_length=4, no_repeat_ngram=1, maximum_length=[9])
    [found] = greedy(toy.step, toy.state(1), toy.memory([5]), constraints=rules, **options)
    assert sorted(found.tokens) == [0, 2, 3]
    assert not found.finished
    log_p = [toy.log_p(5, found.tokens[:place])[each] for place, each in enumerate(found.tokens)]
    assert found.log_probability == pytest.approx(sum(log_p))
