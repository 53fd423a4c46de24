"""A step of a beam search by the compiled code, against the same in plain Python."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from unrolled.kernels import leading, library
from unrolled.kernels.picking import Picker

pytestmark = pytest.mark.skipif(library.load() is None, reason="there are no compiled kernels")

END = 7


def in_plain_python(best, tokens, log_p, counts, room, width):
    """Of each source the (row, token, log-probability) that are picked, the best first, of equals the first."""
    found, start = [], 0
    for count, wanted in zip(counts, room, strict=True):
        rows = range(start, start + count)
        start += count
        every = [
            (row, token, log_p[row] + min(p, 0.0))
            for row in rows
            if log_p[row] > -math.inf
            for p, token in zip(best[row], tokens[row], strict=True)
            if p > -math.inf
        ]
        found.append(sorted(every, key=lambda each: -each[2])[: min(wanted, width)])
    return found


@st.composite
def steps(draw):
    width = draw(st.integers(1, 6))
    counts = draw(st.lists(st.integers(1, width), min_size=1, max_size=5))
    room = [draw(st.integers(0, width)) for _ in counts]
    random = np.random.default_rng(draw(st.integers(0, 10**6)))
    rows, candidates = sum(counts), draw(st.integers(1, width))
    # Few different values: many are equal.
    best = -np.sort(random.integers(0, 4, (rows, candidates)) / 2, axis=1)
    best[random.random((rows, candidates)) < draw(st.sampled_from([0.0, 0.3]))] = -np.inf
    best = -np.sort(-best, axis=1)
    log_p = -random.integers(0, 3, rows) / 2
    log_p[random.random(rows) < draw(st.sampled_from([0.0, 0.3]))] = -np.inf
    return width, counts, room, best, random.integers(0, 10, (rows, candidates)), log_p


@settings(max_examples=400, deadline=None)
@given(given=steps())
def test_it_picks_as_plain_python_does_and_says_when_more_is_to_be_done(given):
    width, counts, room, best, tokens, log_p = given
    picker = Picker(np.array(counts), width, END)
    ready = picker(torch.tensor(best), torch.tensor(tokens), log_p, np.array(room))
    right = in_plain_python(best, tokens, log_p, counts, room, width)
    for picks, *found in zip(right, *(each.tolist() for each in picker.picked), strict=True):
        shown = list(zip(*found, strict=True))
        assert shown[: len(picks)] == picks
        assert all(p == -math.inf for _, _, p in shown[len(picks) :])
    stuck = any(p > -math.inf and row[0] == -math.inf for p, row in zip(log_p, best, strict=True))
    ends = any(token == END for picks in right for _, token, _ in picks)
    grown = any(len(picks) > count for picks, count in zip(right, counts, strict=True))
    assert (ready is None) == (stuck or ends or grown)
    if ready is None:
        return
    assert ready.going == sum(map(len, right))
    start = 0
    for picks, count in zip(right, counts, strict=True):
        rows = zip(*(each[start : start + count].tolist() for each in ready[:3]), strict=True)
        empty = [(row, END, -math.inf) for row in range(start + len(picks), start + count)]
        assert list(rows) == [*picks, *empty]
        start += count


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10**6), words=st.integers(1, 300), width=st.integers(1, 5), share=st.sampled_from([0.0, 0.2])
)
def test_of_logits_it_picks_what_it_picks_of_their_likeliest_words(seed, words, width, share):
    torch.manual_seed(seed)
    counts, room, count = np.array([width, 1, width]), np.array([width, 1, max(width - 1, 0)]), min(width, words)
    logits, barred = torch.randn(int(counts.sum()), words) * 3, (torch.rand(words) < share).to(torch.uint8)
    log_p = -np.random.default_rng(seed).random(len(logits))
    one, other = Picker(counts, width, END), Picker(counts, width, END)
    for _ in range(2):
        best, tokens = leading.find(logits, count, barred)
        ready, right = one.of_logits(logits, count, barred, log_p, room), other(best, tokens, log_p, room)
        assert np.array_equal(one.best, best.numpy(), equal_nan=True)
        for found, wanted in zip(one.picked, other.picked, strict=True):
            assert np.array_equal(found, wanted)
        assert (ready is None) == (right is None)
        if ready is not None:
            assert all(torch.equal(a, b) for a, b in zip(ready[:3], right[:3], strict=True))
        logits, count = torch.randn(len(logits), words), 1


def test_logits_of_other_rows_are_refused():
    with pytest.raises(ValueError, match="logits of 2 rows"):
        Picker(np.array([2]), 3, END).of_logits(torch.zeros(3, 5), 1, None, np.zeros(2), np.array([1]))


def test_candidates_that_are_no_numbers_are_left_to_the_caller_unless_their_row_is_empty():
    picker, room = Picker(np.array([2]), 2, END), np.array([2])
    best, tokens = torch.tensor([[-1.0], [math.nan]], dtype=torch.float64), torch.tensor([[3], [4]])
    assert picker(best, tokens, np.array([-1.0, -1.0]), room) is None
    ready = picker(best, tokens, np.array([-1.0, -math.inf]), room)
    assert ready is not None
    assert ready.parents.tolist() == [0, 1]
    assert ready.log_p.tolist() == [-2.0, -math.inf]


def test_what_it_gave_before_is_not_written_over():
    picker, room = Picker(np.array([1]), 1, END), np.array([1])
    first = picker(torch.tensor([[-1.0]], dtype=torch.float64), torch.tensor([[3]]), np.zeros(1), room)
    picker(torch.tensor([[-2.0]], dtype=torch.float64), torch.tensor([[4]]), np.zeros(1), room)
    assert first is not None
    assert (first.tokens.item(), first.log_p.item()) == (3, -1.0)


@pytest.mark.parametrize(
    ("best", "tokens", "log_p", "room"),
    [
        (torch.zeros(2, 1), torch.zeros(2, 1, dtype=torch.long), np.zeros(2), np.array([1])),
        (torch.zeros(2, 1).double(), torch.zeros(2, 1), np.zeros(2), np.array([1])),
        (torch.zeros(3, 1).double(), torch.zeros(3, 1, dtype=torch.long), np.zeros(3), np.array([1])),
        (torch.zeros(2, 1).double(), torch.zeros(2, 2, dtype=torch.long), np.zeros(2), np.array([1])),
        (torch.zeros(2, 1).double(), torch.zeros(2, 1, dtype=torch.long), np.zeros(1), np.array([1])),
        (torch.zeros(2, 1).double(), torch.zeros(2, 1, dtype=torch.long), np.zeros(2, dtype=np.float32), np.array([1])),
        (torch.zeros(2, 1).double(), torch.zeros(2, 1, dtype=torch.long), np.zeros(2), np.array([1, 1])),
    ],
)
def test_what_does_not_fit_is_refused(best, tokens, log_p, room):
    with pytest.raises(ValueError, match="wanted are"):
        Picker(np.array([2]), 3, END)(best, tokens, log_p, room)
