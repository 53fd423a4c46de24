"""What is asked of a step."""

from __future__ import annotations

import re

import pytest
import torch

from unrolled.decoding.step import HANDFUL, device_of, few_are_left, log_probabilities


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_log_probabilities_are_those_of_the_logits_at_their_own_precision_or_float32s(dtype):
    logits = (torch.randn(3, 4000) * 3).to(dtype)
    before = logits.clone()
    found = log_probabilities(logits, 3)
    assert found.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    exact = logits.double() - logits.double().exp().sum(1, keepdim=True).log()
    torch.testing.assert_close(found.double(), exact, rtol=0, atol=1e-12 if dtype == torch.float64 else 1e-5)
    found.zero_()
    assert torch.equal(logits, before)


def test_room_is_used_again_where_it_is_large_enough():
    first = log_probabilities(torch.randn(4, 5), 4)
    logits = torch.randn(3, 5)
    second = log_probabilities(logits, 3, first)
    assert second.data_ptr() == first.data_ptr()
    assert torch.equal(second, logits.log_softmax(1))
    for other in (torch.randn(6, 5), torch.randn(3, 6), torch.randn(3, 5, dtype=torch.float64)):
        assert torch.equal(log_probabilities(other, len(other), first), other.log_softmax(1))


@pytest.mark.parametrize("shape", [(2, 5), (3,), (3, 0), (3, 1, 5)])
def test_logits_of_another_shape_are_named(shape):
    message = f"logits of shape {shape} where (3, vocabulary) is due"
    with pytest.raises(ValueError, match="^" + re.escape(message) + "$"):
        log_probabilities(torch.zeros(shape), 3)


def test_all_tensors_have_the_rows_of_the_batch():
    assert device_of((), {}, 4) == torch.device("cpu")
    assert device_of((), [torch.zeros(4, 1)], 4) == torch.device("cpu")
    with pytest.raises(ValueError, match=r"^a batch of 4 sources, but the state has 3 rows$"):
        device_of((torch.zeros(4), torch.zeros(3)), (), 4)


def test_rows_are_taken_out_where_a_quarter_has_ended():
    assert [live for live in range(1, 9) if few_are_left(live, 8)] == [1, 2, 3, 4, 5, 6]
    assert few_are_left(0, 1)


def test_a_handful_of_rows_stays_as_it_is(monkeypatch):
    monkeypatch.undo()
    assert not few_are_left(1, HANDFUL)
    assert few_are_left(1, HANDFUL + 1)
