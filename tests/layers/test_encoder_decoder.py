"""Encoder and decoder: all at once they give what they give step by step, and nobody's neighbours matter."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_packed_sequence

from unrolled.layers.encoder_decoder import EncoderDecoder

ATTENTIONS = ("additive", "dot", "general", "concat", "multihead")
PLACES = ("before", "between", "after")

COMBINATIONS = [
    {"attention": attention, "place": place, "feeding": feeding, "layers": layers, "connections": connections}
    for attention, place, feeding, (layers, connections) in itertools.product(
        ATTENTIONS, PLACES, ("none", "input"), ((1, "plain"), (2, "residual"), (3, "plain"))
    )
] + [
    {"attention": "none", "feeding": feeding, "vector": vector, "layers": layers}
    for feeding, vector, layers in itertools.product(("none", "input"), ("first", "every"), (1, 2))
]
COMBINATIONS += [
    {"attention": attention, "place": place, "feeding": feeding, "coverage": coverage, "copying": copying, "layers": 2}
    for attention, place, feeding, (coverage, copying) in itertools.product(
        ("additive", "concat", "multihead"),
        PLACES,
        ("none", "input"),
        (("scores", "none"), ("none", "pointer"), ("scores", "pointer")),
    )
    if coverage == "none" or attention != "multihead"
]
"""Of attention, its place and feeding all; cells, bridges and readouts take turns, so that each meets many."""

TURNS = {
    "cell": ("gru", "lstm", "lstm_layernorm", "elman", "mingru", "lstm_projected", "gru_cho"),
    "bridge": ("learnt", "last", "mean", "zero"),
    "readout": ("deep", "context"),
    "directions": ("both", "both", "both", "forward"),
    "vector": ("first", "first", "every"),
    "tied": ("none", "target", "none"),
    "encoder_layers": (1, 2),
}


def in_turn(number: int, options: dict[str, Any]) -> dict[str, Any]:
    made = {name: values[number % len(values)] for name, values in TURNS.items()} | options
    if made["attention"] == "dot" and made["directions"] == "forward":  # query and memory are of one size
        made |= {"encoder_hidden": 8}
    return made


def shown(options: dict[str, Any]) -> str:
    return "-".join(str(value) for value in options.values() if value is not None)


MADE = [in_turn(number, options) for number, options in enumerate(COMBINATIONS)]


@pytest.mark.parametrize("options", MADE, ids=shown)
def test_step_by_step_gives_what_the_whole_gives(
    options: dict[str, Any],
    network: Callable[..., EncoderDecoder],
    pairs: Callable[..., Any],
    step_by_step: Callable[..., list[Tensor]],
) -> None:
    one, batch = network(**options, coverage_loss=0), pairs(copies=options.get("copying") == "pointer")
    _, read, said = batch.packed()
    wanted = torch.cat(step_by_step(one, batch))
    total = one.loss(batch.memory(one), read, said)
    torch.testing.assert_close(total, wanted.sum(), rtol=1e-10, atol=1e-10)
    with torch.no_grad():
        memory = batch.memory(one)
        found, lengths = pad_packed_sequence(one.losses(memory, read, said), batch_first=True)
        each = torch.cat([row[:n] for row, n in zip(found, lengths, strict=True)])
        torch.testing.assert_close(each, torch.cat(step_by_step(one, batch)), rtol=1e-10, atol=1e-10)
