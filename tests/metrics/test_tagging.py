"""Accuracies worked by hand."""

from __future__ import annotations

import pytest

from unrolled.metrics.tagging import token_scores

GOLD = [["DET", "NOUN", "VERB"], ["NOUN", "VERB"]]
PREDICTED = [["DET", "VERB", "VERB"], ["NOUN", "NOUN"]]


def test_each_token_counts_once_however_the_sentences_are_cut():
    known = [[True, False, True], [False, False]]
    # Right: 2 of 3 and 1 of 2. Not known: the second (wrong), the fourth (right), the fifth (wrong).
    assert token_scores(GOLD, PREDICTED, known) == pytest.approx({"accuracy": 3 / 5, "unseen_accuracy": 1 / 3})


def test_where_all_words_are_known_there_is_no_accuracy_on_others():
    assert token_scores(GOLD, PREDICTED, [[True] * 3, [True] * 2]) == pytest.approx({"accuracy": 3 / 5})


@pytest.mark.parametrize(
    ("predicted", "known", "message"),
    [
        ([["A"]], [[True, True]], r"^sequence 0: 2 gold tags, 1 predicted$"),
        ([["A", "B"]], [[True]], r"^sequence 0: 2 gold tags, 1 known or not$"),
        ([], [[True, True]], r"^1 gold sequences, 0 predicted: they must stand side by side$"),
    ],
)
def test_what_is_said_of_tokens_must_stand_side_by_side(predicted, known, message):
    with pytest.raises(ValueError, match=message):
        token_scores([["A", "B"]], predicted, known)
