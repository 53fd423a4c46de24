from __future__ import annotations

import re

import pytest

from unrolled.cells.base import Cell
from unrolled.cells.lstm import LSTM
from unrolled.errors import BadOption


@pytest.mark.parametrize(
    ("sizes", "message"),
    [((0, 4), "input_size must be 1 or more, not 0"), ((3, -2), "hidden_size must be 1 or more, not -2")],
)
def test_a_size_below_one_is_refused(sizes: tuple[int, int], message: str) -> None:
    with pytest.raises(BadOption, match=f"^{re.escape(message)}$"):
        LSTM(*sizes)


def test_a_cell_that_lacks_a_part_of_the_contract_cannot_be_made() -> None:
    class Half(Cell):
        blocks = ("h",)

        def project(self, x):
            return x

    with pytest.raises(TypeError, match="abstract"):
        Half(1, 1)
