"""The product with a layer's weights, in the precision that is asked for.

    y = x W^T + b

While gradients are recorded it is torch's in float32. Where products are to be of bfloat16
(`unrolled.unroll.fused.precision`) it is our kernels': what is multiplied is rounded, sums and results are float32;
torch's would round the results, too. Without gradients it is ours in either precision, with weights that are laid out
once and kept as long as they do not change (`laid_out`): for the few rows of a step of decoding that takes a half or a
third of the time.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from unrolled.kernels import library, matrix
from unrolled.kernels.recurrence import _threads
from unrolled.unroll import fused, laid_out, second
from unrolled.unroll.packing import eager

FEW = 16
"""Rows below which laying the weights out costs more than the kernels save."""


@eager
def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """As `torch.nn.functional.linear`.

    Args:
        x: (…, input). weight: (output, input). bias: (output,).

    Returns:
        (…, output).
    """
    if not _runs(x, weight, bias):
        return functional.linear(x, weight, bias)
    flat, half = x.reshape(-1, x.shape[-1]), fused.is_half()
    recorded = torch.is_grad_enabled() and any(t is not None and t.requires_grad for t in (x, weight, bias))
    if recorded and half and flat.shape[0] >= FEW:
        made = _Product.apply(flat, weight, bias)
    elif not recorded and type(weight) is torch.nn.Parameter:
        made = _multiply(flat, weight, bias, half, kept=True)
    elif not recorded and half and flat.shape[0] >= FEW:
        made = _multiply(flat, weight, bias, half, kept=False)
    else:
        return functional.linear(x, weight, bias)
    return made.view(*x.shape[:-1], weight.shape[0])


def _runs(x: Tensor, weight: Tensor, bias: Tensor | None) -> bool:
    given = [t for t in (x, weight, bias) if t is not None]
    plain = all(type(t) in fused.PLAIN and t.dtype is torch.float32 and t.is_cpu for t in given)
    fit = weight.dim() == 2 and weight.shape[1:] == x.shape[-1:] and (bias is None or bias.shape == weight.shape[:1])
    return plain and fit and x.numel() > 0 and not fused.is_transformed() and library.load() is not None


def _multiply(x: Tensor, weight: Tensor, bias: Tensor | None, half: bool, *, kept: bool) -> Tensor:
    x, threads = matrix.rows(x), _threads(x.shape[0] * weight.numel())
    made, bias = x.new_empty(x.shape[0], weight.shape[0]), _contiguous(bias)
    if kept:
        panels = laid_out.panels(weight, half, threads)
    else:
        panels = matrix.panels(weight, half, transposed=True, threads=threads)
    matrix.multiply(half, x, panels, made, threads, bias=bias)
    return made


def _contiguous(t: Tensor | None) -> Tensor | None:
    return None if t is None else t.contiguous()


class _Product(torch.autograd.Function):
    """The product in bfloat16 as one step of the graph."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, weight, bias)
        return _multiply(x, weight, bias, True, kept=False)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, bias = ctx.saved_tensors
        wanted = ctx.needs_input_grad
        if torch.is_grad_enabled():
            given = (x, weight, bias)
            return tuple(second.gradients(lambda: [functional.linear(*given)], given, wanted, [gradient]))
        gradient, threads = matrix.rows(gradient), _threads(x.shape[0] * weight.numel())
        dx = dweight = dbias = None
        if wanted[0]:
            dx = x.new_empty(x.shape)
            matrix.multiply(True, gradient, matrix.panels(weight, True, transposed=False, threads=threads), dx, threads)
        if wanted[1] or wanted[2]:
            dweight, dbias = weight.new_empty(weight.shape), weight.new_empty(weight.shape[0])
            matrix.outer(True, gradient, matrix.rows(x), dweight, threads, dbias)
        return dx, dweight if wanted[1] else None, dbias if wanted[2] else None
