"""A cell whose input has two halves: one that is known beforehand for all steps, and one that each step makes.

    W [x; r] + b = (W_x x + b) + W_r r

In a decoder the elements of the target are the first half; a context, or what was shown before, is the second. For the
cells whose half that looks at the input is such a product, `known` makes the first term for all elements at once, and
`step` adds the second. For any other cell `known` does nothing, and `step` gives the cell both halves.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from unrolled.cells.base import Cell, State
from unrolled.unroll import fused
from unrolled.unroll.product import linear


def known(cell: Cell, x: Tensor) -> Tensor:
    """What can be done with the first half. x: (elements, features), the first of the cell's input."""
    if type(cell) not in fused.KINDS:
        return x
    weights = fused._weights(cell)
    return linear(x, weights.ih[:, : x.shape[1]], weights.bias_ih)


def step(cell: Cell, share: Tensor, rest: Sequence[Tensor], state: State) -> tuple[Tensor, State]:
    """One tick.

    Args:
        cell: the one of `known`.
        share: (batch, …), what `known` gave of these elements.
        rest: each (batch, features), the rest of the input.
        state: of `batch` rows.

    Returns:
        The output, (batch, output), and the next state.
    """
    if type(cell) not in fused.KINDS:
        return cell.step(cell.project(torch.cat([share, *rest], dim=1)), state)
    made, weight = torch.cat(list(rest), dim=1) if len(rest) > 1 else rest[0], fused._weights(cell).ih
    return cell.step(share + linear(made, weight[:, -made.shape[1] :]), state)
