"""The twins must be what torch's modules are: every option, every kind of input, outputs and all gradients."""

from __future__ import annotations

import copy
import io
import itertools
import pickle
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pack_sequence, pad_packed_sequence

import unrolled.nn
from unrolled.unroll import native

# Torch says so of its own kernel, once, when a padded batch meets a projection.
pytestmark = pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")

KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "rnn_tanh": ("RNN", {}),
    "rnn_relu": ("RNN", {"nonlinearity": "relu"}),
    "lstm": ("LSTM", {}),
    "gru": ("GRU", {}),
    "lstm_projected": ("LSTM", {"proj_size": 2}),
}
CELLS = {"RNNCell": {}, "LSTMCell": {}, "GRUCell": {}, "RNNCell relu": {"nonlinearity": "relu"}}
INPUTS = ("padded", "packed", "packed unsorted", "unbatched", "packed equal", "one step")
TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-12}


@pytest.fixture(autouse=True)
def _small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small batches take all ways only where a piece is small, too."""
    monkeypatch.setattr(native, "SEGMENT", 2)
    monkeypatch.setattr(native, "STEPS", 2)


def pair(kind: str, *sizes: int, **options: Any) -> tuple[nn.Module, nn.Module]:
    """Torch's module and its twin, with the same weights."""
    name, more = KINDS[kind]
    theirs, ours = (getattr(module, name)(*sizes, **more, **options) for module in (nn, unrolled.nn))
    ours.load_state_dict(theirs.state_dict())
    return theirs, ours


def make_input(what: str, batch_first: bool, dtype: torch.dtype, features: int = 3) -> Tensor | PackedSequence:
    if what == "unbatched":
        return torch.randn(4, features, dtype=dtype)
    if what.startswith("packed"):
        lengths = {"packed": [5, 4, 2, 1], "packed unsorted": [2, 5, 1, 4], "packed equal": [3, 3, 3, 3]}[what]
        return pack_sequence([torch.randn(n, features, dtype=dtype) for n in lengths], enforce_sorted=False)
    x = torch.randn(1 if what == "one step" else 5, 4, features, dtype=dtype)
    return x.transpose(0, 1) if batch_first else x


def make_state(module: nn.Module, what: str, dtype: torch.dtype) -> Any:
    count = module.num_layers * (1 + module.bidirectional)
    batch = () if what == "unbatched" else (4,)
    h = torch.randn(count, *batch, module.proj_size or module.hidden_size, dtype=dtype)
    return (h, torch.randn(count, *batch, module.hidden_size, dtype=dtype)) if isinstance(module, nn.LSTM) else h


class Outcome(NamedTuple):
    values: list[Tensor]
    gradients: list[Tensor]
    packed: tuple


def outcome(module: nn.Module, x: Tensor | PackedSequence, state: Any) -> Outcome:
    """All that a module returns, and the gradients of all that goes in, of a loss that looks at all that it returns."""
    data = (x.data if isinstance(x, PackedSequence) else x).detach().clone().requires_grad_()
    given = x._replace(data=data) if isinstance(x, PackedSequence) else data
    leaves = [
        h.detach().clone().requires_grad_() for h in (state if isinstance(state, tuple) else (state,)) if h is not None
    ]
    hx = None if state is None else tuple(leaves) if isinstance(state, tuple) else leaves[0]
    outputs, hidden = module(given, hx)
    values = [outputs.data if isinstance(outputs, PackedSequence) else outputs]
    values += hidden if isinstance(hidden, tuple) else [hidden]
    loss = sum((v.flatten() @ torch.linspace(0.1, 1, v.numel(), dtype=v.dtype)) for v in values)
    gradients = torch.autograd.grad(loss, [data, *leaves, *module.parameters()])
    return Outcome(values, list(gradients), tuple(outputs[1:]) if isinstance(outputs, PackedSequence) else ())


def assert_same(found: Outcome, wanted: Outcome, tolerance: float, case: object) -> None:
    for name in ("values", "gradients", "packed"):
        for got, right in zip(getattr(found, name), getattr(wanted, name), strict=True):
            if right is None:
                assert got is None
                continue
            torch.testing.assert_close(got, right, rtol=tolerance, atol=tolerance, msg=lambda m: f"{case} {name}: {m}")  # noqa: B023


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("layers", [1, 2, 3])
@pytest.mark.parametrize("kind", KINDS)
def test_every_combination_of_options_agrees_with_torch(kind: str, layers: int, bidirectional: bool) -> None:
    for bias, batch_first, dtype in itertools.product((True, False), (False, True), TOLERANCE):
        options = {"num_layers": layers, "bias": bias, "batch_first": batch_first, "bidirectional": bidirectional}
        theirs, ours = pair(kind, 3, 4, dtype=dtype, **options)
        for what, with_state in itertools.product(INPUTS[: 6 if bias else 4], (False, True)):
            x = make_input(what, batch_first, dtype)
            state = make_state(theirs, what, dtype) if with_state else None
            case = (kind, options, dtype, what, with_state)
            assert_same(outcome(ours, x, state), outcome(theirs, x, state), TOLERANCE[dtype], case)


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_a_single_step_of_a_large_lstm_agrees_with_torch(
    bidirectional: bool, batch_first: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs, ours = pair("lstm", 3, 256, num_layers=2, dropout=0.5, bidirectional=bidirectional, batch_first=batch_first)
    seen = []
    plain = native.run
    monkeypatch.setattr(native, "run", lambda *args: seen.append(args) or plain(*args))
    for with_state in (False, True):
        x = make_input("one step", batch_first, torch.float32)
        state = make_state(theirs, "one step", torch.float32) if with_state else None
        torch.manual_seed(5)
        wanted = outcome(theirs, x, state)
        torch.manual_seed(5)
        assert_same(outcome(ours, x, state), wanted, 1e-5, with_state)
    assert seen


@pytest.mark.parametrize(
    ("kind", "what", "dtype", "expected"),
    [
        ("lstm", "packed unsorted", torch.float32, True),
        ("lstm", "packed unsorted", torch.float64, True),
        ("gru", "packed", torch.float32, True),
        ("lstm", "padded", torch.float32, False),
    ],
)
def test_ragged_batches_take_our_way_and_padded_ones_torchs(
    kind: str, what: str, dtype: torch.dtype, expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    plain = native.run
    monkeypatch.setattr(native, "run", lambda *args: seen.append(args) or plain(*args))
    _, ours = pair(kind, 3, 4, dtype=dtype)
    ours(make_input(what, False, dtype))
    assert bool(seen) == expected


@pytest.mark.parametrize("what", ["padded", "packed", "packed unsorted", "packed equal", "one step"])
@pytest.mark.parametrize("kind", KINDS)
def test_from_one_seed_dropout_drops_what_torchs_drops(kind: str, what: str) -> None:
    for bidirectional, probability in itertools.product((False, True), (0.4, 1.0)):
        theirs, ours = pair(kind, 3, 4, num_layers=3, dropout=probability, bidirectional=bidirectional)
        x = make_input(what, False, torch.float32)
        torch.manual_seed(3)
        wanted = outcome(theirs, x, None)
        torch.manual_seed(3)
        assert_same(outcome(ours, x, None), wanted, 1e-5, (bidirectional, probability))
        assert_same(outcome(ours.eval(), x, None), outcome(theirs.eval(), x, None), 1e-5, "eval")
        # Whoever draws next gets the same, too.
        after = []
        for module in (theirs, ours):
            torch.manual_seed(3)
            module.train()(x)
            after.append(torch.rand(1))
        assert torch.equal(*after)


@pytest.mark.parametrize("what", ["packed", "packed equal"])
@pytest.mark.parametrize("kind", KINDS)
def test_derivatives_and_second_derivatives_are_those_of_finite_differences(kind: str, what: str) -> None:
    _, ours = pair(kind, 2, 3, dtype=torch.float64)
    x = make_input(what, False, torch.float64, features=2)

    def outputs(data: Tensor) -> tuple[Tensor, ...]:
        packed, hidden = ours(x._replace(data=data))
        return packed.data, *(hidden if isinstance(hidden, tuple) else (hidden,))

    assert torch.autograd.gradcheck(outputs, (x.data.requires_grad_(),))
    assert torch.autograd.gradgradcheck(outputs, (x.data,))


@pytest.mark.parametrize("kind", KINDS)
def test_a_state_dict_goes_both_ways(kind: str) -> None:
    theirs, ours = pair(kind, 3, 4, num_layers=2, bidirectional=True)
    ours.reset_parameters()
    theirs.load_state_dict(ours.state_dict())
    assert list(theirs.state_dict()) == list(ours.state_dict())
    x = make_input("packed", False, torch.float32)
    torch.testing.assert_close(theirs(x)[0].data, ours(x)[0].data)


@pytest.mark.parametrize("kind", KINDS)
def test_from_one_seed_the_weights_are_torchs(kind: str) -> None:
    name, options = KINDS[kind]
    torch.manual_seed(7)
    theirs = getattr(nn, name)(3, 4, **options)
    torch.manual_seed(7)
    ours = getattr(unrolled.nn, name)(3, 4, **options)
    assert all(map(torch.equal, theirs.parameters(), ours.parameters()))


@pytest.mark.parametrize("kind", KINDS)
def test_copies_and_pickles_compute_the_same(kind: str) -> None:
    _, ours = pair(kind, 3, 4, num_layers=2)
    x = make_input("packed unsorted", False, torch.float32)
    wanted = ours(x)[0].data
    buffer = io.BytesIO()
    torch.save(ours, buffer)
    buffer.seek(0)
    for twin in (copy.deepcopy(ours), pickle.loads(pickle.dumps(ours)), torch.load(buffer, weights_only=False)):
        assert type(twin) is type(ours)
        assert torch.equal(twin(x)[0].data, wanted)
        with torch.no_grad():
            next(twin.parameters()).add_(1)
        assert not torch.equal(twin(x)[0].data, wanted)
        assert torch.equal(ours(x)[0].data, wanted)


@pytest.mark.parametrize("kind", KINDS)
def test_it_shows_itself_as_torchs_does_and_is_one(kind: str) -> None:
    options = {"num_layers": 2, "bias": False, "batch_first": True, "dropout": 0.5, "bidirectional": True}
    for given in ({}, options):
        theirs, ours = pair(kind, 3, 4, **given)
        assert repr(ours) == repr(theirs)
        assert ours.extra_repr() == theirs.extra_repr()
        assert isinstance(ours, type(theirs))
        assert ours.flatten_parameters() is None
        assert ours.all_weights is not None


@pytest.mark.parametrize("kind", KINDS)
def test_it_changes_type_as_torchs_does(kind: str) -> None:
    theirs, ours = pair(kind, 3, 4)
    x = make_input("packed", False, torch.float32)
    for dtype, tolerance in ((torch.float64, 1e-12), (torch.bfloat16, 0.05), (torch.float32, 0.05)):
        theirs.to(dtype), ours.to(dtype)
        found, hidden = ours(x._replace(data=x.data.to(dtype)))
        wanted, wanted_hidden = theirs(x._replace(data=x.data.to(dtype)))
        assert found.data.dtype == dtype
        torch.testing.assert_close(found.data, wanted.data, rtol=tolerance, atol=tolerance)
        torch.testing.assert_close(hidden, wanted_hidden, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("kind", KINDS)
def test_weights_that_are_replaced_are_used(kind: str) -> None:
    theirs, ours = pair(kind, 3, 4)
    x = make_input("packed", False, torch.float32)
    other = {name: torch.randn_like(value) for name, value in ours.state_dict().items()}
    before = ours(x)[0].data
    found = torch.func.functional_call(ours, other, (x,))[0].data
    torch.testing.assert_close(found, torch.func.functional_call(theirs, other, (x,))[0].data)
    assert torch.equal(ours(x)[0].data, before)
    for module in (theirs, ours):
        module.weight_hh_l0 = nn.Parameter(other["weight_hh_l0"])
    torch.testing.assert_close(ours(x)[0].data, theirs(x)[0].data)
    assert not torch.equal(ours(x)[0].data, before)


@pytest.mark.parametrize("kind", KINDS)
def test_a_weight_may_be_parametrized_as_torchs(kind: str) -> None:
    theirs, ours = pair(kind, 3, 4)
    x = make_input("packed", False, torch.float32)
    for module in (theirs, ours):
        nn.utils.parametrizations.weight_norm(module, "weight_hh_l0")
    torch.testing.assert_close(ours(x)[0].data, theirs(x)[0].data)
    ours(x)[0].data.sum().backward()
    assert ours.parametrizations.weight_hh_l0.original0.grad is not None


@pytest.mark.parametrize("kind", KINDS)
def test_packed_and_padded_agree(kind: str) -> None:
    _, ours = pair(kind, 3, 4, num_layers=2, batch_first=True)
    x, lengths = torch.randn(3, 6, 3), torch.tensor([6, 2, 4])
    packed, _ = ours(pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False))
    outputs, _ = ours(x)
    unpacked, _ = pad_packed_sequence(packed, batch_first=True)
    for row, length in enumerate(lengths.tolist()):
        torch.testing.assert_close(unpacked[row, :length], outputs[row, :length])


@pytest.mark.parametrize("kind", KINDS)
def test_under_autocast_it_is_torchs(kind: str) -> None:
    theirs, ours = pair(kind, 3, 4)
    x = make_input("packed", False, torch.float32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found, wanted = ours(x)[0].data, theirs(x)[0].data
    assert found.dtype == wanted.dtype
    assert torch.equal(found, wanted)


# The compiler asks tensors in the middle of a graph for their gradient, and hides torch's warning about that.
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf:UserWarning")
def test_it_can_stand_in_a_compiled_module() -> None:
    _, ours = pair("lstm", 3, 4, num_layers=2, bidirectional=True)
    compiled = torch.compile(lambda x: ours(x)[0].data + 1, backend="eager")
    for what in ("packed", "packed equal"):
        x = make_input(what, False, torch.float32)
        torch.testing.assert_close(compiled(x), ours(x)[0].data + 1)


@pytest.mark.parametrize("name", CELLS)
def test_the_single_cells_are_torchs(name: str) -> None:
    options = CELLS[name]
    for bias in (True, False):
        theirs, ours = (getattr(m, name.split()[0])(3, 4, bias=bias, **options) for m in (nn, unrolled.nn))
        ours.load_state_dict(theirs.state_dict())
        assert repr(ours) == repr(theirs)
        for shape in ((2, 3), (3,)):
            x = torch.randn(shape)
            torch.testing.assert_close(pickle.loads(pickle.dumps(ours))(x), theirs(x), rtol=0, atol=0)


@pytest.mark.parametrize("gradients", [False, True])
def test_an_unbatched_lstm_takes_its_state_as_a_list_as_torchs_does(gradients: bool) -> None:
    theirs, ours = pair("lstm", 3, 4)
    x, state = torch.randn(20, 3), [torch.randn(1, 4), torch.randn(1, 4)]
    with torch.set_grad_enabled(gradients):
        torch.testing.assert_close(ours(x, state)[0], theirs(x, state)[0])
