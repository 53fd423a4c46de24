r"""The reference of a decoder that reads what it has just shown: input feeding, with attention behind the cell.

Luong, Pham & Manning 2015 (arXiv:1508.04025), section 3.3, for any cell:

    h_t    = cell([x_t, r_{t-1}], h_{t-1})
    e_tj   = v . tanh(k_j + W_q h_t + b)  or  k_j . h_t        score of each place j of the row's memory, with its key k
    a_t    = softmax(e_t)                                      weights, over the row's own places
    c_t    = sum_j a_tj m_j                                    context
    r_t    = tanh(s_t + V h_t + W c_t)                         what is shown; s_t is the share of the word x_t

The keys do not wait for the state, nor does s_t, whatever it is made of; both are given. As in `scan`, targets travel
packed, rows longest first. Slow and plain: `feeding_fused` must equal it.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional
from torch.nn.utils.rnn import PackedSequence

from unrolled.cells.base import Cell, State
from unrolled.kernels.feeding import Reads
from unrolled.unroll import halves, in_turn


class Places(NamedTuple):
    """What is attended to; batch first.

    memory: (batch, source, features), keys: (batch, source, units), zeros where there is no place; mask: (batch,
    source), bool, where there is one: the first of each row, one or more.
    """

    memory: Tensor
    keys: Tensor
    mask: Tensor


class Shown(NamedTuple):
    """What comes of each element, packed.

    outputs: (elements, hidden); contexts: (elements, features); weights: (elements, source), zeros beyond a row's
    length; shows: (elements, shown).
    """

    outputs: Tensor
    contexts: Tensor
    weights: Tensor
    shows: Tensor


def unroll(
    cell: Cell, reads: Reads, x: PackedSequence, said: Tensor, places: Places, state: State, first: Tensor
) -> Shown:
    """Run over whole targets.

    Args:
        cell: any recurrence; it reads an element of x and, behind it, what was shown.
        reads: how it attends, and what it shows.
        x: data (elements, input), the words.
        said: (elements, shown), the words' shares of what is shown.
        places: what is attended to.
        state: the state before. first: (batch, shown), what the first step reads as shown before. Rows of these, and of
            the places, stand in x's packed order.
    """

    def tick(given: tuple[Tensor, ...], carried: Any, at: Any) -> tuple[tuple[Tensor, ...], Any]:
        state, before = carried
        h, state = halves.step(cell, given[0], [before], state)
        query = h if reads.query is None else functional.linear(h, reads.query, reads.bias)
        if reads.value is None:
            scores = (at.keys @ query.unsqueeze(2)).squeeze(2)
        else:
            scores = (at.keys + query.unsqueeze(1)).tanh() @ reads.value
        weights = scores.masked_fill(~at.mask, -torch.inf).softmax(dim=1)
        context = (weights.unsqueeze(1) @ at.memory).squeeze(1)
        inner = given[1] + functional.linear(h, reads.of_state) + functional.linear(context, reads.of_context)
        shows = inner.tanh()
        return (h, context, weights, shows), (state, shows)

    cell = cell.for_unroll()
    given, carried = [halves.known(cell, x.data), said], (state, first)
    return Shown(*in_turn.run(tick, given, x.batch_sizes.tolist(), carried, places))
