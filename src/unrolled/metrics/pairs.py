"""Gold and predicted stand side by side: what every metric asks of its input."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def require_pairs(gold: Sequence[Any], predicted: Sequence[Any], what: str) -> None:
    """Raise `ValueError` where gold and predicted differ in number, or there are none.

    >>> require_pairs(["a", "b"], ["a"], "labels")
    Traceback (most recent call last):
    ValueError: 2 gold labels, 1 predicted: they must stand side by side
    """
    if len(gold) != len(predicted):
        raise ValueError(f"{len(gold)} gold {what}, {len(predicted)} predicted: they must stand side by side")
    if not gold:
        raise ValueError(f"no {what} to score")


def require_aligned(
    gold: Sequence[Sequence[Any]], others: Sequence[Sequence[Any]], what: str, other: str = "predicted"
) -> None:
    """`require_pairs`, for the sequences and inside each of them (which may be empty)."""
    require_pairs(gold, others, "sequences")
    for row, (gold_row, other_row) in enumerate(zip(gold, others, strict=True)):
        if len(gold_row) != len(other_row):
            raise ValueError(f"sequence {row}: {len(gold_row)} gold {what}, {len(other_row)} {other}")


def ratio(part: float, whole: float) -> float:
    """part / whole; 0 where there is nothing, as conlleval and scikit-learn (`zero_division=0`) have it."""
    return part / whole if whole else 0.0
