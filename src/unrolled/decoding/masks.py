"""Constraints at work: what may not follow now gets the log-probability of what never happens.

All rows are equally long, since a search takes its rows forward together. Histories are compared as whole arrays.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from unrolled.decoding.constraints import Constraints
from unrolled.decoding.step import Whole
from unrolled.errors import BadOption


class Masks:
    """The constraints of a batch, all but the required phrases.

    Args:
        constraints: what is asked for.
        batch: sources.
        begin, end: the marks.

    Raises `BadOption` where the constraints contradict each other, or are not for so many sources.

    Attributes:
        limits: (batch,) the greatest lengths.
        reads_history: whether `apply` must be given the tokens so far.
    """

    def __init__(self, constraints: Constraints, batch: int, begin: int, end: int) -> None:
        constraints.require_possible(batch, end)
        self.limits: Whole = np.array(constraints.limits(batch), dtype=np.int64)
        self._end, self._minimum, self._ngram = end, constraints.minimum_length, constraints.no_repeat_ngram
        prefixes = constraints.prefixes(batch)
        longest = max(map(len, prefixes), default=0)
        self._prefix: Whole = np.full((longest, batch), -1, dtype=np.int64)
        for source, prefix in enumerate(prefixes):
            self._prefix[: len(prefix), source] = prefix
        banned = constraints.banned()
        self._tokens = torch.tensor([each[0] for each in banned if len(each) == 1], dtype=torch.long)
        same = ([each for each in banned if len(each) == size] for size in sorted({*map(len, banned)} - {1}))
        self._phrases: list[Whole] = [np.array(each, dtype=np.int64) for each in same]
        self.reads_history = bool(self._ngram or self._phrases)
        required = (phrase for source in constraints.phrases(batch) for phrase in source)
        self._columns: dict[tuple[bool, int], Tensor] = {}
        self._highest = max(begin, end, *(token for each in (*banned, *prefixes, *required) for token in each))
        self._lowest = min(begin, end)

    def apply(self, log_p: Tensor, sources: Whole, length: int, history: Whole | None) -> None:
        """Write -inf where something may not follow.

        Args:
            log_p: (rows, vocabulary), written into.
            sources: (rows,) whose source each row is.
            length: how many tokens each row has.
            history: (rows, length) those tokens; not looked at where `reads_history` is false.

        Raises `BadOption` where a mark or a constraint names a token that the vocabulary does not have.
        """
        self._must_be_of(log_p.shape[1])
        forced = self._prefix[length].take(sources) if length < len(self._prefix) else None
        rows = None if forced is None else torch.from_numpy(np.flatnonzero(forced >= 0)).to(log_p.device)
        if forced is not None and rows is not None:
            tokens = torch.from_numpy(forced[forced >= 0]).to(log_p.device)
            kept = log_p[rows, tokens]
        if length < self._minimum:
            log_p[:, self._end] = -torch.inf
        if len(self._tokens):
            log_p.index_fill_(1, self._tokens.to(log_p.device), -torch.inf)
        if history is not None:
            self._look_back(log_p, length, history)
        if rows is not None:
            log_p.index_fill_(0, rows, -torch.inf)
            log_p[rows, tokens] = kept

    def everywhere(self, length: int, vocabulary: int) -> Tensor | None:
        """Which tokens no row may take now, (vocabulary,), uint8; None where that is another thing for each row.

        Raises `BadOption` as `apply`.
        """
        if self.reads_history or length < len(self._prefix):
            return None
        self._must_be_of(vocabulary)
        short = length < self._minimum
        columns = self._columns.get((short, vocabulary))
        if columns is None:
            columns = torch.zeros(vocabulary, dtype=torch.uint8)
            columns[self._tokens] = 1
            columns[self._end] |= short
            self._columns[short, vocabulary] = columns
        return columns

    def _must_be_of(self, vocabulary: int) -> None:
        if self._highest >= vocabulary or self._lowest < 0:
            number = self._lowest if self._lowest < 0 else self._highest
            raise BadOption(f"there is no token {number}: the vocabulary has {vocabulary}")

    def _look_back(self, log_p: Tensor, length: int, history: Whole) -> None:
        found = [_last_of_phrases(each, history) for each in self._phrases if length >= each.shape[1] - 1]
        if self._ngram and length >= self._ngram:
            found.append(_last_of_repeats(self._ngram, history))
        if found:
            rows, tokens = (
                torch.from_numpy(np.concatenate(each)).to(log_p.device) for each in zip(*found, strict=True)
            )
            log_p[rows, tokens] = -torch.inf


def _last_of_phrases(phrases: Whole, history: Whole) -> tuple[Whole, Whole]:
    """Rows and the tokens that would end a phrase, all of which (phrases, size) are of one size, 2 or more."""
    before = phrases.shape[1] - 1
    recent = history[:, history.shape[1] - before :]
    row, phrase = np.nonzero((recent[:, None] == phrases[None, :, :before]).all(2))
    return row, phrases[phrase, before]


def _last_of_repeats(size: int, history: Whole) -> tuple[Whole, Whole]:
    """Rows and the tokens that would end so many that the row has had before."""
    windows = np.lib.stride_tricks.sliding_window_view(history, size, axis=1)
    recent = history[:, None, history.shape[1] - size + 1 :]
    row, place = np.nonzero((windows[:, :, : size - 1] == recent).all(2))
    return row, windows[row, place, size - 1]
