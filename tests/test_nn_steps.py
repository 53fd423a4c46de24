"""Single steps without gradients, which our kernels take, give what torch's modules give."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor

import unrolled.nn
from unrolled.kernels import library
from unrolled.unroll import fused, native

pytestmark = [
    pytest.mark.skipif(library.load() is None, reason=f"there are no compiled kernels: {library.why()}"),
    # Torch says so of its own kernel, once, when a padded batch meets a projection.
    pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN"),
]


@pytest.fixture(autouse=True)
def _steps_of_any_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unrolled.nn, "SMALL_STEP", 0)


@pytest.fixture
def ticks(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The kinds of the steps that our kernels took."""
    taken: list[str] = []
    inner = fused.tick

    def tick(kind: str, *rest: object) -> object:
        taken.append(kind)
        return inner(kind, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(fused, "tick", tick)
    return taken


def leaves(value: Tensor | tuple) -> list[Tensor]:
    return [value] if isinstance(value, Tensor) else [leaf for part in value for leaf in leaves(part)]


def must_agree(ours: Tensor | tuple, theirs: Tensor | tuple) -> None:
    for found, wanted in zip(leaves(ours), leaves(theirs), strict=True):
        torch.testing.assert_close(found, wanted, rtol=0, atol=1e-5)


CELLS = [("LSTMCell", {}), ("GRUCell", {}), ("RNNCell", {}), ("RNNCell", {"nonlinearity": "relu"})]


@pytest.mark.parametrize(("name", "options"), CELLS, ids=lambda value: str(value))
def test_a_cell_gives_what_torchs_gives(name: str, options: dict, ticks: list[str]) -> None:
    for hidden, batch, bias in itertools.product((1, 33, 70), (1, 3), (True, False)):
        theirs = getattr(torch.nn, name)(5, hidden, bias=bias, **options)
        ours = getattr(unrolled.nn, name)(5, hidden, bias=bias, **options)
        ours.load_state_dict(theirs.state_dict())
        x, h = torch.randn(batch, 5), torch.randn(batch, hidden)
        state = (h, torch.randn(batch, hidden)) if name == "LSTMCell" else h
        with torch.no_grad():
            before = len(ticks)
            must_agree(ours(x), theirs(x))
            must_agree(ours(x, state), theirs(x, state))
            assert len(ticks) == before + 2
        must_agree(ours(x, state), theirs(x, state))
        assert len(ticks) == before + 2, "with gradients the step is torch's"


LAYERS = [
    ("LSTM", {}),
    ("LSTM", {"proj_size": 7}),
    ("LSTM", {"batch_first": True, "bias": False, "proj_size": 7}),
    ("GRU", {"batch_first": True}),
    ("RNN", {"nonlinearity": "relu"}),
]


@pytest.mark.parametrize(("name", "options"), LAYERS, ids=lambda value: str(value))
def test_a_layers_single_step_gives_what_torchs_gives(name: str, options: dict, ticks: list[str]) -> None:
    for count, both, batch in itertools.product((1, 2), (False, True), (1, 3)):
        theirs = getattr(torch.nn, name)(5, 33, num_layers=count, bidirectional=both, **options)
        ours = getattr(unrolled.nn, name)(5, 33, num_layers=count, bidirectional=both, **options)
        ours.load_state_dict(theirs.state_dict())
        x = torch.randn((batch, 1, 5) if options.get("batch_first") else (1, batch, 5))
        h = torch.randn(count * (1 + both), batch, options.get("proj_size", 33))
        state = (h, torch.randn(count * (1 + both), batch, 33)) if name == "LSTM" else h
        before = len(ticks)
        with torch.no_grad():
            must_agree(ours(x), theirs(x))
            must_agree(ours(x, state), theirs(x, state))
        assert len(ticks) == before + 2 * count * (1 + both)


def test_a_step_follows_weights_that_change() -> None:
    cell, x = unrolled.nn.LSTMCell(5, 33), torch.randn(1, 5)
    theirs = torch.nn.LSTMCell(5, 33)
    with torch.no_grad():
        for _ in range(3):
            cell.weight_hh.mul_(0.5)
            cell.bias_ih.add_(1)
            theirs.load_state_dict(cell.state_dict())
            must_agree(cell(x), theirs(x))


@pytest.mark.parametrize("cell", [unrolled.nn.LSTMCell(5, 33), unrolled.nn.GRUCell(5, 33)], ids=["LSTM", "GRU"])
def test_what_torch_refuses_is_refused_in_torchs_words(cell: torch.nn.Module) -> None:
    theirs = getattr(torch.nn, type(cell).__name__)(5, 33)
    for x, state in (
        (torch.randn(2, 6), None),
        (torch.randn(2, 5), torch.randn(3, 33)),
        (torch.randn(2, 5), torch.randn(2, 34)),
        (torch.randn(2, 5, dtype=torch.float64), None),
    ):
        hx = (state, state) if state is not None and isinstance(cell, torch.nn.LSTMCell) else state
        with torch.no_grad(), pytest.raises(RuntimeError) as wanted:
            theirs(x, hx)
        with torch.no_grad(), pytest.raises(RuntimeError) as found:
            cell(x, hx)
        assert str(found.value) == str(wanted.value)


def test_a_step_that_the_kernels_do_not_take_still_goes_round_onednns_arranging(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where there are no kernels, say: torch's padded LSTM is not asked for a single step of many units."""
    monkeypatch.setattr(fused, "tick", lambda *given: None)
    monkeypatch.setattr(fused, "pays", lambda x: False)
    theirs, x = torch.nn.LSTM(5, 256), torch.randn(1, 3, 5)
    ours = unrolled.nn.LSTM(5, 256)
    ours.load_state_dict(theirs.state_dict())
    seen, plain = [], native.run
    monkeypatch.setattr(native, "run", lambda *given: seen.append(given) or plain(*given))
    with torch.no_grad():
        must_agree(ours(x), theirs(x))
    assert seen
