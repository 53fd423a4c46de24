"""Texts from a transducer: against all ways through all lattices."""

from __future__ import annotations

from collections import defaultdict
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from unrolled.decoding.transducer import Carried, Greedy, Speaker, beam
from unrolled.errors import BadOption

SYMBOLS, BLANK = 2, 2


class Toy:
    """A table in place of a network: what is said next depends on the time and on all that was said before.

    What is said is a number that all symbols so far went into; so are what is heard, the time, and the state.
    """

    def __init__(self, seed: int, quiet: float = 1.0) -> None:
        rng = np.random.default_rng(seed)
        logits = rng.normal(size=(64, SYMBOLS + 1)) * 2
        logits[:, BLANK] += quiet
        self.table = torch.from_numpy(logits).log_softmax(1)
        self.asked: list[int] = []

    def say(self, symbols: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        assert len(symbols) == len(state)
        self.asked += symbols.tolist()
        after = (state * 5 + symbols[:, None] + 1) % 64
        return after.double(), after

    def join(self, heard: Tensor, said: Tensor) -> Tensor:
        number = (heard[:, 0] * 7 + said[:, 0]).long() % 64
        return self.table[number]

    def speaker(self) -> Speaker:
        return Speaker(self.say, self.join, torch.zeros(1, 1, dtype=torch.long), BLANK)

    def log_p(self, time: int, symbols: tuple[int, ...]) -> np.ndarray:
        number = 0
        for symbol in (BLANK, *symbols):
            number = (number * 5 + symbol + 1) % 64
        found: np.ndarray = self.table[(time * 7 + number) % 64].numpy()
        return found


def heard(times: int) -> Tensor:
    return torch.arange(times, dtype=torch.float64)[:, None]


def every_text(toy: Toy, times: int, most: int) -> dict[tuple[int, ...], float]:
    """The log-probability of each text with so many symbols a time at most, by going all ways."""
    sums: dict[tuple[int, ...], float] = defaultdict(lambda: -np.inf)

    def go(time: int, symbols: tuple[int, ...], here: int, total: float) -> None:
        if time == times:
            sums[symbols] = float(np.logaddexp(sums[symbols], total))
            return
        now = toy.log_p(time, symbols)
        go(time + 1, symbols, 0, total + now[BLANK])
        for symbol in range(SYMBOLS if here < most else 0):
            go(time, (*symbols, symbol), here + 1, total + now[symbol])

    go(0, (), 0, 0.0)
    return sums


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 4), st.integers(1, 2), st.integers(0, 10_000))
def test_a_beam_that_holds_all_finds_every_text_with_all_its_ways(times: int, most: int, seed: int) -> None:
    toy = Toy(seed)
    right = every_text(toy, times, most)
    found = beam(toy.speaker(), heard(times), beam=10_000, most=most)
    assert len(found) == len(right)
    for text in found:
        assert text.log_probability == pytest.approx(right[text.symbols])
        assert text.score == text.log_probability
    assert [text.score for text in found] == sorted((text.score for text in found), reverse=True)


def test_a_text_is_read_by_the_network_once_however_many_ways_lead_to_it() -> None:
    toy = Toy(4)
    beam(toy.speaker(), heard(4), beam=10_000, most=1)
    assert len(toy.asked) == len(every_text(toy, 4, 1))


def test_a_narrow_beam_finds_no_more_than_there_is_and_looks_at_less() -> None:
    best = 0
    for seed in range(20):
        toy, narrow = Toy(seed), Toy(seed)
        right = every_text(toy, 4, 2)
        found = beam(narrow.speaker(), heard(4), beam=4, most=2)
        beam(toy.speaker(), heard(4), beam=10_000, most=2)
        assert 1 <= len(found) <= 4
        assert all(text.log_probability <= right[text.symbols] + 1e-9 for text in found)
        assert len(narrow.asked) < len(toy.asked)
        best += found[0].symbols == max(right, key=lambda symbols: right[symbols])
    assert best >= 16


def greedily(toy: Toy, times: int, most: int) -> tuple[list[tuple[int, int]], float]:
    """By hand: symbols with their times, and the way's log-probability."""
    found: list[tuple[int, int]] = []
    total = 0.0
    for time in range(times):
        for here in range(most + 1):
            now = toy.log_p(time, tuple(symbol for _, symbol in found))
            choice = int(now.argmax()) if here < most else BLANK
            total += float(now[choice])
            if choice == BLANK:
                break
            found.append((time, choice))
    return found, total


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 80), st.integers(1, 3), st.integers(0, 10_000), st.floats(-3, 3), st.lists(st.integers(0, 80)))
def test_the_likeliest_is_said_however_the_sound_is_parted(
    times: int, most: int, seed: int, quiet: float, cuts: list[int]
) -> None:
    toy = Toy(seed, quiet)
    right, total = greedily(toy, times, most)
    whole = Greedy(toy.speaker(), most)
    assert whole.hear(heard(times)) == right
    assert whole.log_probability == pytest.approx(total)
    carried: Carried | None = None
    found = []
    for begin, end in pairwise([0, *sorted(min(cut, times) for cut in cuts), times]):
        one = Greedy(toy.speaker(), most, carried)
        found += [(begin + time, symbol) for time, symbol in one.hear(heard(times)[begin:end])]
        carried = one.carried
    assert found == right


def bigrams(seed: int) -> Any:
    """A language model that knows the last symbol alone."""
    table = np.random.default_rng(seed).normal(size=(SYMBOLS + 1, SYMBOLS + 1))
    table -= np.logaddexp.reduce(table, axis=1, keepdims=True)

    def language(last: Any, states: Any) -> Any:
        return np.stack([table[symbol] for symbol in last]), [()] * len(last)

    return table, language


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 3), st.integers(0, 1000))
def test_a_language_model_has_its_word_in_every_score(times: int, seed: int) -> None:
    toy = Toy(seed)
    right = every_text(toy, times, 2)
    table, language = bigrams(seed)
    found = beam(toy.speaker(), heard(times), beam=10_000, most=2, language=language, weight=0.7, bonus=0.3)
    for text in found:
        spoken = sum(table[a, b] for a, b in pairwise([-1, *text.symbols, BLANK]))  # the end has the blank's number
        assert text.score == pytest.approx(right[text.symbols] + 0.7 * spoken + 0.3 * len(text.symbols))
        assert text.log_probability == pytest.approx(right[text.symbols])


def test_what_is_below_one_is_refused() -> None:
    speaker = Toy(1).speaker()
    with pytest.raises(BadOption, match=r"^beam must be 1 or more, not 0$"):
        beam(speaker, heard(1), beam=0, most=1)
    with pytest.raises(BadOption, match=r"^symbols_a_step must be 1 or more, not 0$"):
        beam(speaker, heard(1), beam=1, most=0)
    with pytest.raises(BadOption, match=r"^symbols_a_step must be 1 or more, not 0$"):
        Greedy(speaker, 0)
