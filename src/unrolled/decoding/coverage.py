"""How much each place of the source has been attended to, by each hypothesis."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from unrolled.decoding.step import Whole
from unrolled.errors import BadOption
from unrolled.state import State


class Coverage:
    """The sums of the attention weights of a beam's rows.

    Args:
        attention: reads the weights, (rows, source), out of a state.
        batch: sources.
        lengths: (batch,) the places of each source that are no padding; None: all are.

    Raises `BadOption` where there is another number of lengths.
    """

    def __init__(
        self, attention: Callable[[State], Tensor], batch: int, lengths: Sequence[int] | Tensor | None
    ) -> None:
        self._attention = attention
        self._sums: Tensor | None = None
        self._lengths = None if lengths is None else [int(length) for length in lengths]
        if self._lengths is not None and len(self._lengths) != batch:
            raise BadOption(f"source_lengths for {len(self._lengths)} sources, but the batch has {batch}")

    def add(self, state: State, rows: int) -> None:
        """After a step. Raises `ValueError` where the weights are not those of so many rows."""
        weights = self._attention(state)
        if weights.dim() != 2 or weights.shape[0] != rows:
            raise ValueError(f"attention weights of shape {tuple(weights.shape)} where ({rows}, source) is due")
        self._sums = weights.double() if self._sums is None else self._sums + weights

    def follow(self, parents: Tensor) -> None:
        """parents: (rows,) of which row each row is the continuation."""
        if self._sums is not None:
            self._sums = self._sums.index_select(0, parents)

    def of(self, rows: Whole, sources: Whole) -> list[list[float]]:
        """What each place of the source has got, for some rows, whose sources are given beside them; before the first
        step there are no places.
        """
        if self._sums is None:
            return [[] for _ in rows]
        sums = self._sums.index_select(0, torch.from_numpy(rows).to(self._sums.device)).tolist()
        lengths = [None] * len(rows) if self._lengths is None else [self._lengths[source] for source in sources]
        return [row[:length] for row, length in zip(sums, lengths, strict=True)]
