"""What is written down of a model is what the model does: the same outputs, tick by tick, of every cell."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import PackedSequence, pack_sequence

from unrolled import nn as twins
from unrolled import state as states
from unrolled.cells.lstm import LSTM
from unrolled.inspection.tape import lengths, watch
from unrolled.layers.recurrent import Bidirectional, Recurrent, Stack
from unrolled.layers.weight_drop import WeightDrop
from unrolled.layers.zoneout import Zoneout


def batch(*sizes: int, features: int = 3) -> PackedSequence:
    torch.manual_seed(1)
    return pack_sequence([torch.randn(size, features) for size in sizes], enforce_sorted=False)


def test_the_ticks_of_a_cell_are_its_outputs_one_after_the_other() -> None:
    layer, x = Recurrent(LSTM(3, 4)), batch(5, 2, 3)
    outputs, _ = layer(x)
    copy, tape = watch(layer)
    again, _ = copy(x)
    (reading,) = tape["cell"].readings
    torch.testing.assert_close(again.data, outputs.data)
    torch.testing.assert_close(torch.cat([tick.output for tick in reading]), outputs.data)
    assert [tick.rows for tick in reading] == x.batch_sizes.tolist()
    assert lengths(reading) == [5, 3, 2]


def test_what_a_tick_enters_with_is_what_the_one_before_left() -> None:
    copy, tape = watch(Recurrent(LSTM(3, 4)))
    copy(batch(5, 2, 3))
    (reading,) = tape["cell"].readings
    for before, now in pairwise(reading):
        for left, entered in zip(states.leaves(before.left), states.leaves(now.entered), strict=True):
            assert torch.equal(left[: now.rows], entered)
            assert left is not entered


def test_each_run_is_a_reading_of_its_own() -> None:
    copy, tape = watch(Recurrent(LSTM(3, 4)))
    copy(batch(5, 2))
    copy(batch(4))
    assert [len(reading) for reading in tape["cell"].readings] == [5, 4]


def test_both_directions_are_watched_each_in_its_own_order() -> None:
    layer, x = Stack([Bidirectional(LSTM(3, 4), LSTM(3, 2))]), batch(4, 4)
    outputs, _ = layer(x)
    copy, tape = watch(layer)
    copy(x)
    ahead, back = (tape[f"layers.0.{side}.cell"].readings[0] for side in ("ahead", "back"))
    whole = outputs.data.view(4, 2, 6)
    torch.testing.assert_close(torch.stack([tick.output for tick in ahead]), whole[:, :, :4])
    torch.testing.assert_close(torch.stack([tick.output for tick in back]), whole.flip(0)[:, :, 4:])


def test_a_wrapped_cell_is_watched_as_one() -> None:
    layer = Recurrent(Zoneout(WeightDrop(LSTM(3, 4), 0.5), 0.1)).eval()
    copy, tape = watch(layer)
    x = batch(3, 2)
    torch.testing.assert_close(copy(x)[0].data, layer(x)[0].data)
    assert list(tape) == ["cell"]


def test_the_model_itself_is_left_alone() -> None:
    layer = Recurrent(LSTM(3, 4))
    copy, _ = watch(layer)
    assert type(layer.cell) is LSTM
    assert copy is not layer
    assert copy.cell.cell.weight_hh is not layer.cell.weight_hh


def test_one_cell_in_two_places_is_watched_once() -> None:
    shared = LSTM(3, 3)
    _, tape = watch(nn.ModuleList([Recurrent(shared), Recurrent(shared)]))
    assert list(tape) == ["0.cell"]


@pytest.mark.parametrize("made", [nn, twins], ids=["torch", "ours"])
@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
@pytest.mark.parametrize(
    "options", [{}, {"num_layers": 2, "bidirectional": True}, {"batch_first": True, "bias": False}]
)
def test_a_module_of_torch_is_read_into_cells_of_ours(made: Any, kind: str, options: dict[str, Any]) -> None:
    torch.manual_seed(2)
    module = getattr(made, kind)(3, 4, **options).double()
    copy, tape = watch(module)
    assert len(tape) == module.num_layers * (1 + module.bidirectional)
    rows = module.num_layers * (1 + module.bidirectional)
    h = torch.randn(rows, 2, 4, dtype=torch.float64)
    hx = (h, h + 1) if kind == "LSTM" else h
    packed, padded = batch(5, 2).double(), torch.randn(2, 2, 3).double()
    for x, given in ((padded, hx), (padded[0], None), (packed, hx), (packed, None)):
        (outputs, hidden), (expected, last) = copy(x, given), module(x, given)
        torch.testing.assert_close(*(y.data if isinstance(y, PackedSequence) else y for y in (outputs, expected)))
        torch.testing.assert_close(hidden, last)


@pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")
def test_a_projected_lstm_and_single_cells_of_torch_are_read_too() -> None:
    torch.manual_seed(2)
    module = nn.LSTM(3, 5, proj_size=2)
    copy, _ = watch(module)
    x = torch.randn(4, 2, 3)
    torch.testing.assert_close(copy(x), module(x))
    for kind in (nn.RNNCell, nn.LSTMCell, nn.GRUCell):
        cell = kind(3, 4)
        copy, tape = watch(nn.Sequential(cell))
        torch.testing.assert_close(copy(x[0]), cell(x[0]))
        torch.testing.assert_close(copy[0](x[0, 0], copy[0](x[0, 1])), cell(x[0, 0], cell(x[0, 1])))
        assert len(tape["0.cell"].readings[0]) == 3


def test_reading_a_module_draws_nothing() -> None:
    module = nn.LSTM(3, 4)
    before = torch.get_rng_state()
    watch(module)
    assert torch.equal(torch.get_rng_state(), before)
