r"""From the states in which an encoder ends to the state in which a decoder begins.

    last      s = [f; b]                    the final states of both directions, through a matrix where sizes differ
    learnt    s = tanh(W [f; b] + c)        Bahdanau, Cho & Bengio 2015, arXiv:1409.0473, A.2.2, who take b alone
    mean      s = tanh(W mean_j m_j + c)    the mean of the annotations; Sennrich et al. 2017, arXiv:1703.04357
    zero      s = 0

For each layer of the decoder and each tensor of its state, a cell state as well as a hidden state, there is a matrix of
its own. The topmost layer begins with what the encoder's topmost layer holds, the one below with what the one below
holds; where the encoder has fewer, its lowest layer serves for the rest.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from unrolled import state as states
from unrolled.cells.base import Cell, State
from unrolled.errors import BadOption
from unrolled.layers.encoder import SourceEncoder
from unrolled.layers.linear import Linear
from unrolled.layers.pooling import Mean

KINDS = ("last", "learnt", "mean", "zero")


class Bridge(nn.Module):
    """An encoder's final states to a decoder's first.

    Args:
        kind: see above.
        encoder: whose states come in.
        cells: the decoder's, bottom first.

    Raises `BadOption` for a kind that reads final states where the encoder has none.
    """

    def __init__(
        self, kind: Literal["last", "learnt", "mean", "zero"], encoder: SourceEncoder, cells: list[Cell]
    ) -> None:
        super().__init__()
        self.kind = kind
        given = encoder.state_sizes()
        if not given and kind not in ("mean", "zero"):
            raise BadOption(f"there are no final states for a bridge of kind {kind!r}: take 'mean' or 'zero'")
        self.shapes = [cell.initial_state(1) for cell in cells]
        # One layer of the encoder for each of the decoder's, topmost to topmost.
        self.layers = [max(len(given) - len(cells) + k, 0) for k in range(len(cells))]
        self.mean, self.maps = Mean(), nn.ModuleList()
        for layer, shape in zip(self.layers, self.shapes, strict=True):
            for place, leaf in enumerate(states.leaves(shape)):
                reads_states = kind not in ("mean", "zero")
                size = sum(d[place] for d in given[layer]) if reads_states else encoder.output_size
                self.maps.append(self._map(size, leaf.shape[1]))

    def _map(self, size: int, wanted: int) -> nn.Module:
        if self.kind == "zero" or (self.kind == "last" and size == wanted):
            return nn.Identity()
        return Linear(size, wanted, bias=self.kind != "last")

    def forward(self, outputs: PackedSequence, final: tuple[tuple[State, ...], ...]) -> tuple[State, ...]:
        """Of each layer its first state, rows in the caller's order. Arguments: those of `Encoded`."""
        made = iter(self._made(outputs, final))
        return tuple(states.tree_map(lambda _: next(made), shape) for shape in self.shapes)

    def _made(self, outputs: PackedSequence, final: tuple[tuple[State, ...], ...]) -> Iterator[Tensor]:
        mean = self.mean(outputs) if self.kind == "mean" else None
        maps = iter(self.maps)
        for layer, shape in zip(self.layers, self.shapes, strict=True):
            for place, leaf in enumerate(states.leaves(shape)):
                apply = next(maps)
                if self.kind == "zero":
                    yield outputs.data.new_zeros(int(outputs.batch_sizes[0]), leaf.shape[1])
                elif mean is not None:
                    yield apply(mean).tanh()
                else:
                    parts = [states.leaves(state)[place] for state in final[layer]]
                    found = apply(torch.cat(parts, dim=1) if len(parts) > 1 else parts[0])
                    yield found if self.kind == "last" else found.tanh()

    def extra_repr(self) -> str:
        return self.kind
