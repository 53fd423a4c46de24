"""A step made ready for a search, and whole searches on a GPU."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from tests.layers.test_encoder_decoder import MADE, MAIN, shown

from unrolled import state as states
from unrolled.decoding.beam import beam
from unrolled.kernels import library
from unrolled.layers.encoder_decoder import EncoderDecoder
from unrolled.layers.memory import DecoderState
from unrolled.layers.prepared import Carried, Prepared
from unrolled.unroll import fused


def carried(state: DecoderState | Carried) -> tuple[Any, ...]:
    if isinstance(state, Carried):
        return tuple(state)
    return torch.cat(states.leaves((state.layers, state.fed)), dim=1), state.weights, state.covered


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("options", MADE, ids=shown)
def test_a_step_made_ready_for_a_search_is_the_step_to_the_last_bit(
    options: dict[str, Any], precision: str, network: Callable[..., EncoderDecoder], pairs: Callable[..., Any]
) -> None:
    one, batch = network(**options).float(), pairs(copies=options.get("copying") == "pointer")
    with torch.no_grad(), fused.precision(precision):
        memory, step = batch.memory(one), one.stepper()
        state = other = memory.state
        tokens = torch.tensor([1, 1, 1, 1])
        for order in (torch.tensor([3, 0, 1, 2]), torch.tensor([1, 1, 2, 0]), torch.tensor([2])):
            logits, state = one.step(tokens, state, memory)
            found, other = step(tokens, other, memory)
            assert torch.equal(logits, found)
            for a, b in zip(carried(state), carried(other), strict=True):
                assert a == b == () if isinstance(a, tuple) else torch.equal(a, b)
            # Rows move and leave, and the memory with them.
            state, other, memory = (states.select(each, order) for each in (state, other, memory))
            tokens = logits.argmax(dim=1)[order] % len(one.target.weight)


@pytest.mark.skipif(library.load() is None, reason="there are no compiled kernels")
@pytest.mark.parametrize("name", MAIN)
def test_steps_that_were_kept_see_new_weights_and_go_from_memory_to_memory(
    name: str, network: Callable[..., EncoderDecoder], pairs: Callable[..., Any]
) -> None:
    def change(one: EncoderDecoder) -> None:
        for p in one.parameters():
            p.mul_(1.1)

    def replace(one: EncoderDecoder) -> None:
        for p in one.parameters():
            p.data = p.data * 0.9

    one, batch = network(**MAIN[name]).float(), pairs(copies=name == "copied")
    tokens = torch.tensor([1, 5, 2, 1])
    with torch.no_grad():
        for alter in (change, replace, change):
            first = batch.memory(one)
            memories = [first, states.select(first, torch.tensor([3, 2, 1, 0]))]
            step = one.stepper()
            for memory in [*memories, *memories]:
                assert torch.equal(step(tokens, memory.state, memory)[0], one.step(tokens, memory.state, memory)[0])
            alter(one)


@pytest.mark.skipif(library.load() is None, reason="there are no compiled kernels")
@pytest.mark.parametrize("tokens", [torch.tensor([1, 1, 1]), torch.ones(4), torch.tensor([1, 1, 1, 1000])])
def test_tokens_that_do_not_fit_are_refused(
    tokens: torch.Tensor, network: Callable[..., EncoderDecoder], pairs: Callable[..., Any]
) -> None:
    one = network().float()
    with torch.no_grad():
        memory = pairs().memory(one)
        with pytest.raises((ValueError, IndexError)):
            one.stepper()(tokens, memory.state, memory)


@pytest.mark.skipif(library.load() is None, reason="there are no compiled kernels")
def test_what_the_kernels_do_not_run_is_not_made_ready(network: Callable[..., EncoderDecoder]) -> None:
    with torch.no_grad():
        assert isinstance(network().float().stepper(), Prepared)
        assert not isinstance(network().stepper(), Prepared)  # float64
        assert not isinstance(network(cell="lstm_layernorm").float().stepper(), Prepared)
    assert not isinstance(network().float().stepper(), Prepared)  # with gradients


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("name", MAIN)
def test_on_a_gpu_it_gives_what_it_gives_on_the_cpu(
    name: str, network: Callable[..., EncoderDecoder], pairs: Callable[..., Any], pack: Callable[..., Any]
) -> None:
    here, batch = network(**MAIN[name]), pairs(copies=name == "copied")
    there = copy.deepcopy(here).cuda()
    sources, read, said = batch.packed()
    given = pack(batch.copied).data if batch.copied is not None else None
    results = []
    for one, device in ((here, "cpu"), (there, "cuda")):
        copied = None if given is None else given.to(device)
        one.loss(one.encode(sources.to(device), copied), read.to(device), said.to(device)).backward()
        with torch.no_grad():
            memory = one.encode(sources.to(device), copied)
            found = beam(one.stepper(), memory.state, memory, batch=4, begin=1, end=2, width=3)
        gradients = [None if p.grad is None else p.grad.cpu() for p in one.parameters()]
        results.append((gradients, [[each.tokens for each in row] for row in found]))
    (mine, words), (wanted, right) = results
    assert words == right
    for a, b in zip(mine, wanted, strict=True):
        torch.testing.assert_close(a, b)
