"""What helps against what a diagnosis found: in a sentence, and as options of a training.

A remedy is offered where the task has the option, and the option says something else so far.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from unrolled.inspection.diagnosis import Finding

EPSILON = 1e-12
"""What Adam's epsilon is lowered to where gradients are small: still far above the smallest that float32 can square."""


class Given(NamedTuple):
    """What a remedy may look at.

    options: the task's and the training's, by name, as they are; distance: over which something is to be remembered;
    norms: of the gradients of a training, before clipping, none where there was none.
    """

    options: Mapping[str, Any]
    distance: int
    norms: Sequence[float] = ()


class Remedy(NamedTuple):
    """One that can be taken here.

    name: as in `Finding.remedies`; what: in words; options: that it sets; none where it is to be done by hand.
    """

    name: str
    what: str
    options: Mapping[str, Any]


def remedies(findings: Sequence[Finding], given: Given) -> list[Remedy]:
    """Those for what was found, in the order of the findings, each once; of options that are set already none."""
    found: dict[str, Remedy] = {}
    for finding in findings:
        for name in finding.remedies:
            if name not in found:
                made = MAKERS[name](given)
                if made is not None and (not made.options or _changes(made.options, given.options)):
                    found[name] = made
    return list(found.values())


def _changes(options: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
    """Whether the task has all of these options, and one of them says something else so far."""
    return all(name in now for name in options) and any(now[name] != value for name, value in options.items())


def suggested_clip(norms: Sequence[float]) -> float | None:
    """The norm that nine of ten steps stay under: what is longer is out of the ordinary. None where it is unknown."""
    finite = sorted(norm for norm in norms if math.isfinite(norm))
    if len(finite) < 10:
        return None
    return float(f"{finite[int(0.9 * (len(finite) - 1))]:.2g}")


def _gated(given: Given) -> Remedy | None:
    what = "a gated cell in place of the plain one: its gates let the gradient pass"
    return Remedy("gated", what + _without_options(given), {"cell": "lstm"})


def _orthogonal(given: Given) -> Remedy | None:
    what = "orthogonal recurrent weights: they keep a vector's length"
    return Remedy("orthogonal", what, {"initialisation": "orthogonal"})


def _chrono(given: Given) -> Remedy | None:
    if given.distance < 3 or given.options.get("chrono") == given.distance:
        return None
    what = f"chrono initialisation: gates that begin by remembering for up to {given.distance} steps"
    # A unit that remembers for k steps takes in 1 / k at each: the gradients of its gates are as small.
    return Remedy("chrono", what, {"chrono": given.distance, **_smaller_epsilon(given)})


def _forget(given: Given) -> Remedy | None:
    if given.distance < 3:
        return None
    bias = round(math.log(given.distance), 1)
    what = f"a forget gate that begins open: with a bias of {bias} it forgets in about {given.distance} steps"
    return Remedy("forget", what, {"forget_bias": bias})


def _clip(given: Given) -> Remedy | None:
    most = suggested_clip(given.norms) or 1.0
    now = given.options.get("clip_norm") or math.inf
    if most >= now:
        return None
    why = "nine of ten steps have a shorter one" if suggested_clip(given.norms) else "a first value, to be adjusted"
    return Remedy("clip", f"gradients shortened to a norm of {most:g}: {why}", {"clip_norm": most})


def _rate(given: Given) -> Remedy | None:
    now = given.options.get("learning_rate")
    if not now:
        return None
    return Remedy("rate", f"a lower learning rate, {now / 4:g} in place of {now:g}", {"learning_rate": now / 4})


def _epsilon(given: Given) -> Remedy | None:
    options = _smaller_epsilon(given)
    if not options:
        return None
    what = f"an epsilon of {EPSILON:g}: small gradients then make steps as long as any"
    return Remedy("epsilon", what, options)


def _smaller_epsilon(given: Given) -> dict[str, float]:
    return {"epsilon": EPSILON} if given.options.get("epsilon", 0.0) > EPSILON else {}


def _window(given: Given) -> Remedy | None:
    now = given.options.get("window")
    if not now or now < 20:
        return None
    return Remedy("window", f"shorter windows, {now // 2} elements: fewer factors in a product", {"window": now // 2})


def _layernorm(given: Given) -> Remedy | None:
    what = "layer normalisation, which keeps gates away from their ends"
    return Remedy("layernorm", what + _without_options(given), {"cell": "lstm_layernorm"})


def _without_options(given: Given) -> str:
    """What goes with another cell."""
    return "; without cell_options, which are of the present one" if given.options.get("cell_options") else ""


def _by_hand(name: str, what: str) -> Callable[[Given], Remedy | None]:
    return lambda given: Remedy(name, what, {})


MAKERS: Mapping[str, Callable[[Given], Remedy | None]] = {
    "gated": _gated,
    "orthogonal": _orthogonal,
    "chrono": _chrono,
    "forget": _forget,
    "clip": _clip,
    "rate": _rate,
    "epsilon": _epsilon,
    "window": _window,
    "layernorm": _layernorm,
    "scale": _by_hand("scale", "inputs scaled to a root mean square near 1"),
    "data": _by_hand("data", "a look at the elements that are all zeros: are they padding, or missing values?"),
    "examples": _by_hand("examples", "a look at these examples"),
    "split": _by_hand("split", "another split, or the text without what gives the answer away"),
    "labels": _by_hand("labels", "a look at how the labels are spread, and at the column that they are read from"),
    "replay": _by_hand("replay", "a look at the example, the layer and the step where it arose"),
}
"""Name -> what it is here; None where it does not apply."""
