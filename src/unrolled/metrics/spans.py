"""Spans in BIO tags, and their scores: a span is right when its kind, its start and its end are.

    tags     B-NP I-NP I-NP B-VP O    B-NP
    spans    NP 0:3         VP 3:4    NP 5:6

The reading is that of the shared tasks' scorer `conlleval` (Tjong Kim Sang & Buchholz 2000), which is lenient: a `B-`
always begins a span, and so does an `I-` that has no span of its kind before it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from unrolled.errors import BadData
from unrolled.metrics.classification import LabelScores
from unrolled.metrics.pairs import ratio, require_aligned


class Span(NamedTuple):
    """The elements start, start + 1, …, end - 1 are one thing of this kind."""

    kind: str
    start: int
    end: int


def spans_of(tags: Sequence[str]) -> list[Span]:
    """The spans that BIO tags say, first to last. Raises `BadData` for a tag that is not `O`, `B-…` or `I-…`.

    >>> spans_of(["I-NP", "I-NP", "B-NP", "O"])
    [Span(kind='NP', start=0, end=2), Span(kind='NP', start=2, end=3)]
    """
    found: list[Span] = []
    kind, start = None, 0
    for position, tag in enumerate(tags):
        prefix, of_kind = _read(tag)
        if kind is not None and (prefix != "I" or of_kind != kind):
            found.append(Span(kind, start, position))
            kind = None
        if kind is None and prefix != "O":
            kind, start = of_kind, position
    if kind is not None:
        found.append(Span(kind, start, len(tags)))
    return found


def is_bio(tag: str) -> bool:
    """Whether a tag is `O`, `B-…` or `I-…`."""
    return tag == "O" or (tag[:2] in ("B-", "I-") and len(tag) > 2)


def span_scores(gold: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]]) -> dict[str, float]:
    """`precision`, `recall` and `f1` over the spans of all sequences together (micro), as conlleval's first line.

    >>> span_scores([["B-NP", "I-NP", "O"]], [["B-NP", "O", "B-NP"]])
    {'precision': 0.0, 'recall': 0.0, 'f1': 0.0}
    """
    right, guessed, true = (counts.total() for counts in _counts(gold, predicted))
    scores = _scores(right, guessed, true)
    return {"precision": scores.precision, "recall": scores.recall, "f1": scores.f1}


def per_kind(gold: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]]) -> dict[str, LabelScores]:
    """The scores of each kind of span, in the kinds' order; support is the number of gold spans."""
    right, guessed, true = _counts(gold, predicted)
    return {kind: _scores(right[kind], guessed[kind], true[kind]) for kind in sorted({*guessed, *true})}


def _read(tag: str) -> tuple[str, str]:
    if not is_bio(tag):
        raise BadData(f"{tag!r} is not a BIO tag: those are O, B-KIND and I-KIND")
    return tag[0], tag[2:]


def _counts(
    gold: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]]
) -> tuple[Counter[str], Counter[str], Counter[str]]:
    require_aligned(gold, predicted, "tags")
    right, guessed, true = Counter[str](), Counter[str](), Counter[str]()
    for gold_tags, predicted_tags in zip(gold, predicted, strict=True):
        gold_spans, predicted_spans = set(spans_of(gold_tags)), set(spans_of(predicted_tags))
        right.update(span.kind for span in gold_spans & predicted_spans)
        guessed.update(span.kind for span in predicted_spans)
        true.update(span.kind for span in gold_spans)
    return right, guessed, true


def _scores(right: int, guessed: int, true: int) -> LabelScores:
    # 2 right / (guessed + true) is 2PR / (P + R) without its two divisions by what may be 0.
    return LabelScores(ratio(right, guessed), ratio(right, true), ratio(2 * right, guessed + true), true)
