"""Greedy decoding, by hand and against what a plain loop finds."""

from __future__ import annotations

import re
from threading import Thread
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from unrolled.decoding.constraints import Constraints
from unrolled.decoding.greedy import greedy
from unrolled.errors import BadOption, NotFinite


def decode(toy, sources, **options: Any):
    given_ = {"batch": len(sources), "begin": 0, "end": 1, **options}
    return greedy(toy.step, toy.state(len(sources)), toy.memory(sources), **given_)


def plainly(toy, source, limit, allowed):
    tokens, total = (), 0.0
    while len(tokens) < limit:
        log_p = toy.log_p(source, tokens)
        may = [token for token in range(toy.vocabulary) if allowed(tokens, token)]
        if not may:
            break
        token = max(may, key=log_p.__getitem__)
        total += log_p[token]
        if token == 1:
            return (tokens, total, total, True)
        tokens += (token,)
    return (tokens, total, total, False)


@settings(max_examples=100, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    limits=st.lists(st.integers(0, 9), min_size=1, max_size=8),
    minimum=st.integers(0, 3),
    ngram=st.integers(0, 3),
    forbidden=st.lists(st.lists(st.integers(0, 4), min_size=1, max_size=3), max_size=3),
)
def test_it_is_a_plain_loop(slow, seed, limits, minimum, ngram, forbidden):
    limits = [max(limit, minimum) for limit in limits]
    toy = slow.toy(5, seed)
    constraints = Constraints(minimum, limits, forbidden=forbidden, no_repeat_ngram=ngram)
    found = decode(toy, range(len(limits)), constraints=constraints)
    allowed = slow.may_follow(minimum=minimum, forbidden=forbidden, ngram=ngram)
    for source, (limit, own) in enumerate(zip(limits, found, strict=True)):
        slow.same([own], [plainly(toy, source, limit, allowed)])


def test_one_by_hand():
    # Each token is followed by the next with probability 3/4; the fourth is the end.
    def step(tokens, state, memory):
        logits = torch.zeros(len(tokens), 4)
        logits[range(len(tokens)), {2: 3, 3: 0, 0: 1}[int(tokens[0])]] = torch.tensor(9.0).log()
        return logits, state

    [found] = greedy(step, (), (), batch=1, begin=2, end=1)
    assert found.tokens == (3, 0)
    assert found.finished
    assert found.log_probability == found.score == pytest.approx(3 * torch.tensor(0.75).log().item(), abs=1e-6)


@pytest.mark.parametrize("vocabulary", [5, 5000])
def test_of_equals_the_first_is_taken(vocabulary):
    logits = torch.zeros(1, vocabulary)
    logits[0, 0] = -1
    rules = Constraints(maximum_length=3, forbidden=[1])
    [found] = greedy(lambda tokens, *both: (logits, both[0]), (), (), batch=1, begin=0, end=1, constraints=rules)
    assert found.tokens == (2, 2, 2)


def test_rows_that_have_ended_leave_the_batch(slow):
    toy = slow.toy(5)
    found = decode(toy, range(8), constraints=Constraints(minimum_length=3, maximum_length=[3, 9, 3, 3, 3, 3, 3, 3]))
    assert toy.rows[:3] == [8, 8, 8]
    assert set(toy.rows[3:]) == {1}
    assert found[1] == decode(toy, [1], constraints=Constraints(minimum_length=3, maximum_length=9))[0]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
@pytest.mark.parametrize("vocabulary", [9, 3000])
def test_what_else_is_in_the_batch_changes_nothing_to_the_last_bit(slow, dtype, vocabulary):
    toy = slow.toy(vocabulary, dtype=dtype)
    toy.table[:, 1] += 1 if vocabulary == 9 else 5
    sources = [5, 2, 9, 14, 7, 3, 21, 30, 12]
    together = decode(toy, sources)
    assert len({len(each.tokens) for each in together}) > 3
    assert [decode(toy, [source])[0] for source in sources] == together
    assert decode(toy, sources[::-1]) == together[::-1]


def test_two_threads_at_once_do_not_mix(slow):
    toy, found = slow.toy(3000), {}
    toy.table[:, 1] += 5
    expected = {source: decode(toy, [source] * 3) for source in range(2)}

    def run(source):
        found[source] = [decode(toy, [source] * 3) for _ in range(20)]

    threads = [Thread(target=run, args=(source,)) for source in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {source: [expected[source]] * 20 for source in range(2)}


def test_a_batch_of_nothing_gives_nothing(slow):
    assert decode(slow.toy(5), []) == []


def test_a_long_sequence_is_written_whole():
    # Longer than the table is at first: it counts up.
    def step(tokens, state, memory):
        return torch.nn.functional.one_hot(tokens + 1, 102) * 50.0, state

    [found] = greedy(step, (), (), batch=1, begin=1, end=101)
    assert found.tokens == tuple(range(2, 101))


@pytest.mark.parametrize(
    ("constraints", "message"),
    [
        (
            Constraints(required=[[[2]], []]),
            "required phrases need beam search: greedy decoding cannot look for them",
        ),
        (Constraints(maximum_length=[4]), "maximum_length for 1 sources, but the batch has 2"),
        (Constraints(forbidden=[[2, 77]]), "there is no token 77: the vocabulary has 5"),
    ],
)
def test_what_cannot_be_is_named(slow, constraints, message):
    with pytest.raises(BadOption, match="^" + re.escape(message) + "$"):
        decode(slow.toy(5), [0, 1], constraints=constraints)


def test_none_are_required_where_no_source_has_one(slow):
    assert decode(slow.toy(5), [3], constraints=Constraints(required=[[]])) == decode(slow.toy(5), [3])


def test_what_is_no_number_is_not_taken_for_one(slow):
    toy = slow.toy(5)
    toy.table[:, 3] = torch.inf
    with pytest.raises(NotFinite, match=r"^the step gave logits that are not numbers, or infinite, after 0 tokens$"):
        decode(toy, [0, 1])


def test_logits_of_another_shape_are_named():
    with pytest.raises(ValueError, match=r"^logits of shape \(5,\) where \(2, vocabulary\) is due$"):
        greedy(lambda tokens, state, memory: (torch.zeros(5), state), (), (), batch=2, begin=0, end=1)
