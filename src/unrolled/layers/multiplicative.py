r"""Attention by inner products, Luong, Pham & Manning 2015, arXiv:1508.04025, section 3.1, eq. 8.

    dot        e_tj = q_t . m_j              query and memory have as many features
    general    e_tj = q_t . (W m_j)          W brings a place of the memory to the size of a query

The products W m_j do not wait for a query, and are made once. Neither is scaled, as in the paper; attention with
several heads (`multihead.py`) is.
"""

from __future__ import annotations

import torch
from torch import Tensor

from unrolled.errors import BadOption
from unrolled.layers.attend import Asked, Attention, Looked, Source, by_product, must_be_sizes
from unrolled.layers.linear import Linear


class Dot(Attention):
    """The inner product of query and place.

    Args:
        memory_size, query_size: features of a place of the memory and of a query; `BadOption` where they differ.
    """

    def __init__(self, memory_size: int, query_size: int) -> None:
        super().__init__()
        must_be_sizes(memory_size=memory_size, query_size=query_size)
        if memory_size != query_size:
            raise BadOption(f"dot attention needs a memory of the query's {query_size} features, not of {memory_size}")
        self.query_size = self.context_size = query_size

    def source(self, memory: Tensor, mask: Tensor) -> Source:
        return Source(memory, (), mask)

    def forward(self, source: Source, queries: Tensor, batch_sizes: Tensor, covered: Tensor | None = None) -> Looked:
        return by_product(source, source.memory, queries, batch_sizes)

    def asked(self) -> Asked | None:
        return Asked(None, None, None)


class General(Attention):
    """The inner product of the query and a linear map of the place.

    Args:
        memory_size, query_size: features of a place of the memory and of a query.
    """

    def __init__(
        self,
        memory_size: int,
        query_size: int,
        *,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        must_be_sizes(memory_size=memory_size, query_size=query_size)
        self.query_size, self.context_size = query_size, memory_size
        self.key = Linear(memory_size, query_size, bias=False, device=device, dtype=dtype)

    def source(self, memory: Tensor, mask: Tensor) -> Source:
        return Source(memory, self.key(memory), mask)

    def forward(self, source: Source, queries: Tensor, batch_sizes: Tensor, covered: Tensor | None = None) -> Looked:
        assert isinstance(source.keys, Tensor)
        return by_product(source, source.keys, queries, batch_sizes)

    def asked(self) -> Asked | None:
        return Asked(None, None, None)
