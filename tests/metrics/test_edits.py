"""Edits against the textbook's table, filled in cell by cell."""

from __future__ import annotations

from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unrolled.metrics.edits import (
    alignment,
    distance,
    sequence_error_rate,
    symbol_error_rate,
    word_error_rate,
)

SYMBOLS = st.lists(st.sampled_from(["a", "b", "AE1", "AE0", "日"]), max_size=8)
RATES = (word_error_rate, symbol_error_rate, sequence_error_rate)


def slow_distance(gold, predicted):
    """Wagner & Fischer 1974: the cheapest way to each cell."""
    table = [[0] * (len(predicted) + 1) for _ in range(len(gold) + 1)]
    for i in range(len(gold) + 1):
        for j in range(len(predicted) + 1):
            ways = [0] if i == j == 0 else []
            if i:
                ways.append(table[i - 1][j] + 1)
            if j:
                ways.append(table[i][j - 1] + 1)
            if i and j:
                ways.append(table[i - 1][j - 1] + (gold[i - 1] != predicted[j - 1]))
            table[i][j] = min(ways)
    return table[-1][-1]


@given(SYMBOLS, SYMBOLS)
def test_the_distance_is_that_of_the_table(gold, predicted):
    assert distance(gold, predicted) == slow_distance(gold, predicted)
    assert distance(tuple(gold), predicted) == distance(predicted, gold)
    assert distance("".join(gold), "".join(predicted)) == slow_distance("".join(gold), "".join(predicted))


@given(SYMBOLS, SYMBOLS)
def test_an_alignment_leads_from_gold_to_predicted_by_as_few_edits(gold, predicted):
    edits = alignment(gold, predicted)
    assert [edit.gold for edit in edits if edit.operation != "insert"] == gold
    assert [edit.predicted for edit in edits if edit.operation != "delete"] == predicted
    assert sum(edit.operation != "same" for edit in edits) == slow_distance(gold, predicted)
    for operation, before, after in edits:
        assert {
            "same": before == after and before is not None,
            "replace": before != after and None not in (before, after),
            "insert": before is None and after is not None,
            "delete": before is not None and after is None,
        }[operation]


TEXTS = SYMBOLS.map(" ".join)


@pytest.mark.parametrize(("rate", "elements"), [(word_error_rate, str.split), (symbol_error_rate, list)])
@given(st.lists(st.tuples(st.lists(TEXTS, min_size=1, max_size=3), TEXTS), min_size=1, max_size=4))
def test_rates_by_the_slow_table(rate, elements, rows):
    gold, predicted = [several for several, _ in rows], [guess for _, guess in rows]
    edits = length = 0
    for several, guess in rows:
        ways = [(slow_distance(elements(one), elements(guess)), -len(elements(one))) for one in several]
        edits += min(ways)[0]
        length -= min(ways)[1]
    if length:
        assert rate(gold, predicted) == edits / length
    else:
        with pytest.raises(ValueError, match=r"^the references are all empty: there is nothing to count errors by$"):
            rate(gold, predicted)
    assert sequence_error_rate(gold, predicted) == sum(guess not in several for several, guess in rows) / len(rows)


def test_rates_by_hand():
    gold, predicted = ["the cat sat", "on a mat"], ["the cat sat down", "in mat"]
    # down inserted; on replaced, a deleted: 3 edits for 6 words.
    assert word_error_rate(gold, predicted) == 3 / 6
    # " down" inserted, 5; on -> in 1, "a " deleted 2: 8 edits for 11 + 8 characters.
    assert symbol_error_rate(gold, predicted) == 8 / 19
    assert sequence_error_rate(gold, predicted) == 1
    assert word_error_rate(["a"], ["b c d"]) == 3


def test_the_nearest_reference_counts_whatever_the_order():
    several = ["R IY1 D", "R EH1 D", "R IY1 D Z AH0"]
    for order in permutations(several):
        # One edit from two of them; of those the longer one is counted by.
        assert word_error_rate([order], ["R IY1 D Z"]) == 1 / 5
        assert sequence_error_rate([order], ["R EH1 D"]) == 0


@pytest.mark.parametrize("rate", RATES)
def test_runs_of_white_space_are_one_blank(rate):
    assert rate([" a  b\t"], ["a b\n"]) == 0
    assert rate(["a b"], ["ab"]) > 0


@pytest.mark.parametrize("rate", RATES)
def test_an_empty_prediction_is_all_wrong(rate):
    assert rate(["a b", "c"], ["", ""]) == 1


@pytest.mark.parametrize("rate", RATES)
def test_mistakes_are_named(rate):
    with pytest.raises(ValueError, match=r"^no texts to score$"):
        rate([], [])
    with pytest.raises(ValueError, match=r"^1 gold texts, 2 predicted: they must stand side by side$"):
        rate(["a"], ["a", "b"])
    with pytest.raises(ValueError, match=r"^texts 1: no reference to compare with$"):
        rate(["a", []], ["a", "b"])


def test_rates_that_count_by_references_need_some():
    for rate in (word_error_rate, symbol_error_rate):
        with pytest.raises(ValueError, match=r"^the references are all empty: there is nothing to count errors by$"):
            rate(["", " "], ["a", ""])
    assert sequence_error_rate(["", " "], ["a", ""]) == 0.5
