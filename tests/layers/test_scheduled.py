"""Scheduled sampling: what is read is the truth or the decoder's own words, by the given odds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch.nn.utils.rnn import pad_packed_sequence

from unrolled.errors import BadOption
from unrolled.layers import scheduled
from unrolled.layers.encoder_decoder import EncoderDecoder

WAYS: dict[str, dict[str, Any]] = {
    "before": {},
    "between": {"place": "between", "layers": 2},
    "fed": {"place": "after", "readout": "context", "feeding": "input"},
}


def greedy(one: EncoderDecoder, batch: Any, row: int) -> list[int]:
    """What the decoder says if it reads its own words, as many as the target has."""
    memory = batch.only(row).memory(one)
    state, said = memory.state, [int(batch.read[row][0])]
    while len(said) < len(batch.read[row]):
        logits, state = one.step(torch.tensor(said[-1:]), state, memory)
        said.append(int(logits.argmax()))
    return said


def rows_of(packed: Any) -> list[list[int]]:
    found, lengths = pad_packed_sequence(packed, batch_first=True)
    return [row[:n].tolist() for row, n in zip(found, lengths.tolist(), strict=True)]


@pytest.fixture(params=WAYS)
def case(
    request: pytest.FixtureRequest, network: Callable[..., EncoderDecoder], pairs: Callable[..., Any]
) -> tuple[EncoderDecoder, Any]:
    return network(**WAYS[request.param]), pairs()


@pytest.mark.parametrize("way", [scheduled.in_turn, scheduled.two_pass, scheduled.sampled])
def test_with_probability_0_the_truth_is_read(way: Callable[..., Any], case: tuple[EncoderDecoder, Any]) -> None:
    one, batch = case
    _, read, _ = batch.packed()
    assert torch.equal(way(one, batch.memory(one), read, 0.0).data, read.data)


def test_in_turn_with_probability_1_is_the_decoder_left_alone(case: tuple[EncoderDecoder, Any]) -> None:
    one, batch = case
    _, read, _ = batch.packed()
    found = rows_of(scheduled.in_turn(one, batch.memory(one), read, 1.0))
    assert found == [greedy(one, batch, row) for row in range(4)]


def test_two_passes_with_probability_1_read_what_follows_the_truth(case: tuple[EncoderDecoder, Any]) -> None:
    one, batch = case
    _, read, _ = batch.packed()
    memory = batch.memory(one)
    found = rows_of(scheduled.two_pass(one, memory, read, 1.0))
    said = rows_of(read._replace(data=one.predictions(memory, read)))
    assert found == [[1, *row[:-1]] for row in said]


def test_the_way_is_chosen_by_whether_the_decoder_loops(case: tuple[EncoderDecoder, Any]) -> None:
    one, batch = case
    _, read, _ = batch.packed()
    way = scheduled.in_turn if one.options.feeding == "input" else scheduled.two_pass
    found = scheduled.sampled(one, batch.memory(one), read, 0.5, torch.Generator().manual_seed(3))
    wanted = way(one, batch.memory(one), read, 0.5, torch.Generator().manual_seed(3))
    assert torch.equal(found.data, wanted.data)


def test_the_loss_of_what_was_sampled_has_gradients(case: tuple[EncoderDecoder, Any]) -> None:
    one, batch = case
    _, read, said = batch.packed()
    memory = batch.memory(one)
    mixed = scheduled.sampled(one, memory, read, 0.5)
    assert not mixed.data.requires_grad
    one.loss(memory, mixed, said).backward()
    assert one.target.weight.grad is not None


def test_about_so_many_are_replaced_and_the_same_for_one_seed() -> None:
    predicted, gold = torch.ones(10_000, dtype=torch.int64), torch.zeros(10_000, dtype=torch.int64)
    found = scheduled.mix(predicted, gold, 0.3, torch.Generator().manual_seed(1))
    assert abs(found.float().mean().item() - 0.3) < 0.02  # more than four standard deviations
    assert torch.equal(found, scheduled.mix(predicted, gold, 0.3, torch.Generator().manual_seed(1)))
    assert torch.equal(scheduled.mix(predicted, gold, 1.0), predicted)


@pytest.mark.parametrize("probability", [-0.1, 1.1, float("nan")])
def test_odds_that_cannot_be_are_refused(probability: float) -> None:
    with pytest.raises(BadOption, match="the probability of reading a prediction must be from 0 to 1"):
        scheduled.mix(torch.ones(3), torch.zeros(3), probability)
