"""The compiled decoder must give what the plain one gives: outputs, contexts, weights, state, every gradient."""

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
from unrolled.errors import BadOption
from unrolled.kernels import library
from unrolled.kernels.attention import Scorer
from unrolled.unroll import attending, attending_fused, fused
from unrolled.unroll.attending import Attended

pytestmark = pytest.mark.skipif(library.load() is None, reason=f"there are no compiled kernels: {library.why()}")

CELLS: dict[str, Callable[..., Cell]] = {"gru": GRU, "lstm": LSTM}
TARGETS = {1: [5], 3: [6, 4, 1], 32: [9, 9, 8] + [7] * 5 + [4] * 11 + [3] * 6 + [1] * 7}
SIZES = ((1, 1, 1, 1), (3, 7, 5, 9), (16, 32, 16, 16), (5, 300, 70, 50), (20, 33, 130, 128))
"""Of an element, of the memory, of the score, of the state."""


@pytest.fixture(autouse=True)
def _all_that_can_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fused, "FEW", 0)


class Case(NamedTuple):
    """What goes in. `memory` holds NaN in its padding."""

    cell: Cell
    scorer: Scorer
    x: PackedSequence
    memory: Tensor
    lengths: Tensor
    state: states.State


def case(
    name: str, sizes: tuple[int, int, int, int], targets: list[int], bias: bool = True, ragged: bool = True
) -> Case:
    words, features, units, hidden = sizes
    cell, batch = CELLS[name](words + features, hidden, bias=bias), len(targets)
    scales = (
        ((units, features), features**-0.5),
        ((units, hidden), hidden**-0.5),
        ((units,), 0.5),
        ((units,), 2 * units**-0.5),
    )
    key, query, shift, value = (torch.randn(size) * scale for size, scale in scales)
    lengths = torch.randint(1, 8, (batch,)) if ragged else torch.full((batch,), 7)
    memory = torch.randn(batch, 7, features).tanh()  # as what an encoder gives
    memory[torch.arange(7) >= lengths.unsqueeze(1)] = torch.nan
    x = pack_sequence([torch.randn(n, words) for n in targets])
    state = states.tree_map(torch.randn_like, cell.initial_state(batch))
    return Case(cell, Scorer(key, query, shift if bias else None, value), x, memory, lengths, state)


def only_rounded(c: Case) -> Case:
    """Weights and input rounded to bfloat16, and nothing else."""

    def near(t: Tensor) -> Tensor:
        return t.detach().bfloat16().float()

    cell = copy.deepcopy(c.cell)
    for p in cell.parameters():
        p.data = near(p)
    scorer = Scorer(*(None if t is None else near(t) for t in c.scorer))
    return c._replace(cell=cell, scorer=scorer, x=c.x._replace(data=near(c.x.data)), memory=near(c.memory))


def compiled(*given: object) -> Attended:
    found = attending_fused.attempt(*given)  # type: ignore[arg-type]
    assert found is not None
    return found


def results(unroll: Callable[..., Attended], c: Case, dtype: torch.dtype) -> dict[str, Tensor]:
    """All that comes out, and the gradient of a loss that looks at all of it, with respect to all that goes in."""

    def own(t: Tensor) -> Tensor:
        return t.detach().to(dtype).requires_grad_()

    cell, data, memory = copy.deepcopy(c.cell).to(dtype), own(c.x.data), own(c.memory)
    scorer, state = Scorer(*(None if t is None else own(t) for t in c.scorer)), states.tree_map(own, c.state)
    found = unroll(cell, scorer, c.x._replace(data=data), memory, c.lengths, state)
    came = {"outputs": found.outputs.data, "contexts": found.contexts.data, "weights": found.weights.data}
    came |= {f"state {k}": leaf for k, leaf in enumerate(states.leaves(found.state))}
    total = torch.stack([t.flatten() @ slope(t.numel(), dtype) for t in came.values()]).sum()
    given = {"x": data, "memory": memory, **{k: t for k, t in scorer._asdict().items() if t is not None}}
    given |= {f"initial {k}": leaf for k, leaf in enumerate(states.leaves(state))} | dict(cell.named_parameters())
    gradients = torch.autograd.grad(total, list(given.values()))
    return came | {f"gradient of {name}": g for name, g in zip(given, gradients, strict=True)}


def slope(n: int, dtype: torch.dtype) -> Tensor:
    """Weights of a loss, which differ, since a loss that adds up a row's attention weights has no gradient."""
    return torch.linspace(0.1, 2, n, dtype=dtype) / n


def agree(
    found: dict[str, Tensor], wanted: dict[str, Tensor], what_of: object, rounded: dict[str, Tensor] | None = None
) -> None:
    """Within 2e-6 of the tensor's scale. A tensor of a few numbers may be small because what it sums up cancels: there
    twice the error of the reference in float32, `rounded`, is the measure."""
    assert found.keys() == wanted.keys()
    for what, right in wanted.items():
        error, bound = (found[what].double() - right).abs().max(), 2e-6 * right.abs().max()
        if rounded is not None and right.numel() <= 16:
            bound = bound.maximum(2 * (rounded[what].double() - right).abs().max()).clamp(min=2e-7)
        assert error <= bound, (what_of, what, float(error), float(bound))


@pytest.mark.parametrize("sizes", SIZES, ids=str)
@pytest.mark.parametrize("name", CELLS)
def test_the_kernels_agree_with_the_reference_in_float64(name: str, sizes: tuple[int, int, int, int], isa: str) -> None:
    torch.manual_seed(sum(sizes))
    for batch, targets in TARGETS.items():
        c = case(name, sizes, targets, bias=batch != 3, ragged=batch != 1)
        found, rounded = results(compiled, c, torch.float32), results(attending.unroll, c, torch.float32)
        agree(found, results(attending.unroll, c, torch.float64), batch, rounded)


@pytest.mark.parametrize("sizes", SIZES[1:], ids=str)
@pytest.mark.parametrize("name", CELLS)
def test_in_bfloat16_the_kernels_are_within_its_rounding(name: str, sizes: tuple[int, int, int, int], isa: str) -> None:
    torch.manual_seed(sum(sizes))
    c = case(name, sizes, TARGETS[32])
    with fused.precision("bfloat16"):
        found = results(compiled, c, torch.float32)
    rounded = results(attending.unroll, only_rounded(c), torch.float64)
    for what, right in results(attending.unroll, c, torch.float64).items():
        error = (found[what].double() - right).abs().max()
        # What comes by the query is what the softmax leaves, a difference: there weights and input that are no more
        # than rounded are half of the way to the bound alone.
        bound = (0.01 * right.abs().max()).maximum(2 * (rounded[what] - right).abs().max())
        assert 0 < error <= bound, (what, float(error), float(right.abs().max()))


@pytest.mark.parametrize("name", CELLS)
def test_inference_gives_what_training_gives_bit_for_bit(name: str, isa: str) -> None:
    c = case(name, SIZES[3], TARGETS[32])
    kept = compiled(*c)
    assert kept.outputs.data.requires_grad
    with torch.no_grad():
        found = compiled(*c)
    for mine, other in zip(kept[:3], found[:3], strict=True):
        assert torch.equal(mine.data, other.data)
    assert all(map(torch.equal, states.leaves(kept.state), states.leaves(found.state)))


@pytest.mark.parametrize("name", CELLS)
def test_several_threads_agree_with_one_and_with_themselves(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("unrolled.kernels.recurrence.SMALL", 0)
    c, before, found = case(name, SIZES[3], TARGETS[32]), torch.get_num_threads(), {}
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


@pytest.mark.parametrize("name", CELLS)
def test_a_row_alone_gives_what_it_gives_among_others(name: str, isa: str) -> None:
    c = case(name, SIZES[1], TARGETS[3])
    among = compiled(*c)
    for row, places in enumerate(([0, 3, 5, 7, 9, 10], [1, 4, 6, 8], [2])):
        of, one = torch.tensor(places), torch.tensor([row])
        x = pack_sequence([c.x.data[of]])
        alone = compiled(c.cell, c.scorer, x, c.memory[one], c.lengths[one], states.select(c.state, one))
        for mine, own in zip(among[:3], alone[:3], strict=True):
            torch.testing.assert_close(mine.data[of], own.data, rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", CELLS)
def test_nan_reaches_no_other_row(name: str, isa: str) -> None:
    c = case(name, SIZES[1], TARGETS[3])
    clean = results(compiled, c, torch.float32)
    memory = c.memory.clone()
    memory[1, 0] = torch.nan
    dirty = results(compiled, c._replace(memory=memory), torch.float32)
    own = [1, 4, 6, 8]
    others = [k for k in range(11) if k not in own]
    for what in ("outputs", "contexts", "weights", "gradient of x"):
        assert torch.equal(dirty[what][others], clean[what][others])
        assert dirty[what][own].isnan().any(dim=1).all()
    for what in ("gradient of memory", "gradient of initial 0"):
        assert torch.equal(dirty[what][[0, 2]], clean[what][[0, 2]])


@pytest.mark.parametrize("name", CELLS)
def test_second_derivatives_are_the_references(name: str) -> None:
    c = case(name, (2, 3, 4, 3), [4, 2, 1])

    def penalty(unroll: Callable[..., Attended], dtype: torch.dtype) -> list[Tensor]:
        cell, memory = copy.deepcopy(c.cell).to(dtype), c.memory.to(dtype).requires_grad_()
        scorer = Scorer(*(t.to(dtype).requires_grad_() for t in c.scorer if t is not None))
        x, state = c.x._replace(data=c.x.data.to(dtype)), states.tree_map(lambda t: t.to(dtype), c.state)
        found = unroll(cell, scorer, x, memory, c.lengths, state)
        total = (found.outputs.data**2).sum() + (found.contexts.data**2).sum() + (found.weights.data**2).sum()
        (first,) = torch.autograd.grad(total, memory, create_graph=True)
        return list(torch.autograd.grad((first**2).sum(), [memory, *scorer, *cell.parameters()]))

    wanted = penalty(attending.unroll, torch.float64)
    for mine, right in zip(penalty(compiled, torch.float32), wanted, strict=True):
        torch.testing.assert_close(mine.double(), right, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", CELLS)
def test_a_graph_can_be_gone_through_twice_and_gradients_nobody_asks_for_are_left_out(name: str) -> None:
    c = case(name, SIZES[1], TARGETS[3])
    c.cell.weight_ih.requires_grad_(False)  # type: ignore[union-attr]
    found = compiled(*c)
    weights = [p for p in c.cell.parameters() if p.requires_grad]
    for total in (found.contexts.data.sum(), found.outputs.data.sum()):
        first = torch.autograd.grad(total, weights, retain_graph=True)
        second = torch.autograd.grad(total, weights, retain_graph=True)
        assert all(map(torch.equal, first, second))
    found.outputs.data.sum().backward()
    assert c.cell.weight_ih.grad is None


def test_what_is_given_is_not_written_to() -> None:
    c = case("lstm", SIZES[1], TARGETS[3])
    found = compiled(*c)
    came = found.outputs.data, found.contexts.data, found.weights.data, *states.leaves(found.state)
    given = [torch.randn_like(t) for t in came]
    all_of_it = *given, c.memory, c.x.data, *states.leaves(c.state), *came
    before = [t.detach().clone() for t in all_of_it]
    torch.autograd.grad(came, list(c.cell.parameters()), given)
    for mine, old in zip(all_of_it, before, strict=True):
        torch.testing.assert_close(mine.detach(), old, rtol=0, atol=0, equal_nan=True)


def test_large_scores_saturate_as_the_references_do() -> None:
    c = case("gru", SIZES[1], TARGETS[3])
    for scale in (1e2, 1e4):
        big = c._replace(scorer=c.scorer._replace(value=c.scorer.value * scale, key=c.scorer.key * scale))
        found, wanted = results(compiled, big, torch.float32), results(attending.unroll, big, torch.float32)
        for what in ("outputs", "contexts", "weights"):
            torch.testing.assert_close(found[what], wanted[what], rtol=1e-3, atol=1e-4)


def test_what_the_kernels_do_not_run_is_left_to_the_loop() -> None:
    c = case("gru", SIZES[1], TARGETS[3])
    double = c._replace(
        cell=copy.deepcopy(c.cell).double(),
        scorer=Scorer(*(None if t is None else t.double() for t in c.scorer)),
        x=c.x._replace(data=c.x.data.double()),
        memory=c.memory.double(),
        state=c.state.double(),
    )
    assert attending_fused.attempt(*double) is None

    class Another(GRU):
        """Of another class it may compute something else."""

    assert attending_fused.attempt(Another(10, 9), *c[1:]) is None
    assert attending_fused.attempt(*c) is not None


def test_torch_func_takes_another_way() -> None:
    c = case("gru", SIZES[1], TARGETS[3], ragged=False)
    given = c.x, c.memory, c.lengths, c.state

    def total(value: Tensor) -> Tensor:
        scorer = c.scorer._replace(value=value)
        found = attending_fused.attempt(c.cell, scorer, *given) or attending.unroll(c.cell, scorer, *given)
        return found.outputs.data.sum()

    value = c.scorer.value.clone().requires_grad_()
    (wanted,) = torch.autograd.grad(total(value), value)
    torch.testing.assert_close(torch.func.grad(total)(c.scorer.value), wanted, rtol=1e-4, atol=1e-5)


def test_a_batch_and_a_state_that_do_not_fit_are_refused_before_they_are_read() -> None:
    c = case("lstm", SIZES[1], TARGETS[3])
    for sizes in ([3, 3, 3], [3, 4, 4], [3, 0, 8]):
        with pytest.raises(ValueError, match="sizes"):
            attending_fused.attempt(*c._replace(x=PackedSequence(c.x.data, torch.tensor(sizes))))
    with pytest.raises(ValueError, match=r"a state must be \(3, 9\) in float32 on the CPU, not \(3, 8\)"):
        attending_fused.attempt(*c._replace(state=(torch.zeros(3, 8), torch.zeros(3, 8))))
    for unroll in (attending.unroll, attending_fused.attempt):
        with pytest.raises(BadOption, match="the memory has 3 rows, the state has 2"):
            unroll(*c._replace(state=c.cell.initial_state(2)))
