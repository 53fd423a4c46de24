"""A stream gives, element by element, what the layer gives of the whole, in constant memory."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn.utils.rnn import pack_sequence

from unrolled.cells.base import Cell
from unrolled.cells.gru import GRU
from unrolled.cells.lstm import LSTM
from unrolled.errors import BadOption
from unrolled.kernels import library, recurrence
from unrolled.kernels.streaming import Stream, tick
from unrolled.unroll import fused, scan

pytestmark = pytest.mark.skipif(library.load() is None, reason=f"there are no compiled kernels: {library.why()}")

CELLS: dict[str, Callable[..., Cell]] = {kind: cell for cell, kind in fused.KINDS.items()}


def stream(cell: Cell, batch: int, half: bool = False) -> Stream:
    weights = recurrence.Weights(*(None if w is None else w.detach() for w in fused._weights(cell)))
    packed = recurrence.pack(fused.kind_of(cell), weights, half)
    return Stream(fused.kind_of(cell), packed, batch)


@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("name", CELLS)
def test_a_stream_agrees_with_the_whole(name: str, bias: bool, half: bool) -> None:
    for batch, hidden in ((1, 7), (3, 20), (1, 64)):
        cell, rows = CELLS[name](5, hidden, bias=bias), [torch.randn(9, 5) for _ in range(batch)]
        wanted, final = scan.unroll(cell, pack_sequence(rows))
        one = stream(cell, batch, half)
        found = torch.stack([one(torch.stack([row[t] for row in rows])).clone() for t in range(9)])
        torch.testing.assert_close(found.flatten(0, 1), wanted.data, rtol=0, atol=0.02 if half else 2e-6)
        for own, right in zip(pair(one.state), pair(final), strict=True):
            torch.testing.assert_close(own, right, rtol=0, atol=0.03 if half else 2e-6)


@pytest.mark.parametrize("name", CELLS)
def test_threads_that_share_a_tick_give_what_one_gives(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("unrolled.kernels.streaming.SHARED", 0)
    cell, elements, before = CELLS[name](5, 150), [torch.randn(1, 5) for _ in range(6)], torch.get_num_threads()
    found = {}
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            one = stream(cell, 1)
            found[threads] = [one(x).clone() for x in elements]
    finally:
        torch.set_num_threads(before)
    assert all(map(torch.equal, found[1], found[2]))
    assert all(map(torch.equal, found[1], found[3]))


def pair(state: Tensor | tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return state if isinstance(state, tuple) else (state,)


@pytest.mark.parametrize("name", CELLS)
def test_a_state_that_was_kept_can_be_gone_on_from(name: str) -> None:
    one, elements = stream(CELLS[name](5, 7), 2), [torch.randn(2, 5) for _ in range(6)]
    whole = [one(x).clone() for x in elements[:3]]
    kept = one.state
    whole += [one(x).clone() for x in elements[3:]]
    one.state = kept
    assert all(map(torch.equal, whole[3:], [one(x).clone() for x in elements[3:]]))


def test_what_it_returns_lasts_for_one_more_call() -> None:
    one = stream(LSTM(5, 7), 1)
    first = one(torch.randn(1, 5))
    before = first.clone()
    one(torch.randn(1, 5))
    assert torch.equal(first, before)


@pytest.mark.parametrize(
    "x",
    [
        torch.randn(5),
        torch.randn(2, 5),
        torch.randn(1, 5, dtype=torch.float64),
        torch.randn(1, 10)[:, ::2],
        torch.empty(1, 5, device="meta"),
    ],
    ids=["one axis", "two rows", "float64", "strided", "without memory"],
)
def test_what_does_not_fit_is_refused_before_it_is_read(x: Tensor) -> None:
    with pytest.raises(BadOption, match=r"this stream reads contiguous float32 of \(1, 5\) on the CPU, not"):
        stream(LSTM(5, 7), 1)(x)


def test_wrong_states_and_sizes_are_refused() -> None:
    one = stream(LSTM(5, 7), 1)
    with pytest.raises(BadOption, match=r"the state is 2 of \(1, 7\), not \[\(1, 7\)\]"):
        one.state = torch.zeros(1, 7)
    with pytest.raises(BadOption, match="a stream needs 1 row or more, not 0"):
        stream(LSTM(5, 7), 0)


def test_weights_that_are_laid_out_for_another_cell_are_refused() -> None:
    cell = GRU(5, 7)
    weights = recurrence.Weights(*(None if w is None else w.detach() for w in fused._weights(cell)))
    packed, x = recurrence.pack("gru", weights), torch.randn(1, 5)
    with pytest.raises(ValueError, match="laid out for a gru, not for a gru_cho"):
        Stream("gru_cho", packed)
    with pytest.raises(ValueError, match="laid out for a gru, not for a gru_cho"):
        tick("gru_cho", packed, x, (torch.zeros(1, 7),))
    sizes = torch.tensor([1])
    with pytest.raises(ValueError, match="laid out for a gru, not for a gru_cho"):
        recurrence.forward("gru_cho", x, sizes, sizes - 1, [packed], [(torch.zeros(1, 7),)], keep=False)
