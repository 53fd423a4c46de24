"""What is offered can be taken, changes something, and comes from the numbers."""

from __future__ import annotations

import math
from typing import Any

from unrolled.inspection import diagnosis
from unrolled.inspection.diagnosis import Finding
from unrolled.inspection.remedies import MAKERS, Given, remedies, suggested_clip


def offered(*names: str, distance: int = 50, norms: Any = (), **options: Any) -> list[Any]:
    return [tuple(r)[::2] for r in remedies([Finding("x", "vanishing", "", names)], Given(options, distance, norms))]


def test_every_remedy_that_a_diagnosis_names_is_known() -> None:
    import inspect
    import re

    named = re.findall(r'"([a-z]+)"', " ".join(re.findall(r'\((?:"[a-z]+",? ?)+\)', inspect.getsource(diagnosis))))
    assert {"gated", "chrono", "forget", "clip"} <= set(named)
    assert set(named) <= {*MAKERS, "f"}


def test_one_is_offered_where_its_option_is_there_and_says_something_else() -> None:
    assert offered("gated", cell="elman") == [("gated", {"cell": "lstm"})]
    assert offered("gated", cell="lstm") == []
    assert offered("gated") == []
    assert offered("chrono", "forget", chrono=None, forget_bias=1.0) == [
        ("chrono", {"chrono": 50}),
        ("forget", {"forget_bias": round(math.log(50), 1)}),
    ]
    assert offered("chrono", chrono=50) == []
    assert offered("chrono", "forget", chrono=None, forget_bias=1.0, distance=2) == []


def test_chrono_lowers_an_epsilon_that_would_hold_its_small_gradients_up() -> None:
    assert offered("chrono", chrono=None, epsilon=1e-8) == [("chrono", {"chrono": 50, "epsilon": 1e-12})]
    assert offered("chrono", chrono=None, epsilon=1e-13) == [("chrono", {"chrono": 50})]
    assert offered("chrono", chrono=50, epsilon=1e-8) == []


def test_a_smaller_epsilon_is_offered_where_it_is_not_small_yet() -> None:
    assert offered("epsilon", epsilon=1e-8) == [("epsilon", {"epsilon": 1e-12})]
    assert offered("epsilon", epsilon=1e-12) == []
    assert offered("epsilon") == []


def test_each_is_offered_once_in_the_order_of_the_findings() -> None:
    findings = [Finding("a", "saturated", "", ("scale", "rate")), Finding("b", "exploding", "", ("rate", "window"))]
    found = remedies(findings, Given({"learning_rate": 0.01, "window": 40}, 10))
    assert [(r.name, dict(r.options)) for r in found] == [
        ("scale", {}),
        ("rate", {"learning_rate": 0.0025}),
        ("window", {"window": 20}),
    ]


def test_the_clip_that_is_suggested_is_what_nine_of_ten_norms_stay_under() -> None:
    norms = [float(n) for n in range(1, 101)]
    assert suggested_clip(norms) == 90.0
    assert suggested_clip([*norms, math.inf, math.nan]) == 90.0
    assert suggested_clip(norms[:5]) is None
    assert offered("clip", norms=norms, clip_norm=500.0) == [("clip", {"clip_norm": 90.0})]
    assert offered("clip", norms=norms, clip_norm=5.0) == []
    assert offered("clip", clip_norm=0.0) == [("clip", {"clip_norm": 1.0})]
