"""The likeliest words by the compiled kernels, against torch in float64, in every instruction set."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from unrolled.kernels import leading, library

pytestmark = pytest.mark.skipif(library.load() is None, reason="there are no compiled kernels")


def sorted_by_torch(logits, count, barred):
    log_p = logits.double().log_softmax(1).masked_fill(barred.bool(), -torch.inf)
    return log_p.sort(dim=1, descending=True).values[:, :count]


@settings(max_examples=150, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    rows=st.integers(1, 5),
    words=st.one_of(st.integers(1, 70), st.sampled_from([255, 256, 257, 1000, 5001])),
    count=st.integers(1, 12),
    share=st.sampled_from([0.0, 0.1, 0.9]),
    spread=st.sampled_from([0.1, 3.0, 60.0]),
)
def test_they_are_the_first_of_a_sort_of_the_log_softmax(seed, rows, words, count, share, spread):
    torch.manual_seed(seed)
    count, logits = min(count, words), torch.randn(rows, words) * spread
    barred = (torch.rand(words) < share).to(torch.uint8)
    best, places = leading.find(logits, count, barred)
    torch.testing.assert_close(best, sorted_by_torch(logits, count, barred), atol=2e-5, rtol=1e-6)
    for row, found, own in zip(logits.double().log_softmax(1), best, places.tolist(), strict=True):
        real = [place for place, value in zip(own, found.tolist(), strict=True) if value > -torch.inf]
        assert len(set(real)) == len(real)
        assert not barred[real].any()
        torch.testing.assert_close(row[real], found[: len(real)], atol=2e-5, rtol=1e-6)


@pytest.mark.parametrize("words", [1, 17, 300, 5001])
def test_each_instruction_set_finds_the_same(isa, words):
    torch.manual_seed(1)
    logits, none = torch.randn(7, words), torch.zeros(words)
    best, _ = leading.find(logits, min(5, words))
    torch.testing.assert_close(best, sorted_by_torch(logits, min(5, words), none), atol=1e-5, rtol=1e-6)


def test_of_equals_the_first_are_taken_whatever_the_other_rows_are():
    logits = torch.randint(3, (20, 1000)).float()
    best, places = leading.find(logits, 4)
    for row in range(20):
        alone, at = leading.find(logits[row : row + 1], 4)
        assert torch.equal(alone, best[row : row + 1])
        assert torch.equal(at, places[row : row + 1])
        assert at[0].tolist() == (logits[row] == 2).nonzero()[:4, 0].tolist()


@pytest.mark.parametrize("top", [0.0, 1e-40, 1.2e-38, -1e-40, -1.2e-38])
def test_words_whose_logits_are_as_good_as_zero_are_found(isa, top):
    logits = torch.full((1, 5000), -1.0)
    logits[0, 7], logits[0, 4321] = top, top
    found, places = leading.find(logits, 2)
    assert places.tolist() == [[7, 4321]]
    assert bool(torch.isfinite(found).all())


@pytest.mark.parametrize("wrong", [torch.nan, torch.inf])
def test_a_logit_that_is_no_finite_number_makes_its_row_nan_and_no_other(wrong):
    logits = torch.randn(3, 500)
    logits[1, 250] = wrong
    best, _ = leading.find(logits, 3)
    assert best[1].isnan().all()
    assert best[[0, 2]].isfinite().all()


def test_a_row_of_nothing_but_what_never_happens_is_nan():
    assert leading.find(torch.full((2, 40), -torch.inf), 2)[0].isnan().all()


def test_rows_may_stand_apart_and_threads_change_nothing():
    wide = torch.randn(40, 4100)
    logits = wide[:, 50:4050]
    assert logits.stride(0) == 4100
    alone = [t.clone() for t in leading.find(logits.contiguous(), 5)]
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        for t, other in zip(leading.find(logits, 5), alone, strict=True):
            assert torch.equal(t, other)
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize(
    ("logits", "count", "barred"),
    [
        (torch.zeros(2, 3, dtype=torch.float64), 1, None),
        (torch.zeros(3), 1, None),
        (torch.zeros(2, 3), 4, None),
        (torch.zeros(2, 3), 0, None),
        (torch.zeros(2, 3), 1, torch.zeros(2, dtype=torch.uint8)),
        (torch.zeros(2, 3), 1, torch.zeros(3)),
    ],
)
def test_what_does_not_fit_is_refused(logits, count, barred):
    with pytest.raises(ValueError, match=r"must be|cannot be looked for"):
        leading.find(logits, count, barred)
