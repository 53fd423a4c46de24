"""The two sides of a pair, source and target: how their texts are cut, and which numbers their tokens have.

Where nothing is said the way of cutting follows from the training texts: lines that are single words are cut into
characters (spelling), lines of few different symbols with blanks between them at these blanks (phones, commands,
actions), and running text into subwords.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from unrolled.data.tokenisers.base import PACKAGE, Case, Tokeniser
from unrolled.data.vocabulary import UNKNOWN, Vocabulary
from unrolled.errors import BadOption
from unrolled.lookup import find

BEGIN, END, CONTEXT = "<begin>", "<end>", "<context>"
"""Symbols of a vocabulary that are no tokens of the data: where such text stands in the data it is unknown."""

FEW = 1000
"""Different symbols up to which lines of them are cut at blanks."""
SINGLE = 1.2
"""Blank-separated parts of a line, on average, up to which it is a word and cut into characters."""

Cut = Literal["auto", "words", "characters", "bytes", "blanks", "bpe", "unigram"]
Joining = Literal["apart", "joint"]
LEARNT = ("bpe", "unigram")


class Side(NamedTuple):
    """One side: its tokeniser and its vocabulary, and the numbers that no token of the data gets."""

    tokeniser: Tokeniser
    vocabulary: Vocabulary
    marks: tuple[int, ...]

    @classmethod
    def of(cls, tokeniser: Tokeniser, vocabulary: Vocabulary) -> Side:
        """The marks are found in the vocabulary."""
        marks = tuple(vocabulary.index(mark) for mark in (BEGIN, END, CONTEXT) if mark in vocabulary)
        return cls(tokeniser, vocabulary, marks)

    def encode(self, tokens: Sequence[str]) -> NDArray[np.int64]:
        """The tokens' numbers."""
        numbers = self.vocabulary.encode(tokens)
        return np.where(np.isin(numbers, self.marks), 0, numbers)


def learn_sides(
    sources: Sequence[str],
    targets: Sequence[str],
    options: dict[str, Any],
    *,
    minimum_count: int,
    marks: Sequence[str] = (),
    **cutting: Any,
) -> tuple[dict[str, Vocabulary], dict[str, Tokeniser]]:
    """Vocabularies and tokenisers, `source` and `target`, for the training texts.

    Args:
        sources, targets: the texts.
        options: the task's, of which `case` and `joining` are read; `longest_said` is set where it is not there.
        minimum_count: a token seen less often is unknown.
        marks: further symbols of the source.
        cutting: `source_tokens`, `target_tokens` and `pieces`.

    Raises `BadOption` where these do not fit each other.
    """
    joining, case = options.get("joining", "apart"), options.get("case", "keep")
    ahead, back = tokenisers_for(sources, targets, {**cutting, "joining": joining, "case": case})
    read, said = ahead.tokens_of_all(sources), back.tokens_of_all(targets)
    options.setdefault("longest_said", 3 * max(map(len, said)) + 10)
    counted = vocabularies_of(read, said, minimum_count=minimum_count, joining=joining, marks=marks)
    tokenisers = {"source": ahead, "target": back}
    return {side: counted[side].including(tokenisers[side].closed or ()) for side in counted}, tokenisers


def learn_target(
    texts: Sequence[str], options: dict[str, Any], *, tokens: Cut, pieces: int, minimum_count: int
) -> tuple[Vocabulary, Tokeniser]:
    """As `learn_sides`, of the target alone, where the source is no text. tokens: how it is cut."""
    tokeniser = tokeniser_for(_cut(tokens, texts), texts, pieces, options.get("case", "keep"))
    said = tokeniser.tokens_of_all(texts)
    options.setdefault("longest_said", 3 * max(map(len, said)) + 10)
    return vocabulary_of(said, minimum_count, (BEGIN, END)).including(tokeniser.closed or ()), tokeniser


def tokenisers_for(
    sources: Sequence[str], targets: Sequence[str], options: Mapping[str, Any]
) -> tuple[Tokeniser, Tokeniser]:
    """Tokenisers for the training texts. options: `source_tokens`, `target_tokens`, `pieces`, `joining`, `case`.

    Raises `BadOption` where a joint one is asked for of two kinds, or the number of pieces suits none.
    """
    cuts = [_cut(options["source_tokens"], sources), _cut(options["target_tokens"], targets)]
    case: Case = options["case"]
    if options["joining"] == "joint":
        if cuts[0] != cuts[1]:
            raise BadOption(f"a joint vocabulary needs one way of cutting, not {cuts[0]} and {cuts[1]}")
        both = tokeniser_for(cuts[0], [*sources, *targets], options["pieces"], case)
        return both, both
    ahead, back = (
        tokeniser_for(cut, t, options["pieces"], case) for cut, t in zip(cuts, (sources, targets), strict=True)
    )
    return ahead, back


def tokeniser_for(cut: str, texts: Iterable[str], pieces: int, case: Case) -> Tokeniser:
    """A tokeniser for texts. cut: its name; pieces: how many are learnt, where it learns some.

    Raises `BadOption` for a number of pieces that is too small.
    """
    kind = find(PACKAGE, cut, Tokeniser, "tokenisation")
    return kind.build(texts, size=pieces if cut in LEARNT else None, case=case)


def _cut(asked: str, texts: Sequence[str]) -> str:
    """The way of cutting, chosen by the texts where it is to be found out."""
    if asked != "auto":
        return asked
    parts = [text.split() for text in texts]
    if sum(map(len, parts)) <= SINGLE * len(parts):
        return "characters"
    return "blanks" if len({part for line in parts for part in line}) <= FEW else "bpe"


def vocabularies_of(
    sources: Iterable[Sequence[str]],
    targets: Iterable[Sequence[str]],
    *,
    minimum_count: int,
    joining: Joining,
    marks: Sequence[str] = (),
) -> dict[str, Vocabulary]:
    """`source` and `target`, of tokens; `marks` are further symbols of the source."""
    if joining == "joint":
        both = vocabulary_of([*sources, *targets], minimum_count, (BEGIN, END, *marks))
        return {"source": both, "target": both}
    return {
        "source": vocabulary_of(sources, minimum_count, marks),
        "target": vocabulary_of(targets, minimum_count, (BEGIN, END)),
    }


def vocabulary_of(
    lines: Iterable[Sequence[str]], minimum_count: int, marks: Sequence[str], most: int | None = None
) -> Vocabulary:
    """Of tokens, the most frequent first, behind the unknown one and the marks, which stand for no token.

    most: only so many of them, at most.
    """
    counted = Vocabulary.build(lines, minimum_count=minimum_count, most=most)
    named = zip(counted.symbols[1:], (counted.counts or ())[1:], strict=True)
    kept = [(symbol, count) for symbol, count in named if symbol not in marks]
    symbols = (UNKNOWN, *marks, *(symbol for symbol, _ in kept))
    counts = ((counted.counts or (0,))[0], *(0 for _ in marks), *(count for _, count in kept))
    return Vocabulary(symbols, UNKNOWN, "token", counts)
