"""Second derivatives of what has a backward pass of its own: by computing it again in a way that torch can derive."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor


def gradients(
    slow: Callable[[], Sequence[Tensor]],
    given: Sequence[Tensor | None],
    wanted: Sequence[bool],
    came: Sequence[Tensor],
) -> list[Tensor | None]:
    """The gradients of what goes in, with a graph of their own.

    Args:
        slow: gives the same outputs from `given`, by operations that torch can derive twice.
        given: what went in; None where something optional did not.
        wanted: of each of these, whether its gradient is asked for.
        came: the gradient of each output.
    """
    asked = [t for t, want in zip(given, wanted, strict=True) if want and t is not None]
    found = iter(torch.autograd.grad(slow(), asked, came, create_graph=True, allow_unused=True))
    return [next(found) if want and t is not None else None for t, want in zip(given, wanted, strict=True)]
