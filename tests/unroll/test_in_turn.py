"""The loop: what came out at one time is read at the next, and rows leave when they end."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import pack_sequence

from unrolled.cells.gru import GRU
from unrolled.unroll import in_turn, scan


def test_a_sum_that_is_carried_by_hand() -> None:
    """Rows of 3, 2 and 1 numbers; each time the sum so far, times the row's own number, comes out."""

    def tick(given: tuple[Tensor, ...], state: Any, memory: Any) -> tuple[tuple[Tensor, ...], Any]:
        assert len(given[0]) == len(state["sum"]) == len(memory[0])
        total = state["sum"] + given[0]
        return (total * memory[0], given[1]), {"sum": total}

    numbers, second = torch.tensor([1.0, 2, 3, 4, 5, 6]), torch.arange(6)
    total, same = in_turn.run(
        tick, [numbers, second], [3, 2, 1], {"sum": torch.zeros(3)}, [torch.tensor([1.0, 10, 100])]
    )
    assert total.tolist() == [1, 20, 300, 1 + 4, 10 * (2 + 5), 1 + 4 + 6]
    assert torch.equal(same, second)


def test_a_cell_in_it_is_scan() -> None:
    cell, x = GRU(3, 4), pack_sequence([torch.randn(n, 3) for n in (5, 3, 3, 1)])

    def tick(given: tuple[Tensor, ...], state: Any, memory: Any) -> tuple[tuple[Tensor, ...], Any]:
        output, state = cell.step(given[0], state)
        return (output,), state

    (found,) = in_turn.run(tick, [cell.project(x.data)], x.batch_sizes.tolist(), cell.initial_state(4), ())
    outputs, _ = scan.unroll(cell, x)
    torch.testing.assert_close(found, outputs.data)
