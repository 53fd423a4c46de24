"""What the hand-worked steps share: plain floats in, plain floats out, no tensor in between."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import pytest
import torch

from unrolled.cells.base import Cell


class Plain:
    """Arithmetic on Python's floats, and a cell's weights as lists by block name."""

    @staticmethod
    def sigmoid(a: float) -> float:
        return 1 / (1 + math.exp(-a))

    @staticmethod
    def dot(a: Sequence[float], b: Sequence[float]) -> float:
        return sum(p * q for p, q in zip(a, b, strict=True))

    @staticmethod
    def blocks(cell: Cell, parameter: str) -> dict[str, list]:
        """A parameter's rows, by the names that the cell's docstring gives them."""
        values = getattr(cell, parameter).tolist()
        size = len(values) // len(cell.blocks)
        return {name: values[k * size : (k + 1) * size] for k, name in enumerate(cell.blocks)}


@pytest.fixture
def plain() -> Plain:
    return Plain()


@pytest.fixture
def put() -> Callable[..., None]:
    """Put plain numbers into a cell's parameters; every parameter must be given."""

    def put_(cell: Cell, **values: list) -> None:
        cell.double()
        assert set(values) == {name for name, _ in cell.named_parameters()}
        with torch.no_grad():
            for name, value in values.items():
                parameter = getattr(cell, name)
                assert parameter.shape == torch.tensor(value).shape
                parameter.copy_(torch.tensor(value, dtype=torch.float64))

    return put_


@pytest.fixture
def drawn() -> Callable[[Cell], Cell]:
    """The cell in float64, each weight drawn anew, also those that begin at 0 or 1."""

    def drawn_(cell: Cell) -> Cell:
        cell.double()
        for parameter in cell.parameters():
            torch.nn.init.uniform_(parameter, -0.9, 0.9)
        return cell

    return drawn_
