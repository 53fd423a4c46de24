"""Scores of captions, worked by hand."""

from __future__ import annotations

from math import exp, log, sqrt

import pytest

from unrolled.metrics.captions import cider, word_f1


def test_word_f1_is_that_of_bags_of_words_and_of_the_best_reference() -> None:
    # 2 of 3 said are among 4 right: 4 / 7; "dog" against "a dog": 2 / 3, against "dog": 1.
    assert word_f1(["a cat on mats"], ["a big cat"]) == pytest.approx(4 / 7)
    assert word_f1([["a dog", "dog"]], ["dog"]) == 1.0
    assert word_f1([["a dog"]], ["dog"]) == pytest.approx(2 / 3)
    assert word_f1(["a a b", "x"], ["a b b", "y"]) == pytest.approx((4 / 6 + 0) / 2)
    assert word_f1(["Cat", ""], ["cat", ""]) == 0.5


def test_cider_by_hand() -> None:
    """Two pictures; what both references have ("a") weighs nothing."""
    gold, said = ["a red box", "a blue bar"], ["a red bar", "a blue bar"]
    rare = log(2)
    # First: of one word, "red" of "red box"; "bar" stands in the other's reference. "a red" is one of two bigrams.
    unigrams = rare**2 / (sqrt(2) * rare) ** 2
    # "red bar" stands in no reference at all, and weighs log 2 as well.
    bigrams = rare**2 / (sqrt(2) * rare) ** 2
    first, second = unigrams + bigrams, 3.0  # no 4-grams in three words
    assert cider(gold, said) == pytest.approx(10 * (first + second) / 4 / 2)


def test_cider_punishes_another_length_and_saying_something_often() -> None:
    gold = ["red box", "blue bar"]
    # "red" said three times counts as once: the product with (1, 1) is 1 + 0, the lengths sqrt(9) and sqrt(2).
    often = cider(gold, ["red red red", "blue bar"])
    assert often == pytest.approx(10 * (exp(-1 / 72) * 1 / (3 * sqrt(2)) + 2) / 4 / 2)


def test_several_references_share_and_perfect_is_ten() -> None:
    long = ["one two three four", "five six seven eight"]
    assert cider(long, long) == pytest.approx(10)
    assert cider([[long[0], "nine ten eleven twelve"], long[1]], long) == pytest.approx(7.5)
    assert cider(long[:1], long[:1]) == 0.0  # nothing is rarer than anything else


def test_what_cannot_be_scored_is_named() -> None:
    for score in (word_f1, cider):
        with pytest.raises(ValueError, match="1 gold captions, 2 predicted"):
            score(["a"], ["a", "b"])
        with pytest.raises(ValueError, match="captions 0: no reference"):
            score([[]], ["a"])
