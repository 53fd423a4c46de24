"""What of a text that is drawn element by element may be shown, and where it is to stop.

A text stops before a string that was asked for. Where elements are characters or bytes any place will do; where they
are words, or pieces of words, the string must be whole words, and a word is whole when what comes next begins another.
What may still become such a string is held back.

A line gives its text in units, of which none stops within: characters, or words, each with the blank before it.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import pairwise

from unrolled.data.tokenisers.base import Tokeniser
from unrolled.data.vocabulary import Vocabulary
from unrolled.tasks._cutting import LINE_END

HALF = "\ufffd"
"""What stands for bytes that are no character."""


class Characters:
    """A line in characters, each certain as soon as it is whole.

    Args:
        tokeniser: cuts everywhere.
        before: what the line begins with; it is a part of the units.

    Attributes:
        open: units that are there, but may change yet: none.
    """

    open: Sequence[str] = ()

    def __init__(self, tokeniser: Tokeniser, before: str) -> None:
        self.tokeniser, self.tokens, self.given = tokeniser, tokeniser.tokens(before), 0

    def add(self, token: str) -> list[str]:
        """The units that are certain now, and were not before."""
        self.tokens.append(token)
        text = self.tokeniser.text(self.tokens)
        # What is no whole character yet may become one.
        whole = max(self.given, len(text.rstrip(HALF)))
        found, self.given = list(text[self.given : whole]), whole
        if whole == len(text):  # no token changes those before it
            self.tokens, self.given = [], 0
        return found

    def finish(self) -> list[str]:
        """The units that are left, as nothing follows."""
        return list(self.tokeniser.text(self.tokens)[self.given :])


class Words:
    """A line in words. Arguments, attributes and methods as those of `Characters`."""

    def __init__(self, tokeniser: Tokeniser, before: str) -> None:
        self.tokeniser, self.tokens = tokeniser, tokeniser.tokens(before)
        self.text, self.given = tokeniser.text(self.tokens), 0
        self.places: list[int] = []
        """Where each token stands in the text that came behind what the line begins with."""
        self.open: Sequence[str] = [self.text] if self.text else []

    def add(self, token: str) -> list[str]:
        self.places.append(len(self.text))
        self.tokens.append(token)
        self.text = self.tokeniser.text(self.tokens)
        begins = self.tokeniser.begins(self.tokens)[-len(self.places) :]
        starts = [place for place, is_first in zip(self.places, begins, strict=True) if is_first]
        edges = [self.given, *(start for start in starts if start > self.given), len(self.text)]
        # Where the last token begins a word, one more may show that it does not: an apostrophe, that it is no quotation
        # mark.
        settled = sum(edge < self.places[-1] for edge in edges[1:])
        words = [self.text[a:b] for a, b in pairwise(edges)]
        self.given, self.open = edges[settled], words[settled:]
        return words[:settled]

    def finish(self) -> list[str]:
        return list(self.open)


def begun(tokeniser: Tokeniser, before: str) -> Characters | Words:
    """A line that is to be gone on with."""
    return Characters(tokeniser, before) if tokeniser.cuts_everywhere else Words(tokeniser, before)


def stops_of(asked: Sequence[str], vocabulary: Vocabulary, tokeniser: Tokeniser) -> frozenset[str]:
    """The strings before which a text ends, as units laid end to end have them.

    Of words, an element's name will do as well, marks and all.
    """
    found = [
        LINE_END.join(tokeniser.text(tokeniser.tokens(line)) for line in stop.split(LINE_END))  # in the model's case
        for stop in asked
    ]
    if tokeniser.cuts_everywhere:
        return frozenset(filter(None, found))
    found += [tokeniser.text([stop]) for stop in asked if stop in vocabulary]
    return frozenset(blank + stop for stop in found if stop for blank in ("", " "))


def certain(units: Sequence[str], whole: int, shown: int, stops: Collection[str]) -> tuple[int, bool]:
    """How many units may be shown, and whether the text ends behind them.

    Args:
        units: of a text, in order.
        whole: how many of them will not change.
        shown: characters of them that were shown before; no stop begins there.
        stops: where it is to end.
    """
    held, place = len(units), 0
    for first, unit in enumerate(units if stops else ()):
        if place >= shown:
            told = ""
            for last, more in enumerate(units[first:], first):
                told += more
                if told in stops:
                    if last < whole:
                        return first, True
                    held = min(held, first)
            if any(stop.startswith(told) for stop in stops):
                held = min(held, first)
        place += len(unit)
    return held, False
