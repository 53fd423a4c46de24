"""Texts from paths: against the sum over all paths."""

from __future__ import annotations

from collections import defaultdict
from itertools import groupby, pairwise, product
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from unrolled.decoding.ctc import best_path, prefix_beam
from unrolled.errors import BadOption

BLANK = 2


def drawn(steps: int, seed: int, symbols: int = 2) -> np.ndarray:
    logits = np.random.default_rng(seed).normal(size=(steps, symbols + 1)) * 2
    found: np.ndarray = logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)
    return found


def text_of(path: tuple[int, ...], blank: int = BLANK) -> tuple[int, ...]:
    return tuple(symbol for symbol, _ in groupby(path) if symbol != blank)


def every_text(log_p: np.ndarray) -> dict[tuple[int, ...], float]:
    """The log-probability of each text, by going through all paths."""
    sums: dict[tuple[int, ...], float] = defaultdict(lambda: -np.inf)
    for path in product(range(log_p.shape[1]), repeat=len(log_p)):
        text = text_of(path, log_p.shape[1] - 1)
        sums[text] = float(np.logaddexp(sums[text], sum(row[symbol] for row, symbol in zip(log_p, path, strict=True))))
    return sums


@given(st.lists(st.integers(0, 2), min_size=1, max_size=8))
def test_the_text_of_a_path_has_runs_as_one_and_no_blanks(path: list[int]) -> None:
    log_p = np.full((len(path), 3), np.log(0.1))
    log_p[np.arange(len(path)), path] = np.log(0.8)
    found = best_path(log_p, BLANK)
    assert found.symbols == text_of(tuple(path))
    assert found.score == pytest.approx(len(path) * np.log(0.8))


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 6), st.integers(0, 10_000))
def test_a_beam_that_holds_all_finds_the_likeliest_text_with_all_its_paths(steps: int, seed: int) -> None:
    log_p = drawn(steps, seed)
    right = sorted(every_text(log_p).items(), key=lambda item: -item[1])
    found = prefix_beam(log_p, BLANK, beam=10_000)
    assert len(found) == len(right)
    for text, (symbols, log_probability) in zip(found, right, strict=True):
        assert text.log_probability == pytest.approx(log_probability)
        assert text.score == text.log_probability
        assert every_text(log_p)[text.symbols] == pytest.approx(log_probability)
        assert text.symbols == symbols or log_probability == pytest.approx(every_text(log_p)[text.symbols])


def test_the_sum_of_a_text_s_paths_is_what_ctc_loss_says() -> None:
    log_p = drawn(6, 3, symbols=3)
    for text in prefix_beam(log_p, 3, beam=10_000)[:20]:
        if not text.symbols:
            continue
        loss = torch.nn.functional.ctc_loss(
            torch.from_numpy(log_p)[:, None], torch.tensor([text.symbols]), [6], [len(text.symbols)], blank=3,
            reduction="sum",
        )  # fmt: skip
        assert text.log_probability == pytest.approx(-loss.item())


def test_a_text_may_be_likeliest_though_its_best_path_is_not() -> None:
    log_p = np.log(np.array([[0.4, 0.0001, 0.5999], [0.4, 0.0001, 0.5999]]))
    assert best_path(log_p, BLANK).symbols == ()
    assert prefix_beam(log_p, BLANK, beam=3)[0].symbols == (0,)  # 0.4 * 0.4 + 2 * 0.4 * 0.6 is more than 0.36


def test_a_narrow_beam_finds_no_more_than_its_paths() -> None:
    log_p = drawn(40, 5, symbols=5)
    scores = [prefix_beam(log_p, 5, beam=beam)[0].score for beam in (1, 4, 64)]
    assert scores[0] <= scores[1] + 1e-9
    assert scores[1] <= scores[2] + 1e-9
    assert scores[0] >= best_path(log_p, 5).score - 1e-9


def bigrams(symbols: int, seed: int) -> Any:
    """A language model that knows the last symbol alone, and what it is asked."""
    table = np.random.default_rng(seed).normal(size=(symbols + 1, symbols + 1))
    table -= np.logaddexp.reduce(table, axis=1, keepdims=True)

    def language(last: Any, states: Any) -> Any:
        told = [() if state is None else state for state in states]
        after = [(*state, symbol) for state, symbol in zip(told, last, strict=True)]
        assert all(state[0] == -1 for state in after), "the first symbol is asked for behind none"
        return np.stack([table[symbol] for symbol in last]), after

    return table, language


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 5), st.integers(0, 1000))
def test_a_language_model_has_its_word_in_every_score(steps: int, seed: int) -> None:
    log_p = drawn(steps, seed)
    table, language = bigrams(2, seed)
    for text in prefix_beam(log_p, BLANK, beam=10_000, language=language, weight=0.7, bonus=0.3):
        chain = [-1, *text.symbols, BLANK]  # the end has the blank's number
        spoken = sum(table[a, b] for a, b in pairwise(chain))
        expected = every_text(log_p)[text.symbols] + 0.7 * spoken + 0.3 * len(text.symbols)
        assert text.score == pytest.approx(expected)


def test_the_best_text_under_a_language_model_is_found() -> None:
    log_p = drawn(5, 11)
    table, language = bigrams(2, 7)

    def score(symbols: tuple[int, ...], acoustic: float) -> float:
        chain = [-1, *symbols, BLANK]
        return acoustic + 2.0 * sum(table[a, b] for a, b in pairwise(chain))

    best = max(every_text(log_p).items(), key=lambda item: score(*item))[0]
    assert prefix_beam(log_p, BLANK, beam=10_000, language=language, weight=2.0)[0].symbols == best


def test_a_beam_below_one_is_refused() -> None:
    with pytest.raises(BadOption, match="beam must be 1 or more, not 0"):
        prefix_beam(drawn(2, 1), BLANK, beam=0)
