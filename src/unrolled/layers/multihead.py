r"""Attention with several heads, Vaswani et al. 2017, arXiv:1706.03762, section 3.2.2; over the memory of a recurrent
encoder Chen et al. 2018, arXiv:1804.09849.

    head i:    e_tj = (W_q q_t)_i . (W_k m_j)_i / sqrt(d),    a = softmax(e),    z_i = sum_j a_tj (W_v m_j)_i
    c_t        = W_o [z_1; …; z_h]

(x)_i is the i-th of h equal parts, of d features each. Chen et al. score additively in each head; here the score is the
scaled inner product of Vaswani et al. The weights that are shown are the mean over the heads.
"""

from __future__ import annotations

import torch
from torch import Tensor

from unrolled.errors import BadOption
from unrolled.layers.attend import Attention, Looked, Source, must_be_sizes, softmax
from unrolled.layers.linear import Linear
from unrolled.layers.packed import from_padded, to_padded


class MultiHead(Attention):
    """Scaled inner products, in several heads.

    Args:
        memory_size, query_size: features of a place of the memory and of a query.
        units: of all heads together; `BadOption` where they do not divide evenly.
        heads: how many there are.
    """

    def __init__(
        self,
        memory_size: int,
        query_size: int,
        units: int,
        heads: int,
        *,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        must_be_sizes(memory_size=memory_size, query_size=query_size, units=units, heads=heads)
        if units % heads:
            raise BadOption(f"{units} units of attention cannot be shared evenly among {heads} heads")
        self.query_size, self.context_size, self.heads = query_size, memory_size, heads
        self.query = Linear(query_size, units, bias=False, device=device, dtype=dtype)
        self.key = Linear(memory_size, units, bias=False, device=device, dtype=dtype)
        self.value = Linear(memory_size, units, bias=False, device=device, dtype=dtype)
        self.out = Linear(units, memory_size, bias=False, device=device, dtype=dtype)

    def source(self, memory: Tensor, mask: Tensor) -> Source:
        return Source(self.value(memory), self.key(memory), mask)

    def forward(self, source: Source, queries: Tensor, batch_sizes: Tensor, covered: Tensor | None = None) -> Looked:
        assert isinstance(source.keys, Tensor)
        asked = self._parted(to_padded(self.query(queries), batch_sizes))
        keys, values = self._parted(source.keys), self._parted(source.memory)
        scores = asked @ keys.transpose(2, 3) / keys.shape[3] ** 0.5
        weights = softmax(scores, source.mask[:, None, None])
        found = (weights @ values).transpose(1, 2).flatten(2)
        return Looked(self.out(from_padded(found, batch_sizes)), from_padded(weights.mean(1), batch_sizes))

    def _parted(self, values: Tensor) -> Tensor:
        """(batch, time, units) -> (batch, heads, time, units of a head)."""
        return values.unflatten(2, (self.heads, -1)).transpose(1, 2)

    def extra_repr(self) -> str:
        return f"heads={self.heads}"
