"""Rows of numbers as one packed batch: longest first, the elements of time 0 of all rows before those of time 1."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.utils.rnn import PackedSequence

from unrolled.unroll.packing import equal


def packing(given: Sequence[int]) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Rows longest first, each row's rank among them, the place of each packed element, rows alive at each time."""
    if len(given) == 1:  # nothing to sort, and a single sentence would feel it
        zero = np.zeros(1, dtype=np.int64)
        return zero, zero, np.arange(given[0]), np.ones(given[0], dtype=np.int64)
    lengths = np.array(given)
    order = np.argsort(-lengths, kind="stable")
    row = np.repeat(np.arange(len(order)), lengths)
    time = np.arange(len(row)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    return order, rank, np.lexsort((rank[row], time)), np.bincount(time)


def packed(
    values: NDArray[Any], order: NDArray[np.int64], rank: NDArray[np.int64], sizes: NDArray[np.int64]
) -> PackedSequence:
    """What `packing` arranged: values (elements, …) in packed order; the rest as it gave them."""
    moved = bool((order[1:] < order[:-1]).any())  # rows that came sorted need not be put back
    return PackedSequence(
        torch.from_numpy(values),
        torch.from_numpy(sizes),
        torch.from_numpy(order) if moved else None,
        torch.from_numpy(rank) if moved else None,
    )


def one_row(ids: torch.Tensor) -> PackedSequence:
    """A single row. ids: (elements,)."""
    return PackedSequence(ids, equal(len(ids), 1))


def pack(rows: Sequence[NDArray[np.int64]]) -> PackedSequence:
    """Rows of numbers; data (elements,), long; the caller's order is in the indices."""
    order, rank, place, sizes = packing([len(row) for row in rows])
    return packed(np.concatenate(rows)[place], order, rank, sizes)
