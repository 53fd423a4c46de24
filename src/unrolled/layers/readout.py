r"""What a decoder shows of itself to the softmax.

    state      r = h                        as Sutskever, Vinyals & Le 2014, arXiv:1409.3215
    context    r = tanh(W [h; c])           Luong, Pham & Manning 2015, arXiv:1508.04025, eq. 5: the attentional vector
    deep       r = tanh(W [x; h; c])        Bahdanau, Cho & Bengio 2015, arXiv:1409.0473, A.2.2: also the word before

h is the topmost layer's output, c the context, or the encoder vector where there is no attention but every step reads
that one, x the embedded word that the step has read. Luong et al. have no bias, Bahdanau et al. a maxout instead of the
tanh.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from unrolled.layers.linear import Linear
from unrolled.unroll.product import linear

KINDS = ("state", "context", "deep")


class Readout(nn.Module):
    """Hidden states, contexts and words to what the softmax reads.

    Args:
        kind: see above.
        hidden, context, word: features of each; 0 for a context where there is none.
        output: features of the result; for `state` it is the hidden state's size.
    """

    def __init__(
        self, kind: Literal["state", "context", "deep"], *, hidden: int, context: int, word: int, output: int
    ) -> None:
        super().__init__()
        self.word = word if kind == "deep" else 0
        self.output_size = hidden if kind == "state" else output
        self.map = None if kind == "state" else Linear(self.word + hidden + context, output)

    def forward(self, h: Tensor, c: Tensor | None, x: Tensor) -> Tensor:
        """h: (elements, hidden), c: (elements, context), x: (elements, word) -> (elements, output)."""
        if self.map is None:
            return h
        parts = [*([x] if self.word else []), h, *([] if c is None else [c])]
        return self.map(torch.cat(parts, dim=1) if len(parts) > 1 else h).tanh()

    def known(self, x: Tensor) -> Tensor:
        """The words' share, for a loop: x: (elements, word) -> (elements, output), or without features if it has none.

        The bias is in it.
        """
        assert self.map is not None
        if not self.word:
            return self.map.bias.expand(len(x), -1)
        return linear(x, self.map.weight[:, : self.word], self.map.bias)

    def step(self, share: Tensor, h: Tensor, c: Tensor | None) -> Tensor:
        """One step of a loop. share: of these elements, from `known`."""
        assert self.map is not None
        made = h if c is None else torch.cat([h, c], dim=1)
        return (share + linear(made, self.map.weight[:, self.word :])).tanh()
