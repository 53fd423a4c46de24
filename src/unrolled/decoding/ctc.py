"""Texts from what a network says at each time step, when a symbol may last for several and a blank may stand between.

Connectionist temporal classification (Graves et al. 2006): a path gives each step a symbol or the blank; its text has
runs of one symbol as one, and no blanks. A text's probability is the sum over all its paths.

    best_path      the likeliest path's text: one look at each step
    prefix_beam    the likeliest text, nearly: a beam of prefixes, whose paths are summed (Hannun et al. 2014,
                   arXiv:1408.2873, Graves & Jaitly 2014), with a language model of its symbols where there is one

For every prefix two sums are kept, of its paths that end in the blank and of those that do not, since only behind a
blank the same symbol can come again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from unrolled.errors import BadOption

Real = NDArray[np.float64]


class Text(NamedTuple):
    """symbols: of a text; score: what it was ranked by; log_probability: of the paths that were summed."""

    symbols: tuple[int, ...]
    score: float
    log_probability: float


Language = Callable[[Sequence[int], Any], tuple[Real, list[Any]]]
"""A model of the symbols: (the last symbol of each prefix, -1 for none; the state of each before it, None for none) ->
log-probabilities of what comes next, (prefixes, symbols and the end), and the state of each after it."""


def best_path(log_p: Real, blank: int) -> Text:
    """The text of the likeliest path, and the log-probability of that path.

    Args:
        log_p: (steps, symbols and the blank).
        blank: which of them the blank is.

    >>> best_path(np.log([[0.6, 0.3, 0.1], [0.1, 0.1, 0.8], [0.6, 0.3, 0.1]]), 2).symbols
    (0, 0)
    """
    path = log_p.argmax(axis=1)
    changed = np.diff(path, prepend=-1) != 0
    symbols = tuple(path[changed & (path != blank)].tolist())
    score = float(log_p.max(axis=1).sum())
    return Text(symbols, score, score)


class _Prefix:
    """A text that may go on, one node of a tree. A prefix that left the beam and came again is the same node."""

    __slots__ = ("children", "language", "last", "parent", "spoken", "state")

    def __init__(self, parent: _Prefix | None, last: int) -> None:
        self.parent, self.last = parent, last
        self.children: dict[int, _Prefix] = {}
        self.spoken = 0.0
        """The language model's log-probability of it, weighed, and its bonus."""
        self.language: Real | None = None
        """Of what may come next."""
        self.state: Any = None

    def child(self, symbol: int) -> _Prefix:
        found = self.children.get(symbol)
        if found is None:
            found = self.children[symbol] = _Prefix(self, symbol)
        return found

    def symbols(self) -> tuple[int, ...]:
        found = []
        node: _Prefix = self
        while node.parent is not None:
            found.append(node.last)
            node = node.parent
        return tuple(reversed(found))


def prefix_beam(
    log_p: Real,
    blank: int,
    *,
    beam: int,
    language: Language | None = None,
    weight: float = 0.0,
    bonus: float = 0.0,
) -> list[Text]:
    """The likeliest texts, the best first.

        score = log P(text | sound) + weight log P(text and its end | language) + bonus |text|

    Args:
        log_p: (steps, symbols and the blank).
        blank: which of them the blank is; it must be the last one where there is a language model.
        beam: how many prefixes are kept from one step to the next.
        language: a model of the symbols, numbered as here.
        weight, bonus: of its word, and for each symbol, since it finds long texts unlikely.

    Raises `BadOption` for a beam below 1.
    """
    if beam < 1:
        raise BadOption(f"beam must be 1 or more, not {beam}")
    kept, ending, other = [_Prefix(None, -1)], np.zeros(1), np.full(1, -np.inf)
    for now in log_p:
        _speak(kept, language)
        spoken = np.array([prefix.spoken for prefix in kept])
        next_spoken = _said_next(kept, spoken, len(now), weight, bonus)
        stay_ending, stay_other, more = _gone_on(kept, ending, other, now, blank)
        ranked = np.concatenate([np.logaddexp(stay_ending, stay_other) + spoken, (more + next_spoken).ravel()])
        chosen = np.argsort(-ranked, kind="stable")[:beam]
        chosen = chosen[np.isfinite(ranked[chosen])]
        stay, go = chosen[chosen < len(kept)], chosen[chosen >= len(kept)] - len(kept)
        following = [kept[k] for k in stay]
        for k, symbol in zip(*np.divmod(go, len(now)), strict=True):
            prefix = kept[k].child(int(symbol))
            prefix.spoken = float(next_spoken[k, symbol])
            following.append(prefix)
        kept = following
        ending = np.concatenate([stay_ending[stay], np.full(len(go), -np.inf)])
        other = np.concatenate([stay_other[stay], more.ravel()[go]])
    _speak(kept, language)
    found = []
    for prefix, log_probability in zip(kept, np.logaddexp(ending, other).tolist(), strict=True):
        closing = 0.0 if prefix.language is None else weight * float(prefix.language[-1])
        found.append(Text(prefix.symbols(), log_probability + prefix.spoken + closing, log_probability))
    return sorted(found, key=lambda text: -text.score)


def _gone_on(kept: list[_Prefix], ending: Real, other: Real, now: Real, blank: int) -> tuple[Real, Real, Real]:
    """The sums after one more step: of each prefix itself, by a blank and not, and with each symbol behind it,
    (prefixes, symbols and the blank).
    """
    total = np.logaddexp(ending, other)
    last = np.array([prefix.last for prefix in kept])
    has = np.flatnonzero(last >= 0)
    stay_other = np.full(len(kept), -np.inf)
    stay_other[has] = other[has] + now[last[has]]
    more = total[:, None] + now
    more[has, last[has]] = ending[has] + now[last[has]]
    more[:, blank] = -np.inf
    place = {id(prefix): k for k, prefix in enumerate(kept)}
    for k, prefix in enumerate(kept):
        before = -1 if prefix.parent is None else place.get(id(prefix.parent), -1)
        if before >= 0:  # it is also one that is in the beam with a symbol behind it
            stay_other[k] = np.logaddexp(stay_other[k], more[before, prefix.last])
            more[before, prefix.last] = -np.inf
    return total + now[blank], stay_other, more


def _said_next(kept: list[_Prefix], spoken: Real, width: int, weight: float, bonus: float) -> Real:
    """What each prefix with each symbol behind it would have `spoken`, (prefixes, symbols and the blank)."""
    found = np.repeat(spoken[:, None] + bonus, width, axis=1)
    said = [prefix.language for prefix in kept if prefix.language is not None]
    if said:
        # In place of the blank stands the end, which is no symbol to go on by.
        found += weight * np.stack(said)
    return found


def _speak(kept: list[_Prefix], language: Language | None) -> None:
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
