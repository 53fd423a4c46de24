"""Figures worked by hand, and the same from their definitions by counting."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unrolled.metrics.classification import (
    LabelScores,
    classification_scores,
    confusion,
    multilabel_scores,
    per_label,
    ranking_scores,
)

GOLD = ["a", "a", "a", "b", "b", "c"]
PREDICTED = ["a", "a", "b", "b", "c", "a"]
pairs = st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("abcd")), min_size=1, max_size=12)


def test_scores_of_six_answers_worked_by_hand():
    # a: 2 right of 3 said and 3 true, F1 2/3;  b: 1 of 2 and 2, F1 1/2;  c: 0 of 1 and 1, F1 0.
    assert classification_scores(GOLD, PREDICTED) == pytest.approx(
        # Gorodkin: (right * all - sum of true * said) / (all^2 - sum of squares) = (3 * 6 - 14) / (36 - 14).
        {"accuracy": 3 / 6, "macro_f1": (2 / 3 + 1 / 2 + 0) / 3, "matthews": 2 / 11}
    )
    by_label = per_label(GOLD, PREDICTED)
    assert list(by_label) == ["a", "b", "c"]
    assert by_label["a"] == pytest.approx(LabelScores(2 / 3, 2 / 3, 2 / 3, 3))
    assert by_label["b"] == pytest.approx(LabelScores(1 / 2, 1 / 2, 1 / 2, 2))
    assert by_label["c"] == pytest.approx(LabelScores(0, 0, 0, 1))


def test_matthews_is_the_correlation_of_two_labels_and_nothing_where_one_is_always_said():
    # Right yes 2, right no 1, wrong yes 1, wrong no 1: (2 * 1 - 1 * 1) / sqrt(3 * 3 * 2 * 2).
    gold, predicted = ["y", "y", "y", "n", "n"], ["y", "y", "n", "y", "n"]
    assert classification_scores(gold, predicted)["matthews"] == pytest.approx(1 / 6)
    assert classification_scores(gold, ["y"] * 5)["matthews"] == 0
    assert classification_scores(["y"] * 5, ["y"] * 5)["matthews"] == 0


def test_areas_worked_by_hand():
    said = [{"a": 0.9, "b": 0.1}, {"a": 0.4, "b": 0.6}, {"a": 0.6, "b": 0.4}]
    # a: 0.9 is above 0.6, 0.4 is not. Precision 1 at half of the recall, 2/3 at all: 5/6.
    # b: 0.4 is above 0.1, not above 0.6; precision 1/2.
    assert ranking_scores(["a", "a", "b"], said) == pytest.approx({"auroc": 1 / 2, "auprc": (5 / 6 + 1 / 2) / 2})


def test_equal_probabilities_rank_like_a_coin():
    assert ranking_scores(["a", "b"], [{"a": 0.5, "b": 0.5}] * 2) == {"auroc": 0.5, "auprc": 0.5}


def test_a_label_that_no_probability_names_has_none_and_one_alone_has_no_areas():
    assert ranking_scores(["a", "b"], [{"a": 0.9}, {"a": 0.2}]) == {"auroc": 0.75, "auprc": 0.75}
    assert ranking_scores(["a", "a"], [{"a": 0.9}, {"a": 0.2}]) == {}
    assert ranking_scores(["a", "b"], [{"a": float("nan")}, {"a": 0.2}]) == {}


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 5)), min_size=2, max_size=12))
def test_the_area_is_the_share_of_pairs_in_the_right_order(answers):
    gold, said = [g for g, _ in answers], [p / 5 for _, p in answers]
    scores = ranking_scores(gold, [{"a": p, "b": 1 - p} for p in said])
    true = [p for g, p in zip(gold, said, strict=True) if g == "a"]
    false = [p for g, p in zip(gold, said, strict=True) if g == "b"]
    if not true or not false:
        assert scores == {}
        return
    right = sum((a > b) + (a == b) / 2 for a in true for b in false)
    assert scores["auroc"] == pytest.approx(right / (len(true) * len(false)))


def test_precision_is_not_recall():
    by_label = per_label(["x", "x", "x", "y"], ["x", "y", "y", "y"])
    assert by_label["x"] == pytest.approx(LabelScores(1, 1 / 3, 1 / 2, 3))
    assert by_label["y"] == pytest.approx(LabelScores(1 / 3, 1, 1 / 2, 1))


def test_the_confusion_has_gold_in_its_rows():
    assert confusion(["x", "x", "y"], ["y", "x", "y"]) == (("x", "y"), ((1, 1), (0, 1)))


@settings(max_examples=40, deadline=None)
@given(pairs)
def test_scores_follow_from_the_confusion(answers):
    gold, predicted = [g for g, _ in answers], [p for _, p in answers]
    labels, counts = confusion(gold, predicted)
    right = [counts[k][k] for k in range(len(labels))]
    said = [sum(row[k] for row in counts) for k in range(len(labels))]
    true = [sum(counts[k]) for k in range(len(labels))]
    scores = classification_scores(gold, predicted)
    assert scores["accuracy"] == pytest.approx(sum(right) / len(answers))
    f1 = [2 * r / (s + t) for r, s, t in zip(right, said, true, strict=True)]
    assert scores["macro_f1"] == pytest.approx(sum(f1) / len(f1))
    assert [s.support for s in per_label(gold, predicted).values()] == true
    assert sum(map(sum, counts)) == len(answers)


def test_several_labels_worked_by_hand():
    gold = [{"a", "b"}, {"b"}, set(), {"c"}]
    predicted = [{"a"}, {"b", "c"}, set(), {"a"}]
    # Right 2 (a, b), predicted 4, true 4: micro 2*2/8. F1: a 2*1/(2+1), b 2*1/(1+2), c 0/(1+1). Whole rows: 1 of 4.
    scores = multilabel_scores(gold, predicted)
    assert scores == pytest.approx({"micro_f1": 1 / 2, "macro_f1": (2 / 3 + 2 / 3 + 0) / 3, "exact_match": 1 / 4})


def test_one_label_that_may_hold_is_scored_like_many():
    scores = multilabel_scores([["a"], [], ["a"]], [["a"], ["a"], []])
    assert scores == pytest.approx({"micro_f1": 1 / 2, "macro_f1": 1 / 2, "exact_match": 1 / 3})


def test_no_label_at_all_finds_nothing_and_misses_nothing():
    assert multilabel_scores([set(), set()], [set(), set()]) == {"micro_f1": 0, "macro_f1": 0, "exact_match": 1}


@pytest.mark.parametrize("score", [classification_scores, per_label, confusion, multilabel_scores])
def test_gold_and_predictions_must_stand_side_by_side(score):
    with pytest.raises(ValueError, match=r"^2 gold label.*, 1 predicted: they must stand side by side$"):
        score(["a", "b"], ["a"])
    with pytest.raises(ValueError, match=r"^no label.* to score$"):
        score([], [])


def test_importing_the_metrics_does_not_import_scikit_learn():
    modules = "classification, spans, tagging, calibration"
    code = f"import sys; from unrolled.metrics import {modules}; sys.exit('sklearn' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
