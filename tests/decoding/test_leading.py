"""The largest values against a sort of all."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from unrolled.decoding.leading import leading


@settings(max_examples=150, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    rows=st.integers(1, 4),
    n=st.one_of(st.integers(1, 60), st.integers(900, 9000), st.sampled_from([1024, 2048, 8192])),
    count=st.integers(1, 12),
    few=st.booleans(),
)
def test_they_are_the_first_of_a_sort(seed, rows, n, count, few):
    count = min(count, n)
    torch.manual_seed(seed)
    values = torch.randn(rows, n)
    if few:  # most are -inf, as under constraints
        values[torch.rand(rows, n) > 5 / n] = -torch.inf
    best, places = leading(values, count)
    assert torch.equal(best, values.sort(1, descending=True).values[:, :count])
    assert torch.equal(values.gather(1, places), best)
    for row, own in zip(values, places.tolist(), strict=True):
        real = [place for place in own if row[place] > -torch.inf]
        assert len(set(real)) == len(real)


@pytest.mark.parametrize("n", [7, 1500, 5001])
def test_of_equals_the_first_is_the_largest(n):
    values = torch.zeros(3, n)
    values[0, n - 2 :] = 1
    values[1, n // 2] = values[1, n - 1] = 1
    assert leading(values, 1)[1].tolist() == [[n - 2], [n // 2], [0]]


@pytest.mark.parametrize("n", [7, 1500, 5001, 8000])
@pytest.mark.parametrize("count", [1, 2, 5])
def test_it_does_not_depend_on_the_other_rows_which_of_equals_are_taken(n, count):
    values = torch.randint(3, (20, n)).float()
    best, places = leading(values, count)
    for row in range(20):
        alone, at = leading(values[row : row + 1], count)
        assert torch.equal(alone, best[row : row + 1])
        assert torch.equal(at, places[row : row + 1])


@pytest.mark.parametrize("n", [7, 1500, 3000])
@pytest.mark.parametrize("count", [1, 3])
def test_what_is_no_number_is_the_largest(n, count):
    values = torch.randn(2, n)
    values[1] = torch.nan
    best, _ = leading(values, count)
    assert torch.isfinite(best[0]).all()
    assert torch.isnan(best[1]).all()
