"""Encoder and decoder: all at once they give what they give step by step, and nobody's neighbours matter."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_sequence, pad_packed_sequence

from unrolled import state as states
from unrolled.errors import BadOption
from unrolled.layers.encoder import Heard
from unrolled.layers.encoder_decoder import EncoderDecoder, attention_of
from unrolled.layers.encoder_decoder_options import EncoderDecoderOptions
from unrolled.unroll import fused

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


MAIN: dict[str, dict[str, Any]] = {
    "vector": {"attention": "none", "vector": "every", "readout": "state"},
    "before": {},
    "between": {"place": "between", "layers": 2, "attention": "multihead", "connections": "residual"},
    "after": {"place": "after", "attention": "general", "readout": "context"},
    "fed": {"place": "after", "attention": "dot", "readout": "context", "feeding": "input", "cell": "lstm"},
    "covered": {"coverage": "scores", "place": "after", "cell": "lstm"},
    "copied": {"copying": "pointer", "coverage": "scores", "tied": "target", "cell": "lstm_layernorm"},
}
"""One of each way that a decoder runs."""


@pytest.fixture(params=MAIN)
def case(
    request: pytest.FixtureRequest, network: Callable[..., EncoderDecoder], pairs: Callable[..., Any]
) -> tuple[EncoderDecoder, Any]:
    options = MAIN[request.param]
    return network(**options), pairs(copies="copying" in options)


def losses_of(one: EncoderDecoder, batch: Any) -> list[Tensor]:
    """Of each row, in the caller's order."""
    _, read, said = batch.packed()
    found, lengths = pad_packed_sequence(one.losses(batch.memory(one), read, said), batch_first=True)
    return [row[:n] for row, n in zip(found, lengths.tolist(), strict=True)]


def test_neighbours_order_and_padding_change_nothing(case: tuple[EncoderDecoder, Any]) -> None:
    one, batch = case
    whole = losses_of(one, batch)
    for rows in ((2, 0, 3, 1), (3, 2, 1, 0), (1, 1), (0,), (1,), (2,), (3,)):
        for row, found in zip(rows, losses_of(one, batch.only(*rows)), strict=True):
            torch.testing.assert_close(found, whole[row], rtol=1e-12, atol=1e-12)


def test_a_row_that_is_not_finite_harms_no_other(case: tuple[EncoderDecoder, Any]) -> None:
    one, batch = case
    whole = losses_of(one, batch)
    batch.sources[2][:] = 1  # a word of the third row alone
    with torch.no_grad():
        one.encoder.embedding.weight[1] = torch.nan
    found = losses_of(one, batch)
    assert found[2].isnan().all()
    for row in (0, 1, 3):
        torch.testing.assert_close(found[row], whole[row], rtol=1e-12, atol=1e-12)


def test_the_loss_of_a_batch_is_the_sum_of_its_rows(case: tuple[EncoderDecoder, Any]) -> None:
    one, batch = case

    def loss(some: Any) -> Tensor:
        _, read, said = some.packed()
        return one.loss(some.memory(one), read, said, label_smoothing=0.1)

    torch.testing.assert_close(loss(batch), sum(loss(batch.only(k)) for k in range(4)), rtol=1e-12, atol=1e-12)


def test_what_a_state_and_a_memory_hold_can_be_selected_and_repeated(case: tuple[EncoderDecoder, Any]) -> None:
    """As a beam does: rows change their places, and are there more than once."""
    one, batch = case
    with torch.no_grad():
        memory = batch.memory(one)
        assert states.rows(memory) == states.rows(memory.state) == 4
        first, state = one.step(torch.tensor([1, 1, 1, 1]), memory.state, memory)
        second, _ = one.step(torch.tensor([3, 4, 5, 6]), state, memory)
        twice = states.repeat(memory, 2)
        found, again = one.step(torch.tensor([1] * 8), twice.state, twice)
        torch.testing.assert_close(found, first.repeat_interleave(2, 0))
        order = torch.tensor([7, 0, 2])
        moved, _ = one.step(torch.tensor([6, 3, 4]), states.select(again, order), states.select(twice, order))
        torch.testing.assert_close(moved, second[[3, 0, 1]])


def test_a_step_changes_neither_state_nor_memory(case: tuple[EncoderDecoder, Any]) -> None:
    one, batch = case
    memory = batch.memory(one)
    before = [t.clone() for t in states.leaves(memory)]
    once, _ = one.step(torch.tensor([1, 3, 4, 5]), memory.state, memory)
    twice, _ = one.step(torch.tensor([1, 3, 4, 5]), memory.state, memory)
    assert torch.equal(once, twice)
    assert all(torch.equal(a, b) for a, b in zip(before, states.leaves(memory), strict=True))


def test_gradients_reach_every_parameter(case: tuple[EncoderDecoder, Any]) -> None:
    one, batch = case
    _, read, said = batch.packed()
    one.train()
    one.loss(batch.memory(one), read, said, label_smoothing=0.1).backward()
    for name, parameter in one.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.any(), name


class Whole(nn.Module):
    """The loss of a batch as a function of the parameters alone."""

    def __init__(self, one: EncoderDecoder, batch: Any) -> None:
        super().__init__()
        self.one, self.batch = one, batch

    def forward(self) -> Tensor:
        _, read, said = self.batch.packed()
        return self.one.loss(self.batch.memory(self.one), read, said, label_smoothing=0.1)


@pytest.mark.parametrize("name", MAIN)
def test_derivatives_are_right(name: str, network: Callable[..., EncoderDecoder], pairs: Callable[..., Any]) -> None:
    small = {"source_size": 2, "hidden_size": 4, "encoder_hidden": 2, "attention_size": 2, "coverage_loss": 0.0}
    one = network(**{"target_size": 4 if name == "copied" else 2, **MAIN[name], **small})
    whole = Whole(one, pairs((3, 1), (1, 2), copies=name == "copied"))
    names = [name for name, _ in whole.named_parameters()]

    def run(*parameters: Tensor) -> Tensor:
        return torch.func.functional_call(whole, dict(zip(names, parameters, strict=True)), ())

    given = tuple(t.detach().clone().requires_grad_() for t in whole.parameters())
    assert torch.autograd.gradcheck(run, given, fast_mode=True)
    assert torch.autograd.gradgradcheck(run, given, fast_mode=True)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("name", MAIN)
def test_the_kernels_give_the_gradients_of_the_plain_loops(
    name: str, precision: str, network: Callable[..., EncoderDecoder], pairs: Callable[..., Any]
) -> None:
    """In float32 the compiled kernels run, in float64 torch does."""
    one, batch = network(**MAIN[name]), pairs((9, 1, 7, 4, 12), (7, 3, 12, 0, 5), copies=name == "copied")
    found = copy.deepcopy(one).float()
    _, read, said = batch.packed()
    one.loss(batch.memory(one), read, said).backward()
    with fused.precision(precision):
        loss = found.loss(batch.memory(found), read, said)
        loss.backward()
    within = 1e-4 if precision == "float32" else 3e-2
    for (what, mine), right in zip(found.named_parameters(), one.parameters(), strict=True):
        scale = right.grad.abs().max()
        assert (mine.grad - right.grad).abs().max() <= within * scale, what


def test_in_bfloat16_the_steps_are_another_s_within_a_hundredth(
    network: Callable[..., EncoderDecoder], pairs: Callable[..., Any]
) -> None:
    one, batch = network(place="between", layers=2).float(), pairs((9, 1, 7, 4, 12), (7, 3, 12, 0, 5))
    _, read, said = batch.packed()
    exact = one.loss(batch.memory(one), read, said)
    with fused.precision("bfloat16"):
        rounded = one.loss(batch.memory(one), read, said)
    assert not torch.equal(exact, rounded)
    torch.testing.assert_close(exact, rounded, rtol=1e-2, atol=0)


def test_attention_is_shown_as_the_steps_have_it(
    network: Callable[..., EncoderDecoder], pairs: Callable[..., Any]
) -> None:
    one, batch = network(), pairs()
    with torch.no_grad():
        memory = batch.memory(one)
        found, state = one.attend(memory, batch.packed()[1]), memory.state
        assert not attention_of(state).any()
        assert [tuple(t.shape) for t in found] == [(3, 5), (7, 1), (5, 3), (1, 4)]
        for t in range(7):
            tokens = torch.stack([row[min(t, len(row) - 1)] for row in batch.read])
            _, state = one.step(tokens, state, memory)
            for row, now, long in zip(found, attention_of(state), memory.lengths.tolist(), strict=True):
                if t < len(row):
                    torch.testing.assert_close(row[t], now[:long])
                    assert not now[long:].any()


def test_the_likeliest_words_are_those_of_the_steps(case: tuple[EncoderDecoder, Any]) -> None:
    one, batch = case
    with torch.no_grad():
        memory, (_, read, _) = batch.memory(one), batch.packed()
        found, lengths = pad_packed_sequence(read._replace(data=one.predictions(memory, read)), batch_first=True)
        state = memory.state
        for t in range(int(lengths.max())):
            tokens = torch.stack([row[min(t, len(row) - 1)] for row in batch.read])
            logits, state = one.step(tokens, state, memory)
            alive = t < lengths
            assert torch.equal(found[:, t][alive], logits.argmax(1)[alive])


@pytest.mark.parametrize("rate", ["embedding_dropout", "dropout", "readout_dropout"])
@pytest.mark.parametrize("options", [{"place": "between"}, {"place": "after", "feeding": "input"}], ids=shown)
def test_dropout_drops_in_training_alone(
    rate: str, options: dict[str, Any], network: Callable[..., EncoderDecoder], pairs: Callable[..., Any]
) -> None:
    one, batch = network(layers=2, **{rate: 0.5}, **options), pairs()
    _, read, said = batch.packed()
    steady = {one.loss(batch.memory(one), read, said).item() for _ in range(3)}
    assert len(steady) == 1
    one.train()
    drawn = {one.loss(batch.memory(one), read, said).item() for _ in range(3)}
    assert len(drawn) == 3
    torch.manual_seed(5)
    first = one.loss(batch.memory(one), read, said)
    torch.manual_seed(5)
    assert torch.equal(first, one.loss(batch.memory(one), read, said))


def test_between_layers_a_row_s_features_are_dropped_for_all_steps(network: Callable[..., EncoderDecoder]) -> None:
    """In a loop as in one go: from the same draw the decoders' losses are the same, whichever way they run."""
    one = network(layers=2, place="after", readout="context", feeding="input", dropout=0.5).train()
    # What is fed back counts for nothing, so that a decoder without feeding is the same.
    other = network(layers=2, place="after", readout="context", dropout=0.5).train()
    with torch.no_grad():
        weights = dict(other.named_parameters())
        for name, weight in one.named_parameters():
            if name == "decoder.cells.0.weight_ih":
                weight[:, 5:] = 0
                weights[name].copy_(weight[:, :5])
            else:
                weights[name].copy_(weight)
    memory = one.encode(pack_sequence([torch.tensor([3, 4, 5])]))
    read, said = pack_sequence([torch.tensor([1, 3, 4, 5])]), pack_sequence([torch.tensor([3, 4, 5, 2])])
    found = []
    for network_ in (one, other):
        torch.manual_seed(5)
        fed = memory.state.fed if network_ is one else ()
        found.append(network_.loss(memory._replace(state=memory.state._replace(fed=fed)), read, said))
    torch.testing.assert_close(*found)


def test_a_step_drops_nothing(network: Callable[..., EncoderDecoder], pairs: Callable[..., Any]) -> None:
    one, batch = network(layers=2, embedding_dropout=0.5, dropout=0.5, readout_dropout=0.5), pairs()
    memory, tokens = batch.memory(one), torch.tensor([1, 1, 1, 1])
    steady, _ = one.step(tokens, memory.state, memory)
    assert torch.equal(one.train().step(tokens, memory.state, memory)[0], steady)


def test_batches_that_do_not_fit_are_refused(
    network: Callable[..., EncoderDecoder], pairs: Callable[..., Any], pack: Callable[..., Any]
) -> None:
    one, batch = network(), pairs()
    sources, read, _ = batch.packed()
    memory = one.encode(sources)
    with pytest.raises(BadOption, match="there are 4 sources in the memory and 3 targets"):
        one.loss(memory, pack(batch.read[:3]), pack(batch.said[:3]))
    with pytest.raises(BadOption, match="what each step reads and what it is to say must be packed alike"):
        one.loss(memory, read, pack([*batch.targets[:3], torch.tensor([3, 4])]))
    with pytest.raises(BadOption, match="copying is off: encode takes no `copied`"):
        one.encode(sources, sources.data)
    without = network(attention="none")
    for call in (
        lambda: without.attend(without.encode(sources), read),
        lambda: attention_of(without.encode(sources).state),
    ):
        with pytest.raises(BadOption, match="there is no attention to be shown: attention is 'none'"):
            call()


def test_copying_asks_for_what_can_be_copied(network: Callable[..., EncoderDecoder], pairs: Callable[..., Any]) -> None:
    one, batch = network(copying="pointer"), pairs()
    sources, read, said = batch.packed()
    with pytest.raises(BadOption, match="copying is on: encode needs `copied`, the target word of each source element"):
        one.encode(sources)
    with pytest.raises(BadOption, match=r"`copied` must be \(13,\) long numbers, .*, not \(12,\) of torch.int64"):
        one.encode(sources, sources.data[1:])
    memory = one.encode(sources, sources.data)._replace(copies=())
    with pytest.raises(BadOption, match="the memory does not say what its places are: give `copied` to `encode`"):
        one.loss(memory, read, said)


def test_it_learns_to_turn_sequences_round(
    network: Callable[..., EncoderDecoder], pairs: Callable[..., Any], pack: Callable[..., Any]
) -> None:
    """Every main way of running: the target is the source, last element first."""
    for options in ({}, {"place": "after", "attention": "general", "readout": "context", "feeding": "input"}):
        torch.manual_seed(1)
        one = network(hidden_size=32, encoder_hidden=16, source_size=16, target_size=16, attention_size=16, **options)
        one.float().train()
        optimizer = torch.optim.Adam(one.parameters(), lr=0.01)
        for _ in range(150):
            batch = pairs(tuple(torch.randint(2, 6, (32,)).tolist()), (1,) * 32)
            batch = batch._replace(targets=[source.flip(0) for source in batch.sources])
            sources, read, said = batch.packed()
            loss = one.loss(one.encode(sources), read, said) / len(said.data)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        assert loss.item() < 0.15, options


@pytest.mark.parametrize("attention", ["additive", "multihead"])
@pytest.mark.parametrize("place", ["before", "between", "after"])
def test_of_annotations_that_are_made_elsewhere_steps_give_what_the_whole_gives(attention: str, place: str) -> None:
    torch.manual_seed(1)
    sizes: dict[str, Any] = {"source_words": 1, "target_words": 6, "target_size": 3, "hidden_size": 4, "heads": 2}
    options = EncoderDecoderOptions(
        **sizes, attention_size=4, layers=2, bridge="mean", attention=attention, place=place
    )
    one = EncoderDecoder(options, Heard(5)).double().eval()
    x = pack_sequence([torch.randn(n, 5, dtype=torch.float64) for n in (4, 7)], enforce_sorted=False)
    before = pack_sequence([torch.tensor([5, 1, 2]), torch.tensor([5, 0, 3])])
    memory = one.encode(x)
    whole = torch.cat(list(one.logits(memory, before))).unflatten(0, (3, 2))
    state = memory.state
    for tokens, expected in zip(before.data.view(3, 2), whole, strict=True):
        logits, state = one.step(tokens, state, memory)
        torch.testing.assert_close(logits, expected)
    with pytest.raises(BadOption, match="made elsewhere have neither an encoder vector nor a source's embedding"):
        EncoderDecoder(EncoderDecoderOptions(**sizes, vector="every", bridge="mean"), Heard(5))
