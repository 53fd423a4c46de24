"""Input feeding, plain: two steps by hand from the paper's equations, and its gradients."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence, pack_sequence

from unrolled.cells.elman import Elman
from unrolled.cells.gru import GRU
from unrolled.kernels.feeding import Reads
from unrolled.unroll import feeding
from unrolled.unroll.feeding import Places


def tensor(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


@pytest.mark.parametrize("score", ["additive", "inner"])
def test_two_steps_by_hand(score: str) -> None:
    """One unit of everything, on plain floats."""
    w_x, w_r, u, b, v, w_c, h, r = 0.3, -0.4, 0.5, 0.1, 1.2, -0.6, 0.35, 0.15
    query, bias, value, memory, keys, words, shares = -0.7, 0.25, 2.0, (0.4, -1.1), (0.9, 0.2), (0.6, -0.5), (0.3, -0.2)
    cell = Elman(2, 1, dtype=torch.float64)
    with torch.no_grad():
        for name, values in (("weight_ih", [[w_x, w_r]]), ("weight_hh", [[u]]), ("bias_ih", [b]), ("bias_hh", [0])):
            getattr(cell, name).copy_(torch.tensor(values, dtype=torch.float64))
    asked = (tensor(query).unsqueeze(0), tensor(bias), tensor(value)) if score == "additive" else (None, None, None)
    reads = Reads(*asked, tensor(v).unsqueeze(0), tensor(w_c).unsqueeze(0))
    places = Places(tensor(*memory).view(1, 2, 1), tensor(*keys).view(1, 2, 1), torch.ones(1, 2, dtype=torch.bool))
    x = pack_sequence([tensor(*words).unsqueeze(1)])
    with torch.no_grad():
        said, state, first = tensor(*shares).unsqueeze(1), tensor(h).unsqueeze(0), tensor(r).unsqueeze(0)
        found = feeding.unroll(cell, reads, x, said, places, state, first)
    for t, (word, share) in enumerate(zip(words, shares, strict=True)):
        h = math.tanh(w_x * word + w_r * r + b + u * h)
        if score == "additive":
            scores = [value * math.tanh(k + query * h + bias) for k in keys]
        else:
            scores = [k * h for k in keys]
        total = sum(math.exp(e) for e in scores)
        weights = [math.exp(e) / total for e in scores]
        context = sum(a * m for a, m in zip(weights, memory, strict=True))
        r = math.tanh(share + v * h + w_c * context)
        assert [float(each[t]) for each in (found.outputs, found.contexts, found.shows)] == pytest.approx(
            [h, context, r], rel=1e-12
        )
        assert found.weights[t].tolist() == pytest.approx(weights, rel=1e-12)


@pytest.mark.parametrize("score", ["additive", "inner"])
def test_first_and_second_derivatives_are_right(score: str) -> None:
    cell, sizes, mask = GRU(1 + 2, 2).double(), torch.tensor([2, 1]), torch.tensor([[True, True], [True, False]])
    shapes = {"query": (3, 2), "bias": (3,), "value": (3,)} if score == "additive" else {}
    units = 3 if score == "additive" else 2
    shapes |= {"state": (2, 2), "context": (2, 4), "x": (3, 1), "said": (3, 2), "memory": (2, 2, 4)}
    shapes |= {"keys": (2, 2, units), "h": (2, 2), "first": (2, 2)}
    given = {name: torch.randn(shape, dtype=torch.float64, requires_grad=True) for name, shape in shapes.items()}

    def run(*tensors: Tensor) -> Tensor:
        t = dict(zip(given, tensors, strict=True))
        reads = Reads(t.get("query"), t.get("bias"), t.get("value"), t["state"], t["context"])
        places = Places(t["memory"], t["keys"], mask)
        found = feeding.unroll(cell, reads, PackedSequence(t["x"], sizes), t["said"], places, t["h"], t["first"])
        return torch.cat([each.flatten() for each in found])

    assert torch.autograd.gradcheck(run, tuple(given.values()))
    assert torch.autograd.gradgradcheck(run, tuple(given.values()), fast_mode=True)
