"""Attention with several heads: by hand, and as torch has it."""

from __future__ import annotations

from math import exp

import pytest
import torch
from torch import Tensor, nn

from unrolled.errors import BadOption
from unrolled.layers.multihead import MultiHead

MEMORY = (0.4, -1.1)


def tensor(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def softmax(scores: list[float]) -> list[float]:
    total = sum(exp(e) for e in scores)
    return [exp(e) / total for e in scores]


def test_two_heads_over_two_places() -> None:
    """Queries, keys and values of one feature a head; sqrt(1) is 1."""
    q, k, v, o, query = (0.9, -1.2), (0.5, 0.8), (1.1, -0.3), (0.7, 0.4), 0.6
    one = MultiHead(1, 1, 2, 2, dtype=torch.float64)
    with torch.no_grad():
        for weight, numbers in zip((one.query.weight, one.key.weight, one.value.weight), (q, k, v), strict=True):
            weight.copy_(tensor(*numbers).unsqueeze(1))
        one.out.weight.copy_(tensor(*o).unsqueeze(0))
        source = one.source(tensor(*MEMORY).reshape(1, 2, 1), torch.ones(1, 2, dtype=torch.bool))
        found = one(source, tensor(query).unsqueeze(1), torch.tensor([1]))
    heads = [softmax([q[i] * query * k[i] * m for m in MEMORY]) for i in (0, 1)]
    shown = [sum(a * v[i] * m for a, m in zip(heads[i], MEMORY, strict=True)) for i in (0, 1)]
    assert found.contexts.item() == pytest.approx(o[0] * shown[0] + o[1] * shown[1], rel=1e-12)
    mean = [(first + second) / 2 for first, second in zip(*heads, strict=True)]
    assert found.weights[0].tolist() == pytest.approx(mean, rel=1e-12)


def test_heads_of_several_features_are_scaled_by_the_root_of_them() -> None:
    one = MultiHead(4, 4, 4, 1, dtype=torch.float64)
    with torch.no_grad():
        for linear in (one.query, one.key, one.value, one.out):
            linear.weight.copy_(torch.eye(4))
        memory = torch.randn(1, 3, 4, dtype=torch.float64)
        query = torch.randn(1, 4, dtype=torch.float64)
        found = one(one.source(memory, torch.ones(1, 3, dtype=torch.bool)), query, torch.tensor([1]))
    weights = softmax([float(query[0] @ m) / 2 for m in memory[0]])
    assert found.weights[0].tolist() == pytest.approx(weights, rel=1e-12)


def test_it_is_torch_s_without_biases() -> None:
    """Two rows, of which one has a place less, and 3 queries each."""
    one, torchs = MultiHead(8, 8, 8, 4), nn.MultiheadAttention(8, 4, bias=False, batch_first=True)
    with torch.no_grad():
        torchs.in_proj_weight.copy_(torch.cat([one.query.weight, one.key.weight, one.value.weight]))
        torchs.out_proj.weight.copy_(one.out.weight)
    memory, queries, mask = torch.randn(2, 5, 8), torch.randn(3, 2, 8), torch.tensor([[True] * 5, [True] * 4 + [False]])
    memory[1, 4] = 0
    with torch.no_grad():
        contexts, weights = torchs(queries.transpose(0, 1), memory, memory, key_padding_mask=~mask)
        found = one(one.source(memory, mask), queries.flatten(0, 1), torch.tensor([2, 2, 2]))
    torch.testing.assert_close(found.contexts.view(3, 2, 8).transpose(0, 1), contexts)
    torch.testing.assert_close(found.weights.view(3, 2, 5).transpose(0, 1), weights)


def test_heads_that_do_not_share_evenly_are_refused() -> None:
    with pytest.raises(BadOption, match="6 units of attention cannot be shared evenly among 4 heads"):
        MultiHead(3, 3, 6, 4)
    with pytest.raises(BadOption, match="heads must be 1 or more, not 0"):
        MultiHead(3, 3, 6, 0)
