r"""Additive attention, and what looks at what it has looked at before.

    additive   e_tj = v . tanh(W_k m_j + W_q q_t + b)       Bahdanau, Cho & Bengio 2015, arXiv:1409.0473, A.1.2
    concat     e_tj = v . tanh(W [q_t; m_j])                Luong, Pham & Manning 2015, arXiv:1508.04025, eq. 8

Concat is the same with the two matrices drawn as one, and no bias. With coverage (See, Liu & Manning 2017,
arXiv:1704.04368, eq. 10 and 11) the score also reads how much a place has been attended to so far:

    e_tj = v . tanh(W_k m_j + W_q q_t + w_c s_tj + b),      s_t = sum_{t' < t} a_t'

Without it all queries are answered at once, and the arguments of the tanh, one for each element, place and unit, are
never there as a whole: the kernels make them (`unroll/looking.py`), or, where there are none, they are made for one
time after the other, and once more for the gradients. With it each step waits for the one before.
"""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor, nn

from unrolled.kernels.attention import Scorer
from unrolled.layers.attend import Asked, Attention, Looked, Source, contexts, of_elements, softmax
from unrolled.layers.attention import ConcatScore, QueryScore
from unrolled.unroll import looking, second
from unrolled.unroll.product import linear


class Additive(Attention):
    """A small network that compares a query and a place.

    Args:
        score: its weights.
        coverage: `scores`: the score reads what was attended to before.
    """

    def __init__(self, score: QueryScore | ConcatScore, *, coverage: Literal["none", "scores"] = "none") -> None:
        super().__init__()
        self.query_size, self.context_size, self.score = score.query_size, score.key_size, score
        units = score.weights().value
        self.cover = nn.Parameter(torch.empty_like(units)) if coverage == "scores" else None
        if self.cover is not None:
            nn.init.uniform_(self.cover, -(len(units) ** -0.5), len(units) ** -0.5)

    def source(self, memory: Tensor, mask: Tensor) -> Source:
        return Source(memory, linear(memory, self.score.weights().key), mask)

    def forward(self, source: Source, queries: Tensor, batch_sizes: Tensor, covered: Tensor | None = None) -> Looked:
        scorer, sizes = self.score.weights(), batch_sizes.tolist()
        keys = linear(source.memory, scorer.key) if isinstance(source.keys, tuple) else source.keys
        asked = linear(queries, scorer.query, scorer.bias)
        if self.cover is not None:
            covered = source.memory.new_zeros(source.mask.shape) if covered is None else covered
            weights = self._in_turn(keys, source.mask, asked, sizes, covered)
        else:
            if len(sizes) > 1 or not torch.is_grad_enabled():
                found = looking.attempt(asked, source.memory, keys, scorer.value, source.mask, batch_sizes)
                if found is not None:
                    return Looked(*found)
            scores = (
                _one(keys, asked, scorer.value) if len(sizes) == 1 else _Scores.apply(keys, asked, scorer.value, sizes)
            )
            weights = softmax(scores, of_elements(source.mask, batch_sizes))
        return Looked(contexts(source.memory, weights, batch_sizes), weights)

    def _in_turn(self, keys: Tensor, mask: Tensor, asked: Tensor, sizes: list[int], covered: Tensor) -> Tensor:
        """The weights of one time after the other."""
        assert self.cover is not None
        value, found = self.score.weights().value, []
        for query in asked.split(sizes):
            alive = len(query)
            covered = covered[:alive]
            scores = _one(keys[:alive] + covered.unsqueeze(2) * self.cover, query, value)
            found.append(softmax(scores, mask[:alive]))
            covered = covered + found[-1]
        return torch.cat(found)

    def scorer(self) -> Scorer | None:
        return self.score.weights() if self.cover is None else None

    def asked(self) -> Asked | None:
        scorer = self.scorer()
        return None if scorer is None else Asked(*scorer[1:])


def _one(keys: Tensor, asked: Tensor, value: Tensor) -> Tensor:
    """The scores of one query a row. keys: (batch, source, units); asked: (batch, units) -> (batch, source)."""
    return (keys + asked.unsqueeze(1)).tanh() @ value


def _all(keys: Tensor, asked: Tensor, value: Tensor, sizes: list[int]) -> Tensor:
    return torch.cat([_one(keys[: len(query)], query, value) for query in asked.split(sizes)])


class _Scores(torch.autograd.Function):
    """The scores of all queries as one step of the graph; (elements, source)."""

    @staticmethod
    def forward(ctx: Any, keys: Tensor, asked: Tensor, value: Tensor, sizes: list[int]) -> Tensor:
        ctx.sizes = sizes
        ctx.save_for_backward(keys, asked, value)
        return _all(keys, asked, value, sizes)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        keys, asked, value = given = ctx.saved_tensors
        if torch.is_grad_enabled():
            wanted = ctx.needs_input_grad[:3]
            return *second.gradients(lambda: [_all(keys, asked, value, ctx.sizes)], given, wanted, [gradient]), None
        dkeys, dasked, dvalue = torch.zeros_like(keys), [], torch.zeros_like(value)
        for query, dscores in zip(asked.split(ctx.sizes), gradient.split(ctx.sizes), strict=True):
            shown = (keys[: len(query)] + query.unsqueeze(1)).tanh_()
            dvalue += dscores.flatten() @ shown.flatten(0, 1)
            d = shown.square_().neg_().add_(1).mul_(value).mul_(dscores.unsqueeze(2))
            dkeys[: len(query)] += d
            dasked.append(d.sum(1))
        return dkeys, torch.cat(dasked), dvalue, None
