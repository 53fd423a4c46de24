"""Scores, by hand."""

from __future__ import annotations

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unrolled.decoding.ranking import Ranking
from unrolled.errors import BadOption, UnknownName


@pytest.mark.parametrize(
    ("ranking", "expected"),
    [
        (Ranking("none", 3.0), -6.0),
        (Ranking("length"), -2.0),
        (Ranking("length", 2.0), -6 / 9),
        (Ranking("length", 0.0), -6.0),
        (Ranking("gnmt", 1.0), -6 * 6 / 8),
        (Ranking("gnmt", 0.5), -6 / math.sqrt(8 / 6)),
        (Ranking(), -2.0),
    ],
)
def test_a_log_probability_of_minus_six_over_three_tokens(ranking, expected):
    assert ranking.score(-6.0, 3) == pytest.approx(expected)


def test_what_has_not_been_looked_at_enough_counts_against_it():
    # 0.5 is missed by log 2, 1.7 by nothing.
    ranking = Ranking("none", coverage_penalty=0.4)
    assert ranking.score(-1.0, 3, [0.5, 1.7, 1.0]) == pytest.approx(-1 - 0.4 * math.log(2))
    assert ranking.score(-1.0, 3, [0.5, 0.25]) == pytest.approx(-1 - 0.4 * math.log(8))
    assert ranking.score(-1.0, 3, [0.0]) == pytest.approx(-1 - 0.4 * 126 * math.log(2))
    assert Ranking("none").score(-1.0, 3, [0.5]) == -1.0


def test_nothing_is_as_long_as_one_token():
    assert Ranking("length").score(0.0, 0) == 0.0
    assert Ranking("gnmt").divisor(0) == Ranking("gnmt").divisor(1) == 1.0


@given(st.sampled_from(["none", "length", "gnmt"]), st.floats(0, 3), st.integers(0, 400), st.integers(1, 400))
def test_the_divisor_is_positive_and_never_less_for_a_longer_one(normalisation, alpha, length, more):
    ranking = Ranking(normalisation, alpha)
    assert 0 < ranking.divisor(length) <= ranking.divisor(length + more)


@pytest.mark.parametrize("name", ["length_penalty", "coverage_penalty"])
@pytest.mark.parametrize("value", [-0.1, math.inf, math.nan])
def test_a_penalty_that_cannot_be_is_named(name, value):
    with pytest.raises(BadOption, match="^" + re.escape(f"{name} must be 0 or more, not {value}") + "$"):
        Ranking(**{name: value})


def test_an_unknown_normalisation_is_named():
    with pytest.raises(UnknownName, match=r"^unknown normalisation 'google'; there are: gnmt, length, none$"):
        Ranking("google")
