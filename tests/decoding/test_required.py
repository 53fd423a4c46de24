"""Phrases that must occur."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from unrolled.decoding.beam import beam
from unrolled.decoding.constraints import Constraints, occurs
from unrolled.decoding.required import Required, allocate


def search(toy, sources, required, limit: Any = 6, **options: Any):
    rules = Constraints(maximum_length=limit, required=required, **options.pop("rules", {}))
    given_ = {"batch": len(sources), "begin": 0, "end": 1, "constraints": rules, **options}
    return beam(toy.step, toy.state(len(sources)), toy.memory(sources), **given_)


@pytest.mark.parametrize(
    "required", [[[2]], [[2, 3]], [[2, 2, 3], [3, 2]], [[0], [3], [2]], [[2, 3, 2]], [[2], [2, 0]]]
)
@pytest.mark.parametrize("rules", [{}, {"forbidden": [[0, 0]], "no_repeat_ngram": 2}, {"prefix": [[2], []]}])
def test_an_infinite_beam_finds_all_sequences_that_hold_them(slow, required, rules):
    toy = slow.toy(4)
    found = search(toy, [3, 6], [required, []], 5, width=2000, best=2000, rules=rules)
    for place, source in enumerate([3, 6]):
        own = required if place == 0 else []
        prefix = rules["prefix"][place] if rules.get("prefix") else []
        allowed = slow.may_follow(
            required=own, forbidden=rules.get("forbidden", []), ngram=rules.get("no_repeat_ngram", 0), prefix=prefix
        )
        ended = list(slow.everything(toy, source, 5, allowed))
        assert len(ended) < 2000
        slow.same(found[place], slow.ranked(ended, lambda each: slow.score(each, lambda length: length)))
        assert all(occurs(phrase, each.tokens) for each in found[place] if each.finished for phrase in own)


phrases = st.lists(st.lists(st.integers(2, 6), min_size=1, max_size=3), max_size=3)


@settings(max_examples=100, deadline=None)
@given(seed=st.integers(0, 10**6), required=st.lists(phrases, min_size=1, max_size=4), width=st.integers(1, 8))
def test_a_narrow_beam_finds_sequences_that_hold_them(slow, seed, required, width):
    toy = slow.toy(7, seed)
    toy.table[:, 1] += 30  # it ends as soon as it may
    sources = list(range(len(required)))
    found = search(toy, sources, required, 20, width=width)
    for source, (own, [best]) in enumerate(zip(required, found, strict=True)):
        assert best.finished
        assert all(occurs(phrase, best.tokens) for phrase in own)
        tokens = (*best.tokens, 1)
        total = sum(toy.log_p(source, tokens[:place])[token] for place, token in enumerate(tokens))
        assert best.log_probability == pytest.approx(total)
        assert search(toy, [source], [own], 20, width=width) == [[best]]


def test_a_source_that_needs_nothing_is_as_if_no_other_did(slow):
    toy = slow.toy(3000, dtype=torch.float32)
    toy.table[:, 1] += 6
    sources = [4, 9, 2]
    alone = search(toy, sources, None, 8, best=3)
    found = search(toy, sources, [[], [[77, 5]], []], 8, best=3)
    # Without required phrases the kernels sum up the vocabulary, in float64.
    for place in (0, 2):
        assert [h.tokens for h in found[place]] == [h.tokens for h in alone[place]]
        assert [h.score for h in found[place]] == pytest.approx([h.score for h in alone[place]], rel=1e-6)
    assert found[1] != alone[1]
    assert all(occurs((77, 5), each.tokens) for each in found[1])


def after_two(first: dict[int, float], second: dict[int, float], third: dict[int, float], vocabulary: int = 8):
    """Probabilities by place; what is left over goes to the others in equal parts."""

    def step(tokens, state, memory):
        given_ = (first, second, third)[min(int(state[0]), 2)]
        others = (1 - sum(given_.values())) / (vocabulary - len(given_))
        row = [given_.get(token, others) for token in range(vocabulary)]
        return torch.tensor(row, dtype=torch.float64).log().expand(len(tokens), -1), state + 1

    return step


def test_a_phrase_is_put_where_it_fits_best():
    # 5 is improbable at first, and probable behind the first token: then it should come, although at each step
    # there are more probable tokens than it.
    step = after_two({2: 0.6, 3: 0.3}, {4: 0.5, 5: 0.3}, {1: 0.9})
    options: dict[str, Any] = {"batch": 1, "begin": 0, "end": 1, "width": 4}
    [[found]] = beam(step, torch.zeros(1), (), constraints=Constraints(maximum_length=6, required=[[[5]]]), **options)
    assert found.tokens == (2, 5)
    assert found.log_probability == pytest.approx(math.log(0.6 * 0.3 * 0.9))
    [[free]] = beam(step, torch.zeros(1), (), **options)
    assert free.tokens == (2, 4)


def test_phrases_that_begin_alike_do_not_keep_each_other_from_going_on(slow):
    [[found]] = search(slow.toy(7), [0], [[[4, 2], [4, 3], [4, 5]]], 7, width=1)
    assert found.tokens[:6] in {(4, a, 4, b, 4, c) for a in (2, 3, 5) for b in (2, 3, 5) for c in (2, 3, 5)}
    assert {*found.tokens[1:6:2]} == {2, 3, 5}


def test_what_cannot_be_held_in_time_is_not_finished(slow):
    # Each alone would fit, both do not.
    [[found]] = search(slow.toy(8), [0], [[[4, 5], [6, 7]]], 3)
    assert not found.finished
    assert len(found.tokens) == 3


def test_phrases_may_overlap():
    toy_step = after_two({2: 0.5}, {3: 0.5}, {1: 0.5})
    rules = Constraints(maximum_length=3, required=[[[2, 3], [3, 4]]])
    [found] = beam(toy_step, torch.zeros(1), (), batch=1, begin=0, end=1, width=8, best=8, constraints=rules)
    assert not any(each.finished for each in found)  # the limit leaves no room for an end behind three
    rules = Constraints(maximum_length=4, required=[[[2, 3], [3, 4]]])
    [[found]] = beam(toy_step, torch.zeros(1), (), batch=1, begin=0, end=1, width=8, constraints=rules)
    assert found.tokens == (2, 3, 4)
    assert found.finished


def test_a_beam_is_shared_out_among_the_banks():
    assert allocate([9, 9, 9], 9) == [3, 3, 3]
    assert allocate([9, 9, 9], 11) == [3, 3, 5]  # what is over is the last one's
    assert allocate([9, 9, 0], 9) == [3, 6, 0]  # what it cannot fill goes to its neighbour
    assert allocate([9, 1, 9], 9) == [3, 1, 5]  # of two neighbours first to that with more tokens
    assert allocate([9, 1, 4], 9) == [4, 1, 4]
    assert allocate([9, 9, 9, 9], 2) == [0, 0, 0, 2]
    assert allocate([9], 4) == [4]


@given(waiting=st.lists(st.integers(0, 9), min_size=1, max_size=7), room=st.integers(0, 30))
def test_no_slot_is_left_empty_while_something_waits(waiting, room):
    slots = allocate(waiting, room)
    assert sum(slots) == min(room, sum(waiting))
    assert all(0 <= slot <= wait for slot, wait in zip(slots, waiting, strict=True))


@settings(max_examples=150, deadline=None)
@given(
    required=st.lists(
        st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=4).map(tuple), max_size=3, unique=True),
        min_size=1,
        max_size=3,
    ).filter(any),
    histories=st.lists(st.lists(st.integers(0, 2), min_size=7, max_size=7), min_size=1, max_size=4),
    data=st.data(),
)
def test_what_has_occurred_and_how_many_tokens_are_there(required, histories, data):
    sources = np.array([data.draw(st.integers(0, len(required) - 1)) for _ in histories])
    asked, history = Required(required, 9), np.array(histories)
    occurred = None
    for length in range(8):
        occurred = asked.occurred(sources, history[:, :length], occurred)
        for source, row, own in zip(sources, histories, occurred, strict=True):
            expected = [occurs(phrase, row[:length]) for phrase in required[source]]
            assert own[: len(expected)].tolist() == expected
            assert own[len(expected) :].all()
    # The best candidates are given as token 9, which stands in no phrase: what is added is all that goes on with one.
    log_p = torch.zeros(len(histories), 10)
    best, tokens = np.zeros((len(histories), 1)), np.full((len(histories), 1), 9)
    found = asked.candidates(log_p, best, tokens, sources, history, occurred)
    for row, (source, own) in enumerate(zip(sources, histories, strict=True)):
        there = found.log_p[row] > -np.inf
        missing = [phrase for phrase in required[source] if not occurs(phrase, own)]
        progress = {
            phrase: max(size for size in range(len(phrase)) if tuple(own[7 - size :]) == phrase[:size])
            for phrase in missing
        }
        wanted = {phrase[progress[phrase]] for phrase in missing} | {phrase[0] for phrase in missing}
        assert sorted(found.tokens[row, there].tolist()) == sorted([*wanted, 9])
        for token, bank in zip(found.tokens[row, there], found.banks[row, there], strict=True):
            longer = [*own, int(token)]
            whole = sum(len(phrase) for phrase in required[source] if occurs(phrase, longer))
            begun = (
                max(size for size in range(len(phrase)) if tuple(longer[8 - size :]) == phrase[:size])
                for phrase in required[source]
                if not occurs(phrase, longer)
            )
            assert bank == whole + max(begun, default=0)
