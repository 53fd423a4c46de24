"""Raw text to tokens."""

from __future__ import annotations

import re
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unrolled.data.examples import LabelledText
from unrolled.data.reading import stream
from unrolled.data.tokens import Rule, blanks, characters, mers, spans, tokenise, words
from unrolled.errors import UnknownName


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("I don't, can't and CAN'T.", "I do n't , ca n't and CA N'T ."),
        ("Don’t say it’s", "Do n’t say it ’s"),
        ("it's we'd I'm they're I've we'll", "it 's we 'd I 'm they 're I 've we 'll"),
        ("O'Neil's rock'n'roll o'clock", "O'Neil 's rock'n'roll o'clock"),
        ("well-made, state-of-the-art - -x y- a--b", "well-made , state-of-the-art - - x y - a - - b"),
        ("does n't he 's ca n't", "does n't he 's ca n't"),
        ("the boys' 'quoted' 90's", "the boys ' ' quoted ' 90 's"),
        ("7/10... (wow)!", "7 / 10 . . . ( wow ) !"),
        ("one<br />two<BR>three<br/>four < br", "one two three four < br"),
        ("<b>x</b>", "< b > x < / b >"),
        ("snake_case x2 ½ naïve", "snake_case x2 ½ naïve"),
        ("Ünïcode “quotes” – 日本語です。", "Ünïcode “ quotes ” – 日本語です 。"),
        ("cafe\u0301 हिन्दी में می‌خواهم", "cafe\u0301 हिन्दी में می‌خواهم"),
        ("a\u00a0b\u2028c\td\n", "a b c d"),
        ("😀😀", "😀 😀"),
        ("", ""),
        (" \n", ""),
    ],
)
def test_words(text, tokens):
    assert words(text) == tokens.split(" ") if tokens else words(text) == []


@given(st.text(alphabet=st.characters(codec="utf-8")) | st.text("an'’t-s.<br/> é\u0301\u200d"))
def test_words_lose_nothing_but_white_space_and_line_breaks(text):
    kept = "".join(re.sub(r"<br\s*/?>", " ", text, flags=re.IGNORECASE).split())
    found = words(text)
    assert "".join(found) == kept
    assert all(found)
    assert tokenise(text) == found
    assert tokenise(text, lowercase=True) == words(text.lower())


@given(st.text("an'’t-s. dIlmMvVeE", max_size=30))
def test_marks_elsewhere_in_a_text_do_not_change_its_words(text):
    assert words(text + " e\u0301") == [*words(text), "e\u0301"]


def test_blanks_and_characters():
    assert blanks(" a b\tc\u00a0d\n") == ["a", "b", "c", "d"]
    assert characters("a b😀") == ["a", " ", "b", "😀"]
    assert tokenise("A b", "blanks") == ["A", "b"]
    assert tokenise("A b", "characters", lowercase=True) == ["a", " ", "b"]


def test_letters_with_their_places_begin_anew_behind_white_space():
    assert tokenise("GATTACA", "placed") == ["G1", "A2", "T3", "T4", "A5", "C6", "A7"]
    assert tokenise(" ac\tg ", "placed") == ["a1", "c2", "g1"]
    assert tokenise(" GAT\tC GA", "placed-2-mers") == ["GA1", "AT2", "C1", "GA1"]


def test_k_mers_overlap_and_do_not_go_over_white_space():
    assert tokenise("GATTACA", "3-mers") == ["GAT", "ATT", "TTA", "TAC", "ACA"]
    assert tokenise("ACGT GG TTT\n", "3-mers", lowercase=True) == ["acg", "cgt", "gg", "ttt"]
    assert tokenise(" ", "2-mers") == []
    with pytest.raises(UnknownName, match=r"unknown tokenisation '7-mers'; did you mean '[2-6]-mers'\?"):
        tokenise("ACGT", "7-mers")


@given(st.text("ACGT", min_size=1), st.integers(2, 6))
def test_the_first_letters_of_all_k_mers_and_the_rest_of_the_last_are_the_sequence(sequence, size):
    found = mers(sequence, size)
    assert "".join(mer[0] for mer in found) + found[-1][1:] == sequence
    assert {len(mer) for mer in found} == {min(size, len(sequence))}


@pytest.mark.parametrize("rule", get_args(Rule))
@pytest.mark.parametrize("text", ["GATTACA", " GATTACA CA\tACATTAG G ", "It's <br/>well-made,  is it? "])
def test_a_token_is_what_stands_in_its_span(rule, text):
    tokens = tokenise(text, rule)
    found = spans(text, tokens, rule)
    seen = [re.sub(r"\d+$", "", token) or token[0] for token in tokens] if rule.startswith("placed") else tokens
    assert [text[begin:end] for begin, end in found] == seen
    begins = [begin for begin, _ in found]
    assert begins == sorted(set(begins))


def test_a_short_sequence_is_not_found_within_the_one_before_it():
    assert spans("GATTACA CA", mers("GATTACA CA", 3), "3-mers")[-2:] == [(4, 7), (8, 10)]


def test_an_unknown_rule_is_named():
    with pytest.raises(UnknownName, match=r"unknown tokenisation 'word'; did you mean 'words'\?"):
        tokenise("a", "word")


def test_long_texts_take_linear_time():
    # Quadratic backtracking over these would take hours.
    for text in ("a" * 200_000, "a-" * 100_000, "'" * 200_000, "a'" * 100_000, "<br" * 60_000, "e\u0301" * 100_000):
        assert "".join(words(text)) == text


def test_real_texts_that_were_cut_by_the_penn_treebank_s_rules_keep_their_clitics(shared_data):
    for example in stream(shared_data / "sst2" / "dev.tsv", LabelledText):
        given = example.text.split()
        clitics = {"n't", "'s", "'m", "'d", "'re", "'ve", "'ll"}
        assert [t for t in words(example.text) if t in clitics] == [t for t in given if t in clitics]
