"""Ways to draw a cell's weights, so that the gradient does not vanish before training has begun.

Each function changes a cell in place and returns nothing. They find a block by its name in `cell.blocks`, and what a
gate does by `cell.keeps` and `cell.writes`, so they work for every cell whose weights are `weight_ih` and `weight_hh`
and whose biases are `bias_ih` and `bias_hh`; an element-wise recurrence has the first of each. Where one does not
apply it raises `BadOption`, and changes nothing.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor, nn

from unrolled.cells.base import Cell
from unrolled.cells.elementwise import ElementwiseLinear
from unrolled.errors import BadOption


def initialise_(
    cell: Cell,
    how: Literal["uniform", "orthogonal"] = "uniform",
    *,
    forget_bias: float | None = None,
    chrono: int | None = None,
) -> None:
    """Draw all weights anew, then set the gates' biases.

    Args:
        cell: any recurrence.
        how: "uniform" is what the cell's constructor does; "orthogonal" is `orthogonal_` for what meets the hidden
            state (nothing, where the recurrence is element-wise), `xavier_` for what meets the input, and zeros for
            the biases.
        forget_bias: for `forget_bias_`, where not None.
        chrono: for `chrono_`, where not None. Not together with `forget_bias`, since both set the same biases.
    """
    if how not in ("uniform", "orthogonal"):
        raise BadOption(f"initialisation must be 'uniform' or 'orthogonal', not {how!r}")
    if forget_bias is not None and chrono is not None:
        raise BadOption("forget_bias and chrono set the same biases: give one of them")
    if chrono is not None:
        _check_chrono(cell, chrono)
    if forget_bias is not None:
        _check_forget_bias(cell)
    if how == "orthogonal":
        for name in _known(cell, "weight"):
            _parameter(cell, name)
    cell.reset_parameters()
    if how == "orthogonal":
        xavier_(cell)
        if "weight_hh" in _known(cell, "weight"):
            orthogonal_(cell)
        for name, parameter in cell.named_parameters(recurse=False):
            if name.startswith("bias"):
                nn.init.zeros_(parameter)
    if forget_bias is not None:
        forget_bias_(cell, forget_bias)
    if chrono is not None:
        chrono_(cell, chrono)


@torch.no_grad()
def uniform_(cell: Cell) -> None:
    """Every weight and bias from U(-1/sqrt(hidden), 1/sqrt(hidden)): what `torch.nn`'s recurrent modules do.

    It does not know of weights with another purpose, as a normalisation's gains: `cell.reset_parameters` does.
    """
    bound = 1 / math.sqrt(cell.hidden_size)
    for parameter in cell.parameters(recurse=False):
        nn.init.uniform_(parameter, -bound, bound)


@torch.no_grad()
def xavier_(cell: Cell, gain: float = 1.0) -> None:
    """Each block of the input weight from U(-a, a), a = gain * sqrt(6 / (input + hidden)), Glorot & Bengio 2010.

    Block by block, since each gate is a layer of its own: taken as one matrix, four gates would have weights too small.
    """
    weight_ih = _parameter(cell, "weight_ih")
    for name in cell.blocks:
        nn.init.xavier_uniform_(_rows(cell, weight_ih, name), gain)


@torch.no_grad()
def orthogonal_(cell: Cell, gain: float = 1.0) -> None:
    """Each block of the recurrent weight an orthogonal matrix times `gain`.

    An orthogonal matrix keeps a vector's norm, so that a product of many of them neither vanishes nor explodes
    (Saxe, McClelland & Ganguli 2014, arXiv:1312.6120; for recurrence Arjovsky, Shah & Bengio 2016, arXiv:1511.06464).
    Where h is projected, the blocks have more rows than columns, and still keep its norm; the projection `weight_hr`,
    through which the recurrence passes too, gets orthonormal rows.
    """
    weight_hh = _parameter(cell, "weight_hh")
    for name in cell.blocks:
        nn.init.orthogonal_(_rows(cell, weight_hh, name), gain)
    if isinstance(projection := getattr(cell, "weight_hr", None), Tensor):
        nn.init.orthogonal_(projection, gain)


@torch.no_grad()
def forget_bias_(cell: Cell, value: float = 1.0) -> None:
    """The forget gate's bias, summed over the bias vectors, is `value`: the gate begins open.

    Gers, Schmidhuber & Cummins 2000; Jozefowicz, Zaremba & Sutskever 2015. Raises `BadOption` where the cell has
    no forget gate or no bias.
    """
    _check_forget_bias(cell)
    _set_bias(cell, "f", value)


@torch.no_grad()
def chrono_(cell: Cell, longest: int) -> None:
    """Chrono initialisation: units that remember for 1 to `longest` steps, each a time of its own.

        b_f = log(u), b_i = -b_f, u from U(1, longest - 1)

    Tallec & Ollivier 2018, arXiv:1804.11188. A forget gate with bias b, and nothing else to move it, forgets in about
    1 + exp(b) steps. The equations are the paper's for an LSTM; for a cell where one gate weighs old against new (a
    GRU, coupled gates) the paper has the gate that writes begin at -log(u), which is the gate that keeps at log(u).
    The bias is the sum of the cell's bias vectors. Raises `BadOption` where the cell has no such gates, or no
    bias, and where `longest` is below 3.
    """
    _check_chrono(cell, longest)
    log_u = _biases(cell)[0].new_empty(cell.hidden_size).uniform_(1, longest - 1).log_()
    for name in cell.keeps:
        _set_bias(cell, name, log_u)
    for name in cell.writes:
        _set_bias(cell, name, -log_u)


def _check_forget_bias(cell: Cell) -> None:
    if "f" not in cell.keeps:
        gates = ", ".join(cell.blocks)
        raise BadOption(f"{type(cell).__name__} has no forget gate whose bias could be set; its blocks are {gates}")
    _biases(cell)


def _check_chrono(cell: Cell, longest: int) -> None:
    if not (cell.keeps or cell.writes):
        raise BadOption(f"{type(cell).__name__} has no gate that keeps or writes its state: chrono does not apply")
    if longest < 3:
        raise BadOption(f"chrono needs the longest time to remember, 3 steps or more, not {longest}")
    _biases(cell)


def _set_bias(cell: Cell, block: str, value: Tensor | float) -> None:
    bias_ih, *others = _biases(cell)
    _rows(cell, bias_ih, block).copy_(torch.as_tensor(value))
    for bias in others:
        _rows(cell, bias, block).zero_()


def _rows(cell: Cell, parameter: Tensor, block: str) -> Tensor:
    size = parameter.shape[0] // len(cell.blocks)
    start = cell.blocks.index(block) * size
    return parameter[start : start + size]


def _parameter(cell: Cell, name: str) -> Tensor:
    parameter = getattr(cell, name, None)
    if not isinstance(parameter, Tensor):
        raise BadOption(f"{type(cell).__name__} has no {name}: only 'uniform' can initialise it")
    return parameter


def _known(cell: Cell, kind: str) -> tuple[str, ...]:
    """The names of its weights, or of its biases; an element-wise recurrence has those of the input alone."""
    return (f"{kind}_ih",) if isinstance(cell, ElementwiseLinear) else (f"{kind}_ih", f"{kind}_hh")


def _biases(cell: Cell) -> list[Tensor]:
    names = _known(cell, "bias")
    found = [bias for name in names if isinstance(bias := getattr(cell, name, None), Tensor)]
    if len(found) < len(names):
        raise BadOption(f"this {type(cell).__name__} was made without biases, so no gate's bias can be set")
    return found
