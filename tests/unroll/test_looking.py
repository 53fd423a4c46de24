"""Attention for all queries at once by the kernels: what the plain loop gives, and every gradient."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import pytest
import torch
from torch import Tensor

from unrolled.kernels import library
from unrolled.unroll import looking

pytestmark = pytest.mark.skipif(library.load() is None, reason=f"there are no compiled kernels: {library.why()}")

BATCHES = {"one": [1] * 5, "three": [3, 2, 2, 2, 1, 1], "many": [33, 32, 30, 24, 13, 13, 8, 3, 2]}
SIZES = ((1, 1), (7, 5), (32, 16), (300, 70), (33, 130))
"""Of the memory, of the score."""


class Case(NamedTuple):
    """What goes in; nothing is in the padding."""

    queries: Tensor
    memory: Tensor
    keys: Tensor
    value: Tensor
    mask: Tensor
    sizes: Tensor


def case(sizes: tuple[int, int], alive: list[int], ragged: bool = True) -> Case:
    features, units = sizes
    lengths = torch.randint(1, 8, (alive[0],)) if ragged else torch.full((alive[0],), 7)
    mask = torch.arange(7) < lengths.unsqueeze(1)
    memory, keys = (torch.randn(alive[0], 7, n) * mask.unsqueeze(2) for n in (features, units))
    return Case(
        torch.randn(sum(alive), units), memory, keys, torch.randn(units) * 2 * units**-0.5, mask, torch.tensor(alive)
    )


def compiled(*given: Tensor) -> tuple[Tensor, Tensor]:
    found = looking.attempt(*given)
    assert found is not None
    return found


def results(look: Callable[..., tuple[Tensor, Tensor]], c: Case, dtype: torch.dtype) -> dict[str, Tensor]:
    given = [t.detach().to(dtype).requires_grad_() for t in c[:4]]
    contexts, weights = look(*given, c.mask, c.sizes)
    total = sum((t * torch.linspace(0.1, 2, t.numel(), dtype=dtype).view(t.shape)).sum() for t in (contexts, weights))
    gradients = [g.clone() for g in torch.autograd.grad(total, given)]
    for g in gradients[1:3]:  # what stands in the padding has a gradient in neither, or none that matters
        g[~c.mask] = 0
    return {"contexts": contexts, "weights": weights, **dict(zip(Case._fields, gradients, strict=False))}


def agree(found: dict[str, Tensor], wanted: dict[str, Tensor], what_of: object) -> None:
    """Within 3e-6 of the tensor's scale, or of 1, which is what is summed up, where that cancels."""
    for what, right in wanted.items():
        error, scale = (found[what].double() - right).abs().max(), right.abs().max().clamp(min=1)
        assert error <= 3e-6 * scale, (what_of, what, float(error), float(scale))


@pytest.mark.parametrize("sizes", SIZES, ids=str)
@pytest.mark.parametrize("batch", BATCHES)
def test_the_kernels_agree_with_the_loop_in_float64(batch: str, sizes: tuple[int, int], isa: str) -> None:
    c = case(sizes, BATCHES[batch], ragged=batch != "one")
    agree(results(compiled, c, torch.float32), results(looking.plain, c, torch.float64), isa)


def test_several_threads_agree_with_one_and_with_themselves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("unrolled.kernels.recurrence.SMALL", 0)
    c, before, found = case(SIZES[3], BATCHES["many"]), torch.get_num_threads(), {}
    try:
        for threads in (1, 2, 3, 40):
            torch.set_num_threads(threads)
            found[threads], again = (results(compiled, c, torch.float32) for _ in range(2))
            assert all(torch.equal(again[what], value) for what, value in found[threads].items())
    finally:
        torch.set_num_threads(before)
    for threads in (2, 3, 40):
        agree(found[threads], {what: value.double() for what, value in found[1].items()}, threads)


def test_what_stands_in_the_padding_is_not_read(isa: str) -> None:
    c = case(SIZES[1], BATCHES["three"])
    memory, keys = (t.masked_fill(~c.mask.unsqueeze(2), torch.nan) for t in (c.memory, c.keys))
    dirty = results(compiled, c._replace(memory=memory, keys=keys), torch.float32)
    assert all(torch.equal(dirty[what], value) for what, value in results(compiled, c, torch.float32).items())


def test_without_gradients_all_is_the_same_bit_for_bit(isa: str) -> None:
    for batch, alive in BATCHES.items():
        c = case(SIZES[3], alive, ragged=batch != "one")
        kept = compiled(c.queries.requires_grad_(), *c[1:])
        with torch.no_grad():
            assert all(map(torch.equal, kept, compiled(*c)))


def test_second_derivatives_are_the_loop_s() -> None:
    c = case((3, 4), BATCHES["three"])

    def penalty(look: Callable[..., tuple[Tensor, Tensor]]) -> list[Tensor]:
        given = [t.detach().requires_grad_() for t in c[:4]]
        contexts, weights = look(*given, c.mask, c.sizes)
        (first,) = torch.autograd.grad((contexts**2).sum() + (weights**2).sum(), given[0], create_graph=True)
        return list(torch.autograd.grad((first**2).sum(), given))

    for mine, right in zip(penalty(compiled), penalty(looking.plain), strict=True):
        torch.testing.assert_close(mine, right, rtol=1e-4, atol=1e-5)


def test_other_types_are_left_to_others() -> None:
    c = case((3, 4), BATCHES["three"])
    assert looking.attempt(*(t.double() for t in c[:4]), c.mask, c.sizes) is None
    assert looking.attempt(*c) is not None
