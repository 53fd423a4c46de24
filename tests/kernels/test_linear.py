"""The binding of the element-wise linear recurrences: rows that lie anywhere, and what is refused."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from unrolled.kernels import library, linear
from unrolled.kernels.linear import Terms

pytestmark = pytest.mark.skipif(library.load() is None, reason=f"there are no compiled kernels: {library.why()}")

SIZES, STARTS = torch.tensor([2, 2, 1]), torch.tensor([0, 2, 4])


def terms(hidden: int = 6) -> Terms:
    return Terms(torch.rand(5, hidden), torch.randn(5, hidden), torch.randn(2, hidden))


def test_a_step_by_hand() -> None:
    """Rows of two elements and of one: h = 0.5 * 2 + 1 = 2, then 3 * 2 - 4 = 2; and -1 * 3 + 0 = -3."""
    given = Terms(
        torch.tensor([[0.5], [-1.0], [3.0]]), torch.tensor([[1.0], [0.0], [-4.0]]), torch.tensor([[2.0], [3.0]])
    )
    sizes, starts = torch.tensor([2, 1]), torch.tensor([0, 2])
    outputs, (last,) = linear.forward(sizes, starts, [given])
    assert outputs.flatten().tolist() == [2.0, -3.0, 2.0]
    assert last.flatten().tolist() == [2.0, -3.0]
    ones = torch.ones(3, 1)
    # g of the first row: 1 + 10 = 11 at its end, then 1 + 3 * 11 = 34; of the second 1 + 100 = 101.
    (found,) = linear.backward(
        sizes, starts, [(given.a, given.h0)], outputs, ones, [torch.tensor([[10.0], [100.0]])], [True]
    )
    assert found.b.flatten().tolist() == [34.0, 101.0, 11.0]
    assert found.a.flatten().tolist() == [34.0 * 2, 101.0 * 3, 11.0 * 2]
    assert found.h0.flatten().tolist() == [34.0 * 0.5, -101.0]


@pytest.mark.parametrize(
    "laid",
    [
        lambda t: torch.cat([t, t], dim=1)[:, : t.shape[1]],
        lambda t: t.T.contiguous().T,
        lambda t: t[:1].expand(5, -1),
        lambda t: t.detach().clone()[:, :1].expand(-1, t.shape[1]),
    ],
    ids=["a part of wider rows", "columns of neighbours", "one row for all", "one column for all"],
)
def test_rows_may_lie_anywhere(laid) -> None:
    plain = terms()
    a, b = laid(plain.a), laid(plain.b)
    wanted, _ = linear.forward(SIZES, STARTS, [Terms(a.clone(), b.clone(), plain.h0)])
    outputs, last = linear.forward(SIZES, STARTS, [Terms(a, b, plain.h0)])
    assert torch.equal(outputs, wanted)
    shifted = torch.cat([outputs, outputs], dim=1)[:, :6]
    found, right = (
        linear.backward(SIZES, STARTS, [(coefficient, plain.h0)], h, laid(h), last, [True])[0]
        for coefficient, h in ((a, shifted), (a.clone(), outputs))
    )
    assert all(map(torch.equal, found, right))


def bad(**changed: Tensor) -> Terms:
    return terms()._replace(**changed)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (bad(a=torch.rand(5, 6).double()), "x must be torch.float32 on the CPU, not torch.float64"),
        (bad(b=torch.rand(5, 6).double()), r"a and b must be of one shape, in float32 on the CPU, not \(5, 6\)"),
        (bad(b=torch.rand(5, 7)), r"not \(5, 6\) and \(5, 7\)"),
        (bad(a=torch.rand(4, 6)), "all add up to the elements: .*, 4 elements"),
        (bad(a=torch.rand(30)), "x must have 2 axes"),
        (bad(h0=torch.rand(3, 6)), r"a state must be \(2, 6\) in float32 on the CPU, not \(3, 6\)"),
        (bad(h0=torch.rand(2, 6).double()), "a state must be"),
        (bad(b=torch.rand(5, 6, device="meta")), "not .* on meta"),
    ],
)
def test_terms_that_do_not_fit_are_refused_before_they_are_read(given: Terms, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        linear.forward(SIZES, STARTS, [given])


@pytest.mark.parametrize(
    ("sizes", "starts"),
    [
        ([2, 3], [0, 2]),
        ([2, 2, 1], [0, 1, 4]),
        ([2, 2, 1, 0], [0, 2, 4, 5]),
        ([], []),
    ],
)
def test_sizes_that_grow_or_do_not_add_up_are_refused(sizes: list[int], starts: list[int]) -> None:
    with pytest.raises(ValueError, match="sizes must be above zero and never grow"):
        linear.forward(torch.tensor(sizes, dtype=torch.long), torch.tensor(starts, dtype=torch.long), [terms()])


def test_gradients_of_another_shape_are_refused() -> None:
    given = terms()
    outputs, last = linear.forward(SIZES, STARTS, [given])

    def back(outputs: Tensor, gradient: Tensor, last: Tensor) -> None:
        linear.backward(SIZES, STARTS, [(given.a, given.h0)], outputs, gradient, [last], [True])

    for h, dh in ((outputs[:4], outputs), (outputs, outputs[:, :5]), (outputs, outputs.double())):
        with pytest.raises(ValueError, match=r"the outputs and their gradient must be \(5, 6\) in float32 on the CPU"):
            back(h, dh, last[0])
    with pytest.raises(ValueError, match=r"a state must be \(2, 6\)"):
        back(outputs, outputs, last[0][:1])
