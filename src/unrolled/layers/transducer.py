r"""A transducer's network, Graves 2012, arXiv:1211.3711, with the joint network of Graves, Mohamed & Hinton 2013,
arXiv:1303.5778, eq. 14 to 17.

    what was heard    f_t = W_f h_t + b                 h_t: of an encoder, at each time
    what was said     g_u = W_g s_u                     s_u: of recurrences over the symbols so far
    P(k | t, u)       softmax(W tanh(f_t + g_u) + c)

P is over the symbols and the blank, which says that nothing more is said at this time. W_f and W_g are applied to each
time and to each symbol once, however many places (t, u) read them. What the places themselves hold, T times U of them a
row, would outgrow the memory with many long rows: it is there for some rows at a time, and made anew for the gradient.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_sequence, unpack_sequence
from torch.utils.checkpoint import checkpoint

from unrolled.layers.dropout import LockedDropout
from unrolled.layers.embedding import Embedding
from unrolled.layers.recurrent import Stack
from unrolled.layers.softmax import Softmax
from unrolled.layers.transducer_loss import transducer_loss
from unrolled.state import State

AT_ONCE = 1 << 17
"""Places (t, u) that are there at the same time, or one row's."""


class TransducerSizes(NamedTuple):
    """heard: features of an encoder's output; symbols: how many, without the blank; vector: features of a symbol's
    vector; joint: units of the joint network."""

    heard: int
    symbols: int
    vector: int
    joint: int


class TransducerNetwork(nn.Module):
    """From what an encoder heard and what was said to what is said next.

    The blank's number is the one behind the symbols'. As what was said last it stands for nothing.

    Args:
        sizes: see there.
        stack: the recurrences over the symbols; reads their vectors, from the first on.
        vector_dropout, dropout: rates, for a whole row: of symbols' vectors, and of what the recurrences give.
    """

    def __init__(self, sizes: TransducerSizes, stack: Stack, *, vector_dropout: float, dropout: float) -> None:
        super().__init__()
        self.blank = sizes.symbols
        self.embedding = Embedding(sizes.symbols + 1, sizes.vector)
        self.vectors, self.dropout = LockedDropout(vector_dropout), LockedDropout(dropout)
        self.stack = stack
        self.heard = nn.Linear(sizes.heard, sizes.joint)
        self.said = nn.Linear(stack.output_size, sizes.joint, bias=False)
        self.softmax = Softmax(sizes.joint, sizes.symbols + 1)

    def hear(self, outputs: PackedSequence) -> list[Tensor]:
        """f of each row, (steps, joint), in the caller's order. outputs: of the encoder, data (elements, features)."""
        return unpack_sequence(outputs._replace(data=self.heard(outputs.data)))

    def read(self, targets: Sequence[Tensor]) -> list[Tensor]:
        """g of each row, (symbols + 1, joint): behind nothing, behind the first symbol, and so on.

        targets: (symbols,), long, of each row.
        """
        before = pack_sequence([torch.cat([t.new_tensor([self.blank]), t]) for t in targets], enforce_sorted=False)
        outputs, _ = self.stack(self.vectors(before._replace(data=self.embedding(before.data))))
        dropped = self.dropout(outputs)
        return unpack_sequence(dropped._replace(data=self.said(dropped.data)))

    def losses(self, outputs: PackedSequence, targets: Sequence[Tensor]) -> Tensor:
        """-log P of each row's transcript, (rows,), in the caller's order. Arguments as `hear` and `read`."""
        heard, said = self.hear(outputs), self.read(targets)
        groups, room = list[list[int]](), 0
        for row, (f, g) in enumerate(zip(heard, said, strict=True)):
            room -= len(f) * len(g)
            if room < 0:
                groups, room = [*groups, []], AT_ONCE - len(f) * len(g)
            groups[-1].append(row)
        sides = [[[side[row] for row in group] for side in (heard, said, targets)] for group in groups]
        if len(groups) == 1 or not torch.is_grad_enabled():
            return torch.cat([self._losses(*each) for each in sides])
        again = partial(checkpoint, self._losses, use_reentrant=False, preserve_rng_state=False)
        return torch.cat([again(*each) for each in sides])

    def _losses(self, heard: Sequence[Tensor], said: Sequence[Tensor], targets: Sequence[Tensor]) -> Tensor:
        """Of some rows."""
        places = [(f.unsqueeze(1) + g).flatten(0, 1) for f, g in zip(heard, said, strict=True)]
        logits = self.softmax(torch.cat(places).tanh())
        return transducer_loss(logits, targets, [len(f) for f in heard], self.blank)

    def initial_state(self, rows: int) -> State:
        """Of the recurrences, before all symbols."""
        return self.stack.initial_state(rows)

    def say(self, symbols: Tensor, state: State) -> tuple[Tensor, State]:
        """Behind one more symbol, without dropout. symbols: (rows,), long; the blank before all -> g (rows, joint)."""
        output, after = self.stack.step(self.embedding(symbols), state)
        return self.said(output), after

    def join(self, heard: Tensor, said: Tensor) -> Tensor:
        """log P(k | t, u), (rows, symbols + 1). heard: f, said: g, (rows, joint) or one row for all."""
        return self.softmax((heard + said).tanh()).log_softmax(-1)
