"""The one function that all decoding is written against, and what is asked of what it gives.

    step(tokens, state, memory) -> (logits, state)

tokens are (rows,), long; logits (rows, vocabulary), unnormalised (log-probabilities are logits too). State and memory
are nestings of tensors whose first axis is the rows. The state follows the hypotheses, the memory never changes. Where
a step has no memory, it is `()`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from unrolled.errors import NotFinite
from unrolled.state import State, leaves

Memory: TypeAlias = State
Step: TypeAlias = Callable[[Tensor, State, Memory], tuple[Tensor, State]]
Whole: TypeAlias = NDArray[np.int64]
Real: TypeAlias = NDArray[np.float64]
Mask: TypeAlias = NDArray[np.bool_]


HANDFUL = 8
"""Rows that a step takes as long for as for one."""


def device_of(state: State, memory: Memory, batch: int) -> torch.device:
    """Where the search's tokens must be. Raises `ValueError` where state or memory is not that of so many sources."""
    for name, value in (("state", state), ("memory", memory)):
        sizes = {leaf.shape[0] for leaf in leaves(value)}
        if sizes - {batch}:
            raise ValueError(f"a batch of {batch} sources, but the {name} has {sorted(sizes - {batch})[0]} rows")
    found = leaves(state) or leaves(memory)
    return found[0].device if found else torch.device("cpu")


def log_probabilities(logits: Tensor, rows: int, room: Tensor | None = None) -> Tensor:
    """What a step said of so many rows, normalised; a tensor that may be written into.

    Half precision is widened to float32 first: a sum over a vocabulary in it would be wrong in the second digit.

    Args:
        logits: (rows, vocabulary).
        rows: how many are due.
        room: what this gave before and is needed no more. It is written over where it is large enough: a search asks
            for megabytes at every step, and memory that the system hands out anew takes longer than the sum.

    Raises `ValueError` where the logits are not (rows, vocabulary).
    """
    require_logits(logits, rows)
    logits = logits if logits.dtype == torch.float64 else logits.float()
    if room is None or room.shape[0] < rows or room.shape[1:] != logits.shape[1:] or room.dtype != logits.dtype:
        return torch.log_softmax(logits, 1)
    return torch.log_softmax(logits, 1, out=room[:rows])


def require_logits(logits: Tensor, rows: int) -> None:
    """Raise `ValueError` where logits are not (rows, vocabulary)."""
    if logits.dim() != 2 or logits.shape[0] != rows or not logits.shape[1]:
        raise ValueError(f"logits of shape {tuple(logits.shape)} where ({rows}, vocabulary) is due")


def to_numpy(tensor: Tensor) -> NDArray[Any]:
    """The same numbers for the bookkeeping, which is done in numpy: such small steps are quicker there."""
    return tensor.cpu().numpy()


def require_numbers(log_probabilities: NDArray[Any], length: int) -> None:
    """Raise `NotFinite` where a step gave none. A probability of 0 is a number."""
    if np.isnan(log_probabilities).any():
        raise NotFinite(f"the step gave logits that are not numbers, or infinite, after {length} tokens")


def few_are_left(live: int, rows: int) -> bool:
    """Whether the rows that ended are worth taking out of the batch now.

    Taking rows out copies the memory of those that stay, which costs about as much as a step on them. So it pays where
    many leave at once, and then the copies of a whole search cost about as much as a few steps. It never pays for a
    handful of rows: a step on them takes as long as it takes to read the weights, however many they are.
    """
    return not are_a_handful(rows) and live * 4 <= rows * 3


def are_a_handful(rows: int) -> bool:
    return rows <= HANDFUL
