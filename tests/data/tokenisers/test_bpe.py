"""Byte pair encoding against the paper's algorithm in its slowest form."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unrolled.data.tokenisers._subwords import BEGIN
from unrolled.data.tokenisers.base import Tokeniser
from unrolled.data.tokenisers.bpe import BPE

# Without a letter that follows itself: for `aaa` the paper does not say how often `aa` occurs.
WORDS = st.lists(st.sampled_from("abcd"), min_size=1, max_size=6).map(
    lambda letters: "".join(a for a, b in zip(letters, [*letters[1:], ""], strict=True) if a != b)
)


def merged(pieces: list[str], pair: tuple[str, str]) -> list[str]:
    found: list[str] = []
    place = 0
    while place < len(pieces):
        if tuple(pieces[place : place + 2]) == pair:
            found.append("".join(pair))
            place += 2
        else:
            found.append(pieces[place])
            place += 1
    return found


def learnt_slowly(words: list[str], size: int) -> list[tuple[str, str]]:
    """Sennrich et al. 2016, algorithm 1; of equal pairs the one whose pieces are the oldest."""
    cut = [list(BEGIN + word) for word in words]
    pieces = sorted({piece for word in cut for piece in word})
    merges: list[tuple[str, str]] = []
    while len(pieces) < size:
        pairs = Counter(pair for word in cut for pair in pairwise(word))
        if not pairs or max(pairs.values()) < 2:
            break
        best = min(pairs, key=lambda pair: (-pairs[pair], pieces.index(pair[0]), pieces.index(pair[1])))
        merges.append(best)
        if "".join(best) not in pieces:
            pieces.append("".join(best))
        cut = [merged(word, best) for word in cut]
    return merges


@settings(max_examples=200)
@given(st.lists(WORDS, min_size=1, max_size=12), st.integers(1, 12))
def test_merges_are_those_of_the_slow_algorithm(words, more):
    size = len({BEGIN}.union(*words)) + more
    assert list(BPE.build([" ".join(words)], size=size).merges) == learnt_slowly(words, size)


@given(st.lists(WORDS, min_size=1, max_size=12), st.text("abcd", min_size=1, max_size=9))
def test_a_new_word_is_put_together_by_the_first_merge_that_is_possible(words, new):
    tokeniser = BPE.build([" ".join([*words, "abcd"])], size=20)
    pieces = list(BEGIN + new)
    for pair in tokeniser.merges:
        pieces = merged(pieces, pair)
    first, *rest = "".join(pieces[0]).removeprefix(BEGIN), *pieces[1:]
    expected = [piece for piece in (first, *rest) if piece]
    assert tokeniser.tokens(new) == [expected[0], *("￭" + piece for piece in expected[1:])]


def test_a_frequent_word_becomes_one_piece_and_a_single_pair_none():
    tokeniser = BPE.build(["low " * 5 + "lower " * 2 + "newest " * 6 + "widest " * 3 + "xyz"])  # the paper's words
    assert tokeniser.merges[:2] == (("e", "s"), ("es", "t"))
    assert tokeniser.tokens("lower lowest xyz") == ["lower", "low", "￭est", "x", "￭y", "￭z"]


def test_pieces_do_not_reach_across_punctuation():
    tokeniser = BPE.build(["a,b a,b a,b (a-b) a.b a.b"])
    assert tokeniser.merges == ((BEGIN, "a"), (BEGIN, "b"))
    assert tokeniser.tokens("b,a") == ["b", "￭,￭", "a"]


def test_the_size_is_the_number_of_pieces_with_the_characters():
    tokeniser = BPE.build(["the lower the lowest the low the lot"], size=13)
    assert len(tokeniser.alphabet) + len(tokeniser.merges) == 13
    assert repr(tokeniser) == "BPE(13 pieces, case='keep')"


def test_it_is_stored_as_its_characters_and_merges():
    tokeniser = BPE.build(["Das das"], case="lower")
    assert tokeniser.to_json() == {
        "tokeniser": "bpe",
        "case": "lower",
        "alphabet": "ads▁",
        "merges": ["a s", "d as", "▁ das"],
    }


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"merges": None}, "a tokeniser bpe has alphabet and merges, not alphabet"),
        ({"more": 1}, "a tokeniser bpe has alphabet and merges, not alphabet, merges, more"),
        ({"alphabet": ["a"]}, "the alphabet of bpe is a string, and its merges are a list"),
        ({"merges": "a s"}, "the alphabet of bpe is a string, and its merges are a list"),
        ({"merges": ["a s", "das"]}, "each merge of bpe is two pieces with a blank between them"),
        ({"merges": ["a s", 3]}, "each merge of bpe is two pieces with a blank between them"),
        ({"merges": ["a s x"]}, "each merge of bpe is two pieces with a blank between them"),
        ({"merges": ["d as", "a s"]}, "a merge of 'd' and 'as', of which one is no piece so far"),
        ({"alphabet": "ad▁"}, "a merge of 'a' and 's', of which one is no piece so far"),
        ({"merges": ["a "]}, "a merge of 'a' and '', of which one is no piece so far"),
    ],
)
def test_a_damaged_one_is_refused(changes, problem):
    value = {**BPE.build(["das das"]).to_json(), **changes}
    with pytest.raises(ValueError, match=f"^{problem}$"):
        Tokeniser.from_json({key: content for key, content in value.items() if content is not None})
