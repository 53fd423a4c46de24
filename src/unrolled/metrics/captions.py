r"""What is said of pictures against what people said of them: F1 of words, and CIDEr-D.

Words are what stands between blanks. Of several references of one picture the best one counts for F1; for CIDEr-D all.

CIDEr-D is that of Vedantam, Zitnick & Parikh 2015 (arXiv:1411.5726, section 3 and appendix A; the code of the COCO
evaluation): captions as vectors of n-grams for n = 1 … 4, each weighed by how often it is said and in how few pictures'
references it stands,

    g_n(c)_w   = count of w in c  *  log(pictures / pictures whose references have w)
    CIDEr-D_n  = 10 / references * sum_r  exp(-(|c| - |r|)^2 / (2 sigma^2))
                                          * min(g_n(c), g_n(r)) . g_n(r) / (|g_n(c)| |g_n(r)|)

with sigma = 6, and the mean over n. That code cuts with the tokeniser of the Penn Treebank and drops punctuation, which
is not done here. A caption of fewer than four words has no 4-grams: of such what is perfect has less than 10.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from math import exp, log, sqrt

from unrolled.metrics.pairs import ratio
from unrolled.metrics.references import References, require_references

LONGEST = 4
"""Words of the longest n-grams."""
SIGMA = 6.0
Grams = dict[tuple[str, ...], float]


def word_f1(gold: Sequence[References], predicted: Sequence[str]) -> float:
    """The mean over captions of the F1 of the two bags of words: 2 shared / (words said + words of the reference).

    Args:
        gold: of each caption the right one, or several that are right, of which the best counts.
        predicted: the captions.

    Raises:
        ValueError: they differ in number, there are none, or one has no reference.

    >>> word_f1(["a cat on a mat", ["dog", "a dog"]], ["a mat", "a dog"])
    0.7857142857142857
    """
    references = require_references(gold, predicted, "captions")
    return sum(
        max(_f1(one.split(), said.split()) for one in several)
        for several, said in zip(references, predicted, strict=True)
    ) / len(predicted)


def _f1(gold: Sequence[str], predicted: Sequence[str]) -> float:
    if not gold or not predicted:
        return float(gold == predicted)
    return ratio(2 * (Counter(gold) & Counter(predicted)).total(), len(gold) + len(predicted))


def cider(gold: Sequence[References], predicted: Sequence[str]) -> float:
    """CIDEr-D, from 0 to 10. Arguments and errors as `word_f1`; the pictures that n-grams are counted in are these.

    Of a single picture it is 0: nothing is rarer than anything else.
    """
    references = require_references(gold, predicted, "captions")
    rows = [[_grams(one) for one in several] for several in references]
    pictures: Counter[tuple[str, ...]] = Counter()
    for row in rows:
        pictures.update({gram for one in row for n in one for gram in n})
    whole = log(len(references))
    total = 0.0
    for said, several, row in zip(predicted, references, rows, strict=True):
        ours, length = _grams(said), len(said.split())
        for text, theirs in zip(several, row, strict=True):
            apart = exp(-((length - len(text.split())) ** 2) / (2 * SIGMA**2))
            for counted, right in zip(ours, theirs, strict=True):
                one, other = (_weighed(grams, pictures, whole) for grams in (counted, right))
                total += apart * _likeness(one, other) / len(several)
    return 10 * total / LONGEST / len(predicted)


def _grams(text: str) -> list[Counter[tuple[str, ...]]]:
    """Of each length up to the longest, the n-grams of a text."""
    words = text.split()
    return [Counter(tuple(words[k : k + n]) for k in range(len(words) - n + 1)) for n in range(1, LONGEST + 1)]


def _weighed(grams: Counter[tuple[str, ...]], pictures: Counter[tuple[str, ...]], whole: float) -> Grams:
    return {gram: count * (whole - log(max(pictures[gram], 1))) for gram, count in grams.items()}


def _likeness(said: Grams, right: Grams) -> float:
    """Of two vectors, the cosine, but that saying more of something than is right counts no more."""
    shared = sum(min(value, right[gram]) * right[gram] for gram, value in said.items() if gram in right)
    return ratio(shared, _length(said) * _length(right))


def _length(grams: Grams) -> float:
    return sqrt(sum(value * value for value in grams.values()))
