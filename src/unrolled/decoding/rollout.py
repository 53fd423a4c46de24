"""One token after the other, where each row has one hypothesis: what greedy decoding and sampling share."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from unrolled import state as states
from unrolled.decoding.hypothesis import Hypothesis
from unrolled.decoding.masks import Masks
from unrolled.decoding.step import (
    Memory,
    Real,
    Step,
    Whole,
    device_of,
    few_are_left,
    log_probabilities,
    require_logits,
    require_numbers,
    to_numpy,
)
from unrolled.state import State


class Choice(Protocol):
    """How the next token of each row is chosen.

    Attributes:
        reads_history: whether it must be given the tokens so far.
    """

    reads_history: bool

    def __call__(self, logits: Tensor, log_p: Tensor, rows: Whole, history: Whole | None, length: int) -> Tensor:
        """Tokens, (rows,), long.

        Args:
            logits: (rows, vocabulary), as the step gave them.
            log_p: (rows, vocabulary), normalised, but -inf where a token may not follow. There may be rows without any
                that may: then any token will do.
            rows: (rows,) which of all rows these are.
            history: (rows, length) their tokens so far; None where that was not asked for.
            length: how many these are.
        """

    def at_once(self, logits: Tensor, masks: Masks, length: int) -> tuple[Tensor, Tensor] | None:
        """Tokens, (rows,), long, and their log-probabilities, where they can be had without those of all tokens.

        Arguments as those of `__call__`. None where not.
        """


class _Written:
    """What the rows have said: a table that grows."""

    def __init__(self, rows: int) -> None:
        self.table: Whole = np.zeros((rows, 32), dtype=np.int64)
        self.lengths: Whole = np.zeros(rows, dtype=np.int64)
        self.log_p: Real = np.zeros(rows)
        self.finished = np.zeros(rows, dtype=np.bool_)

    def write(self, rows: Whole, place: int, tokens: Whole) -> None:
        if place == self.table.shape[1]:
            self.table = np.concatenate([self.table, np.zeros_like(self.table)], 1)
        self.table[rows, place] = tokens
        self.lengths[rows] = place + 1

    def hypotheses(self) -> list[Hypothesis]:
        columns = (self.table.tolist(), self.lengths.tolist(), self.log_p.tolist(), self.finished.tolist())
        return [
            Hypothesis(tuple(row[:size]), log_p, log_p, end) for row, size, log_p, end in zip(*columns, strict=True)
        ]


def rollout(
    step: Step, state: State, memory: Memory, *, sources: Whole, begin: int, end: int, masks: Masks, choice: Choice
) -> list[Hypothesis]:
    """One hypothesis a row, whose score is its log-probability.

    Args:
        step: the model's.
        state, memory: of the rows.
        sources: (rows,) whose source each row is, which is what the masks want to know.
        begin, end: the marks.
        masks: the constraints.
        choice: how tokens are chosen.

    Raises `ValueError` where state or memory has another number of rows, `NotFinite` where the step gives no numbers.
    """
    device, written = device_of(state, memory, len(sources)), _Written(len(sources))
    reads_history = masks.reads_history or choice.reads_history
    rows: Whole = np.arange(len(sources))  # which of all rows each row of the state is
    live = masks.limits[sources] > 0
    tokens = torch.full((len(sources),), begin, dtype=torch.long, device=device)
    log_p, length = None, 0
    while live.any():
        if few_are_left(int(live.sum()), len(live)):
            staying = np.flatnonzero(live)
            index = torch.from_numpy(staying).to(device)
            state, memory, tokens = states.select(state, index), states.select(memory, index), tokens[index]
            rows, live = rows[staying], live[staying]
        logits, state = step(tokens, state, memory)
        require_logits(logits, len(rows))
        found = choice.at_once(logits, masks, length)
        if found is None:
            log_p = log_probabilities(logits, len(rows), log_p)
            history = written.table[rows, :length] if reads_history else None
            masks.apply(log_p, sources[rows], length, history)
            tokens = choice(logits, log_p, rows, history, length)
            found = tokens, log_p.gather(1, tokens.unsqueeze(1)).squeeze(1)
        tokens, (chosen, gained) = found[0], map(to_numpy, found)
        require_numbers(gained[live], length)
        live &= gained > -np.inf  # else nothing was allowed
        written.log_p[rows[live]] += gained[live]
        ending = live & (chosen == end)
        written.finished[rows[ending]] = True
        live &= ~ending
        written.write(rows[live], length, chosen[live])
        length += 1
        live &= length < masks.limits[sources[rows]]
    return written.hypotheses()
