"""Beginnings of texts that a search keeps, as a tree; and what a language model has to say of them.

What `ctc` and `transducer` share: a text is met on many ways, whose probabilities are summed, so a prefix that left the
beam and comes again is the same node, and what is known of it was found once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Real = NDArray[np.float64]


class Text(NamedTuple):
    """symbols: of a text; score: what it was ranked by; log_probability: of the ways that were summed."""

    symbols: tuple[int, ...]
    score: float
    log_probability: float


Language = Callable[[Sequence[int], Any], tuple[Real, list[Any]]]
"""A model of the symbols: (the last symbol of each prefix, -1 for none; the state of each before it, None for none) ->
log-probabilities of what comes next, (prefixes, symbols and the end), and the state of each after it."""


class Prefix:
    """A text that may go on, one node of a tree.

    Attributes:
        parent, last: what it goes on from, and its last symbol; None and -1 of the empty one.
        spoken: the language model's log-probability of it, weighed, and its bonus.
        language: the logarithms of what may come next, of the language model, where it has been asked.
        state: of the language model.
        said: what the search's own network makes of it, where it reads what it says.
    """

    __slots__ = ("children", "language", "last", "parent", "said", "spoken", "state")

    def __init__(self, parent: Prefix | None, last: int) -> None:
        self.parent, self.last = parent, last
        self.children: dict[int, Prefix] = {}
        self.spoken = 0.0
        self.language: Real | None = None
        self.state: Any = None
        self.said: Any = None

    def child(self, symbol: int) -> Prefix:
        found = self.children.get(symbol)
        if found is None:
            found = self.children[symbol] = Prefix(self, symbol)
        return found

    def symbols(self) -> tuple[int, ...]:
        found = []
        node: Prefix = self
        while node.parent is not None:
            found.append(node.last)
            node = node.parent
        return tuple(reversed(found))

    def text(self, log_probability: float, weight: float) -> Text:
        """It as a whole text. weight: of the language model's word about its end."""
        closing = 0.0 if self.language is None else weight * float(self.language[-1])
        return Text(self.symbols(), log_probability + self.spoken + closing, log_probability)


def said_next(kept: Sequence[Prefix], width: int, weight: float, bonus: float) -> Real:
    """What each prefix with each symbol behind it would have `spoken`, (prefixes, symbols and the blank)."""
    found = np.repeat(np.array([[prefix.spoken + bonus] for prefix in kept]), width, axis=1)
    said = [prefix.language for prefix in kept if prefix.language is not None]
    if said:
        # In place of the blank stands the end, which is no symbol to go on by.
        found += weight * np.stack(said)
    return found


def speak(kept: Sequence[Prefix], language: Language | None) -> None:
    """Ask the language model about the prefixes that it has not met."""
    new = [prefix for prefix in kept if prefix.language is None] if language is not None else []
    if not new:
        return
    assert language is not None
    said, states = language(
        [prefix.last for prefix in new], [None if p.parent is None else p.parent.state for p in new]
    )
    for prefix, log_p, state in zip(new, said, states, strict=True):
        prefix.language, prefix.state = log_p, state
