"""A cell around another one, which changes how that one steps and nothing else."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from unrolled.cells.base import Cell, State


class Wrapped(Cell):
    """Sizes, blocks, state, projection and gates are the inner cell's; a subclass says how it steps.

    Args:
        cell: any recurrence.
    """

    def __init__(self, cell: Cell) -> None:
        super().__init__(cell.input_size, cell.hidden_size)
        self.cell = cell
        self.blocks, self.keeps, self.writes = cell.blocks, cell.keeps, cell.writes  # type: ignore[misc]

    @property
    def output_size(self) -> int:
        return self.cell.output_size

    def initial_state(self, batch: int) -> State:
        return self.cell.initial_state(batch)

    def project(self, x: Tensor) -> Tensor:
        return self.cell.project(x)

    def gates(self, px: Tensor, state: State) -> NamedTuple:
        return self.cell.gates(px, state)

    def reset_parameters(self) -> None:
        self.cell.reset_parameters()
