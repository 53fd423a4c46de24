"""The bridge: each kind by its equation, for states of one tensor and of two, for stacks of unequal depth."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.utils.rnn import pack_sequence

from unrolled import state as states
from unrolled.cells.base import Cell
from unrolled.cells.gru import GRU
from unrolled.cells.lstm import LSTM
from unrolled.errors import BadOption
from unrolled.layers.bridge import Bridge
from unrolled.layers.embedding import Embedding
from unrolled.layers.encoder import Encoder, Heard, padded
from unrolled.layers.stack import make_stack

CELLS: dict[str, Any] = {"gru": GRU, "lstm": LSTM}


def encoder(kind: str, layers: int = 1, directions: str = "both") -> Encoder:
    stack = make_stack(
        3, lambda n: CELLS[kind](n, 2), layers=layers, directions=directions, connections="plain", dropout=0.0
    )
    return Encoder(Embedding(10, 3), stack)


def run(bridge: Bridge, one: Encoder) -> tuple[Any, Any, tuple[Any, ...]]:
    encoded = one(pack_sequence([torch.tensor([3, 4]), torch.tensor([5, 6, 7, 8])], enforce_sorted=False))
    return encoded.outputs, encoded.final, bridge(*encoded)


def ends(final: Any, layer: int, place: int) -> Tensor:
    return torch.cat([states.leaves(direction)[place] for direction in final[layer]], dim=1)


@pytest.mark.parametrize("kind", CELLS)
def test_last_hands_over_what_fits_and_maps_what_does_not(kind: str) -> None:
    one = encoder(kind)
    fitting, other = [CELLS[kind](5, 4)], [CELLS[kind](5, 7)]
    bridge = Bridge("last", one, fitting)
    assert not list(bridge.parameters())
    _, final, (state,) = run(bridge, one)
    for place, leaf in enumerate(states.leaves(state)):
        assert torch.equal(leaf, ends(final, 0, place))
    bridge = Bridge("last", one, other)
    _, final, (state,) = run(bridge, one)
    for place, (leaf, linear) in enumerate(zip(states.leaves(state), bridge.maps, strict=True)):
        torch.testing.assert_close(leaf, ends(final, 0, place) @ linear.weight.T)


@pytest.mark.parametrize("kind", CELLS)
def test_learnt_is_the_tanh_of_a_linear_map_of_the_last_states(kind: str) -> None:
    one = encoder(kind)
    bridge = Bridge("learnt", one, [CELLS[kind](5, 7)])
    _, final, (state,) = run(bridge, one)
    for place, (leaf, linear) in enumerate(zip(states.leaves(state), bridge.maps, strict=True)):
        torch.testing.assert_close(leaf, (ends(final, 0, place) @ linear.weight.T + linear.bias).tanh())


@pytest.mark.parametrize("kind", CELLS)
def test_mean_is_the_tanh_of_a_linear_map_of_the_mean_annotation(kind: str) -> None:
    one = encoder(kind)
    bridge = Bridge("mean", one, [CELLS[kind](5, 7), CELLS[kind](7, 7)])
    outputs, _, state = run(bridge, one)
    rows, _, lengths = padded(outputs)
    mean = torch.stack([row[:n].mean(0) for row, n in zip(rows, lengths.tolist(), strict=True)])
    for leaf, linear in zip(states.leaves(state), bridge.maps, strict=True):
        torch.testing.assert_close(leaf, (mean @ linear.weight.T + linear.bias).tanh())


@pytest.mark.parametrize("kind", CELLS)
def test_zero_is_the_cells_own_first_state(kind: str) -> None:
    one, cells = encoder(kind), [CELLS[kind](5, 7)]
    bridge = Bridge("zero", one, cells)
    _, _, (state,) = run(bridge, one)
    for leaf, wanted in zip(states.leaves(state), states.leaves(cells[0].initial_state(2)), strict=True):
        assert torch.equal(leaf, wanted)


@pytest.mark.parametrize(
    ("below", "above", "wanted"), [(1, 3, [0, 0, 0]), (2, 2, [0, 1]), (3, 2, [1, 2]), (3, 1, [2]), (2, 3, [0, 0, 1])]
)
def test_topmost_goes_to_topmost(below: int, above: int, wanted: list[int]) -> None:
    one, cells = encoder("lstm", below), [LSTM(4, 4) for _ in range(above)]
    made: list[Cell] = list(cells)
    _, final, state = run(Bridge("last", one, made), one)
    for layer, source in zip(state, wanted, strict=True):
        for place, leaf in enumerate(layer):
            assert torch.equal(leaf, ends(final, source, place))


def test_a_state_stays_nested_as_the_cell_has_it() -> None:
    for kind, nested in (("gru", Tensor), ("lstm", tuple)):
        one = encoder(kind, directions="forward")
        _, _, (state,) = run(Bridge("learnt", one, [CELLS[kind](5, 4)]), one)
        assert isinstance(state, nested)


@pytest.mark.parametrize("kind", CELLS)
def test_without_final_states_a_decoder_begins_at_the_mean_or_at_nothing(kind: str) -> None:
    heard, cells = Heard(4), [CELLS[kind](3, 2), CELLS[kind](2, 2)]
    outputs, final = heard(pack_sequence([torch.randn(n, 4) for n in (3, 2)]))
    bridge = Bridge("mean", heard, cells)
    mean = torch.stack([row.mean(0) for row in torch.nn.utils.rnn.unpack_sequence(outputs)])
    made = states.leaves(bridge(outputs, final))
    assert len(made) == len(list(bridge.maps)) == 2 * len(states.leaves(cells[0].initial_state(1)))
    for leaf, apply in zip(made, bridge.maps, strict=True):
        torch.testing.assert_close(leaf, apply(mean).tanh())
    assert all(not leaf.any() for leaf in states.leaves(Bridge("zero", heard, cells)(outputs, final)))
    for needy in ("last", "learnt"):
        with pytest.raises(BadOption, match=f"there are no final states for a bridge of kind '{needy}'"):
            Bridge(needy, heard, cells)
