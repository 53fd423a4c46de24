"""Exact match and token F1 of answers, as SQuAD's evaluation has them (Rajpurkar et al. 2016, arXiv:1606.05250).

An answer is normalised first: lower case, ASCII punctuation and the articles a, an, the removed, white space squeezed.
Of several references the best one counts, for each answer and each figure by itself. Where nothing is left of both,
they agree; where nothing is left of one only, they share nothing (so in SQuAD 2.0).
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Sequence

from unrolled.metrics.pairs import ratio
from unrolled.metrics.references import References, require_references

_PUNCTUATION = str.maketrans("", "", string.punctuation)
_ARTICLE = re.compile(r"\b(?:a|an|the)\b")


def answer_scores(gold: Sequence[References], predicted: Sequence[str]) -> dict[str, float]:
    """`exact_match` and `f1`, both after normalisation, as fractions.

    F1 is that of the two bags of words: 2 P R / (P + R), P = shared / predicted, R = shared / gold.

    Args:
        gold: of each answer the right one, or several that are right.
        predicted: the answers.

    Raises:
        ValueError: they differ in number, there are none, or one has no reference.

    >>> answer_scores([["The Eiffel Tower", "tower"], "42"], ["eiffel tower!", "41 or 42"])
    {'exact_match': 0.5, 'f1': 0.75}
    """
    exact = f1 = 0.0
    for several, guess in zip(require_references(gold, predicted, "answers"), predicted, strict=True):
        words = normalised(guess).split()
        references = [normalised(one).split() for one in several]
        exact += words in references
        f1 += max(_f1(one, words) for one in references)
    return {"exact_match": exact / len(predicted), "f1": f1 / len(predicted)}


def exact_match(gold: Sequence[References], predicted: Sequence[str]) -> float:
    """The fraction of answers that equal one of their references as they are. Raises `ValueError` as above.

    >>> exact_match(["kitchen", ["N", "north"]], ["Kitchen", "north"])
    0.5
    """
    references = require_references(gold, predicted, "answers")
    return sum(guess in several for several, guess in zip(references, predicted, strict=True)) / len(predicted)


def normalised(answer: str) -> str:
    """An answer without what does not matter.

    >>> normalised("  The U.S.A., an  ally!")
    'usa ally'
    """
    return " ".join(_ARTICLE.sub(" ", answer.lower().translate(_PUNCTUATION)).split())


def _f1(gold: Sequence[str], predicted: Sequence[str]) -> float:
    if not gold or not predicted:
        return float(gold == predicted)
    shared = (Counter(gold) & Counter(predicted)).total()
    return ratio(2 * shared, len(gold) + len(predicted))
