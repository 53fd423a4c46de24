"""Batches by elements."""

from __future__ import annotations

import time
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unrolled.data.batching import bucketed, in_order
from unrolled.errors import BadOption

LENGTHS = st.lists(st.integers(0, 40), max_size=60)
LIMITS = {"elements": st.integers(1, 100), "rows": st.none() | st.integers(1, 10)}


def check(batches, lengths, elements, rows):
    assert sorted(index for batch in batches for index in batch) == list(range(len(lengths)))
    for batch in batches:
        assert len(batch) == 1 or len(batch) * max(lengths[k] for k in batch) <= elements
        assert rows is None or len(batch) <= rows
        assert batch.dtype == np.int64


@given(lengths=LENGTHS, **LIMITS)
def test_every_example_is_in_one_batch_and_no_batch_is_too_large(lengths, elements, rows):
    check(bucketed(lengths, elements=elements, rows=rows, seed=1, epoch=2), lengths, elements, rows)
    check(in_order(lengths, elements=elements, rows=rows), lengths, elements, rows)


@given(lengths=LENGTHS, **LIMITS)
def test_batches_hold_neighbours_in_length(lengths, elements, rows):
    batches = bucketed(lengths, elements=elements, rows=rows, seed=1, epoch=0)
    spans = sorted((max(lengths[k] for k in batch), min(lengths[k] for k in batch)) for batch in batches)
    assert all(shorter[0] <= longer[1] for shorter, longer in pairwise(spans))


@given(lengths=LENGTHS, **LIMITS)
def test_no_two_batches_could_be_one(lengths, elements, rows):
    batches = in_order(lengths, elements=elements, rows=rows)
    for one, two in pairwise(batches):
        longest = max(lengths[one[0]], 1)
        assert (len(one) + 1) * longest > elements or len(one) == rows
        assert lengths[one[0]] >= lengths[two[0]]


def test_prediction_keeps_equals_in_the_order_given():
    batches = in_order([2, 3, 2, 3, 2], elements=6)
    assert [batch.tolist() for batch in batches] == [[1, 3], [0, 2, 4]]


def as_lists(batches):
    return [batch.tolist() for batch in batches]


def test_an_epoch_is_a_function_of_seed_and_epoch():
    lengths = np.random.default_rng(0).integers(1, 50, size=500)
    first = as_lists(bucketed(lengths, elements=200, seed=1, epoch=0))
    assert as_lists(bucketed(lengths.tolist(), elements=200, seed=1, epoch=0)) == first
    assert as_lists(bucketed(lengths, elements=200, seed=1, epoch=1)) != first
    assert as_lists(bucketed(lengths, elements=200, seed=2, epoch=0)) != first
    np.random.seed(3)
    assert as_lists(bucketed(lengths, elements=200, seed=1, epoch=0)) == first


def test_batch_mates_and_the_order_of_batches_are_random():
    lengths = [5] * 40
    epochs = [as_lists(bucketed(lengths, elements=50, seed=1, epoch=epoch)) for epoch in range(30)]
    mates = {index for epoch in epochs for batch in epoch if 0 in batch for index in batch}
    assert mates == set(range(40))
    by_length = [as_lists(bucketed(range(1, 21), elements=20, rows=1, seed=1, epoch=epoch)) for epoch in range(60)]
    assert {epoch[0][0] for epoch in by_length} == set(range(20))


def test_impossible_limits_are_refused():
    for limits in ({"elements": 0}, {"elements": 1, "rows": 0}):
        with pytest.raises(BadOption, match="a batch needs room for 1 element and 1 row or more"):
            in_order([1], **limits)
    for seeds in ({"seed": -1, "epoch": 0}, {"seed": 0, "epoch": -1}):
        with pytest.raises(BadOption, match="seed and epoch must be 0 or more"):
            bucketed([1], elements=1, **seeds)


def test_no_examples_are_no_batches():
    assert bucketed([], elements=1, seed=0, epoch=0) == in_order([], elements=1) == []


def test_many_lengths_are_batched_without_a_loop_over_them():
    lengths = np.random.default_rng(0).integers(1, 1000, size=25_000)
    best = min(_seconds(lengths) for _ in range(5))
    # A few milliseconds; a Python loop over the examples would take many times as long as this bound allows.
    assert best < 0.1


def _seconds(lengths):
    start = time.process_time()
    bucketed(lengths, elements=10_000, rows=64, seed=1, epoch=1)
    return time.process_time() - start
