"""Settings that cannot be are refused, each with its name."""

from __future__ import annotations

import math
from dataclasses import asdict, fields

import pytest

from unrolled.errors import BadOption, UnknownName
from unrolled.training.settings import Settings


def test_the_defaults_are_allowed_and_can_be_given_back() -> None:
    assert Settings(**asdict(Settings())) == Settings()


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("learning_rate", 0.0, "learning_rate must be more than 0, not 0.0"),
        ("learning_rate", -1.0, "learning_rate must be more than 0, not -1.0"),
        ("epochs", 0, "epochs must be more than 0, not 0"),
        ("weight_decay", -0.1, "weight_decay must be 0 or more, not -0.1"),
        ("clip_norm", -1, "clip_norm must be 0 or more, not -1"),
        ("patience", -1, "patience must be 0 or more, not -1"),
        ("checkpoint_seconds", -1.0, "checkpoint_seconds must be 0 or more, not -1.0"),
        ("plateau_patience", 0, "plateau_patience must be 1 or more, not 0"),
        ("batch_rows", 0, "batch_rows must be 1 or more, not 0"),
        ("batch_elements", 0, "batch_elements must be 1 or more, not 0"),
        ("checks", 0, "checks must be 1 or more, not 0"),
        ("warmup", 1.0, r"warmup must be in \[0, 1\), not 1.0"),
        ("warmup", -0.1, r"warmup must be in \[0, 1\), not -0.1"),
        ("momentum", 1.0, r"momentum must be in \[0, 1\), not 1.0"),
        ("average_decay", 1.0, r"average_decay must be in \[0, 1\), not 1.0"),
    ],
)
def test_a_number_out_of_range_is_refused_by_name(name: str, value: float, said: str) -> None:
    with pytest.raises(BadOption, match=f"^{said}$"):
        Settings(**{name: value})


NUMBERS = [f.name for f in fields(Settings) if not isinstance(f.default, str)]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("name", NUMBERS)
def test_no_number_may_be_infinite_or_none_at_all(name: str, value: float) -> None:
    with pytest.raises(BadOption, match=f"^{name} must be a finite number, not {value}$"):
        Settings(**{name: value})


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("optimizer", "admw", "unknown optimizer 'admw'; did you mean 'adamw'?"),
        ("schedule", "cosin", "unknown schedule 'cosin'; did you mean 'cosine'?"),
        ("averaging", "quux", "unknown averaging 'quux'; there are: exponential, none, triggered"),
    ],
)
def test_a_name_that_does_not_exist_is_not_taken_for_another(name: str, value: str, said: str) -> None:
    with pytest.raises(UnknownName) as error:
        Settings(**{name: value})
    assert str(error.value) == said


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("clip_norm", 0),
        ("patience", 0),
        ("warmup", 0),
        ("momentum", 0),
        ("average_decay", 0),
        ("checkpoint_seconds", 0),
    ],
)
def test_what_zero_turns_off_may_be_zero(name: str, value: float) -> None:
    assert getattr(Settings(**{name: value}), name) == 0
