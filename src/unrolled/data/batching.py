"""Which examples go through the network together: batches of near-equal length, sized by their elements.

A batch of n rows whose longest has L elements costs n * L. Batches are cut, longest first, so that this stays within a
budget; an example longer than the budget goes alone.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from unrolled.errors import BadOption

Lengths = Sequence[int] | NDArray[np.int64]


def bucketed(
    lengths: Lengths, *, elements: int, rows: int | None = None, seed: int, epoch: int
) -> list[NDArray[np.int64]]:
    """Batches for one epoch of training: every example once, in an order that is a function of seed and epoch alone.

    Args:
        lengths: of the examples.
        elements: rows times the longest row's elements, at most.
        rows: examples in a batch, at most.
        seed, epoch: whole numbers from 0 on.

    Returns:
        The examples' indices, one array a batch. Which of equally long examples share a batch is random, and so is the
        order of the batches.
    """
    if seed < 0 or epoch < 0:
        raise BadOption(f"seed and epoch must be 0 or more, not {seed} and {epoch}")
    # NumPy promises the raw numbers of a bit generator for ever, those of its distributions not.
    source = np.random.PCG64(np.random.SeedSequence([seed, epoch]))
    known = _known(lengths)
    batches = _cut(np.lexsort((source.random_raw(len(known)), -known)), known, elements, rows)
    return [batches[k] for k in np.argsort(source.random_raw(len(batches)), kind="stable")]


def in_order(lengths: Lengths, *, elements: int, rows: int | None = None) -> list[NDArray[np.int64]]:
    """Batches for prediction, longest first, equals in the order given. Arguments and result as `bucketed`."""
    known = _known(lengths)
    if len(known) == 1 and elements >= 1 and (rows is None or rows >= 1):  # a single sentence would feel the rest
        return [np.zeros(1, dtype=np.int64)]
    return _cut(np.argsort(-known, kind="stable"), known, elements, rows)


def _known(lengths: Lengths) -> NDArray[np.int64]:
    return np.asarray(lengths, dtype=np.int64).reshape(-1)


def _cut(
    order: NDArray[np.intp], lengths: NDArray[np.int64], elements: int, rows: int | None
) -> list[NDArray[np.int64]]:
    """Cut an order, longest first, into batches: each as many as its first, the longest, allows."""
    if elements < 1 or (rows is not None and rows < 1):
        raise BadOption(f"a batch needs room for 1 element and 1 row or more, not {elements} and {rows}")
    allowed = np.maximum(elements // np.maximum(lengths[order], 1), 1)
    allowed = (allowed if rows is None else np.minimum(allowed, rows)).tolist()
    order = order.astype(np.int64)
    batches, start = [], 0
    while start < len(order):
        batches.append(order[start : start + allowed[start]])
        start += allowed[start]
    return batches
