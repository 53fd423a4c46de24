"""Words and punctuation, there and back."""

from __future__ import annotations

import lzma

import pytest

from unrolled.data.tokenisers._joiner import LONGEST_CACHED
from unrolled.data.tokenisers.words import Words, _remembered


def test_a_sentence_by_hand():
    text = "Ein Mann (im T-Shirt) sagt: »Sie hat's, Joe's doesn't.«"
    tokens = "Ein Mann (￭ im T ￭-￭ Shirt ￭) sagt ￭: »￭ Sie hat ￭'s ￭, Joe ￭'s does ￭n't ￭. ￭«"
    assert Words().tokens(text) == tokens.split()
    assert Words().text(tokens.split()) == text
    assert Words(case="lower").tokens("ÉTÉ, Straße") == ["été", "￭,", "straße"]


def test_each_token_is_a_word():
    assert Words().begins(["do", "￭n't", "￭,"]) == [True, True, True]


def test_a_long_chunk_is_cut_and_not_kept():
    chunk = "a-" * LONGEST_CACHED
    before = _remembered.cache_info().currsize
    assert Words().tokens(chunk) == ["a", *["￭-￭", "a"] * (LONGEST_CACHED - 1), "￭-"]
    assert _remembered.cache_info().currsize == before


@pytest.mark.parametrize("language", ["en", "de", "fr"])
def test_every_sentence_of_multi30k_comes_back(shared_data, language):
    lines = lzma.decompress((shared_data / "multi30k" / f"train.{language}.xz").read_bytes()).decode().splitlines()
    tokeniser = Words()
    cut = tokeniser.tokens_of_all(lines)
    assert [tokeniser.text(tokens) for tokens in cut] == [" ".join(line.split()) for line in lines]
    # A word is one token wherever it stands: what carries a mark is little beside the words.
    marked = {token for tokens in cut for token in tokens if "￭" in token}
    assert len(marked) < 200
