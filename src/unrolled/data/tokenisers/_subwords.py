"""What tokenisers share whose pieces of words are learnt: words are cut as `words` cuts them, then each into pieces.

    "Lieblingsbücher," ─► Lieblingsbücher ￭, ─► Liebling ￭s ￭bücher ￭,

A piece that goes on with a word has the joiner before it. Only words are learnt from and cut, clitics and elided words
among them; every other character stays a token. So pieces never reach across punctuation, and `bücher` in a bracket is
the `bücher` of everywhere else. Characters that no training text held stand together as a token of their own, which
is unknown to a vocabulary, but not lost.

What begins a word is learnt with U+2581 before it, as SentencePiece has it: beginnings are pieces of their own.

The library may learn in several threads. It learns these small tasks faster in one, and some of its versions complain
to every process that is forked later, so one it is, unless `TOKENIZERS_PARALLELISM` says otherwise. What is learnt does
not depend on it.
"""

from __future__ import annotations

import json
import os
import re
from abc import abstractmethod
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from itertools import groupby
from typing import Any

from unrolled.data.tokenisers._joiner import CACHED, JOINER, LONGEST_CACHED, cut, joined, parsed
from unrolled.data.tokenisers.base import Case, Tokeniser
from unrolled.data.tokens import letters
from unrolled.errors import BadData, BadOption

BEGIN = "▁"
SIZE = 8000
"""Pieces where nothing else is said: what 30,000 to 200,000 sentences of two languages can teach well."""


class Subwords(Tokeniser):
    """A tokeniser whose pieces of words are learnt.

    Attributes:
        alphabet: the characters of which its pieces consist, `BEGIN` among them.
    """

    def __init__(self, alphabet: Iterable[str], *, case: Case = "keep") -> None:
        super().__init__(case=case)
        self.alphabet = frozenset(alphabet)
        self._remembered = lru_cache(CACHED)(self._cut)

    @abstractmethod
    def _pieces(self, run: str) -> list[str]:
        """The pieces that, laid end to end, are this run of characters of the alphabet; `BEGIN` may be its first."""

    def tokens(self, text: str) -> list[str]:
        found: list[str] = []
        for chunk in self._cased(text).split():
            found += self._remembered(chunk) if len(chunk) <= LONGEST_CACHED else self._cut(chunk)
        return found

    def text(self, tokens: Iterable[str]) -> str:
        return joined(tokens)

    def begins(self, tokens: Sequence[str]) -> list[bool]:
        parts = [parsed(token) for token in tokens]
        found = []
        for place, (surface, left, right) in enumerate(parts):
            before = parts[place - 1][0] if place else ""
            goes_on = left and _in_word(before[-1:]) and _in_word(surface[:1])
            if goes_on and surface in _APOSTROPHES and not right:  # inside a word, or a quotation mark after it?
                after, goes_on, _ = parts[place + 1] if place + 1 < len(parts) else ("", False, False)
                goes_on = goes_on and _in_word(after[:1])
            found.append(not goes_on)
        return found

    def _cut(self, chunk: str) -> tuple[str, ...]:
        found: list[str] = []
        for surface, kind, left, right in cut(chunk):
            pieces = [surface] if kind == "other" else self._pieces_of_word(surface)
            pieces = [left + pieces[0], *(JOINER + piece for piece in pieces[1:])]
            pieces[-1] += right
            found += pieces
        return tuple(found)

    def _pieces_of_word(self, word: str) -> list[str]:
        if self.alphabet.issuperset(word):
            found = self._pieces(BEGIN + word)
        else:
            found = []
            for known, characters in groupby(BEGIN + word, self.alphabet.__contains__):
                run = "".join(characters)
                found += self._pieces(run) if known else [run]
        found[0] = found[0].removeprefix(BEGIN)
        return found if found[0] else found[1:]


_APOSTROPHES = ("'", "’")


@lru_cache(CACHED)
def _in_word(character: str) -> bool:
    return character in _APOSTROPHES or re.match(letters(character), character) is not None


def count_words(texts: Iterable[str], case: Case) -> dict[str, int]:
    """How often each word, clitic and elided word occurs, `BEGIN` before each; in the order of their code points.

    Raises `BadData` where there are none.
    """
    chunks: Counter[str] = Counter()
    for text in texts:
        chunks.update((text.lower() if case == "lower" else text).split())
    words: Counter[str] = Counter()
    for chunk, count in chunks.items():
        for piece in cut(chunk):
            if piece.kind != "other":
                words[BEGIN + piece.surface] += count
    if not words:
        raise BadData("there are no words to learn pieces from")
    return dict(sorted(words.items()))


def alphabet_of(words: Iterable[str], size: int) -> set[str]:
    """The characters of words. Raises `BadOption` where `size` pieces leave no room for more than these."""
    found = {character for word in words for character in word}
    if size <= len(found):
        raise BadOption(f"size must be more than {len(found)}, the characters of these texts, not {size}")
    return found


def learn(model: Any, trainer: Any, words: Mapping[str, int]) -> Any:
    """What the library learns from words and their counts: its model as plain data.

    Args:
        model, trainer: of `tokenizers`.
        words: without white space.
    """
    from tokenizers import Tokenizer, pre_tokenizers

    tokenizer = Tokenizer(model)
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    with _one_thread():
        tokenizer.train_from_iterator(_repeated(words), trainer)
    return json.loads(tokenizer.to_str())["model"]


def _repeated(words: Mapping[str, int]) -> Iterator[str]:
    # The library takes no counts. It takes lines.
    for word, count in words.items():
        for start in range(0, count, _LINE):
            yield " ".join([word] * min(_LINE, count - start))


_LINE = 100


@contextmanager
def _one_thread() -> Iterator[None]:
    name = "TOKENIZERS_PARALLELISM"
    if name in os.environ:
        yield
        return
    os.environ[name] = "false"  # the library reads it anew each time, and has no other way to be told
    try:
        yield
    finally:
        os.environ.pop(name, None)
