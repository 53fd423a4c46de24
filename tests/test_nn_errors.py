"""What torch refuses, the twin refuses with the same exception and the same words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import PackedSequence, pack_sequence

import unrolled.nn

pytestmark = pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")

KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "rnn": ("RNN", {}),
    "lstm": ("LSTM", {}),
    "gru": ("GRU", {}),
    "lstm_projected": ("LSTM", {"proj_size": 2}),
    "bidirectional": ("LSTM", {"num_layers": 2, "bidirectional": True}),
}


def packed(features: int = 3, dtype: torch.dtype = torch.float32) -> PackedSequence:
    return pack_sequence([torch.randn(n, features, dtype=dtype) for n in (40, 33, 2)])


def zeros(module: nn.Module, batch: int | None, **options: Any) -> Any:
    shape = (module.num_layers * (1 + module.bidirectional), *(() if batch is None else (batch,)))
    h = torch.zeros(*shape, module.proj_size or module.hidden_size, **options)
    return (h, torch.zeros(*shape, module.hidden_size, **options)) if isinstance(module, nn.LSTM) else h


def longer(hidden: Any) -> Any:
    grow = nn.functional.pad
    return tuple(grow(h, (0, 1)) for h in hidden) if isinstance(hidden, tuple) else grow(hidden, (0, 1))


# What is given to a module of input size 3 and hidden size 4.
CALLS: dict[str, Callable[[nn.Module], tuple]] = {
    "one dimension": lambda m: (torch.randn(3),),
    "four dimensions": lambda m: (torch.randn(2, 2, 2, 3),),
    "wrong features": lambda m: (torch.randn(5, 2, 7),),
    "wrong features, unbatched": lambda m: (torch.randn(5, 7),),
    "wrong features, packed": lambda m: (packed(features=7),),
    "no time steps": lambda m: (torch.randn(0, 2, 3),),
    "no time steps, unbatched": lambda m: (torch.randn(0, 3),),
    "another type": lambda m: (torch.randn(5, 2, 3, dtype=torch.float64),),
    "another type, packed": lambda m: (packed(dtype=torch.float64),),
    "whole numbers": lambda m: (torch.ones(5, 2, 3, dtype=torch.long),),
    "whole numbers, packed": lambda m: (PackedSequence(torch.ones(5, 3, dtype=torch.long), torch.tensor([3, 2])),),
    "packed, three dimensions": lambda m: (PackedSequence(torch.randn(5, 1, 3), torch.tensor([3, 2])),),
    "packed, sizes that do not add up": lambda m: (PackedSequence(torch.randn(5, 3), torch.tensor([3, 1])),),
    "state of another batch": lambda m: (torch.randn(5, 2, 3), zeros(m, 7)),
    "state of another batch, packed": lambda m: (packed(), zeros(m, 7)),
    "state of another size": lambda m: (torch.randn(5, 2, 3), longer(zeros(m, 2))),
    "state of another size, packed": lambda m: (packed(), longer(zeros(m, 3))),
    "state of another type": lambda m: (torch.randn(5, 2, 3), zeros(m, 2, dtype=torch.float64)),
    "state of another type, packed": lambda m: (packed(), zeros(m, 3, dtype=torch.float64)),
    "unbatched state for a batch": lambda m: (torch.randn(5, 2, 3), zeros(m, None)),
    "unbatched state for a packed batch": lambda m: (packed(), zeros(m, None)),
    "batched state for no batch": lambda m: (torch.randn(5, 3), zeros(m, 1)),
    "a tensor for a pair or a pair for a tensor": lambda m: (
        torch.randn(5, 2, 3),
        zeros(m, 2)[0] if isinstance(m, nn.LSTM) else (zeros(m, 2), zeros(m, 2)),
    ),
    "a tensor for a pair or a pair for a tensor, packed": lambda m: (
        packed(),
        zeros(m, 3)[0] if isinstance(m, nn.LSTM) else (zeros(m, 3), zeros(m, 3)),
    ),
    "a list, not a tensor": lambda m: ([[1.0, 2.0, 3.0]],),
    "nothing": lambda m: (),
    "no module arguments fit": lambda m: (packed(), zeros(m, 3), 1, 2),
}

CONSTRUCTIONS: dict[str, tuple[tuple, dict[str, Any]]] = {
    "no units": ((3, 0), {}),
    "no features": ((0, 4), {}),
    "no layers": ((3, 4), {"num_layers": 0}),
    "half a unit": ((3, 4.5), {}),
    "dropout above one": ((3, 4, 2), {"dropout": 1.5}),
    "dropout is a word": ((3, 4, 2), {"dropout": "much"}),
    "bias is a number": ((3, 4), {"bias": 1}),
    "batch_first is a number": ((3, 4), {"batch_first": 1}),
    "projection too wide": ((3, 4), {"proj_size": 4}),
    "projection below zero": ((3, 4), {"proj_size": -1}),
    "unknown nonlinearity": ((3, 4), {"nonlinearity": "cube"}),
    "unknown option": ((3, 4), {"peepholes": True}),
    "no hidden size": ((3,), {}),
}


def refusal(call: Callable[[], Any]) -> tuple[type, str] | None:
    try:
        call()
    except Exception as error:
        return type(error), str(error)
    return None


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS.keys())
@pytest.mark.parametrize("kind", KINDS)
def test_what_torch_refuses_is_refused_in_the_same_words(kind: str, call: Callable[[nn.Module], tuple]) -> None:
    name, options = KINDS[kind]
    theirs, ours = (getattr(module, name)(3, 4, **options) for module in (nn, unrolled.nn))
    ours.load_state_dict(theirs.state_dict())
    arguments = call(theirs)
    wanted = refusal(lambda: theirs(*arguments))
    found = refusal(lambda: ours(*arguments))
    assert found == wanted
    if wanted is None:
        (theirs_out, _), (ours_out, _) = theirs(*arguments), ours(*arguments)
        torch.testing.assert_close(ours_out, theirs_out)


@pytest.mark.parametrize("arguments", CONSTRUCTIONS.values(), ids=CONSTRUCTIONS.keys())
@pytest.mark.parametrize("name", ["RNN", "LSTM", "GRU"])
def test_what_torch_cannot_make_cannot_be_made_in_the_same_words(name: str, arguments: tuple) -> None:
    positional, options = arguments
    wanted = refusal(lambda: getattr(nn, name)(*positional, **options))
    assert refusal(lambda: getattr(unrolled.nn, name)(*positional, **options)) == wanted


def test_the_tables_hold_what_torch_refuses() -> None:
    module = nn.LSTM(3, 4)
    refused = {what for what, call in CALLS.items() if refusal(lambda call=call: module(*call(module)))}
    assert len(refused) >= len(CALLS) - 3, set(CALLS) - refused


def test_dropout_on_one_layer_warns_as_torch_does() -> None:
    with pytest.warns(UserWarning, match="num_layers greater than 1"):
        unrolled.nn.LSTM(3, 4, dropout=0.5)


@pytest.mark.parametrize("name", ["RNNCell", "LSTMCell", "GRUCell"])
def test_the_single_cells_refuse_in_the_same_words(name: str) -> None:
    theirs, ours = (getattr(module, name)(3, 4) for module in (nn, unrolled.nn))
    for x in (torch.randn(2, 7), torch.randn(2, 2, 3), torch.randn(2, 3, dtype=torch.float64)):
        wanted = refusal(lambda x=x: theirs(x))
        assert wanted is not None
        assert refusal(lambda x=x: ours(x)) == wanted
