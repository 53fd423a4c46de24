"""Numbers below 1e-38 are zero while a step is made, in the kernels and out of them, and not longer than that."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.utils.rnn import pack_sequence

from unrolled.cells.base import Cell
from unrolled.lookup import find
from unrolled.state import leaves, tree_map
from unrolled.training import subnormals
from unrolled.training.fit import fit
from unrolled.training.settings import Settings
from unrolled.unroll import choose, fused, scan

LEAST = torch.finfo(torch.float32).tiny
LENGTHS = range(80, 240, 8)
"""Some of these are so long that a gradient has become a number below LEAST, and not yet zero."""

works = pytest.mark.skipif(not torch.set_flush_denormal(False), reason="this processor always keeps them")


@pytest.fixture(params=[1, 2])
def threads(request: pytest.FixtureRequest) -> Iterator[int]:
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


def vanishing(unroll: Callable[..., Any], kind: str, dtype: torch.dtype = torch.float32) -> Tensor:
    """The last state's gradient for the first one, over texts of these lengths."""
    torch.manual_seed(1)
    cell = find("unrolled.cells", kind, Cell, "cell")(4, 24).to(dtype)
    found = []
    for length in LENGTHS:
        first = tree_map(lambda leaf: leaf.clone().requires_grad_(), cell.initial_state(1))
        out, _ = unroll(cell, pack_sequence([torch.randn(length, 4, dtype=dtype)]), first)
        found += torch.autograd.grad(out.data[-1].sum(), leaves(first))
    return torch.cat(found)


@cache
def exactly(kind: str) -> Tensor:
    return vanishing(scan.unroll, kind, torch.float64).float()


def subnormal(values: Tensor) -> int:
    return int(((values != 0) & (values.abs() < LEAST)).sum())


@works
@pytest.mark.parametrize("kind", ["lstm", "gru", "elman", "mingru"])
def test_a_kernels_gradient_vanishes_to_zero_and_leaves_threads_as_they_were(
    kind: str, isa: str, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fused, "FEW", 0)
    found = vanishing(choose.unroll, kind)
    expected = exactly(kind)
    assert subnormal(expected) > 0
    assert subnormal(found) == 0
    assert 0 < int((found != 0).sum()) < found.numel()
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-6)
    assert not subnormals.are_zero()
    assert bool((torch.full((1 << 20,), subnormals.SUBNORMAL) * 1 != 0).all())  # in torch's other threads, too


@works
@pytest.mark.parametrize("before", [False, True])
def test_a_step_is_made_with_them_as_zero_and_what_held_before_holds_between_two_events(
    scripted: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, before: bool
) -> None:
    task, numbers = scripted([0.1] * 9)
    seen: dict[str, set[bool]] = {"loss": set(), "step": set(), "predict": set(), "events": set()}

    def spied(name: str, of: Callable[..., Any]) -> Callable[..., Any]:
        def spy(*given: Any, **named: Any) -> Any:
            seen[name].add(subnormals.are_zero())
            return of(*given, **named)

        return spy

    monkeypatch.setattr(task, "loss", spied("loss", task.loss))
    monkeypatch.setattr(task, "predict", spied("predict", task.predict))
    monkeypatch.setattr(torch.optim.AdamW, "step", spied("step", torch.optim.AdamW.step))
    torch.set_flush_denormal(before)
    try:
        for _ in fit(task, numbers, numbers, settings=Settings(epochs=2)):
            seen["events"].add(subnormals.are_zero())
    finally:
        torch.set_flush_denormal(False)
    assert seen == {"loss": {True}, "step": {True}, "predict": {before}, "events": {before}}


@works
def test_an_error_passes_through_and_they_are_back() -> None:
    with pytest.raises(KeyError), subnormals.flushed():
        raise KeyError
    assert not subnormals.are_zero()
