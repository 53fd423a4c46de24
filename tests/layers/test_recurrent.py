"""Layers made of cells: against torch's own stacks, and against a loop over single rows."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import PackedSequence, pack_sequence

from unrolled import state as states
from unrolled.cells.base import Cell
from unrolled.cells.elman import Elman
from unrolled.cells.gru import GRU
from unrolled.cells.lstm import LSTM
from unrolled.errors import BadOption
from unrolled.layers.dropout import LockedDropout
from unrolled.layers.recurrent import Bidirectional, Layer, Recurrent, Residual, Stack
from unrolled.lookup import find, names

LENGTHS = (3, 6, 1, 4)
CELLS = names("unrolled.cells", Cell)


def batch(features: int = 5, lengths: tuple[int, ...] = LENGTHS) -> tuple[list[torch.Tensor], PackedSequence]:
    rows = [torch.randn(length, features, dtype=torch.float64) for length in lengths]
    return rows, pack_sequence(rows, enforce_sorted=False)


def cell(name: str, input_size: int = 5, hidden_size: int = 4) -> Cell:
    made: Cell = find("unrolled.cells", name, Cell, "cell")(input_size, hidden_size)
    return made.double()


def rows_of(packed: PackedSequence) -> list[torch.Tensor]:
    padded, lengths = nn.utils.rnn.pad_packed_sequence(packed, batch_first=True)
    return [row[:length] for row, length in zip(padded, lengths, strict=True)]


def close(a: torch.Tensor, b: torch.Tensor) -> bool:
    return torch.allclose(a, b, atol=1e-10, rtol=0)


@pytest.mark.parametrize("name", CELLS)
def test_a_layer_gives_each_row_what_it_gives_it_alone_in_the_callers_order(name: str) -> None:
    layer = Recurrent(cell(name))
    rows, packed = batch()
    outputs, final = layer(packed)
    for number, row in enumerate(rows):
        alone, end = layer(pack_sequence([row]))
        assert close(rows_of(outputs)[number], alone.data)
        for mine, its in zip(states.leaves(final), states.leaves(end), strict=True):
            assert close(mine[number], its[0])


def test_a_state_is_taken_and_given_back_in_the_callers_order() -> None:
    layer = Recurrent(cell("lstm"))
    rows, packed = batch()
    start = (torch.randn(4, 4, dtype=torch.float64), torch.randn(4, 4, dtype=torch.float64))
    _, final = layer(packed, start)
    for number, row in enumerate(rows):
        _, end = layer(pack_sequence([row]), states.select(start, torch.tensor([number])))
        assert close(final[0][number], end[0][0])
        assert close(final[1][number], end[1][0])


@pytest.mark.parametrize(("kind", "twin"), [(LSTM, nn.LSTM), (GRU, nn.GRU), (Elman, nn.RNN)])
def test_a_stack_of_both_directions_is_torchs_bidirectional_stack(kind: type[Cell], twin: type[nn.Module]) -> None:
    stack = Stack([Bidirectional(kind(5, 4), kind(5, 4)), Bidirectional(kind(8, 4), kind(8, 4))]).double()
    torchs = twin(5, 4, num_layers=2, bidirectional=True).double()
    for level in range(2):
        for side, ending in (("ahead", ""), ("back", "_reverse")):
            own = stack.get_submodule(f"layers.{level}.{side}.cell")
            for name, parameter in own.named_parameters():
                torchs.get_parameter(f"{name}_l{level}{ending}").data.copy_(parameter.data)
    _, packed = batch()
    outputs, final = stack(packed)
    expected, ends = torchs(packed)
    assert close(outputs.data, expected.data)
    heads = ends[0] if isinstance(ends, tuple) else ends
    mine = [states.leaves(direction)[0] for layer in final for direction in layer]
    assert close(torch.stack(mine), heads)


@pytest.mark.parametrize("name", CELLS)
def test_steps_one_by_one_give_what_the_whole_gives(name: str) -> None:
    below = Recurrent(cell(name))
    above = Recurrent(cell(name, below.output_size, below.output_size))
    keeps_size = above.output_size == above.input_size
    stack = Stack([below, Residual(above) if keeps_size else above]).eval()
    rows, packed = batch(lengths=(5,))
    whole, final = stack(packed)
    state, outputs = stack.initial_state(1), []
    for x in rows[0]:
        y, state = stack.step(x[None], state)
        outputs.append(y)
    assert close(whole.data, torch.cat(outputs))
    for mine, its in zip(states.leaves(final), states.leaves(state), strict=True):
        assert close(mine, its)


def test_a_residual_layer_adds_its_input() -> None:
    inner = Recurrent(cell("gru", 4, 4))
    _, packed = batch(features=4)
    plain, end = inner(packed)
    added, same_end = Residual(inner)(packed)
    assert torch.equal(added.data, plain.data + packed.data)
    assert torch.equal(end, same_end)


def test_sizes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(BadOption, match="a layer that reads 5 stands on one that gives 8"):
        Stack([Bidirectional(cell("lstm"), cell("lstm")), Recurrent(cell("lstm"))])
    with pytest.raises(BadOption, match="a stack needs at least one layer"):
        Stack([])
    with pytest.raises(BadOption, match="a residual layer gives what it reads: 4 is not 5"):
        Residual(Recurrent(cell("lstm")))
    with pytest.raises(BadOption, match="both directions must read the same: 5 and 6"):
        Bidirectional(cell("lstm", 5), cell("lstm", 6))


def test_what_cannot_stream_says_so() -> None:
    both: Layer = Bidirectional(cell("lstm"), cell("lstm"))
    with pytest.raises(BadOption, match="a bidirectional layer cannot stream"):
        both.step(torch.zeros(1, 5, dtype=torch.float64), both.initial_state(1))
    stack = Stack([Recurrent(cell("lstm")), Recurrent(cell("lstm", 4))], between=LockedDropout(0.5))
    with pytest.raises(BadOption, match=r"streams in evaluation mode only: call eval\(\)"):
        stack.step(torch.zeros(1, 5, dtype=torch.float64), stack.initial_state(1))
    stack.eval().step(torch.zeros(1, 5, dtype=torch.float64), stack.initial_state(1))


def test_dropout_stands_between_the_layers_and_nowhere_else() -> None:
    seen = []

    class Watch(nn.Module):
        def forward(self, x: PackedSequence) -> PackedSequence:
            seen.append(x.data.shape[1])
            return x

    _, packed = batch()
    layers = [Recurrent(cell("lstm", 5, 3)), Recurrent(cell("lstm", 3, 4)), Recurrent(cell("lstm", 4, 2))]
    Stack(layers, between=Watch())(packed)
    assert seen == [3, 4]
