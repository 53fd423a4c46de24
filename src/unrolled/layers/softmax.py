r"""The softmax over a vocabulary: the last layer of a language model, with its loss.

    z = W x + b,    p(j) = e^{z_j} / sum_k e^{z_k}
    loss = (1 - s) (-log p(y)) + s / V sum_j (-log p(j))

s smooths the labels (Szegedy et al. 2016, arXiv:1512.00567, section 7). The gradient of a logit is p(j) less the
target's share; it needs nothing that the loss has not just computed. So all gradients are made together with the loss,
for some rows at a time, and neither the logits nor their gradients are ever there as a whole: with V words and N
elements that would be twice N V numbers. In the backward pass they are multiplied by the gradient that comes in, where
that is not 1.

On a CPU, in float32, all of that is one call of `kernels.softmax`; in other types, on other devices, and where there
are no compiled kernels, it is the same in plain torch. Second derivatives go through torch's own functions, with the
whole logits.
"""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from unrolled.errors import BadOption
from unrolled.kernels import softmax as kernels
from unrolled.kernels.softmax import Given, Gradients
from unrolled.unroll import second
from unrolled.unroll.fused import is_half, is_transformed
from unrolled.unroll.packing import eager
from unrolled.unroll.product import linear

REDUCTIONS = ("mean", "sum", "none")


class Softmax(nn.Module):
    """Hidden states to words.

    Args:
        hidden: features of an element.
        vocabulary: how many words there are.
        weight: the table of an embedding, (vocabulary, hidden), to be tied to it (Press & Wolf 2017, arXiv:1608.05859;
            Inan et al. 2017, arXiv:1611.01462); None: a weight of its own, which begins as `torch.nn.Linear`'s.
        bias: whether there is one.
    """

    bias: nn.Parameter | None

    def __init__(
        self,
        hidden: int,
        vocabulary: int,
        *,
        weight: nn.Parameter | None = None,
        bias: bool = True,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        for name, size in (("hidden size", hidden), ("vocabulary", vocabulary)):
            if size < 1:
                raise BadOption(f"a softmax's {name} must be 1 or more, not {size}")
        if weight is not None and weight.shape != (vocabulary, hidden):
            raise BadOption(f"the weight to be tied must be {(vocabulary, hidden)}, not {tuple(weight.shape)}")
        made = (
            {"device": device, "dtype": dtype} if weight is None else {"device": weight.device, "dtype": weight.dtype}
        )
        self.is_tied = weight is not None
        self.weight = nn.Parameter(torch.empty(vocabulary, hidden, **made)) if weight is None else weight
        self.register_parameter("bias", nn.Parameter(torch.empty(vocabulary, **made)) if bias else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Uniform within 1 / sqrt(hidden), as `torch.nn.Linear`; a weight that is tied is left as it is."""
        bound = 1 / math.sqrt(self.weight.shape[1])
        if not self.is_tied:
            nn.init.uniform_(self.weight, -bound, bound)
        if self.bias is not None:
            nn.init.uniform_(self.bias, -bound, bound)

    def forward(self, x: Tensor) -> Tensor:
        """x: (…, hidden) -> logits (…, vocabulary)."""
        return linear(x, self.weight, self.bias)

    def loss(
        self,
        x: Tensor,
        targets: Tensor,
        *,
        label_smoothing: float = 0.0,
        weights: Tensor | None = None,
        reduction: str = "mean",
    ) -> Tensor:
        """The cross-entropy of all elements, as `torch.nn.functional.cross_entropy` of the logits.

        Args:
            x: (…, hidden). targets: (…), long, each at least 0 and below the vocabulary.
            label_smoothing: how much of each target's 1 is shared among all words, in [0, 1).
            weights: (…), how much each element counts; None: 1 each. They get no gradient.
            reduction: `sum`, a scalar; `mean`: the sum divided by the sum of the weights; `none`: each element's, (…).
                How much each will count in the gradient is then not known beforehand, and the backward pass makes the
                logits once more.

        Raises:
            BadOption: for values outside of these, and shapes that do not fit.
        """
        if reduction not in REDUCTIONS:
            raise BadOption(f"the reduction is 'mean', 'sum' or 'none', not {reduction!r}")
        given = self._given(x, targets, label_smoothing)
        factors = self._factors(targets, weights)
        if reduction == "none":
            found = each(given, float(label_smoothing))
            return (found if weights is None else found * factors).view(targets.shape)
        if reduction == "mean":
            factors = factors / factors.sum()
        return total(given, factors, float(label_smoothing))

    @torch.no_grad()
    def losses(self, x: Tensor, targets: Tensor, *, label_smoothing: float = 0.0) -> Tensor:
        """The cross-entropy of each element, (…), without gradients: for perplexity. Arguments as `loss`."""
        return losses(self._given(x, targets, label_smoothing), float(label_smoothing)).view(targets.shape)

    def _given(self, x: Tensor, targets: Tensor, label_smoothing: float) -> Given:
        if not 0 <= label_smoothing < 1:
            raise BadOption(f"label smoothing must be at least 0 and below 1, not {label_smoothing}")
        if x.shape[-1:] != self.weight.shape[1:] or x.shape[:-1] != targets.shape:
            wanted = f"(…, {self.weight.shape[1]}) and targets (…)"
            raise BadOption(f"x must be {wanted}, not {tuple(x.shape)} and {tuple(targets.shape)}")
        if targets.dtype is not torch.int64:
            raise BadOption(f"targets must be long, not {targets.dtype}")
        if torch.is_autocast_enabled(x.device.type):  # what comes from other layers is of the lower precision
            x = x.to(self.weight.dtype)
        return Given(x.reshape(-1, x.shape[-1]), self.weight, self.bias, targets.reshape(-1))

    def _factors(self, targets: Tensor, weights: Tensor | None) -> Tensor:
        if weights is None:
            return self.weight.new_ones(targets.numel())
        if weights.shape != targets.shape or weights.requires_grad:
            found = f"{tuple(weights.shape)}{', with gradient' if weights.requires_grad else ''}"
            raise BadOption(f"weights must be {tuple(targets.shape)}, without gradient, not {found}")
        return weights.reshape(-1).to(self.weight)

    def extra_repr(self) -> str:
        vocabulary, hidden = self.weight.shape
        return f"{hidden}, {vocabulary}, tied={self.is_tied}, bias={self.bias is not None}"


@eager
def total(given: Given, factors: Tensor, smoothing: float) -> Tensor:
    """The weighted sum of the losses of all rows, a scalar. factors: (rows,)."""
    if is_transformed():
        kernels.check_targets(given.targets, len(given.weight))
        return _whole(given, smoothing) @ factors
    tensors = (given.x, given.weight, given.bias)
    if torch.is_grad_enabled() and any(t is not None and t.requires_grad for t in tensors):
        return _Loss.apply(*given, factors, smoothing)
    return _sum(losses(given, smoothing), factors)


@eager
def each(given: Given, smoothing: float) -> Tensor:
    """The loss of each row, (rows,)."""
    if is_transformed():
        kernels.check_targets(given.targets, len(given.weight))
        return _whole(given, smoothing)
    if torch.is_grad_enabled() and any(t is not None and t.requires_grad for t in given[:3]):
        return _Losses.apply(*given, smoothing)
    return losses(given, smoothing)


def losses(given: Given, smoothing: float) -> Tensor:
    """The loss of each row, (rows,), without gradients."""
    if _runs(given):
        return kernels.losses(given, smoothing, is_half())
    return _plain(given, smoothing, None, (False, False, False))[0]


def _runs(given: Given) -> bool:
    plain = all(type(t) in (Tensor, nn.Parameter) for t in given[:3] if t is not None)
    return plain and kernels.supports(*given[:3])


def _sum(losses: Tensor, factors: Tensor) -> Tensor:
    return (losses.double() @ factors.double()).to(losses.dtype)


class _Loss(torch.autograd.Function):
    """The loss, its gradients made with it."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, targets: Tensor, factors: Tensor, smoothing: float
    ) -> Tensor:
        given, need = Given(x, weight, bias, targets), tuple(ctx.needs_input_grad[:3])
        if _runs(given):
            found, gradients = kernels.losses_and_gradients(given, smoothing, factors, need, is_half())
        else:
            found, gradients = _plain(given, smoothing, factors, need)
        ctx.smoothing = smoothing
        ctx.save_for_backward(*given, factors, *gradients)
        return _sum(found, factors)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, bias, targets, factors, *found = ctx.saved_tensors
        if torch.is_grad_enabled():
            given = Given(x, weight, bias, targets)
            slow, wanted = partial(_total, given, ctx.smoothing, factors), ctx.needs_input_grad[:3]
            return *second.gradients(slow, given[:3], wanted, [gradient]), None, None, None
        if float(gradient) != 1:
            found = [None if t is None else t * gradient for t in found]
        return *found, None, None, None


class _Losses(torch.autograd.Function):
    """The loss of each row; the gradients are made when it is known how much each counts."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, targets: Tensor, smoothing: float) -> Tensor:
        ctx.smoothing, ctx.half = smoothing, is_half()
        ctx.save_for_backward(x, weight, bias, targets)
        return losses(Given(x, weight, bias, targets), smoothing)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        given, need = Given(*ctx.saved_tensors), tuple(ctx.needs_input_grad[:3])
        if torch.is_grad_enabled():
            slow = partial(_each, given, ctx.smoothing)
            return *second.gradients(slow, given[:3], need, [gradient]), None, None
        if _runs(given):
            factors = gradient.contiguous()
            _, found = kernels.losses_and_gradients(given, ctx.smoothing, factors, need, ctx.half)
        else:
            _, found = _plain(given, ctx.smoothing, gradient, need)
        return *found, None, None


def _each(given: Given, smoothing: float) -> list[Tensor]:
    """The losses by torch's own functions."""
    return [_whole(given, smoothing)]


def _total(given: Given, smoothing: float, factors: Tensor) -> list[Tensor]:
    """The loss by torch's own functions."""
    return [_whole(given, smoothing) @ factors]


def _whole(given: Given, smoothing: float) -> Tensor:
    """The loss of each row by torch's own functions."""
    logits = functional.linear(*given[:3])
    return functional.cross_entropy(logits, given.targets, reduction="none", label_smoothing=smoothing)


def _plain(given: Given, smoothing: float, factors: Tensor | None, need: tuple[bool, ...]) -> tuple[Tensor, Gradients]:
    """The losses and, where there are factors, the gradients that are needed, as `kernels` does, in plain torch."""
    x, weight, bias, targets = given
    words = len(weight)
    kernels.check_targets(targets, words)
    found = x.new_empty(len(x))
    dx = torch.empty_like(x) if need[0] else None
    dweight = torch.zeros_like(weight) if need[1] else None
    dbias = torch.zeros_like(bias) if need[2] and bias is not None else None
    step = kernels.chunk(len(x), words, half=False)
    for start in range(0, len(x), step):
        rows = slice(start, start + step)
        part, y = x[rows], targets[rows].unsqueeze(1)
        logs = functional.linear(part, weight, bias).to(x.dtype).log_softmax(1)
        hit = logs.gather(1, y).squeeze(1)
        found[rows] = -(1 - smoothing) * hit - smoothing * logs.mean(1) if smoothing else -hit
        if factors is None:
            continue
        d = logs.exp_().sub_(smoothing / words)
        d.scatter_add_(1, y, d.new_full(y.shape, smoothing - 1)).mul_(factors[rows].unsqueeze(1))
        if dx is not None:
            dx[rows] = (d @ weight).to(x.dtype)
        if dweight is not None:
            dweight += d.t() @ part
        if dbias is not None:
            dbias += d.sum(0)
    return found, Gradients(dx, dweight, dbias)
