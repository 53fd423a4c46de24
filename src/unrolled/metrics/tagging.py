"""Scores of a tag for each element: over all elements, and over the words that training never showed."""

from __future__ import annotations

from collections.abc import Sequence

from unrolled.metrics.pairs import ratio, require_aligned


def token_scores(
    gold: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]], known: Sequence[Sequence[bool]]
) -> dict[str, float]:
    """`accuracy`: the fraction of elements whose tag is right; long sequences weigh more than short ones.

    `unseen_accuracy`: the same over the elements that are not known; left out where all are.

    Args:
        gold, predicted: the tags of each sequence.
        known: for each of their elements, whether training showed its word.

    >>> token_scores([["DET", "NOUN"], ["VERB"]], [["DET", "VERB"], ["VERB"]], [[True, False], [False]])
    {'accuracy': 0.6666666666666666, 'unseen_accuracy': 0.5}
    """
    require_aligned(gold, predicted, "tags")
    require_aligned(gold, known, "tags", "known or not")
    right = [
        (truth == guess, seen)
        for rows in zip(gold, predicted, known, strict=True)
        for truth, guess, seen in zip(*rows, strict=True)
    ]
    scores = {"accuracy": ratio(sum(hit for hit, _ in right), len(right))}
    unseen = [hit for hit, seen in right if not seen]
    if unseen:
        scores["unseen_accuracy"] = sum(unseen) / len(unseen)
    return scores
