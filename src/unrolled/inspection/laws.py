"""The laws, on the user's own model: what must hold of every recurrent model, and silently fails in many.

Each law is a function (task, examples) -> `Verdict`; `check` runs them all. They work on a copy: the task's weights
and mode are left as they were.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import torch

from unrolled.errors import BadOption
from unrolled.tasks.base import Task

TOLERANCE = 1e-4
"""On probabilities and outputs: the order of float32 sums differs with the batch's shape."""
LOSS_TOLERANCE = 1e-5
"""On a batch's loss, relative."""
OVERFIT_STEPS = 300


class Verdict(NamedTuple):
    """law: what must hold; holds: None where it does not apply; found: what was measured, in words."""

    law: str
    holds: bool | None
    found: str


def check(task: Task, examples: Sequence[Any]) -> Iterator[Verdict]:
    """Run every law on examples with their blanks filled in; a few dozen are enough."""
    for law in LAWS:
        yield law(copy.deepcopy(task).eval(), list(examples))


def batch_mates_change_nothing(task: Task, examples: Sequence[Any]) -> Verdict:
    """Predicted one by one, and all in one batch with shorter and longer ones: the same answers."""
    alone = [task.predict([example])[0] for example in examples]
    together = task.predict(examples, batch_rows=len(examples), batch_elements=10**9)
    return _compare("padding and batch mates change nothing", alone, together)


def order_changes_nothing(task: Task, examples: Sequence[Any]) -> Verdict:
    """Predicted in another order: the same answers."""
    ahead = task.predict(examples)
    back = task.predict(list(reversed(examples)))[::-1]
    return _compare("the order of examples changes nothing", ahead, back)


def loss_is_the_sum_of_its_rows(task: Task, examples: Sequence[Any]) -> Verdict:
    """The loss of a batch is the sum of its rows' own losses."""
    encoded = [task.encode(example) for example in examples]
    with torch.inference_mode():
        whole = float(task.loss(task.collate(encoded)).total)
        parts = sum(float(task.loss(task.collate([one])).total) for one in encoded)
    apart = abs(whole - parts) / max(abs(whole), 1e-6)
    return Verdict("a batch's loss is the sum of its rows'", apart < LOSS_TOLERANCE, f"relative difference {apart:.1e}")


def streaming_equals_the_whole(task: Task, examples: Sequence[Any]) -> Verdict:
    """Read element by element with the state carried: the outputs of the whole at once."""
    law = "streaming equals the whole"
    stream = getattr(task, "stream_outputs", None)
    if stream is None:
        return Verdict(law, None, "this task does not stream")
    try:
        distances = [float((whole - stepped).abs().max()) for whole, stepped in stream(examples)]
    except BadOption as error:
        return Verdict(law, None, f"does not apply: {error}")
    close = all(distance < TOLERANCE for distance in distances)
    return Verdict(law, close, f"largest difference {max(distances):.1e}")


def one_batch_can_be_overfitted(task: Task, examples: Sequence[Any]) -> Verdict:
    """Trained on one batch without dropout, the loss falls to a small part: the gradient reaches what it must."""
    law = "one batch can be overfitted"
    torch.manual_seed(0)
    # A few examples, each text once: two labels for one text cannot both be learnt.
    distinct = {repr(e.content): e for e in examples}
    batch = task.collate([task.encode(example) for example in list(distinct.values())[:8]])
    task.options["label_smoothing"] = 0.0
    # Evaluation mode: nothing is dropped. (cuDNN has no backward pass there; torch's own kernels have.)
    engine = torch.optim.Adam(task.parameters(), lr=5e-3)
    first = last = 0.0
    for step in range(OVERFIT_STEPS):
        with torch.backends.cudnn.flags(enabled=False):
            loss = task.loss(batch)
        last = float(loss.total.detach()) / loss.count
        first = last if step == 0 else first
        if last < 0.02:
            break
        engine.zero_grad()
        loss.total.backward()
        torch.nn.utils.clip_grad_norm_(task.parameters(), 1.0)
        engine.step()
    return Verdict(law, last < max(0.1 * first, 0.05), f"loss {first:.3f} to {last:.3f} nats in {step + 1} steps")


LAWS: tuple[Callable[[Task, Sequence[Any]], Verdict], ...] = (
    batch_mates_change_nothing,
    order_changes_nothing,
    loss_is_the_sum_of_its_rows,
    streaming_equals_the_whole,
    one_batch_can_be_overfitted,
)


def saved_equals_loaded(task: Task, again: Task, examples: Sequence[Any]) -> Verdict:
    """A task, and what was read from the folder it was saved into: the same weights and answers, bit for bit."""
    kept = again.state_dict()
    weights = sum(not torch.equal(value, kept[name]) for name, value in task.state_dict().items())
    pairs = zip(task.predict(examples), again.predict(examples), strict=True)
    answers = sum(_elements(a) != _elements(b) for a, b in pairs)
    words = f"{weights} of {len(kept)} tensors and {answers} of {len(examples)} answers differ"
    same = f"all {len(kept)} tensors and {len(examples)} answers are the same"
    return Verdict("saved equals loaded", not weights and not answers, words if weights or answers else same)


def _compare(law: str, first: Sequence[Any], second: Sequence[Any]) -> Verdict:
    """Whether two lists of predictions agree: the confidences up to rounding, the answers but for ties."""
    pairs = [pair for a, b in zip(first, second, strict=True) for pair in zip(_elements(a), _elements(b), strict=True)]
    distances = [abs(a.confidence - b.confidence) for a, b in pairs]
    close = all(distance < TOLERANCE for distance in distances)  # unlike the largest, this sees what is not a number
    answers = [(a, b) for a, b in pairs if a.answer is not None]
    differ = [max(a.confidence, b.confidence) for a, b in answers if a.answer != b.answer]
    # Rounding may choose the other of two answers that are as good, and then neither is likelier than one half. That
    # is rare: many such ties are none.
    ties = all(confidence < 0.5 + TOLERANCE for confidence in differ) and len(differ) <= max(1, len(answers) // 100)
    found = f"{len(differ)} of {len(answers)} answers differ" if differ else f"all {len(answers)} answers are the same"
    what = f"{found}; confidences" if answers else f"all {len(pairs)} answers"
    return Verdict(law, close and ties, f"{what} differ by {max(distances):.1e} at most")


class _Element(NamedTuple):
    """An answer and its confidence. answer: None for the confidence of one that was not given."""

    answer: Any
    confidence: float


def _elements(example: Any) -> list[_Element]:
    """What a prediction filled in, decision by decision."""
    if getattr(example, "score", None) is not None:  # a mean of log-probabilities
        return [_Element(getattr(example, example.blank), math.exp(example.score))]
    probabilities = getattr(example, "probabilities", None)
    if probabilities is not None:
        if isinstance(example.label, str):
            rest = [_Element(None, p) for p in probabilities.values()]
            return [_Element(example.label, probabilities[example.label]), *rest]
        return [_Element(label in example.label, p) for label, p in probabilities.items()]
    if hasattr(example, "notes"):
        drawn = [_Element(step, p) for step, p in zip(example.following, example.confidence, strict=True)]
        return [*drawn, *(_Element(None, 2.0**-bits) for bits in example.surprisals)]
    surprisals = getattr(example, "surprisals", None)
    if surprisals is not None:  # what follows is named in the order of its probability, so that ties change names alone
        said = [p for _, p in example.following] + [2.0**-bits for _, bits in surprisals]
        return [_Element(None, p) for p in said]
    forecast = getattr(example, "forecast", None)
    if forecast is not None:
        return [_Element(None, amount / (1 + abs(amount))) for amount in forecast.quantiles.ravel().tolist()]
    if not hasattr(example, "confidence"):  # a quantity: into [-1, 1], where a tolerance means the same for all
        amount = float(example.label)
        return [_Element(None, amount / (1 + abs(amount)))]
    return [_Element(answer, p) for answer, p in zip(getattr(example, example.blank), example.confidence, strict=True)]
