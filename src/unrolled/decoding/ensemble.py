r"""Several models as one: the mean of their probabilities.

log p(token) = log sum_m w_m p_m(token),    sum_m w_m = 1
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import reduce

import torch
from torch import Tensor

from unrolled.decoding.step import Memory, Step, log_probabilities
from unrolled.errors import BadOption
from unrolled.state import State


def ensemble(steps: Sequence[Step], weights: Sequence[float] | None = None) -> Step:
    """A step that asks several and gives the logarithm of the mean of their probabilities.

    Args:
        steps: of models with the same vocabulary.
        weights: how much each counts, 0 or more; equal where None. Their sum does not matter.

    Returns:
        A step whose state and memory are tuples of theirs, in the same order.

    Raises:
        BadOption: no step, or not one weight a step, or one that is negative, or none above 0; and from the step
            itself, vocabularies of different size, or another number of states or memories.
    """
    steps = tuple(steps)
    if not steps:
        raise BadOption("an ensemble needs at least one model")
    given = [1.0] * len(steps) if weights is None else [float(weight) for weight in weights]
    if len(given) != len(steps):
        raise BadOption(f"{len(given)} weights for {len(steps)} models")
    if not all(0 <= weight < math.inf for weight in given) or not sum(given):
        raise BadOption(f"weights must be 0 or more, and one of them above 0, not {given}")
    total = sum(given)
    logs = [math.log(weight / total) if weight else -math.inf for weight in given]

    def together(tokens: Tensor, state: State, memory: Memory) -> tuple[Tensor, State]:
        if len(state) != len(steps) or len(memory) != len(steps):
            raise BadOption(f"{len(steps)} models, but {len(state)} states and {len(memory)} memories")
        said = [step(tokens, *own) for step, *own in zip(steps, state, memory, strict=True)]
        sizes = [logits.shape[-1] for logits, _ in said]
        if len(set(sizes)) != 1:
            raise BadOption(f"the models of an ensemble need one vocabulary, not some of sizes {sizes}")
        weighted = [
            log_probabilities(logits, len(tokens)).add_(log) for (logits, _), log in zip(said, logs, strict=True)
        ]
        return reduce(torch.logaddexp, weighted), tuple(after for _, after in said)

    return together
