"""Element-wise linear recurrences by the compiled kernels: h_t = a_t * h_{t-1} + b_t, forwards and the gradients.

As in `recurrence`, everything that the compiled code takes on trust is looked at here, and what it writes is made here.
Nothing is summed over elements or channels, so that the number of threads changes no bit.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from unrolled.kernels.library import Linear, load, needed
from unrolled.kernels.recurrence import _look_at, _state

SMALL = 1 << 16
"""Numbers of the states below which a second thread costs more than it brings."""


class Terms(NamedTuple):
    """Of one direction. a, b: (elements, hidden), rows any distance apart; h0: (batch, hidden), in packed order."""

    a: Tensor
    b: Tensor
    h0: Tensor


class Gradients(NamedTuple):
    """Of one direction's terms; a: None where it was not asked for."""

    a: Tensor | None
    b: Tensor
    h0: Tensor


def supports(*tensors: Tensor) -> bool:
    """Whether the kernels are there and take tensors like these: float32 on the CPU."""
    return all(t.dtype is torch.float32 and t.is_cpu for t in tensors) and load() is not None


def forward(sizes: Tensor, starts: Tensor, directions: Sequence[Terms]) -> tuple[Tensor, list[Tensor]]:
    """Run one or two recurrences over a packed batch; the second reads backwards.

    Args:
        sizes, starts: (time,), long: rows alive at each time, and the first element of each.
        directions: the terms of each.

    Returns:
        The states side by side, (elements, hidden of all), and each direction's after each row's last element,
        (batch, hidden).

    Raises:
        ValueError: shapes, types or devices are others, or the sizes do not add up.
        RuntimeError: there are no compiled kernels.
    """
    directions = [_looked_at(sizes, starts, terms) for terms in directions]
    outputs = torch.empty(len(directions[0].a), sum(terms.a.shape[1] for terms in directions))
    linears, last, shift = (Linear * len(directions))(), [], 0
    for place, terms in enumerate(directions):
        linear, final = linears[place], torch.empty_like(terms.h0)
        _fill(linear, sizes, starts, terms, outputs, shift, place)
        linear.b, linear.b_stride, linear.last = terms.b.data_ptr(), terms.b.stride(0), final.data_ptr()
        shift += terms.a.shape[1]
        last.append(final)
    needed().unrolled_linear_forward(linears, len(directions), _threads(outputs))
    return outputs, last


def backward(
    sizes: Tensor,
    starts: Tensor,
    directions: Sequence[tuple[Tensor, Tensor]],
    outputs: Tensor,
    gradient: Tensor,
    last: Sequence[Tensor],
    need_a: Sequence[bool],
) -> list[Gradients]:
    """The gradients of `forward`. The terms b are not needed.

    Args:
        sizes, starts: as there. directions: a and h0 of each.
        outputs: what it gave. gradient: of them. last: of each direction's last states.
        need_a: of each direction, whether the gradient of a is wanted.

    Raises: as `forward`.
    """
    given = [_looked_at(sizes, starts, Terms(a, a, h0)) for a, h0 in directions]
    shape = (len(given[0].a), sum(terms.a.shape[1] for terms in given))
    if outputs.shape != shape or gradient.shape != shape or not supports(outputs, gradient):
        raise ValueError(f"the outputs and their gradient must be {shape} in float32 on the CPU")
    outputs, gradient = _rows(outputs), _rows(gradient)
    linears, found, shift = (Linear * len(given))(), [], 0
    for place, (terms, after, need) in enumerate(zip(given, last, need_a, strict=True)):
        linear, hidden = linears[place], terms.a.shape[1]
        _fill(linear, sizes, starts, terms, outputs, shift, place)
        da, db = torch.empty(len(outputs), hidden) if need else None, torch.empty(len(outputs), hidden)
        carry = _state(after, int(sizes[0]), hidden).clone()
        linear.dh, linear.dh_stride = gradient.data_ptr() + 4 * shift, gradient.stride(0)
        linear.da, linear.db = None if da is None else da.data_ptr(), db.data_ptr()
        linear.dh_carry = carry.data_ptr()
        shift += hidden
        found.append(Gradients(da, db, carry))
    needed().unrolled_linear_backward(linears, len(given), _threads(outputs))
    return found


def _fill(linear: Linear, sizes: Tensor, starts: Tensor, terms: Terms, outputs: Tensor, shift: int, place: int) -> None:
    linear.steps, linear.batch, linear.hidden, linear.reverse = len(sizes), len(terms.h0), terms.a.shape[1], place
    linear.sizes, linear.starts, linear.h0 = sizes.data_ptr(), starts.data_ptr(), terms.h0.data_ptr()
    linear.a, linear.a_stride = terms.a.data_ptr(), terms.a.stride(0)
    linear.h, linear.h_stride = outputs.data_ptr() + 4 * shift, outputs.stride(0)


def _looked_at(sizes: Tensor, starts: Tensor, terms: Terms) -> Terms:
    _look_at(terms.a, sizes, starts)
    if not (sizes.is_cpu and starts.is_cpu and supports(terms.b)) or terms.a.shape != terms.b.shape:
        found = f"{tuple(terms.a.shape)} and {tuple(terms.b.shape)}, {terms.b.dtype} on {terms.b.device}"
        raise ValueError(f"a and b must be of one shape, in float32 on the CPU, not {found}")
    return Terms(_rows(terms.a), _rows(terms.b), _state(terms.h0, int(sizes[0]), terms.a.shape[1]))


def _rows(x: Tensor) -> Tensor:
    """With rows of neighbouring floats; they may lie anywhere, also on each other, since they are only read."""
    return x if x.stride(1) == 1 else x.contiguous()


def _threads(states: Tensor) -> int:
    return torch.get_num_threads() if states.numel() > SMALL else 1
