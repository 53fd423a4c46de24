"""The laws that hold for every recurrence, run on every file of `unrolled.cells` unasked."""

from __future__ import annotations

import ast
import copy
import inspect
import pickle
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_sequence, unpack_sequence

import unrolled.lookup as lookup
import unrolled.state as states
from unrolled.cells.base import Cell
from unrolled.unroll.scan import unroll

NAMES = lookup.names("unrolled.cells", Cell)
INPUT, HIDDEN = 3, 4
LENGTHS = (2, 4, 1, 4)
CLOSE = {"rtol": 1e-10, "atol": 1e-12}


def variants() -> list[tuple[str, dict[str, bool]]]:
    """Each cell, and each cell without biases where it can be made so."""
    found: list[tuple[str, dict[str, bool]]] = []
    for name in NAMES:
        found.append((name, {}))
        if "bias" in inspect.signature(kind(name)).parameters:
            found.append((name, {"bias": False}))
    return found


def kind(name: str) -> type[Cell]:
    return lookup.find("unrolled.cells", name, Cell, "cell")


@pytest.fixture(params=variants(), ids=lambda v: v[0] + ("" if not v[1] else "-without-bias"))
def cell(request: pytest.FixtureRequest) -> Cell:
    """A cell in float64 whose every weight is drawn, also those that begin at 0 or 1."""
    name, options = request.param
    made = kind(name)(INPUT, HIDDEN, **options).double()
    for parameter in made.parameters():
        nn.init.uniform_(parameter, -0.8, 0.8)
    return made


def sequences(lengths: Sequence[int] = LENGTHS) -> list[Tensor]:
    return [torch.randn(length, INPUT, dtype=torch.float64) for length in lengths]


def drawn_state(cell: Cell, batch: int) -> states.State:
    return states.tree_map(torch.randn_like, cell.initial_state(batch))


def run(cell: Cell, rows: Sequence[Tensor], state: states.State = None) -> tuple[list[Tensor], states.State]:
    """Outputs and final states, with the rows (and the rows of `state`) in the caller's order."""
    packed = pack_sequence(list(rows), enforce_sorted=False)
    if state is not None:
        state = states.select(state, packed.sorted_indices)
    outputs, final = unroll(cell, packed, state)
    return unpack_sequence(outputs), states.select(final, packed.unsorted_indices)


def assert_same(found: states.State, expected: states.State) -> None:
    for a, b in zip(states.leaves(found), states.leaves(expected), strict=True):
        torch.testing.assert_close(a, b, **CLOSE)


@pytest.mark.parametrize("name", NAMES)
def test_every_cell_has_one_step_worked_by_hand(name: str) -> None:
    path = Path(__file__).parent / "cells" / f"test_{name}.py"
    assert path.exists(), f"cells/{name}.py has no test: write tests/cells/test_{name}.py"
    functions = {n.name for n in ast.parse(path.read_text()).body if isinstance(n, ast.FunctionDef)}
    assert "test_one_step_by_hand" in functions, (
        f"tests/cells/test_{name}.py has no test_one_step_by_hand: laws cannot know the paper, so work one step on "
        f"plain floats, straight from the equations of cells/{name}.py"
    )


@pytest.mark.parametrize("name", NAMES)
def test_a_cell_says_its_equations_and_its_paper(name: str) -> None:
    text = inspect.getdoc(inspect.getmodule(kind(name))) or ""
    assert "h_t" in text
    assert any(f"{year}" in text for year in range(1980, 2040)), "which paper, of which year?"


class Scanned(nn.Module):
    """The reference unroll as a function of tensors only, which is what gradcheck wants."""

    def __init__(self, cell: Cell, packed: PackedSequence) -> None:
        super().__init__()
        self.cell, self.packed = cell, packed

    def forward(self, data: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        nested = nested_as(self.cell.initial_state(1), state)
        outputs, final = unroll(self.cell, self.packed._replace(data=data), nested)
        return outputs.data, *states.leaves(final)


def nested_as(pattern: states.State, leaves: Sequence[Tensor]) -> states.State:
    remaining = iter(leaves)
    return states.tree_map(lambda _: next(remaining), pattern)


def differentiable(cell: Cell) -> tuple[object, tuple[Tensor, ...]]:
    """A function and its arguments: the inputs, the initial state, and every parameter, over a ragged batch."""
    packed = pack_sequence(sequences((3, 1)), enforce_sorted=False)
    module = Scanned(cell, packed)
    names = [name for name, _ in module.named_parameters()]
    state = states.leaves(drawn_state(cell, 2))

    def function(data: Tensor, *rest: Tensor) -> tuple[Tensor, ...]:
        parameters = dict(zip(names, rest[len(state) :], strict=True))
        return torch.func.functional_call(module, parameters, (data, *rest[: len(state)]))

    arguments = (packed.data, *state, *(p.detach() for p in module.parameters()))
    return function, tuple(a.clone().requires_grad_() for a in arguments)


def test_the_gradients_are_those_of_the_function(cell: Cell) -> None:
    function, arguments = differentiable(cell)
    assert torch.autograd.gradcheck(function, arguments)


def test_the_second_derivatives_are_those_of_the_function(cell: Cell) -> None:
    function, arguments = differentiable(cell)
    assert torch.autograd.gradgradcheck(function, arguments, fast_mode=True)


def test_every_parameter_receives_a_gradient(cell: Cell) -> None:
    outputs, _ = run(cell, sequences(), drawn_state(cell, len(LENGTHS)))
    torch.cat(outputs).pow(2).sum().backward()
    for name, parameter in cell.named_parameters():
        assert parameter.grad is not None, f"{name} has no gradient"
        # Each row of a weight belongs to a unit of some gate: none may be idle.
        rows = parameter.grad.reshape(len(parameter), -1).abs().amax(1)
        assert (rows > 0).all(), f"no gradient reaches rows {(rows == 0).nonzero().flatten().tolist()} of {name}"


def test_outputs_and_states_have_the_sizes_that_the_cell_names(cell: Cell) -> None:
    outputs, final = run(cell, sequences())
    assert [o.shape for o in outputs] == [(length, cell.output_size) for length in LENGTHS]
    assert states.rows(final) == len(LENGTHS)
    for begin, end in zip(states.leaves(cell.initial_state(len(LENGTHS))), states.leaves(final), strict=True):
        assert begin.shape == end.shape


def test_the_initial_state_is_zeros(cell: Cell) -> None:
    assert all((leaf == 0).all() for leaf in states.leaves(cell.initial_state(3)))


def test_rows_do_not_see_each_other(cell: Cell) -> None:
    rows, state = sequences(), drawn_state(cell, len(LENGTHS))
    before, final_before = run(cell, rows, state)
    rows[1] = rows[1] + 1
    poison = states.tree_map(lambda leaf: torch.full_like(leaf[:1], float("nan")), state)
    after, final_after = run(cell, rows, states.reset(state, torch.tensor([3]), poison))
    for row in (0, 2):
        torch.testing.assert_close(after[row], before[row], rtol=0, atol=0)
    same = torch.tensor([0, 2])
    for a, b in zip(states.leaves(final_after), states.leaves(final_before), strict=True):
        torch.testing.assert_close(a[same], b[same], rtol=0, atol=0)
    assert not torch.equal(after[1], before[1])


def test_the_order_of_the_batch_changes_nothing(cell: Cell) -> None:
    rows, state = sequences(), drawn_state(cell, len(LENGTHS))
    outputs, final = run(cell, rows, state)
    order = torch.tensor([3, 0, 2, 1])
    shuffled, final_shuffled = run(cell, [rows[k] for k in order], states.select(state, order))
    assert_same(tuple(shuffled), tuple(outputs[k] for k in order))
    assert_same(final_shuffled, states.select(final, order))


def test_longer_batch_mates_change_nothing(cell: Cell) -> None:
    rows, state = sequences((2,)), drawn_state(cell, 1)
    alone, final = run(cell, rows, state)
    beside, final_beside = run(cell, rows + sequences((5, 3)), states.concat([state, drawn_state(cell, 2)]))
    assert_same(beside[0], alone[0])
    assert_same(states.select(final_beside, torch.tensor([0])), final)


def test_a_sequence_may_be_split_and_the_state_carried(cell: Cell) -> None:
    rows, state = sequences((5, 3)), drawn_state(cell, 2)
    whole, final = run(cell, rows, state)
    first, carried = run(cell, [row[:2] for row in rows], state)
    second, final_carried = run(cell, [row[2:] for row in rows], carried)
    assert_same(tuple(torch.cat(parts) for parts in zip(first, second, strict=True)), tuple(whole))
    assert_same(final_carried, final)


def test_the_step_is_made_of_the_gates(cell: Cell) -> None:
    px, state = cell.project(torch.randn(5, INPUT, dtype=torch.float64)), drawn_state(cell, 5)
    gates = cell.gates(px, state)
    output, following = cell.step(px, state)
    torch.testing.assert_close(gates.h, output, rtol=0, atol=0)
    for leaf in states.leaves(following):
        assert any(torch.equal(leaf, field) for field in gates), "a part of the next state is not among the gates"
    assert all(field.shape[0] == 5 for field in gates)


def test_a_gate_opens_between_shut_and_open(cell: Cell) -> None:
    gates = cell.gates(cell.project(torch.randn(5, INPUT, dtype=torch.float64)), drawn_state(cell, 5))
    for name in {*cell.keeps, *cell.writes}:
        assert name in cell.blocks
        gate = getattr(gates, name)
        assert ((gate > 0) & (gate < 1)).all()


def test_a_gate_that_keeps_keeps_and_one_that_writes_writes(cell: Cell) -> None:
    if not (cell.keeps or cell.writes) or getattr(cell, "bias_ih", None) is None:
        return  # nothing is claimed
    size = len(cell.bias_ih) // len(cell.blocks)
    with torch.no_grad():
        for value, names in ((60.0, cell.keeps), (-60.0, cell.writes)):
            for name in names:
                start = cell.blocks.index(name) * size
                cell.bias_ih[start : start + size] = value
    state = drawn_state(cell, 5)
    _, following = cell.step(cell.project(torch.randn(5, INPUT, dtype=torch.float64)), state)
    held = [torch.allclose(a, b) for a, b in zip(states.leaves(state), states.leaves(following), strict=True)]
    assert any(held), f"with {cell.keeps} open and {cell.writes} shut the state is not kept"


def test_projecting_all_elements_at_once_equals_one_by_one(cell: Cell) -> None:
    x = torch.randn(7, INPUT, dtype=torch.float64)
    torch.testing.assert_close(cell.project(x), torch.cat([cell.project(row[None]) for row in x]), **CLOSE)


def test_a_step_changes_neither_its_input_nor_its_state(cell: Cell) -> None:
    px, state = cell.project(torch.randn(5, INPUT, dtype=torch.float64)).detach(), drawn_state(cell, 5)
    px_before, state_before = px.clone(), states.tree_map(torch.clone, state)
    cell.step(px, state)
    assert torch.equal(px, px_before)
    assert all(torch.equal(a, b) for a, b in zip(states.leaves(state), states.leaves(state_before), strict=True))


def test_the_states_follow_the_algebra_and_survive_a_file(cell: Cell, tmp_path: Path) -> None:
    state = drawn_state(cell, 4)
    assert_same(states.concat(states.split(state, [1, 3])), state)
    assert_same(states.select(states.repeat(state, 2), torch.tensor([0, 2, 4, 6])), state)
    states.save(state, tmp_path / "state")
    assert_same(states.load(tmp_path / "state"), state)
    states.save(cell.initial_state(2), tmp_path / "state")
    assert_same(states.load(tmp_path / "state"), cell.initial_state(2))


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda cell: pickle.loads(pickle.dumps(cell))])
def test_a_copy_computes_the_same_and_lives_its_own_life(cell: Cell, copied) -> None:
    rows = sequences()
    before = run(cell, rows)
    other = copied(cell)
    assert_same(run(other, rows), before)
    for parameter in other.parameters():
        nn.init.zeros_(parameter)
    assert_same(run(cell, rows), before)


def test_weights_go_through_a_state_dict(cell: Cell) -> None:
    rows = sequences()
    other = copy.deepcopy(cell)
    for parameter in other.parameters():
        nn.init.zeros_(parameter)
    other.load_state_dict(cell.state_dict())
    assert_same(run(other, rows), run(cell, rows))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_a_cell_may_be_moved_to_another_dtype(cell: Cell, dtype: torch.dtype) -> None:
    rows = [row.to(dtype) for row in sequences()]
    outputs, final = run(cell.to(dtype), rows)
    assert all(tensor.dtype == dtype for tensor in [*outputs, *states.leaves(final)])
    assert all(tensor.isfinite().all() for tensor in outputs)


@pytest.mark.parametrize("name", NAMES)
def test_a_cell_is_made_where_and_as_it_is_asked(name: str) -> None:
    made = kind(name)(INPUT, HIDDEN, device="meta", dtype=torch.float64)
    tensors = [*made.parameters(), *states.leaves(made.initial_state(2))]
    assert {tensor.device.type for tensor in tensors} == {"meta"}
    assert {tensor.dtype for tensor in tensors} == {torch.float64}


@pytest.mark.parametrize("name", NAMES)
def test_the_smallest_cell_runs(name: str) -> None:
    made = kind(name)(1, 1)
    output, _ = made.step(made.project(torch.ones(1, 1)), made.initial_state(1))
    assert output.shape == (1, made.output_size)
    assert output.isfinite().all()


@pytest.mark.parametrize("name", NAMES)
def test_a_seed_draws_the_same_weights_again(name: str) -> None:
    torch.manual_seed(5)
    first = kind(name)(INPUT, HIDDEN)
    drawn = copy.deepcopy(first.state_dict())
    first.reset_parameters()
    assert any(not torch.equal(drawn[key], value) for key, value in first.state_dict().items())
    for parameter in first.parameters():
        nn.init.constant_(parameter, 7.0)
    torch.manual_seed(5)
    first.reset_parameters()
    for key, value in first.state_dict().items():
        assert torch.equal(drawn[key], value), f"reset_parameters draws another {key} than the constructor"


@pytest.mark.parametrize("name", NAMES)
def test_a_cell_prints_its_sizes(name: str) -> None:
    assert f"({INPUT}, {HIDDEN}" in repr(kind(name)(INPUT, HIDDEN))
