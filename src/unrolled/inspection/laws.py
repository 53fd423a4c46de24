"""The laws, on the user's own model: what must hold of every recurrent model, and silently fails in many.

Each law is a function (task, examples) -> `Verdict`; `check` runs them all. They work on a copy: the task's weights
and mode are left as they were.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import torch

from unrolled.errors import BadOption
from unrolled.tasks.base import Task

TOLERANCE = 1e-4
"""On probabilities: the order of float32 sums differs with the batch's shape."""
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
    return _compare("padding and batch mates change nothing", task, alone, together)


def order_changes_nothing(task: Task, examples: Sequence[Any]) -> Verdict:
    """Predicted in another order: the same answers."""
    ahead = task.predict(examples)
    back = task.predict(list(reversed(examples)))[::-1]
    return _compare("the order of examples changes nothing", task, ahead, back)


def loss_is_the_sum_of_its_rows(task: Task, examples: Sequence[Any]) -> Verdict:
    """The loss of a batch is the sum of its rows' own losses."""
    encoded = [task.encode(example) for example in examples]
    with torch.inference_mode():
        whole = float(task.loss(task.collate(encoded)).total)
        parts = sum(float(task.loss(task.collate([one])).total) for one in encoded)
    apart = abs(whole - parts) / max(abs(whole), 1e-6)
    return Verdict("a batch's loss is the sum of its rows'", apart < TOLERANCE, f"relative difference {apart:.1e}")


def streaming_equals_the_whole(task: Task, examples: Sequence[Any]) -> Verdict:
    """Read element by element with the state carried: the outputs of the whole at once."""
    law = "streaming equals the whole"
    stream = getattr(task, "stream_outputs", None)
    if stream is None:
        return Verdict(law, None, "this task does not stream")
    try:
        apart = max(float((whole - stepped).abs().max()) for whole, stepped in stream(examples))
    except BadOption as error:
        return Verdict(law, None, f"does not apply: {error}")
    return Verdict(law, apart < TOLERANCE, f"largest difference {apart:.1e}")


def one_batch_can_be_overfitted(task: Task, examples: Sequence[Any]) -> Verdict:
    """Trained on one batch without dropout, the loss falls to a small part: the gradient reaches what it must."""
    law = "one batch can be overfitted"
    torch.manual_seed(0)
    # A few examples, each text once: two labels for one text cannot both be learnt.
    distinct = {repr([getattr(e, "text", None), getattr(e, "tokens", None)]): e for e in examples}
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


def same_answers(task: Task, first: Sequence[Any], second: Sequence[Any]) -> tuple[bool, str]:
    """Whether two lists of predictions agree: the blanks, but for near ties, and the confidences."""
    differ = sum(getattr(a, a.blank) != getattr(b, b.blank) for a, b in zip(first, second, strict=True))
    apart = max((_apart(a, b) for a, b in zip(first, second, strict=True)), default=0.0)
    ties = differ and apart < TOLERANCE
    words = f"{differ} of {len(first)} answers differ, largest difference of confidence {apart:.1e}"
    return apart < TOLERANCE and (not differ or bool(ties)), words


def _compare(law: str, task: Task, first: Sequence[Any], second: Sequence[Any]) -> Verdict:
    holds, words = same_answers(task, first, second)
    return Verdict(law, holds, words)


def _apart(a: Any, b: Any) -> float:
    """The largest difference between two predictions' confidences."""
    if getattr(a, "probabilities", None) is not None:
        return max(abs(a.probabilities[label] - b.probabilities[label]) for label in a.probabilities)
    pairs = zip(getattr(a, "confidence", None) or (), getattr(b, "confidence", None) or (), strict=True)
    return max((abs(x - y) for x, y in pairs), default=0.0)
