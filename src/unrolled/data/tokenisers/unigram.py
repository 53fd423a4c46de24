r"""The unigram language model over pieces of words, Kudo 2018, arXiv:1804.10959, section 3.2, learnt by `tokenizers`.

Each piece x has a probability of its own. A way to cut a word is as probable as the product of its pieces (eq. 2), and
the most probable way is taken (eq. 4). Learning starts from all frequent substrings and drops those whose loss would
hurt the training words' likelihood the least. Which pieces are left is the library's finding. Their probabilities are
estimated here once more, by expectation and maximisation of the likelihood (eq. 5)

    L = sum over words w of count(w) log( sum over cuts x of w of prod_i p(x_i) )

since the library's depend on the order of a hash table: in their last digits all, those of rare characters altogether.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from unrolled.data.tokenisers._subwords import SIZE, Subwords, alphabet_of, count_words, learn
from unrolled.data.tokenisers.base import Case

ROUNDS = 8
"""Of expectation and maximisation; from the fourth on the likelihood of Multi30k rises by less than 0.1 % a round."""


class Unigram(Subwords):
    """Pieces by probability.

    Attributes:
        scores: piece -> the logarithm of its probability. Pieces of one character are the alphabet.

    >>> tokeniser = Unigram({"▁": -3.0, "a": -3.0, "b": -3.0, "ab": -1.0, "▁a": -2.5})
    >>> tokeniser.tokens("ab aba?")
    ['ab', 'ab', '￭a', '￭?']
    >>> tokeniser.text(tokeniser.tokens("ab aba?"))
    'ab aba?'
    """

    def __init__(self, scores: Mapping[str, float], *, case: Case = "keep") -> None:
        from tokenizers import models

        super().__init__((piece for piece in scores if len(piece) == 1), case=case)
        self.scores = dict(sorted(scores.items()))
        if missing := {character for piece in scores for character in piece} - self.alphabet:
            raise ValueError(f"the character {min(missing)!r} stands in a piece and is none")
        self._model = models.Unigram(list(self.scores.items()))

    @classmethod
    def build(cls, texts: Iterable[str], *, size: int | None = None, case: Case = "keep") -> Unigram:
        """See `Tokeniser.build`. size: pieces, the characters among them, at most; 8,000 where nothing is said."""
        from tokenizers import models, trainers

        words = count_words(texts, case)
        size = SIZE if size is None else size
        alphabet = alphabet_of(words, size)
        shown, extra = _in_context(words, size)
        trainer = trainers.UnigramTrainer(vocab_size=size + len(extra), show_progress=False)
        found = {piece for piece, _ in learn(models.Unigram(), trainer, shown)["vocab"]}
        pieces = {piece for piece in found if extra.isdisjoint(piece)} | alphabet
        return cls(estimate(pieces, words), case=case)

    def _pieces(self, run: str) -> list[str]:
        return [token.value for token in self._model.tokenize(run)]

    def _learnt(self) -> dict[str, Any]:
        return {"scores": self.scores}

    @classmethod
    def _restored(cls, case: Case, learnt: dict[str, Any]) -> Unigram:
        if set(learnt) != {"scores"}:
            raise ValueError(f"a tokeniser unigram has scores, not {', '.join(map(str, learnt)) or 'nothing'}")
        scores = learnt["scores"]
        if not isinstance(scores, Mapping) or not all(isinstance(piece, str) and piece for piece in scores):
            raise ValueError("the scores of unigram are a JSON object, each with its piece")
        if not all(type(score) in (int, float) and -math.inf < score <= 0 for score in scores.values()):
            raise ValueError("the scores of unigram are logarithms of probabilities: numbers, none above 0")
        return cls(scores, case=case)

    def __repr__(self) -> str:
        return f"Unigram({len(self.scores)} pieces, case={self.case!r})"


def _in_context(words: Mapping[str, int], size: int) -> tuple[dict[str, int], set[str]]:
    """The same words and counts, the most frequent words once with a character behind them; and these characters.

    The library begins with the substrings that several words have and that different characters follow. A word that
    nothing but its end follows is none, so that `einem` would be `eine` and `m` however frequent it is. So one of its
    occurrences gets a character behind it, and one that no other word with its last letter has: it makes no piece with
    that.
    """
    frequent = sorted((word for word in words if words[word] > 1), key=lambda word: (-words[word], word))
    shown, used = dict(words), Counter[str]()
    for word in frequent[:size]:  # a rarer one cannot be a piece
        character = chr(_PRIVATE + used[word[-1]])
        used[word[-1]] += 1
        shown[word] -= 1
        shown[word + character] = 1
    return shown, {chr(_PRIVATE + number) for number in range(max(used.values(), default=0))}


_PRIVATE = 0xF0000
"""The first of 131,068 private code points, which are no letters: a text's words hold none."""


def estimate(pieces: Iterable[str], words: Mapping[str, int], rounds: int = ROUNDS) -> dict[str, float]:
    """The logarithms of the pieces' probabilities, from their frequencies as substrings on; to six decimals.

    Args:
        pieces: all characters of the words among them.
        words: word -> its count.
        rounds: of expectation and maximisation.
    """
    ordered = sorted(pieces)
    lattice = _Lattice(ordered, words)
    scores = _logarithms(np.bincount(lattice.piece, lattice.count, len(ordered)))
    for _ in range(rounds):
        scores = _logarithms(np.bincount(lattice.piece, lattice.expected(scores), len(ordered)))
    return dict(zip(ordered, np.round(scores, 6).tolist(), strict=True))


def _logarithms(counts: np.ndarray) -> np.ndarray:
    counts = np.maximum(counts, 1e-9)  # a piece that no word needs any more
    logarithms: np.ndarray = np.log(counts / counts.sum())
    return logarithms


class _Lattice:
    """All ways to cut all words: an edge for each place where a piece stands, between two nodes, places in a word.

    Attributes, (edges,) each: piece, its number; count, of its word; start and end, its nodes. The nodes of a word
    follow each other, and so do the words'. `begin` and `close`, (words,), are the first and the last node of each.
    """

    def __init__(self, pieces: list[str], words: Mapping[str, int]) -> None:
        numbers = {piece: number for number, piece in enumerate(pieces)}
        longest = max(map(len, pieces))
        edges: list[tuple[int, int, int, int, int]] = []
        begin, offset = [], 0
        for word in sorted(words):
            begin.append(offset)
            length, count = len(word), words[word]
            for first in range(length):
                for last in range(first + 1, min(first + longest, length) + 1):
                    number = numbers.get(word[first:last])
                    if number is not None:
                        edges.append((number, count, len(begin) - 1, offset + first, offset + last))
            offset += length + 1
        self.piece, self.count, self.word, self.start, self.end = np.array(edges, dtype=np.int64).T
        self.begin = np.array(begin)
        self.close = np.append(self.begin[1:], offset) - 1
        self.nodes = offset
        self._forwards = _groups(self.end - self.begin[self.word])
        self._backwards = _groups(self.close[self.word] - self.start)

    def expected(self, scores: np.ndarray) -> np.ndarray:
        """How often each edge is expected to be taken, times its word's count."""
        score = scores[self.piece]
        before, after = np.full(self.nodes, -np.inf), np.full(self.nodes, -np.inf)
        before[self.begin], after[self.close] = 0.0, 0.0
        for edges in self._forwards:
            np.logaddexp.at(before, self.end[edges], before[self.start[edges]] + score[edges])
        for edges in self._backwards:
            np.logaddexp.at(after, self.start[edges], after[self.end[edges]] + score[edges])
        whole = before[self.close][self.word]
        taken: np.ndarray = self.count * np.exp(before[self.start] + score + after[self.end] - whole)
        return taken


def _groups(places: np.ndarray) -> list[np.ndarray]:
    """The numbers of the edges at place 1, at place 2, …: what is ready when all before it are."""
    order = np.argsort(places, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(places[order])) + 1)
