"""A decoder of one unit, worked by hand on plain floats from the papers' equations; sizes that do not fit."""

from __future__ import annotations

from math import exp, tanh

import pytest
import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

from unrolled.cells.elman import Elman
from unrolled.errors import BadOption
from unrolled.layers.additive import Additive
from unrolled.layers.attend import Attention
from unrolled.layers.attention import QueryScore
from unrolled.layers.memory import Memory
from unrolled.layers.multiplicative import Dot
from unrolled.layers.readout import Readout
from unrolled.layers.stacked_decoder import Place, StackedDecoder

MEMORY, H0 = (0.4, -1.1), 0.35
W_X, W_C, U, B = 0.3, -0.4, 0.5, 0.1  # of the cell: word, context, state, bias
R_X, R_H, R_C, R_B = 0.8, 1.2, -0.6, 0.2  # of the readout


def tensor(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def softmax(scores: list[float]) -> list[float]:
    total = sum(exp(e) for e in scores)
    return [exp(e) / total for e in scores]


def decoder(attention: Attention, place: Place, reads: tuple[float, ...]) -> StackedDecoder:
    """One simple recurrent unit, h = tanh(reads . x + U h' + B), and a deep readout."""
    cell = Elman(len(reads), 1, dtype=torch.float64)
    readout = Readout("deep", hidden=1, context=1, word=1, output=1).double()
    with torch.no_grad():
        cell.weight_ih.copy_(tensor(*reads).unsqueeze(0))
        cell.weight_hh.fill_(U)
        cell.bias_ih.fill_(B)
        cell.bias_hh.fill_(0)
        readout.map.weight.copy_(tensor(R_X, R_H, R_C).unsqueeze(0))
        readout.map.bias.fill_(R_B)
    return StackedDecoder([cell], attention, readout, word=1, place=place)


def memory_of(one: StackedDecoder) -> Memory:
    places = tensor(*MEMORY).reshape(1, 2, 1)
    assert one.attention is not None
    source = one.attention.source(places, torch.ones(1, 2, dtype=torch.bool))
    return Memory(source, torch.tensor([2]), (), (), one.initial_state((tensor(H0).unsqueeze(0),), 2))


def must_be(
    one: StackedDecoder,
    words: tuple[float, ...],
    wanted: list[tuple[float, float, float, list[float]]],
    memory: Memory | None = None,
) -> None:
    """Both ways: h, c, readout and weights of each word."""
    memory = memory_of(one) if memory is None else memory
    with torch.no_grad():
        whole = one(PackedSequence(tensor(*words).unsqueeze(1), torch.ones(len(words), dtype=torch.int64)), memory)
        state = memory.state
        for t, (h, c, r, a) in enumerate(wanted):
            shown, state = one.step(tensor(words[t]).unsqueeze(1), state, memory)
            for found in (shown, type(shown)(*(x[t : t + 1] for x in whole))):
                assert [x.item() for x in (found.outputs, found.contexts, found.readouts)] == pytest.approx(
                    [h, c, r], rel=1e-12
                )
                assert found.weights[0].tolist() == pytest.approx(a, rel=1e-12)


def test_additive_attention_before_the_cell() -> None:
    key, query, bias, value, words, h, wanted = 1.3, -0.7, 0.25, 2.0, (0.6, -0.5), H0, []
    score = QueryScore(1, 1, 1, dtype=torch.float64)
    with torch.no_grad():
        for weight, number in zip((score.key.weight, score.query.weight, score.query.bias, score.value.weight),
                                  (key, query, bias, value), strict=True):  # fmt: skip
            weight.fill_(number)
    for x in words:
        a = softmax([value * tanh(key * m + query * h + bias) for m in MEMORY])
        c = a[0] * MEMORY[0] + a[1] * MEMORY[1]
        h = tanh(W_X * x + W_C * c + U * h + B)
        wanted.append((h, c, tanh(R_X * x + R_H * h + R_C * c + R_B), a))
    must_be(decoder(Additive(score), "before", (W_X, W_C)), words, wanted)


def test_dot_attention_after_the_cell() -> None:
    words, h, wanted = (0.6, -0.5, 1.4), H0, []
    for x in words:
        h = tanh(W_X * x + U * h + B)
        a = softmax([h * m for m in MEMORY])
        c = a[0] * MEMORY[0] + a[1] * MEMORY[1]
        wanted.append((h, c, tanh(R_X * x + R_H * h + R_C * c + R_B), a))
    must_be(decoder(Dot(1, 1), "after", (W_X,)), words, wanted)


def test_attention_between_two_layers_with_the_lower_added_to_the_upper() -> None:
    """h = tanh(w x + u h' + b) below; above g = tanh(v h + z c + y g' + a), of which g + h is shown."""
    v, z, y, a, g, words, wanted = 1.1, 0.7, -0.5, 0.05, -0.2, (0.6, -0.5, 1.4), []
    lower = decoder(Dot(1, 1), "after", (W_X,))
    upper = Elman(2, 1, dtype=torch.float64)
    with torch.no_grad():
        for weight, numbers in ((upper.weight_ih, (v, z)), (upper.weight_hh, (y,)), (upper.bias_ih, (a,)),
                                (upper.bias_hh, (0.0,))):  # fmt: skip
            weight.copy_(tensor(*numbers).view(weight.shape))
    cells, readout = [lower.cells[0], upper], lower.readout
    one = StackedDecoder(cells, Dot(1, 1), readout, word=1, place="between", connections="residual")
    state, h = one.initial_state((tensor(H0).unsqueeze(0), tensor(g).unsqueeze(0)), 2), H0
    for x in words:
        h = tanh(W_X * x + U * h + B)
        weights = softmax([h * m for m in MEMORY])
        c = weights[0] * MEMORY[0] + weights[1] * MEMORY[1]
        g = tanh(v * h + z * c + y * g + a)
        wanted.append((g + h, c, tanh(R_X * x + R_H * (g + h) + R_C * c + R_B), weights))
    must_be(one, words, wanted, memory_of(lower)._replace(state=state))


def test_sizes_that_do_not_fit_are_refused() -> None:
    readout = Readout("deep", hidden=4, context=4, word=3, output=5)
    with pytest.raises(BadOption, match=r"the decoder's cells must read \[3, 8\] features, not \[3, 4\]"):
        StackedDecoder([Elman(3, 4), Elman(4, 4)], Dot(4, 4), readout, word=3, place="between")
    with pytest.raises(BadOption, match=r"the decoder's cells must read \[7\] features, not \[3\]"):
        StackedDecoder([Elman(3, 4)], Dot(4, 4), readout, word=3, place="before")
    with pytest.raises(BadOption, match=r"the decoder's cells must read \[8\] features, not \[3\]"):
        StackedDecoder([Elman(3, 4)], Dot(4, 4), readout, word=3, feeding="input")
    with pytest.raises(BadOption, match="residual layers of a decoder must all give the same number of features"):
        StackedDecoder([Elman(3, 4), Elman(4, 5)], None, readout, word=3, connections="residual")
    state = Readout("state", hidden=4, context=0, word=3, output=4)
    with pytest.raises(BadOption, match="what is fed back is the readout, and the readout 'state' is the hidden state"):
        StackedDecoder([Elman(7, 4)], None, state, word=3, feeding="input")
