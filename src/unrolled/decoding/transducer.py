"""Texts from a transducer, which at each time says symbols, one after the other, until it says the blank.

    Greedy    always the likeliest of symbols and blank; piece by piece, as a recording comes
    beam      the likeliest texts, nearly: time-synchronous decoding (Saon, Tüske & Audhkhasi 2020, algorithm 1), with a
              language model of the symbols where there is one

Nothing in the network keeps it from saying symbols for ever, so in practice a bound is put to how many are said at one
time, as all common decoders do; behind so many the blank is taken. In the beam a text that is met on several ways is
one prefix, whose probabilities are summed, within a time as well as from one to the next; what the network's
recurrences make of a prefix does not depend on the time, and is computed once. Within a time no further symbol is
looked for where none would come into the beam.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from unrolled import state as states
from unrolled.decoding.prefixes import Language, Prefix, Real, Text, said_next, speak
from unrolled.errors import BadOption
from unrolled.state import State

AHEAD = 32
"""Times that are looked at together: mostly nothing is said at any of them."""


class Speaker(NamedTuple):
    """A network, as a search needs it.

    say: (the last symbol of each row, long, the blank before all; the state before it) -> what was said, (rows,
    features), and the state after; join: (what is heard, what was said), (rows, features) or one row for all, ->
    log-probabilities of the symbols and the blank; first: the state of one row before all; blank: its number.
    """

    say: Callable[[Tensor, State], tuple[Tensor, State]]
    join: Callable[[Tensor, Tensor], Tensor]
    first: State
    blank: int


class Carried(NamedTuple):
    """What a text goes on from: what was said, (1, features), and the recurrences' state."""

    said: Tensor
    state: State


class Greedy:
    """Listens, and says the likeliest.

    Args:
        speaker: the network.
        most: symbols at one time, at most, 1 or more.
        carried: of another one, to go on from there.

    Attributes:
        carried: what it goes on from.
        log_probability: of the way that it has gone.
    """

    def __init__(self, speaker: Speaker, most: int, carried: Carried | None = None) -> None:
        if most < 1:
            raise BadOption(f"symbols_a_step must be 1 or more, not {most}")
        self.speaker, self.most, self.log_probability = speaker, most, 0.0
        self.carried = self._after(speaker.blank, speaker.first) if carried is None else carried

    @torch.no_grad()
    def hear(self, heard: Tensor) -> list[tuple[int, int]]:
        """What is said: of each symbol the time, counted in this piece, and its number. heard: (times, features)."""
        found: list[tuple[int, int]] = []
        at = spoken = 0
        while at < len(heard):
            log_p = self.speaker.join(heard[at : at + AHEAD], self.carried.said)
            best, chosen = log_p.max(dim=1)
            speaks = chosen != self.speaker.blank
            if spoken == self.most:
                speaks[0], best[0] = False, log_p[0, self.speaker.blank]
            silent = int(speaks.int().argmax()) if bool(speaks.any()) else len(speaks)
            self.log_probability += float(best[: silent + 1].double().sum())
            at, spoken = at + silent, spoken if silent == 0 else 0
            if silent < len(speaks):
                symbol = int(chosen[silent])
                found.append((at, symbol))
                spoken += 1
                self.carried = self._after(symbol, self.carried.state)
        return found

    def _after(self, symbol: int, state: State) -> Carried:
        with torch.no_grad():
            return Carried(*self.speaker.say(torch.tensor([symbol]), state))


def beam(
    speaker: Speaker,
    heard: Tensor,
    *,
    beam: int,
    most: int,
    language: Language | None = None,
    weight: float = 0.0,
    bonus: float = 0.0,
) -> list[Text]:
    """The likeliest texts, the best first.

        score = log P(text | sound) + weight log P(text and its end | language) + bonus |text|

    Args:
        speaker: the network; the blank is the last of its numbers where there is a language model.
        heard: (times, features).
        beam: how many prefixes are kept, from one time to the next and from one symbol to the next within a time.
        most: symbols at one time, at most.
        language: a model of the symbols, numbered as here.
        weight, bonus: of its word, and for each symbol, since it finds long texts unlikely.

    Raises `BadOption` for a beam or a bound below 1.
    """
    for name, value in (("beam", beam), ("symbols_a_step", most)):
        if value < 1:
            raise BadOption(f"{name} must be 1 or more, not {value}")
    kept = {Prefix(None, -1): 0.0}
    for now in heard.split(1):
        kept = _through(speaker, now, kept, beam, most, language, weight, bonus)
    speak(list(kept), language)
    return sorted((prefix.text(total, weight) for prefix, total in kept.items()), key=lambda text: -text.score)


def _through(
    speaker: Speaker,
    now: Tensor,
    kept: dict[Prefix, float],
    beam: int,
    most: int,
    language: Language | None,
    weight: float,
    bonus: float,
) -> dict[Prefix, float]:
    """The beam behind one more time: prefixes and the sums of their ways. now: what is heard, (1, features)."""
    ended: dict[Prefix, float] = {}
    going = kept
    for said in range(most + 1):
        prefixes = list(going)
        log_p, totals = _joined(speaker, now, prefixes), np.array(list(going.values()))
        for prefix, total in zip(prefixes, (totals + log_p[:, speaker.blank]).tolist(), strict=True):
            ended[prefix] = float(np.logaddexp(ended.get(prefix, -np.inf), total))
        if said == most:
            break
        speak(prefixes, language)
        more = totals[:, None] + log_p
        more[:, speaker.blank] = -np.inf
        next_spoken = said_next(prefixes, log_p.shape[1], weight, bonus)
        ranked = (more + next_spoken).ravel()
        chosen = np.argsort(-ranked, kind="stable")[:beam]
        chosen = chosen[ranked[chosen] > _least(ended, beam)]
        going = {}
        for k, symbol in zip(*np.divmod(chosen, log_p.shape[1]), strict=True):
            prefix = prefixes[k].child(int(symbol))
            prefix.spoken = float(next_spoken[k, symbol])
            going[prefix] = float(more[k, symbol])
        if not going:
            break
    best = sorted(ended, key=lambda prefix: -(ended[prefix] + prefix.spoken))[:beam]
    return {prefix: ended[prefix] for prefix in best}


def _least(ended: dict[Prefix, float], beam: int) -> float:
    """What is not above it does not come into the beam; so far as the blank may still be certain."""
    if len(ended) < beam:
        return -np.inf
    return sorted((total + prefix.spoken for prefix, total in ended.items()), reverse=True)[beam - 1]


@torch.no_grad()
def _joined(speaker: Speaker, now: Tensor, prefixes: list[Prefix]) -> Real:
    """The log-probabilities of what each prefix goes on with, (prefixes, symbols and the blank)."""
    new = [prefix for prefix in prefixes if prefix.said is None]
    if new:
        symbols = torch.tensor([speaker.blank if prefix.parent is None else prefix.last for prefix in new])
        before = [speaker.first if prefix.parent is None else prefix.parent.said.state for prefix in new]
        said, after = speaker.say(symbols, states.concat(before))
        sides = zip(new, said.split(1), states.split(after, [1] * len(new)), strict=True)
        for prefix, one, state in sides:
            prefix.said = Carried(one, state)
    found: Real = speaker.join(now, torch.cat([prefix.said.said for prefix in prefixes])).double().numpy()
    return found
