"""Always the most probable token."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from unrolled.decoding.constraints import FREE, Constraints
from unrolled.decoding.hypothesis import Hypothesis
from unrolled.decoding.leading import leading
from unrolled.decoding.masks import Masks
from unrolled.decoding.rollout import rollout
from unrolled.decoding.step import Memory, Step, Whole
from unrolled.errors import BadOption
from unrolled.kernels import leading as likeliest
from unrolled.state import State


class _MostProbable:
    reads_history = False

    def __call__(self, logits: Tensor, log_p: Tensor, rows: Whole, history: Whole | None, length: int) -> Tensor:
        return leading(log_p, 1)[1].squeeze(1)

    def at_once(self, logits: Tensor, masks: Masks, length: int) -> tuple[Tensor, Tensor] | None:
        """By the compiled kernels, where all rows may be followed by the same tokens."""
        barred = masks.everywhere(length, logits.shape[1]) if likeliest.supports(logits, 1) else None
        if barred is None:
            return None
        best, tokens = likeliest.find(logits, 1, barred)
        return tokens.squeeze(1), best.squeeze(1)


def greedy(
    step: Step, state: State, memory: Memory, *, batch: int, begin: int, end: int, constraints: Constraints = FREE
) -> list[Hypothesis]:
    """One hypothesis for each source; at each step the most probable token, the first of equals.

    Args:
        step: the model's.
        state: before the first token; its rows are the sources.
        memory: what the model reads beside it; its rows are the sources too.
        batch: how many sources.
        begin: the token that the first step is given.
        end: the token that ends a hypothesis.
        constraints: what the sequences must and must not hold.

    Returns:
        In the order of the sources; the score is the log-probability.

    Raises:
        BadOption: constraints that contradict each other, are not for so many sources, or require phrases.
        ValueError: state or memory has not `batch` rows, or the step gives something else than it should.
        NotFinite: the step gives logits that are not numbers.
    """
    masks = Masks(constraints, batch, begin, end)
    if constraints.requires():
        raise BadOption("required phrases need beam search: greedy decoding cannot look for them")
    with torch.no_grad():
        return rollout(
            step, state, memory, sources=np.arange(batch), begin=begin, end=end, masks=masks, choice=_MostProbable()
        )
