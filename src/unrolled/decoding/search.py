"""The steps of a beam search, with the hypotheses of all sources as the rows of one batch.

The rows of a source stand side by side. Where hypotheses have ended, their rows stay empty until it pays to take them
out (`few_are_left`). A step has no Python loop over rows, only one over what ends in it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from unrolled import state as states
from unrolled.decoding.coverage import Coverage
from unrolled.decoding.endings import Endings
from unrolled.decoding.hypothesis import Hypothesis
from unrolled.decoding.leading import leading
from unrolled.decoding.masks import Masks
from unrolled.decoding.required import Candidates, Required
from unrolled.decoding.step import (
    Mask,
    Memory,
    Real,
    Step,
    Whole,
    are_a_handful,
    device_of,
    few_are_left,
    log_probabilities,
    require_logits,
    require_numbers,
)
from unrolled.kernels import leading as likeliest
from unrolled.kernels import library
from unrolled.kernels.picking import Picker, Rows
from unrolled.state import State


class _Rows:
    """Whose the rows are.

    Args:
        sources: (n,) that have rows.
        counts: (n,) how many.
        picker: makes what picks their continuations.
    """

    def __init__(self, sources: Whole, counts: Whole, picker: Callable[[Whole], Picker] | None) -> None:
        self.sources, self.counts = sources, counts
        self.picker = None if picker is None else picker(counts)
        self.starts: Whole = np.cumsum(counts) - counts
        self.total, self._most = int(counts.sum()), int(counts.max(initial=0))
        self.of_rows: Whole = np.repeat(sources, counts)  # (rows,) the source of each
        self.numbers: Whole = np.arange(len(counts))[:, None]
        self._even = self.total == self._most * len(counts)
        # Where each row stands in a table with room for as many rows of each source as any has.
        self._places: Whole = np.arange(self.total) + np.repeat(self._most * self.numbers[:, 0] - self.starts, counts)

    def by_source(self, values: NDArray[Any], missing: float) -> NDArray[Any]:
        """(rows, k) -> (n, most rows * k), with something in place of the rows that a source has not."""
        if not self._even:
            table = np.full((len(self.sources) * self._most, values.shape[1]), missing, dtype=values.dtype)
            table[self._places] = values
            values = table
        return values.reshape(len(self.sources), -1)


class _Picked(NamedTuple):
    """Continuations, each (sources, most), the best first: the row, the token and the log-probability, -inf: none."""

    rows: Whole
    tokens: Whole
    log_p: Real


class Search:
    """A search over a batch.

    Args:
        batch: sources.
        width: of the beam.
        end: the end mark.
        masks: the constraints, all but the required phrases.
        required: these, where there are any.
        coverage: what has been attended to, where that is to be known.
        endings: gathers what ends.
    """

    def __init__(
        self,
        batch: int,
        width: int,
        end: int,
        masks: Masks,
        required: Required | None,
        coverage: Coverage | None,
        endings: Endings,
    ) -> None:
        self._width, self._end = width, end
        self._masks, self._required, self._coverage, self._endings = masks, required, coverage, endings
        compiled = required is None and library.load() is not None
        self._picker = partial(Picker, width=width, end=end) if compiled else None
        # A handful of rows has room for all hypotheses from the start, so that they stay where they are.
        self._each = width if are_a_handful(batch * width) else 1
        self._rows = _Rows(np.arange(batch), np.full(batch, self._each), self._picker)
        self._log_p: Real = np.full(self._rows.total, -np.inf)  # of each row; -inf: it is empty
        self._log_p[self._rows.starts[masks.limits > 0]] = 0.0
        self._room: Whole = np.full(batch, width)  # of each source of the batch, not only of those that have rows
        self._table: Tensor | None = None
        self._length = 0
        reads_history = masks.reads_history or required is not None
        self._history: Whole | None = np.zeros((self._rows.total, 0), dtype=np.int64) if reads_history else None
        self._occurred: Mask | None = None
        if required is not None and self._history is not None:
            self._occurred = required.occurred(self._rows.of_rows, self._history, None)

    def run(self, step: Step, state: State, memory: Memory, begin: int) -> list[list[Hypothesis]]:
        """Search. state, memory: of the sources; begin: the token that the first step is given."""
        device = device_of(state, memory, len(self._rows.sources))
        tokens = torch.full((self._rows.total,), begin, dtype=torch.long, device=device)
        nothing = np.flatnonzero(self._masks.limits == 0)
        self._finish(nothing, nothing, np.zeros(len(nothing)), finished=False)
        alive = len(nothing) < len(self._rows.sources)
        if self._each > 1:
            state, memory = states.repeat(state, self._each), states.repeat(memory, self._each)
        while alive:
            logits, state = step(tokens, state, memory)
            before, found = self._rows, self._next(logits, state)
            alive = found is not None
            if found is not None:
                index, tokens = found if device.type == "cpu" else (each.to(device) for each in found)
                state = states.select(state, index)
                if self._rows is not before:
                    memory = states.select(memory, index)
                if self._coverage is not None:
                    self._coverage.follow(index)
        return self._endings.hypotheses()

    def _next(self, logits: Tensor, state: State) -> tuple[Tensor, Tensor] | None:
        """The rows of the next step, as what they continue, and their last tokens; None where nothing goes on."""
        require_logits(logits, self._rows.total)
        picked, ready = self._pick(logits)
        if self._coverage is not None:
            self._coverage.add(state, self._rows.total)
        if ready is not None and self._all_go_on(picked, ready.going):
            self._go_on(*(each.numpy() for each in ready[:3]))
            return ready.parents, ready.tokens
        going = self._let_end(picked)
        if not going.any():
            return None
        parents, said = self._follow(picked, going)
        return torch.from_numpy(parents), torch.from_numpy(said)

    def _pick(self, logits: Tensor) -> tuple[_Picked, Rows | None]:
        """The best continuations of each source, as many as there is room for; and the next step's rows, where the
        compiled code has them and nothing ends by itself.
        """
        rows, picker, count = self._rows, self._rows.picker, min(self._width, logits.shape[1])
        room = self._room[rows.sources]
        if picker is None:
            best, tokens, log_p = self._likeliest(logits, count)
            self._set_apart(best.numpy())
            return self._picked_of(self._candidates(best, tokens, log_p), room), None
        barred = None
        if likeliest.supports(logits, count):
            barred = self._masks.everywhere(self._length, logits.shape[1])
        if barred is None:  # what may follow is another thing for each row
            best, tokens, _ = self._likeliest(logits, count)
            ready, found = picker(best, tokens, self._log_p, room), best.numpy()
        else:
            ready, found = picker.of_logits(logits, count, barred, self._log_p, room), picker.best
        if ready is None:
            self._set_apart(found)
        return _Picked(*picker.picked), ready

    def _likeliest(self, logits: Tensor, count: int) -> tuple[Tensor, Tensor, Tensor]:
        """What each row is most probably followed by: log-probabilities and tokens, (rows, count), on the CPU; and the
        log-probabilities of all tokens.
        """
        self._table = log_p = log_probabilities(logits, self._rows.total, self._table)
        self._masks.apply(log_p, self._rows.of_rows, self._length, self._history)
        if self._required is not None and self._occurred is not None:
            self._required.mask_end(log_p, self._rows.of_rows, self._occurred)
        best, tokens = leading(log_p, count)
        return best.cpu().double(), tokens.cpu(), log_p

    def _candidates(self, best: Tensor, tokens: Tensor, log_p: Tensor) -> Candidates:
        """What each row may go on with, (rows, candidates), with the log-probabilities of the whole hypotheses."""
        candidates = Candidates(best.numpy(), tokens.numpy(), tokens.numpy())
        required, occurred, history = self._required, self._occurred, self._history
        if required is not None and occurred is not None and history is not None:
            candidates = required.candidates(log_p, *candidates[:2], self._rows.of_rows, history, occurred)
        return candidates._replace(log_p=self._log_p[:, None] + np.minimum(candidates.log_p, 0.0))

    def _all_go_on(self, picked: _Picked, going: int) -> bool:
        """Of continuations of which none ends by itself: no source has to stop, and no rows are worth taking out."""
        rows = self._rows
        if self._length + 1 >= self._masks.limits[rows.sources].min() or few_are_left(going, rows.total):
            return False
        return not self._endings.settled(rows.sources, picked.log_p[:, 0]).any()

    def _set_apart(self, best: Real) -> None:
        """Where nothing may follow, a hypothesis ends as it is. What empty rows say does not matter: what goes on from
        them is never above -inf, even if it is no number.
        """
        if (best[:, 0] > -np.inf).all():
            return
        live = self._log_p > -np.inf
        require_numbers(best[live, 0], self._length)
        stuck = np.flatnonzero(live & (best[:, 0] == -np.inf))
        self._finish(self._rows.of_rows[stuck], stuck, self._log_p[stuck], finished=False)

    def _picked_of(self, candidates: Candidates, room: Whole) -> _Picked:
        """The best of candidates. room: (sources,) how many are wanted of each."""
        rows, each = self._rows, candidates.log_p.shape[1]
        table = rows.by_source(candidates.log_p, -np.inf)
        if self._required is None:
            places = np.argsort(-table, axis=1, kind="stable")[:, : self._width]
            log_p = table[rows.numbers, places]
            log_p[np.arange(places.shape[1]) >= room[:, None]] = -np.inf
        else:
            banks = rows.by_source(candidates.banks, 0)
            places = self._required.share_out(table, banks, rows.sources, room)
            log_p = np.where(places >= 0, table[rows.numbers, places], -np.inf)
        tokens = rows.by_source(candidates.tokens, 0)[rows.numbers, places]
        return _Picked(rows.starts[:, None] + places // each, tokens, log_p)

    def _let_end(self, picked: _Picked) -> Mask:
        """Take out what has the end mark or is as long as it may be; which of the rest go on?"""
        sources, (rows, tokens, log_p) = self._rows.sources, picked
        usable = log_p > -np.inf
        ended = usable & (tokens == self._end)
        going = usable & ~ended
        if ended.any():
            source, place = np.nonzero(ended)
            self._finish(sources[source], rows[source, place], log_p[source, place], finished=True)
            self._room[sources] -= ended.sum(1)
        full = self._masks.limits[sources] == self._length + 1
        if full.any():
            source, place = np.nonzero(going & full[:, None])
            more = tokens[source, place]
            self._finish(sources[source], rows[source, place], log_p[source, place], finished=False, more=more)
            going[full] = False
        going[self._endings.settled(sources, np.where(going, log_p, -np.inf).max(1))] = False
        return going

    def _follow(self, picked: _Picked, going: Mask) -> tuple[Whole, Whole]:
        """The rows of the next step, as what they continue, and their last tokens."""
        before, counts = self._rows, going.sum(1)
        total = int(counts.sum())
        parents, tokens, log_p = picked.rows[going], picked.tokens[going], picked.log_p[going]
        if (counts > before.counts).any() or few_are_left(total, before.total):
            self._rows = _Rows(before.sources[counts > 0], counts[counts > 0], self._picker)
        elif total < before.total:  # the rest of a source's rows are empty: any row and any token will do for them
            at = (before.starts[:, None] + going.cumsum(1) - 1)[going]
            kept, parents = parents, np.arange(before.total)
            said, tokens = tokens, np.full(before.total, self._end)
            sums, log_p = log_p, np.full(before.total, -np.inf)
            parents[at], tokens[at], log_p[at] = kept, said, sums
        self._go_on(parents, tokens, log_p)
        return parents, tokens

    def _go_on(self, parents: Whole, tokens: Whole, log_p: Real) -> None:
        """The rows are longer by these tokens. parents: what each continues."""
        self._log_p = log_p
        self._length += 1
        self._endings.follow(parents, tokens)
        if self._history is not None:
            self._history = np.concatenate([self._history[parents], tokens[:, None]], 1)
            if self._required is not None and self._occurred is not None:
                self._occurred = self._required.occurred(self._rows.of_rows, self._history, self._occurred[parents])

    def _finish(self, sources: Whole, rows: Whole, log_p: Real, finished: bool, more: Whole | None = None) -> None:
        if len(sources):
            coverage = [()] * len(sources) if self._coverage is None else self._coverage.of(rows, sources)
            self._endings.finish(sources, rows, log_p, coverage, finished, more)
