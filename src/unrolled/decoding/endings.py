"""The hypotheses of a beam search that have ended, and when no others need be looked for."""

from __future__ import annotations

from bisect import insort
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from unrolled.decoding.hypothesis import Hypothesis
from unrolled.decoding.ranking import Ranking
from unrolled.decoding.step import Real, Whole


class _Ending(NamedTuple):
    """length: how many tokens its row had; row: which row of them that was; more: the token that came behind them."""

    score: float
    log_p: float
    finished: bool
    length: int
    row: int
    more: tuple[int, ...]


class Endings:
    """What has ended, of each source, and the trail that leads back to its tokens.

    Args:
        ranking: how it is scored.
        limits: (batch,) the greatest lengths.
        best: how many are wanted of each source.
    """

    def __init__(self, ranking: Ranking, limits: Whole, best: int) -> None:
        self._ranking, self._best = ranking, best
        self._divisors: Real = np.array([ranking.divisor(limit) for limit in limits.tolist()])
        self._found: list[list[_Ending]] = [[] for _ in limits]
        self._scores: list[list[float]] = [[] for _ in limits]  # of those that finished, the worst first
        self._threshold: Real = np.full(len(limits), -np.inf)  # the n-th best of these
        self._parents: list[Whole] = []
        self._tokens: list[Whole] = []

    def follow(self, parents: Whole, tokens: Whole) -> None:
        """After a step: of which row each row is the continuation, and by what."""
        self._parents.append(parents)
        self._tokens.append(tokens)

    def finish(
        self,
        sources: Whole,
        rows: Whole,
        log_p: Real,
        coverage: Sequence[Sequence[float]],
        finished: bool,
        more: Whole | None,
    ) -> None:
        """Hypotheses end.

        Args:
            sources: (endings,) whose they are.
            rows: (endings,) which rows of the last step they are the continuation of.
            log_p: (endings,) log-probabilities.
            coverage: what each has got of the source.
            finished: by the end mark.
            more: (endings,) the tokens by which they continue these rows; None: by none.
        """
        length = len(self._tokens)
        counted = length + (finished or more is not None)
        behind = [()] * len(sources) if more is None else [(token,) for token in more.tolist()]
        columns = (sources.tolist(), rows.tolist(), log_p.tolist(), coverage, behind)
        for source, row, total, covered, token in zip(*columns, strict=True):
            score = self._ranking.score(total, counted, covered)
            self._found[source].append(_Ending(score, total, finished, length, row, token))
            if finished:
                scores = self._scores[source]
                insort(scores, score)
                if len(scores) >= self._best:
                    self._threshold[source] = scores[-self._best]

    def settled(self, sources: Whole, log_p: Real) -> np.ndarray:
        """Which of the sources can get no better: the proof is at the top of `beam`.

        Args:
            sources: (sources,).
            log_p: (sources,) the greatest log-probability of what still goes on; -inf: nothing does.
        """
        return self._threshold[sources] >= log_p / self._divisors[sources]

    def hypotheses(self) -> list[list[Hypothesis]]:
        ranked = (sorted(found, key=lambda each: (not each.finished, -each.score)) for found in self._found)
        return [[self._hypothesis(each) for each in found[: self._best]] for found in ranked]

    def _hypothesis(self, ending: _Ending) -> Hypothesis:
        tokens, row = [*ending.more], ending.row
        for place in reversed(range(ending.length)):
            tokens.append(int(self._tokens[place][row]))
            row = self._parents[place][row]
        tokens = tokens[::-1]
        return Hypothesis(tuple(tokens), ending.score, ending.log_p, ending.finished)
