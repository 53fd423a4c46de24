from __future__ import annotations

import pytest
import torch
from torch.nn.utils.rnn import PackedSequence, pack_sequence

import unrolled.state as states
from unrolled.cells.elman import Elman
from unrolled.cells.lstm import LSTM
from unrolled.unroll.scan import unroll

LENGTHS = (3, 5, 1, 3)


def ragged(size: int = 3, *, enforce_sorted: bool = False, lengths: tuple[int, ...] = LENGTHS) -> PackedSequence:
    rows = [torch.randn(length, size, dtype=torch.float64) for length in lengths]
    return pack_sequence(rows, enforce_sorted=enforce_sorted)


class Sum(Elman):
    """h_t = h_{t-1} + x_t, without a nonlinearity: what a scan of it must give can be seen."""

    def step(self, px, state):
        return px + state, px + state

    def project(self, x):
        return x


def test_a_sum_over_time_is_known() -> None:
    rows = [torch.tensor([[1.0], [2.0], [3.0]]), torch.tensor([[10.0]]), torch.tensor([[5.0], [6.0]])]
    packed = pack_sequence(rows, enforce_sorted=False)
    outputs, final = unroll(Sum(1, 1), packed)
    # Packed order, longest first: 1 2 3 | 5 6 | 10; time-major.
    assert outputs.data.flatten().tolist() == [1, 5, 10, 3, 11, 6]
    assert final.flatten().tolist() == [6, 11, 10]
    _, final = unroll(Sum(1, 1), packed, torch.tensor([[100.0], [200.0], [300.0]]))
    assert final.flatten().tolist() == [106, 211, 310]


def test_it_agrees_with_torchs_lstm_on_a_packed_batch() -> None:
    cell = LSTM(3, 4, dtype=torch.float64)
    torchs = torch.nn.LSTM(3, 4, dtype=torch.float64)
    torchs.load_state_dict({f"{name}_l0": value for name, value in cell.state_dict().items()})
    x = ragged()
    h, c = torch.randn(4, 4, dtype=torch.float64), torch.randn(4, 4, dtype=torch.float64)
    expected, (h_torch, c_torch) = torchs(x, (h[None], c[None]))  # h, c and what comes back: in the caller's order
    outputs, final = unroll(cell, x, states.select((h, c), x.sorted_indices))
    torch.testing.assert_close(outputs.data, expected.data, rtol=1e-12, atol=1e-12)
    final = states.select(final, x.unsorted_indices)
    torch.testing.assert_close(final, (h_torch[0], c_torch[0]), rtol=1e-12, atol=1e-12)


def test_no_state_is_the_initial_state() -> None:
    cell, x = LSTM(3, 4, dtype=torch.float64), ragged()
    torch.testing.assert_close(unroll(cell, x), unroll(cell, x, cell.initial_state(len(LENGTHS))), rtol=0, atol=0)


@pytest.mark.parametrize("enforce_sorted", [True, False])
def test_the_outputs_are_packed_as_the_input_is(enforce_sorted: bool) -> None:
    x = ragged(enforce_sorted=enforce_sorted, lengths=(5, 3, 3, 1))
    outputs, _ = unroll(LSTM(3, 4, dtype=torch.float64), x)
    assert torch.equal(outputs.batch_sizes, x.batch_sizes)
    assert outputs.data.shape == (12, 4)
    for mine, theirs in (
        (outputs.sorted_indices, x.sorted_indices),
        (outputs.unsorted_indices, x.unsorted_indices),
    ):
        assert (mine is None and theirs is None) or torch.equal(mine, theirs)


def test_a_row_that_has_ended_is_not_computed() -> None:
    seen: list[int] = []

    class Watched(LSTM):
        def step(self, px, state):
            seen.append(len(px))
            return super().step(px, state)

    unroll(Watched(3, 4).double(), ragged())
    assert seen == [4, 3, 3, 1, 1]  # lengths 5, 3, 3, 1
    assert sum(seen) == sum(LENGTHS)


def test_the_input_half_is_computed_once() -> None:
    calls: list[int] = []

    class Watched(LSTM):
        def project(self, x):
            calls.append(len(x))
            return super().project(x)

    unroll(Watched(3, 4).double(), ragged())
    assert calls == [sum(LENGTHS)]


def test_the_caller_keeps_its_state() -> None:
    cell, x = LSTM(3, 4, dtype=torch.float64), ragged()
    state = (torch.randn(4, 4, dtype=torch.float64), torch.randn(4, 4, dtype=torch.float64))
    before = states.tree_map(torch.clone, state)
    unroll(cell, x, state)
    torch.testing.assert_close(state, before, rtol=0, atol=0)


def test_a_batch_of_one_and_a_sequence_of_one() -> None:
    cell = LSTM(3, 4, dtype=torch.float64)
    x = ragged(lengths=(1,))
    outputs, (h, _) = unroll(cell, x)
    expected, _ = cell.step(cell.project(x.data), cell.initial_state(1))
    assert torch.equal(outputs.data, expected)
    assert torch.equal(h, expected)
