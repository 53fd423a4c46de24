"""Element-wise linear recurrences: the kernel gives what a loop over each row gives, the cells what `scan` gives."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence, pack_sequence

from unrolled.cells.elementwise import ElementwiseLinear
from unrolled.cells.gru import GRU
from unrolled.cells.mingru import MinGRU
from unrolled.cells.minlstm import MinLSTM
from unrolled.errors import BadOption
from unrolled.kernels import library, linear
from unrolled.kernels.linear import Terms
from unrolled.layers.weight_drop import WeightDrop
from unrolled.layers.zoneout import Zoneout
from unrolled.unroll import choose, elementwise, fused, scan
from unrolled.unroll.packing import reverse

kernels = pytest.mark.skipif(library.load() is None, reason=f"there are no compiled kernels: {library.why()}")

CELLS: dict[str, type[ElementwiseLinear]] = {"mingru": MinGRU, "minlstm": MinLSTM}
LENGTHS = {1: [6], 3: [5, 2, 1], 32: [9, 9, 8, 7, *[5] * 10, *[2] * 9, *[1] * 9]}
HIDDEN = (1, 7, 16, 50, 64, 256, 300)


def sizes_of(lengths: list[int]) -> Tensor:
    return torch.tensor([sum(length > t for length in lengths) for t in range(lengths[0])])


def drawn(lengths: list[int], hidden: int, directions: int = 2) -> list[Terms]:
    count, batch = sum(lengths), len(lengths)
    return [
        Terms(torch.rand(count, hidden) * 1.2 - 0.2, torch.randn(count, hidden), torch.randn(batch, hidden))
        for _ in range(directions)
    ]


def by_rows(sizes: Tensor, directions: list[Terms]) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Row after row, element after element, straight from the equation."""
    alive = sizes.tolist()
    where = [[sum(alive[:t]) + row for t in range(len(alive)) if alive[t] > row] for row in range(alive[0])]
    outputs, final = [], []
    for place, (a, b, h0) in enumerate(directions):
        found, last = [torch.empty(0)] * len(a), []
        a_of, b_of = a.unbind(0), b.unbind(0)
        for row, elements in enumerate(where):
            h = h0[row]
            for element in reversed(elements) if place else elements:
                h = found[element] = a_of[element] * h + b_of[element]
            last.append(h)
        outputs.append(torch.stack(found))
        final.append(torch.stack(last))
    return torch.cat(outputs, dim=1), tuple(final)


def results(run: Callable, sizes: Tensor, directions: list[Terms], dtype: torch.dtype) -> dict[str, Tensor]:
    """All that comes out, and the gradient of a loss that looks at all of it, with respect to all that goes in."""
    given = [Terms(*(t.detach().to(dtype).requires_grad_() for t in terms)) for terms in directions]
    outputs, last = run(sizes, given)
    came = {"outputs": outputs, **{f"last {k}": t for k, t in enumerate(last)}}
    torch.manual_seed(7)
    weights = [torch.randn(t.shape, dtype=torch.float64).to(dtype) for t in came.values()]
    names = [f"gradient of {name} {k}" for k in range(len(given)) for name in Terms._fields]
    gradients = torch.autograd.grad(list(came.values()), [t for terms in given for t in terms], weights)
    return came | dict(zip(names, gradients, strict=True))


def agree(found: dict[str, Tensor], wanted: dict[str, Tensor], case: object) -> None:
    assert found.keys() == wanted.keys()
    for what, right in wanted.items():
        assert found[what].dtype is torch.float32
        error, bound = (found[what].double() - right).abs().max(), 2e-6 * right.abs().max()
        assert error <= bound, (case, what, float(error), float(bound))


@pytest.mark.parametrize("hidden", HIDDEN)
@pytest.mark.parametrize("batch", LENGTHS)
def test_the_kernel_agrees_with_a_loop_over_each_row_in_float64(batch: int, hidden: int, isa: str) -> None:
    torch.manual_seed(hidden)
    sizes, directions = sizes_of(LENGTHS[batch]), drawn(LENGTHS[batch], hidden)
    assert linear.supports(*directions[0])
    wanted = results(by_rows, sizes, directions, torch.float64)
    agree(results(elementwise.run, sizes, directions, torch.float32), wanted, "both")
    one = results(elementwise.run, sizes, directions[:1], torch.float32)
    agree(one, results(by_rows, sizes, directions[:1], torch.float64), "one")


def test_in_plain_torch_it_is_the_same_recurrence() -> None:
    for lengths in LENGTHS.values():
        sizes, directions = sizes_of(lengths), drawn(lengths, 3)
        found = results(elementwise.run, sizes, directions, torch.float64)
        for what, right in results(by_rows, sizes, directions, torch.float64).items():
            torch.testing.assert_close(found[what], right, rtol=1e-12, atol=1e-12)


def test_four_thousand_steps_lose_nothing(isa: str) -> None:
    sizes, directions = torch.ones(4096, dtype=torch.long), drawn([4096], 7)
    directions = [terms._replace(a=0.999 + 0.001 * torch.rand(4096, 7)) for terms in directions]
    wanted = results(by_rows, sizes, directions, torch.float64)
    found = results(elementwise.run, sizes, directions, torch.float32)
    for what, right in wanted.items():
        # Rounding errors of thousands of steps are remembered as what was read is.
        assert (found[what].double() - right).abs().max() <= 2e-5 * right.abs().max(), what


@kernels
@pytest.mark.parametrize("batch", LENGTHS)
def test_the_number_of_threads_changes_no_bit(batch: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(linear, "SMALL", 0)
    sizes, directions = sizes_of(LENGTHS[batch]), drawn(LENGTHS[batch], 70)
    before, found = torch.get_num_threads(), {}
    try:
        for threads in (1, 2, 3, 5, 8):
            torch.set_num_threads(threads)
            for count in (1, 2):
                found[threads, count] = results(elementwise.run, sizes, directions[:count], torch.float32)
    finally:
        torch.set_num_threads(before)
    for (_, count), values in found.items():
        for what, value in found[1, count].items():
            assert torch.equal(values[what], value), what


@kernels
def test_inference_gives_what_training_gives_bit_for_bit(isa: str) -> None:
    cells, x = [MinLSTM(5, 33), MinLSTM(5, 20)], pack_sequence([torch.randn(n, 5) for n in LENGTHS[32]])
    kept, final = choose.unroll_both(*cells, x)
    with torch.no_grad():
        found, last = choose.unroll_both(*cells, x)
    assert torch.equal(kept.data, found.data)
    assert all(map(torch.equal, final, last))


def test_nan_reaches_only_what_it_must() -> None:
    """It stays in its row and its channel, and begins where it was in the direction of reading."""
    sizes, directions = sizes_of([6, 6, 5, 2]), drawn([6, 6, 5, 2], 20)
    clean, _ = elementwise.run(sizes, directions)
    for terms in directions:
        terms.a[9, 17] = torch.nan  # time 2, row 1
    dirty, last = elementwise.run(sizes, directions)
    struck = dirty.isnan()
    assert struck[:, 17].nonzero().flatten().tolist() == [9, 12, 15, 18]  # ahead, times 2 to 5
    assert struck[:, 20 + 17].nonzero().flatten().tolist() == [1, 5, 9]  # back, times 2 to 0
    assert int(struck.sum()) == 7
    assert torch.equal(dirty[~struck], clean[~struck])
    assert [t.isnan().nonzero().tolist() for t in last] == [[[1, 17]], [[1, 17]]]


def test_the_gradients_in_plain_torch_are_those_of_the_function() -> None:
    sizes = sizes_of([3, 2, 1])
    given = [t.double().requires_grad_() for terms in drawn([3, 2, 1], 2) for t in terms]

    def function(*tensors: Tensor) -> tuple[Tensor, ...]:
        outputs, last = elementwise.run(sizes, [Terms(*tensors[:3]), Terms(*tensors[3:])])
        return outputs, *last

    assert torch.autograd.gradcheck(function, given)
    assert torch.autograd.gradgradcheck(function, given)


def test_second_and_third_derivatives_of_the_kernel_are_those_of_the_loop() -> None:
    sizes, directions = sizes_of([4, 2, 1]), drawn([4, 2, 1], 5)

    def derived(run: Callable, dtype: torch.dtype) -> list[Tensor]:
        given = [t.to(dtype).requires_grad_() for terms in directions for t in terms]
        outputs, last = run(sizes, [Terms(*given[:3]), Terms(*given[3:])])
        found, total = [], sum((t**3).sum() for t in (outputs, *last))
        for _ in range(3):
            gradients = torch.autograd.grad(total, given, create_graph=True)
            found += [g.detach() for g in gradients]
            total = sum((g**2).sum() for g in gradients)
        return found

    wanted = derived(by_rows, torch.float64)
    for found, right in zip(derived(elementwise.run, torch.float32), wanted, strict=True):
        torch.testing.assert_close(found.double(), right, rtol=1e-4, atol=1e-5 * float(right.abs().max()))


@kernels
def test_gradients_that_nobody_asks_for_are_left_out() -> None:
    sizes, (terms,) = sizes_of(LENGTHS[3]), drawn(LENGTHS[3], 5, directions=1)
    wanted = results(elementwise.run, sizes, [terms], torch.float32)
    for name, tensor in terms._asdict().items():
        asked = tensor.clone().requires_grad_()
        outputs, (last,) = elementwise.run(sizes, [terms._replace(**{name: asked})])
        torch.manual_seed(7)
        weights = [torch.randn(t.shape, dtype=torch.float64).float() for t in (outputs, last)]
        torch.autograd.backward([outputs, last], weights)
        assert torch.equal(asked.grad, wanted[f"gradient of {name} 0"])


def apart(ahead: ElementwiseLinear, back: ElementwiseLinear, x: PackedSequence, given: tuple) -> tuple:
    """The reference of both directions."""
    forwards, first = scan.unroll(ahead, x, given[0])
    backwards, last = scan.unroll(back, reverse(x), given[1])
    return x._replace(data=torch.cat([forwards.data, reverse(backwards).data], dim=1)), (first, last)


def of_cells(unroll: Callable, cells: list, x: PackedSequence, given: tuple, dtype: torch.dtype) -> dict[str, Tensor]:
    cells = [copy.deepcopy(cell).to(dtype) for cell in cells]
    data = x.data.to(dtype).requires_grad_()
    given = tuple(None if h0 is None else h0.to(dtype) for h0 in given)
    outputs, last = unroll(*cells, x._replace(data=data), given)
    inputs = {"x": data} | {f"{k} {name}": p for k, c in enumerate(cells) for name, p in c.named_parameters()}
    loss = outputs.data.pow(2).sum() + sum(t.sum() for t in last)
    gradients = torch.autograd.grad(loss, list(inputs.values()))
    came = {"outputs": outputs.data, "first": last[0], "last": last[1]}
    return came | {f"gradient of {name}": g for name, g in zip(inputs, gradients, strict=True)}


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("name", CELLS)
def test_the_cells_agree_with_the_reference_in_float64(name: str, bias: bool) -> None:
    torch.manual_seed(3)
    for lengths in LENGTHS.values():
        cells = [CELLS[name](5, hidden, bias=bias) for hidden in (20, 33)]
        x = pack_sequence([torch.randn(n, 5) for n in lengths])
        for given in ((None, None), tuple(torch.randn(len(lengths), c.hidden_size) for c in cells)):
            wanted = of_cells(apart, cells, x, given, torch.float64)
            agree(of_cells(choose.unroll_both, cells, x, given, torch.float32), wanted, len(lengths))
            for what, found in of_cells(choose.unroll_both, cells, x, given, torch.float64).items():
                torch.testing.assert_close(found, wanted[what], rtol=1e-11, atol=1e-11)
        outputs, final = choose.unroll(cells[0], x, given[0])
        torch.testing.assert_close(outputs.data.double(), wanted["outputs"][:, :20], rtol=0, atol=1e-5)
        torch.testing.assert_close(final.double(), wanted["first"], rtol=0, atol=1e-5)


@kernels
@pytest.mark.parametrize("name", CELLS)
def test_bfloat16_is_within_its_rounding_and_leaves_what_comes_out_in_float32(name: str) -> None:
    torch.manual_seed(3)
    cells, x = [CELLS[name](30, 40) for _ in range(2)], pack_sequence([torch.randn(n, 30) for n in LENGTHS[32]])
    wanted = of_cells(apart, cells, x, (None, None), torch.float64)
    with fused.precision("bfloat16"):
        named = of_cells(choose.unroll_both, cells, x, (None, None), torch.float32)
        # What is multiplied is rounded, and nothing after it.
        assert all(t.dtype is torch.float32 for t in elementwise._coefficients(cells[0], x.data))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        automatic = of_cells(choose.unroll_both, cells, x, (None, None), torch.float32)
    plain = of_cells(choose.unroll_both, cells, x, (None, None), torch.float32)
    for what, right in wanted.items():
        assert named[what].dtype is torch.float32
        assert (named[what].double() - right).abs().max() <= 1e-2 * right.abs().max(), what
        assert torch.equal(named[what], automatic[what]), what
        assert not torch.equal(named[what], plain[what]), what


def test_without_kernels_within_torch_func_and_beside_another_cell_all_is_as_with_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cell, x = MinGRU(3, 4), pack_sequence([torch.randn(n, 3) for n in (7, 4, 4, 1)])
    wanted, _ = scan.unroll(cell, x)
    mixed, _ = choose.unroll_both(cell, GRU(3, 5), x)
    torch.testing.assert_close(mixed.data[:, :4], wanted.data)
    (slope,) = torch.autograd.grad(wanted.data.sum(), cell.weight_ih)
    parameters = dict(cell.named_parameters())

    def total(weight: Tensor) -> Tensor:
        both = torch.nn.Module()
        both.cell, both.forward = cell, lambda x: choose.unroll_both(cell, cell, x)[0].data[:, :4].sum()
        return torch.func.functional_call(both, {"cell.weight_ih": weight}, (x,))

    torch.testing.assert_close(torch.func.grad(total)(parameters["weight_ih"].detach()), slope)
    monkeypatch.setattr(linear, "supports", lambda *_: False)
    torch.testing.assert_close(choose.unroll(cell, x)[0].data, wanted.data)


def test_wrappers_go_their_own_way() -> None:
    cell, x = MinGRU(3, 4), pack_sequence([torch.randn(n, 3) for n in (7, 4, 4, 1)])
    assert not elementwise.supports(Zoneout(cell, 0.5))
    torch.testing.assert_close(choose.unroll(Zoneout(cell, 0.5).eval(), x)[0].data.shape, torch.Size([16, 4]))
    dropped = WeightDrop(cell, 0.5, ("weight_ih",))
    torch.manual_seed(1)
    outputs, _ = choose.unroll(dropped, x)
    torch.manual_seed(1)
    torch.testing.assert_close(outputs.data, scan.unroll(dropped, x)[0].data)
    with pytest.raises(BadOption, match="MinGRU has no weight 'weight_hh' to drop; it has weight_ih, bias_ih"):
        WeightDrop(cell, 0.5)


@kernels
def test_a_state_or_a_batch_that_does_not_fit_is_refused_before_it_is_read() -> None:
    cell, x = MinGRU(3, 20), pack_sequence([torch.randn(n, 3) for n in (30, 20)])
    with pytest.raises(ValueError, match=r"a state must be \(2, 20\) in float32 on the CPU, not \(1, 20\)"):
        choose.unroll(cell, x, cell.initial_state(1))
    with pytest.raises(ValueError, match="sizes"):
        choose.unroll(cell, PackedSequence(x.data, torch.tensor([1, 2] * 10)), cell.initial_state(2))
    with pytest.raises(RuntimeError, match="Expected 3, got 4"):
        choose.unroll(cell, pack_sequence([torch.randn(5, 4)]))
