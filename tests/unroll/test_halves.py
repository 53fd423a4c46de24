"""A cell that is given its input in two halves does what it does with the whole."""

from __future__ import annotations

import pytest
import torch

from unrolled import state as states
from unrolled.cells.base import Cell
from unrolled.layers.weight_drop import WeightDrop
from unrolled.lookup import find, names
from unrolled.unroll import halves

CELLS = names("unrolled.cells", Cell)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("name", CELLS)
def test_two_halves_are_the_whole(name: str, bias: bool) -> None:
    cell = find("unrolled.cells", name, Cell, "cell")(3 + 2 + 4, 6, bias=bias).double()
    x, fed, context = (torch.randn(5, n, dtype=torch.float64) for n in (3, 2, 4))
    state = states.tree_map(torch.randn_like, cell.initial_state(5))
    output, after = halves.step(cell, halves.known(cell, x), [fed, context], state)
    right, next_state = cell.step(cell.project(torch.cat([x, fed, context], dim=1)), state)
    torch.testing.assert_close(output, right)
    torch.testing.assert_close(states.leaves(after), states.leaves(next_state))


def test_what_is_known_is_worked_on_beforehand_where_it_can_be() -> None:
    gru = find("unrolled.cells", "gru", Cell, "cell")(5, 6)
    assert halves.known(gru, torch.randn(7, 3)).shape == (7, 18)
    normalised = find("unrolled.cells", "lstm_layernorm", Cell, "cell")(5, 6)
    x = torch.randn(7, 3)
    assert halves.known(normalised, x) is x
    assert halves.known(WeightDrop(gru, 0.5), x) is x
