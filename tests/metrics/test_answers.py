"""Exact match and F1 of answers by hand."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unrolled.metrics.answers import answer_scores, exact_match, normalised

WORDS = st.text("ab .the", max_size=12)


@pytest.mark.parametrize(
    ("answer", "plain"),
    [
        ("The Broncos", "broncos"),
        ("a dog, an owl and THE cat", "dog owl and cat"),
        ("Theatre; another's atlas", "theatre anothers atlas"),
        ("U.S.A.", "usa"),
        ("well-made", "wellmade"),
        ("the", ""),
        (" \t\n", ""),
        ("the-a an", "thea"),  # punctuation goes before articles do
        ("“Zoë” – 5 %", "“zoë” – 5"),  # ASCII punctuation only
        ("İ", "i\u0307"),
    ],
)
def test_what_does_not_matter_is_removed(answer, plain):
    assert normalised(answer) == plain


@pytest.mark.parametrize(
    ("gold", "predicted", "exact", "f1"),
    [
        ("The kitchen.", "kitchen", 1, 1),
        ("kitchen", "garden", 0, 0),
        ("in the big kitchen", "the kitchen", 0, 2 * 1 * (1 / 3) / (1 + 1 / 3)),
        ("a b b c", "b b b", 0, 2 * (2 / 3) * (2 / 3) / (2 / 3 + 2 / 3)),  # a is an article; two b are shared
        ("c b", "b c", 0, 1),
        ("the", "a", 1, 1),
        ("the", "x", 0, 0),
        ("x", "", 0, 0),
        (["north", "N", "up north"], "to the north", 0, 2 * (1 / 2) * 1 / (1 / 2 + 1)),
        (["x y", "z"], "Z!", 1, 1),
    ],
)
def test_scores_by_hand(gold, predicted, exact, f1):
    assert answer_scores([gold], [predicted]) == pytest.approx({"exact_match": exact, "f1": f1})


def test_scores_are_means_over_answers():
    scores = answer_scores(["x y", "z", "u"], ["x", "z", "v"])
    assert scores == pytest.approx({"exact_match": 1 / 3, "f1": (2 / 3 + 1 + 0) / 3})


@given(WORDS, WORDS)
def test_f1_is_symmetrical_and_one_where_the_answers_match(gold, predicted):
    scores = answer_scores([gold], [predicted])
    assert scores["f1"] == answer_scores([predicted], [gold])["f1"]
    assert scores["exact_match"] <= scores["f1"] <= 1
    assert exact_match([gold], [predicted]) <= scores["exact_match"]


def test_plain_exact_match_forgives_nothing():
    assert exact_match(["the cat", ["N", "n"], "x"], ["cat", "n", "x "]) == 1 / 3


@pytest.mark.parametrize("score", [answer_scores, exact_match])
def test_mistakes_are_named(score):
    with pytest.raises(ValueError, match=r"^no answers to score$"):
        score([], [])
    with pytest.raises(ValueError, match=r"^answers 0: no reference to compare with$"):
        score([()], ["a"])
