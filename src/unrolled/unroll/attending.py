r"""The reference of a decoder that attends: a cell run over time that reads, beside each element, a context.

Bahdanau, Cho & Bengio 2015 (arXiv:1409.0473), section 3.1 and appendix A.1.2, for any cell:

    q_t    = W_q h_{t-1} + b                     query, of the state before
    e_tj   = v . tanh(W_k m_j + q_t)             score of each place j of the row's memory
    a_t    = softmax(e_t)                        weights (alpha in the paper), over the row's own places
    c_t    = sum_j a_tj m_j                      context
    h_t    = cell([x_t, c_t], h_{t-1})

The keys W_k m_j do not wait for the state and are made once. h is the first tensor of the cell's state. The paper's
decoder is a GRU whose reset gate acts before the product (`gru_cho`), and so may any other cell be.

As in `scan`, targets travel packed, rows longest first; the memory is padded, and nothing of a row's padding comes in
anywhere. Slow and plain: `attending_fused` must equal it.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from unrolled import state as states
from unrolled.cells.base import Cell, State
from unrolled.errors import BadOption
from unrolled.kernels.attention import Scorer


class Source(NamedTuple):
    """What is attended to, ready to be looked at; its tensors' first axis is the batch, as a state's.

    memory: (batch, source, features), zeros beyond a row's length; keys: (batch, source, units); mask: (batch, source),
    bool, where the places of a row are.
    """

    memory: Tensor
    keys: Tensor
    mask: Tensor


class Attended(NamedTuple):
    """What a decoder gives of a whole packed batch.

    outputs: data (elements, output); contexts: data (elements, features); weights: data (elements, source), zeros
    beyond a row's length; state: of each row after its last element, rows in packed order.
    """

    outputs: PackedSequence
    contexts: PackedSequence
    weights: PackedSequence
    state: State


def source(scorer: Scorer, memory: Tensor, lengths: Tensor) -> Source:
    """Make ready what does not change from step to step.

    Args:
        scorer: the weights of the scores.
        memory: (batch, source, features), padded at the end with anything.
        lengths: (batch,), long, the places of each row, from 1 to `source`.

    Raises `BadOption` where they do not fit.
    """
    must_fit(scorer, memory, lengths)
    mask = torch.arange(memory.shape[1], device=memory.device) < lengths.to(memory.device).unsqueeze(1)
    # What stands in the padding may be NaN, and zero times that is NaN.
    memory = memory.masked_fill(~mask.unsqueeze(-1), 0)
    return Source(memory, nn.functional.linear(memory, scorer.key), mask)


def must_fit(scorer: Scorer, memory: Tensor, lengths: Tensor) -> None:
    """Raise `BadOption` where memory and lengths are not what `source` says."""
    features = scorer.key.shape[1]
    if memory.dim() != 3 or memory.shape[2] != features or 0 in memory.shape:
        raise BadOption(f"a memory is (batch, source, {features}), not {tuple(memory.shape)}")
    if memory.dtype is not scorer.key.dtype:
        raise BadOption(f"the memory is {memory.dtype}, the weights are {scorer.key.dtype}")
    if lengths.dtype is not torch.int64 or lengths.shape != memory.shape[:1]:
        wanted = f"lengths are {len(memory)} long numbers, one for each row of the memory"
        raise BadOption(f"{wanted}, not {tuple(lengths.shape)} of {lengths.dtype}")
    least, most = int(lengths.min()), int(lengths.max())
    if least < 1 or most > memory.shape[1]:
        raise BadOption(f"lengths must be from 1 to {memory.shape[1]}, the memory's places, not {least} to {most}")


def look(scorer: Scorer, source: Source, h: Tensor) -> tuple[Tensor, Tensor]:
    """Of hidden states (batch, hidden): the context (batch, features) and the weights (batch, source)."""
    query = nn.functional.linear(h, scorer.query, scorer.bias)
    scores = (source.keys + query.unsqueeze(1)).tanh() @ scorer.value
    weights = scores.masked_fill(~source.mask, -torch.inf).softmax(dim=1)
    return (weights.unsqueeze(1) @ source.memory).squeeze(1), weights


def step(cell: Cell, scorer: Scorer, source: Source, x: Tensor, state: State) -> tuple[Tensor, Tensor, Tensor, State]:
    """One tick. x: (batch, input without the context) -> output, context, weights, next state."""
    context, weights = look(scorer, source, states.leaves(state)[0])
    output, state = cell.step(cell.project(torch.cat([x, context], dim=-1)), state)
    return output, context, weights, state


def unroll(
    cell: Cell, scorer: Scorer, x: PackedSequence, memory: Tensor, lengths: Tensor, state: State | None = None
) -> Attended:
    """Run a cell that attends over a packed batch.

    Args:
        cell: any recurrence that reads an element of x and, behind it, a context.
        scorer: the weights of the scores.
        x: data (elements, input without the context).
        memory, lengths: of `source`.
        state: the state before; `cell.initial_state` where None. Rows of memory, lengths and state stand in x's
            *packed* order (longest target first).

    Raises `BadOption` where something does not fit.
    """
    must_read(cell, scorer, x, memory, state)
    read = source(scorer, memory, lengths)
    cell = cell.for_unroll()
    sizes = x.batch_sizes.tolist()
    if state is None:
        state = cell.initial_state(sizes[0])
    came: list[tuple[Tensor, ...]] = []
    ended: list[State] = []
    for px in x.data.split(sizes):
        alive = states.rows(state)
        if len(px) < alive:
            state, done = states.split(state, [len(px), alive - len(px)])
            ended.append(done)
        *out, state = step(cell, scorer, Source(*(t[: len(px)] for t in read)), px, state)
        came.append(tuple(out))
    outputs, contexts, weights = (x._replace(data=torch.cat(parts)) for parts in zip(*came, strict=True))
    # The shortest rows ended first and stand last in packed order.
    return Attended(outputs, contexts, weights, states.concat([state, *reversed(ended)]))


def must_read(cell: Cell, scorer: Scorer, x: PackedSequence, memory: Tensor, state: State | None) -> None:
    """Raise `BadOption` where the cell does not read these elements with a context, or the batches differ."""
    wanted = cell.input_size - scorer.key.shape[1]
    if x.data.dim() != 2 or x.data.shape[1] != wanted:
        raise BadOption(f"the targets' elements have {wanted} features, not {tuple(x.data.shape[1:])}")
    if int(x.batch_sizes[0]) != len(memory):
        raise BadOption(f"the targets have {int(x.batch_sizes[0])} rows, the memory has {len(memory)}")
    if state is not None and states.rows(state) != len(memory):
        raise BadOption(f"the memory has {len(memory)} rows, the state has {states.rows(state)}")
