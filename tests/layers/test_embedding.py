"""Embeddings: rows of a table, drawn to a length near 1."""

from __future__ import annotations

import math

import pytest
import torch

from unrolled.errors import BadOption
from unrolled.layers.embedding import Embedding


def test_an_id_gives_its_row():
    embedding = Embedding(5, 3)
    ids = torch.tensor([[4, 0], [0, 2]])
    assert torch.equal(embedding(ids), embedding.weight[ids])
    assert embedding.output_size == 3


def test_all_ids_are_learnt_id_0_too():
    embedding = Embedding(3, 2)
    embedding(torch.tensor([0, 2, 2])).sum().backward()
    assert embedding.weight.grad.tolist() == [[1, 1], [0, 0], [2, 2]]


@pytest.mark.parametrize("features", [4, 300])
def test_vectors_begin_with_a_length_near_1(features):
    weight = Embedding(4000, features).weight.detach()
    assert float(weight.abs().max()) <= math.sqrt(3 / features)
    # The mean of squared lengths is 1; a square's relative spread is sqrt(0.8 / features).
    assert abs(float(weight.square().sum(1).mean()) - 1) < 0.05


@pytest.mark.parametrize(("sizes", "name"), [((0, 3), "symbols"), ((3, 0), "features")])
def test_an_empty_table_is_refused(sizes, name):
    with pytest.raises(BadOption, match=f"an embedding's {name} must be 1 or more, not 0"):
        Embedding(*sizes)
