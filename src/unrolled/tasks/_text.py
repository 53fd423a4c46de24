"""What a language model learns from a text before it is trained: how it is cut, and its different elements.

Of a long text both are remembered, as its numbers are, since to count them takes longer than all else before the first
step: a training that is resumed, or one of another size, does not count again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from unrolled.data import cache
from unrolled.data.examples import Passage
from unrolled.data.long_text import LongText, sampled
from unrolled.data.tokenisers.base import Case, Tokeniser
from unrolled.data.vocabulary import Vocabulary
from unrolled.tasks._sides import tokeniser_for, vocabulary_of


class Cutting(NamedTuple):
    """Options of `LanguageModel.prepare`."""

    tokens: str
    pieces: int
    case: Case
    minimum_count: int
    most: int | None


def learn_text(examples: Sequence[Passage], how: Cutting, line_end: str) -> tuple[Tokeniser, Vocabulary]:
    """The tokeniser and the vocabulary of a text.

    A `LongText` is gone through and not held: what grows with it is the count of its different elements alone. Pieces
    are learnt from an even sample of its lines (`long_text.sampled`).

    Args:
        examples: its lines.
        how: see there.
        line_end: the symbol that ends each line, also each empty one, and is no other element of it.
    """
    if not isinstance(examples, LongText):
        return _learnt(examples, how, line_end)
    of = {"text": examples.fingerprint, "how": how._asdict(), "line_end": line_end}

    def made() -> Any:
        tokeniser, elements = _learnt(examples, how, line_end)
        return {"tokeniser": tokeniser.to_json(), "elements": elements.to_json()}

    found = cache.remembered("vocabularies", of, made)
    return Tokeniser.from_json(found["tokeniser"]), Vocabulary.from_json(found["elements"])


def _learnt(examples: Sequence[Passage], how: Cutting, line_end: str) -> tuple[Tokeniser, Vocabulary]:
    tokeniser = tokeniser_for(how.tokens, (example.text for example in sampled(examples)), how.pieces, how.case)
    ends = 0

    def lines() -> Iterator[list[str]]:
        nonlocal ends
        for example in examples:
            tokens = tokeniser.tokens(example.text)
            ends += example.above + tokens.count(line_end) + 1
            yield tokens

    # A line end is always there, whatever is rare: it is counted by itself, so that it takes no other element's place.
    found = vocabulary_of(lines(), how.minimum_count, (line_end,), how.most)
    unknown, _, *others = found.counts or ()
    found = replace(found, counts=(unknown, ends, *others))
    return tokeniser, found.including(tokeniser.closed or ())
