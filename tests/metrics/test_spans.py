"""Spans by hand, against seqeval, and against a published figure on real data."""

from __future__ import annotations

import lzma
import warnings
from collections import Counter, defaultdict
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unrolled.errors import BadData
from unrolled.metrics.classification import LabelScores
from unrolled.metrics.spans import is_bio, per_kind, span_scores, spans_of

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from seqeval.metrics import f1_score, precision_score, recall_score
    from seqeval.metrics.sequence_labeling import get_entities

TAGS = st.sampled_from(["O", "B-X", "I-X", "B-Y", "I-Y", "B-X-Y", "I-X-Y"])
sequences = st.lists(TAGS, min_size=1, max_size=10)
pairs = st.lists(
    st.lists(st.tuples(TAGS, TAGS), min_size=1, max_size=8).map(lambda rows: tuple(map(list, zip(*rows, strict=True)))),
    min_size=1,
    max_size=4,
)


@pytest.mark.parametrize(
    ("tags", "spans"),
    [
        ([], []),
        (["O", "O"], []),
        (["B-X", "I-X", "O"], [("X", 0, 2)]),
        (["B-X", "B-X"], [("X", 0, 1), ("X", 1, 2)]),
        (["I-X", "I-X"], [("X", 0, 2)]),
        (["O", "I-X"], [("X", 1, 2)]),
        (["B-X", "I-Y"], [("X", 0, 1), ("Y", 1, 2)]),
        (["I-X", "B-X", "I-X"], [("X", 0, 1), ("X", 1, 3)]),
        (["B-X", "O", "I-X"], [("X", 0, 1), ("X", 2, 3)]),
        (["B-X-Y", "I-X-Y"], [("X-Y", 0, 2)]),
    ],
)
def test_spans_by_hand(tags, spans):
    assert spans_of(tags) == spans


@pytest.mark.parametrize("tag", ["NOUN", "B", "I-", "B_X", "E-X", "", "o"])
def test_a_tag_that_is_not_bio_is_said_to_be_none(tag):
    assert not is_bio(tag)
    with pytest.raises(BadData, match=rf"^'{tag}' is not a BIO tag: those are O, B-KIND and I-KIND$"):
        spans_of(["O", tag])


def test_scores_by_hand():
    gold = [["B-X", "I-X", "O", "B-Y"], ["B-X", "O", "O"]]
    predicted = [["B-X", "I-X", "O", "B-X"], ["B-X", "I-X", "B-Y"]]
    # Right: one X of 3 predicted and 2 true; of Y none of 1 and 1. Together 1 of 4 and of 3.
    assert span_scores(gold, predicted) == pytest.approx({"precision": 1 / 4, "recall": 1 / 3, "f1": 2 / 7})
    by_kind = per_kind(gold, predicted)
    assert by_kind == {"X": pytest.approx(LabelScores(1 / 3, 1 / 2, 2 / 5, 2)), "Y": LabelScores(0, 0, 0, 1)}


def test_the_same_place_in_another_sequence_is_another_span():
    assert span_scores([["B-X"], ["O"]], [["O"], ["B-X"]])["f1"] == 0


def test_without_spans_all_scores_are_nought():
    assert span_scores([["O"]], [["O"]]) == {"precision": 0, "recall": 0, "f1": 0}


def test_sequences_must_have_their_lengths_in_common():
    with pytest.raises(ValueError, match=r"^sequence 1: 2 gold tags, 1 predicted$"):
        span_scores([["O"], ["O", "O"]], [["O"], ["O"]])
    with pytest.raises(ValueError, match=r"^1 gold sequences, 2 predicted: they must stand side by side$"):
        span_scores([["O"]], [["O"], ["O"]])


@settings(max_examples=200, deadline=None)
@given(sequences)
def test_spans_are_those_that_seqeval_reads(tags):
    assert spans_of(tags) == [(kind, first, last + 1) for kind, first, last in get_entities(tags)]


@settings(max_examples=60, deadline=None)
@given(pairs)
def test_scores_are_those_of_seqeval(rows):
    gold, predicted = [g for g, _ in rows], [p for _, p in rows]
    theirs = {
        name: score(gold, predicted, zero_division=0)
        for name, score in {"precision": precision_score, "recall": recall_score, "f1": f1_score}.items()
    }
    assert span_scores(gold, predicted) == pytest.approx(theirs)


def test_the_shared_tasks_own_baseline_scores_what_was_published(shared_data):
    # The most frequent chunk tag of each part of speech: F1 77.07 (Tjong Kim Sang & Buchholz 2000, table 2).
    train, test = (_conll2000(shared_data, split) for split in ("train", "test"))
    seen: dict[str, Counter[str]] = defaultdict(Counter)
    for sentence in train:
        for _, pos, chunk in sentence:
            seen[pos][chunk] += 1
    best = {pos: counts.most_common(1)[0][0] for pos, counts in seen.items()}
    gold = [[chunk for _, _, chunk in sentence] for sentence in test]
    predicted = [[best[pos] for _, pos, _ in sentence] for sentence in test]
    assert round(100 * span_scores(gold, predicted)["f1"], 2) == 77.07
    assert sum(scores.support for scores in per_kind(gold, predicted).values()) == 23_852


def _conll2000(shared_data: Path, split: str) -> list[list[list[str]]]:
    packed = (shared_data / "conll2000_chunking" / f"{split}.conll.xz").read_bytes()
    text = lzma.decompress(packed).decode("utf-8")
    return [[line.split() for line in block.splitlines()] for block in text.strip().split("\n\n")]
