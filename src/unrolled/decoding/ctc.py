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

import numpy as np

from unrolled.decoding.prefixes import Language, Prefix, Real, Text, said_next, speak
from unrolled.errors import BadOption


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
    kept, ending, other = [Prefix(None, -1)], np.zeros(1), np.full(1, -np.inf)
    for now in log_p:
        speak(kept, language)
        spoken = np.array([prefix.spoken for prefix in kept])
        next_spoken = said_next(kept, len(now), weight, bonus)
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
    speak(kept, language)
    totals = np.logaddexp(ending, other).tolist()
    found = [prefix.text(total, weight) for prefix, total in zip(kept, totals, strict=True)]
    return sorted(found, key=lambda text: -text.score)


def _gone_on(kept: list[Prefix], ending: Real, other: Real, now: Real, blank: int) -> tuple[Real, Real, Real]:
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
