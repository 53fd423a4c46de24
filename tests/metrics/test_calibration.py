"""The expected calibration error, worked by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unrolled.errors import BadOption
from unrolled.metrics.calibration import (
    Bin,
    at_temperature,
    expected_calibration_error,
    fitted_temperature,
    reliability,
)

answers = st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=30)


def test_five_answers_in_two_bins_by_hand():
    confidence = [0.2, 0.4, 0.6, 0.8, 1.0]
    correct = [False, True, True, False, True]
    # (0, 0.5]: 2 answers, 1/2 right, mean confidence 0.3;  (0.5, 1]: 3 answers, 2/3 right, mean confidence 0.8.
    assert reliability(confidence, correct, bins=2) == [
        pytest.approx(Bin(0.0, 0.5, 2, 1 / 2, 0.3)),
        pytest.approx(Bin(0.5, 1.0, 3, 2 / 3, 0.8)),
    ]
    expected = 2 / 5 * (1 / 2 - 0.3) + 3 / 5 * (0.8 - 2 / 3)
    assert expected_calibration_error(confidence, correct, bins=2) == pytest.approx(expected)


def test_a_confidence_on_an_edge_belongs_to_the_bin_below_it():
    # 0.7 * 10 is 7.000000000000001 in floating point; the edge is 0.7 all the same.
    assert [(b.lower, b.upper) for b in reliability([0.7, 0.0], [True, True], bins=10)] == [(0.0, 0.1), (0.6, 0.7)]


def test_always_right_when_certain_is_calibrated_and_always_wrong_is_not():
    assert expected_calibration_error([1.0, 1.0], [True, True]) == 0
    assert expected_calibration_error([1.0, 1.0], [False, False]) == 1


@given(answers)
def test_one_bin_compares_the_two_means(pairs):
    confidence, correct = [c for c, _ in pairs], [r for _, r in pairs]
    difference = abs(math.fsum(confidence) / len(pairs) - sum(correct) / len(pairs))
    assert expected_calibration_error(confidence, correct, bins=1) == pytest.approx(difference, abs=1e-12)


@given(answers, st.integers(1, 20))
def test_every_answer_is_in_the_bin_that_holds_its_confidence(pairs, bins):
    confidence, correct = [c for c, _ in pairs], [r for _, r in pairs]
    filled = reliability(confidence, correct, bins)
    for b in filled:
        inside = [c for c in confidence if b.lower < c <= b.upper or (b.lower == 0 and c == 0)]
        assert b.size == len(inside)
    assert sum(b.size for b in filled) == len(pairs)


def test_rounding_above_one_counts_as_one_and_more_is_an_error():
    assert expected_calibration_error([1.00001], [True]) == pytest.approx(0, abs=1e-4)
    for wrong in (1.1, -0.1, math.nan):
        with pytest.raises(ValueError, match=rf"^answer 1: a confidence is between 0 and 1, not {wrong}$"):
            expected_calibration_error([0.5, wrong], [True, True])


def test_bins_must_be_one_or_more():
    with pytest.raises(BadOption, match=r"^bins must be 1 or more, not 0$"):
        expected_calibration_error([0.5], [True], bins=0)


def drawn(scale: float, count: int = 4000) -> tuple[np.ndarray, np.ndarray]:
    """Logits that are `scale` times those that the right choices were drawn from."""
    rng = np.random.default_rng(0)
    true = rng.normal(0, 1.5, (count, 4))
    gold = (true + rng.gumbel(size=true.shape)).argmax(axis=1)
    return scale * true, gold


@pytest.mark.parametrize("scale", [0.5, 1.0, 3.0])
def test_the_temperature_undoes_what_the_logits_were_multiplied_by(scale: float) -> None:
    logits, gold = drawn(scale)
    assert fitted_temperature(logits, gold) == pytest.approx(scale, rel=0.05)


def test_at_its_temperature_an_overconfident_model_can_be_believed() -> None:
    logits, gold = drawn(3.0)
    correct = (logits.argmax(axis=1) == gold).tolist()
    before, after = (np.exp(at_temperature(logits, t).max(axis=1)).tolist() for t in (1.0, 3.0))
    assert expected_calibration_error(before, correct) > 0.1
    assert expected_calibration_error(after, correct) < 0.03


def test_a_temperature_keeps_the_order_and_the_sum() -> None:
    logits, _ = drawn(1.0, 20)
    for temperature in (0.1, 1.0, 10.0):
        found = at_temperature(logits, temperature)
        assert np.exp(found).sum(axis=1) == pytest.approx(1.0)
        assert (found.argsort(axis=1) == logits.argsort(axis=1)).all()
    shifted = at_temperature(at_temperature(logits, 1.0), 2.0)  # of log-probabilities as of logits
    assert shifted == pytest.approx(at_temperature(logits, 2.0))


def test_as_many_right_choices_as_answers_are_needed() -> None:
    with pytest.raises(ValueError, match="3 answers but 2 right choices"):
        fitted_temperature(np.zeros((3, 2)), np.zeros(2, dtype=np.int64))
