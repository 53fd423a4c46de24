"""Beam search, for whole batches of sources at once.

At each step every hypothesis of a source is continued by every token, and the `width` most probable continuations are
kept. One that takes the end mark leaves the beam (Sutskever, Vinyals & Le 2014, arXiv:1409.3215, section 3.2), which is
one narrower from then on. So with a width of 1 it is greedy decoding, and a search ends by itself: where `width`
hypotheses have finished. Most end before that, since nothing can change any more.

When a source may stop. Let L <= 0 be the sum of a hypothesis that still goes on, and L', l' those of a finished
one that it may become. No log-probability is above 0, so L' <= L <= 0. l' is at most the greatest length m: m - 1
tokens and the end mark. The divisor d is positive and never less for a longer one, the coverage penalty never above 0.
So

    score' = L' / d(l') + penalty <= L' / d(l') <= L / d(l') <= L / d(m)

(the last since dividing a number that is not above 0 by more brings it nearer to 0). Where the n-th best that has
finished has at least max L / d(m), over all that go on, none of them can get above it, and of equals the earlier comes
first. What was cut off comes behind what finished, so it cannot either. In floating point too: a sum with a term that
is not above 0, and a division, are rounded monotonically.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from unrolled.decoding.constraints import FREE, Constraints
from unrolled.decoding.coverage import Coverage
from unrolled.decoding.endings import Endings
from unrolled.decoding.hypothesis import Hypothesis
from unrolled.decoding.masks import Masks
from unrolled.decoding.ranking import Normalisation, Ranking
from unrolled.decoding.required import Required
from unrolled.decoding.search import Search
from unrolled.decoding.step import Memory, Step
from unrolled.errors import BadOption
from unrolled.state import State


def beam(
    step: Step,
    state: State,
    memory: Memory,
    *,
    batch: int,
    begin: int,
    end: int,
    width: int = 5,
    best: int = 1,
    normalisation: Normalisation = "length",
    length_penalty: float = 1.0,
    coverage_penalty: float = 0.0,
    attention: Callable[[State], Tensor] | None = None,
    source_lengths: Sequence[int] | Tensor | None = None,
    constraints: Constraints = FREE,
) -> list[list[Hypothesis]]:
    """The best hypotheses of each source that a beam finds.

    Within a search hypotheses are compared by their log-probabilities, as all are equally long then; what has ended is
    ranked by its score, whose equations are in `ranking`.

    Args:
        step, state, memory, batch, begin, end: as `greedy` has them.
        width: how many hypotheses of a source are kept, 1 or more.
        best: how many are wanted, at most `width`.
        normalisation: "none"; "length": divided by length^alpha; "gnmt": by ((5 + length) / 6)^alpha.
        length_penalty: alpha, 0 or more.
        coverage_penalty: beta, 0 or more.
        attention: reads the weights, (rows, source), with which the last step attended to the source out of the state
            that it gave. Needed for a coverage penalty, not looked at else.
        source_lengths: (batch,) how many of those places are a source's own, and no padding; all, where None.
        constraints: what the sequences must and must not hold; phrases may be required.

    Returns:
        For each source its hypotheses, those that finished first, each part by falling score; as many as were asked
        for, or as there are. Those that did not finish come behind, however probable: they never paid for an end. They
        need not hold all required phrases; those that finished do.

    Raises:
        BadOption: a width or number that cannot be, a negative penalty, a coverage penalty without attention, and what
            `greedy` raises it for, save required phrases.
        UnknownName: another normalisation.
        ValueError, NotFinite: as `greedy`.
    """
    if width < 1:
        raise BadOption(f"a beam needs a width of 1 or more, not {width}")
    if not 1 <= best <= width:
        raise BadOption(f"a beam of {width} can give its 1 to {width} best hypotheses, not {best}")
    ranking = Ranking(normalisation, length_penalty, coverage_penalty)
    masks = Masks(constraints, batch, begin, end)
    required = Required(constraints.phrases(batch), end) if constraints.requires() else None
    if coverage_penalty and attention is None:
        raise BadOption("a coverage penalty needs `attention`, which reads the weights out of the state")
    coverage = Coverage(attention, batch, source_lengths) if coverage_penalty and attention is not None else None
    search = Search(batch, width, end, masks, required, coverage, Endings(ranking, masks.limits, best))
    with torch.no_grad():
        return search.run(step, state, memory, begin)
