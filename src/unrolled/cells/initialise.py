"""Ways to draw a cell's weights, so that the gradient does not vanish before training has begun.

Each function changes a cell in place and returns nothing. They find a gate by its name in `cell.blocks`, so they
work for every cell whose recurrent weight is `weight_hh` and whose biases are `bias_ih` and `bias_hh`.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from unrolled.cells.base import Cell
from unrolled.errors import BadOption


@torch.no_grad()
def uniform_(cell: Cell) -> None:
    """Every weight and bias from U(-1/sqrt(hidden), 1/sqrt(hidden)): what `torch.nn`'s recurrent modules do."""
    bound = 1 / math.sqrt(cell.hidden_size)
    for parameter in cell.parameters(recurse=False):
        nn.init.uniform_(parameter, -bound, bound)


@torch.no_grad()
def orthogonal_(cell: Cell, gain: float = 1.0) -> None:
    """Each square block of the recurrent weight an orthogonal matrix times `gain`.

    An orthogonal matrix keeps a vector's norm, so that a product of many of them neither vanishes nor explodes
    (Saxe, McClelland & Ganguli 2014, arXiv:1312.6120; for recurrence Arjovsky, Shah & Bengio 2016, arXiv:1511.06464).
    """
    for name in cell.blocks:
        nn.init.orthogonal_(_rows(cell, cell.weight_hh, name), gain)


@torch.no_grad()
def forget_bias_(cell: Cell, value: float = 1.0) -> None:
    """The forget gate's bias, summed over the two bias vectors, is `value`: the gate begins open.

    Gers, Schmidhuber & Cummins 2000; Jozefowicz, Zaremba & Sutskever 2015. Raises `BadOption` where the cell has
    no forget gate or no bias.
    """
    bias_ih, bias_hh = _biases(cell)
    _rows(cell, bias_ih, "f").fill_(value)
    _rows(cell, bias_hh, "f").zero_()


def _rows(cell: Cell, parameter: Tensor, block: str) -> Tensor:
    if block not in cell.blocks:
        raise BadOption(f"{type(cell).__name__} has no gate {block!r}; its blocks are {', '.join(cell.blocks)}")
    size = parameter.shape[0] // len(cell.blocks)
    start = cell.blocks.index(block) * size
    return parameter[start : start + size]


def _biases(cell: Cell) -> tuple[Tensor, Tensor]:
    if getattr(cell, "bias_ih", None) is None or getattr(cell, "bias_hh", None) is None:
        raise BadOption(f"this {type(cell).__name__} was made without biases, so no gate's bias can be set")
    return cell.bias_ih, cell.bias_hh
