r"""The partition function of a linear-chain conditional random field, and what follows from it.

    Z = sum over all tag sequences y of exp( start[y_1] + sum_t e_t[y_t] + sum_t T[y_{t-1}, y_t] + end[y_last] )

`log_partition_reference` is the forward recursion in the log domain (Lafferty, McCallum & Pereira 2001, section 3),
plain, and differentiated by autograd:

    alpha_1 = start + e_1,    alpha_t[k] = e_t[k] + log sum_j exp(alpha_{t-1}[j] + T[j, k])

`log_partition` gives the same, faster. It works with probabilities that are scaled at every step (Rabiner 1989, section
V.A), so that a step is one matrix product and nothing need be exponentiated on the way, and takes the gradient from the
backward recursion: d log Z / d e_t[k] is the probability that tag t is k, d log Z / d T[j, k] how often j, k are
expected side by side. It works in float64, where products of probabilities vanish below 1e-308 only; where
scores are so far apart that even this may not do, it notices and uses the reference. Second derivatives go through
the reference.

A forbidden score is -inf. Everything is in the packed batch's own row order.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from unrolled.layers.packed import before, last, rows

LOWEST = -650.0
"""The logarithm of the smallest probability that is still exact, with room to float64's own limit near -708."""


class Scores(NamedTuple):
    """transitions: (tags, tags), from row to column; start, end: (tags,). -inf is forbidden."""

    transitions: Tensor
    start: Tensor
    end: Tensor


def log_partition_reference(emissions: Tensor, scores: Scores, batch_sizes: Tensor) -> Tensor:
    """log Z of each row. emissions: (elements, tags), packed -> (batch,)."""
    sizes = batch_sizes.tolist()
    alpha, ended = None, []
    for e in emissions.split(sizes):
        if alpha is None:
            alpha = scores.start + e
            continue
        if len(e) < len(alpha):
            ended.append(alpha[len(e) :])
            alpha = alpha[: len(e)]
        alpha = e + _logsumexp(alpha.unsqueeze(2) + scores.transitions, dim=1)
    assert alpha is not None
    return _logsumexp(torch.cat([alpha, *reversed(ended)]) + scores.end, dim=1)


def _logsumexp(x: Tensor, dim: int) -> Tensor:
    # Where all is -inf torch's own has a gradient of NaN; it should be 0.
    nothing = (x == -torch.inf).all(dim, keepdim=True)
    return x.masked_fill(nothing, 0.0).logsumexp(dim).masked_fill(nothing.squeeze(dim), -torch.inf)


def log_partition(emissions: Tensor, scores: Scores, batch_sizes: Tensor) -> Tensor:
    """log Z of each row, in float64. emissions: (elements, tags), packed -> (batch,)."""
    return _LogPartition.apply(emissions.double(), *(score.double() for score in scores), batch_sizes)


def marginals(emissions: Tensor, scores: Scores, batch_sizes: Tensor) -> Tensor:
    """The probability of each tag at each element, in float64. (elements, tags) -> (elements, tags)."""
    e, exact = emissions.detach().double(), Scores(*(score.detach().double() for score in scores))
    with torch.no_grad():
        found = _forward(e, exact, batch_sizes)
        if found is not None:
            return found.p * _backward(found, batch_sizes)[0]
    with torch.enable_grad():
        total = log_partition_reference(e.requires_grad_(), exact, batch_sizes).sum()
        return torch.autograd.grad(total, e)[0]


class _Forward(NamedTuple):
    """The scaled forward recursion. p: (elements, tags), adds up to 1; c: (elements, 1), the scales;
    e: (elements, tags), exp(emissions) up to a factor a row; transitions, end: exp(score) up to a factor.
    """

    p: Tensor
    c: Tensor
    e: Tensor
    transitions: Tensor
    end: Tensor
    z: Tensor
    """(batch, 1), what is left of Z at the last element."""
    log_z: Tensor


def _forward(emissions: Tensor, scores: Scores, batch_sizes: Tensor) -> _Forward | None:
    """None where a probability may have vanished."""
    sizes = batch_sizes.tolist()
    high = emissions.amax(1, keepdim=True)
    e = (emissions - high).exp()
    (transitions, top), (start, start_top), (end, end_top) = (_relative(score) for score in scores)
    p, c = torch.empty_like(e), e.new_empty(len(e), 1)
    previous = start.expand(sizes[0], -1)
    for step, (now, e_t, c_t) in enumerate(zip(p.split(sizes), e.split(sizes), c.split(sizes), strict=True)):
        if step:
            torch.mm(previous[: len(now)], transitions, out=now)
            now.mul_(e_t)
        else:
            torch.mul(previous, e_t, out=now)
        torch.sum(now, 1, keepdim=True, out=c_t)
        now.div_(c_t)
        previous = now
    ends, row = last(batch_sizes).to(e.device), rows(batch_sizes).to(e.device)
    z = p.index_select(0, ends).mv(end).unsqueeze(1)
    # A step multiplies by no less than these spreads; had the smallest probability still room for that, none vanished.
    spreads = [emissions - high, *(score - score.max() for score in scores)]
    lowest = torch.where(p > 0, p, 1.0).min().log() + sum(torch.where(s > -torch.inf, s, 0.0).min() for s in spreads)
    if not (bool(lowest > LOWEST) and bool((z > 0).all())):
        return None
    log_z = (c.log() + high).squeeze(1)
    log_z = log_z.new_zeros(sizes[0]).index_add(0, row, log_z) + z.squeeze(1).log()
    steps = torch.bincount(row, minlength=sizes[0]).to(log_z) - 1
    return _Forward(p, c, e, transitions, end, z, log_z + start_top + end_top + steps * top)


def _relative(score: Tensor) -> tuple[Tensor, Tensor]:
    top = score.max()
    return (score - top).exp(), top


def _backward(f: _Forward, batch_sizes: Tensor) -> tuple[Tensor, Tensor]:
    """The scaled backward recursion: b, (elements, tags), with p * b the marginals, and u, b a step before its sum."""
    sizes = batch_sizes.tolist()
    b, u = torch.empty_like(f.p), torch.empty_like(f.p)
    b[last(batch_sizes).to(b.device)] = f.end / f.z
    # What cannot be reached from the start must not grow while nothing holds it down.
    weight = f.e * (f.p > 0) / f.c
    back, after = f.transitions.t().contiguous(), None
    for b_t, u_t, w_t in zip(*(reversed(x.split(sizes)) for x in (b, u, weight)), strict=True):
        if after is not None:
            torch.mm(after, back, out=b_t[: len(after)])
        after = torch.mul(b_t, w_t, out=u_t)
    return b, u


class _LogPartition(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, emissions: Tensor, transitions: Tensor, start: Tensor, end: Tensor, batch_sizes: Tensor
    ) -> Tensor:
        scores = Scores(transitions, start, end)
        found = _forward(emissions, scores, batch_sizes)
        ctx.save_for_backward(emissions, *scores, batch_sizes, *(found[:-1] if found else ()))
        return found.log_z if found else log_partition_reference(emissions, scores, batch_sizes)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        *inputs, batch_sizes = ctx.saved_tensors[:5]
        found = ctx.saved_tensors[5:]
        # Gradients are on here only where the gradient itself is to be differentiated.
        if torch.is_grad_enabled():
            return (*_by_reference(inputs, batch_sizes, grad, ctx.needs_input_grad), None)
        if not found:
            with torch.enable_grad():
                inputs = [x.detach().requires_grad_() for x in inputs]
                return (*_by_reference(inputs, batch_sizes, grad, ctx.needs_input_grad), None)
        f = _Forward(*found, grad)  # type: ignore[call-arg]
        b, u = _backward(f, batch_sizes)
        first = int(batch_sizes[0])
        weight = grad[rows(batch_sizes).to(grad.device)].unsqueeze(1)
        tags = f.p * b * weight
        pairs = f.p.index_select(0, before(batch_sizes).to(b.device)).t() @ (u * weight)[first:] * f.transitions
        ends = last(batch_sizes).to(b.device)
        return tags, pairs, tags[:first].sum(0), tags.index_select(0, ends).sum(0), None


def _by_reference(inputs: list[Tensor], batch_sizes: Tensor, grad: Tensor, needed: tuple[bool, ...]) -> list[Any]:
    emissions, *scores = inputs
    log_z = log_partition_reference(emissions, Scores(*scores), batch_sizes)
    wanted = [x for x, need in zip(inputs, needed, strict=False) if need]
    found = iter(torch.autograd.grad(log_z, wanted, grad, create_graph=torch.is_grad_enabled(), allow_unused=True))
    return [next(found) if need else None for need, _ in zip(needed, inputs, strict=False)]
