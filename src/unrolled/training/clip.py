"""Gradients that explode are shortened; gradients that are not finite stop the step before it is taken."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from unrolled.errors import NotFinite
from unrolled.tasks.base import Task


@torch.no_grad()
def clip(parameters: Sequence[nn.Parameter], longest: float) -> Tensor:
    """Shorten the gradient, all parameters taken as one vector, to a norm of at most `longest` (0: leave it).

        g <- g * longest / |g|    where |g| > longest

    Returns its norm before, a scalar; NaN or infinite where the gradient is. Pascanu, Mikolov & Bengio 2013,
    arXiv:1211.5063, algorithm 1.
    """
    gradients = [p.grad for p in parameters if p.grad is not None]
    if not gradients:
        return torch.zeros(())
    norm = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients)))
    if longest and norm > longest:
        torch._foreach_mul_(gradients, longest / norm)
    return norm


def explain(task: Task, encoded: Sequence[Any], examples: Sequence[Any], what: str, step: int) -> NotFinite:
    """The error for a batch whose loss or gradient is not finite: it names the examples that do it alone, or all.

    Where there are none, the batch is a stretch of a text.
    """
    guilty = [example for e, example in zip(encoded, examples, strict=True) if not _finite_alone(task, e)]
    named = guilty or list(examples)
    places = "; ".join(_name(example) for example in named[:20]) + ("; …" if len(named) > 20 else "")
    who = f"{len(guilty)} of the batch's {len(examples)} examples do it alone" if guilty else "the batch's examples"
    advice = "train anew with a lower learning_rate or clip_norm."
    if examples:
        advice = f"{who}: {places}. Look at these examples; if nothing is wrong with them, {advice}"
    return NotFinite(f"the {what} is not finite at step {step}; the weights are those before the step; {advice}")


def _finite_alone(task: Task, encoded: Any) -> bool:
    task.zero_grad()
    loss = task.loss(task.collate([encoded])).total
    if not torch.isfinite(loss):
        return False
    loss.backward()
    finite = all(bool(torch.isfinite(p.grad).all()) for p in task.parameters() if p.grad is not None)
    task.zero_grad()
    return finite


def _name(example: Any) -> str:
    if example.origin is not None:
        return str(example.origin)
    shown = repr(getattr(example, "text", None) or " ".join(getattr(example, "tokens", ())))
    return shown if len(shown) <= 60 else shown[:59] + "…"
