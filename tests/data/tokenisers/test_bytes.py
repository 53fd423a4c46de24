from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from unrolled.data.examples import Passage
from unrolled.data.tokenisers.bytes import NAMES, Bytes
from unrolled.data.vocabulary import Vocabulary
from unrolled.tasks._generating import Sampling, said
from unrolled.tasks.language_model import LanguageModel


def test_characters_beyond_ascii_are_several_bytes() -> None:
    assert Bytes().tokens("a€\t") == ["a", "<0xE2>", "<0x82>", "<0xAC>", "\t"]
    assert Bytes(case="lower").tokens("É") == Bytes().tokens("é") == ["<0xC3>", "<0xA9>"]
    assert len(set(NAMES)) == 256


@given(st.text())
def test_every_text_comes_back_exactly_though_it_looks_like_a_byte(text: str) -> None:
    tokeniser = Bytes()
    whole = text + "<0xC3>"
    assert set(tokeniser.tokens(whole)) <= set(NAMES)
    assert tokeniser.text(tokeniser.tokens(whole)) == whole


def test_what_is_no_character_is_marked_and_never_an_error() -> None:
    tokeniser = Bytes()
    assert tokeniser.text(["<0xE2>", "<0x82>", "x", "<0xFF>", "<unk>"]) == "\ufffdx\ufffd<unk>"
    assert tokeniser.text(tokeniser.tokens("\ud800!")) == "\ufffd!"


def test_a_character_begins_with_its_first_byte_as_a_word_of_characters_does() -> None:
    tokens = Bytes().tokens("é€ a")
    assert Bytes().begins(tokens) == [True, False, True, False, False, True, True]
    assert Bytes().begins(tokens[1:2]) == [True]
    assert sum(Bytes().begins(tokens)) == len("é€ a")


def test_a_language_model_of_bytes_knows_every_text() -> None:
    torch.manual_seed(1)
    model = LanguageModel.prepare([Passage(text="plain text")] * 3, tokens="bytes", hidden_size=4, word_size=4)
    assert set(NAMES) <= set(model.elements)
    assert len(model.elements) == 257  # and the unknown one, which no text has
    assert model.measure([Passage(text="日本 and é")])["unknown"] == 0


def pieces(tokens: list[str], before: str = "") -> list[str]:
    vocabulary = Vocabulary.build([tokens])
    return list(said(iter(vocabulary.encode(tokens)), vocabulary, Bytes(), Sampling(length=len(tokens)), before))


@pytest.mark.parametrize("before", ["", "né"])
def test_a_character_is_shown_when_it_is_whole(before: str) -> None:
    assert [p for p in pieces(Bytes().tokens("a€b\né"), before) if p] == ["a", "€", "b", "\n", "é"]


def test_bytes_that_stay_broken_are_shown_when_nothing_can_mend_them() -> None:
    assert "".join(pieces(["<0xE2>", "<0x82>", "x", "<0xC3>", "\n", "<0xC3>"])) == "\ufffdx\ufffd\n\ufffd"


@given(
    st.lists(st.sampled_from(["\n", "a", *(f"<0x{byte:02X}>" for byte in "€é😀\ufffd".encode()), "<0xFF>"])),
    st.sampled_from(["", "né", "\ufffd"]),
)
def test_the_pieces_of_any_bytes_are_the_text_of_all_of_them(tokens: list[str], before: str) -> None:
    if tokens:
        whole = before.encode() + b"".join(bytes([NAMES.index(token)]) for token in tokens)
        assert before + "".join(pieces(tokens, before)) == whole.decode(errors="replace")
