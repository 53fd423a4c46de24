"""An encoder of pictures: each place of a grid an annotation; what all show together in place of a last state.

    pictures ──► convolutions, or a network of another library's ──► a grid of features ─┐
    features ────────────────────────────────────────────────────────────────────────────┴► dropout ──► annotations

As Xu et al. 2015 (arXiv:1502.03044, section 3.1.1) have it: attention looks at places, row by row from the top, and the
decoder begins with their mean (section 3.1.2 there), through a bridge.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

from unrolled.layers.backbones import Backbone
from unrolled.layers.convolutions import Convolutions
from unrolled.layers.dropout import LockedDropout
from unrolled.layers.encoder import Encoded, SourceEncoder
from unrolled.layers.pooling import Mean
from unrolled.unroll.packing import equal


class PictureEncoder(SourceEncoder):
    """Pictures, or features of pictures, to annotations.

    Args:
        looks: what makes features of pictures; None: they are given.
        features: of a place.
        learns: whether what makes features of pictures does.
        dropout: the probability with which a feature is dropped, at all places of a picture.
    """

    like: Tensor

    def __init__(
        self, looks: Convolutions | Backbone | None, features: int, *, learns: bool = True, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.looks, self.output_size, self.mean = looks, features, Mean()
        self.register_buffer("like", torch.zeros(0), persistent=False)  # of the precision that is wanted
        self.dropout = LockedDropout(dropout)
        if looks is not None:
            looks.requires_grad_(learns)

    def forward(self, sources: Any) -> Encoded:
        """sources: pictures of one size, (batch, height, width, 3), bytes; or packed features, data (places, features).

        The final state is the mean of the annotations.
        """
        given = sources._replace(data=sources.data.to(self.like)) if self.looks is None else self._places(sources)
        outputs = self.dropout(given)
        return Encoded(outputs, ((self.mean(outputs),),))

    def state_sizes(self) -> list[list[list[int]]]:
        return [[[self.output_size]]]

    def _places(self, pictures: Tensor) -> PackedSequence:
        """Row by row from the top, packed: as many of each picture."""
        assert self.looks is not None
        # Channels stay last in memory, as they are in a picture, which is also the quicker way.
        found: Tensor = self.looks(pictures.permute(0, 3, 1, 2).to(self.like) / 255)
        batch, features, rows, columns = found.shape
        places = found.permute(2, 3, 0, 1).reshape(rows * columns * batch, features)
        return PackedSequence(places, equal(rows * columns, batch))
