"""A model that learns on while it reads: the cache and dynamic evaluation against their equations, step by step."""

from __future__ import annotations

import copy
import math
from typing import Any

import pytest
import torch
from torch import Tensor

from unrolled.data.examples import Passage
from unrolled.errors import BadOption
from unrolled.tasks import _reading_on
from unrolled.tasks.language_model import Deciding, LanguageModel

LINES = ["the dog sees the cat", "the cat sees the dog", "a bird sees the cat and the dog", "the dog sees a bird"] * 2


def model(**options: Any) -> LanguageModel:
    torch.manual_seed(2)
    made = LanguageModel.prepare([Passage(text=line) for line in LINES], hidden_size=6, word_size=5, **options)
    with torch.no_grad():
        for weight in made.parameters():
            weight.mul_(2)  # so that its states differ
    return made.eval()


def ids_of(task: LanguageModel) -> Tensor:
    return torch.cat([torch.from_numpy(task.encode(Passage(text=line)).ids) for line in LINES])


def stepped(task: LanguageModel, ids: Tensor) -> tuple[Tensor, Tensor]:
    """What the last layer gives before each element, and the logarithms of all probabilities there."""
    with torch.no_grad():
        state, before, shown, logs = task.network.initial_state(1), task.line_end, [], []
        for this in ids.tolist():
            x, state = task.network.stack.step(task.network.embedding(torch.tensor([before])), state)
            shown.append(x[0])
            logs.append(task.network.logits(x)[0].log_softmax(0))
            before = this
    return torch.stack(shown), torch.stack(logs)


def nats(task: LanguageModel, **options: Any) -> Tensor:
    return task.reader(Deciding(**options)).read(ids_of(task))


@pytest.mark.parametrize("at_once", [1, 7, 512])
@pytest.mark.parametrize("size", [1, 3, 1000])
def test_the_cache_is_its_equation(size: int, at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    task = model()
    monkeypatch.setattr(_reading_on, "AT_ONCE", at_once)
    ids, theta, weight = ids_of(task), 0.7, 0.2
    shown, logs = stepped(task, ids)
    wanted = []
    for t, this in enumerate(ids.tolist()):
        p = math.exp(logs[t, this])
        kept = range(max(0, t - size), t)
        if kept:
            shares = [math.exp(theta * float(shown[i] @ shown[t])) for i in kept]
            hits = [share for i, share in zip(kept, shares, strict=True) if ids[i] == this]
            p = (1 - weight) * p + weight * sum(hits) / sum(shares)
        wanted.append(-math.log(p))
    found = nats(task, cache_size=size, cache_weight=weight, cache_sharpness=theta)
    assert found.tolist() == pytest.approx(wanted, rel=1e-4)


UNTIED: dict[str, Any] = {"softmax": "adaptive", "tied": "no", "cutoffs": [3, 6]}
"""Of a short segment some of its tails have no word."""


@pytest.mark.parametrize("decay", [0.0, 0.1])
@pytest.mark.parametrize(("segment", "options"), [(1, {}), (5, {}), (1000, {}), (1, UNTIED), (5, UNTIED)])
def test_dynamic_evaluation_is_a_step_of_descent_behind_each_segment(
    segment: int, options: dict[str, Any], decay: float
) -> None:
    task, rate = model(**options), 0.3
    before = copy.deepcopy(task.state_dict())
    ids, other = ids_of(task), copy.deepcopy(task)
    trained = [p.detach().clone() for p in other.parameters()]
    engine, state, last, wanted = torch.optim.SGD(other.parameters(), lr=rate), None, task.line_end, []
    state = other.network.initial_state(1)
    for part in ids.split(segment):
        losses = []
        for this in part.tolist():
            logits, state = other.network.step(torch.tensor([last]), state)
            losses.append(-logits[0].log_softmax(0)[this])
            last = this
        wanted += [float(loss.detach()) for loss in losses]
        if len(part) == segment:
            engine.zero_grad()
            torch.stack(losses).mean().backward()
            with torch.no_grad():
                for p, start in zip(other.parameters(), trained, strict=True):
                    p.lerp_(start, decay)
            engine.step()
        state = tuple(tuple(leaf.detach() for leaf in layer) for layer in state)  # type: ignore[union-attr]
    found = nats(task, dynamic_rate=rate, dynamic_decay=decay, dynamic_segment=segment)
    assert found.tolist() == pytest.approx(wanted, rel=1e-3)
    assert all(torch.equal(value, before[name]) for name, value in task.state_dict().items())


@pytest.mark.parametrize("segment", [1, 4, 7, 100])
@pytest.mark.parametrize("lines", ["apart", "running"])
def test_dynamic_evaluation_of_lines_for_themselves_learns_from_each_as_it_was_read(lines: str, segment: int) -> None:
    """A segment may have the end of one line and the beginning of the next, which does not go on from it."""
    task, rate, wanted = model(lines=lines), 0.2, []
    other = copy.deepcopy(task)
    engine, due = torch.optim.SGD(other.parameters(), lr=rate), []
    for line in LINES:
        state, last = other.network.initial_state(1), task.line_end
        for this in task.encode(Passage(text=line)).ids.tolist():
            logits, state = other.network.step(torch.tensor([last]), state)
            due.append(-logits[0].log_softmax(0)[this])
            wanted.append(float(due[-1].detach()) / math.log(2))
            last = this
            if len(due) == segment:
                engine.zero_grad()
                torch.stack(due).mean().backward()
                engine.step()
                due = []
                state = tuple(tuple(leaf.detach() for leaf in layer) for layer in state)  # type: ignore[union-attr]
    how = {"dynamic_rate": rate, "dynamic_segment": segment}
    predicted = task.predict([Passage(text=line) for line in LINES], **how)
    assert [b for line in predicted for _, b in line.surprisals or ()] == pytest.approx(wanted, rel=1e-3)
    if lines == "apart":
        figures = task.measure([Passage(text=line) for line in LINES], **how)
        assert figures["bits"] == pytest.approx(sum(wanted) / len(wanted), rel=1e-4)


@pytest.mark.parametrize("options", [{"cache_size": 9}, {"dynamic_rate": 0.1}, {"cache_size": 9, "dynamic_rate": 0.1}])
def test_how_a_text_is_handed_over_changes_nothing(options: dict[str, Any]) -> None:
    task = model()
    whole, reader = nats(task, **options), task.reader(Deciding(**options))
    parts = torch.cat([reader.read(part) for part in ids_of(task).split(7)])
    assert parts.tolist() == pytest.approx(whole.tolist(), rel=1e-4)


@pytest.mark.parametrize("options", [{"cache_size": 20, "cache_weight": 0.5}, {"dynamic_rate": 0.3}])
def test_it_gets_better_at_a_text_that_repeats_itself(options: dict[str, Any]) -> None:
    task = model()
    examples = [Passage(text=line) for line in LINES * 3]
    still, moving = task.measure(examples), task.measure(examples, **options)
    assert moving["perplexity"] < 0.95 * still["perplexity"]


@pytest.mark.parametrize("options", [{}, {"cache_size": 20}, {"dynamic_rate": 0.3}])
def test_predictions_in_context_are_what_is_measured(options: dict[str, Any]) -> None:
    task = model()
    examples = [Passage(text=line) for line in LINES]
    predicted = task.predict(examples, context="text", likeliest=1000, **options)
    bits = [b for line in predicted for _, b in line.surprisals or ()]
    assert sum(bits) / len(bits) == pytest.approx(task.measure(examples, **options)["bits"], rel=1e-4)
    for line in predicted:
        assert sum(p for _, p in line.following or ()) == pytest.approx(1, rel=1e-5)


def test_lines_for_themselves_begin_anew_though_what_was_learnt_stays() -> None:
    task = model(lines="apart")
    examples = [Passage(text=line) for line in LINES]
    once, again = task.predict(examples[:1], cache_size=50), task.predict([*examples, examples[0]], cache_size=50)
    alone, first, last = ([b for _, b in line.surprisals or ()] for line in (once[0], again[0], again[-1]))
    assert first == pytest.approx(alone)
    first, last = sum(first), sum(last)
    assert last < first
    assert task.measure(examples, cache_size=50)["bits"] < task.measure(examples)["bits"]


def test_backward_models_read_text_and_lines_from_their_ends() -> None:
    """The perplexity is that of a forward model with the same weights, on the text turned round."""
    back, ahead = model(direction="backward"), model()
    ahead.load_state_dict(back.state_dict())
    lines = [Passage(text=line) for line in LINES]
    turned = [Passage(text=" ".join(reversed(line.split()))) for line in reversed(LINES)]
    assert back.measure(lines)["perplexity"] == pytest.approx(ahead.measure(turned)["perplexity"], rel=1e-6)
    (a, b), (c, d) = (task.predict(given[:2], context="text") for task, given in ((back, lines), (ahead, turned[-2:])))
    alone = back.predict(lines[:1])[0].surprisals
    assert alone == ahead.predict(turned[-1:])[0].surprisals
    for mine, theirs in ((a, d), (b, c)):
        assert [element for element, _ in mine.surprisals] == [element for element, _ in theirs.surprisals]
    assert [x for _, x in a.surprisals] == pytest.approx([x for _, x in d.surprisals], rel=1e-4)
    feed = back.feed(lines, elements=0, rows=1, seed=1)
    (window, *_) = feed.take(feed.plan(0)[0])
    assert window.read[:5, 0].tolist() == ahead.encode(turned[0]).ids[:5].tolist()
    with pytest.raises(BadOption, match="a backward model reads a text from its end"):
        next(back.generate("the", seed=1, sample=0, how=back.generating()))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dynamic_rate": -1.0}, "dynamic_rate must be 0 or more, not -1.0"),
        ({"dynamic_decay": 2.0}, "dynamic_decay must be in"),
        ({"dynamic_segment": 0}, "dynamic_segment must be 1 or more"),
        ({"cache_size": -3}, "cache_size must be 0 or more"),
        ({"cache_weight": 1.5}, "cache_weight must be in"),
        ({"cache_sharpness": float("nan")}, "cache_sharpness must be 0 or more"),
    ],
)
def test_what_it_refuses(options: dict[str, Any], message: str) -> None:
    with pytest.raises(BadOption, match=message):
        model().measure([Passage(text="the dog")], **options)
