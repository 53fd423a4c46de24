"""Gradients through time written out in plain torch: the GRU and the simple network, ragged, without compiled kernels.

torch's packed kernel allocates and fills a gradient of the whole sequence at every time step of its backward pass, and
multiplies for the weights' gradient once a step. Both cells are linear in the gradient that comes back to them: with
dL/dh_t = d, the gradient of a gate's argument is F d, elementwise, where F depends on values of the forward pass alone.
So F is worked out for all elements at once; the loop back in time multiplies by it and by the recurrent weights; and
the weights' gradients are one product each at the end. Same numbers as `scan`, any floating type.

    GRU      dn = (1 - z)(1 - n^2) d      dz = (h' - n) z (1 - z) d      dr = m r (1 - r) dn      dm = r dn
             dL/dh' = z d + U_r dr + U_z dz + U_n dm         h' = h_{t-1},  m = U_n h' + d_n
    Elman    da = (1 - h^2) d,  or d where h > 0             dL/dh' = U da
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from unrolled.unroll import second

Slow = Callable[[Sequence[Tensor], Tensor, Tensor], tuple[Tensor, Tensor]]


def run(
    kernel: str, weights: Sequence[Tensor], data: Tensor, sizes: Tensor, h0: Tensor, slow: Slow
) -> tuple[Tensor, Tensor]:
    """One layer, one direction.

    Args:
        kernel: "gru", "rnn_tanh" or "rnn_relu".
        weights: weight_ih, weight_hh, then bias_ih, bias_hh where there are biases.
        data: (elements, input). sizes: (time,), rows alive at each time. h0: (batch, hidden), in packed order.
        slow: (weights, data, h0) -> the same, by operations that torch can derive twice.

    Returns:
        Outputs (elements, hidden), and the state after each row's last element.
    """
    # Autocast has types of its own for some of the operations below, which write into each other's results.
    with torch.autocast(data.device.type, enabled=False):
        outputs, last = _Handwritten.apply(kernel, sizes.tolist(), slow, data, h0, *weights)
    return outputs, last


class _Handwritten(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, kernel: str, sizes: list[int], slow: Slow, data: Tensor, h0: Tensor, *weights: Tensor
    ) -> tuple[Tensor, Tensor]:
        ih, hh, *biases = weights
        outputs, is_gru = data.new_empty(len(data), hh.shape[1]), kernel == "gru"
        # Only the GRU must keep the state's bias apart from the input's.
        bias = None if not biases else biases[0] if is_gru else biases[0] + biases[1]
        px = data @ ih.T if bias is None else torch.addmm(bias, data, ih.T)
        product, candidate = (torch.empty_like(px), torch.empty_like(outputs)) if is_gru else (px, outputs)
        last, h, turned = h0.clone(), h0, hh.T.contiguous()
        pieces = zip(*(t.split(sizes) for t in (px, product, candidate, outputs)), strict=True)
        for size, (px_t, product_t, n_t, h_t) in zip(sizes, pieces, strict=True):
            if len(h) > size:
                last[size : len(h)] = h[size:]
                h = h[:size]
            if is_gru:
                torch.addmm(biases[1], h, turned, out=product_t) if biases else torch.mm(h, turned, out=product_t)
                _gru(px_t, product_t, h, n_t, h_t)
            elif kernel == "rnn_tanh":
                torch.tanh(px_t.addmm_(h, turned), out=h_t)
            else:
                torch.clamp(px_t.addmm_(h, turned), min=0, out=h_t)
            h = h_t
        last[: len(h)] = h
        ctx.kernel, ctx.sizes, ctx.slow = kernel, sizes, slow
        ctx.save_for_backward(data, h0, *weights, outputs, product, candidate)
        return outputs, last

    @staticmethod
    def backward(ctx: Any, gradient: Tensor, last: Tensor) -> tuple[Tensor | None, ...]:
        data, h0, *weights, outputs, product, candidate = ctx.saved_tensors
        if torch.is_grad_enabled():
            wanted = ctx.needs_input_grad[3:]
            return (
                None,
                None,
                None,
                *second.gradients(lambda: ctx.slow(weights, data, h0), [data, h0, *weights], wanted, [gradient, last]),
            )
        hh, hidden, is_gru = weights[1], h0.shape[1], ctx.kernel == "gru"
        before = _before(outputs, h0, ctx.sizes)
        factors, past = _factors(ctx.kernel, outputs, before, product, candidate)
        gates = torch.empty_like(factors)
        recurrent = gates.flatten(1)[:, -len(hh) :]
        came, dh0 = _with_last(gradient, last, ctx.sizes), torch.zeros_like(h0)
        pieces = [t.split(ctx.sizes) for t in (came, factors, gates, recurrent, past)]
        for time in reversed(range(len(ctx.sizes))):
            dh, factors_t, gates_t, recurrent_t, past_t = (piece[time] for piece in pieces)
            torch.mul(dh.unsqueeze(1) if is_gru else dh, factors_t, out=gates_t)
            before_t = pieces[0][time - 1][: len(dh)] if time else dh0
            if is_gru:
                before_t.addcmul_(dh, past_t)
            before_t.addmm_(recurrent_t, hh)
        input_part, ih = gates.flatten(1)[:, : len(hh)], weights[0]
        dx = input_part @ (torch.cat([ih[2 * hidden :], ih[: 2 * hidden]]) if is_gru else ih)
        by_input = [input_part.T @ data, *([input_part.sum(0)] if len(weights) > 2 else [])]
        if is_gru:  # the blocks of its input are n, r, z here
            by_input = [torch.cat([t[hidden:], t[:hidden]]) for t in by_input]
        by_state = [recurrent.T @ before, *([recurrent.sum(0)] if len(weights) > 2 else [])]
        found = [t for pair in zip(by_input, by_state, strict=True) for t in pair]
        return None, None, None, dx, dh0, *found


def _gru(px: Tensor, product: Tensor, before: Tensor, n: Tensor, h: Tensor) -> None:
    """One tick; the product's first two blocks become r and z."""
    hidden = n.shape[1]
    gates, m = product[:, : 2 * hidden], product[:, 2 * hidden :]
    gates.add_(px[:, : 2 * hidden]).sigmoid_()
    torch.addcmul(px[:, 2 * hidden :], gates[:, :hidden], m, out=n)
    torch.lerp(n.tanh_(), before, gates[:, hidden:], out=h)


def _factors(kernel: str, outputs: Tensor, before: Tensor, product: Tensor, candidate: Tensor) -> tuple[Tensor, Tensor]:
    """What the gradient of an output is multiplied by, and what goes past the weights. The GRU: (elements, 4, hidden).

    The blocks of the GRU are n, r, z, m: the first three are those of the input, the last three of the state.
    """
    if kernel == "rnn_tanh":
        return 1 - outputs * outputs, outputs
    if kernel == "rnn_relu":
        return (outputs > 0).to(outputs.dtype), outputs
    r, z, m = product.chunk(3, dim=1)
    factors = product.new_empty(len(product), 4, r.shape[1])
    torch.mul(1 - z, 1 - candidate * candidate, out=factors[:, 0])
    torch.mul(factors[:, 0], r, out=factors[:, 3])
    torch.mul(factors[:, 3] * m, 1 - r, out=factors[:, 1])
    torch.mul(before - candidate, z * (1 - z), out=factors[:, 2])
    return factors, z


def _with_last(gradient: Tensor, last: Tensor, sizes: list[int]) -> Tensor:
    """A copy of the gradient of the outputs, to which the last states' is added where each row ended."""
    came, end = gradient.clone(memory_format=torch.contiguous_format), 0
    for size, following in pairwise([*sizes, 0]):
        end += size
        if size > following:
            came[end - size + following : end] += last[following:size]
    return came


def _before(outputs: Tensor, h0: Tensor, sizes: list[int]) -> Tensor:
    """The hidden state before each element, (elements, hidden)."""
    pieces, start = [h0[: sizes[0]]], 0
    for size, following in pairwise(sizes):
        pieces.append(outputs[start : start + following])
        start += size
    return torch.cat(pieces)
