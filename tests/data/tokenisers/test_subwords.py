"""What BPE and unigram share: words first, then their pieces."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unrolled.data.tokenisers._joiner import JOINER, LONGEST_CACHED
from unrolled.data.tokenisers._subwords import BEGIN, alphabet_of, count_words, learn
from unrolled.data.tokenisers.bpe import BPE
from unrolled.errors import BadData, BadOption

LETTERS = BPE([BEGIN, *"abcdeé'"], [])


def test_words_are_counted_with_what_begins_them_and_nothing_else_is():
    words = count_words(["A man's, a-man (l'été)!", "7 MEN don't"], "lower")
    expected = {"a": 2, "man": 2, "'s": 1, "l'": 1, "été": 1, "7": 1, "men": 1, "do": 1, "n't": 1}
    assert words == {BEGIN + word: count for word, count in expected.items()}
    assert list(words) == sorted(words)
    assert count_words(["A a"], "keep") == {BEGIN + "A": 1, BEGIN + "a": 1}


@pytest.mark.parametrize("texts", [[], [""], ["?! ..."]])
def test_without_words_there_is_nothing_to_learn(texts):
    with pytest.raises(BadData, match=r"^there are no words to learn pieces from$"):
        BPE.build(texts)


def test_a_size_below_the_number_of_characters_is_refused():
    assert alphabet_of([BEGIN + "ab", BEGIN + "bc"], 5) == {BEGIN, "a", "b", "c"}
    with pytest.raises(BadOption, match=r"^size must be more than 4, the characters of these texts, not 4$"):
        BPE.build(["ab bc"], size=4)


def test_each_piece_that_goes_on_with_a_word_has_the_joiner():
    assert LETTERS.tokens("abc, (a-b)") == ["a", "￭b", "￭c", "￭,", "(￭", "a", "￭-￭", "b", "￭)"]
    assert LETTERS.tokens("d'é a'b") == ["d", "￭'￭", "é", "a", "￭'", "￭b"]


def test_characters_that_were_never_seen_stand_together():
    assert LETTERS.tokens("abжукba жук ж 日本a") == ["a", "￭b", "￭жук", "￭b", "￭a", "жук", "ж", "日本", "￭a"]


@pytest.mark.parametrize(
    ("tokens", "begins"),
    [
        ("ab ￭c ￭, d", "1011"),
        ("￭c ￭d", "10"),
        ("do ￭n't ￭.", "101"),  # what is written as one word
        ("man ￭'s ￭'", "101"),
        ("d ￭'￭ é", "101"),  # l'été is two words
        ("a ￭' ￭b", "100"),  # o'clock is one
        ("a ￭' ￭,", "111"),  # the boys',
        ("a ￭'", "11"),
        ("(￭ a ￭-￭ b ￭)", "11111"),
        ("￭, ￭c", "11"),
        ("e\u0301 ￭\u0301", "10"),
        ("x ￭_ ￭9", "100"),
        ("x  ￭y", "111"),
        ("", "1"),
    ],
)
def test_which_tokens_begin_a_word(tokens, begins):
    assert LETTERS.begins(tokens.split(" ")) == [mark == "1" for mark in begins]


@given(st.lists(st.text("abcde", min_size=1, max_size=5), min_size=1, max_size=5))
def test_tokens_fall_into_words_as_the_text_does(words):
    tokens = LETTERS.tokens(", ".join(words))
    groups: list[str] = []
    for token, begins in zip(tokens, LETTERS.begins(tokens), strict=True):
        bare = token.replace(JOINER, "")
        if begins:
            groups.append(bare)
        else:
            groups[-1] += bare
    assert [group for group in groups if group != ","] == words


def test_a_long_chunk_is_cut_and_not_kept():
    tokeniser = BPE([BEGIN, "a"], [])
    tokeniser.tokens("aa a")
    assert tokeniser.tokens("a" * (LONGEST_CACHED + 1)) == ["a", *["￭a"] * LONGEST_CACHED]
    assert tokeniser._remembered.cache_info().currsize == 2


@pytest.mark.parametrize("user", [None, "true", "false"])
def test_learning_leaves_the_environment_as_it_is(monkeypatch, user):
    class Trainer:
        """Notes what the library would read, and fails."""

    seen = []
    name = "TOKENIZERS_PARALLELISM"
    monkeypatch.delenv(name, raising=False)
    if user is not None:
        monkeypatch.setenv(name, user)
    from tokenizers import Tokenizer, models

    monkeypatch.setattr("tokenizers.Tokenizer", lambda model: _Watched(Tokenizer(model), seen))
    with pytest.raises(ZeroDivisionError):
        learn(models.BPE(), Trainer(), {"▁a": 1})
    assert seen == [user or "false"]
    assert os.environ.get(name) == user


class _Watched:
    def __init__(self, _tokenizer, seen):
        self.seen = seen

    def train_from_iterator(self, _lines, _trainer):
        self.seen.append(os.environ.get("TOKENIZERS_PARALLELISM"))
        raise ZeroDivisionError


def test_what_the_library_reads_are_the_words_and_their_counts(monkeypatch):
    lines = []

    class Library:
        def __init__(self, _model):
            pass

        def train_from_iterator(self, given_lines, _trainer):
            lines.extend(given_lines)

        def to_str(self):
            return '{"model": {"learnt": 1}}'

    monkeypatch.setattr("tokenizers.Tokenizer", Library)
    assert learn(None, None, {"▁a": 250, "▁bc": 1}) == {"learnt": 1}
    assert " ".join(lines).split() == ["▁a"] * 250 + ["▁bc"]
