"""Ids to vectors."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from unrolled.errors import BadOption


class Embedding(nn.Module):
    """A table of vectors, one for each symbol of a vocabulary: words, characters, values of a feature.

    There is no padding id, since nothing is padded. The vectors begin as draws from U(-sqrt(3/d), sqrt(3/d)) with d
    features, so that each has variance 1/d and a length near 1, whatever d is (Ma & Hovy 2016, arXiv:1603.01354,
    section 3.1). Vectors read by `load_vectors` are copied over the weight.

    Args:
        symbols: how many symbols there are.
        features: length of a vector.
    """

    def __init__(
        self,
        symbols: int,
        features: int,
        *,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        for name, size in (("symbols", symbols), ("features", features)):
            if size < 1:
                raise BadOption(f"an embedding's {name} must be 1 or more, not {size}")
        self.weight = nn.Parameter(torch.empty(symbols, features, device=device, dtype=dtype))
        self.reset_parameters()

    @property
    def output_size(self) -> int:
        """Features of a vector."""
        return self.weight.shape[1]

    def reset_parameters(self) -> None:
        bound = math.sqrt(3 / self.weight.shape[1])
        nn.init.uniform_(self.weight, -bound, bound)

    def forward(self, ids: Tensor) -> Tensor:
        """ids: (…) -> (…, features)."""
        return nn.functional.embedding(ids, self.weight)

    def extra_repr(self) -> str:
        return f"{self.weight.shape[0]}, {self.weight.shape[1]}"
