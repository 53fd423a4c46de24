"""The everyday causes of a model that does not learn, which are in the data: found by looking at it.

Empty sequences; a label that training never sees, or hardly anything but which it sees; examples that are in both
splits; a word that gives the label away; a learning rate at which a few steps on one batch make it worse.
"""

from __future__ import annotations

import copy
import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any

import torch

from unrolled.data.examples import Passage, Signal
from unrolled.errors import BadData
from unrolled.inspection.diagnosis import Finding
from unrolled.tasks.base import Task

MOST = 20_000
"""So many lines of a running text are looked at, the first ones."""
NAMED = 5
"""So many examples or labels are named, at most."""
DOMINANT, SHARED = 0.95, 0.01
PURE, SPREAD = 0.99, 0.2
"""A token gives a label away where so many of its examples have that label, and so many of the label's examples have
the token, while the label is no more than half of all."""
STEPS = 8
"""On one batch, to see what a learning rate does."""


def everyday(task: Task, train: Sequence[Any], valid: Sequence[Any]) -> list[Finding]:
    """What is wrong with the data, as far as it can be told: nothing is found in data that is in order."""
    if task.example is Passage:  # lines of a text have no labels, and may well come again
        parts = ((islice(train, MOST), "training"), (islice(valid, MOST), "validation"))
        return [finding for part, split in parts for finding in _unreadable(task, part, split)]
    findings = [*_unreadable(task, train, "training"), *_unreadable(task, valid, "validation"), *_shared(train, valid)]
    ignored = task.options.get("ignored_tag")
    labels = [[tuple(one for one in _labels(e) if one != ignored) for e in split] for split in (train, valid)]
    if {"labels", "tags"} & set(task.vocabularies) and any(labels[0]):  # what is not chosen from some has none
        findings += _labels_amiss(*labels)
        if task.example is not Signal:  # a number that comes again says nothing
            findings += _given_away(task, train, labels[0])
    return findings


def rate_too_high(
    task: Task,
    examples: Sequence[Any],
    rate: float,
    engine_of: Callable[[Task], torch.optim.Optimizer],
    *,
    clip_norm: float = 0.0,
    seed: int = 1,
) -> Finding | None:
    """Whether a few steps on one batch, such as the training takes, leave its loss higher than it was.

    The steps are taken by a copy, without dropout.

    Args:
        task: left as it is.
        examples: one batch of them.
        rate: the learning rate, to be told.
        engine_of: the optimizer of a copy's parameters, at that rate.
        clip_norm: that gradients are shortened to; 0: none.
        seed: of what the loss draws.
    """
    again = copy.deepcopy(task).eval()
    engine, parameters = engine_of(again), [p for p in again.parameters() if p.requires_grad]
    batch = again.collate([again.encode(example) for example in examples])
    losses = []
    with torch.random.fork_rng(devices=[]), torch.backends.cudnn.flags(enabled=False):
        torch.manual_seed(seed)
        for _ in range(STEPS + 1):
            loss = again.loss(batch)
            losses.append(float(loss.total.detach()) / loss.count)
            if not math.isfinite(losses[-1]):
                break
            engine.zero_grad()
            (loss.total / loss.count).backward()
            if clip_norm:
                torch.nn.utils.clip_grad_norm_(parameters, clip_norm)
            engine.step()
    if losses[-1] < losses[0]:
        return None
    steps = len(losses) - 1
    because = (
        f"{steps} steps on one batch at a learning rate of {rate:g} raise its loss: {losses[0]:.3f} to {losses[-1]:.3f}"
    )
    return Finding("training", "rate", because, ("rate",))


def _unreadable(task: Task, examples: Iterable[Any], split: str) -> list[Finding]:
    problems = []
    for example in examples:
        try:
            task.encode(replace(example, **{task.example.blank: None}))
        except BadData as error:
            problems.append(str(error))
    if not problems:
        return []
    because = f"{len(problems)} of the {split} examples cannot be read: {_named(problems)}"
    return [Finding("data", "unreadable", because, ("examples",))]


def _shared(train: Sequence[Any], valid: Sequence[Any]) -> list[Finding]:
    known = {example.content for example in train}
    both = sum(example.content in known for example in valid)
    if both <= SHARED * len(valid):
        return []
    because = f"{both} of the {len(valid)} validation examples are in the training data as well: figures flatter"
    return [Finding("data", "leak", because, ("split",))]


def _labels(example: Any) -> tuple[str, ...]:
    """Of an example, one or several; none where it has something else in its blank."""
    if hasattr(example, "label"):
        return (example.label,) if isinstance(example.label, str) else tuple(example.label or ())
    return tuple(getattr(example, "tags", None) or ())


def _labels_amiss(train: list[tuple[str, ...]], valid: list[tuple[str, ...]]) -> list[Finding]:
    counts = Counter(label for labels in train for label in labels)
    unseen = Counter(label for labels in valid for label in labels if label not in counts)
    findings = []
    if unseen:
        because = f"labels of the validation data that training never sees: {_named(list(unseen))}"
        findings.append(Finding("data", "labels", because, ("labels",)))
    label, most = counts.most_common(1)[0]
    if len(counts) == 1:
        because = f"every training example has the same label, {label}: there is nothing to tell apart"
        findings.append(Finding("data", "labels", because, ("labels",)))
    elif most > DOMINANT * counts.total():
        because = f"{most / counts.total():.1%} of all labels are {label}: saying it always is right as often"
        findings.append(Finding("data", "labels", because, ("labels",)))
    return findings


def _given_away(task: Task, train: Sequence[Any], labels: list[tuple[str, ...]]) -> list[Finding]:
    """Tokens that stand for a label. Of texts with one label each."""
    if not hasattr(train[0], "label") or any(len(each) != 1 for each in labels):
        return []
    of_label = Counter(label for (label,) in labels)
    seen: dict[str, Counter[str]] = defaultdict(Counter)
    for example, (label,) in zip(train, labels, strict=True):
        try:
            tokens = {token for sequence in task.sequences(task.encode(example)) for token in sequence}
        except BadData:
            continue
        for token in tokens:
            seen[token][label] += 1
    findings = []
    for token, counts in seen.items():
        label, count = counts.most_common(1)[0]
        is_rare = of_label[label] <= len(train) / 2
        if (
            len(of_label) > 1
            and is_rare
            and count >= max(SPREAD * of_label[label], 20)
            and count >= PURE * counts.total()
        ):
            because = (
                f"{token!r} stands in {count / of_label[label]:.0%} of the examples that are {label}, and in "
                f"{counts.total() - count} others: does it give the answer away?"
            )
            findings.append(Finding("data", "leak", because, ("split",)))
    return findings[:NAMED]


def _named(items: Sequence[str]) -> str:
    return "; ".join(items[:NAMED]) + ("; …" if len(items) > NAMED else "")
