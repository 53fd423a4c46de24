"""Byte pair encoding, Sennrich, Haddow & Birch 2016, arXiv:1508.07909, algorithm 1, learnt by `tokenizers`.

Each word begins as its characters. The pair of neighbours that is the most frequent over all words becomes a piece, and
so on; a new word is put together by the same merges in the same order. Here, with little data in mind, a pair that
occurs once makes no piece, and all characters are kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from unrolled.data.tokenisers._subwords import SIZE, Subwords, alphabet_of, count_words, learn
from unrolled.data.tokenisers.base import Case


class BPE(Subwords):
    """Pieces by merging.

    Attributes:
        merges: the two pieces that become one, first merges first.

    Args:
        alphabet: the characters that it starts from.
        merges: as the attribute; each of pieces that are there by then.

    >>> tokeniser = BPE.build(["low, low, low, newest, newest, newest, widest"])
    >>> tokeniser.tokens("lowest, newer")
    ['low', '￭est', '￭,', 'new', '￭e', '￭r']
    >>> tokeniser.text(["low", "￭est", "￭,", "new"]), tokeniser.begins(["low", "￭est", "￭,", "new"])
    ('lowest, new', [True, False, True, True])
    """

    def __init__(self, alphabet: Iterable[str], merges: Sequence[tuple[str, str]], *, case: Case = "keep") -> None:
        from tokenizers import models

        super().__init__(alphabet, case=case)
        self.merges = tuple(merges)
        numbers: dict[str, int] = {character: number for number, character in enumerate(sorted(self.alphabet))}
        for left, right in self.merges:
            if left not in numbers or right not in numbers:
                raise ValueError(f"a merge of {left!r} and {right!r}, of which one is no piece so far")
            numbers.setdefault(left + right, len(numbers))
        self._size = len(numbers)
        self._model = models.BPE(numbers, list(self.merges))

    @classmethod
    def build(cls, texts: Iterable[str], *, size: int | None = None, case: Case = "keep") -> BPE:
        """See `Tokeniser.build`. size: pieces, the characters among them; 8,000 where nothing is said.

        The tokens of a text are somewhat more than that: other characters than letters are tokens too.
        """
        from tokenizers import models, trainers

        words = count_words(texts, case)
        size = SIZE if size is None else size
        alphabet = alphabet_of(words, size)
        trainer = trainers.BpeTrainer(vocab_size=size, min_frequency=2, show_progress=False)
        learnt = learn(models.BPE(), trainer, words)["merges"]
        # Before its version 0.20 the library wrote a merge as one string.
        pairs = [tuple(merge.split(" ") if isinstance(merge, str) else merge) for merge in learnt]
        return cls(alphabet, pairs, case=case)

    def _pieces(self, run: str) -> list[str]:
        return [token.value for token in self._model.tokenize(run)]

    def _learnt(self) -> dict[str, Any]:
        return {"alphabet": "".join(sorted(self.alphabet)), "merges": [" ".join(merge) for merge in self.merges]}

    @classmethod
    def _restored(cls, case: Case, learnt: dict[str, Any]) -> BPE:
        if set(learnt) != {"alphabet", "merges"}:
            raise ValueError(f"a tokeniser bpe has alphabet and merges, not {', '.join(map(str, learnt)) or 'nothing'}")
        alphabet, merges = learnt["alphabet"], learnt["merges"]
        if not isinstance(alphabet, str) or not isinstance(merges, list):
            raise ValueError("the alphabet of bpe is a string, and its merges are a list")
        pairs = [tuple(merge.split(" ")) if isinstance(merge, str) else () for merge in merges]
        if not all(len(pair) == 2 for pair in pairs):
            raise ValueError("each merge of bpe is two pieces with a blank between them")
        return cls(alphabet, pairs, case=case)  # type: ignore[arg-type]

    def __repr__(self) -> str:
        return f"BPE({self._size} pieces, case={self.case!r})"
