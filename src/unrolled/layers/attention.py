"""Attention: how much each element matters.

Additive scores (Bahdanau, Cho & Bengio 2015, arXiv:1409.0473, appendix A.1.2) compare a key with a query by a small
network. Without a query the network alone decides what matters, as in Yang et al. 2016 (hierarchical attention
networks, eq. 5 and 6):

    e_j = v . tanh(W k_j + b)

With a query h, the state of a decoder, the score is the paper's:

    e_j = v . tanh(W_k k_j + W_q h + b)

Weights are the softmax of the scores over the elements of one row.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from unrolled.errors import BadOption
from unrolled.kernels.attention import Scorer


class AdditiveScore(nn.Module):
    """The additive score of keys without a query.

    Args:
        key_size: features of a key.
        hidden_size: units of the small network.
    """

    def __init__(
        self,
        key_size: int,
        hidden_size: int,
        *,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        for name, size in (("key_size", key_size), ("hidden_size", hidden_size)):
            if size < 1:
                raise BadOption(f"{name} must be 1 or more, not {size}")
        self.key = nn.Linear(key_size, hidden_size, device=device, dtype=dtype)
        self.value = nn.Linear(hidden_size, 1, bias=False, device=device, dtype=dtype)

    def forward(self, keys: Tensor) -> Tensor:
        """keys: (…, key) -> scores: (…)."""
        return self.value(self.key(keys).tanh()).squeeze(-1)


class QueryScore(nn.Module):
    """The additive score of keys, given a query. A decoder (`layers/decoder.py`) looks for it at its memory.

    The bias, of which the paper has none, is that of the query: one of the keys would add up with it to the same.

    Args:
        key_size, query_size: features of a key and of a query.
        hidden_size: units of the small network.
        bias: whether it has one.
    """

    def __init__(
        self,
        key_size: int,
        query_size: int,
        hidden_size: int,
        *,
        bias: bool = True,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        for name, size in (("key_size", key_size), ("query_size", query_size), ("hidden_size", hidden_size)):
            if size < 1:
                raise BadOption(f"{name} must be 1 or more, not {size}")
        self.key_size, self.query_size = key_size, query_size
        self.key = nn.Linear(key_size, hidden_size, bias=False, device=device, dtype=dtype)
        self.query = nn.Linear(query_size, hidden_size, bias=bias, device=device, dtype=dtype)
        self.value = nn.Linear(hidden_size, 1, bias=False, device=device, dtype=dtype)

    def forward(self, keys: Tensor, query: Tensor) -> Tensor:
        """keys: (batch, source, key), query: (batch, query) -> scores: (batch, source)."""
        return self.value((self.key(keys) + self.query(query).unsqueeze(1)).tanh()).squeeze(-1)

    def weights(self) -> Scorer:
        """As the unrolls take them."""
        return Scorer(self.key.weight, self.query.weight, self.query.bias, self.value.weight[0])


class ConcatScore(nn.Module):
    """The additive score with the weights of query and key drawn as those of one matrix, without a bias.

        e_j = v . tanh(W [h; k_j])

    Luong, Pham & Manning 2015, arXiv:1508.04025, eq. 8.

    Args:
        key_size, query_size: features of a key and of a query.
        hidden_size: units of the small network.
    """

    def __init__(
        self,
        key_size: int,
        query_size: int,
        hidden_size: int,
        *,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        for name, size in (("key_size", key_size), ("query_size", query_size), ("hidden_size", hidden_size)):
            if size < 1:
                raise BadOption(f"{name} must be 1 or more, not {size}")
        self.key_size, self.query_size = key_size, query_size
        self.both = nn.Linear(query_size + key_size, hidden_size, bias=False, device=device, dtype=dtype)
        self.value = nn.Linear(hidden_size, 1, bias=False, device=device, dtype=dtype)

    def forward(self, keys: Tensor, query: Tensor) -> Tensor:
        """keys: (batch, source, key), query: (batch, query) -> scores: (batch, source)."""
        asked = query.unsqueeze(1).expand(-1, keys.shape[1], -1)
        return self.value(self.both(torch.cat([asked, keys], dim=-1)).tanh()).squeeze(-1)

    def weights(self) -> Scorer:
        """As the unrolls take them."""
        query, key = self.both.weight.split([self.query_size, self.key_size], dim=1)
        return Scorer(key, query, None, self.value.weight[0])


def row_softmax(scores: Tensor, rows: Tensor, batch: int) -> Tensor:
    """The softmax over the elements of each row, without padding.

    Args:
        scores: (elements,).
        rows: (elements,), the row of each element.
        batch: how many rows there are.

    Returns:
        (elements,); the weights of a row add up to 1.
    """
    # The shift cancels out of the result, so no gradient need pass through it.
    highest = scores.new_full((batch,), -torch.inf).scatter_reduce(0, rows, scores.detach(), "amax")
    weights = (scores - highest[rows]).exp()
    return weights / weights.new_zeros(batch).index_add(0, rows, weights)[rows]
