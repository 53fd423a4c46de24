r"""The contract of attention: what a decoder asks, and what it is given.

    e_tj = score(m_j, q_t),    a_t = softmax(e_t) over the row's own places j,    c_t = sum_j a_tj m_j

A memory m has a few places a row; each element t of the target has a query q, and gets a context c and the weights a.
What does not wait for a query, the keys above all, is made once: `source`. After that one function answers one query a
row, in a loop, as well as the queries of all elements at once: `forward` takes packed queries, and a single time step
is a packed batch, too.

How each kind scores is in `additive.py` (additive and concat), `multiplicative.py` (dot and general) and
`multihead.py`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import NamedTuple

import torch
from torch import Tensor, nn

from unrolled.errors import BadOption
from unrolled.kernels.attention import Scorer
from unrolled.layers.packed import from_padded, rows, to_padded


class Source(NamedTuple):
    """What is attended to, ready to be looked at; batch first, so that rows can be selected and repeated.

    memory: (batch, source, features), zeros beyond a row's length; keys: (batch, source, units), or () where the memory
    is its own keys or they were not made yet; mask: (batch, source), bool, where the places of a row are.
    """

    memory: Tensor
    keys: Tensor | tuple[()]
    mask: Tensor


class Looked(NamedTuple):
    """contexts: (elements, context); weights: (elements, source), zeros beyond a row's length."""

    contexts: Tensor
    weights: Tensor


class Asked(NamedTuple):
    """query: (units, query), bias: (units,) or None, value: (units,): of a score v . tanh(k + W q + b); or None, all
    three, where a score is the inner product of key and query."""

    query: Tensor | None
    bias: Tensor | None
    value: Tensor | None


class Attention(nn.Module, ABC):
    """What looks at a memory.

    Attributes:
        query_size: features of a query.
        context_size: features of a context.
    """

    query_size: int
    context_size: int

    @abstractmethod
    def source(self, memory: Tensor, mask: Tensor) -> Source:
        """Make ready what does not change from query to query.

        Args:
            memory: (batch, source, features), zeros where there is no place.
            mask: (batch, source), bool, true where there is one; each row has at least one.
        """

    @abstractmethod
    def forward(self, source: Source, queries: Tensor, batch_sizes: Tensor, covered: Tensor | None = None) -> Looked:
        """Contexts and weights for queries.

        Args:
            source: as `source` made it, rows in the queries' packed order.
            queries: (elements, query), packed: those of time 0 of all rows, then those of time 1 of the rows that are
                alive, and so on.
            batch_sizes: (time,), long, rows alive at each time; one number for a single step.
            covered: (batch, source), how much each place was attended to before, for attention that looks at it.
        """

    def scorer(self) -> Scorer | None:
        """The weights for the compiled loop of a decoder that attends before its cell, where it knows this score."""
        return None

    def asked(self) -> Asked | None:
        """How a state asks, for the compiled loop of a decoder that attends behind its cell, where it knows this."""
        return None


def softmax(scores: Tensor, mask: Tensor) -> Tensor:
    """Weights over the places that there are. scores: (…, source); mask: of that shape or one that expands to it."""
    return scores.masked_fill(~mask, -torch.inf).softmax(dim=-1)


def by_product(source: Source, keys: Tensor, queries: Tensor, batch_sizes: Tensor) -> Looked:
    """Attention whose score is the inner product of key and query. keys: (batch, source, query)."""
    asked = to_padded(queries, batch_sizes)
    weights = softmax(asked @ keys.transpose(1, 2), source.mask.unsqueeze(1))
    return Looked(from_padded(weights @ source.memory, batch_sizes), from_padded(weights, batch_sizes))


def contexts(memory: Tensor, weights: Tensor, batch_sizes: Tensor) -> Tensor:
    """The weighted sums. memory: (batch, source, features); weights: (elements, source) -> (elements, features)."""
    return from_padded(to_padded(weights, batch_sizes) @ memory, batch_sizes)


def of_elements(values: Tensor, batch_sizes: Tensor) -> Tensor:
    """Each element's row. values: (batch, …) -> (elements, …)."""
    if len(batch_sizes) == 1:
        return values
    return values.index_select(0, rows(batch_sizes).to(values.device))


def must_be_sizes(**sizes: int) -> None:
    """Raise `BadOption` where a size is below 1."""
    for name, size in sizes.items():
        if size < 1:
            raise BadOption(f"{name} must be 1 or more, not {size}")
