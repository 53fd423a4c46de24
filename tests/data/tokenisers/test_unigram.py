"""The unigram model against enumeration of all cuts."""

from __future__ import annotations

from collections import Counter
from math import exp, log

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unrolled.data.tokenisers._subwords import BEGIN
from unrolled.data.tokenisers.base import Tokeniser
from unrolled.data.tokenisers.unigram import Unigram, _in_context, estimate
from unrolled.errors import BadOption

CHARACTERS = [BEGIN, "a", "b", "c"]
PIECES = st.sets(st.text("abc", min_size=2, max_size=3), max_size=5).map(lambda more: sorted({*CHARACTERS, *more}))
WORDS = st.dictionaries(
    st.text("abc", min_size=1, max_size=6).map(lambda word: BEGIN + word), st.integers(1, 9), min_size=1, max_size=5
)
SENTENCES = ["ein Mann in einem Haus", "einem Mann mit einem Haus", "in einem Haus", "eine Frau mit einem Mann"]


def cuts(word: str, pieces: set[str]) -> list[list[str]]:
    """All ways to lay pieces end to end."""
    if not word:
        return [[]]
    ends = range(1, len(word) + 1)
    return [[word[:end], *rest] for end in ends if word[:end] in pieces for rest in cuts(word[end:], pieces)]


@given(PIECES, st.lists(st.integers(-40, -1), min_size=9, max_size=9), st.text("abc", min_size=1, max_size=8))
def test_the_most_probable_cut_is_taken(pieces, scores, word):
    tokeniser = Unigram({piece: float(score) for piece, score in zip(pieces, scores, strict=False)})
    found = [token.removeprefix("￭") for token in tokeniser.tokens(word)]
    first = [[BEGIN, *found], [BEGIN + found[0], *found[1:]]]
    got = max(sum(tokeniser.scores[p] for p in cut) for cut in first if set(cut) <= set(pieces))
    assert got == max(sum(tokeniser.scores[p] for p in cut) for cut in cuts(BEGIN + word, set(pieces)))


@settings(max_examples=50)
@given(PIECES, WORDS, st.integers(0, 3))
def test_probabilities_are_estimated_as_by_enumeration(pieces, words, rounds):
    words = {**words, BEGIN + "abc": 1}
    expected: Counter[str] = Counter()
    for word, count in words.items():
        for piece in pieces:
            expected[piece] += count * sum(word.startswith(piece, place) for place in range(len(word)))
    for _ in range(rounds):
        total = sum(max(expected[piece], 1e-9) for piece in pieces)
        p = {piece: max(expected[piece], 1e-9) / total for piece in pieces}
        expected = Counter()
        for word, count in words.items():
            every = cuts(word, set(pieces))
            weights = [exp(sum(log(p[piece]) for piece in cut)) for cut in every]
            for cut, weight in zip(every, weights, strict=True):
                for piece in cut:
                    expected[piece] += count * weight / sum(weights)
    total = sum(max(expected[piece], 1e-9) for piece in pieces)
    found = estimate(pieces, words, rounds)
    assert found == pytest.approx({piece: log(max(expected[piece], 1e-9) / total) for piece in pieces}, abs=2e-6)


def test_an_estimate_does_not_depend_on_the_order_of_words_or_pieces():
    words = {BEGIN + word: 3 + len(word) for word in ("abc", "bca", "ab", "cab", "aab")}
    pieces = [*CHARACTERS, "ab", "ca", "abc", BEGIN + "a"]
    again = estimate(pieces[::-1], dict(reversed(list(words.items()))))
    assert estimate(pieces, words) == again
    assert list(estimate(pieces, words)) == list(again)


def test_words_of_any_length_are_estimated():
    scores = estimate([BEGIN, "a"], {BEGIN + "a" * 5000: 1})
    assert scores == {"a": round(log(5000 / 5001), 6), BEGIN: round(log(1 / 5001), 6)}


def test_a_frequent_word_is_a_piece_though_nothing_but_its_end_follows_it():
    tokeniser = Unigram.build(SENTENCES * 5, size=40)
    assert tokeniser.tokens("in einem Haus") == ["in", "einem", "Haus"]
    assert tokeniser.scores.keys() <= {
        BEGIN + word[:end] for text in SENTENCES for word in text.split() for end in range(len(word) + 1)
    } | {
        word[start:end]
        for text in SENTENCES
        for word in text.split()
        for start in range(len(word))
        for end in range(start + 1, len(word) + 1)
    }


def test_the_context_that_the_library_is_shown_changes_no_count_and_repeats_no_pair():
    words = {BEGIN + word: count for word, count in {"an": 5, "in": 4, "so": 3, "on": 1, "un": 2}.items()}
    shown, extra = _in_context(words, 3)
    assert len(extra) == 2  # the most words with one last letter, among the three most frequent
    counts: Counter[str] = Counter()
    for word, count in shown.items():
        counts["".join(character for character in word if character not in extra)] += count
    assert counts == words
    pairs = [word[-2:] for word in shown if extra.intersection(word)]
    assert len(pairs) == len(set(pairs)) == 3
    assert all(word[:-1] in words for word in shown if extra.intersection(word))
    assert _in_context(words, 5)[0][BEGIN + "on"] == 1  # a word that occurs once is left as it is


def test_the_size_is_the_number_of_pieces_at_most():
    for size in (20, 30):
        tokeniser = Unigram.build(SENTENCES * 5, size=size)
        assert len(tokeniser.scores) <= size
        assert {character for text in SENTENCES for character in text if character != " "} <= tokeniser.alphabet
    assert repr(tokeniser) == f"Unigram({len(tokeniser.scores)} pieces, case='keep')"
    with pytest.raises(BadOption, match=r"^size must be more than 13, the characters of these texts, not 3$"):
        Unigram.build(SENTENCES, size=3)


def test_real_sentences_give_as_many_pieces_as_were_asked_for_and_frequent_words_whole(shared_data):
    texts = (shared_data / "multi30k" / "val.de").read_text(encoding="utf-8").splitlines()
    tokeniser = Unigram.build(texts, size=600)
    assert len(tokeniser.scores) == 600
    words = Counter(word for text in texts for word in text.split() if word.isalpha())
    assert all(tokeniser.tokens(word) == [word] for word, _ in words.most_common(50))
    assert sum(np.exp(list(tokeniser.scores.values()))) == pytest.approx(1, abs=1e-4)


def test_it_is_stored_as_its_pieces_and_their_scores():
    value = Unigram({"▁": -1.5, "a": -0.5}, case="lower").to_json()
    assert value == {"tokeniser": "unigram", "case": "lower", "scores": {"a": -0.5, "▁": -1.5}}


@pytest.mark.parametrize(
    ("learnt", "problem"),
    [
        ({}, "a tokeniser unigram has scores, not nothing"),
        ({"scores": {"a": -1.0}, "merges": []}, "a tokeniser unigram has scores, not scores, merges"),
        ({"scores": ["a"]}, "the scores of unigram are a JSON object, each with its piece"),
        ({"scores": {"": -1.0}}, "the scores of unigram are a JSON object, each with its piece"),
        *(
            (
                {"scores": {"a": score}},
                "the scores of unigram are logarithms of probabilities: numbers, none above 0",
            )
            for score in ("x", None, True, 0.5, float("nan"), float("inf"), -float("inf"))
        ),
        ({"scores": {"a": -1.0, "ab": -2.0}}, "the character 'b' stands in a piece and is none"),
    ],
)
def test_a_damaged_one_is_refused(learnt, problem):
    with pytest.raises(ValueError, match=f"^{problem}$"):
        Tokeniser.from_json({"tokeniser": "unigram", "case": "keep", **learnt})
