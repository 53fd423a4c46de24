"""Phrases that must occur: constrained beam search with dynamic beam allocation (Post & Vilar 2018, arXiv:1804.06609).

Hypotheses stand in banks, by how many tokens of the required phrases they have. The beam is shared out among the banks
at every step, so that those that have many, but are improbable for it, are not crowded out by those that have none.
Candidates are, beside the most probable ones, those that go on with a phrase. The end mark may only follow where all
phrases have occurred.

How far a hypothesis has come with a phrase is how much of the phrase's beginning its last tokens are; so phrases may
overlap, and one that breaks off is begun anew where the broken piece ends with its beginning. A bank counts the tokens
of the phrases that have occurred, and those of the one that is furthest of the others: were all that begin alike
counted, going on with one would be a step back in the rest. So each hypothesis has a continuation in a higher bank, and
since there is always a slot for the highest, all phrases occur in time wherever they may follow.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from unrolled.decoding.constraints import Phrase
from unrolled.decoding.step import Mask, Real, Whole, to_numpy


class Candidates(NamedTuple):
    """What rows may go on with; each (rows, candidates). banks: how many required tokens they will then have."""

    log_p: Real
    tokens: Whole
    banks: Whole


class Required:
    """The required phrases of a batch.

    Args:
        phrases: of each source; some may have none.
        end: the end mark.
    """

    def __init__(self, phrases: Sequence[Sequence[Phrase]], end: int) -> None:
        self._end = end
        most = max(map(len, phrases))
        self.longest = max(len(phrase) for source in phrases for phrase in source)
        self._phrases: Whole = np.full((len(phrases), most, self.longest), -1, dtype=np.int64)
        self._sizes: Whole = np.zeros((len(phrases), most), dtype=np.int64)
        for source, own in enumerate(phrases):
            for place, phrase in enumerate(own):
                self._phrases[source, place, : len(phrase)] = phrase
                self._sizes[source, place] = len(phrase)
        self.banks: Whole = self._sizes.sum(1)

    def occurred(self, sources: Whole, history: Whole, before: Mask | None) -> Mask:
        """Which phrases each row has had, (rows, phrases).

        Args:
            sources: (rows,).
            history: (rows, length).
            before: what was so before the last token; None where there is none yet.
        """
        complete = self._progress(sources, self._tails(history)) == self._sizes[sources]
        return complete if before is None else before | complete

    def mask_end(self, log_p: Tensor, sources: Whole, occurred: Mask) -> None:
        """The end mark may not follow where something has not occurred."""
        rows = np.flatnonzero(~occurred.all(1))
        log_p[torch.from_numpy(rows).to(log_p.device), self._end] = -torch.inf

    def candidates(
        self, log_p: Tensor, best: Real, tokens: Whole, sources: Whole, history: Whole, occurred: Mask
    ) -> Candidates:
        """The most probable tokens and those that go on with a phrase.

        Args:
            log_p: (rows, vocabulary), masked.
            best, tokens: (rows, k) the most probable ones.
            sources, history, occurred: as above.
        """
        tails = self._tails(history)
        progress = self._progress(sources, tails)
        phrases = self._phrases[sources]
        # The next token of each phrase that has not occurred, and its first one.
        following = np.take_along_axis(phrases, np.minimum(progress, self.longest - 1)[..., None], 2)[..., 0]
        wanted = np.concatenate([following, phrases[:, :, 0]], 1)
        wanted[np.concatenate([occurred, occurred], 1)] = -1
        further = to_numpy(log_p.gather(1, torch.from_numpy(np.maximum(wanted, 0)).to(log_p.device))).astype(np.float64)
        both, place = np.concatenate([tokens, wanted], 1), tokens.shape[1]
        # A token that stands further to the left too is the same candidate a second time.
        again = (both[:, None, :] == both[:, :, None]) & np.tri(both.shape[1], k=-1, dtype=np.bool_)
        further[again.any(2)[:, place:] | (wanted < 0)] = -np.inf
        return Candidates(
            np.concatenate([best, further], 1), np.maximum(both, 0), self._banks(sources, tails, both, occurred)
        )

    def _banks(self, sources: Whole, tails: Whole, tokens: Whole, occurred: Mask) -> Whole:
        rows, count = tokens.shape
        after = np.concatenate([np.repeat(tails[:, 1:], count, 0), tokens.reshape(-1, 1)], 1)
        progress = self._progress(np.repeat(sources, count), after)
        sizes = self._sizes[np.repeat(sources, count)]
        complete = np.repeat(occurred, count, 0) | (progress == sizes)
        whole, begun = np.where(complete, sizes, 0), np.where(complete, 0, progress)
        return (whole.sum(1) + begun.max(1)).reshape(rows, count)

    def _tails(self, history: Whole) -> Whole:
        """The last tokens, as many as the longest phrase has; -2, which no phrase has, where there are fewer."""
        rows, length = history.shape
        tails = np.full((rows, self.longest), -2, dtype=np.int64)
        shown = min(length, self.longest)
        tails[:, self.longest - shown :] = history[:, length - shown :]
        return tails

    def _progress(self, sources: Whole, tails: Whole) -> Whole:
        """How many tokens of each phrase's beginning the tails end with, (rows, phrases)."""
        phrases, sizes = self._phrases[sources], self._sizes[sources]
        progress = np.zeros(sizes.shape, dtype=np.int64)
        for size in range(1, self.longest + 1):
            same = (tails[:, None, self.longest - size :] == phrases[:, :, :size]).all(2)
            progress[same & (size <= sizes)] = size
        return progress

    def share_out(self, totals: Real, banks: Whole, sources: Whole, room: Whole) -> Whole:
        """Which candidates of each source stay in the beam.

        Args:
            totals: (sources, candidates) log-probabilities of the hypotheses that they would make; -inf: none.
            banks: (sources, candidates).
            sources: which sources these are.
            room: (sources,) how many may stay.

        Returns:
            (sources, most) indices of candidates, the best first; -1 where fewer stay.
        """
        chosen: Whole = np.full((len(sources), int(min(room.max(), totals.shape[1]))), -1, dtype=np.int64)
        for place, source in enumerate(sources):
            order = np.argsort(-totals[place], kind="stable")
            order = order[totals[place, order] > -np.inf]
            bank = banks[place, order]
            waiting = np.bincount(bank, minlength=self.banks[source] + 1)
            slots = np.array(allocate(waiting.tolist(), int(room[place])))
            # How many of its own bank stand before each.
            ahead = np.empty(len(order), dtype=np.int64)
            by_bank = np.argsort(bank, kind="stable")
            ahead[by_bank] = np.arange(len(order)) - np.repeat(np.cumsum(waiting) - waiting, waiting)
            kept = order[ahead < slots[bank]]
            chosen[place, : len(kept)] = kept
        return chosen


def allocate(waiting: Sequence[int], room: int) -> list[int]:
    """How many slots of a beam each bank gets: equally many, the last one what is left over; what a bank cannot fill
    goes to the nearest banks that can use it, of two equally near ones first to the one with more tokens.

    Args:
        waiting: candidates of each bank, those with no required token first.
        room: slots of the beam.

    >>> allocate([9, 9, 9], 5), allocate([9, 0, 1], 5), allocate([1, 1, 1], 5)
    ([1, 1, 3], [4, 0, 1], [1, 1, 1])
    """
    each, over = divmod(room, len(waiting))
    slots = [each] * len(waiting)
    slots[-1] += over
    spare = [max(slot - wait, 0) for slot, wait in zip(slots, waiting, strict=True)]
    slots = [min(slot, wait) for slot, wait in zip(slots, waiting, strict=True)]
    for bank in reversed(range(len(waiting))):
        for distance in range(1, len(waiting)):
            for near in (bank + distance, bank - distance):
                if 0 <= near < len(waiting):
                    given = min(spare[bank], waiting[near] - slots[near])
                    slots[near] += given
                    spare[bank] -= given
    return slots
