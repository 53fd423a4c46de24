"""Several models as one, against the mean of their probabilities."""

from __future__ import annotations

import math
import re

import pytest
import torch

from unrolled.decoding.beam import beam
from unrolled.decoding.constraints import Constraints
from unrolled.decoding.ensemble import ensemble
from unrolled.decoding.greedy import greedy
from unrolled.errors import BadOption


def fixed(probabilities):
    logits = torch.tensor([probabilities]).log() + 3.0  # any offset
    return lambda tokens, state, memory: (logits.expand(len(tokens), -1), state)


def test_probabilities_are_averaged():
    step = ensemble([fixed([0.2, 0.5, 0.3]), fixed([0.6, 0.4, 0.0])])
    logits, state = step(torch.zeros(2, dtype=torch.long), ((), ()), ((), ()))
    assert logits.exp().tolist() == [pytest.approx([0.4, 0.45, 0.15])] * 2
    assert state == ((), ())


def test_weights_are_shares():
    step = ensemble([fixed([0.2, 0.5, 0.3]), fixed([0.6, 0.4, 0.0]), fixed([1.0, 0.0, 0.0])], [3, 1, 0])
    logits, _ = step(torch.zeros(1, dtype=torch.long), ((),) * 3, ((),) * 3)
    assert logits.exp()[0].tolist() == pytest.approx([0.3, 0.475, 0.225])


def test_a_sequence_has_the_product_of_the_means(slow):
    toys = [slow.toy(4, seed) for seed in (1, 2, 3)]
    step, sources = ensemble([toy.step for toy in toys]), [0, 4]
    state, memory = tuple(toy.state(2) for toy in toys), tuple(toy.memory(sources) for toy in toys)
    found = beam(step, state, memory, batch=2, begin=0, end=1, best=3, constraints=Constraints(maximum_length=5))
    for source, hypotheses in zip(sources, found, strict=True):
        for each in hypotheses:
            total, tokens = 0.0, (*each.tokens, *([1] if each.finished else []))
            for place, token in enumerate(tokens):
                total += math.log(sum(math.exp(toy.log_p(source, tokens[:place])[token]) for toy in toys) / 3)
            assert each.log_probability == pytest.approx(total)


def test_one_model_is_itself(slow):
    toy = slow.toy(5)
    alone = greedy(toy.step, toy.state(3), toy.memory(range(3)), batch=3, begin=0, end=1)
    one = greedy(ensemble([toy.step]), (toy.state(3),), (toy.memory(range(3)),), batch=3, begin=0, end=1)
    assert [each.tokens for each in alone] == [each.tokens for each in one]
    assert [each.score for each in alone] == pytest.approx([each.score for each in one])


@pytest.mark.parametrize(
    ("count", "weights", "message"),
    [
        (0, None, "an ensemble needs at least one model"),
        (2, [1.0], "1 weights for 2 models"),
        (2, [1, -1], "weights must be 0 or more, and one of them above 0, not [1.0, -1.0]"),
        (2, [0, 0], "weights must be 0 or more, and one of them above 0, not [0.0, 0.0]"),
        (1, [math.nan], "weights must be 0 or more, and one of them above 0, not [nan]"),
    ],
)
def test_what_cannot_be_is_named(count, weights, message):
    with pytest.raises(BadOption, match="^" + re.escape(message) + "$"):
        ensemble([fixed([0.5, 0.5])] * count, weights)


def test_vocabularies_of_different_size_are_named():
    step = ensemble([fixed([0.5, 0.5]), fixed([0.2, 0.5, 0.3])])
    message = r"^the models of an ensemble need one vocabulary, not some of sizes \[2, 3\]$"
    with pytest.raises(BadOption, match=message):
        step(torch.zeros(1, dtype=torch.long), ((), ()), ((), ()))
    with pytest.raises(BadOption, match=r"^2 models, but 1 states and 2 memories$"):
        step(torch.zeros(1, dtype=torch.long), ((),), ((), ()))
