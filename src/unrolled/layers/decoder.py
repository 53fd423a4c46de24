"""A decoder that attends: a cell that reads, beside each element of the target, what it looks for in a source.

Bahdanau, Cho & Bengio 2015 (arXiv:1409.0473), section 3.1: before each tick the state asks for a context, the sum of
the source's annotations weighted by additive scores. The equations are in `unroll/attending.py`.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from unrolled import state as states
from unrolled.cells.base import Cell, State
from unrolled.errors import BadOption
from unrolled.layers.attention import ConcatScore, QueryScore
from unrolled.unroll import attending, attending_fused
from unrolled.unroll.attending import Attended, Source


class AttentionDecoder(nn.Module):
    """A cell with additive attention.

    In training the whole target is known (teacher forcing), and `forward` runs it at once; where the next element is
    chosen by what came out, `source` makes the memory ready and `step` goes on by one element.

    Args:
        cell: any recurrence; its input is an element of the target and, behind it, a context of `score.key_size`
            features. With a GRU or an LSTM `forward` runs on the compiled kernels where they can.
        score: its query is the cell's hidden state, the first tensor of its state.

    Raises `BadOption` where these sizes do not fit.

    >>> import torch
    >>> from torch.nn.utils.rnn import pack_sequence
    >>> from unrolled.cells.gru import GRU
    >>> decoder = AttentionDecoder(GRU(8 + 6, 10), QueryScore(6, 10, 5))
    >>> target = pack_sequence([torch.randn(4, 8), torch.randn(2, 8)])
    >>> made = decoder(target, torch.randn(2, 7, 6), torch.tensor([3, 7]))
    >>> made.outputs.data.shape, made.contexts.data.shape, made.weights.data.shape
    (torch.Size([6, 10]), torch.Size([6, 6]), torch.Size([6, 7]))
    """

    def __init__(self, cell: Cell, score: QueryScore | ConcatScore) -> None:
        super().__init__()
        features, queries = score.key_size, score.query_size
        if cell.input_size <= features:
            raise BadOption(f"the cell reads {cell.input_size} features, the context alone has {features}")
        shown = states.leaves(cell.initial_state(1))[0].shape[-1]
        if shown != queries:
            raise BadOption(f"the cell's hidden state has {shown} features, the score's query {queries}")
        self.cell, self.score = cell, score
        self.input_size, self.output_size = cell.input_size - features, cell.output_size

    def initial_state(self, batch: int) -> State:
        return self.cell.initial_state(batch)

    def forward(self, targets: PackedSequence, memory: Tensor, lengths: Tensor, state: State | None = None) -> Attended:
        """Run over whole targets.

        Args:
            targets: data (elements, input).
            memory: (batch, source, key), what is attended to; padding at a row's end may hold anything.
            lengths: (batch,), long, the places of each row that are no padding, 1 or more.
            state: the state before the first element; zeros where None. Rows of memory, lengths and state stand in
                the targets' *packed* order, longest target first (`memory[targets.sorted_indices]` brings them there).

        Returns:
            Outputs, contexts and attention weights, packed as the targets are, and the state after each row's last
            element, rows in packed order.

        Raises `BadOption` where something does not fit.
        """
        cell, given = self.cell.for_unroll(), (self.score.weights(), targets, memory, lengths, state)
        fused = attending_fused.attempt(cell, *given)
        return attending.unroll(cell, *given) if fused is None else fused

    def source(self, memory: Tensor, lengths: Tensor) -> Source:
        """Make ready, once, what `step` looks at; memory, lengths: of `forward`.

        Its tensors are batch first, so that `unrolled.state` can select and repeat its rows, as a beam search does.
        """
        return attending.source(self.score.weights(), memory, lengths)

    def step(self, x: Tensor, source: Source, state: State) -> tuple[Tensor, Tensor, Tensor, State]:
        """One tick. x: (batch, input) -> output, context, weights, next state.

        The output is the cell's, (batch, output), the context (batch, key), the weights (batch, source), zeros beyond a
        row's length.
        """
        return attending.step(self.cell, self.score.weights(), source, x, state)
