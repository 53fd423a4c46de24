"""Symbols and numbers."""

from __future__ import annotations

import copy
import dataclasses
import json
import pickle

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from unrolled.data.vocabulary import Vocabulary
from unrolled.errors import UnknownName

SENTENCES = [["b", "a", "c"], ["a", "b"], ["d", "é"]]


def test_frequent_symbols_come_first_and_equals_by_code_point():
    words = Vocabulary.build(SENTENCES)
    assert words.symbols == ("<unk>", "a", "b", "c", "d", "é")
    assert words.counts == (0, 2, 2, 1, 1, 1)
    assert Vocabulary.build(reversed([list(reversed(s)) for s in SENTENCES])) == words


def test_rare_symbols_are_dropped_and_counted_as_unknown():
    words = Vocabulary.build(SENTENCES, minimum_count=2)
    assert (words.symbols, words.counts) == (("<unk>", "a", "b"), (3, 2, 2))
    words = Vocabulary.build(SENTENCES, most=1)
    assert (words.symbols, words.counts) == (("<unk>", "a"), (5, 2))


def test_an_unknown_symbol_in_the_data_is_itself():
    words = Vocabulary.build([["<unk>", "a", "<unk>"], ["b"]], minimum_count=1)
    assert (words.symbols, words.counts) == (("<unk>", "a", "b"), (2, 1, 1))


def test_without_an_unknown_symbol_an_unseen_one_is_an_error_with_the_nearest():
    tags = Vocabulary.build([["NOUN", "VERB"]], unknown=None, kind="tag")
    assert tags.encode(["VERB", "NOUN"]).tolist() == [1, 0]
    for ask in (lambda: tags.encode(["VERB", "NOUNS"]), lambda: tags.index("NOUNS")):
        with pytest.raises(UnknownName) as caught:
            ask()
        assert str(caught.value) == "unknown tag 'NOUNS'; did you mean 'NOUN'?"


def test_encoding_gives_int64_numbers_and_0_for_the_unknown():
    words = Vocabulary.build(SENTENCES)
    numbers = words.encode(["a", "never", "é"])
    assert numbers.dtype == np.int64
    assert numbers.tolist() == [1, 0, 5]
    assert (words.index("é"), words.index("never"), "é" in words, "never" in words, len(words)) == (
        5,
        0,
        True,
        False,
        6,
    )
    assert words.encode([]).shape == (0,)
    assert words.encode([]).dtype == np.int64


@given(st.lists(st.lists(st.text(max_size=3), max_size=6), max_size=6))
def test_decoding_undoes_encoding_and_json_keeps_all(sequences):
    words = Vocabulary.build(sequences, unknown=None)
    for sequence in sequences:
        numbers = words.encode(sequence)
        assert words.decode(numbers) == words.decode(torch.from_numpy(numbers)) == tuple(sequence)
    assert Vocabulary.from_json(json.loads(json.dumps(words.to_json()))) == words


def test_a_number_that_is_none_s_is_an_error():
    words = Vocabulary(("a", "b"))
    for number in (-1, 2):
        with pytest.raises(IndexError, match=f"there is no word number {number}: the vocabulary has 2"):
            words.decode([number])


def test_it_never_changes_and_can_be_copied():
    words = Vocabulary.build(SENTENCES)
    with pytest.raises(dataclasses.FrozenInstanceError):
        words.symbols = ()
    assert pickle.loads(pickle.dumps(words)) == copy.deepcopy(words) == words
    assert pickle.loads(pickle.dumps(words)).index("é") == 5


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((("a", "b", "a"),), "the word 'a' stands twice in the vocabulary"),
        ((("a", "<unk>"), "<unk>"), "the unknown symbol '<unk>' must be the first of the vocabulary"),
        (((), "<unk>"), "the unknown symbol '<unk>' must be the first of the vocabulary"),
        ((("a",), None, "word", (1, 2)), "2 counts for 1 symbols"),
    ],
)
def test_a_vocabulary_that_makes_no_sense_cannot_be_made(arguments, message):
    with pytest.raises(ValueError, match=message):
        Vocabulary(*arguments)


GOOD = {"kind": "word", "unknown": "<unk>", "symbols": ["<unk>", "a"], "counts": [0, 1]}


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([], "a vocabulary is a JSON object, not list"),
        ({"symbols": []}, "a vocabulary has kind, unknown, symbols and counts, not symbols"),
        (GOOD | {"more": 1}, "a vocabulary has kind, unknown, symbols and counts, not .*more"),
        (GOOD | {"kind": None}, "kind and unknown symbol are strings"),
        (GOOD | {"unknown": 0}, "kind and unknown symbol are strings"),
        (GOOD | {"symbols": ["<unk>", 1]}, "symbols are a list of strings"),
        (GOOD | {"symbols": "ab"}, "symbols are a list of strings"),
        (GOOD | {"counts": [0, -1]}, "counts are a list of whole numbers"),
        (GOOD | {"counts": [0, 1.5]}, "counts are a list of whole numbers"),
        (GOOD | {"counts": [True, 1]}, "counts are a list of whole numbers"),
        (GOOD | {"counts": [0]}, "1 counts for 2 symbols"),
        (GOOD | {"symbols": ["a", "<unk>"]}, "must be the first"),
        (GOOD | {"symbols": ["<unk>", "<unk>"]}, "stands twice"),
    ],
)
def test_json_of_another_shape_is_refused(value, message):
    assert len(Vocabulary.from_json(GOOD)) == 2
    with pytest.raises(ValueError, match=message):
        Vocabulary.from_json(value)


def test_symbols_that_must_be_known_come_last_and_were_never_seen() -> None:
    words = Vocabulary.build([["b", "a", "b"]])
    more = words.including(["a", "c", "c"])
    assert more.symbols == ("<unk>", "b", "a", "c")
    assert more.counts == (0, 2, 1, 0)
    assert words.including([]) == words
