"""What may be asked for, and what contradicts itself."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch

from unrolled.decoding.constraints import FREE, Constraints, occurs
from unrolled.errors import BadOption


def test_they_are_a_value():
    lists = Constraints(
        maximum_length=torch.tensor([4, 5]),
        prefix=[[3], []],
        forbidden=[7, [1, 2]],
        required=[[[3, 4], [3, 4]], []],
    )
    tuples = Constraints(maximum_length=(4, 5), prefix=((3,), ()), forbidden=((7,), (1, 2)), required=(((3, 4),), ()))
    assert lists == tuples
    assert hash(lists) == hash(tuples)
    assert lists.requires()
    assert not Constraints(required=[[], []]).requires()


@pytest.mark.parametrize("one", [6, np.int64(6), torch.tensor(6), np.array(6)])
def test_one_length_is_that_of_all(one):
    assert Constraints(maximum_length=one).limits(3) == [6, 6, 6]


@pytest.mark.parametrize("each", [[6, 2], (6, 2), np.array([6, 2]), torch.tensor([6, 2])])
def test_a_length_for_each(each):
    assert Constraints(maximum_length=each).limits(2) == [6, 2]


def test_where_nothing_is_asked_for_nothing_is_given():
    assert FREE.limits(2) == [256, 256]
    assert FREE.prefixes(2) == FREE.phrases(2) == [(), ()]
    FREE.require_possible(2, 1)


def test_a_phrase_occurs_in_one_piece():
    assert occurs((1, 2), (0, 1, 2))
    assert occurs((1, 2), (1, 2, 0))
    assert not occurs((1, 2), (1, 0, 2))
    assert not occurs((1, 2), (1,))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"minimum_length": -1}, "minimum_length must be 0 or more, not -1"),
        ({"no_repeat_ngram": -2}, "no_repeat_ngram must be 0 or more, not -2"),
        ({"maximum_length": 2.5}, "maximum_length must be a whole number, not 2.5"),
        ({"maximum_length": [3, -1]}, "maximum_length must be 0 or more, not -1"),
        ({"prefix": [3]}, "prefix must be whole numbers, not 3"),
        ({"prefix": ["abc"]}, "prefix must be whole numbers, not 'abc'"),
        ({"forbidden": ["abc"]}, "forbidden must be whole numbers, not 'abc'"),
        ({"forbidden": [-1]}, "forbidden must be 0 or more, not -1"),
        ({"forbidden": [[]]}, "a forbidden or required phrase has at least one token, not none"),
        ({"required": [[[]]]}, "a forbidden or required phrase has at least one token, not none"),
        ({"required": [[5]]}, "required must be whole numbers, not 5"),
    ],
)
def test_what_can_never_be_is_refused_at_once(options, message):
    with pytest.raises(BadOption, match="^" + re.escape(message) + "$"):
        Constraints(**options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"maximum_length": [3]}, "maximum_length for 1 sources, but the batch has 2"),
        ({"prefix": [[], [], []]}, "prefix for 3 sources, but the batch has 2"),
        ({"required": []}, "required for 0 sources, but the batch has 2"),
        ({"minimum_length": 4, "maximum_length": [4, 3]}, "source 1: at least 4 tokens, but at most 3"),
        (
            {"prefix": [[], [5, 5]], "maximum_length": 1},
            "source 1: a prefix of 2 tokens, but at most 1 in all",
        ),
        ({"prefix": [[3, 1], []]}, "source 0: the prefix holds the end mark, 1"),
        ({"required": [[[4, 1]], []]}, "source 0: the required [4, 1] holds the end mark, 1"),
        (
            {"required": [[], [[4, 5, 6]]], "maximum_length": 2},
            "source 1: [4, 5, 6] is required, but at most 2 tokens",
        ),
        (
            {"required": [[[4, 5, 6]], []], "forbidden": [9, [5, 6]]},
            "source 0: [4, 5, 6] is required, but [5, 6] forbidden",
        ),
    ],
)
def test_what_contradicts_itself_is_named(options, message):
    with pytest.raises(BadOption, match="^" + re.escape(message) + "$"):
        Constraints(**options).require_possible(2, 1)
