"""Where a text is cut, and where the marks stand."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unrolled.data.tokenisers._joiner import JOINER, cut, joined, parsed

CHUNKS = st.text("aZé9'’-,.(„“\"￭▁n s\u0301\u200d日😀_", max_size=12).map(lambda text: "".join(text.split()))


def tokens(chunk: str) -> list[str]:
    return [piece.left + piece.surface + piece.right for piece in cut(chunk)]


@pytest.mark.parametrize(
    ("chunk", "expected"),
    [
        ("Mann", "Mann"),
        ("Mann,", "Mann ￭,"),
        ("(alt)", "(￭ alt ￭)"),
        ("((alt)).", "(￭ (￭ alt ￭) ￭) ￭."),
        ("„Das“.", "„￭ Das ￭“ ￭."),
        ("“That”,", "“￭ That ￭” ￭,"),
        ('"So"', '"￭ So ￭"'),
        ("T-Shirt", "T ￭-￭ Shirt"),
        ("-x-", "-￭ x ￭-"),
        ("a--b", "a ￭- ￭-￭ b"),
        ("3.5", "3 ￭.￭ 5"),
        ("...", ". ￭. ￭."),
        ("don't", "do ￭n't"),
        ("DON’T", "DO ￭N’T"),
        ("n't", "n't"),
        ("man's", "man ￭'s"),
        ("they've", "they ￭'ve"),
        ("Wendy's-Restaurant", "Wendy ￭'s ￭-￭ Restaurant"),
        ("l'homme", "l'￭ homme"),
        ("L’été", "L’￭ été"),
        ("qu'aujourd'hui", "qu'￭ aujourd'￭ hui"),
        ("(l'été)", "(￭ l'￭ été ￭)"),
        ("l'", "l ￭'"),
        ("o'clock", "o'clock"),
        ("rock'n'roll", "rock'n'roll"),
        ("'em", "'￭ em"),
        ("boys'", "boys ￭'"),
        ("cafe\u0301", "cafe\u0301"),
        ("हिन्दी।", "हिन्दी ￭।"),
        ("日本語です。", "日本語です ￭。"),
        ("😀😀", "😀 ￭😀"),
        ("￭", "￭"),
        ("￭￭", "￭ ￭￭"),
        ("a￭b", "a ￭￭ ￭b"),
        ("(￭", "(￭ ￭"),
        ("x_y", "x_y"),
    ],
)
def test_chunks_by_hand(chunk, expected):
    assert tokens(chunk) == expected.split(" ")
    assert joined(expected.split(" ")) == chunk


@given(CHUNKS)
def test_the_surfaces_are_the_chunk(chunk):
    assert "".join(piece.surface for piece in cut(chunk)) == chunk
    assert joined(tokens(chunk)) == chunk


@given(CHUNKS)
def test_each_place_between_two_pieces_has_one_mark(chunk):
    pieces = cut(chunk)
    assert [a.right + b.left for a, b in pairwise(pieces)] == [JOINER] * (len(pieces) - 1)
    assert not pieces or (pieces[0].left, pieces[-1].right) == ("", "")


@given(CHUNKS)
def test_a_token_says_its_own_marks(chunk):
    for piece in cut(chunk):
        token = piece.left + piece.surface + piece.right
        assert parsed(token) == (piece.surface, bool(piece.left), bool(piece.right))


@given(CHUNKS)
def test_a_word_beside_punctuation_has_no_mark(chunk):
    for word in ("Mann", "o'clock"):
        assert tokens(f"({word})-{word},") == ["(￭", word, "￭)", "￭-￭", word, "￭,"]


@pytest.mark.parametrize(
    ("given_tokens", "text"),
    [
        ([], ""),
        (["￭,"], ","),
        (["(￭"], "("),
        (["￭,", "￭,", "a"], ",, a"),
        (["(￭", "￭)", "(￭", "a"], "() (a"),
        (["a", "￭-￭", "￭-￭", "b", "￭-￭"], "a--b-"),
        (["<unk>", "￭.", "x y", ""], "<unk>. x y"),
        (["￭", "a", "￭"], "￭ a ￭"),
        (["￭￭￭", "a"], "￭a"),
    ],
)
def test_tokens_in_any_order_make_a_text(given_tokens, text):
    assert joined(given_tokens) == text


def test_long_chunks_take_linear_time():
    # Quadratic backtracking over these would take hours.
    for text in ("a" * 200_000, "a-" * 100_000, "'" * 200_000, "a'" * 100_000, "b'" * 100_000, "e\u0301" * 100_000):
        assert joined(tokens(text)) == text
