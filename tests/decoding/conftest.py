"""A model small enough to be asked everything, and decoders so plain that they can be read: all sequences, and a beam
of lists. Neither stops early, and nothing in them is a tensor.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import pytest
import torch
from torch import Tensor

from unrolled.decoding import step as steps

BEGIN, END = 0, 1
ENTRIES = 509


@pytest.fixture(autouse=True)
def rows_that_have_ended_leave_small_batches_too(monkeypatch):
    monkeypatch.setattr(steps, "HANDFUL", 0)


class Toy:
    """A table in place of a network. The state is a number that the source and all tokens so far went into, so that a
    step has a memory of its whole history; it says which row of the table is next.

    A row's logits are the same to the last bit whatever rows stand beside it.
    """

    def __init__(self, vocabulary: int, seed: int = 0, *, spread: float = 2.0, dtype=torch.float64) -> None:
        generator = torch.Generator().manual_seed(seed)
        self.vocabulary = vocabulary
        self.table = (torch.randn(ENTRIES, vocabulary, generator=generator) * spread).to(dtype)
        self.weights = torch.rand(ENTRIES, 4, generator=generator, dtype=torch.float64)
        self.weights /= self.weights.sum(1, keepdim=True)
        self.rows: list[int] = []  # of each call

    def state(self, batch: int) -> dict[str, Tensor]:
        return {"number": torch.zeros(batch, dtype=torch.long), "attended": torch.zeros(batch, 4)}

    def memory(self, sources: Sequence[int]) -> tuple[Tensor, list[Tensor]]:
        return (torch.tensor(sources).reshape(-1, 1), [torch.zeros(len(sources), 2, 3)])

    def step(self, tokens: Tensor, state: dict[str, Tensor], memory) -> tuple[Tensor, dict[str, Tensor]]:
        source, (other,) = memory
        assert len(tokens) == len(state["number"]) == len(source) == len(other)
        assert tokens.dtype == torch.long
        self.rows.append(len(tokens))
        number = (state["number"] * 131 + tokens * 17 + source[:, 0] * 5 + 7) % ENTRIES
        return self.table[number], {"number": number, "attended": self.weights[number]}

    def numbers(self, source: int, tokens: Sequence[int]) -> list[int]:
        """The states along the way, in plain numbers."""
        found, number = [], 0
        for token in (BEGIN, *tokens):
            number = (number * 131 + token * 17 + source * 5 + 7) % ENTRIES
            found.append(number)
        return found

    def log_p(self, source: int, tokens: Sequence[int]) -> list[float]:
        """Of each token behind these."""
        logits = self.table[self.numbers(source, tokens)[-1]].tolist()
        most = max(logits)
        whole = most + math.log(math.fsum(math.exp(each - most) for each in logits))
        return [each - whole for each in logits]

    def coverage(self, source: int, tokens: Sequence[int]) -> list[float]:
        """What each place got, in all steps up to that which gave the last of the tokens, the end mark among them."""
        rows = [self.weights[number].tolist() for number in self.numbers(source, tokens[:-1])]
        return [math.fsum(column) for column in zip(*rows, strict=True)]


class Ended(NamedTuple):
    """As a `Hypothesis`, but for its score; tokens with the end mark, where it finished."""

    tokens: tuple[int, ...]
    log_p: float
    finished: bool


Allowed = Callable[[tuple[int, ...], int], bool]


def everything(toy: Toy, source: int, limit: int, allowed: Allowed) -> Iterator[Ended]:
    """All sequences there are."""
    waiting = [((), 0.0)]
    while waiting:
        tokens, total = waiting.pop()
        if len(tokens) == limit:
            yield Ended(tokens, total, False)
            continue
        log_p = toy.log_p(source, tokens)
        may = [token for token in range(toy.vocabulary) if allowed(tokens, token)]
        if not may:
            yield Ended(tokens, total, False)
        for token in may:
            if token == END:
                yield Ended((*tokens, END), total + log_p[END], True)
            else:
                waiting.append(((*tokens, token), total + log_p[token]))


def slow_beam(toy: Toy, source: int, limit: int, allowed: Allowed, width: int) -> Iterator[Ended]:
    """A beam that gets narrower by each hypothesis that finishes, until it is empty or at the limit."""
    beam = [((), 0.0)]
    while beam and len(beam[0][0]) < limit:
        longer = []
        for tokens, total in beam:
            log_p = toy.log_p(source, tokens)
            may = [token for token in range(toy.vocabulary) if allowed(tokens, token)]
            if not may:
                yield Ended(tokens, total, False)
            longer += [((*tokens, token), total + log_p[token]) for token in may]
        longer.sort(key=lambda each: -each[1])
        beam = []
        for tokens, total in longer[:width]:
            if tokens[-1] == END:
                yield Ended(tokens, total, True)
                width -= 1
            else:
                beam.append((tokens, total))
    for tokens, total in beam:
        yield Ended(tokens, total, False)


def may_follow(
    *,
    minimum: int = 0,
    prefix: Sequence[int] = (),
    forbidden: Sequence[Sequence[int]] = (),
    ngram: int = 0,
    required: Sequence[Sequence[int]] = (),
) -> Allowed:
    """Constraints, each as one would say it."""

    def stands_in(phrase: Sequence[int], tokens: Sequence[int]) -> bool:
        return any(tuple(tokens[k:])[: len(phrase)] == tuple(phrase) for k in range(len(tokens)))

    def allowed(tokens: tuple[int, ...], token: int) -> bool:
        longer = (*tokens, token)
        if len(tokens) < len(prefix):
            return token == prefix[len(tokens)]
        if token == END and (len(tokens) < minimum or not all(stands_in(each, tokens) for each in required)):
            return False
        if any(longer[-len(each) :] == tuple(each) for each in forbidden):
            return False
        grams = [longer[k : k + ngram] for k in range(len(longer) - ngram + 1)] if ngram else []
        return token == END or not ngram or len(longer) < ngram or grams.count(grams[-1]) == 1

    return allowed


def ranked(ended: Sequence[Ended], score: Callable[[Ended], float]) -> list[tuple[tuple[int, ...], float, float, bool]]:
    """Those that finished first, each part by falling score; as the parts of a `Hypothesis`."""
    found = [
        (each.tokens[: len(each.tokens) - each.finished], score(each), each.log_p, each.finished) for each in ended
    ]
    return sorted(found, key=lambda each: (not each[3], -each[1]))


class Slow:
    """What the tests of decoding share."""

    begin, end = BEGIN, END
    toy = Toy
    everything = staticmethod(everything)
    beam = staticmethod(slow_beam)
    may_follow = staticmethod(may_follow)
    ranked = staticmethod(ranked)

    @staticmethod
    def score(each: Ended, divisor: Callable[[int], float]) -> float:
        return each.log_p / divisor(max(len(each.tokens), 1))

    @staticmethod
    def same(found, expected) -> None:
        """Hypotheses of one source against what they should be."""
        assert [each.tokens for each in found] == [each[0] for each in expected]
        assert [each.finished for each in found] == [each[3] for each in expected]
        for one, other in zip(
            itertools.chain(*(each[1:3] for each in found)), itertools.chain(*(e[1:3] for e in expected)), strict=True
        ):
            assert one == pytest.approx(other, rel=1e-9, abs=1e-9)


@pytest.fixture(scope="session")
def slow() -> type[Slow]:
    return Slow
