"""Scores of one label, or several, an example: scikit-learn's, and what it lacks.

    precision of a label = right / predicted so,    recall = right / truly so,    F1 = 2 P R / (P + R)

A figure whose divisor is 0 is 0. Labels are those that occur, in gold or in predictions.
scikit-learn takes a second to import, so a function imports it when it is called.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from math import isfinite
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
    """`accuracy`; `macro_f1`: the mean of the labels' F1, each label counting alike however rare; `matthews`: Matthews'
    correlation coefficient, 0 for any guess that does not look at the example, where many examples have one label too
    (Matthews 1975; of more than two labels Gorodkin 2004, doi:10.1016/j.compbiolchem.2004.09.006).

    >>> scores = classification_scores(["yes", "yes", "no", "no"], ["yes", "no", "no", "no"])
    >>> scores["accuracy"], round(scores["matthews"], 4)
    (0.75, 0.5774)
    """
    require_pairs(gold, predicted, "labels")
    from sklearn.metrics import accuracy_score, f1_score, matthews_corrcoef

    # Where there is one label and always it is said, nothing is told apart; scikit-learn warns of it.
    alike = len({*gold, *predicted}) == 1
    return {
        "accuracy": float(accuracy_score(gold, predicted)),
        "macro_f1": float(f1_score(gold, predicted, average="macro", zero_division=0)),
        "matthews": 0.0 if alike else float(matthews_corrcoef(gold, predicted)),
    }


def ranking_scores(gold: Sequence[str], probabilities: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """How well probabilities put the examples of a label before the others, whatever the threshold.

    `auroc` is the area under the receiver operating characteristic: how likely an example of the label has a higher
    probability of it than one of another label. `auprc` is the area under precision against recall, as average
    precision, which for a rare label says more. Both are means over the labels that occur in gold and are not all of
    it; without any, or where a probability is not finite, there are no such figures.

    Args:
        gold: the label of each example.
        probabilities: of each example, label -> probability; of a label that is not named, 0.

    >>> ranking_scores(["yes", "no", "no"], [{"yes": 0.4, "no": 0.6}, {"yes": 0.1, "no": 0.9}, {"yes": 0.2, "no": 0.8}])
    {'auroc': 1.0, 'auprc': 1.0}
    """
    require_pairs(gold, probabilities, "labels")
    from sklearn.metrics import average_precision_score, roc_auc_score

    areas = []
    for label, count in sorted(Counter(gold).items()):
        if count < len(gold):
            true = [one == label for one in gold]
            said = [row.get(label, 0.0) for row in probabilities]
            if not all(map(isfinite, said)):
                return {}
            areas.append((float(roc_auc_score(true, said)), float(average_precision_score(true, said))))
    if not areas:
        return {}
    return {
        name: sum(found) / len(areas) for name, found in zip(("auroc", "auprc"), zip(*areas, strict=True), strict=True)
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
