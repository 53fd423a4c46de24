"""What a decoder reads of a source, and what it carries from step to step; values, batch first.

`unrolled.state` selects, repeats and joins their rows, as a beam search needs it. What a network does not use is `()`.
"""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from unrolled.cells.base import State
from unrolled.layers.attend import Source


class DecoderState(NamedTuple):
    """What changes from step to step.

    Attributes:
        layers: of each layer its state.
        fed: (batch, readout), what was shown last, where it is fed back.
        weights: (batch, source), what was attended to last; zeros before the first step.
        covered: (batch, source), the sum of all these, where coverage is on.
    """

    layers: tuple[State, ...]
    fed: Tensor | tuple[()]
    weights: Tensor | tuple[()]
    covered: Tensor | tuple[()]


class Copies(NamedTuple):
    """What can be copied.

    Attributes:
        ids: (batch, source), long, the target word that stands at each place: below the vocabulary's size a word of it,
            from there on a word that it has not, numbered within the batch; -1 where there is no place.
        beyond: (batch, words that the vocabulary has not), bool, whether the row's source has it.
    """

    ids: Tensor
    beyond: Tensor


class Memory(NamedTuple):
    """What the encoder made of a source; it never changes.

    Attributes:
        source: what attention looks at.
        lengths: (batch,), long, the source's elements.
        vector: (batch, features), the encoder vector, where every step reads it.
        copies: what can be copied, where copying is on.
        state: the decoder's first state.
    """

    source: Source | tuple[()]
    lengths: Tensor
    vector: Tensor | tuple[()]
    copies: Copies | tuple[()]
    state: DecoderState
