"""Cells by name, and layers of them on top of each other: what a task's options say its network is made of."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal

from unrolled.cells.base import Cell
from unrolled.cells.initialise import initialise_
from unrolled.errors import UnknownName
from unrolled.layers.dropout import LockedDropout
from unrolled.layers.recurrent import Bidirectional, Layer, Recurrent, Residual, Stack
from unrolled.lookup import NameIn, find

CellName = Annotated[str, NameIn("unrolled.cells", Cell, "cell")]
"""The name of a file in `cells/`."""


def make_cell(
    name: str,
    size: int,
    hidden: int,
    options: Mapping[str, Any] | None = None,
    *,
    initialisation: Literal["orthogonal", "uniform"],
    forget_bias: float,
    chrono: int | None = None,
) -> Cell:
    """A cell, initialised.

    Args:
        name: of a file in `cells/`.
        size, hidden: features that it reads, and its units.
        options: further keywords of its constructor.
        initialisation, chrono: as `initialise_` has them.
        forget_bias: the same, where the cell has such a gate and `chrono` is None.

    Raises `UnknownName` for a cell, or an option of it, that is none.
    """
    made: Any = find("unrolled.cells", name, Cell, "cell")
    given = options or {}
    known = [p.name for p in inspect.signature(made).parameters.values() if p.kind is inspect.Parameter.KEYWORD_ONLY]
    for option in given:
        if option not in known:
            raise UnknownName(f"option of the cell {name}", option, known)
    cell: Cell = made(size, hidden, **given)
    bias = forget_bias if chrono is None and _has_forget_bias(cell) else None
    initialise_(cell, initialisation, forget_bias=bias, chrono=chrono)
    return cell


def _has_forget_bias(cell: Cell) -> bool:
    """Whether the cell has a forget gate, by name and by what it does, and a bias to open it with."""
    return "f" in cell.keeps and getattr(cell, "bias_ih", None) is not None


def make_stack(
    size: int,
    make: Callable[[int], Cell],
    *,
    layers: int,
    directions: Literal["both", "forward"],
    connections: Literal["plain", "residual"],
    dropout: float,
) -> Stack:
    """Layers of cells on top of each other.

    Args:
        size: features of an element that the lowest layer reads.
        make: a cell that reads so many features.
        layers: how many.
        directions: `both`: each layer reads forwards and backwards, and shows both side by side.
        connections: `residual`: each layer that gives as many features as it reads adds them to its output.
        dropout: the probability with which a feature is dropped between layers, for a whole row.
    """
    made: list[Layer] = []
    for _ in range(layers):
        layer: Layer = Bidirectional(make(size), make(size)) if directions == "both" else Recurrent(make(size))
        if connections == "residual" and layer.input_size == layer.output_size:
            layer = Residual(layer)
        made.append(layer)
        size = layer.output_size
    return Stack(made, between=LockedDropout(dropout))
