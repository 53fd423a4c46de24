"""Scores of one label, or several, an example: scikit-learn's, and what it lacks.

    precision of a label = right / predicted so,    recall = right / truly so,    F1 = 2 P R / (P + R)

A figure whose divisor is 0 is 0. Labels are those that occur, in gold or in predictions.
scikit-learn takes a second to import, so a function imports it when it is called.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from typing import NamedTuple

from unrolled.metrics.pairs import ratio, require_pairs


class LabelScores(NamedTuple):
    """Scores of one label; support is how many gold examples have it."""

    precision: float
    recall: float
    f1: float
    support: int


class Confusion(NamedTuple):
    """counts[i][j]: how many examples are labels[i] in gold and labels[j] in the predictions."""

    labels: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]


def classification_scores(gold: Sequence[str], predicted: Sequence[str]) -> dict[str, float]:
    """`accuracy`, and `macro_f1`: the mean of the labels' F1, each label counting alike however rare.

    >>> classification_scores(["yes", "yes", "no", "no"], ["yes", "no", "no", "no"])["accuracy"]
    0.75
    """
    require_pairs(gold, predicted, "labels")
    from sklearn.metrics import accuracy_score, f1_score

    return {
        "accuracy": float(accuracy_score(gold, predicted)),
        "macro_f1": float(f1_score(gold, predicted, average="macro", zero_division=0)),
    }


def per_label(gold: Sequence[str], predicted: Sequence[str]) -> dict[str, LabelScores]:
    """The scores of each label, in the labels' order."""
    require_pairs(gold, predicted, "labels")
    from sklearn.metrics import precision_recall_fscore_support

    labels = sorted({*gold, *predicted})
    columns = precision_recall_fscore_support(gold, predicted, labels=labels, average=None, zero_division=0)
    return {
        label: LabelScores(float(precision), float(recall), float(f1), int(support))
        for label, precision, recall, f1, support in zip(labels, *columns, strict=True)
    }


def multilabel_scores(gold: Sequence[Collection[str]], predicted: Sequence[Collection[str]]) -> dict[str, float]:
    """Scores where several labels, or none, may hold of an example.

    `micro_f1` counts all decisions together, `macro_f1` is the mean of the labels' F1, `exact_match` the fraction of
    examples with all labels right and none too many. Without any label, in gold and predictions, both F1 are 0.

    >>> multilabel_scores([{"a", "b"}, {"a"}, set()], [{"a"}, {"a"}, set()])["micro_f1"]
    0.8
    """
    require_pairs(gold, predicted, "label sets")
    rows = [(set(truth), set(guess)) for truth, guess in zip(gold, predicted, strict=True)]
    # Not scikit-learn: it takes a table of one column for plain binary labels, and scores "not this label" too.
    right = Counter(label for truth, guess in rows for label in truth & guess)
    said = Counter(label for _, guess in rows for label in guess)
    true = Counter(label for truth, _ in rows for label in truth)
    f1 = [ratio(2 * right[label], said[label] + true[label]) for label in sorted({*said, *true})]
    return {
        "micro_f1": ratio(2 * sum(right.values()), sum(said.values()) + sum(true.values())),
        "macro_f1": ratio(sum(f1), len(f1)),
        "exact_match": sum(truth == guess for truth, guess in rows) / len(rows),
    }


def confusion(gold: Sequence[str], predicted: Sequence[str]) -> Confusion:
    """Which label is taken for which.

    >>> confusion(["yes", "yes", "no"], ["yes", "no", "no"])
    Confusion(labels=('no', 'yes'), counts=((1, 0), (1, 1)))
    """
    require_pairs(gold, predicted, "labels")
    labels = sorted({*gold, *predicted})
    counts = Counter(zip(gold, predicted, strict=True))
    return Confusion(tuple(labels), tuple(tuple(counts[g, p] for p in labels) for g in labels))
