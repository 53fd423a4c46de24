"""Our kernels must give what the reference gives: outputs, state, every gradient, second derivatives."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence, pack_sequence

from unrolled import state as states
from unrolled.cells.base import Cell
from unrolled.cells.elman import Elman
from unrolled.cells.gru import GRU
from unrolled.cells.lstm import LSTM
from unrolled.errors import BadOption
from unrolled.kernels import library
from unrolled.layers.weight_drop import WeightDrop
from unrolled.unroll import choose, fused, scan
from unrolled.unroll.packing import reverse

pytestmark = pytest.mark.skipif(library.load() is None, reason=f"there are no compiled kernels: {library.why()}")

CELLS: dict[str, Callable[..., Cell]] = {
    **{kind: cell for cell, kind in fused.KINDS.items()},
    "rnn_relu": lambda *sizes, **options: Elman(*sizes, nonlinearity="relu", **options),
}
LENGTHS = {1: [5], 3: [6, 4, 1], 32: [9, 9, 8] + [7] * 5 + [4] * 11 + [3] * 6 + [1] * 7}
SIZES = (1, 7, 16, 50, 64, 256, 300)


@pytest.fixture(autouse=True)
def _all_that_can_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fused, "FEW", 0)


def packed(lengths: list[int], features: int) -> PackedSequence:
    return pack_sequence([torch.randn(n, features) for n in lengths])


def only_rounded(x: PackedSequence) -> PackedSequence:
    return x._replace(data=x.data.bfloat16().float())


def in_bfloat16(cell: Cell) -> Cell:
    """The cell whose weights have been rounded, and which computes as exactly as before."""
    rounded = copy.deepcopy(cell)
    for p in rounded.parameters():
        p.data = p.data.bfloat16().float()
    return rounded


def random_state(cell: Cell, batch: int) -> states.State:
    return states.tree_map(torch.randn_like, cell.initial_state(batch))


def apart(
    ahead: Cell, back: Cell, x: PackedSequence, given: tuple[states.State, states.State]
) -> tuple[PackedSequence, tuple[states.State, states.State]]:
    """The reference of both directions."""
    forwards, first = scan.unroll(ahead, x, given[0])
    backwards, last = scan.unroll(back, reverse(x), given[1])
    return x._replace(data=torch.cat([forwards.data, reverse(backwards).data], dim=1)), (first, last)


def results(
    unroll: Callable, cells: list[Cell], x: PackedSequence, given: states.State, dtype: torch.dtype
) -> dict[str, Tensor]:
    """All that comes out, and the gradient of a loss that looks at all of it, with respect to all that goes in."""
    cells = [copy.deepcopy(cell).to(dtype) for cell in cells]
    data = x.data.detach().to(dtype).requires_grad_()
    given = states.tree_map(lambda leaf: leaf.detach().to(dtype).requires_grad_(), given)
    outputs, final = unroll(*cells, x._replace(data=data), given)
    came = {"outputs": outputs.data, **{f"state {k}": leaf for k, leaf in enumerate(states.leaves(final))}}
    weighted = (
        leaf.flatten() @ torch.linspace(0.1, 2, leaf.numel(), dtype=dtype) / leaf.numel() for leaf in came.values()
    )
    loss = torch.stack(list(weighted)).sum()
    inputs = {"x": data, **{f"initial {k}": leaf for k, leaf in enumerate(states.leaves(given))}}
    inputs |= {f"{k} {name}": p for k, cell in enumerate(cells) for name, p in cell.named_parameters()}
    gradients = torch.autograd.grad(loss, list(inputs.values()))
    return came | {f"gradient of {name}": g for name, g in zip(inputs, gradients, strict=True)}


def agree(
    found: dict[str, Tensor], wanted: dict[str, Tensor], case: object, rounded: dict[str, Tensor] | None = None
) -> None:
    """Within 2e-6 of the tensor's scale. A tensor of a few numbers may be small because what it sums up cancels: there
    twice the error of the reference in float32, `rounded`, is the measure."""
    assert found.keys() == wanted.keys()
    for what, right in wanted.items():
        error, bound = (found[what].double() - right).abs().max(), 2e-6 * right.abs().max()
        if rounded is not None and right.numel() <= 16:
            bound = bound.maximum(2 * (rounded[what].double() - right).abs().max()).clamp(min=2e-7)
        assert error <= bound, (case, what, float(error), float(bound))


@pytest.mark.parametrize("hidden", SIZES)
@pytest.mark.parametrize("name", CELLS)
def test_the_kernels_agree_with_the_reference_in_float64(name: str, hidden: int, isa: str) -> None:
    torch.manual_seed(hidden)
    for batch, bias in itertools.product(LENGTHS, (True, False)):
        cell, x = CELLS[name](5, hidden, bias=bias), packed(LENGTHS[batch], 5)
        for given in (random_state(cell, batch), cell.initial_state(batch)):
            found = results(fused.unroll, [cell], x, given, torch.float32)
            rounded = results(scan.unroll, [cell], x, given, torch.float32)
            agree(found, results(scan.unroll, [cell], x, given, torch.float64), (batch, bias), rounded)


@pytest.mark.parametrize("hidden", SIZES)
@pytest.mark.parametrize("name", CELLS)
def test_both_directions_agree_with_the_reference_in_float64(name: str, hidden: int, isa: str) -> None:
    torch.manual_seed(hidden)
    for batch, lengths in LENGTHS.items():
        cells, x = [CELLS[name](5, hidden) for _ in range(2)], packed(lengths, 5)
        given = tuple(random_state(cell, batch) for cell in cells)

        def both(ahead: Cell, back: Cell, x: PackedSequence, given: states.State) -> object:
            assert fused.supports(ahead, x) == (x.data.dtype is torch.float32)
            return choose.unroll_both(ahead, back, x, given)

        found = results(both, cells, x, given, torch.float32)
        rounded = results(apart, cells, x, given, torch.float32)
        agree(found, results(apart, cells, x, given, torch.float64), batch, rounded)


@pytest.mark.parametrize("hidden", SIZES)
@pytest.mark.parametrize("name", CELLS)
def test_in_bfloat16_the_kernels_are_within_its_rounding(name: str, hidden: int, isa: str) -> None:
    torch.manual_seed(hidden)
    for batch, lengths in LENGTHS.items():
        cells, x = [CELLS[name](5, hidden) for _ in range(2)], packed(lengths, 5)
        given = tuple(random_state(cell, batch) for cell in cells)
        with fused.precision("bfloat16"):
            found = results(choose.unroll_both, cells, x, given, torch.float32)
        wanted = results(apart, cells, x, given, torch.float64)
        rounded = results(apart, [in_bfloat16(cell) for cell in cells], only_rounded(x), given, torch.float64)
        for what, right in wanted.items():
            error = (found[what].double() - right).abs()
            if name == "rnn_relu" and what.startswith("gradient"):
                # Where an argument is near zero, rounding decides whether its gradient is there at all.
                assert error.norm() <= 0.25 * right.norm(), (batch, what)
            else:
                # Where sums cancel, weights and input that are no more than rounded are half of the way there alone.
                # With a single unit the sums are of a handful of terms, and luck decides which of the two is nearer.
                share = 0.025 if hidden == 1 else 0.01
                bound = (share * right.abs().max()).maximum(2 * (rounded[what] - right).abs().max())
                assert error.max() <= bound, (batch, what)


def test_bfloat16_is_asked_for_by_autocast_or_by_name_and_by_nothing_else() -> None:
    cell, x = LSTM(30, 40), packed([9, 9, 3], 30)
    plain = choose.unroll(cell, x)[0].data
    with torch.autocast("cpu", dtype=torch.bfloat16):
        automatic = choose.unroll(cell, x)[0].data
    with fused.precision("bfloat16"):
        named = choose.unroll(cell, x)[0].data
        with torch.no_grad():
            inferred = choose.unroll(cell, x)[0].data
    assert automatic.dtype is torch.float32
    assert torch.equal(automatic, named)
    assert torch.equal(inferred, named)
    assert not torch.equal(plain, named)
    assert torch.equal(plain, choose.unroll(cell, x)[0].data)
    with (
        pytest.raises(BadOption, match="the precision is 'float32' or 'bfloat16', not 'half'"),
        fused.precision("half"),
    ):
        pass


@pytest.mark.parametrize("name", CELLS)
def test_inference_gives_what_training_gives_bit_for_bit(name: str, isa: str) -> None:
    cells, x = [CELLS[name](5, 33) for _ in range(2)], packed(LENGTHS[32], 5)
    given = tuple(random_state(cell, 32) for cell in cells)
    kept, final = choose.unroll_both(*cells, x, given)
    with torch.no_grad():
        found, last = choose.unroll_both(*cells, x, given)
    assert torch.equal(kept.data, found.data)
    assert all(map(torch.equal, states.leaves(final), states.leaves(last)))


@pytest.mark.parametrize("name", CELLS)
def test_several_threads_agree_with_one(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("unrolled.kernels.recurrence.SMALL", 0)
    cells, x = [CELLS[name](5, 70) for _ in range(2)], packed(LENGTHS[32], 5)
    given = tuple(random_state(cell, 32) for cell in cells)
    before = torch.get_num_threads()
    found = {}
    try:
        for threads in (1, 2, 3, 5):
            torch.set_num_threads(threads)
            found[threads] = results(choose.unroll_both, cells, x, given, torch.float32)
            again = results(choose.unroll_both, cells, x, given, torch.float32)
            assert all(torch.equal(again[what], value) for what, value in found[threads].items())
    finally:
        torch.set_num_threads(before)
    wanted = {what: value.double() for what, value in found[1].items()}
    for threads in (2, 3, 5):
        agree(found[threads], wanted, threads)


@pytest.mark.parametrize("name", CELLS)
def test_second_derivatives_are_the_references(name: str) -> None:
    cell, x = CELLS[name](3, 4), packed([4, 2, 1], 3)

    def penalty(unroll: Callable, dtype: torch.dtype) -> list[Tensor]:
        one = copy.deepcopy(cell).to(dtype)
        data = x.data.detach().to(dtype).requires_grad_()
        outputs, _ = unroll(one, x._replace(data=data))
        (first,) = torch.autograd.grad((outputs.data**2).sum(), data, create_graph=True)
        return list(torch.autograd.grad((first**2).sum(), [data, *one.parameters()]))

    for found, wanted in zip(penalty(fused.unroll, torch.float32), penalty(scan.unroll, torch.float64), strict=True):
        torch.testing.assert_close(found.double(), wanted, rtol=1e-4, atol=1e-5)


def test_a_graph_can_be_gone_through_twice() -> None:
    cell, x = LSTM(3, 4), packed([4, 2, 1], 3)
    loss = fused.unroll(cell, x)[0].data.sum()
    first = torch.autograd.grad(loss, list(cell.parameters()), retain_graph=True)
    second = torch.autograd.grad(loss, list(cell.parameters()))
    assert all(map(torch.equal, first, second))


@pytest.mark.parametrize("name", CELLS)
def test_gradients_that_nobody_asks_for_are_left_out(name: str) -> None:
    cell, x = CELLS[name](3, 4), packed([4, 2, 1], 3)
    cell.weight_ih.requires_grad_(False)
    outputs, _ = fused.unroll(cell, x)
    outputs.data.sum().backward()
    assert cell.weight_ih.grad is None
    assert cell.weight_hh.grad is not None


def test_weights_that_change_are_seen_in_inference() -> None:
    cell, x = LSTM(3, 4), packed([4, 2, 1], 3)
    changes: list[Callable[[], object]] = [
        lambda: cell.weight_hh.add_(1),
        lambda: cell.weight_ih.data.mul_(2),
        lambda: cell.bias_hh.data.fill_(3),
        lambda: cell.load_state_dict(LSTM(3, 4).state_dict()),
        lambda: setattr(cell, "weight_ih", torch.nn.Parameter(torch.randn(16, 3))),
    ]
    with torch.no_grad():
        for change in changes:
            choose.unroll(cell, x)
            change()
            torch.testing.assert_close(choose.unroll(cell, x)[0].data, scan.unroll(cell, x)[0].data)


def test_weights_born_in_inference_mode_can_be_used() -> None:
    with torch.inference_mode():
        cell, x = LSTM(3, 4), packed([4, 2, 1], 3)
        torch.testing.assert_close(choose.unroll(cell, x)[0].data, scan.unroll(cell, x)[0].data)


def test_weight_drop_runs_through_the_kernels_and_its_gradient_reaches_the_true_weights() -> None:
    cell, x = WeightDrop(LSTM(3, 4), 0.5), packed([9, 9, 3], 3)
    torch.manual_seed(1)
    outputs, _ = choose.unroll(cell, x)
    torch.manual_seed(1)
    wanted, _ = scan.unroll(cell, x)
    torch.testing.assert_close(outputs.data, wanted.data)
    outputs.data.sum().backward()
    assert cell.cell.weight_hh.grad is not None


def test_derivatives_forwards_and_torch_func_take_another_way() -> None:
    cell, x = LSTM(3, 4).requires_grad_(False), packed([9, 9, 3], 3)

    def total(data: Tensor) -> Tensor:
        return choose.unroll(cell, x._replace(data=data))[0].data.sum()

    data = x.data.clone().requires_grad_()
    (wanted,) = torch.autograd.grad(total(data), data)
    torch.testing.assert_close(torch.func.grad(total)(x.data), wanted)


def test_nan_reaches_only_what_it_must() -> None:
    """A row's NaN stays in that row, and begins where it was: no element is read that is not this row's past."""
    cell, x = LSTM(3, 20), packed([6, 6, 5, 2], 3)
    clean = fused.unroll(cell, x)[0].data
    data = x.data.detach().clone()
    data[5] = torch.nan  # time 1, row 1
    dirty = fused.unroll(cell, x._replace(data=data))[0].data
    struck = dirty.isnan().any(dim=1)
    assert struck.nonzero().flatten().tolist() == [5, 9, 12, 15, 18][: int(struck.sum())]
    assert torch.equal(dirty[~struck], clean[~struck])
    assert int(struck.sum()) == 5


@pytest.mark.parametrize("nonlinearity", ["tanh", "relu"])
def test_large_arguments_saturate_as_the_references_do(nonlinearity: str) -> None:
    for cell in (LSTM(1, 3), GRU(1, 3), Elman(1, 3, nonlinearity=nonlinearity)):
        x = pack_sequence([torch.tensor([[1e4], [-1e4], [1e-6], [0.0], [-50.0], [torch.inf], [-1e30]])])
        found, wanted = (
            fused.unroll(cell, x)[0].data,
            scan.unroll(cell.double(), x._replace(data=x.data.double()))[0].data,
        )
        torch.testing.assert_close(found.double(), wanted, rtol=2e-6, atol=1e-30, equal_nan=True)


@pytest.mark.parametrize("gradients", [False, True])
def test_an_input_of_another_size_is_refused_as_torch_refuses_it(gradients: bool) -> None:
    cell = LSTM(3, 20)
    with torch.set_grad_enabled(gradients), pytest.raises(RuntimeError, match="input"):
        choose.unroll(cell, packed([30, 20], 5))


def test_a_batch_whose_sizes_do_not_add_up_or_grow_is_refused_before_it_is_read() -> None:
    cell, data = LSTM(3, 20), torch.randn(30, 3)
    for sizes in ([2] * 16, [2] * 14, [1, 2] * 10, [2, 0] * 15):
        with pytest.raises(ValueError, match="sizes"):
            fused.unroll(cell, PackedSequence(data, torch.tensor(sizes)), cell.initial_state(2))


def test_a_state_of_another_shape_is_refused_before_it_is_read() -> None:
    cell, x = LSTM(3, 20), packed([30, 20], 3)
    with pytest.raises(ValueError, match=r"a state must be \(2, 20\) in float32 on the CPU, not \(1, 20\)"):
        fused.unroll(cell, x, cell.initial_state(1))
