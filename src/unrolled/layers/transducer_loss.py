r"""The loss of a transducer, Graves 2012, arXiv:1211.3711, section 2.4: minus the log-probability of a transcript,
summed over all ways to say it while a recording goes by.

A way goes through a lattice of T times and U symbols: from (t, u) the blank, with probability b(t, u), leads to the
next time, and the symbol that is due, with probability y(t, u), to the next symbol. It begins at (0, 0), and ends by
the blank at (T - 1, U).

    a(t, u)  = a(t-1, u) b(t-1, u) + a(t, u-1) y(t, u-1),      a(0, 0) = 1                  forward, eq. 16
    β(t, u)  = β(t+1, u) b(t, u)   + β(t, u+1) y(t, u),        β(T, U) = 1                  backward, eq. 18
    P        = a(T-1, U) b(T-1, U)

The gradient is exact, from what both recursions say of each step (eq. 20), and goes to the logits at once: with

    B(t, u) = a(t, u) b(t, u) β(t+1, u) / P        Y(t, u) = a(t, u) y(t, u) β(t, u+1) / P

which are the shares of all ways that take this step, and p_k the softmax of the logits z_k,

    d(-log P) / d z_k(t, u) = (B + Y) p_k - [k is the blank] B - [k is the symbol that is due] Y

Both recursions run along the diagonals t + u = d, of which a step of a way always reaches the next, over all rows at
once; in logarithms and in double precision, since a small difference of large numbers is wanted: of two numbers a
place, that is little beside the logits. Rows differ in T and U. The places of a row stand side by side, time by time:
there is no padding among the logits. In the recursions' own tables it has the probability 0, so no way leads there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from unrolled.errors import BadOption


def transducer_loss(logits: Tensor, targets: Sequence[Tensor], steps: Sequence[int], blank: int) -> Tensor:
    """-log P of each row's transcript, (rows,).

    Args:
        logits: (places, symbols and the blank), unnormalised: of row 0 those of time 0, where 0, 1, …, U symbols have
            been said, then those of time 1, and so on; then row 1.
        targets: of each row its symbols, (U,), long; maybe none.
        steps: of each row T, 1 or more.
        blank: which of the numbers the blank is.

    Raises:
        BadOption: these do not fit each other.
    """
    counts = [len(target) for target in targets]
    if len(counts) != len(steps) or not counts:
        raise BadOption(f"{len(counts)} transcripts for {len(steps)} recordings")
    if min(steps) < 1:
        raise BadOption(f"a recording of {min(steps)} steps: a transducer needs 1 or more")
    places = sum(times * (count + 1) for times, count in zip(steps, counts, strict=True))
    if logits.dim() != 2 or len(logits) != places:
        raise BadOption(f"logits of shape {tuple(logits.shape)} where ({places}, symbols and the blank) is due")
    for target in targets:
        if bool(((target < 0) | (target >= logits.shape[1])).any()):
            raise BadOption(f"there are symbols that none of {logits.shape[1]} logits stands for")
        if bool((target == blank).any()):
            raise BadOption("the blank is no symbol of a transcript")
    return _Loss.apply(logits, _lattice(targets, steps, logits.device), blank)


class _Lattice(NamedTuple):
    """Where the places of all rows are.

    at: (places,), of each its own in a table of (diagonals, rows, most symbols and one more), flat; due: (places,), the
    symbol that is due, 0 behind the last; ends: (rows,), in such a table, flat, the one behind the last blank;
    is_last: (places,), bool, whether no symbol is due; shape: of such a table.
    """

    at: Tensor
    due: Tensor
    ends: Tensor
    is_last: Tensor
    shape: tuple[int, int, int]


def _lattice(targets: Sequence[Tensor], steps: Sequence[int], device: torch.device) -> _Lattice:
    rows, width = len(steps), max(len(target) for target in targets) + 1
    # Behind a row's last time there is one more diagonal, in which its ways have ended.
    diagonals = max(times + len(target) for times, target in zip(steps, targets, strict=True)) + 1
    at, due, is_last, ends = [], [], [], []
    for row, (times, target) in enumerate(zip(steps, targets, strict=True)):
        u = torch.arange(len(target) + 1, device=device)
        t = torch.arange(times, device=device).unsqueeze(1)
        at.append((((t + u) * rows + row) * width + u).flatten())
        due.append(torch.cat([target.to(device), target.new_zeros(1, device=device)]).repeat(times))
        is_last.append((u == len(target)).repeat(times))
        ends.append(((times + len(target)) * rows + row) * width + len(target))
    return _Lattice(
        torch.cat(at), torch.cat(due), torch.tensor(ends, device=device), torch.cat(is_last), (diagonals, rows, width)
    )


class _Loss(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, logits: Tensor, lattice: _Lattice, blank: int) -> Tensor:
        total = logits.logsumexp(1)
        due = logits.gather(1, lattice.due.unsqueeze(1)).squeeze(1)
        silent, spoken = (logits[:, blank] - total).double(), (due - total).double()
        b = _table(lattice, silent)
        y = _table(lattice, spoken.masked_fill(lattice.is_last, -torch.inf))
        a, log_p = _forward(lattice, b, y)
        if ctx.needs_input_grad[0]:
            silently, speaking = _shares(lattice, a, b, y, log_p)
            ctx.save_for_backward(logits, total, silently, speaking, lattice.due)
            ctx.blank, ctx.lattice = blank, lattice
        return -log_p.to(logits.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        logits, total, silently, speaking, due = ctx.saved_tensors
        rows, width = ctx.lattice.shape[1:]
        row = ctx.lattice.at.div(width, rounding_mode="floor") % rows
        weight = gradient.index_select(0, row)
        silently, speaking = silently.to(logits.dtype) * weight, speaking.to(logits.dtype) * weight
        found = (logits - total.unsqueeze(1)).exp_().mul_((silently + speaking).unsqueeze(1))
        found[:, ctx.blank] -= silently
        found.scatter_add_(1, due.unsqueeze(1), -speaking.unsqueeze(1))
        return found, None, None


def _table(lattice: _Lattice, values: Tensor) -> Tensor:
    """(places,) -> (diagonals, rows, width), -inf where there is no place."""
    diagonals, rows, width = lattice.shape
    found = values.new_full((diagonals * rows * width,), -torch.inf)
    return found.index_copy_(0, lattice.at, values).view(lattice.shape)


def _forward(lattice: _Lattice, b: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """log a, (diagonals, rows, width), and log P, (rows,)."""
    a = torch.full_like(b, -torch.inf)
    a[0, :, 0] = 0.0
    for d in range(1, len(a)):
        torch.add(a[d - 1], b[d - 1], out=a[d])
        torch.logaddexp(a[d, :, 1:], a[d - 1, :, :-1] + y[d - 1, :, :-1], out=a[d, :, 1:])
    return a, a.flatten()[lattice.ends]


def _shares(lattice: _Lattice, a: Tensor, b: Tensor, y: Tensor, log_p: Tensor) -> tuple[Tensor, Tensor]:
    """B and Y of each place, (places,)."""
    beta = torch.full_like(b, -torch.inf)
    beta.view(-1)[lattice.ends] = 0.0
    for d in range(len(beta) - 2, -1, -1):
        onward = beta[d + 1] + b[d]
        torch.logaddexp(onward[:, :-1], beta[d + 1, :, 1:] + y[d, :, :-1], out=onward[:, :-1])
        # A row's own end stands in a diagonal in which others go on.
        torch.logaddexp(beta[d], onward, out=beta[d])
    ways = a - log_p.unsqueeze(1)
    silently, speaking = torch.full_like(b, -torch.inf), torch.full_like(b, -torch.inf)
    silently[:-1] = ways[:-1] + b[:-1] + beta[1:]
    speaking[:-1, :, :-1] = ways[:-1, :, :-1] + y[:-1, :, :-1] + beta[1:, :, 1:]
    return silently.flatten()[lattice.at].exp(), speaking.flatten()[lattice.at].exp()
