"""A text that is drawn ends before a string or a word, and nothing of that is shown before."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unrolled.data.tokenisers.base import PACKAGE, Case, Tokeniser
from unrolled.data.vocabulary import Vocabulary
from unrolled.lookup import find
from unrolled.tasks._cutting import LINE_END
from unrolled.tasks._generating import Sampling, said


def built(kind: str, case: Case = "keep") -> Tokeniser:
    # Of so few words only characters become pieces.
    made: Tokeniser = find(PACKAGE, kind, Tokeniser, "tokenisation").build(["abcdefghijklmnopqrstuvwxyz"], case=case)
    return made


def pieces(tokeniser: Tokeniser, tokens: list[str], *stop: str, before: str = "") -> list[str]:
    """What is said as these tokens are drawn."""
    vocabulary = Vocabulary.build([tokens])
    drawn = iter(vocabulary.encode(tokens).tolist())
    return list(said(drawn, vocabulary, tokeniser, Sampling(length=len(tokens), stop=stop), before))


def text_of(tokeniser: Tokeniser, tokens: list[str], *stop: str, before: str = "") -> str:
    return "".join(pieces(tokeniser, tokens, *stop, before=before))


@pytest.mark.parametrize("kind", ["characters", "bytes"])
def test_of_characters_a_stop_is_any_string(kind: str) -> None:
    tokeniser = built(kind)
    for text, stop, wanted in (
        ("it is. END of it", "END", "it is. "),
        ("ENENDED", "END", "EN"),
        ("a\n\nb\n\n\nc", "\n\n\n", "a\n\nb"),
        ("5 € or 6 £", " £", "5 € or 6"),
        ("theory", "eo", "th"),
        ("no end", "END", "no end"),
        ("to the EN", "END", "to the EN"),
    ):
        assert text_of(tokeniser, tokeniser.tokens(text), stop) == wanted


@pytest.mark.parametrize("kind", ["characters", "bytes"])
@given(text=st.text("ab€\n", min_size=1), stop=st.text("ab€\n", min_size=1, max_size=4))
def test_a_text_of_characters_is_what_stands_before_the_stop(kind: str, text: str, stop: str) -> None:
    tokeniser = built(kind)
    assert text_of(tokeniser, tokeniser.tokens(text), stop) == text.partition(stop)[0]


def test_only_what_may_become_a_stop_is_held_back() -> None:
    tokeniser = built("characters")
    assert pieces(tokeniser, list("xEyENxEND"), "END") == ["x", "", "Ey", "", "", "ENx", "", "", ""]
    assert pieces(built("blanks"), ["a", "the", "b", "the"], "the end") == ["a", "", " the b", "", " the"]
    tokens = ["the", "￭o", "￭r", "dog"]
    assert pieces(built("bpe"), tokens, "then") == ["", "theo", "r", " dog"]


def test_of_several_stops_the_first_that_is_complete_counts() -> None:
    tokeniser = built("characters")
    assert text_of(tokeniser, list("abcdef"), "bcdx", "cd", "f") == "ab"
    assert text_of(tokeniser, list("abcdef"), "d", "bcd") == "a"


@pytest.mark.parametrize("kind", ["bpe", "unigram"])
def test_of_pieces_a_stop_is_a_whole_word(kind: str) -> None:
    tokeniser = built(kind)
    tokens = ["a", "the", "￭ory", "of", "the", "￭,", "dog"]
    assert text_of(tokeniser, tokens, "the") == "a theory of"
    assert text_of(tokeniser, tokens, "theory") == "a"
    assert text_of(tokeniser, tokens, "ory", "￭ory", "theo") == "a theory of the, dog"
    assert text_of(tokeniser, tokens[:2], "the") == "a"
    assert text_of(tokeniser, ["a", "the", LINE_END, "￭ory"], "the") == "a"


@pytest.mark.parametrize("kind", ["bpe", "unigram"])
def test_an_apostrophe_may_belong_to_the_word_before_it(kind: str) -> None:
    tokens = ["dog", "￭'", "￭s", "dog", "￭'", "cat", "sleeps"]
    assert text_of(built(kind), tokens, "dog") == "dog's"
    assert text_of(built(kind), tokens, "'") == "dog's dog"


@pytest.mark.parametrize("kind", ["words", "blanks", "bpe"])
@given(words=st.lists(st.sampled_from(["a", "b", "ab", LINE_END]), min_size=1))
def test_several_words_are_a_stop_where_they_follow_each_other(kind: str, words: list[str]) -> None:
    whole = text_of(built(kind), words)
    assert whole == LINE_END.join(" ".join(line.split()) for line in " ".join(words).split(LINE_END))
    for stop in ("a b", "b", "a\nb"):
        found = re.search(rf" ?(?<!\w){stop}(?!\w)", whole)
        assert text_of(built(kind), words, stop) == (whole[: found.start()] if found else whole)
    assert text_of(built(kind), words, LINE_END) == whole.partition(LINE_END)[0]


def test_a_stop_may_have_marks_and_is_in_the_model_s_case() -> None:
    tokeniser = built("words")
    tokens = ["so", "￭,", "T", "￭-￭", "Shirt", "￭.", "<unk>", "end"]
    assert text_of(tokeniser, tokens, "T-Shirt") == "so,"
    assert text_of(tokeniser, tokens, "￭.") == text_of(tokeniser, tokens, ".") == "so, T-Shirt"
    assert text_of(tokeniser, tokens, "<unk>") == "so, T-Shirt."
    assert text_of(built("words", case="lower"), tokens, "END") == "so, T-Shirt. <unk>"
    assert text_of(built("characters", case="lower"), list("to the end"), "END") == "to the "


def test_a_stop_is_found_in_what_was_drawn_and_not_in_its_prompt() -> None:
    assert text_of(built("characters"), list("DENDS"), "END", before="END EN") == "D"
    tokeniser = built("bpe")
    assert text_of(tokeniser, ["￭ory", "of", "it"], "ory", "theory", "a theory", before="a the") == "ory of it"
    assert text_of(tokeniser, ["of", "the", "dog"], "the", before="the") == " of"
    assert text_of(tokeniser, [LINE_END, "the"], "the", before="the") == LINE_END


@pytest.mark.parametrize("kind", ["characters", "words", "bpe"])
def test_a_stop_that_is_nothing_stops_nothing(kind: str) -> None:
    assert text_of(built(kind), ["a", LINE_END, "b"], "") == "a\nb"
