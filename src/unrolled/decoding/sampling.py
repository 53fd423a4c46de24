"""Tokens drawn by chance, the same again from the same seed, whatever else is in the batch.

A number in [0, 1) is drawn for each token and looked up in the sums of the probabilities, in the order of the
vocabulary. The numbers of a sample come from a stream of their own, which its source's seed and its place among that
source's samples begin: neither the other sources nor the other samples change it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from unrolled import state as states
from unrolled.decoding import filters
from unrolled.decoding.constraints import FREE, Constraints
from unrolled.decoding.hypothesis import Hypothesis
from unrolled.decoding.masks import Masks
from unrolled.decoding.rollout import rollout
from unrolled.decoding.step import Memory, Real, Step, Whole
from unrolled.errors import BadOption
from unrolled.state import State

_AT_ONCE = 64


class Uniforms:
    """Numbers in [0, 1), equally likely, an endless stream for each row.

    Args:
        seeds: of the sources, whole numbers from 0 on.
        samples: rows of each source, side by side.

    Raises `BadOption` for a seed below 0.
    """

    def __init__(self, seeds: Sequence[int], samples: int = 1) -> None:
        if any(seed < 0 for seed in seeds):
            raise BadOption(f"seeds must be 0 or more, not {min(seeds)}")
        # NumPy promises the raw numbers of a bit generator for ever, those of its distributions not.
        self._bits = [
            np.random.PCG64(np.random.SeedSequence([seed, sample])) for seed in seeds for sample in range(samples)
        ]
        self._drawn: Real = np.zeros((len(self._bits), _AT_ONCE))

    def at(self, rows: Whole, place: int) -> Real:
        """The numbers of some rows at a place, from 0 on; places are asked for in order, and a row that was left out
        once is not asked for again.
        """
        if place % _AT_ONCE == 0:
            raw = np.array([self._bits[row].random_raw(_AT_ONCE) for row in rows], dtype=np.uint64)
            self._drawn[rows] = (raw.reshape(-1, _AT_ONCE) >> np.uint64(11)) * 2.0**-53
        return self._drawn[rows, place % _AT_ONCE]


def choose(
    logits: Tensor,
    uniforms: Tensor,
    *,
    temperature: float = 1.0,
    top_k: int = 0,
    top_p: float = 1.0,
    min_p: float = 0.0,
    typical: float = 1.0,
) -> Tensor:
    """Draw one token a row: one step of sampling, whatever the loop around it.

    Logits are divided by the temperature and then filtered, in the order of the arguments (`filters` says what each
    does). What is left is normalised.

    Args:
        logits: (rows, vocabulary); -inf for what cannot be drawn. Of a row with nothing else any token may come.
        uniforms: (rows,) numbers in [0, 1), float64: with the same one the same token is drawn.
        temperature: above 0: below 1 the probable gets more probable, above 1 less.
        top_k, top_p, min_p, typical: arguments of the filters; the defaults leave everything.

    Returns:
        (rows,), long.

    Raises `BadOption` for a value that cannot be.
    """
    if not 0 < temperature < np.inf:
        raise BadOption(f"the temperature must be above 0, not {temperature} (at 0 decoding would be greedy)")
    if temperature != 1:
        # Set off first, so that nothing overflows however low the temperature is.
        logits = (logits.double() - logits.double().amax(1, keepdim=True)) / temperature
    logits = filters.typical(filters.min_p(filters.nucleus(filters.top_k(logits, top_k), top_p), min_p), typical)
    sums = logits.double().softmax(1).nan_to_num_(0.0).cumsum(1)
    # The first sum above it. The last one is above it: no number below 1 is nearer to it than 2^-53, and a product with
    # that is rounded down.
    sought = uniforms.to(sums).unsqueeze(1) * sums[:, -1:]
    return torch.searchsorted(sums, sought, right=True).squeeze(1).clamp_(max=logits.shape[1] - 1)


class _Drawn:
    def __init__(self, uniforms: Uniforms, penalty: float, options: dict[str, float]) -> None:
        self.reads_history = penalty != 1
        self._uniforms, self._penalty, self._options = uniforms, penalty, options

    def __call__(self, logits: Tensor, log_p: Tensor, rows: Whole, history: Whole | None, length: int) -> Tensor:
        if self.reads_history and history is not None:
            penalised = filters.repetition_penalty(logits, torch.from_numpy(history).to(logits.device), self._penalty)
            log_p = penalised.to(log_p.dtype).masked_fill(log_p == -torch.inf, -torch.inf)
        return choose(log_p, torch.from_numpy(self._uniforms.at(rows, length)), **self._options)  # type: ignore[arg-type]

    def at_once(self, logits: Tensor, masks: Masks, length: int) -> None:
        """A draw needs all log-probabilities."""


def sample(
    step: Step,
    state: State,
    memory: Memory,
    *,
    batch: int,
    begin: int,
    end: int,
    generator: torch.Generator | Sequence[int],
    samples: int = 1,
    temperature: float = 1.0,
    top_k: int = 0,
    top_p: float = 1.0,
    min_p: float = 0.0,
    typical: float = 1.0,
    repetition_penalty: float = 1.0,
    constraints: Constraints = FREE,
) -> list[list[Hypothesis]]:
    """Draw hypotheses.

    Args:
        step, state, memory, batch, begin, end, constraints: as `greedy` has them.
        generator: from which each source's seed is drawn, in their order: a source's samples depend on its place in the
            batch, but not on what the others are. Or those seeds, one a source: then not on its place either.
        samples: for each source, independent of each other.
        temperature, top_k, top_p, min_p, typical: as `choose` has them.
        repetition_penalty: 1 for none; `filters.repetition_penalty`, of the tokens so far and the forced prefix.

    Returns:
        For each source its samples in the order in which they were drawn. Score and log-probability are the model's
        own, whatever the tokens were drawn from.

    Raises as `greedy`, and `BadOption` for an option that has a value that cannot be.
    """
    masks = Masks(constraints, batch, begin, end)
    if constraints.requires():
        raise BadOption("required phrases need beam search: sampling cannot look for them")
    if samples < 1:
        raise BadOption(f"samples must be 1 or more, not {samples}")
    options: dict[str, float] = {
        "temperature": temperature, "top_k": top_k, "top_p": top_p, "min_p": min_p, "typical": typical,
    }  # fmt: skip
    # Asked now, since a batch of none would not come to it.
    choose(torch.zeros(1, 1), torch.zeros(1), **options)  # type: ignore[arg-type]
    filters.repetition_penalty(torch.zeros(1, 1), torch.zeros(1, 0, dtype=torch.long), repetition_penalty)
    choice = _Drawn(Uniforms(_seeds(generator, batch), samples), repetition_penalty, options)
    sources = np.repeat(np.arange(batch), samples)
    with torch.no_grad():
        if samples > 1:
            state, memory = states.repeat(state, samples), states.repeat(memory, samples)
        drawn = rollout(step, state, memory, sources=sources, begin=begin, end=end, masks=masks, choice=choice)
    return [drawn[start : start + samples] for start in range(0, len(drawn), samples)]


def _seeds(generator: torch.Generator | Sequence[int], batch: int) -> Sequence[int]:
    if isinstance(generator, torch.Generator):
        drawn = torch.randint(2**63 - 1, (batch,), generator=generator, device=generator.device)
        return list(map(int, drawn.tolist()))
    if len(generator) != batch:
        raise BadOption(f"{len(generator)} seeds for {batch} sources")
    return list(map(int, generator))
