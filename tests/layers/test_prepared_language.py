"""A language model's step made ready once."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from unrolled import state as states
from unrolled.data.examples import Passage
from unrolled.kernels import library
from unrolled.layers.prepared_language import prepare
from unrolled.tasks.language_model import LanguageModel
from unrolled.unroll import fused

TEXT = [Passage(text="she sells sea shells by the sea shore")]
MADE: dict[str, dict[str, Any]] = {
    "lstm": {},
    "two layers": {"layers": 2},
    "gru": {"cell": "gru", "layers": 2},
    "elman": {"cell": "elman"},
    "peephole": {"cell": "lstm_peephole"},
    "weight drop": {"weight_drop": 0.5},
    "full": {"softmax": "full"},
    "own table": {"tied": False, "word_size": 5},
}
"""What our kernels run."""
OTHER: dict[str, dict[str, Any]] = {
    "mixture": {"softmax": "mixture"},
    "adaptive": {"softmax": "adaptive", "cutoffs": (6,)},
    "unknown to the kernels": {"cell": "mogrifier"},
}


def made(options: dict[str, Any]) -> LanguageModel:
    torch.manual_seed(1)
    task = LanguageModel.prepare(TEXT, tokens="characters", **{"hidden_size": 7, "word_size": 7} | options)
    return task.eval()


@pytest.mark.parametrize("rows", [1, 3])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("options", [*MADE.values(), *OTHER.values()], ids=[*MADE, *OTHER])
def test_a_step_made_ready_is_the_networks_step_to_the_last_bit(
    options: dict[str, Any], precision: Any, rows: int
) -> None:
    network = made(options).network
    with torch.no_grad(), fused.precision(precision):
        step = prepare(network, rows)
        state = other = network.initial_state(rows)
        for at in range(5):
            ids = torch.arange(rows) + at
            before = states.tree_map(torch.clone, other)
            (logits, state), (found, after) = network.step(ids, state), step(ids, other)
            assert torch.equal(logits, found)
            for a, b in zip(states.leaves(state), states.leaves(after), strict=True):
                assert torch.equal(a, b)
            assert states.tree_map(torch.equal, before, other) == states.tree_map(lambda t: True, before)
            other = after


@pytest.mark.skipif(library.load() is None, reason="there are no compiled kernels")
@pytest.mark.parametrize("options", MADE.values(), ids=MADE)
def test_what_the_kernels_run_is_made_ready(options: dict[str, Any]) -> None:
    network = made(options).network
    with torch.no_grad():
        assert prepare(network) != network.step


@pytest.mark.parametrize("options", OTHER.values(), ids=OTHER)
def test_what_the_kernels_do_not_run_is_stepped_as_before(options: dict[str, Any]) -> None:
    network = made(options).network
    with torch.no_grad():
        assert prepare(network) == network.step


def test_where_gradients_are_recorded_or_in_training_nothing_is_made_ready() -> None:
    network = made({}).network
    assert prepare(network) == network.step
    with torch.no_grad():
        assert prepare(network.train()) == network.step


@pytest.mark.skipif(library.load() is None, reason="there are no compiled kernels")
@pytest.mark.parametrize("ids", [torch.tensor([1, 1]), torch.ones(1), torch.tensor([1000])])
def test_ids_that_do_not_fit_are_refused(ids: torch.Tensor) -> None:
    network = made({}).network
    with torch.no_grad(), pytest.raises((ValueError, IndexError)):
        prepare(network)(ids, network.initial_state(1))


@pytest.mark.skipif(library.load() is None, reason="there are no compiled kernels")
def test_a_state_of_other_rows_is_refused() -> None:
    network = made({}).network
    with torch.no_grad(), pytest.raises(ValueError, match="wanted is float32 of"):
        prepare(network)(torch.tensor([1]), network.initial_state(2))
