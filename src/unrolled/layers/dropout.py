"""Ways to drop parts of the input at random in training, for sequences. Each does nothing in evaluation.

Element dropout, with a new draw for every feature of every element, is `torch.nn.Dropout` on the packed data. What is
here draws once for more than that: for all time steps of a row, or for all tokens of a word type. Dropping recurrent
weights is in `weight_drop.py`, keeping units of the state in `zoneout.py`.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from unrolled.errors import BadOption
from unrolled.kernels import dropping
from unrolled.layers.packed import rows
from unrolled.unroll.fused import is_plain

FEW = 1 << 12
"""Elements below which torch's own draw costs no more than a call."""


def checked(probability: float) -> float:
    """A probability with which something is dropped. Raises `BadOption` outside of 0 <= p < 1."""
    if not 0 <= probability < 1:
        raise BadOption(f"a dropout probability must be at least 0 and below 1, not {probability}")
    return float(probability)


def dropped(x: Tensor, p: float) -> Tensor:
    """x with each element at 0 with probability p, else divided by 1 - p; any shape.

    Of many elements on the CPU by our kernel, from one number of torch's generator: a matrix of weights that is dropped
    in each step would else take as long as the layer that it belongs to.
    """
    if x.numel() < FEW or p == 0 or not (is_plain(x) and dropping.supports(x)):
        return nn.functional.dropout(x, p)
    return _Dropped.apply(x, p, int(torch.empty((), dtype=torch.int64).random_()))


class _Dropped(torch.autograd.Function):
    """By the key of a draw, from which the gradient's pass computes the same mask."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, p: float, key: int) -> Tensor:
        ctx.p, ctx.key = p, key
        return dropping.drop(x, p, key)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        return _Dropped.apply(gradient, ctx.p, ctx.key), None, None


class LockedDropout(nn.Module):
    """Variational dropout, Gal & Ghahramani 2016, arXiv:1512.05287: one draw per row and feature for all time steps.

        x'_t = x_t * m,    m_k = 0 with probability p, else 1 / (1 - p)

    Args:
        p: the probability with which a feature of a row is dropped.
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = checked(p)

    def forward(self, x: PackedSequence) -> PackedSequence:
        """x: data of shape (elements, features) -> the same shape."""
        mask = self.mask(x.data[: int(x.batch_sizes[0])])
        if mask is None:
            return x
        return x._replace(data=x.data * mask.index_select(0, rows(x.batch_sizes).to(mask.device)))

    def mask(self, first: Tensor) -> Tensor | None:
        """What the elements of each row are multiplied by, a new draw; None where nothing is dropped.

        For loops that go on by one time step. first: (batch, features), or any tensor like it.
        """
        if not self.training or self.p == 0:
            return None
        return torch.empty_like(first).bernoulli_(1 - self.p).div_(1 - self.p)

    def extra_repr(self) -> str:
        return f"p={self.p}"


class EmbeddingDropout(nn.Module):
    """Whole word types are dropped, Gal & Ghahramani 2016; Merity, Keskar & Socher 2018, arXiv:1708.02182, section 4.3.

    All tokens of a type share one draw, as if rows of the embedding matrix were set to zero for this batch; what is
    kept is scaled by 1 / (1 - p). The matrix itself is not touched, so the cost does not grow with its size times the
    features.

    Args:
        p: the probability with which a word type is dropped.
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = checked(p)

    def forward(self, vectors: Tensor, ids: Tensor) -> Tensor:
        """vectors: (…, features), the embeddings of ids: (…) -> (…, features)."""
        if not self.training or self.p == 0 or ids.numel() == 0:
            return vectors
        kept = vectors.new_empty(int(ids.max()) + 1).bernoulli_(1 - self.p).div_(1 - self.p)
        return vectors * kept[ids].unsqueeze(-1)

    def extra_repr(self) -> str:
        return f"p={self.p}"


class WordDropout(nn.Module):
    """Each token is replaced by the unknown word with probability p, so that the unknown word's vector is trained too.

    Args:
        p: the probability with which a token is replaced.
        unknown: the id of the unknown word.
    """

    def __init__(self, p: float, unknown: int) -> None:
        super().__init__()
        self.p = checked(p)
        self.unknown = unknown

    def forward(self, ids: Tensor) -> Tensor:
        """ids: (…) -> (…)."""
        if not self.training or self.p == 0:
            return ids
        dropped = torch.rand(ids.shape, device=ids.device) < self.p
        return ids.masked_fill(dropped, self.unknown)

    def extra_repr(self) -> str:
        return f"p={self.p}, unknown={self.unknown}"
