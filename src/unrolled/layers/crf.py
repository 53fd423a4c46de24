r"""Linear-chain conditional random field, Lafferty, McCallum & Pereira 2001; on recurrent networks Huang, Xu & Yu 2015.

    score(y) = start[y_1] + sum_t e_t[y_t] + sum_{t>1} T[y_{t-1}, y_t] + end[y_last]
    p(y)     = exp(score(y)) / Z,    Z = sum over all allowed y of exp(score(y))

e are the emissions, a score for each tag at each element; T, start and end are learnt. Constraints say which tags may
follow which. What they forbid has probability 0 everywhere: in the likelihood, in the marginals, in decoding.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from unrolled.errors import BadData, BadOption
from unrolled.layers.packed import before, caller_order, last, rows
from unrolled.layers.partition import Scores, log_partition, marginals


class Constraints(NamedTuple):
    """What is allowed. transitions: (tags, tags) bool, from row to column; start, end: (tags,) bool."""

    transitions: Tensor
    start: Tensor
    end: Tensor


def bio_constraints(tags: Sequence[str]) -> Constraints:
    """The rules of BIO: `I-X` stands only after `B-X` or `I-X`, and never first. All other tags are free.

    >>> bio_constraints(["O", "B-X", "I-X"]).transitions.int().tolist()
    [[1, 1, 0], [1, 1, 1], [1, 1, 1]]
    """
    index = {tag: place for place, tag in enumerate(tags)}
    transitions = torch.ones(len(tags), len(tags), dtype=torch.bool)
    start = torch.ones(len(tags), dtype=torch.bool)
    for tag, place in index.items():
        if tag.startswith("I-"):
            transitions[:, place] = start[place] = False
            transitions[place, place] = True
            if "B-" + tag[2:] in index:
                transitions[index["B-" + tag[2:]], place] = True
    return Constraints(transitions, start, torch.ones(len(tags), dtype=torch.bool))


class CRF(nn.Module):
    """A linear-chain CRF over packed emissions. Its parameters begin at 0, as if tags were independent.

    Args:
        tags: how many tags there are.
        constraints: what is allowed; everything, where None.
    """

    transitions_allowed: Tensor | None
    start_allowed: Tensor | None
    end_allowed: Tensor | None

    def __init__(
        self,
        tags: int,
        *,
        constraints: Constraints | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        if tags < 1:
            raise BadOption(f"a CRF needs at least one tag, not {tags}")
        self.transitions = nn.Parameter(torch.zeros(tags, tags, device=device, dtype=dtype))
        self.start = nn.Parameter(torch.zeros(tags, device=device, dtype=dtype))
        self.end = nn.Parameter(torch.zeros(tags, device=device, dtype=dtype))
        # They follow from the tags and are not learnt: a saved state does not hold them.
        for name in Constraints._fields:
            allowed = None if constraints is None else getattr(constraints, name)
            if allowed is not None and allowed.shape != getattr(self, name).shape:
                raise BadOption(f"constraints for {len(allowed)} tags on a CRF of {tags}")
            allowed = None if allowed is None else allowed.to(device)
            self.register_buffer(f"{name}_allowed", allowed, persistent=False)

    def log_likelihood(self, emissions: PackedSequence, tags: Tensor) -> Tensor:
        """log p of each row's tags.

        Args:
            emissions: data (elements, tags).
            tags: (elements,), long, packed as the emissions are.

        Returns:
            (batch,), in the caller's order.

        Raises:
            BadData: a row whose tags the constraints forbid; its likelihood would be 0.
        """
        e, sizes = self._checked(emissions), emissions.batch_sizes
        if tags.shape != e.shape[:1]:
            raise ValueError(f"{e.shape[0]} emissions but tags of shape {tuple(tags.shape)}")
        self._must_be_allowed(emissions, tags)
        first, size = int(sizes[0]), len(self.start)
        previous, ends = before(sizes).to(e.device), last(sizes).to(e.device)
        element = e.gather(1, tags.unsqueeze(1)).squeeze(1).double()
        pairs = self.transitions.flatten().index_select(0, tags[previous] * size + tags[first:]).double()
        entry, exit_ = self.start.index_select(0, tags[:first]), self.end.index_select(0, tags[ends])
        row = rows(sizes).to(e.device)
        # In float64, since a small difference of large numbers is wanted.
        score = (entry.double() + exit_.double()).index_add(0, row, element).index_add(0, row[first:], pairs)
        return caller_order((score - log_partition(e, self._scores(), sizes)).to(e.dtype), emissions)

    def viterbi(self, emissions: PackedSequence) -> tuple[Tensor, Tensor]:
        """The most probable tags of each row (Viterbi 1967). Always allowed.

        Returns:
            The tags, (elements,), packed as the emissions are; and each row's score, (batch,), in the caller's order.

        Raises:
            BadOption: the constraints allow no sequence of a row's length.
        """
        e, sizes = self._checked(emissions), emissions.batch_sizes.tolist()
        with torch.no_grad():
            transitions, start, end = (score.double() for score in self._scores())
            into = transitions.t().contiguous()
            steps = e.double().split(sizes)
            alphas = [start + steps[0]]
            for e_t in steps[1:]:
                alpha = alphas[-1]
                alpha = alpha if len(alpha) == len(e_t) else alpha[: len(e_t)]
                alphas.append((alpha.unsqueeze(1) + into).amax(2).add_(e_t))
            table = torch.cat(alphas)
            best, chosen = (table.index_select(0, last(emissions.batch_sizes).to(e.device)) + end).max(1)
        if not bool((best > -torch.inf).all()):
            raise BadOption("the constraints allow no sequence of tags for a row of this length")
        tags = _trace_back(table.cpu().numpy(), into.cpu().numpy(), chosen.cpu().numpy(), sizes)
        return torch.from_numpy(tags).to(e.device), caller_order(best.to(e.dtype), emissions)

    def marginals(self, emissions: PackedSequence) -> Tensor:
        """The probability of each tag at each element, given the whole row. (elements, tags), without gradient."""
        e = self._checked(emissions)
        return marginals(e, self._scores(), emissions.batch_sizes).to(e.dtype)

    def extra_repr(self) -> str:
        return f"{len(self.start)}, constrained={self.start_allowed is not None}"

    def _scores(self) -> Scores:
        return Scores(*(self._score(name) for name in Constraints._fields))

    def _score(self, name: str) -> Tensor:
        score, allowed = getattr(self, name), getattr(self, f"{name}_allowed")
        return score if allowed is None else score.masked_fill(~allowed, -torch.inf)

    def _checked(self, emissions: PackedSequence) -> Tensor:
        if emissions.data.dim() != 2 or emissions.data.shape[1] != len(self.start):
            raise ValueError(
                f"emissions of shape {tuple(emissions.data.shape)} where (elements, {len(self.start)}) is due"
            )
        return emissions.data

    def _must_be_allowed(self, emissions: PackedSequence, tags: Tensor) -> None:
        if self.transitions_allowed is None or self.start_allowed is None or self.end_allowed is None:
            return
        sizes = emissions.batch_sizes
        first, ends = int(sizes[0]), last(sizes).to(tags.device)
        previous = tags[before(sizes).to(tags.device)]
        wrong = ~self.transitions_allowed[previous, tags[first:]]
        wrong_first, wrong_last = ~self.start_allowed[tags[:first]], ~self.end_allowed[tags[ends]]
        if not bool(wrong.any() | wrong_first.any() | wrong_last.any()):
            return
        raise BadData(_what_is_wrong(emissions, tags, wrong, wrong_first, wrong_last))


def _trace_back(table: np.ndarray, into: np.ndarray, chosen: np.ndarray, sizes: list[int]) -> np.ndarray:
    """Each row from its own end: which tag before led to the one chosen? The forward sums are made again and compared,
    so nothing but the table need be kept. numpy, since such small steps are quicker there.

    table: (elements, tags), the best score of all ways to each; into: (tags, tags), from column to row;
    chosen: (batch,), the best last tag of each row.
    """
    tags = np.empty(len(table), dtype=np.int64)
    stop, following = len(table), chosen[:0]
    for size in reversed(sizes):
        start, after = stop - size, len(following)
        now = tags[start:stop]
        now[:after] = (table[start : start + after] + into.take(following, 0)).argmax(1)
        now[after:] = chosen[after:size]
        stop, following = start, now
    return tags


def _what_is_wrong(
    emissions: PackedSequence, tags: Tensor, wrong: Tensor, wrong_first: Tensor, wrong_last: Tensor
) -> str:
    sizes = emissions.batch_sizes
    given = torch.arange(int(sizes[0])) if emissions.sorted_indices is None else emissions.sorted_indices
    row = rows(sizes)
    if bool(wrong.any()):
        place = int(wrong.nonzero()[0])
        element = int(sizes[0]) + place
        given_row, what = given[row[element]], f"tag {int(tags[element])} after tag {int(tags[before(sizes)[place]])}"
    elif bool(wrong_first.any()):
        place = int(wrong_first.nonzero()[0])
        given_row, what = given[place], f"tag {int(tags[place])} as the first"
    else:
        place = int(wrong_last.nonzero()[0])
        given_row, what = given[place], f"tag {int(tags[last(sizes)[place]])} as the last"
    return f"row {int(given_row)} of the batch: {what} is forbidden by the constraints"
