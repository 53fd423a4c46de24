r"""Additive attention for queries that wait for nothing, those of whole targets, by the compiled kernels.

    e_tj = v . tanh(k_j + q_t),    a_t = softmax(e_t) over the row's own places j,    c_t = sum_j a_tj m_j

The arguments of the tanh, one for each element, place and unit, are never there as a whole, and are made once more for
the gradients. Second derivatives go through `plain`, whose graph torch records.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from unrolled.kernels import looking
from unrolled.kernels.attention import Batch, Memory
from unrolled.unroll import fused, second
from unrolled.unroll.attending_fused import Places, _memory, _padded, _taken, places
from unrolled.unroll.packing import eager, starts

GIVEN = 3
"""Arguments of the graph's step before its tensors."""


class Looked(NamedTuple):
    """contexts: (elements, features); weights: (elements, source), zeros beyond a row's length."""

    contexts: Tensor
    weights: Tensor


def plain(
    queries: Tensor, memory: Tensor, keys: Tensor, value: Tensor, mask: Tensor, batch_sizes: Tensor
) -> tuple[Tensor, Tensor]:
    """Contexts and weights of all queries, one time after the other.

    Args:
        queries: (elements, units), packed; rows of all others stand in their packed order.
        memory: (batch, source, features), keys: (batch, source, units), zeros where there is no place.
        value: (units,).
        mask: (batch, source), bool, where there is a place: the first of each row, one or more.
        batch_sizes: (time,), rows alive at each time.
    """
    contexts, weights = [], []
    for query in queries.split(batch_sizes.tolist()):
        alive = len(query)
        scores = (keys[:alive] + query.unsqueeze(1)).tanh() @ value
        weights.append(scores.masked_fill(~mask[:alive], -torch.inf).softmax(dim=1))
        contexts.append((weights[-1].unsqueeze(1) @ memory[:alive]).squeeze(1))
    return torch.cat(contexts), torch.cat(weights)


@eager
def attempt(
    queries: Tensor, memory: Tensor, keys: Tensor, value: Tensor, mask: Tensor, batch_sizes: Tensor
) -> Looked | None:
    """Arguments as `plain`; None where the kernels do not run this."""
    given = (queries, memory, keys, value)
    if fused.is_transformed() or any(type(t) not in fused.PLAIN for t in given) or not looking.supports(*given):
        return None
    order = (batch_sizes, starts(batch_sizes))
    if torch.is_grad_enabled() and any(t.requires_grad for t in given):
        return Looked(*_Looking.apply(places(mask.sum(dim=1), memory.shape[1]), order, mask, *given))
    there = as_it_stands(memory, mask)
    return Looked(*looking.forward(looking.Given(Batch(queries, *order), there, keys.flatten(0, 1), value)))


def as_it_stands(memory: Tensor, mask: Tensor) -> Memory:
    """For the kernels, which read nothing but the rows' own places: the padding can stay where it is.

    memory: (batch, source, features); mask: (batch, source), bool, where there is a place: the first of each row.
    """
    batch, source = mask.shape
    return Memory(memory.flatten(0, 1), torch.arange(0, batch * source, source), mask.sum(dim=1), source)


class _Looking(torch.autograd.Function):
    """All queries as one step of the graph."""

    @staticmethod
    def forward(
        ctx: Any,
        where: Places,
        order: tuple[Tensor, Tensor],
        mask: Tensor,
        queries: Tensor,
        memory: Tensor,
        keys: Tensor,
        value: Tensor,
    ) -> tuple[Tensor, Tensor]:
        given = looking.Given(Batch(queries, *order), _memory(_taken(memory, where), where), _taken(keys, where), value)
        made = looking.forward(given)
        ctx.where, ctx.order, ctx.mask = where, order, mask
        ctx.save_for_backward(queries, memory, keys, value, given.memory.places, given.keys, *made)
        return made.contexts, made.weights

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        queries, memory, keys, value, taken, taken_keys, *made = ctx.saved_tensors
        wanted = ctx.needs_input_grad[GIVEN:]
        if torch.is_grad_enabled():
            tensors = (queries, memory, keys, value)
            found = second.gradients(lambda: plain(*tensors, ctx.mask, ctx.order[0]), tensors, wanted, gradients)
            return *[None] * GIVEN, *found
        given = looking.Given(Batch(queries, *ctx.order), _memory(taken, ctx.where), taken_keys, value)
        d = looking.backward(given, looking.Made(*made), looking.Made(*gradients))
        flat = (d.queries, _padded(d.places, ctx.where), _padded(d.keys, ctx.where), d.value)
        return *[None] * GIVEN, *(t if want else None for t, want in zip(flat, wanted, strict=True))
