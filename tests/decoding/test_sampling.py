"""Samples: by hand, by their frequencies, and the same again."""

from __future__ import annotations

import math
import re
from collections import Counter
from typing import Any

import numpy as np
import pytest
import torch

from unrolled.decoding.constraints import Constraints
from unrolled.decoding.greedy import greedy
from unrolled.decoding.sampling import Uniforms, choose, sample
from unrolled.errors import BadOption, NotFinite

LOGITS = torch.tensor([[0.0, 0.2, 0.5, 0.3, 0.0]]).log() + 1


def draw(toy, sources, **options: Any):
    given = {"batch": len(sources), "begin": 0, "end": 1, "generator": list(sources), **options}
    return sample(toy.step, toy.state(len(sources)), toy.memory(sources), **given)


@pytest.mark.parametrize(
    ("uniform", "token"),
    [(0.0, 1), (0.199, 1), (0.201, 2), (0.699, 2), (0.701, 3), (0.999, 3), (1 - 2.0**-53, 3)],
)
def test_a_number_is_looked_up_in_the_sums(uniform, token):
    assert choose(LOGITS, torch.tensor([uniform], dtype=torch.float64)).tolist() == [token]


def shares(logits, **options) -> list[float]:
    """How often each token comes, if all numbers come equally often."""
    count = 20_000
    uniforms = (torch.arange(count, dtype=torch.float64) + 0.5) / count
    tokens = choose(logits.expand(count, -1), uniforms, **options)
    return [number / count for number in tokens.bincount(minlength=logits.shape[1]).tolist()]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, [0, 0.2, 0.5, 0.3, 0]),
        ({"temperature": 0.5}, [0, 4 / 38, 25 / 38, 9 / 38, 0]),
        ({"temperature": 1e-300}, [0, 0, 1, 0, 0]),
        ({"temperature": 1e30}, [0, 1 / 3, 1 / 3, 1 / 3, 0]),
        ({"top_k": 2}, [0, 0, 5 / 8, 3 / 8, 0]),
        ({"top_p": 0.6}, [0, 0, 5 / 8, 3 / 8, 0]),
        ({"min_p": 0.5}, [0, 0, 5 / 8, 3 / 8, 0]),
        ({"typical": 0.1}, [0, 0, 0, 1, 0]),  # H = 1.03; the surprises are 1.61, 0.69, 1.20
        # The temperature comes first: the squares make 25 / 34 of 25 and 9.
        ({"temperature": 0.5, "top_k": 2}, [0, 0, 25 / 34, 9 / 34, 0]),
        ({"temperature": 0.5, "top_p": 0.65}, [0, 0, 1, 0, 0]),
        ({"top_k": 2, "top_p": 0.6}, [0, 0, 1, 0, 0]),  # 0.5 is 5/8 of what the first filter leaves
    ],
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_token_comes_as_often_as_it_is_probable(options, expected, dtype):
    assert shares(LOGITS.to(dtype), **options) == pytest.approx(expected, abs=2e-4)


def test_a_temperature_makes_no_difference_to_what_is_impossible_everywhere():
    assert choose(torch.full((2, 3), -torch.inf), torch.zeros(2), temperature=0.3).shape == (2,)


def test_sequences_come_as_often_as_they_are_probable(slow):
    toy, count = slow.toy(3, spread=1.0), 20_000
    rules = Constraints(maximum_length=3)
    [found] = draw(toy, [4], samples=count, constraints=rules)
    often = Counter((each.tokens, each.finished) for each in found)
    every = list(slow.everything(toy, 4, 3, slow.may_follow()))
    assert len(every) == 1 + 2 + 4 + 8
    for each in every:
        p = math.exp(each.log_p)
        spread = math.sqrt(p * (1 - p) / count)
        tokens = each.tokens[: len(each.tokens) - each.finished]
        assert abs(often[tokens, each.finished] / count - p) < 5 * spread
    log_p = {(each.tokens[: len(each.tokens) - each.finished], each.finished): each.log_p for each in every}
    for one in found[:50]:
        assert one.score == one.log_probability == pytest.approx(log_p[one.tokens, one.finished])


def test_the_log_probability_is_the_models_own_whatever_it_was_drawn_from(slow):
    toy = slow.toy(6)
    rules = Constraints(minimum_length=2, maximum_length=5, forbidden=[3])
    options: dict[str, Any] = {"temperature": 0.7, "top_k": 3, "repetition_penalty": 1.3}
    for source, found in enumerate(draw(toy, range(5), samples=4, constraints=rules, **options)):
        for each in found:
            tokens = (*each.tokens, *([1] if each.finished else []))
            total = sum(toy.log_p(source, tokens[:place])[token] for place, token in enumerate(tokens))
            assert each.log_probability == pytest.approx(total)
            assert 2 <= len(each.tokens) <= 5
            assert 3 not in each.tokens


def test_a_low_temperature_is_greedy(slow):
    toy, rules = slow.toy(8), Constraints(maximum_length=12)
    found = draw(toy, range(9), temperature=1e-9, constraints=rules)
    best = greedy(toy.step, toy.state(9), toy.memory(range(9)), batch=9, begin=0, end=1, constraints=rules)
    assert [each for [each] in found] == best


def test_the_same_seed_gives_the_same_again(slow):
    toy = slow.toy(8)
    one, same, other = (
        draw(toy, range(4), generator=torch.Generator().manual_seed(seed), samples=3) for seed in (5, 5, 6)
    )
    assert one == same
    assert one != other
    generator = torch.Generator().manual_seed(5)
    assert draw(toy, range(4), generator=generator, samples=3) == one
    assert draw(toy, range(4), generator=generator, samples=3) != one  # it went on


def test_neither_batch_mates_nor_other_samples_change_a_sample(slow):
    toy = slow.toy(3000, dtype=torch.float32)
    toy.table[:, 1] += 6
    sources = [5, 2, 9, 14, 7]
    together = draw(toy, sources, samples=4)
    assert len({len(each.tokens) for found in together for each in found}) > 4
    assert len({each.tokens for found in together for each in found}) > 15
    assert draw(toy, sources[::-1], samples=4) == together[::-1]
    for place, source in enumerate(sources):
        assert draw(toy, [source], samples=4) == [together[place]]
        assert draw(toy, [source], samples=2) == [together[place][:2]]
    # From a generator: what the others are does not matter, nor how many come behind.
    generated = draw(toy, sources, generator=torch.Generator().manual_seed(1))
    changed = draw(toy, [5, 3, 9, 1], generator=torch.Generator().manual_seed(1))
    assert (generated[0], generated[2]) == (changed[0], changed[2])


def test_equal_sources_are_drawn_apart(slow):
    found = draw(slow.toy(50, spread=0.5), [3] * 6, generator=torch.Generator().manual_seed(0), samples=2)
    assert len({each.tokens for own in found for each in own}) > 10


def test_numbers_are_those_of_a_stream_of_ones_own():
    uniforms = Uniforms([7, 2**63 - 2], samples=2)
    rows = np.arange(4)
    found = np.stack([uniforms.at(rows if place < 100 else rows[[1, 3]], place)[-2:] for place in range(150)])
    for column, (seed, number) in enumerate([(7, 1), (2**63 - 2, 1)]):
        raw = np.random.PCG64(np.random.SeedSequence([seed, number])).random_raw(150)
        expected = [(int(each) >> 11) / 2**53 for each in raw]
        assert found[100:, column].tolist() == expected[100:]
    assert found[:100, 1].tolist() == expected[:100]
    assert (found >= 0).all()
    assert (found < 1).all()


def test_what_was_there_before_is_penalised():
    # Drawn from the best one only. 5 / 1.5 is 3.3, less than 4; 4 / 1.5 is 2.7, less than 3.3, which is taken again.
    logits = torch.tensor([[0.0, 0.5, 5.0, 4.0, 3.0]])
    options: dict[str, Any] = {"batch": 1, "begin": 0, "end": 1, "generator": [0], "top_k": 1}

    def step(tokens, state, memory):
        return logits.expand(len(tokens), 5), state

    rules = Constraints(maximum_length=4)
    [[found]] = sample(step, (), (), repetition_penalty=1.5, constraints=rules, **options)
    assert found.tokens == (2, 3, 2, 2)
    # By 2: 2.5, so that 4 comes second, 3 third; then 2.5 is best.
    [[found]] = sample(step, (), (), repetition_penalty=2.0, constraints=rules, **options)
    assert found.tokens == (2, 3, 4, 2)
    # What may not follow does not come back by it.
    rules = Constraints(maximum_length=4, forbidden=[3])
    [[found]] = sample(step, (), (), repetition_penalty=2.0, constraints=rules, **options)
    assert found.tokens == (2, 4, 2, 2)


def test_constraints_hold(slow):
    toy = slow.toy(6)
    rules = Constraints(1, [4, 7], [[5, 3], []], [2, [3, 4]], no_repeat_ngram=2)
    found = draw(toy, [0, 1], samples=50, constraints=rules)
    for own, limit, prefix in zip(found, [4, 7], [[5, 3], []], strict=True):
        allowed = slow.may_follow(minimum=1, prefix=prefix, forbidden=[[2], [3, 4]], ngram=2)
        for each in own:
            tokens = (*each.tokens, *([1] if each.finished else []))
            assert all(allowed(tokens[:place], token) for place, token in enumerate(tokens))
            assert each.finished or len(each.tokens) == limit
    assert len({each.tokens for own in found for each in own}) > 20


def test_a_sample_ends_where_nothing_may_follow(slow):
    rules = Constraints(minimum_length=4, no_repeat_ngram=1, maximum_length=9)
    [found] = draw(slow.toy(4), [0], samples=20, constraints=rules)
    assert {tuple(sorted(each.tokens)) for each in found} == {(0, 2, 3)}
    assert not any(each.finished for each in found)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"samples": 0}, "samples must be 1 or more, not 0"),
        ({"temperature": 0.0}, "the temperature must be above 0, not 0.0 (at 0 decoding would be greedy)"),
        ({"temperature": math.nan}, "the temperature must be above 0, not nan (at 0 decoding would be greedy)"),
        ({"top_k": -3}, "top_k must be 0 (off) or more, not -3"),
        ({"top_p": 0}, "top_p must be above 0 and at most 1 (off), not 0"),
        ({"min_p": 2}, "min_p must be from 0 (off) to 1, not 2"),
        ({"typical": 1.1}, "typical must be above 0 and at most 1 (off), not 1.1"),
        ({"repetition_penalty": 0}, "repetition_penalty must be above 0, not 0"),
        ({"generator": [1, 2, 3]}, "3 seeds for 2 sources"),
        ({"generator": [1, -2]}, "seeds must be 0 or more, not -2"),
        (
            {"constraints": Constraints(required=[[[2]], []])},
            "required phrases need beam search: sampling cannot look for them",
        ),
        ({"constraints": Constraints(prefix=[[]])}, "prefix for 1 sources, but the batch has 2"),
    ],
)
def test_what_cannot_be_is_named(slow, options, message):
    with pytest.raises(BadOption, match="^" + re.escape(message) + "$"):
        draw(slow.toy(5), [0, 1], **options)


def test_what_is_no_number_is_not_taken_for_one(slow):
    toy = slow.toy(5)
    toy.table[:, 3] = math.nan
    with pytest.raises(NotFinite, match=r"^the step gave logits that are not numbers, or infinite, after 0 tokens$"):
        draw(toy, [0, 1])


def test_a_batch_of_nothing_gives_nothing(slow):
    assert draw(slow.toy(5), []) == draw(slow.toy(5), [], samples=3) == []
