"""The compiled decoder that is fed what it shows must give what the plain one gives, and every gradient."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import NamedTuple

import pytest
import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence, pack_sequence

from unrolled import state as states
from unrolled.cells.base import Cell
from unrolled.cells.gru import GRU
from unrolled.cells.lstm import LSTM
from unrolled.kernels import library
from unrolled.kernels.feeding import Reads
from unrolled.unroll import feeding, feeding_fused, fused
from unrolled.unroll.feeding import Places, Shown

pytestmark = pytest.mark.skipif(library.load() is None, reason=f"there are no compiled kernels: {library.why()}")

CELLS: dict[str, Callable[..., Cell]] = {"gru": GRU, "lstm": LSTM}
SCORES = ("additive", "inner")
TARGETS = {1: [5], 3: [6, 4, 1], 32: [9, 9, 8] + [7] * 5 + [4] * 11 + [3] * 6 + [1] * 7}
SIZES = ((1, 1, 1, 1, 1), (3, 7, 5, 9, 4), (16, 32, 16, 16, 16), (5, 300, 70, 50, 90), (20, 33, 130, 128, 100))
"""Of a word, of the memory, of the score, of the state, of what is shown."""


@pytest.fixture(autouse=True)
def _all_that_can_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fused, "FEW", 0)


class Case(NamedTuple):
    """What goes in."""

    cell: Cell
    reads: Reads
    x: PackedSequence
    said: Tensor
    places: Places
    state: states.State
    first: Tensor


def case(
    name: str, score: str, sizes: tuple[int, ...], targets: list[int], bias: bool = True, ragged: bool = True
) -> Case:
    words, features, units, hidden, shown = sizes
    units = units if score == "additive" else hidden
    cell, batch = CELLS[name](words + shown, hidden, bias=bias), len(targets)
    of_state, of_context = torch.randn(shown, hidden) * hidden**-0.5, torch.randn(shown, features) * features**-0.5
    query, shift = torch.randn(units, hidden) * hidden**-0.5, torch.randn(units) if bias else None
    asked = (query, shift, torch.randn(units) * 2 * units**-0.5) if score == "additive" else (None, None, None)
    lengths = torch.randint(1, 8, (batch,)) if ragged else torch.full((batch,), 7)
    mask = torch.arange(7) < lengths.unsqueeze(1)
    x = pack_sequence([torch.randn(n, words) for n in targets])
    said, state = torch.randn(len(x.data), shown), states.tree_map(torch.randn_like, cell.initial_state(batch))
    # As an encoder gives them; there is nothing in the padding.
    memory, keys = (torch.randn(batch, 7, n).tanh() * mask.unsqueeze(2) for n in (features, units))
    return Case(
        cell, Reads(*asked, of_state, of_context), x, said, Places(memory, keys, mask), state, torch.randn(batch, shown)
    )


def compiled(*given: object) -> Shown:
    found = feeding_fused.attempt(*given)  # type: ignore[arg-type]
    assert found is not None
    return found


def results(unroll: Callable[..., Shown], c: Case, dtype: torch.dtype) -> dict[str, Tensor]:
    """All that comes out, and the gradient of a loss that looks at all of it, with respect to all that goes in."""

    def own(t: Tensor) -> Tensor:
        return t.detach().to(dtype).requires_grad_()

    cell, data, said, first = copy.deepcopy(c.cell).to(dtype), own(c.x.data), own(c.said), own(c.first)
    reads, state = Reads(*(None if t is None else own(t) for t in c.reads)), states.tree_map(own, c.state)
    memory, keys, mask = own(c.places.memory), own(c.places.keys), c.places.mask
    found = unroll(cell, reads, c.x._replace(data=data), said, Places(memory, keys, mask), state, first)
    total = torch.stack([t.flatten() @ slope(t.numel(), dtype) for t in found]).sum()
    given = {"x": data, "said": said, "memory": memory, "keys": keys, "first": first}
    given |= {k: t for k, t in reads._asdict().items() if t is not None}
    given |= {f"initial {k}": leaf for k, leaf in enumerate(states.leaves(state))} | dict(cell.named_parameters())
    gradients = [g.clone() for g in torch.autograd.grad(total, list(given.values()))]
    for what, g in zip(given, gradients, strict=True):
        if what in ("memory", "keys"):  # what stands in the padding has a gradient in neither, or none that matters
            g[~mask] = 0
    return found._asdict() | {f"gradient of {name}": g for name, g in zip(given, gradients, strict=True)}


def slope(n: int, dtype: torch.dtype) -> Tensor:
    """Weights of a loss, which differ, since a loss that adds up a row's attention weights has no gradient."""
    return torch.linspace(0.1, 2, n, dtype=dtype) / n


def agree(
    found: dict[str, Tensor], wanted: dict[str, Tensor], what_of: object, rounded: dict[str, Tensor] | None = None
) -> None:
    """Within 2e-6 of the tensor's scale. A tensor may be small because what it sums up cancels, as what comes by the
    scores and is left by the softmax: there three times the error of the reference in float32, `rounded`, is the
    measure, but no more than 2e-5. Of a few numbers, all may cancel."""
    assert found.keys() == wanted.keys()
    for what, right in ((what, right.detach()) for what, right in wanted.items()):
        error, bound = (found[what].double() - right).abs().max(), 2e-6 * right.abs().max()
        if rounded is not None:
            own = 3 * (rounded[what].double() - right).abs().max()
            bound = bound.maximum(own.clamp(max=max(2e-7, 2e-5 * float(right.abs().max()))))
            bound = bound.clamp(min=2e-7 if right.numel() <= 16 else 0)
        assert error <= bound, (what_of, what, float(error), float(bound))


@pytest.mark.parametrize("sizes", SIZES, ids=str)
@pytest.mark.parametrize("score", SCORES)
@pytest.mark.parametrize("name", CELLS)
def test_the_kernels_agree_with_the_reference_in_float64(
    name: str, score: str, sizes: tuple[int, ...], isa: str
) -> None:
    torch.manual_seed(sum(sizes))
    for batch, targets in TARGETS.items():
        c = case(name, score, sizes, targets, bias=batch != 3, ragged=batch != 1)
        found, rounded = results(compiled, c, torch.float32), results(feeding.unroll, c, torch.float32)
        agree(found, results(feeding.unroll, c, torch.float64), batch, rounded)


@pytest.mark.parametrize("sizes", SIZES[1:], ids=str)
@pytest.mark.parametrize("score", SCORES)
@pytest.mark.parametrize("name", CELLS)
def test_in_bfloat16_the_kernels_are_within_its_rounding(
    name: str, score: str, sizes: tuple[int, ...], isa: str
) -> None:
    torch.manual_seed(sum(sizes))
    c = case(name, score, sizes, TARGETS[32])
    with fused.precision("bfloat16"):
        found = results(compiled, c, torch.float32)
    for what, right in results(feeding.unroll, c, torch.float64).items():
        error = (found[what].double() - right).abs().max()
        # What comes by the scores is what the softmax leaves, a difference.
        share = 0.03 if what in ("gradient of query", "gradient of bias", "gradient of keys") else 0.015
        assert 0 < error <= share * right.abs().max(), (what, float(error), float(right.abs().max()))


@pytest.mark.parametrize("name", CELLS)
def test_inference_gives_what_training_gives_bit_for_bit(name: str, isa: str) -> None:
    c = case(name, "additive", SIZES[3], TARGETS[32])
    kept = compiled(*c)
    assert kept.shows.requires_grad
    with torch.no_grad():
        assert all(map(torch.equal, kept, compiled(*c)))


@pytest.mark.parametrize("score", SCORES)
@pytest.mark.parametrize("name", CELLS)
def test_several_threads_agree_with_one_and_with_themselves(
    name: str, score: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("unrolled.kernels.recurrence.SMALL", 0)
    c, before, found = case(name, score, SIZES[3], TARGETS[32]), torch.get_num_threads(), {}
    try:
        for threads in (1, 2, 3, 40):
            torch.set_num_threads(threads)
            found[threads], again = (results(compiled, c, torch.float32) for _ in range(2))
            assert all(torch.equal(again[what], value) for what, value in found[threads].items())
    finally:
        torch.set_num_threads(before)
    wanted = {what: value.double() for what, value in found[1].items()}
    for threads in (2, 3, 40):
        agree(found[threads], wanted, threads)


@pytest.mark.parametrize("score", SCORES)
def test_what_stands_in_the_padding_is_not_read(score: str, isa: str) -> None:
    c = case("gru", score, SIZES[1], TARGETS[3])
    clean = results(compiled, c, torch.float32)
    memory, keys = (t.masked_fill(~c.places.mask.unsqueeze(2), torch.nan) for t in c.places[:2])
    dirty = results(compiled, c._replace(places=Places(memory, keys, c.places.mask)), torch.float32)
    assert all(torch.equal(dirty[what], value) for what, value in clean.items())


@pytest.mark.parametrize("name", CELLS)
def test_nan_reaches_no_other_row(name: str, isa: str) -> None:
    c = case(name, "additive", SIZES[1], TARGETS[3])
    clean = results(compiled, c, torch.float32)
    memory = c.places.memory.clone()
    memory[1, 0] = torch.nan
    dirty = results(compiled, c._replace(places=c.places._replace(memory=memory)), torch.float32)
    own = [1, 4, 6, 8]
    others = [k for k in range(11) if k not in own]
    for what in ("outputs", "contexts", "weights", "shows", "gradient of x", "gradient of said"):
        assert torch.equal(dirty[what][others], clean[what][others])
    assert dirty["shows"][own].isnan().any(dim=1).all()
    for what in ("gradient of memory", "gradient of keys", "gradient of initial 0", "gradient of first"):
        assert torch.equal(dirty[what][[0, 2]], clean[what][[0, 2]])


@pytest.mark.parametrize("score", SCORES)
@pytest.mark.parametrize("name", CELLS)
def test_second_derivatives_are_the_references(name: str, score: str) -> None:
    c = case(name, score, (2, 3, 4, 3, 2), [4, 2, 1])

    def penalty(unroll: Callable[..., Shown], dtype: torch.dtype) -> list[Tensor]:
        cell, memory = copy.deepcopy(c.cell).to(dtype), c.places.memory.to(dtype).requires_grad_()
        reads = Reads(*(None if t is None else t.to(dtype).requires_grad_() for t in c.reads))
        x, state = c.x._replace(data=c.x.data.to(dtype)), states.tree_map(lambda t: t.to(dtype), c.state)
        places = Places(memory, c.places.keys.to(dtype), c.places.mask)
        found = unroll(cell, reads, x, c.said.to(dtype), places, state, c.first.to(dtype))
        total = sum((t**2).sum() for t in found)
        (first,) = torch.autograd.grad(total, memory, create_graph=True)
        return list(
            torch.autograd.grad((first**2).sum(), [memory, *filter(torch.is_tensor, reads), *cell.parameters()])
        )

    wanted = penalty(feeding.unroll, torch.float64)
    for mine, right in zip(penalty(compiled, torch.float32), wanted, strict=True):
        torch.testing.assert_close(mine.double(), right, rtol=1e-4, atol=1e-4)


def test_a_graph_can_be_gone_through_twice_and_gradients_nobody_asks_for_are_left_out() -> None:
    c = case("lstm", "additive", SIZES[1], TARGETS[3])
    c.cell.weight_ih.requires_grad_(False)  # type: ignore[union-attr]
    found = compiled(*c)
    weights = [p for p in c.cell.parameters() if p.requires_grad]
    for total in (found.contexts.sum(), found.shows.sum()):
        first = torch.autograd.grad(total, weights, retain_graph=True)
        second = torch.autograd.grad(total, weights, retain_graph=True)
        assert all(map(torch.equal, first, second))
    found.shows.sum().backward()
    assert c.cell.weight_ih.grad is None


def test_what_is_given_is_not_written_to() -> None:
    c = case("lstm", "inner", SIZES[1], TARGETS[3])
    found = compiled(*c)
    given = [torch.randn_like(t) for t in found]
    all_of_it = *given, *c.places[:2], c.x.data, c.said, c.first, *states.leaves(c.state), *found
    before = [t.detach().clone() for t in all_of_it]
    torch.autograd.grad(list(found), list(c.cell.parameters()), given)
    for mine, old in zip(all_of_it, before, strict=True):
        assert torch.equal(mine.detach(), old)


def test_what_the_kernels_do_not_run_is_left_to_the_loop() -> None:
    c = case("gru", "inner", SIZES[1], TARGETS[3])

    class Another(GRU):
        """Of another class it may compute something else."""

    assert feeding_fused.attempt(Another(7, 9), *c[1:]) is None
    assert feeding_fused.attempt(*c._replace(places=c.places._replace(keys=torch.randn(3, 7, 8)))) is None
    assert feeding_fused.attempt(*c._replace(x=c.x._replace(data=c.x.data.double()))) is None
    assert feeding_fused.attempt(*c) is not None
