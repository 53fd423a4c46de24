"""Everything about a model on one page: the function behind `unrolled inspect report`.

It asks each part of `inspection` and `metrics` what it has to say about the model and some examples, and leaves out
what such a model cannot have.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from unrolled import card
from unrolled.data.batching import in_order
from unrolled.data.captions import Captioned
from unrolled.data.examples import Example, LabelledText, Pair, Passage, Question, Series, Signal, Speech, TaggedTokens
from unrolled.data.music import Roll
from unrolled.data.tagged_steps import TaggedSteps
from unrolled.errors import BadData, BadOption, UnrolledError
from unrolled.inspection.attention import attention
from unrolled.inspection.diagnosis import diagnose
from unrolled.inspection.examination import examine_task
from unrolled.inspection.gates import gates
from unrolled.inspection.gradient_flow import answerable, gradient_flow
from unrolled.inspection.report import Calibration, Mistake, Report, Shown, confident_mistakes
from unrolled.inspection.saliency import Saliency, memory, saliency
from unrolled.looking import Mean, means_of
from unrolled.metrics.answers import normalised
from unrolled.metrics.calibration import (
    at_temperature,
    expected_calibration_error,
    fitted_temperature,
    reliability,
)
from unrolled.metrics.classification import confusion
from unrolled.metrics.edits import alignment
from unrolled.model import Model
from unrolled.recipe import deciding_options, from_toml
from unrolled.tasks.base import Task
from unrolled.training.history import History

LOOKED_AT, ELEMENTS = 128, 16_384
"""Examples whose gradients, gates and memory are looked at, and how many elements they have, at most."""
TOO_LONG = 1_000
"""Elements of an example of which one by one is asked what it is without: the work is the square of that."""
MANY = 1_000
"""Different answers: who chooses from more has no confusion matrix."""
MISTAKES = 25
LONGEST = 400
"""Characters of an example that are shown of it."""
OR = " | "
Found = TypeVar("Found")


def report(
    model: Model,
    data: str | Path,
    validation: str | Path | None = None,
    texts: Sequence[str] = (),
    *,
    shown: int = 3,
    most: int | None = None,
    folder: str | Path | None = None,
    **given: Any,
) -> Report:
    """A model from all sides.

    Args:
        model: trained.
        data: a file with the answers in it, or a folder, of which the test file is taken.
        validation: a file on which the temperature is fitted; None: the folder's validation file, or that of the
            training that the model's folder tells of.
        texts: that are looked into, before the first examples of the file.
        shown: so many examples of the file are looked into.
        most: so many examples of the file are read, at most.
        folder: the model's own.
        given: of how the files are read, and of how to decide.

    Raises `BadData` for a file that cannot be read or has no answers.
    """
    task = model.task
    deciding, how = deciding_options(model.task_name, given)
    path = model.file_of(data, **how)
    examples = list(islice(model.stream_examples(path, filled=True, **how), most))
    answered: list[Mistake] = []
    if task.example in (Passage, Series):  # what comes next is not right or wrong
        figures = task.measure(examples, **deciding)
    else:
        predicted = task.predict(examples, **deciding)
        figures = task.score(predicted, examples)
        answered += _answers(predicted, examples, task.options.get("ignored_tag"))
    known = _known(task, examples)
    parts = Parts()
    return Report(
        title=f"{type(task).__name__} {Path(folder).name if folder else ''}".strip(),
        facts=_facts(model, path, len(examples)),
        figures=figures,
        metric=task.metric,
        history=() if folder is None else History.read(folder).rows,
        **_inside(task, _some(task, known), [*(task.read(text) for text in texts), *known[:shown]], parts),
        **_decided(task, answered, parts),
        calibration=parts.has(
            "calibration",
            lambda: _calibrated(
                task,
                known,
                lambda: _validation(model, data, validation, folder, how),
                left_out=len(examples) - len(known),
            ),
        ),
        absent=parts.absent,
    )


class Parts:
    """What a model has, and why it has not the rest: section -> reason."""

    def __init__(self) -> None:
        self.absent: dict[str, str] = {}

    def has(self, section: str, find: Callable[[], Found]) -> Found | None:
        """What is found, or None."""
        try:
            return find()
        except (UnrolledError, ValueError) as error:  # what is not finite is no probability
            self.absent[section] = str(error)
            return None


def _some(task: Task, examples: Sequence[Any]) -> list[Any]:
    """The first examples, as many as can be looked into in reasonable time and memory; one, at least."""
    found: list[Any] = []
    elements = 0
    for example in examples[:LOOKED_AT]:
        elements += task.encode(example).length
        if found and elements > ELEMENTS:
            break
        found.append(example)
    return found


def _rests_on(task: Task, examples: Sequence[Any]) -> list[Saliency]:
    longest = max(task.encode(example).length for example in examples)
    if longest > TOO_LONG:
        raise BadOption(f"of {longest:,} elements it would take too long; of {TOO_LONG:,} it is told")
    return [saliency(task, example) for example in examples]


def _inside(task: Task, some: Sequence[Any], chosen: Sequence[Any], parts: Parts) -> dict[str, Any]:
    """What happens in the network. some: of the examples; chosen: to be looked into one by one."""
    found = parts.has("gradient flow", lambda: examine_task(task, some))
    titles = [_short(_said_of(example)) for example in chosen]
    return {
        "flow": parts.has("gradient flow", lambda: gradient_flow(task, some)),
        "findings": () if found is None else tuple(diagnose(found)),
        "memory": parts.has("memory", lambda: memory(task, some)),
        "means": parts.has("gates", lambda: [_mean(one) for one in means_of(gates(task, some))]) or (),
        "shown": [Shown(*pair) for pair in zip(titles, gates(task, chosen).examples, strict=True)],
        "saliency": parts.has("saliency", lambda: _rests_on(task, chosen)) or (),
        "attention": parts.has("attention", lambda: attention(task, chosen).alignments) or (),
    }


def _decided(task: Task, answers: Sequence[Mistake], parts: Parts) -> dict[str, Any]:
    """What was wrong, and which answer is taken for which."""
    chooses = bool({"labels", "tags"} & set(task.vocabularies)) and task.options.get("decision") != "many"
    taken = None
    if not chooses:
        parts.absent["confusion"] = f"what a {task.name} answers is not one of a few"
    elif len({one.right for one in answers} | {one.said for one in answers}) > MANY:
        parts.absent["confusion"] = f"there are more than {MANY:,} different answers"
    else:
        taken = confusion([one.right for one in answers], [one.said for one in answers])
    wrong = [one._replace(about=_short(one.about)) for one in answers if not _same(task, one.said, one.right)]
    if task.name == "regressor":
        wrong.sort(key=lambda one: -abs(float(one.said) - float(one.right)))
        return {"mistakes": wrong[:MISTAKES], "confusion": None}
    return {"mistakes": confident_mistakes(wrong, MISTAKES), "confusion": taken}


def _same(task: Task, said: str, right: str) -> bool:
    """Whether an answer is right, as the task's own figures have it."""
    if task.example is Question:
        return normalised(said) in map(normalised, right.split(OR))
    if task.name == "regressor":
        return float(said) == float(right)
    return said == right if task.options.get("case") != "lower" else said.lower() == right.lower()


def _mean(one: Mean) -> tuple[str, str, float, float | None, float | None]:
    shut, wide = (None, None) if one.saturation is None else (one.saturation.shut, one.saturation.open)
    return one.layer, one.name, one.mean, shut, wide


def _facts(model: Model, path: Path, count: int) -> dict[str, str]:
    weights = sum(p.numel() for p in model.task.parameters())
    options = model.task.options
    cell = options.get("cell") or options.get("decoder_cell") or "–"
    sizes = {name: len(vocabulary) for name, vocabulary in model.task.vocabularies.items()}
    return {
        "task": model.task_name,
        "cell": str(cell),
        "weights": f"{weights:,}",
        **({"vocabularies": ", ".join(f"{n:,} {name}" for name, n in sizes.items())} if sizes else {}),
        "data": path.name,
        "examples": f"{count:,}",
    }


def _known(task: Task, examples: Sequence[Any]) -> list[Any]:
    """Those whose answers the model has ever met: of others it cannot say how likely they are."""
    found = answerable(task, examples)
    if not found:
        raise BadData("there is no example whose answer the model knows")
    return found


def _answers(predicted: Sequence[Any], gold: Sequence[Any], ignored: str | None) -> Iterator[Mistake]:
    """Every decision, right or wrong. ignored: a tag that says that none is known."""
    for said, right in zip(predicted, gold, strict=True):
        place = "" if right.origin is None else f"{Path(right.origin.path).name}:{right.origin.line}"
        if isinstance(right, (TaggedTokens, TaggedSteps)):
            rows = zip(said.tags, right.tags or (), said.confidence or (None,) * len(said.tags), strict=True)
            for k, (tag, gold_tag, sure) in enumerate(rows):
                if gold_tag != ignored:
                    yield Mistake(_element(right, k), tag, gold_tag, sure, place)
        elif isinstance(right, (LabelledText, Signal)):
            yield Mistake(_said_of(right), _joined(said.label), _joined(right.label), _sure(said), place)
        elif isinstance(right, (Pair, Question, Speech, Captioned)):
            sure = None if said.score is None else float(np.exp(said.score))
            told, wanted = _joined(getattr(said, said.blank)), _joined(getattr(right, right.blank))
            about = _aligned(wanted, told) if isinstance(right, Speech) else _said_of(right)
            yield Mistake(about, told, wanted, sure, place)


def _aligned(right: str, said: str) -> str:
    """What was said in words, with what was heard in place of them, beside them and not: `go «left → right» «+ up»`."""
    parts = []
    for edit in alignment(right.split(), said.split()):
        if edit.operation == "same":
            parts.append(str(edit.gold))
        elif edit.operation == "replace":
            parts.append(f"«{edit.gold} → {edit.predicted}»")
        else:
            parts.append(f"«+ {edit.predicted}»" if edit.gold is None else f"«- {edit.gold}»")
    return " ".join(parts)


def _sure(said: Any) -> float | None:
    """Of a label its probability; of several, and of those that were not given, the probability of all together."""
    if not said.probabilities:
        return None
    if isinstance(said.label, str):
        return float(said.probabilities[said.label])
    return float(np.prod([p if label in said.label else 1 - p for label, p in said.probabilities.items()]))


def _element(example: TaggedTokens | TaggedSteps, place: int) -> str:
    """One of its elements, in words."""
    if isinstance(example, TaggedSteps):
        return f"step {place + 1:,} of {len(example.values):,}"
    return _marked(example.tokens, place)


def _marked(tokens: Sequence[str], place: int, around: int = 8) -> str:
    """A token among its neighbours."""
    left, right = tokens[max(0, place - around) : place], tokens[place + 1 : place + 1 + around]
    return " ".join([*left, f"«{tokens[place]}»", *right])


def _said_of(example: Example) -> str:
    """An example in words."""
    if isinstance(example, Roll):
        return f"{example.name or 'a piece'} of {len(example.notes):,} steps"
    if isinstance(example, Series):
        return f"{example.series or 'a series'} of {len(example.values):,} steps"
    if isinstance(example, (Signal, TaggedSteps, Speech)):
        steps, features = np.atleast_2d(example.values.T).T.shape
        return f"{steps:,} steps of {features:,}"
    if isinstance(example, Captioned):
        whole = " x ".join(map(str, example.image.shape[:2]))
        return f"a picture of {whole}" if example.image.ndim == 3 else f"features of a picture, {whole}"
    if isinstance(example, TaggedTokens):
        return " ".join(example.tokens)
    if isinstance(example, Question):
        return example.question
    return str(example.source if isinstance(example, Pair) else example.text)  # type: ignore[attr-defined]


def _short(text: str) -> str:
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


def _joined(label: Any) -> str:
    """One, or several in an order of their own."""
    return "" if label is None else label if isinstance(label, str) else OR.join(sorted(label))


def _validation(
    model: Model, data: str | Path, validation: str | Path | None, folder: str | Path | None, how: Mapping[str, Any]
) -> list[Any]:
    """The examples that a temperature is fitted on. Raises `BadData` where there are none."""
    if validation is not None:
        return model.examples(validation, **how)
    if Path(data).is_dir():
        return model.examples(model.file_of(data, "valid", **how), **how)
    told = None if folder is None else Path(folder) / card.TRAINING
    if told is not None and told.exists():
        recipe = from_toml(told)
        return list(recipe.splits(model.how(how, recipe.data)).valid)
    raise BadData("there is no validation file to fit a temperature on; name one with --validation")


def _calibrated(
    task: Task, examples: Sequence[Any], validation: Callable[[], Sequence[Any]], left_out: int
) -> Calibration:
    plain, right = _chances(task, examples)  # before the validation split is read: it may not be a choice at all
    fitted_on, gold = _chances(task, _known(task, validation()))
    temperature = fitted_temperature(fitted_on, gold)
    correct = (plain.argmax(axis=1) == right).tolist()
    before, after = (np.exp(at_temperature(plain, t).max(axis=1)).clip(0, 1).tolist() for t in (1.0, temperature))
    return Calibration(
        temperature,
        len(gold),
        len(right),
        left_out,
        expected_calibration_error(before, correct),
        expected_calibration_error(after, correct),
        reliability(before, correct),
        reliability(after, correct),
    )


@torch.no_grad()
def _chances(task: Task, examples: Sequence[Any]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    encoded = [task.encode(example) for example in examples]
    parts = []
    with task.evaluating():
        for rows in in_order([one.length for one in encoded], elements=4096, rows=32):
            log_p, gold = task.chances(task.collate([encoded[row] for row in rows]))
            parts.append((log_p.double().numpy(), gold.numpy()))
    return np.concatenate([p for p, _ in parts]), np.concatenate([g for _, g in parts])
