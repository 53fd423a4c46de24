"""Attention as data: its figures by hand, and what is refused."""

from __future__ import annotations

import math
import unicodedata

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from unrolled.inspection.alignment import checked, direction, legible


def test_entropy_and_coverage_by_hand() -> None:
    one = checked(("a", "b", "c", "d"), ("x", "y", "z"), [[1, 0, 0, 0], [0.5, 0, 0.5, 0], [0.25, 0.25, 0.25, 0.25]])
    assert one.entropy().tolist() == [0, 1, 2]
    assert one.coverage().tolist() == [1.75, 0.25, 0.75, 0.25]
    assert math.copysign(1, one.entropy()[0]) == 1


@given(arrays(np.float64, array_shapes(min_dims=2, max_dims=2, max_side=6), elements=st.floats(0.01, 1)))
def test_entropy_lies_between_one_token_and_all_alike_and_coverage_sums_to_the_target(drawn: np.ndarray) -> None:
    weights = drawn / drawn.sum(axis=1, keepdims=True)
    target, source = weights.shape
    one = checked(["s"] * source, ["t"] * target, weights)
    slow = [-sum(w * math.log2(w) for w in row) for row in weights]
    assert one.entropy() == pytest.approx(slow, abs=1e-9)
    assert all(-1e-9 <= h <= math.log2(source) + 1e-9 for h in one.entropy())
    assert one.coverage().sum() == pytest.approx(target)


def test_weights_that_were_rounded_to_bfloat16_become_a_distribution_again() -> None:
    weights = torch.full((1, 7), 1 / 7).bfloat16().float()
    assert float(weights.sum()) != 1
    assert checked("abcdefg", ["x"], weights).weights.sum() == pytest.approx(1, abs=1e-15)


def test_the_given_array_is_left_as_it_was() -> None:
    weights = np.array([[0.505, 0.505]])
    checked("ab", "x", weights)
    assert weights.tolist() == [[0.505, 0.505]]


def test_an_empty_target_looked_at_nothing() -> None:
    for nothing in ([], np.zeros((0, 2)), torch.zeros(0, 2)):
        one = checked(["a", "b"], [], nothing)
        assert one.weights.shape == (0, 2)
        assert one.coverage().tolist() == [0, 0]
        assert one.entropy().tolist() == []


@pytest.mark.parametrize(
    ("source", "target", "weights", "message"),
    [
        ("", "", [], "there are no source tokens to look at"),
        ("ab", "x", [[1.0]], r"the weights have shape \(1, 1\); they must be \(1 target tokens, 2 source tokens\)"),
        ("ab", "xyz", [[1, 0], [0, 1]], r"shape \(2, 2\); they must be \(3 target tokens, 2 source tokens\)"),
        ("ab", "x", [1.0, 0.0], r"shape \(2,\)"),
        ("ab", "xy", [[1, 0], [0.5, 0.4]], "the weights of 'y' are no distribution: least 0.4, sum 0.9"),
        ("ab", "x", [[1.5, -0.5]], "the weights of 'x' are no distribution: least -0.5, sum 1"),
        ("ab", "x", [[math.nan, 1]], "the weights of 'x' are no distribution: least nan, sum nan"),
        ("ab", "x", [[math.inf, 1]], "the weights of 'x' are no distribution: least 1, sum inf"),
    ],
)
def test_what_is_no_alignment_is_refused(source: str, target: str, weights: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        checked(source, target, weights)


@pytest.mark.parametrize(
    ("token", "shown"),
    [
        ("", "∅"),
        ("  ", "␣␣"),
        ("der ", "der␣"),
        ("new york", "new york"),
        ("\t", "␉"),
        ("\x7f", "␡"),
        ("a\x85b", "a\ufffdb"),
        ("\u2028", "␤"),
        ("a\u202eb", "a\ufffdb"),
        ("\ud800", "\ufffd"),
        ("می\u200cروم", "می\u200cروم"),
        ("👩\u200d🚀", "👩\u200d🚀"),
    ],
)
def test_a_token_that_cannot_be_seen_becomes_visible(token: str, shown: str) -> None:
    assert legible(token) == shown


@given(st.text(st.characters(exclude_categories=())))
def test_whatever_the_token_something_harmless_is_shown(token: str) -> None:
    shown = legible(token)
    assert shown.strip() == shown != ""
    assert not {unicodedata.category(sign) for sign in shown} & {"Cc", "Cs", "Zl", "Zp"}
    assert shown.encode()


@pytest.mark.parametrize(
    ("tokens", "found"),
    [([], "ltr"), (["1", "."], "ltr"), (["(", "كلب", "dog"], "rtl"), (["dog", "كلب"], "ltr"), (["3", "ש"], "rtl")],
)
def test_the_first_letter_with_a_direction_decides(tokens: list[str], found: str) -> None:
    assert direction(tokens) == found
